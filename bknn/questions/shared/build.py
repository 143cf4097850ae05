"""What a question is asked of: its model, its data, and the analysis of both."""

from __future__ import annotations

import sys
from collections.abc import Container, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from bknn import errors, precision
from bknn.questions.shared.output import Desk
from bknn.questions.shared.question import OfAnalysis, OfData, OfModel

if TYPE_CHECKING:
    from bknn.analysis.analysis import Analysis
    from bknn.data import Measurement
    from bknn.models import Model


def look(
    analysis: Analysis,
    fixed: Mapping[str, float],
    *,
    over: Mapping[str, np.ndarray] | None = None,
    point: Mapping[str, float] | None = None,
    start: Mapping[str, float] | None = None,
) -> None:
    """Look whether values make sense: parameters exist, and their values are inside of the bounds.

    Args:
        analysis: of which they are parameters.
        fixed: kept values.
        over: grids.
        point: a truth.
        start: of a fit.

    Raises:
        UnknownNameError, ParameterError: one does not.
    """
    from bknn.inference.fits.fit import starting_points

    if both := sorted(set(over or {}) & set(fixed)):
        raise errors.ParameterError(
            f"--over and --fix both give {both[0]!r}; a grid moves it, and --fix keeps it. Leave "
            "one out."
        )
    starting_points(analysis, {**(point or {}), **fixed}, start or {})
    for name, grid in (over or {}).items():
        starting_points(analysis, {name: np.array([grid.min(), grid.max()])}, {})


def of_several(made: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return what several analyses consist of: {"name: part": ...}."""
    from bknn.storage.identity import parts

    return {f"{name}: {part}": x for name, one in made.items() for part, x in parts(one).items()}


def model(asked: OfModel) -> Model:
    """Load the model."""
    from bknn import models

    found = models.load(asked.model, **asked.theory)
    for note in getattr(found, "notes", ()):
        print(f"bknn: note: {note}", file=sys.stderr)
    return found


def measurements(asked: OfData, model: Any = None) -> list[Measurement]:
    """Load the data, and of each of them the channels that were asked for; of a collection those
    whose quantities a model has."""
    from bknn import data

    if asked.patch is not None and len(asked.data) > 1:
        raise errors.DataError(
            "--patch is for one workspace, and --data names several data sets; patch it in Python "
            "with bknn.data.load(path, patch=...), or give it alone."
        )
    given, without = asked.data, asked.without
    found = list(data.load_all(given, model, without=without, patch=asked.patch))
    if gone := data.left_out(given, model, without=without):
        told = ", ".join(f"{name} ({', '.join(lacks)})" for name, lacks in gone.items())
        print(
            f"bknn: note: model {model.name!r} has nothing that these limit, so that they are left "
            f"out: {told}",
            file=sys.stderr,
        )
    if asked.channels:
        found = [m.select([name for name in asked.channels if name]) for m in found]
    return found


def priors(given: Mapping[str, str], desk: Desk) -> dict[str, Any]:
    """Return priors with those that functions of the user make in place of their texts.

    Raises:
        ParameterError: one cannot be read, or its function is not there.
    """
    from bknn.priors import read
    from bknn.reading.user_functions import is_one

    made = {name: read(text, desk.functions) for name, text in given.items()}
    return {name: made[name] if is_one(text) else text for name, text in given.items()}


def analysis(asked: OfAnalysis, desk: Desk, named: Iterable[str] = ()) -> Analysis:
    """Build the analysis; parameters that are named, or have a prior or bounds, take part."""
    from bknn.analysis.analysis import Analysis

    precision.prepare()
    given: Mapping[str, str] = getattr(asked, "prior", {})
    made = priors(given, desk)
    physics = model(asked)
    data = measurements(asked, physics)
    fixed = {p.name for p in physics.parameters if p.fixed}
    wanted_too = dict.fromkeys([*named, *given, *asked.bounds])
    free = [*asked.free, *(n for n in wanted_too if n in fixed and n not in asked.free)]
    # The questions of a run share what one of them has compiled.
    key = (
        asked.model,
        *(str(x) for x in (asked.theory, asked.response)),
        *sorted(free),
        *sorted(given.items()),
        *sorted(asked.bounds.items()),
        asked.data,
        asked.without,
        asked.patch,
        asked.channels,
    )
    if key not in desk.analyses:
        desk.analyses[key] = Analysis(
            physics,
            data,
            response=asked.response,
            free=free,
            priors=made,
            bounds=dict(asked.bounds),
        )
    return desk.analyses[key]


def point_of_truth(point: Mapping[str, float], fixed: Mapping[str, float]) -> dict[str, float]:
    """The values that --set gives, which --fix may not."""
    if both := sorted(set(point) & set(fixed)):
        raise errors.ParameterError(
            f"--set and --fix both give {both[0]!r}; --set is the truth, --fix the truth and every "
            "fit. Leave one out."
        )
    return dict(point)


def of_interest(analysis: Analysis, fixed: Container[str], given: str | None) -> str:
    """The parameter of interest: the one that was given, or the only one that there is."""
    own = [
        p.name
        for p in analysis.parameters
        if not (p.nuisance or p.constraint is not None or p.name in fixed)
    ]
    if given is not None:
        analysis.index(given)
        if given in fixed:
            raise errors.ParameterError(
                f"--poi {given}: it is kept by --fix; choose another, or let it float."
            )
        return given
    if len(own) != 1:
        raise errors.ParameterError(
            f"{analysis.model.name} has {len(own)} parameters that may be of interest"
            f"{' (' + ', '.join(own) + ')' if own else ''}; say which with --poi NAME."
        )
    return own[0]
