"""What to measure next: how far data to come would tell scenarios apart, and which would most.

Each scenario is fitted to the data of today; where it fits best is its truth. Measurements of
Belle II are then projected (`derived.luminosity`) and results added that Belle II expects; every
scenario is tested on what every other one expects (`power`), and what the outcome of each
measurement to come would tell is computed beforehand (`information`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from jax.typing import ArrayLike

from bknn import errors
from bknn.analysis.analysis import Analysis
from bknn.answers.answer import Answer, Shown
from bknn.answers.packing import Coordinate, piece
from bknn.data import Measurement
from bknn.derived.finer_bins import rebinned
from bknn.derived.luminosity import BELLE2, RULES, base_luminosity, belle2_result, project
from bknn.inference.estimate import Estimate
from bknn.inference.fits.fit import fit
from bknn.inference.fits.result import FitResult
from bknn.inference.pieces import Progress
from bknn.models import load
from bknn.models.scenarios import Scenario, scenario
from bknn.studies.hypotheses import Hypothesis
from bknn.studies.information import Outcome, about_models, about_parameters, outcome
from bknn.studies.power import Power, luminosity_for, power

#: The standard model as a hypothesis.
SM = "sm"

#: Default scenarios: a line, a heavier spectrum, and the standard model's, as often as one likes.
NAMES = ("sm-rescaled", "scalar", "vector-V", "scalar-pair-S", "fermion-pair-V")

#: ab^-1.
LUMINOSITIES = (1.0, 5.0, 10.0, 50.0)

#: Bins of q2_rec of the inclusive tag whose worth is computed: GeV^2.
BINS: Mapping[str, tuple[float, ...]] = {
    "3 bins of q2": (-1.0, 4.0, 8.0, 25.0),
    "6 bins of q2": (-1.0, 2.0, 4.0, 6.0, 8.0, 12.0, 25.0),
    "13 bins of q2": tuple(np.linspace(-1.0, 25.0, 14).tolist()),
    "26 bins of q2": tuple(np.linspace(-1.0, 25.0, 27).tolist()),
}

#: Results that are worth more together.
TOGETHER = (("BR(B0 -> K*0)", "F_L(B0 -> K*0)"),)

#: Decays that couplings of odd parity do not act on.
_EVEN = ("B+ -> K+", "B0 -> K0")


@piece
@dataclass(frozen=True, eq=False)
class Worth:
    """What a measurement to come would tell.

    Attributes:
        name: of the measurement.
        models: mutual information with the scenario, nats.
        parameters: {scenario: mutual information with its couplings and mass, nats}.
    """

    name: str
    models: Estimate
    parameters: Mapping[str, float]

    @property
    def mean(self) -> float:
        """Information about parameters, averaged over the scenarios."""
        return float(np.mean(list(self.parameters.values())))


@dataclass(frozen=True, eq=False, repr=False)
class Outlook(Answer):
    """Scenarios on data to come.

    Attributes:
        names: of the hypotheses; the first is the standard model.
        measurements: of today.
        expected: results to come that are in all projections, of `derived.luminosity.BELLE2`.
        systematics: rule of the projections.
        luminosities: ab^-1, increasing (n,).
        truths: {name: {parameter: value}}.
        today: {name: fit to the data of today}; without the standard model.
        powers: one a luminosity.
        hypotheses: of each luminosity.
        worth_at: luminosity of `worth`, ab^-1; NaN if it was not computed.
        worth: of measurements to come.
        precision: {result: (standard deviations, information about the scenario in nats)}.
    """

    names: tuple[str, ...]
    measurements: tuple[Measurement, ...]
    expected: tuple[str, ...]
    systematics: str
    luminosities: np.ndarray
    truths: Mapping[str, Mapping[str, float]]
    today: Mapping[str, FitResult]
    powers: tuple[Power, ...]
    hypotheses: tuple[tuple[Hypothesis, ...], ...]
    worth_at: float
    worth: tuple[Worth, ...]
    precision: Mapping[str, tuple[np.ndarray, np.ndarray]]

    KEPT: ClassVar[tuple[str, ...]] = ("z", "delta")

    def dimensions(self) -> dict[str, tuple[str, ...]]:
        return dict.fromkeys(("z", "delta"), ("luminosity", "true", "tested"))

    def coordinates(self) -> dict[str, Coordinate]:
        names = Coordinate(self.names)
        along = Coordinate(self.luminosities, "ab^-1")
        return {"luminosity": along, "true": names, "tested": names}

    @property
    def status(self) -> str:
        """Which fits did not converge, in a sentence."""
        pairs = zip(self.luminosities, self.powers, strict=True)
        bad = [f"at {x:g}/ab {p.status}" for x, p in pairs if not p.converged.all()]
        return " ".join(bad) or "all fits converged."

    @property
    def z(self) -> np.ndarray:
        """Expected significance (luminosity, true, tested)."""
        return np.stack([p.z for p in self.powers])

    @property
    def delta(self) -> np.ndarray:
        """Expected rise of -2 log L (luminosity, true, tested)."""
        return np.stack([p.delta for p in self.powers])

    def luminosity_for(self, z: float, true: str, tested: str) -> float:
        """Return the luminosity, ab^-1, at which one scenario is expected to be excluded if another
        one is true; infinite beyond the largest one computed, NaN with fewer than two."""
        for name in (true, tested):
            if name not in self.names:
                raise errors.unknown("scenario", name, self.names)
        if len(self.luminosities) < 2:
            return float("nan")
        i, j = self.names.index(true), self.names.index(tested)
        return luminosity_for(z, self.luminosities, self.delta[:, i, j])

    @property
    def converged(self) -> bool:
        """Whether all fits did."""
        return all(bool(p.converged.all()) for p in self.powers)

    def shown(self) -> Shown:
        rows = [
            (f"{x:g}/ab", f"{p.z[0].max():.2f}")
            for x, p in zip(self.luminosities, self.powers, strict=True)
        ]
        data = " + ".join(m.name for m in self.measurements)
        title = f"Outlook for {', '.join(self.names)}: {data}"
        head = ("luminosity", f"largest exclusion if {self.names[0]} is true [sigma]")
        return Shown(title, head, rows, [self.status])


def outlook(
    measurements: Measurement | Sequence[Measurement],
    names: Sequence[str] = NAMES,
    *,
    luminosities: Sequence[float] = LUMINOSITIES,
    systematics: str = "statistical",
    expected: Sequence[str] = (),
    fitted: bool = True,
    worth_at: float | None = None,
    seed: int = 0,
    progress: Progress | None = None,
    **options: Any,
) -> Outlook:
    """Return how well data to come tell scenarios apart.

    Args:
        measurements: of today. Those of Belle II, and those whose metadata have a luminosity, are
            projected; all others stay as they are, with what a scenario expects in place of what
            was observed.
        names: of `bknn.models.scenarios.SCENARIOS`; the standard model is added.
        luminosities: ab^-1.
        systematics: one of `derived.luminosity.RULES`.
        expected: names of `derived.luminosity.BELLE2`, results that are there at each luminosity.
            With them couplings of odd parity float in the tests (they are 0 in the truths).
        fitted: whether backgrounds are those of the fit of a signal strength to the data of today,
            or those of the simulation.
        worth_at: luminosity at which the worth of measurements is computed; None leaves it out.
        seed: of the draws of the information.
        progress: is called with the number of models that have been done since the last call, of
            (luminosities + 1) x models, + models with `worth_at`.
        options: form factors and inputs, as for the models.

    Raises:
        UnknownNameError: scenarios, rules or results that do not exist.
        DataError: nothing can be projected.
        FitError: a scenario does not fit today.
    """
    data = (measurements,) if isinstance(measurements, Measurement) else tuple(measurements)
    _check(data, names, systematics, expected)
    chosen = [scenario(name) for name in dict.fromkeys(names)]
    at = np.unique(np.asarray(luminosities, float))
    study = _Study(data, chosen, systematics, tuple(expected), fitted, options, progress)
    today = study.fits()
    truths: dict[str, dict[str, float]] = {SM: {}}
    for s in chosen:
        params = today[s.name].params
        own = [p for p in today[s.name].target.parameters if not p.nuisance]
        truths[s.name] = {p.name: float(params[p.name]) for p in own if p.constraint is None}
    hypotheses = tuple(study.hypotheses(x, truths) for x in at)
    powers = tuple(power(h) for h in hypotheses)
    worth: tuple[Worth, ...] = ()
    precision: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    if worth_at is not None:
        worth, precision = study.worth(worth_at, truths, today, seed)
    return Outlook(
        (SM, *(s.name for s in chosen)),
        data,
        tuple(expected),
        systematics,
        at,
        truths,
        today,
        powers,
        hypotheses,
        float("nan") if worth_at is None else float(worth_at),
        worth,
        precision,
    )


def asked(
    data: Sequence[Measurement],
    names: Sequence[str],
    systematics: str,
    expected: Sequence[str],
    options: Mapping[str, Any],
) -> dict[str, Analysis]:
    """Return the analyses of today's data by model; errors as for `outlook`."""
    _check(data, names, systematics, expected)
    chosen = [scenario(name) for name in dict.fromkeys(names)]
    study = _Study(tuple(data), chosen, systematics, tuple(expected), False, options, None)
    return study.analyses(data)


