"""The evidence by nested sampling: a population that climbs from the prior, and never goes down.

The prior is the standard normal density that all samplers here have beside them, so nothing is lost
to the nuisances: in whitened coordinates the likelihood is nearly constant in most directions, and
few e-folds of the prior have to be climbed. blackjax keeps the books of the population (Yallup,
Kroupa and Handley, arXiv:2601.23252); a member that died is replaced by a survivor that has moved
above its likelihood on ellipses through draws of the prior (Murray, Adams and MacKay,
arXiv:1001.0175): half of them in all coordinates, whose steps do not shrink with the dimension, and
half along one direction that is shaped by the population, whose steps fit a narrow peak.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from scipy import special

from bknn import errors
from bknn.inference.estimate import Estimate
from bknn.inference.samplers.whitening import LogWeight

#: Members of the population that are replaced at a time: this part of them.
_AT_A_TIME = 8

#: Replacements between two estimates of the remaining evidence, in units of those at a time.
_BETWEEN = 4

#: It ends when the survivors hold this part of the evidence at most (they are counted in) ...
_LEFT = 1e-2

#: ... or after this many e-folds of the prior.
_DEEPEST = 200

#: Simulated shrinkages of the prior, for the error.
_SHRINKAGES = 400


def nested(
    log_weight: LogWeight,
    size: int,
    *,
    frame: tuple[Any, ...] = (),
    seed: int = 0,
    live: int = 800,
    steps: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> Estimate:
    """Return log of the mean of exp(l(w)) over N(w; 0, 1), by nested sampling.

    The error is that of the unknown shrinkages of the prior, about sqrt(information / live). It
    takes for granted that replacements are independent draws; more steps make them so.

    Args:
        log_weight: l(w, *frame) of w (n,); where it is not a number the likelihood vanishes.
        size: n.
        frame: what l is given besides.
        seed: of the random numbers.
        live: members of the population.
        steps: of a survivor on its way to a replacement; 40 and one more for every five dimensions
            by default.
        progress: is called with the number of members that were replaced since the last call.

    Raises:
        ParameterError: blackjax is not installed, or a number makes no sense, or the likelihood
            vanishes all over the population.
    """
    if live < 2 * _AT_A_TIME:
        raise errors.ParameterError(
            f"{live} live points were asked for; nested sampling needs at least {2 * _AT_A_TIME}."
        )
    steps = 40 + size // 5 if steps is None else steps
    at_a_time = live // _AT_A_TIME
    start, advance = log_weight.programs.together(
        "nested sampling",
        (log_weight.structure, size, steps, at_a_time),
        lambda: _programs(log_weight.function, size, steps, at_a_time),
        once=("start",),
    )
    key, first = jax.random.split(jax.random.PRNGKey(seed))
    state = start(jax.random.normal(first, (live, size)), *frame)
    if not np.any(np.isfinite(state.particles.loglikelihood)):
        raise errors.ParameterError(
            f"the likelihood vanishes at all of {live} points of the prior; nested sampling has "
            "nowhere to begin. Take more live points or a prior that covers the likelihood."
        )
    births, deaths = [], []
    for _ in range(_DEEPEST * _AT_A_TIME // _BETWEEN):
        key, next_key = jax.random.split(key)
        state, born, died = advance(next_key, state, *frame)
        births.append(np.asarray(born).reshape(-1))
        deaths.append(np.asarray(died).reshape(-1))
        if progress is not None:
            progress(len(deaths[-1]))
        found, left = float(state.integrator.logZ), float(state.integrator.logZ_live)
        if left < found + np.log(_LEFT):
            break
    else:
        raise errors.ParameterError(
            f"the likelihood still rises after {_DEEPEST} e-folds of the prior; nested sampling "
            "cannot end. The prior is too wide for it."
        )
    births.append(np.asarray(state.particles.loglikelihood_birth))
    deaths.append(np.asarray(state.particles.loglikelihood))
    values = log_evidences(np.concatenate(births), np.concatenate(deaths), seed=seed)
    return Estimate(float(np.mean(values)), float(np.std(values, ddof=1)), "nested")


def _programs(
    log_weight: Callable[..., Array], *options: int
) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Return what `_population` returns as functions of a frame, too."""

    def start(w: Array, *frame: Any) -> Any:
        return _population(lambda w: log_weight(w, *frame), *options)[0](w)

    def advance(key: Array, state: Any, *frame: Any) -> Any:
        return _population(lambda w: log_weight(w, *frame), *options)[1](key, state)

    return start, advance


