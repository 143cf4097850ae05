"""What tables begin with: which model, which data, the values of the fit."""

from __future__ import annotations

import math
import textwrap
from typing import TYPE_CHECKING

from bknn.answers.digits import in_digits
from bknn.tables import table

if TYPE_CHECKING:
    from bknn.analysis.analysis import Analysis
    from bknn.data import Measurement
    from bknn.inference.fits.result import FitResult


def heading(analysis: Analysis) -> list[str]:
    """Return the lines that say what meets what."""
    return [
        f"{analysis.model.name}: {analysis.model.description}",
        *(f"data: {m.name} ({_content(m, analysis.response)}" for m in analysis.measurements),
    ]


def _content(measurement: Measurement, response: str) -> str:
    """What a measurement holds, and how spectra are folded with it if that matters."""
    n, curves = len(measurement.results), len(measurement.curves)
    others = [counted(n, "result")] if n else []
    others += [counted(curves, "limit curve")] if curves else []
    if not measurement.channels:
        return f"{', '.join(others)})"
    bins = counted(measurement.n_bins - n - curves, "bin")
    found = [counted(len(measurement.channels), "channel"), bins, *others]
    return f"{', '.join(found)}), {response} response"


def parameters_table(result: FitResult) -> str:
    """Return a table of the model's parameters at a fit."""
    analysis: Analysis = result.target
    sigma = result.uncertainty_vector
    rows: list[tuple[str, ...]] = []
    for i, p in enumerate(analysis.parameters):
        if p.nuisance:
            continue
        if not result.moving[i]:
            note = "fixed"
        elif p.name in result.at_bounds:
            note = "at its bound"
        elif math.isinf(sigma[i]):
            note = "not determined"
        elif math.isnan(sigma[i]):
            note = "uncertainty unknown"
        elif sigma[i] == 0:
            note = "at an edge"
        else:
            note = ""
        value, error = in_digits(
            float(result.vector[i]), float(sigma[i]) if result.moving[i] else 0.0
        )
        rows.append((p.name, value, error, p.unit, note))
    rows += [*_constants(analysis), *_derived(result)]
    return table(("parameter", "value", "uncertainty", "unit", ""), rows)


def _derived(result: FitResult) -> list[tuple[str, ...]]:
    """Rows for the derived quantities of a model."""
    from bknn.prediction import derived_quantities
    from bknn.studies.observables.propagation import derived_of_fit

    declared = derived_quantities(result.target.model)
    return [
        (name, *in_digits(value, sigma), declared[name].unit, "derived")
        for name, (value, sigma) in derived_of_fit(result).items()
    ]


def _constants(analysis: Analysis) -> list[tuple[str, ...]]:
    """Rows for the parameters that a model keeps fixed; many zeros are one row."""
    units = {p.name: p.unit for p in analysis.model.parameters}
    zeros = [name for name, x in analysis.constants.items() if x == 0]
    shown = [n for n in analysis.constants if n not in zeros or len(zeros) <= _MANY]
    rows: list[tuple[str, ...]] = [
        (n, f"{analysis.constants[n]:g}", "", units.get(n, ""), "fixed") for n in shown
    ]
    if len(zeros) > _MANY:
        rows.append((f"{zeros[0]}, {zeros[1]}, ...", "0", "", "", f"fixed, all {len(zeros)}"))
    return rows


#: More parameters fixed at zero than this are not listed one by one.
_MANY = 12


def counted(number: int, thing: str) -> str:
    """Return a number with its noun.

    >>> counted(1, "bin"), counted(30, "bin")
    ('1 bin', '30 bins')
    """
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def wrapped(label: str, text: str) -> list[str]:
    """Return a sentence beside its label, in lines."""
    return textwrap.wrap(
        text,
        95,
        initial_indent=f"{label:<16} ",
        subsequent_indent=" " * 17,
        break_long_words=False,
        break_on_hyphens=False,
    )
