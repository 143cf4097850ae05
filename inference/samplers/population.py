"""Populations of points that are led from the prior to the posterior together.

Each chain is a population. It begins as draws of the model's own parameters from their priors, and
is led along N(u; 0, 1) exp(beta l'(u)) from beta = 0 to 1 (sequential Monte Carlo,
cond-mat/0212648), where nuisances follow the signal (`following`): weights at the next beta, where
70% of them count, choose which points go on, then all points move. What a thin posterior is like is
seen in where the points are, so that moves suit it:

- of the own parameters, in coordinates in which the cloud is flat (`shears`): along the difference
  of two points of the other half of the population (ter Braak, Stat. Comput. 16, 239), or to the
  neighbourhood of one of them, chosen as its density, a sum of normal ones, is, or anywhere in the
  prior, so that a region that was lost is found again;
- of the nuisances, from the normal density that fits the cloud (arXiv:1202.0709), the own
  parameters following so that their flat coordinates stay.

Halves move in turn (arXiv:1202.3665), so that what one knows of the other is no function of where
it is itself. No gradient in the own parameters is needed, and many points are computed at once: for
densities that are stepped, or dear.

At beta = 1 coordinates and steps are kept, and points move until they have forgotten where they
were, twice. Then a population gives each of its points as a draw; for more draws it moves on, by as
many moves as that took. The evidence is the ratio of the posterior to the density from which new
places are drawn, by Bennett's method. (What weights from beta to beta add up to is not: points that
lag behind add up to too little, by the same in all chains.)
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from bknn import errors
from bknn.inference.samplers.following import follow
from bknn.inference.samplers.moves import KINDS, proposals
from bknn.inference.samplers.nuts import SEGMENT, Segment
from bknn.inference.samplers.shears import Shear, fitted, terms
from bknn.inference.samplers.tempering import _log_mean_exp
from bknn.inference.samplers.whitening import Frame, LogWeight

#: Points of a population, in whole segments and equal halves.
POINTS = 10 * SEGMENT

#: Part of the points that count at the next beta.
_EFFECTIVE = 0.7

#: Moves of all points in a block.
_BLOCK = 5

#: Blocks of moves at each beta, and at most at the last one.
_BLOCKS, _MOST = 3, 40

#: Blocks at the last beta in which coordinates and steps are still found.
_LEARNING = 3

#: Correlations with where points were, of own parameters and nuisances, that are forgotten.
_FORGOTTEN = 0.2, 0.25

#: Acceptance of steps along differences, and of nuisances, that is aimed at.
_ACCEPT = 0.3, 0.4

#: Points that are computed together: a part of half a population.
_TOGETHER = POINTS // 4

#: The least beta.
_FIRST = 1e-25

#: Stands in for -infinity.
_NEVER = -1e30


class State(NamedTuple):
    """Of populations; arrays (chains, ...).

    Attributes:
        key: random numbers (2,).
        iterations: segments so far.
        u, log_weight, w: where points are (chains, points, n), l' there, and w of the target.
        shear: coordinates in which own parameters move.
        log_step, share: logarithm of the length of steps, and which part of the nuisances is new.
        blocks: of moves from one pass over the population to the next.
        log_evidence: of each population.
        accepted: probabilities of the kinds of moves (chains, 3).
        evaluations: of l' so far.
    """

    key: Any
    iterations: Any
    u: Any
    log_weight: Any
    w: Any
    shear: Shear
    log_step: Any
    share: Any
    blocks: Any
    log_evidence: Any
    accepted: Any
    evaluations: Any


class _One(NamedTuple):
    """A population on its way."""

    u: np.ndarray
    log_weight: np.ndarray
    w: np.ndarray
    shear: Shear
    log_step: float
    share: float
    accepted: np.ndarray
    evaluations: int


class Population:
    """A sampler of exp(l(w)) N(w; 0, 1) by populations.

    Args:
        log_weight: l(w, frame), as for `Nuts`.
        size: of w.
        own: entries of w that are the model's own parameters, whose prior is the reference (k,).

    Raises:
        ParameterError: there are none.
    """

    def __init__(self, log_weight: LogWeight, size: int, own: np.ndarray) -> None:
        if not len(own):
            raise errors.ParameterError(
                "a population moves the model's own parameters, and all of them are kept; take "
                'method="nuts" for nuisances alone.'
            )
        self.size, self.own = size, np.asarray(own)
        self.terms = terms(len(own), POINTS)
        following = follow(log_weight)

        def evaluate(u: Array, frame: Frame) -> tuple[Array, Array]:
            value, w = jax.vmap(lambda u: following(u, frame))(u)
            return jnp.where(jnp.isfinite(value), value, _NEVER), w

        self._evaluate, self._propose, self._compare = log_weight.programs.together(
            "population",
            (log_weight.structure, tuple(own)),
            lambda: (evaluate, *proposals(self.own, self.terms)),
        )

    def start(self, key: Array, w: np.ndarray, *frame: Any) -> State:
        """Return as many populations as w (chains, n) has rows, before their first move."""
        chains, k, columns = len(w), len(self.own), np.shape(frame[0].basis)[1]
        shear = Shear(
            np.zeros((chains, k), int),
            np.zeros((chains, k, len(self.terms))),
            np.zeros((chains, k, columns)),
            np.zeros((chains, columns)),
            np.tile(np.eye(columns), (chains, 1, 1)),
            np.tile(np.eye(k), (chains, 1, 1)),
        )
        none, count = np.zeros(chains), np.zeros(chains, int)
        places = np.zeros((chains, POINTS, self.size))
        state = State(
            key, np.zeros((), int), places, places[..., 0], places, shear, none, none + 0.5,
            count, none, np.zeros((chains, len(KINDS))), count,
        )  # fmt: skip
        return jax.tree.map(jnp.asarray, state)

    def compile(self, state: State, *frame: Any) -> None:
        """Compile what moves populations."""
        (frame_,) = frame
        one = self._moves(_taken(state, 0), state.key, 1.0, frame_)
        self._evidence(one, state.key, frame_)

    def advance(self, state: State, *frame: Any) -> tuple[State, Segment]:
        """Go on by a segment: the first leads the populations to the posterior, and its draws are
        not to be kept; the next ones give its points."""
        (frame_,) = frame
        count = int(state.iterations)
        passes, place = divmod(count - 1, POINTS // SEGMENT)
        key, *keys = jax.random.split(state.key, 1 + len(state.u))
        if count == 0:
            found = [self._led(k, frame_) for k in keys]
            state = _together(state, [one for one, _, _ in found])._replace(
                blocks=jnp.asarray([blocks for _, blocks, _ in found]),
                log_evidence=jnp.asarray([evidence for _, _, evidence in found]),
            )
        elif place == 0 and passes > 0:
            moved = []
            for i, k in enumerate(keys):
                one = _taken(state, i)
                for b in range(int(state.blocks[i])):
                    one = self._moves(one, jax.random.fold_in(k, b), 1.0, frame_)
                moved.append(one)
            state = _together(state, moved)
        state = state._replace(key=key, iterations=state.iterations + 1)
        which = np.arange(SEGMENT) + SEGMENT * max(place, 0)
        shape = (len(state.u), SEGMENT)
        stats = {
            "walker": np.broadcast_to(which, shape),
            "log_evidence": np.broadcast_to(np.asarray(state.log_evidence)[:, None], shape),
            "accept_prob": np.broadcast_to(
                np.asarray(state.accepted @ jnp.asarray(KINDS))[:, None], shape
            ),
            "evaluations": np.broadcast_to(np.asarray(state.evaluations)[:, None], shape),
            "energy": np.zeros(shape),
            "diverging": np.zeros(shape, bool),
        }
        return state, Segment(np.asarray(state.w)[:, which], stats)

    def _led(self, key: Array, frame: Frame) -> tuple[_One, int, float]:
        """Lead a population to the posterior; also returned are the blocks of moves that make it
        forget where it was, and the evidence.

        Raises:
            ParameterError: the likelihood vanishes at all points of the prior.
        """
        first, resample, key = jax.random.split(key, 3)
        uniform = np.asarray(jax.random.uniform(resample, (1000,)))
        u = np.asarray(jax.random.normal(first, (POINTS, self.size)))
        log_weight, w = self._values(u, frame)
        if not (log_weight > _NEVER).any():
            raise errors.ParameterError(
                f"the likelihood vanishes at {POINTS} points drawn from the priors, so that "
                "nothing leads to where it does not; give narrower priors, or fix a parameter."
            )
        shear = self._fitted(u, frame)
        one = _One(u, log_weight, w, shear, 0.0, 0.5, np.zeros(len(KINDS)), POINTS)
        beta, count = 0.0, 0
        while beta < 1:
            following = _next(one.log_weight, beta)
            gain = (following - beta) * one.log_weight
            part = np.exp(gain - gain.max())
            beta = following
            # The same order: those of one ancestor stay side by side.
            places = (np.arange(POINTS) + uniform[count % len(uniform)]) / POINTS
            kept = np.minimum(np.searchsorted(np.cumsum(part / part.sum()), places), POINTS - 1)
            one = one._replace(u=one.u[kept], log_weight=one.log_weight[kept], w=one.w[kept])
            count += 1
            key, now = jax.random.split(key)
            for b in range(_BLOCKS if beta < 1 else _LEARNING):
                one = self._learned(one, jax.random.fold_in(now, b), beta, frame)
        before, blocks = one.u, 0
        first, second = jax.random.split(jax.random.fold_in(now, _LEARNING))
        while blocks < _MOST and not (blocks and self._forgotten(before, one.u)):
            one = self._moves(one, jax.random.fold_in(first, blocks), 1.0, frame)
            blocks += 1
        for b in range(blocks):
            one = self._moves(one, jax.random.fold_in(second, b), 1.0, frame)
        return one, blocks, self._evidence(one, key, frame)

    def _learned(self, one: _One, key: Array, beta: float, frame: Frame) -> _One:
        """Move by a block in coordinates that suit the points, and learn from it how far to go."""
        one = one._replace(shear=self._fitted(one.u, frame))
        one = self._moves(one, key, beta, frame)
        return one._replace(
            log_step=one.log_step + float(one.accepted[0]) - _ACCEPT[0],
            share=float(np.clip(one.share * np.exp(one.accepted[1] - _ACCEPT[1]), 0.02, 1.0)),
        )

    def _fitted(self, u: np.ndarray, frame: Frame) -> Shear:
        basis = np.asarray(frame.basis)
        return fitted(u[:, self.own], u @ basis, np.asarray(frame.shrink) < 1, self.terms)

    def _moves(self, one: _One, key: Array, beta: float, frame: Frame) -> _One:
        """Move by a block: halves in turn, every second point in each, so that those of one
        ancestor are shared among them."""
        shear = Shear(*(jnp.asarray(x) for x in one.shear))
        scales = jnp.asarray([one.log_step, one.share])
        random = np.random.default_rng(np.asarray(key))
        u, log_weight, w = one.u.copy(), one.log_weight.copy(), one.w.copy()
        chances, kinds = [], []
        for i, k in enumerate(jax.random.split(key, 2 * _BLOCK)):
            these, others = (slice(start, None, 2) for start in (i % 2, 1 - i % 2))
            to, ratio, kind = self._propose(k, u[these], u[others], shear, scales, frame)
            value, place = self._values(to, frame)
            gain = beta * (value - log_weight[these]) + np.asarray(ratio)
            chance = np.exp(np.minimum(gain, 0.0))
            taken = random.random(len(chance)) < chance
            for old, new in ((u, to), (log_weight, value), (w, place)):
                old[these][taken] = np.asarray(new)[taken]
            chances.append(chance)
            kinds.append(np.asarray(kind))
        chance, kind = np.concatenate(chances), np.concatenate(kinds)
        accepted = np.array([chance[kind == i].mean() for i in range(len(KINDS))])
        evaluations = one.evaluations + _BLOCK * POINTS
        return one._replace(
            u=u, log_weight=log_weight, w=w, accepted=accepted, evaluations=evaluations
        )

    def _evidence(self, one: _One, key: Array, frame: Frame) -> float:
        """Return the evidence of a population at the posterior."""
        shear = Shear(*(jnp.asarray(x) for x in one.shear))
        drawn, proposed = [], []
        for half, k in enumerate(jax.random.split(key)):
            these, others = one.u[half::2], one.u[1 - half :: 2]
            to, here, there = self._compare(k, these, others, shear, frame)
            drawn.append(np.asarray(here) + one.log_weight[half::2])
            proposed.append(np.asarray(there) + self._values(to, frame)[0])
        return bridged(np.concatenate(drawn), np.concatenate(proposed))

    def _values(self, u: Array | np.ndarray, frame: Frame) -> tuple[np.ndarray, np.ndarray]:
        """Return l' and w at many points, so many at a time that they stay in the cache."""
        found = [self._evaluate(u[i : i + _TOGETHER], frame) for i in range(0, len(u), _TOGETHER)]
        value, w = (
            np.concatenate([np.asarray(x) for x in part]) for part in zip(*found, strict=True)
        )
        return value, w

    def _forgotten(self, before: np.ndarray, u: np.ndarray) -> bool:
        a, b = before - before.mean(axis=0), u - u.mean(axis=0)
        scale = np.sqrt(np.sum(a**2, axis=0) * np.sum(b**2, axis=0))
        correlation = np.sum(a * b, axis=0) / np.maximum(scale, 1e-300)
        own = np.isin(np.arange(self.size), self.own)
        return bool(
            correlation[own].max() < _FORGOTTEN[0]
            and correlation[~own].max(initial=0.0) < _FORGOTTEN[1]
        )