def _population(
    log_weight: Callable[[Array], Array], size: int, steps: int, at_a_time: int
) -> tuple[Callable[[Array], Any], Callable[[Array, Any], tuple[Any, Array, Array]]]:
    """Return the start of a population, and its way through some replacements."""
    try:
        from blackjax.ns import adaptive, base, from_mcmc
    except ImportError:
        raise errors.ParameterError(
            "nested sampling needs blackjax 1.6 or newer, which is not installed; install it with: "
            "pip install 'bknn[nested]', or ask for other methods."
        ) from None

    def member(w: Array, loglikelihood_birth: Any = jnp.nan) -> Any:
        value = log_weight(w)
        value = jnp.where(jnp.isnan(value), -jnp.inf, value)
        return base.StateWithLogLikelihood(
            w, -0.5 * jnp.sum(w**2), value, jnp.full_like(value, loglikelihood_birth)
        )

    def turn(key: Array, state: Any, loglikelihood_0: Array, root: Array) -> tuple[Any, tuple[()]]:
        """Move a member on an ellipse through a draw of the prior, above the floor."""
        one, two = jax.random.split(key)
        normal = jax.random.normal(one, (2, size))
        uniform = jax.random.uniform(two, (2 + _TRIES,))
        w = state.position
        everywhere = uniform[0] < 0.5
        direction = root @ normal[0]
        direction = direction / jnp.linalg.norm(direction)
        # Of a standard normal density every projection is one, too.
        moving = jnp.where(everywhere, w, (w @ direction) * direction)
        other = jnp.where(everywhere, normal[1], normal[1, 0] * direction)
        rest = w - moving

        def going(carry: Any) -> Array:
            *_, tries, found, _ = carry
            return ~found & (tries < _TRIES)

        def look(carry: Any) -> Any:
            low, high, angle, tries, _, old = carry
            there = rest + moving * jnp.cos(angle) + other * jnp.sin(angle)
            new = member(there, loglikelihood_0)
            found = new.loglikelihood > loglikelihood_0
            low, high = jnp.where(angle < 0, angle, low), jnp.where(angle < 0, high, angle)
            angle = low + uniform[2 + tries] * (high - low)
            new = jax.tree.map(lambda a, b: jnp.where(found, a, b), new, old)
            return low, high, angle, tries + 1, found, new

        angle = 2 * jnp.pi * uniform[1]
        none = jnp.zeros((), int)
        begin = (angle - 2 * jnp.pi, angle, angle, none, none > 0, state)
        return jax.lax.while_loop(going, look, begin)[-1], ()

    def shape(key: Any, state: Any, info: Any, before: Any) -> dict[str, Array]:
        """Root of the covariance of the population, without correlations where it is small."""
        w = state.particles.position
        n, size = w.shape
        moved = w - jnp.mean(w, axis=0)[None, :]
        covariance = moved.T @ moved / n
        certain = n / (n + 10 * size)
        alone = jnp.diag(jnp.diag(covariance))
        return {"root": jnp.linalg.cholesky(certain * covariance + (1 - certain) * alone)}

    kernel = from_mcmc.build_kernel(turn, steps, shape, at_a_time)

    def start(w: Array) -> Any:
        return adaptive.init(w, jax.vmap(member), update_inner_kernel_params_fn=shape)

    def advance(key: Array, state: Any) -> tuple[Any, Array, Array]:
        def one(state: Any, key: Array) -> tuple[Any, tuple[Array, Array]]:
            state, info = kernel(key, state)
            return state, (info.particles.loglikelihood_birth, info.particles.loglikelihood)

        state, (born, died) = jax.lax.scan(one, state, jax.random.split(key, _BETWEEN))
        return state, born, died

    return start, advance


#: Shrinkings of an ellipse at most; then its member stays where it is.
_TRIES = 60


def log_evidences(births: np.ndarray, deaths: np.ndarray, *, seed: int = 0) -> np.ndarray:
    """Return the log evidence for many simulated shrinkages of the prior (simulations,).

    Args:
        births: likelihood above which each member was born, not a number for those of the prior.
        deaths: its own likelihood.
        seed: of the random numbers.
    """
    deaths = np.sort(deaths)
    of_prior = np.count_nonzero(np.isnan(births))
    births = np.sort(np.where(np.isnan(births), -np.inf, births))
    order = np.arange(len(deaths))
    alive = np.searchsorted(births, deaths, side="left") - order
    # Where the likelihood vanishes, those of the prior alone are alive.
    alive = np.where(np.isneginf(deaths), of_prior - order, alive)
    random = np.random.default_rng(seed)
    shrunk = (
        -random.standard_exponential((len(deaths), _SHRINKAGES)) / np.maximum(alive, 1)[:, None]
    )
    volume = np.concatenate([np.zeros((1, _SHRINKAGES)), np.cumsum(shrunk, axis=0)])
    # Between two deaths the mean of their likelihoods; within the last one, its own.
    shells = volume[:-1] + np.log(-np.expm1(shrunk))
    below = np.append(deaths[0], deaths[:-1])
    mean = np.logaddexp(deaths, below) - np.log(2.0)
    terms = np.concatenate([shells + mean[:, None], volume[-1:] + deaths[-1]])
    return np.asarray(special.logsumexp(terms, axis=0))
