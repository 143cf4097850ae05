"""Parallel tempering: chains that cross between the modes of a posterior.

A ladder of densities N(w; 0, 1) exp(beta l(w)) leads from a standard normal one (beta = 0), of
which every draw is a new one, to the posterior (beta = 1). Each rung moves by Hamiltonian Monte
Carlo, then neighbours exchange their states, even and odd pairs in turn: what starts anew at the
bottom drifts upwards (Syed et al., arXiv:1905.02939). Where rungs stand is found in the warm-up, so
that all exchanges are equally likely. The ladder is a thermodynamic integral, too: its rungs give
the evidence, the mean of exp(l) over the normal density.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from bknn.inference.samplers.nuts import SEGMENT, Segment
from bknn.inference.samplers.whitening import LogWeight

#: Least and most steps of a trajectory.
_STEPS = (6, 14)

#: Steps from one draw to the next: the way along a bent valley is long.
_THIN = 3

#: Probability of acceptance that the step sizes aim at.
_ACCEPT = 0.85

#: One step in this many is a short one.
_SHORT = 0.15

#: Stands in for -infinity: exchanges with it never happen.
_NEVER = -1e30


class State(NamedTuple):
    """Of chains and rungs; arrays (chains, rungs, ...).

    Attributes:
        key: random numbers (2,).
        iterations: so far.
        w, log_weight, gradient: where each rung is, l there and its gradient.
        log_step: logarithm of the step size.
        betas: the ladder (rungs,).
        born: iteration in which the state of a rung was at the bottom.
    """

    key: Array
    iterations: Array
    w: Array
    log_weight: Array
    gradient: Array
    log_step: Array
    betas: Array
    born: Array


class Ladder:
    """A sampler of exp(l(w)) N(w; 0, 1) by rungs.

    Args:
        log_weight: l(w, *frame), as for `Nuts`.
        size: of w.
        warmup: draws in which steps and rungs are found.
        rungs: how many.
        stiffness: what the data know, in units of the prior (n,): masses of the trajectories.
    """

    def __init__(
        self,
        log_weight: LogWeight,
        size: int,
        *,
        warmup: int,
        rungs: int = 8,
        stiffness: np.ndarray | None = None,
    ) -> None:
        self.size, self.warmup, self.rungs = size, warmup * _THIN, rungs
        self._stiffness = np.zeros(size) if stiffness is None else np.asarray(stiffness, float)
        self._evaluate, self._advance = log_weight.programs.together(
            "tempering",
            (log_weight.structure, warmup, rungs),
            lambda: _programs(log_weight.function, self.warmup, rungs),
            once=("evaluate",),
        )

    def start(self, key: Array, w: np.ndarray, *frame: Any) -> State:
        """Return the state of chains all of whose rungs begin at w (chains, n)."""
        shape = (len(w), self.rungs)
        places = jnp.broadcast_to(jnp.asarray(w)[:, None], (*shape, self.size))
        value, gradient = self._evaluate(places, *frame)
        betas = jnp.linspace(0.0, 1.0, self.rungs) ** 2
        count = jnp.zeros((), int)
        log_step = jnp.full(shape, np.log(0.2))
        born = jnp.full(shape, -1)
        return State(key, count, places, value, gradient, log_step, betas, born)

    def advance(self, state: State, *frame: Any) -> tuple[State, Segment]:
        """Go on by a segment; within the warm-up the rungs are placed anew after it."""
        state, (draws, stats) = self._advance(state, self._stiffness, *frame)
        stats = {k: np.moveaxis(np.asarray(v), 0, 1) for k, v in stats.items()}
        if int(state.iterations) < 0.8 * self.warmup:
            rejected = stats["rejected"].mean(axis=(0, 1))
            state = state._replace(betas=jnp.asarray(placed(np.asarray(state.betas), rejected)))
        return state, Segment(np.asarray(draws).swapaxes(0, 1), stats)


def _programs(
    log_weight: Callable[..., Array], warmup: int, rungs: int
) -> tuple[Callable[..., Any], ...]:
    def evaluate(w: Array, *frame: Any) -> tuple[Array, Array]:
        def safe(w: Array) -> Array:
            value = log_weight(w, *frame)
            return jnp.where(jnp.isfinite(value), value, _NEVER)

        value, gradient = jax.vmap(jax.vmap(jax.value_and_grad(safe)))(w)
        return value, jnp.nan_to_num(gradient)

    def move(s: State, keys: Array, stiff: Array, *frame: Any) -> tuple[State, dict[str, Array]]:
        """Hamiltonian Monte Carlo on all rungs; at the bottom new draws."""
        new = jax.random.normal(keys[0], s.w[:, 0].shape)
        start = s.w.at[:, 0].set(new)
        mass = 1.0 + s.betas[None, :, None] * stiff[None, None, :]
        momentum = jnp.sqrt(mass) * jax.random.normal(keys[1], s.w.shape)
        jitter = jax.random.uniform(keys[2], s.log_step.shape, minval=0.8, maxval=1.2)
        # Short ones lead out of narrow places, where all others would be refused.
        short = jax.random.uniform(keys[5], jitter.shape) < _SHORT
        jitter = jnp.where(short, 0.3, jitter)
        step = (jnp.exp(s.log_step) * jitter).at[:, 0].set(0.0)[..., None]
        beta = s.betas[None, :, None]
        n_steps = jax.random.randint(keys[3], (), _STEPS[0], _STEPS[1] + 1)

        def leap(_: Array, carry: Any) -> Any:
            w, p, _, g = carry
            p = p - 0.5 * step * (w - beta * g)
            w = w + step * p / mass
            value, g = evaluate(w, *frame)
            return w, p - 0.5 * step * (w - beta * g), value, g

        carry = (start, momentum, s.log_weight, s.gradient)
        w, p, value, gradient = jax.lax.fori_loop(0, n_steps, leap, carry)

        def energy(w: Array, p: Array, value: Array) -> Array:
            return 0.5 * jnp.sum(w**2 + p**2 / mass, axis=-1) - s.betas[None, :] * value

        before = energy(s.w, momentum, s.log_weight)
        change = energy(w, p, value) - before
        change = jnp.where(jnp.isfinite(change), change, jnp.inf)
        accept = jnp.exp(-jnp.maximum(change, 0.0)).at[:, 0].set(1.0)
        taken = jax.random.uniform(keys[4], accept.shape) < accept
        # Fades with the warm-up and stops with it.
        rate = jnp.where(s.iterations < warmup, 0.6 / (1.0 + 0.05 * s.iterations), 0.0)

        def pick(a: Array, b: Array) -> Array:
            return jnp.where(taken.reshape(taken.shape + (1,) * (a.ndim - 2)), a, b)

        s = s._replace(
            w=pick(w, s.w),
            log_weight=pick(value, s.log_weight),
            gradient=pick(gradient, s.gradient),
            log_step=s.log_step + rate * (accept - _ACCEPT),
            born=s.born.at[:, 0].set(s.iterations),
        )
        stats = {
            "accept_prob": accept[:, -1],
            # Where a long step diverges a short one may not: then the place was explored.
            "diverging": short[:, -1] & (change[:, -1] > 1000.0),
            "short_steps": short[:, -1].astype(int),
            "energy": energy(s.w, momentum, s.log_weight)[:, -1],
            "n_steps": jnp.full(len(w), n_steps),
        }
        return s, stats

    def exchange(s: State, key: Array) -> tuple[State, Array]:
        """Neighbours change places; which pairs try, alternates. Returns rejections."""
        lower = jnp.arange(rungs - 1)
        gain = jnp.diff(s.betas)[None, :] * -jnp.diff(s.log_weight, axis=1)
        chance = jnp.exp(jnp.minimum(gain, 0.0))
        chance = jnp.where(jnp.isfinite(chance), chance, 0.0)
        turn = (lower % 2 == s.iterations % 2)[None, :]
        swap = turn & (jax.random.uniform(key, chance.shape) < chance)
        no = jnp.zeros((len(swap), 1), bool)
        up = jnp.concatenate([swap, no], 1)
        down = jnp.concatenate([no, swap], 1)
        source = jnp.arange(rungs)[None, :] + up - down

        def permuted(x: Array) -> Array:
            index = source.reshape(source.shape + (1,) * (x.ndim - 2))
            return jnp.take_along_axis(x, index, axis=1)

        s = s._replace(
            w=permuted(s.w),
            log_weight=permuted(s.log_weight),
            gradient=permuted(s.gradient),
            born=permuted(s.born),
        )
        return s, 1.0 - chance

    def step(s: State, stiff: Array, *frame: Any) -> tuple[State, Any]:
        key, *keys = jax.random.split(s.key, 8)
        s, stats = move(s._replace(key=key), jnp.stack(keys[:6]), stiff, *frame)
        found = s.log_weight
        s, rejected = exchange(s, keys[6])
        stats |= {"log_weight": found, "rejected": rejected, "born": s.born[:, -1]}
        return s._replace(iterations=s.iterations + 1), (s.w[:, -1], stats)

    def several(s: State, stiff: Array, *frame: Any) -> tuple[State, Any]:
        """The steps from one draw to the next."""
        s, (w, stats) = jax.lax.scan(lambda s, _: step(s, stiff, *frame), s, None, length=_THIN)
        found = {k: v[-1] for k, v in stats.items()}
        found |= {
            "diverging": jnp.any(stats["diverging"], axis=0),
            "rejected": jnp.mean(stats["rejected"], axis=0),
            "n_steps": jnp.sum(stats["n_steps"], axis=0),
            "short_steps": jnp.sum(stats["short_steps"], axis=0),
        }
        return s, (w[-1], found)

    def advance(s: State, stiff: Array, *frame: Any) -> tuple[State, Any]:
        return jax.lax.scan(lambda s, _: several(s, stiff, *frame), s, None, length=SEGMENT)

    return evaluate, advance


def placed(betas: np.ndarray, rejected: np.ndarray) -> np.ndarray:
    """Return the ladder on which all exchanges are refused equally often.

    Args:
        betas: the ladder so far (rungs,).
        rejected: how often each neighbours' exchange was refused (rungs - 1,).
    """
    barrier = np.concatenate([[0.0], np.cumsum(np.maximum(rejected, 1e-3))])
    result = np.interp(np.linspace(0.0, barrier[-1], len(betas)), barrier, betas)
    result[0], result[-1] = 0.0, 1.0
    return result


def stepping_stone(log_weight: np.ndarray, betas: np.ndarray) -> float:
    """Return the logarithm of the mean of exp(l) over the normal density (Xie et al. 2011).

    Each rung is bridged with the next from both sides (Bennett's acceptance ratio).

    Args:
        log_weight: l at the draws of all rungs (draws, rungs).
        betas: the ladder (rungs,).
    """
    total = 0.0
    for k, step in enumerate(np.diff(betas)):
        low, high = step * log_weight[:, k], step * log_weight[:, k + 1]
        ratio = 0.0
        # The ratio of two normalisations that both sides agree on.
        for _ in range(200):
            up = _log_mean_exp(low - np.logaddexp(0.0, low - ratio))
            down = _log_mean_exp(-np.logaddexp(0.0, high - ratio))
            new = up - down
            if abs(new - ratio) < 1e-10:
                break
            ratio = new
        total += ratio
    return float(total)


def _log_mean_exp(x: np.ndarray) -> float:
    top = np.max(x)
    return float(top + np.log(np.mean(np.exp(x - top))))
