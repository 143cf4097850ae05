"""A group of chains: where they begin, and how they go on, segment by segment."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any
from weakref import WeakKeyDictionary

import jax
import numpy as np

from bknn import errors
from bknn.analysis.analysis import Analysis, Data
from bknn.answers.outline import identity
from bknn.inference.fits import many
from bknn.inference.fits.fit import starting_points
from bknn.inference.fits.secondary_minima import own_entries
from bknn.inference.samplers.coordinates import Coordinates
from bknn.inference.samplers.nuts import SEGMENT, Nuts, Segment, packed, unpacked
from bknn.inference.samplers.peaks import Peaks, peaks
from bknn.inference.samplers.population import Population
from bknn.inference.samplers.tempering import Ladder
from bknn.inference.samplers.whitening import Target, linearisation
from bknn.version import VERSION

METHODS = ("auto", "nuts", "tempered", "population")

#: Steps of the warm-up.
_WARMUP = 300


#: Rungs of the ladder, and of one that reaches down to where the posterior is e^-1e4 of its height.
_RUNGS, _MANY_RUNGS, _DEEP = 8, 16, 1e4


#: Where the climb to a mode begins: in widths of the prior, at most, from its middle.
_NEAR = 3.0

#: Of more parameters of the model 500 points do not see the posterior.
_FEW = 9

#: How often a place is drawn from the prior where the likelihood does not vanish.
_TRIES = 20


@dataclass(frozen=True)
class Plan:
    """What decides the draws of a chain, besides the analysis; of its priors, in words."""

    fixed: Mapping[str, float]
    chains: int
    warmup: int
    seed: int
    method: str
    priors: Mapping[str, str]

    @classmethod
    def of(
        cls,
        analysis: Analysis,
        fixed: Mapping[str, float] | None,
        chains: int,
        warmup: int | None,
        seed: int,
        method: str,
    ) -> Plan:
        """Return the plan of some chains."""
        held = {name: float(value) for name, value in (fixed or {}).items()}
        priors = {p.name: p.prior_with_range for p in analysis.parameters}
        # What leads a population to the posterior is one segment, however long it takes.
        steps = SEGMENT if method == "population" else warmup_steps(warmup)
        return cls(held, chains, steps, seed, method, priors)


def natural(sampler: Sampler, segment: Segment) -> Segment:
    """Return draws in whitened coordinates as parameter vectors."""
    return segment._replace(draws=sampler.target.vectors(segment.draws))


def _unstacked(arrays: Mapping[str, np.ndarray]) -> Segment:
    return Segment(arrays["draws"], {k: v for k, v in arrays.items() if k != "draws"})


def devices() -> list[Any]:
    """Devices that groups of chains are shared among; cores of a processor share by themselves."""
    return [None] if jax.default_backend() == "cpu" else list(jax.devices())


def together(chains: int) -> int:
    """How many chains are one computation: two cost a core little more than one, and all of them
    little more on an accelerator."""
    return 2 if devices() == [None] else -(-chains // len(devices()))


def side_by_side(function: Callable[[int], Segment], groups: range) -> list[Segment]:
    """Return the draws of all groups, on all cores or devices."""
    with ThreadPoolExecutor(max(many.workers(), len(devices()))) as pool:
        return list(pool.map(function, groups))


def warmup_steps(asked: int | None) -> int:
    """Steps of the warm-up in whole segments, so that it ends with one."""
    return -(-(_WARMUP if asked is None else asked) // SEGMENT) * SEGMENT


class Sampler:
    """Target and compiled programs of a plan.

    Attributes:
        target: the whitened posterior.
        own: coordinates of the model's own parameters, nuisances left out.
    """

    def __init__(self, analysis: Analysis, plan: Plan, data: Data | None) -> None:
        self.plan = plan
        vector, moving = start(analysis, plan.fixed)
        if not moving.any():
            raise errors.ParameterError(
                "every parameter is kept, so there is nothing to sample; let one float."
            )
        frame = Coordinates(analysis, moving, vector, data, straight=True)
        self.own = np.flatnonzero(np.isin(frame.index, own_entries(analysis, moving)))
        # Populations see for themselves where the modes are.
        found = None if plan.method == "population" else modes(analysis, plan.fixed, data)
        near = frame.standard(vector, _NEAR) if found is None else found.z[0]
        loose = None if plan.method == "nuts" else self.own
        self.target = Target(frame, near, data=data, loose=loose)
        self.key = _digest(asdict(plan), identity(analysis), VERSION, data)

        self.sampler: Nuts | Ladder | Population
        if found is None:
            self.sampler = Population(self.target.weight, self.target.size, self.own)
        elif plan.method == "nuts":
            self.sampler = Nuts(self.target.weight, warmup=plan.warmup)
        else:
            self.sampler = Ladder(
                self.target.weight,
                self.target.size,
                warmup=plan.warmup,
                rungs=_MANY_RUNGS if found.depth > _DEEP else _RUNGS,
                stiffness=self.target.stiffness,
            )
        random = np.random.default_rng(plan.seed)
        self.begin = random.standard_normal((plan.chains, self.target.size))
        if found is not None and plan.method == "nuts":
            self.begin += self.target.whitened(self._centres(found.z, random))
        # Here, so that its time counts as compilation.
        state = self.state(0)
        if isinstance(self.sampler, Population):
            self.sampler.compile(state, self.target.frame)
        else:
            self.sampler.advance(state, self.target.frame)
        self.target.vectors(self.begin[:1])

    def _centres(self, modes: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """Return z (chains, n) about which chains begin: every second one at a mode, each in turn,
        the others where the prior has the model's own parameters, wherever that is.

        A ladder needs no such care: its rungs all begin at the prior.
        """
        chains = self.plan.chains
        result = modes[(np.arange(chains) + 1) // 2 % len(modes)]
        linearise = linearisation(self.target.coordinates, self.target.data.counts)
        for chain in range(1, chains, 2):
            for _ in range(_TRIES):
                z = np.array(self.target.mode)
                z[self.own] = random.standard_normal(len(self.own))
                # Not where the likelihood vanishes: nothing leads away from there.
                if np.isfinite(linearise(z)[0]):
                    result[chain] = z
                    break
        return result

    def state(self, group: int) -> Any:
        """The state in which a group of chains begins."""
        size = together(self.plan.chains)
        rows = np.arange(group * size, (group + 1) * size) % self.plan.chains
        key = jax.random.fold_in(jax.random.PRNGKey(self.plan.seed), group)
        state = self.sampler.start(key, self.begin[rows], self.target.frame)
        # In the form in which later states are: another would be compiled anew.
        return unpacked(packed(state), state)


def _digest(*what: Any) -> str:
    """Return a short name of numbers, texts and arrays."""

    def plain(x: Any) -> Any:
        return [plain(y) for y in x] if isinstance(x, tuple | list) else np.asarray(x).tolist()

    text = json.dumps([x if isinstance(x, str | dict) else plain(x) for x in what if x is not None])
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def start(analysis: Analysis, fixed: Mapping[str, float]) -> tuple[np.ndarray, np.ndarray]:
    """Return where the search for modes begins (size,), and which parameters move."""
    starts, moving, _ = starting_points(analysis, fixed, {})
    return starts[0, 0], moving


def which_method(
    analysis: Analysis, method: str, fixed: Mapping[str, float], data: Data | None = None
) -> str:
    """Return the method that "auto" stands for."""
    if method not in METHODS:
        raise errors.unknown("method", method, METHODS)
    if method != "auto":
        return method
    starts, moving, _ = starting_points(analysis, fixed, {})
    parameters = len(own_entries(analysis, moving))
    # Limits and abundances leave thin shells, steps and walls.
    if 1 < parameters <= _FEW and analysis.results.quantities:
        return "population"
    several = parameters > 1 or starts.shape[1] > 1
    if several or not moving.any():
        return "tempered"
    return "tempered" if len(modes(analysis, fixed, data).z) > 1 else "nuts"


def modes(analysis: Analysis, fixed: Mapping[str, float], data: Data | None = None) -> Peaks:
    """Return the modes of the posterior; those of the last one are not looked for again."""
    vector, moving = start(analysis, fixed)
    key = _digest(moving, vector, data)
    last, found = _LAST.get(analysis, ("", None))
    if found is None or last != key:
        coordinates = Coordinates(analysis, moving, vector, data, straight=True)
        found = peaks(analysis, fixed, coordinates, data)
        _LAST[analysis] = key, found
    return found


#: What the method, the chains and the answer of one posterior ask for in turn.
_LAST: WeakKeyDictionary[Analysis, tuple[str, Peaks]] = WeakKeyDictionary()