def _check(
    data: Sequence[Measurement], names: Sequence[str], systematics: str, expected: Sequence[str]
) -> None:
    if not names:
        raise errors.ParameterError("there is no scenario to be tested; name at least one.")
    if systematics not in RULES:
        raise errors.unknown("rule for systematic uncertainties", systematics, RULES)
    for name in expected:
        if name not in BELLE2:
            raise errors.unknown("expected result", name, BELLE2)
    if not any(_grows(m) for m in data):
        raise errors.DataError(
            f"none of {', '.join(m.name for m in data)} can be projected; add data of Belle II, or "
            "metadata with a luminosity in ab^-1."
        )


class _Study:
    """Analyses of scenarios, one a model."""

    def __init__(
        self,
        data: tuple[Measurement, ...],
        chosen: Sequence[Scenario],
        systematics: str,
        expected: tuple[str, ...],
        fitted: bool,
        options: Mapping[str, Any],
        progress: Progress | None,
    ) -> None:
        self.data, self.chosen, self.options = data, chosen, options
        self.systematics, self.expected = systematics, expected
        self.progress = progress or (lambda n: None)
        self.models = tuple(dict.fromkeys(s.model for s in chosen))
        self.backgrounds = {m.name: _fitted(m) if fitted else {} for m in data if _grows(m)}

    def analyses(self, measurements: Sequence[Measurement]) -> dict[str, Analysis]:
        """Return the analyses of some data by model, with all couplings that somebody floats."""
        odd = _sees_odd(measurements)
        found = {}
        for model in self.models:
            loaded = load(model, **self.options)
            fixed = {p.name for p in loaded.parameters if p.fixed}
            own = [s for s in self.chosen if s.model == model]
            wanted = [c for s in own for c in (s.even, *([s.odd] if odd else [])) if c in fixed]
            found[model] = Analysis(loaded, measurements, free=list(dict.fromkeys(wanted)))
        return found

    def fits(self) -> dict[str, FitResult]:
        """Fit today's data, without couplings of odd parity."""
        analyses = self.analyses(self.data)
        found = {}
        for s in self.chosen:
            found[s.name] = fit(analyses[s.model], fixed=_held(analyses[s.model], {s.even})).check()
            self.progress(1 if s is self._last(s.model) else 0)
        return found

    def _last(self, model: str) -> Scenario:
        return [s for s in self.chosen if s.model == model][-1]

    def projected(self, luminosity: float) -> list[Measurement]:
        """Return the data of a luminosity."""
        found = [
            project(
                m,
                luminosity,
                systematics=self.systematics,
                backgrounds=self.backgrounds[m.name],
            )
            if _grows(m)
            else m
            for m in self.data
        ]
        return [*found, *(belle2_result(name, luminosity) for name in self.expected)]

    def hypotheses(
        self, luminosity: float, truths: Mapping[str, Mapping[str, float]]
    ) -> tuple[Hypothesis, ...]:
        """Return the standard model and the scenarios, to be tested at a luminosity."""
        measurements = self.projected(luminosity)
        analyses = self.analyses(measurements)
        odd = _sees_odd(measurements)
        first = analyses[self.chosen[0].model]
        null = first.null_values()
        found = [Hypothesis(SM, first, null, null)]
        for s in self.chosen:
            analysis = analyses[s.model]
            floats: set[str | None] = {s.even, s.odd} if odd else {s.even}
            known = {p.name for p in analysis.parameters}
            # Couplings that only others have are at their null.
            truth = {**_held(analysis, set()), **truths[s.name]}
            truth = {name: x for name, x in truth.items() if name in known}
            found.append(Hypothesis(s.name, analysis, truth, _held(analysis, floats)))
        self.progress(len(self.models))
        return tuple(found)

    def worth(
        self,
        luminosity: float,
        truths: Mapping[str, Mapping[str, float]],
        today: Mapping[str, FitResult],
        seed: int,
    ) -> tuple[tuple[Worth, ...], dict[str, tuple[np.ndarray, np.ndarray]]]:
        """Return what measurements at a luminosity would tell, and results of other precision."""
        again = [m for m in self.projected(luminosity) if m.metadata.get("luminosity")]
        again = [_alone(m) for m in again if m.workspace]
        made = [
            *again,
            *self._rebinned(luminosity),
            *(belle2_result(n, luminosity) for n in BELLE2),
        ]
        analyses = self.analyses(made)
        found: dict[str, Outcome] = {}
        for s in self.chosen:
            analysis = analyses[s.model]
            known = {p.name for p in analysis.parameters}
            truth = {**_held(analysis, set()), **truths[s.name]}
            truth = {name: x for name, x in truth.items() if name in known}
            found[s.name] = outcome(analysis, truth, today[s.name])
            self.progress(1 if s is self._last(s.model) else 0)
        where: dict[str, np.ndarray] = {}
        first = 0
        # Counts of all workspaces come first, then results.
        for m in [*(m for m in made if m.workspace), *(m for m in made if m.results)]:
            n = len(m.results) or m.n_bins
            where[m.name] = np.arange(first, first + n)
            first += n
        for names in TOGETHER:
            where[" and ".join(names)] = np.concatenate([where[n] for n in names])
        worth = tuple(
            Worth(
                name,
                about_models([o.take(index) for o in found.values()], seed=seed),
                {s: about_parameters(o.take(index)) for s, o in found.items()},
            )
            for name, index in where.items()
        )
        precision = {}
        for name in ("BR(B0 -> K*0)", "F_L(B0 -> K*0)"):
            parts = [o.take(where[name]) for o in found.values()]
            sigmas = np.geomspace(0.1, 10.0, 13) * BELLE2[name].at(luminosity)
            told = [about_models([o.with_noise(x) for o in parts], seed=seed).value for x in sigmas]
            precision[name] = sigmas, np.array(told)
        return tuple(sorted(worth, key=lambda w: -w.models.value)), precision

    def _rebinned(self, luminosity: float) -> list[Measurement]:
        """Return the inclusive tag in other bins of q2_rec."""
        found = []
        for m in self.data:
            if not _has_q2(m):
                continue
            for name, edges in BINS.items():
                today = rebinned(m, edges, name=name, backgrounds=self.backgrounds[m.name])
                future = project(
                    today,
                    luminosity,
                    base=base_luminosity(m),
                    systematics=self.systematics,
                    statistical=("shape_*",),
                )
                found.append(_alone(future, name))
            break
        return found


