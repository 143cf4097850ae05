"""What `bknn fit` says and writes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bknn.analysis.analysis import Analysis
from bknn.inference.fits.result import FitResult
from bknn.report import files
from bknn.report.absent import absent
from bknn.report.absent import lines as absent_lines
from bknn.report.heading import heading, parameters_table
from bknn.report.numbers import number
from bknn.report.provenance import provenance
from bknn.tables import table


def fit_json(
    result: FitResult, null: FitResult, *, command: str, settings: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the content of `result.json` for a fit; `docs/result.md` describes it.

    Numbers that do not exist (an uncertainty at a bound, a fit that failed) are null, never NaN.
    """
    delta = number(float(null.twice_nll) - float(result.twice_nll))
    return content(result, command, settings, {"null": _fit(null), "twice_delta_nll": delta})


def content(
    result: FitResult, command: str, settings: Mapping[str, Any], more: Mapping[str, Any]
) -> dict[str, Any]:
    """Return what `result.json` has of every command: model, data, best fit, provenance.

    Args:
        result: the best fit of an Analysis.
        command: name of the command.
        settings: its options, as given.
        more: what the command found.
    """
    analysis: Analysis = result.target
    curves = {"absent": absent(analysis, result.vector)} if analysis.results.curves else {}
    return {
        "command": command,
        "model": analysis.model.name,
        "data": [m.name for m in analysis.measurements],
        "fit": {**_fit(result), "parameters": _parameters(result)},
        **curves,
        **more,
        "provenance": provenance(analysis, settings),
    }


def _fit(result: FitResult) -> dict[str, Any]:
    return {
        "twice_nll": number(float(result.twice_nll)),
        "converged": bool(result.converged),
        "status": result.status,
    }


def _parameters(result: FitResult) -> dict[str, dict[str, Any]]:
    found = {}
    sigma = result.uncertainty_vector
    for i, name in enumerate(result.names):
        floats = bool(result.moving[i]) and sigma[i] > 0
        found[name] = {
            "value": number(result.vector[i]),
            "uncertainty": number(sigma[i]) if floats else None,
            "fixed": not bool(result.moving[i]),
        }
    for name, value in result.target.constants.items():
        found[name] = {"value": value, "uncertainty": None, "fixed": True}
    return found


def write_arrays(result: FitResult, path: Path) -> None:
    """Write parameters, covariance and expected counts as NetCDF, for `xarray.open_dataset`."""
    analysis: Analysis = result.target
    channels = [
        channel
        for part in analysis.parts
        for channel, n_bins in part.pdf.channels.items()
        for _ in range(n_bins)
    ]
    channels += analysis.results.names
    with files.arrays(path, f"bknn fit of {analysis.model.name}") as file:
        file.dimension("parameter", analysis.size)
        file.dimension("parameter_2", analysis.size)
        file.dimension("bin", analysis.n_bins)
        file.put_texts("name", analysis.names, "parameter")
        file.put_texts("channel", channels, "bin")
        file.put("value", result.vector, "parameter")
        file.put("uncertainty", result.uncertainty_vector, "parameter")
        file.put("covariance", result.covariance, "parameter", "parameter_2")
        file.put("observed", analysis.data.counts, "bin")
        file.put("expected", analysis.rates(result.vector), "bin")


def fit_table(result: FitResult, null: FitResult) -> str:
    """Return the table that `bknn fit` prints."""
    analysis: Analysis = result.target
    lines = [*heading(analysis), "", parameters_table(result), ""]
    delta = float(null.twice_nll) - float(result.twice_nll)
    lines.append(f"-2 log L         {float(result.twice_nll):z12.4f}   best fit")
    lines.append(f"                 {float(null.twice_nll):12.4f}   standard model")
    lines.append(f"difference       {delta:12.4f}")
    lines.append("")
    if analysis.results:
        lines += [_results_table(analysis, result), ""]
    if extreme := _pulls(result):
        lines.append("largest pulls    " + extreme)
    lines += absent_lines(absent(analysis, result.vector))
    lines.append(f"fit              {result.status}")
    if np.isnan(result.uncertainty_vector).any():
        lines.append(
            "uncertainties    unknown: in some direction -2 log L does not rise from here; fix "
            "parameters that the data do not determine."
        )
    if not null.converged:
        lines.append(f"null fit         {null.status}")
    return "\n".join(lines)


def _results_table(analysis: Analysis, result: FitResult) -> str:
    """The results that are not counts: measured, expected, and the distance in widths."""
    outcomes, n = analysis.outcomes, analysis.outcomes.n_counts
    measured = np.asarray(analysis.data.counts if result.data is None else result.data.counts)[n:]
    expected = np.asarray(analysis.rates(result.vector))[n:]
    width = np.where(expected < measured, outcomes.below, outcomes.above)
    rows = [
        (name, f"{x:.4g} -{low:.3g} +{high:.3g}", f"{m:.4g}", f"{(m - x) / w:+.2f}")
        for name, x, low, high, m, w in zip(
            analysis.results.names,
            measured,
            outcomes.below,
            outcomes.above,
            expected,
            width,
            strict=True,
        )
    ]
    return table(("result", "measured", "best fit", "pull"), rows)


def _pulls(result: FitResult, n: int = 4) -> str:
    """The nuisances that moved most, in units of their constraints."""
    analysis: Analysis = result.target
    index, centre, width = analysis.normal
    if not index.size:
        return ""
    pull = (result.vector[index] - centre) / width
    order = np.argsort(-np.abs(pull))[:n]
    return ", ".join(f"{analysis.names[index[i]]} {pull[i]:+.2f}" for i in order)
