"""Peers are other people's programs: they may do what bknn must not, and must not leave a trace."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import jax
import pytest


@pytest.fixture
def calling_peers() -> Callable[[], AbstractContextManager[None]]:
    """`with calling_peers(): ...` allows rank promotion inside JAX code of a peer.

    pyhf 0.7.6 does without for most workspaces. Keep calls of bknn outside of the block.
    """
    return lambda: jax.numpy_rank_promotion("allow")


@pytest.fixture(autouse=True)
def peers_leave_no_trace() -> Iterator[None]:
    """Give pyhf its NumPy backend back, and JAX the precision that a peer may have changed."""
    yield
    jax.config.update("jax_enable_x64", True)
    jax.config.update("jax_numpy_rank_promotion", "raise")
    try:
        import pyhf
    except ModuleNotFoundError:
        return
    pyhf.set_backend("numpy")
