"""What `bknn limit` says and writes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bknn.inference.fits.result import FitResult
from bknn.inference.limits.asymptotic import BAND
from bknn.inference.limits.feldman_cousins import FeldmanCousins
from bknn.inference.limits.limit import Limit, TwoSided
from bknn.report import files
from bknn.report.absent import absent, on_grid
from bknn.report.absent import lines as absent_lines
from bknn.report.fit import content
from bknn.report.heading import heading
from bknn.report.numbers import nested, short
from bknn.tables import table

#: Rows of a table; more points are thinned out.
_ROWS = 24


def limit_json(
    found: Limit,
    both: TwoSided | None,
    unified: FeldmanCousins | None,
    result: FitResult,
    *,
    settings: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the content of `result.json` for limits; `docs/result.md` describes it."""
    toys = found.method == "toys"
    numbers = {
        "parameter": found.parameter,
        "cl": found.cl,
        "method": found.method,
        "statistic": found.statistic,
        "background": found.background,
        "grid": {name: nested(values) for name, values in found.grid.items()},
        "observed": nested(found.observed),
        "expected": {str(n): nested(found.expected[n]) for n in BAND},
        "observed_error": nested(found.observed_error) if toys else None,
        "expected_error": {str(n): nested(found.expected_error[n]) for n in BAND} if toys else None,
        "best": nested(found.best),
        "toys": found.toys,
        "failed": np.asarray(found.failed).tolist(),
        "status": list(found.status),
    }
    more: dict[str, Any] = {"limit": numbers}
    if both is not None:
        more["two_sided"] = {
            "parameter": both.parameter,
            "cl": both.cl,
            "grid": {name: nested(values) for name, values in both.grid.items()},
            "best": nested(both.best),
            "low": nested(both.low),
            "high": nested(both.high),
            "low_at_bound": np.asarray(both.low_at_bound).tolist(),
            "high_at_bound": np.asarray(both.high_at_bound).tolist(),
            "status": list(both.status),
        }
    if unified is not None:
        more["feldman_cousins"] = _unified_json(unified)
    if result.target.results.curves:
        more["absent"] = _absent(found, result)
    return content(result, "limit", settings, more)


def _absent(found: Limit, result: FitResult) -> list[str]:
    return absent(result.target, on_grid(result.target, result.vector, found.grid))


def _unified_json(unified: FeldmanCousins) -> dict[str, Any]:
    labels = [f"{100 * level:g}" for level in unified.levels]
    regions, region_errors = {}, {}
    for label, level in zip(labels, unified.levels, strict=True):
        parts = unified.regions(level) if np.isfinite(unified.observed).all() else ()
        regions[label] = [nested([x.low, x.high]) for x in parts]
        region_errors[label] = [nested([x.low_error, x.high_error]) for x in parts]
    return {
        "parameter": unified.parameter,
        "method": unified.method,
        "lowest": unified.lowest,
        "grid": nested(unified.grid),
        "observed": nested(unified.observed),
        "critical": dict(zip(labels, nested(unified.critical), strict=True)),
        "critical_error": dict(zip(labels, nested(unified.critical_error), strict=True)),
        "p": nested(unified.p),
        "p_error": nested(unified.p_error),
        "regions": regions,
        "region_errors": region_errors,
        "toys": unified.toys,
        "failed": np.asarray(unified.failed).tolist(),
        "status": list(unified.status),
    }


def write_limit(found: Limit, both: TwoSided | None, path: Path) -> None:
    """Write limits as NetCDF; infinite where there is none, NaN where a fit failed."""
    with files.arrays(path, f"bknn limit of {found.parameter}") as file:
        file.dimension("point", len(found.observed))
        file.dimension("band", len(BAND))
        file.put("band", BAND, "band")
        for name, values in found.grid.items():
            file.put(name, values, "point")
        file.put("observed", found.observed, "point")
        file.put("expected", [found.expected[n] for n in BAND], "band", "point")
        file.put("observed_error", found.observed_error, "point")
        file.put("expected_error", [found.expected_error[n] for n in BAND], "band", "point")
        file.put("best", found.best, "point")
        file.put("failed", found.failed, "point")
        file.put_texts("status", found.status, "point")
        if both is not None:
            for name in ("low", "high"):
                file.put(name, getattr(both, name), "point")


def limit_table(
    found: Limit, both: TwoSided | None, unified: FeldmanCousins | None, result: FitResult
) -> str:
    """Return the table that `bknn limit` prints."""
    analysis = result.target
    units = {p.name: p.unit for p in analysis.parameters}
    unit = f" / {units[found.parameter]}" if units.get(found.parameter) else ""
    how = {"cls": "CLs", "clsb": "CLs+b"}[found.statistic]
    how += ", asymptotic" if found.method == "asymptotic" else f", {found.toys} toys a value"
    n = len(found.observed)
    shown = np.unique(np.linspace(0, n - 1, min(n, _ROWS)).round().astype(int))
    head = [name + (f" / {units[name]}" if units.get(name) else "") for name in found.grid]
    head += ["best fit", "observed", "median", "1 sigma", "2 sigma"]
    if both is not None:
        head.append(f"{100 * both.cl:g}% interval")
    rows = []
    for i in shown:
        row = [f"{values[i]:.6g}" for values in found.grid.values()]
        row.append(_text(found.best[i]))
        row.append(_text(found.observed[i], found.observed_error[i]))
        row.append(_text(found.expected[0][i], found.expected_error[0][i]))
        row += [_expected(found, -k, i) + " ... " + _expected(found, k, i) for k in (1, 2)]
        if both is not None:
            row.append(f"{_text(both.low[i])} ... {_text(both.high[i])}")
        rows.append(row)
    title = f"{100 * found.cl:g}% upper limit of {found.parameter}{unit} ({how})"
    lines = [*heading(analysis), "", title, "", table(head, rows)]
    if len(shown) < n:
        lines.append(f"... {len(shown)} of {n} points; result.json has all (--out)")
    lines.append("")
    if unified is not None:
        lines += _unified_lines(unified)
    lines += absent_lines(_absent(found, result))
    lines.append(f"limits           {found.sentence}")
    if both is not None:
        lines.append(f"intervals        {both.sentence}")
    if unified is not None:
        lines.append(f"Feldman-Cousins  {unified.sentence}")
    return "\n".join(lines)


def _unified_lines(unified: FeldmanCousins) -> list[str]:
    """The intervals of the unified approach."""
    if not np.isfinite(unified.observed).all():
        return []
    rows = []
    for level in unified.levels:
        for x in unified.regions(level):
            ends = [
                short(end) + (" (end of the grid)" if is_open else _shown(end, error))
                for end, error, is_open in (
                    (x.low, x.low_error, x.low_open and x.low > unified.lowest),
                    (x.high, x.high_error, x.high_open),
                )
            ]
            rows.append((f"{100 * level:g}%", *ends))
    how = f"{unified.toys} toys a value" if unified.method == "toys" else "sums over all outcomes"
    head = (f"Feldman-Cousins, {how}", "from", "to")
    return [table(head, rows), ""]


def _shown(end: float, error: float) -> str:
    """The error of an end, if it shows in the digits of a table."""
    return _error(error) if error > 1e-5 * abs(end) else ""


def _error(error: float) -> str:
    return f" +- {error:.1g}" if error > 0 else ""


def _expected(found: Limit, sigma: int, i: int) -> str:
    return _text(found.expected[sigma][i], found.expected_error[sigma][i])


def _text(value: float, error: float = 0.0) -> str:
    if np.isnan(value):
        return "failed"
    if np.isinf(value):
        return "none"
    return short(value) + _error(error)
