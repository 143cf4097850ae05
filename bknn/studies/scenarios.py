"""Which kind of new physics describes the data: scenarios side by side, each over its mass.

For every scenario and mass the coupling and all nuisances are fitted; what is compared is
-2 ln(L / L_SM), where L_SM is the fit without the new particle and with the same form factors
(arXiv:2403.13887). One analysis serves all scenarios of a model, so that it is compiled once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from bknn import errors
from bknn.analysis.analysis import Analysis
from bknn.answers.answer import Answer, Shown
from bknn.answers.packing import piece
from bknn.data import Measurement
from bknn.inference.estimate import ONE_SIGMA
from bknn.inference.fits.result import FitResult
from bknn.inference.pieces import Progress
from bknn.inference.profiles.curve import Interval
from bknn.inference.profiles.held import Points
from bknn.inference.profiles.intervals import with_profile
from bknn.inference.profiles.profile import Profile
from bknn.models import load
from bknn.models.scenarios import VIABLE, Scenario, scenario

piece(Scenario)

#: The scenario that the others are compared with.
RESCALED = "sm-rescaled"


@piece
@dataclass(frozen=True, eq=False)
class ScenarioFit:
    """One scenario, fitted.

    Attributes:
        scenario: which.
        analysis: its model and the data; it may have couplings of other scenarios, at 0.
        fixed: {name: value} of what does not float.
        best: the fit with coupling and mass floating.
        standard_model: the fit without the new particle.
        curve: the profile over the mass; None for a scenario without one.
        interval: of the mass, 68%; None for a scenario without one.
    """

    scenario: Scenario
    analysis: Analysis
    fixed: Mapping[str, float]
    best: FitResult
    standard_model: FitResult
    curve: Profile | None
    interval: Interval | None

    KEPT: ClassVar[tuple[str, ...]] = ("deltas",)

    def dimensions(self) -> dict[str, tuple[str, ...]]:
        """Names of the dimensions of the arrays."""
        return {} if self.curve is None else {"deltas": ("curve.mass",)}

    @property
    def couplings(self) -> tuple[str, ...]:
        """Couplings that float."""
        return tuple(
            name
            for name in (self.scenario.even, self.scenario.odd)
            if name in self.analysis.names and name not in self.fixed
        )

    @property
    def delta(self) -> float:
        """-2 ln(L / L_SM) of the best fit; negative: better than the standard model."""
        lowest = float(self.best.twice_nll)
        if self.curve is not None:
            lowest = min(lowest, self.curve.twice_nll_min)
        return lowest - float(self.standard_model.twice_nll)

    @property
    def deltas(self) -> np.ndarray:
        """-2 ln(L / L_SM) at the masses of the curve (n,), NaN where a fit did not converge."""
        if self.curve is None:
            return np.array([self.delta])
        values = np.where(self.curve.converged, self.curve.twice_nll, np.nan)
        return np.asarray(values - float(self.standard_model.twice_nll))

    @property
    def significance(self) -> float:
        """sqrt(-delta): of the coupling at the best mass alone (local), by Wilks' theorem."""
        return float(np.sqrt(max(-self.delta, 0.0)))


@dataclass(frozen=True, eq=False, repr=False)
class Scenarios(Answer):
    """Scenarios that were fitted to the same data.

    Attributes:
        measurements: the data.
        fits: by name of the scenario, in the order asked for.
    """

    measurements: tuple[Measurement, ...]
    fits: Mapping[str, ScenarioFit]

    @property
    def viable(self) -> tuple[str, ...]:
        """Scenarios that describe the data better than the standard model rescaled does.

        Raises:
            ParameterError: "sm-rescaled" is not among them.
        """
        if RESCALED not in self.fits:
            raise errors.ParameterError(
                f"{RESCALED!r} is not among the scenarios, so none can be called better than it; "
                "add it."
            )
        reference = self.fits[RESCALED].delta
        return tuple(n for n, f in self.fits.items() if f.delta < reference and n != RESCALED)

    def __getitem__(self, name: str) -> ScenarioFit:
        return self.fits[name]

    @property
    def converged(self) -> bool:
        """Whether all fits did."""
        return not self._failed

    @property
    def status(self) -> str:
        """Which fits did not converge, in a sentence."""
        if not self._failed:
            return f"all fits of {len(self.fits)} scenarios converged."
        names = ", ".join(self._failed)
        return f"fits of {names} did not converge: look at their `best` and `curve`."

    @property
    def _failed(self) -> list[str]:
        return [
            name
            for name, f in self.fits.items()
            if not (
                bool(f.best.converged)
                and bool(f.standard_model.converged)
                and (f.curve is None or bool((f.curve.converged | f.curve.excluded).all()))
            )
        ]

    def columns(self) -> dict[str, Any]:
        """One row a scenario."""
        fits = self.fits.values()
        ends = [f.interval for f in fits]
        return {
            "scenario": list(self.fits),
            "delta": [f.delta for f in fits],
            "significance": [f.significance for f in fits],
            "mass": [np.nan if x is None else x.value for x in ends],
            "low": [np.nan if x is None else x.low for x in ends],
            "high": [np.nan if x is None else x.high for x in ends],
        }

    def shown(self) -> Shown:
        rows = []
        for name, f in self.fits.items():
            mass = "" if f.interval is None else f"{f.interval.value:.4g} GeV"
            rows.append((name, f"{f.delta:.2f}", f"{f.significance:.2f}", mass))
        return Shown(
            f"Scenarios, {' + '.join(m.name for m in self.measurements)}",
            ("scenario", "-2 ln(L/L_SM)", "local sigma", "mass"),
            sorted(rows, key=lambda row: float(row[1])),
            [self.status],
        )