def _next(log_weight: np.ndarray, beta: float) -> float:
    """Return the next beta: so many of the points count there, or 1."""

    def counting(following: float) -> float:
        gain = (following - beta) * log_weight
        part = np.exp(gain - gain.max())
        return float(part.sum() ** 2 / (part**2).sum() / len(part))

    if counting(1.0) > _EFFECTIVE:
        return 1.0
    low, high = np.log(max(beta, _FIRST)), 0.0
    for _ in range(60):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if counting(np.exp(middle)) > _EFFECTIVE else (low, middle)
    return float(np.exp(high))


def bridged(drawn: np.ndarray, proposed: np.ndarray) -> float:
    """Return the logarithm of the ratio of a density's integral to that of another one (Bennett).

    Args:
        drawn: logarithm of the ratio of the densities at draws of the first (n,).
        proposed: the same at draws of the second (n,).

    >>> x, y = np.random.default_rng(1).normal(size=(2, 4000))
    >>> ratio = lambda x: 2.0 - 0.5 * x**2 + 0.5 * (x - 0.5) ** 2  # e^2 times as large
    >>> bool(abs(bridged(ratio(x), ratio(y + 0.5)) - 2.0) < 0.05)
    True
    """
    found = float(np.median(drawn))
    for _ in range(200):
        up = _log_mean_exp(proposed - np.logaddexp(0.0, proposed - found))
        new = up - _log_mean_exp(-np.logaddexp(0.0, drawn - found))
        if abs(new - found) < 1e-10:
            break
        found = new
    return found


def _taken(state: State, i: int) -> _One:
    return _One(
        np.asarray(state.u[i]),
        np.asarray(state.log_weight[i]),
        np.asarray(state.w[i]),
        Shear(*(x[i] for x in state.shear)),
        float(state.log_step[i]),
        float(state.share[i]),
        np.asarray(state.accepted[i]),
        int(state.evaluations[i]),
    )


def _together(state: State, ones: list[_One]) -> State:
    def stacked(*arrays: Any) -> Array:
        return jnp.stack([jnp.asarray(x) for x in arrays])

    all_ = jax.tree.map(stacked, *ones)
    return state._replace(**all_._asdict())
