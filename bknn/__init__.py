"""bknn: what do the B -> K(*) + missing energy data say about your model?

A differentiable, batched engine in JAX, from couplings and masses to likelihoods, fits and limits.
"""

from __future__ import annotations

import jax as _jax

from bknn import errors
from bknn.likelihood import HistFactory

__version__ = "0.1.0"
__all__ = ["HistFactory", "__version__", "enable_x64", "errors"]


def enable_x64() -> None:
    """Let JAX compute in double precision, which likelihoods need; call it first."""
    _jax.config.update("jax_enable_x64", True)