def _grows(measurement: Measurement) -> bool:
    """Whether Belle II will go on with it."""
    known = measurement.metadata
    return known.get("experiment") == "Belle II" or "luminosity" in known


def _fitted(measurement: Measurement) -> dict[str, dict[str, ArrayLike]]:
    """Return the counts expected at the fit of a signal strength."""
    if not measurement.workspace:
        return {}
    analysis = Analysis(load("signal-strength"), measurement)
    found = analysis.expected(fit(analysis).check().vector)
    return {c: {s: np.asarray(x) for s, x in samples.items()} for c, samples in found.items()}


def _held(analysis: Analysis, floats: set[str | None]) -> dict[str, float]:
    """Return the null values of couplings that do not float."""
    null = analysis.null_values()
    return {n: x for n, x in null.items() if n not in floats and n != "mass"}


def _sees_odd(measurements: Sequence[Measurement]) -> bool:
    decays = [m.decay(c) for m in measurements for c in m.signal]
    decays += [c for m in measurements for r in m.results for c in r.channels]
    return any(d not in _EVEN for d in decays)


def _has_q2(measurement: Measurement) -> bool:
    axes = measurement.metadata.get("labels", {}).get("axes", {})
    return any(c in axes and "q^2" in axes[c][0]["name"] for c in measurement.signal)


def _alone(measurement: Measurement, name: str | None = None) -> Measurement:
    """Return a measurement that stands beside others of the same data: each is judged alone."""
    metadata = {k: v for k, v in measurement.metadata.items() if k != "part_of"}
    return replace(measurement, name=name or measurement.name, metadata=metadata)
