"""The no-U-turn sampler (numpyro's), in segments that can be stored and taken up again.

Chains go side by side, a few at a time: each group is a computation of its own, for a core, a
device or another machine.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpyro.infer.hmc import hmc

from bknn.inference.samplers.whitening import LogWeight

#: Draws of a segment: what an interrupted run loses at most.
SEGMENT = 50

#: Doublings of a trajectory at most.
_TREE_DEPTH = 8

#: Mean probability of acceptance that the step size aims at.
_ACCEPT = 0.85


class Segment(NamedTuple):
    """Draws of some chains: whitened coordinates (chains, draws, n), statistics (chains, draws)."""

    draws: np.ndarray
    stats: dict[str, np.ndarray]


class Nuts:
    """A sampler of exp(l(w)) N(w; 0, 1).

    Args:
        log_weight: l(w, *frame); `start` and `advance` take the frame, and are compiled once for
            all of them.
        warmup: steps in which the step size is found.
    """

    def __init__(self, log_weight: LogWeight, *, warmup: int) -> None:
        self._start, self._advance = log_weight.programs.together(
            "NUTS",
            (log_weight.structure, warmup),
            lambda: _programs(log_weight.function, warmup),
            once=("start",),
        )

    def start(self, key: Array, w: np.ndarray, *frame: Any) -> Any:
        """Return the state of chains that begin at w (chains, n)."""
        return self._start(key, jnp.asarray(w), *frame)

    def advance(self, state: Any, *frame: Any) -> tuple[Any, Segment]:
        """Go on by a segment."""
        state, (draws, stats) = self._advance(state, *frame)
        return state, Segment(
            np.asarray(draws).swapaxes(0, 1), {k: np.asarray(v).T for k, v in stats.items()}
        )


def _programs(log_weight: Callable[..., Array], warmup: int) -> tuple[Callable[..., Any], ...]:
    # Traced once, though the sampler calls it in several places.
    traced = jax.jit(log_weight)

    def potential(*frame: Any) -> Any:
        return lambda w: 0.5 * jnp.sum(w**2) - traced(w, *frame)

    initial, sampled = hmc(potential_fn_gen=potential, algo="NUTS")

    def start(key: Array, w: Array, *frame: Any) -> Any:
        def one(key: Array, w: Array) -> Any:
            return initial(
                w,
                warmup,
                step_size=0.3,
                adapt_mass_matrix=False,
                target_accept_prob=_ACCEPT,
                trajectory_length=None,
                max_tree_depth=_TREE_DEPTH,
                model_args=frame,
                rng_key=key,
            )

        return jax.vmap(one)(jax.random.split(key, len(w)), w)

    def advance(state: Any, *frame: Any) -> tuple[Any, tuple[Array, dict[str, Array]]]:
        def step(state: Any, _: None) -> tuple[Any, tuple[Array, dict[str, Array]]]:
            state = jax.vmap(lambda s: sampled(s, frame, {}))(state)
            stats = {
                "diverging": state.diverging,
                "energy": state.energy,
                "n_steps": state.num_steps,
                "accept_prob": state.accept_prob,
            }
            return state, (state.z, stats)

        return jax.lax.scan(step, state, None, length=SEGMENT)

    return start, advance


def packed(state: Any) -> dict[str, np.ndarray]:
    """Return a state as arrays with names."""
    leaves = jax.tree.leaves(state)
    return {f"state_{i:02d}": np.asarray(leaf) for i, leaf in enumerate(leaves)}


def unpacked(arrays: dict[str, np.ndarray], like: Any) -> Any:
    """Return the state that `packed` made arrays of; `like` is any state of the same sampler."""
    leaves, tree = jax.tree.flatten(like)
    return jax.tree.unflatten(
        tree, [jnp.asarray(arrays[f"state_{i:02d}"]) for i in range(len(leaves))]
    )