def scenarios(
    measurements: Measurement | Sequence[Measurement],
    names: Sequence[str] = VIABLE,
    *,
    masses: int = 80,
    largest_mass: float | None = None,
    odd: bool = False,
    progress: Progress | None = None,
    **options: Any,
) -> Scenarios:
    """Fit scenarios to data, each over its mass.

    Args:
        measurements: from `bknn.data.load`.
        names: of `bknn.models.scenarios.SCENARIOS`.
        masses: points of the grid in the mass.
        largest_mass: end of the grid in GeV; where phase space ends, or 4.7 GeV for one particle,
            by default.
        odd: let the partner coupling of odd parity float too, where there is one. Data on
            B -> K* or Bs see it.
        progress: is called with the number of masses that have been done since the last call.
        options: form factors and inputs, as for the models.

    Raises:
        UnknownNameError: no such scenario.

    Example:
        >>> import bknn; bknn.enable_x64()
        >>> from bknn import studies
        >>> belle2 = bknn.data.load("belle2-2025")
        >>> found = studies.scenarios(belle2, ["sm-rescaled", "scalar"])  # doctest: +SKIP
        >>> found["scalar"].interval  # doctest: +SKIP
    """
    data = (measurements,) if isinstance(measurements, Measurement) else tuple(measurements)
    chosen = [scenario(name) for name in names]
    found: dict[str, ScenarioFit] = {}
    analyses: dict[str, Analysis] = {}
    for s in chosen:
        if s.model not in analyses:
            same = [x for x in chosen if x.model == s.model and x.mass]
            wanted = [c for x in same for c in ((x.even, x.odd) if odd else (x.even,)) if c]
            floats = {"floats": tuple(dict.fromkeys(wanted))} if wanted else {}
            model = load(s.model, **floats, **options)
            # Those of neutrinos have no `floats`, and float by default or not.
            asked = {x.odd for x in chosen if x.model == s.model and odd and not x.mass}
            free = [p.name for p in model.parameters if p.fixed and p.name in asked]
            analyses[s.model] = Analysis(model, data, free=free)
        found[s.name] = _fitted(s, analyses[s.model], odd, masses, largest_mass, progress)
    return Scenarios(data, found)


def _fitted(
    s: Scenario,
    analysis: Analysis,
    odd: bool,
    masses: int,
    largest_mass: float | None,
    progress: Progress | None,
) -> ScenarioFit:
    null = analysis.null_values()
    mine = {s.even, s.odd} if odd else {s.even}
    fixed = {name: value for name, value in null.items() if name not in mine and name != "mass"}
    # Fitted as the points of profiles are, by the same program.
    standard_model = Points(analysis, (), fixed=null).best
    if not s.mass:
        best = Points(analysis, (), fixed=fixed).best
        return ScenarioFit(s, analysis, fixed, best, standard_model, None, None)
    parameter = analysis.parameters[analysis.index("mass")]
    # Where masses are looked for is where there is phase space.
    ends = max(parameter.bounds[0], 0.02), largest_mass or max(parameter.starts)
    over = {"mass": np.linspace(*ends, masses)}
    curve, (interval,) = with_profile(
        analysis, over, levels=[ONE_SIGMA], fixed=fixed, progress=progress
    )
    return ScenarioFit(s, analysis, fixed, curve.best, standard_model, curve, interval)
