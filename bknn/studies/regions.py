"""Regions of two couplings: each data set alone, and all of them together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from jax.typing import ArrayLike

from bknn import errors
from bknn.analysis.analysis import Analysis
from bknn.answers.answer import Answer, Shown
from bknn.data import Measurement
from bknn.inference.pieces import Progress
from bknn.inference.profiles.contours import Contours, contours
from bknn.inference.slopes import rates

#: What the region of all data sets together is called.
COMBINED = "combined"


@dataclass(frozen=True, eq=False, repr=False)
class Regions(Answer):
    """Contours of the same two parameters from several sets of data.

    Attributes:
        parameters: the two names.
        fixed: {name: value} of what did not float.
        contours: by name of the data set; `COMBINED` is all of them, if there are several.
    """

    parameters: tuple[str, str]
    fixed: Mapping[str, float]
    contours: Mapping[str, Contours]

    KEPT: ClassVar[tuple[str, ...]] = ("signs",)

    def __getitem__(self, name: str) -> Contours:
        return self.contours[name]

    @cached_property
    def signs(self) -> tuple[tuple[float, float], ...]:
        """Signs of both couplings with which a grid from 0 on covers the plane: of those that
        change no expected count."""
        last = list(self.contours.values())[-1].profile
        target, axes = last.target, last.axes
        couplings = {p.name for p in target.parameters if p.coupling}
        if couplings and not couplings.issuperset(self.parameters):
            return ((1.0, 1.0),)  # a coupling against a mass has one sign to be drawn with
        where = [target.index(name) for name in self.parameters]
        vector = np.array(target.init_vector)
        for name, value in self.fixed.items():
            vector[target.index(name)] = value
        # Far from 0, and no ratio that could hide an interference.
        vector[where] = [0.9 * axes[0][-1], 0.7 * axes[1][-1]]
        rates_at = rates(target)
        expected = np.asarray(rates_at(vector))
        signs = [(1.0, 1.0)]
        for sign in ((-1.0, -1.0), (1.0, -1.0), (-1.0, 1.0)):
            # The rest of the plane is not on the grid already.
            elsewhere = any(s < 0 and axis[0] >= 0 for s, axis in zip(sign, axes, strict=True))
            there = vector.copy()
            there[where] *= sign
            if elsewhere and np.allclose(rates_at(there), expected, rtol=1e-9):
                signs.append(sign)
        return tuple(signs)

    @property
    def converged(self) -> bool:
        """Whether all fits did."""
        return all(x.converged for x in self.contours.values())

    @property
    def status(self) -> str:
        """What is to be said of each, in sentences."""
        return " ".join(f"{name}: {x.status}" for name, x in self.contours.items())

    def shown(self) -> Shown:
        held = ", ".join(f"{name} = {x:.4g}" for name, x in self.fixed.items())
        rows = [
            (name, ", ".join(f"{n:g} sigma: {len(lines)}" for n, lines in x.lines.items()))
            for name, x in self.contours.items()
        ]
        return Shown(
            f"Regions of {' and '.join(self.parameters)}" + (f" with {held}" if held else ""),
            ("data", "contours"),
            rows,
            [self.status],
        )


def coupling_regions(
    model: Any,
    measurements: Sequence[Measurement],
    over: Mapping[str, ArrayLike],
    *,
    fixed: Mapping[str, float] | None = None,
    free: Sequence[str] = (),
    sigmas: Sequence[float] = (1, 2),
    like: Regions | None = None,
    progress: Progress | None = None,
) -> Regions:
    """Return where two couplings may be, for each data set and for all together.

    All other parameters that float, nuisances among them, are minimised over. The contours are
    those of two parameters, 68.3% and 95.4% by default, from -2 log L above its lowest value
    anywhere; a data set that only has limits allows a region around 0.

    Args:
        model: from `bknn.models.load`.
        measurements: from `bknn.data.load`, at least one.
        over: {name: values} of two parameters: the grid on which contours are looked for.
        fixed: {name: value} of parameters that do not float, often the mass.
        free: names of other parameters that shall float; those of `over` and `fixed` do so anyway.
        sigmas: of which contours.
        like: other regions of the same model and data, whose couplings floated then, too: nothing
            is compiled anew. Couplings that are not in `over` are kept by `fixed`.
        progress: is called with the number of points of the grid that have been done.

    Raises:
        ParameterError: not two parameters, or no measurement.

    Example:
        >>> import bknn; bknn.enable_x64()
        >>> from bknn import models, studies
        >>> belle2 = bknn.data.load("belle2-2025")
        >>> grid = {"g_S": [0.0, 1e-8, 2e-8], "g_P": [-1e-7, 0.0, 1e-7]}
        >>> found = studies.coupling_regions(
        ...     models.load("scalar"), [belle2], grid, fixed={"mass": 2.1}
        ... )  # doctest: +SKIP
    """
    held = dict(fixed or {})
    if like is None:
        analyses = asked(model, measurements, over, fixed=held, free=free)
    else:
        analyses = {name: x.profile.target for name, x in like.contours.items()}
    found: dict[str, Contours] = {
        name: contours(analysis, over, fixed=held, sigmas=sigmas, progress=progress)
        for name, analysis in analyses.items()
    }
    names = tuple(over)
    return Regions((names[0], names[1]), {k: float(np.asarray(v)) for k, v in held.items()}, found)


def asked(
    model: Any,
    measurements: Sequence[Measurement],
    over: Mapping[str, ArrayLike],
    *,
    fixed: Mapping[str, float],
    free: Sequence[str] = (),
) -> dict[str, Analysis]:
    """Return the analyses of each data set alone, and of all together if there are several.

    Raises:
        ParameterError: there is no measurement.
    """
    if not measurements:
        raise errors.ParameterError("regions need at least one measurement; give some.")
    own = {p.name for p in model.parameters if p.fixed}
    floats = [name for name in dict.fromkeys([*over, *free, *fixed]) if name in own]
    sets: dict[str, tuple[Measurement, ...]] = {m.name: (m,) for m in measurements}
    if len(measurements) > 1:
        sets[COMBINED] = tuple(measurements)
    return {name: Analysis(model, data, free=floats) for name, data in sets.items()}
