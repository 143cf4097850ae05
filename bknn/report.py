"""What a command leaves behind: `result.json` and a table to read."""

from __future__ import annotations

import json
import math
import platform
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

import jax
import numpy as np
from scipy.io import netcdf_file

from bknn.analysis import Analysis
from bknn.inference.result import FitResult
from bknn.tables import table


def fit_json(
    result: FitResult, null: FitResult, *, command: str, settings: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the content of `result.json` for a fit; `docs/result.md` describes it.

    Numbers that do not exist (an uncertainty at a bound, a fit that failed) are null, never NaN.
    """
    analysis = result.target
    return {
        "command": command,
        "model": analysis.model.name,
        "data": [m.name for m in analysis.measurements],
        "fit": {**_fit(result), "parameters": _parameters(result)},
        "null": _fit(null),
        "twice_delta_nll": _number(float(null.twice_nll) - float(result.twice_nll)),
        "provenance": provenance(analysis, settings),
    }


def _fit(result: FitResult) -> dict[str, Any]:
    return {
        "twice_nll": _number(float(result.twice_nll)),
        "converged": bool(result.converged),
        "status": result.status,
    }


def _parameters(result: FitResult) -> dict[str, dict[str, Any]]:
    found = {}
    sigma = result.uncertainty_vector
    for i, name in enumerate(result.names):
        floats = bool(result.moving[i]) and sigma[i] > 0
        found[name] = {
            "value": _number(result.vector[i]),
            "uncertainty": _number(sigma[i]) if floats else None,
            "fixed": not bool(result.moving[i]),
        }
    for name, value in result.target.constants.items():
        found[name] = {"value": value, "uncertainty": None, "fixed": True}
    return found


def provenance(analysis: Analysis, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is needed to repeat a computation: versions, data checksums, settings."""
    return {
        **_versions(),
        "seed": settings.get("seed"),
        "data_sha256": {m.name: m.sha256 for m in analysis.measurements},
        "channels": {m.name: list(m.channels) for m in analysis.measurements},
        "response": analysis.response,
        "settings": dict(settings),
        "sources": [
            *(str(s) for m in analysis.measurements for s in m.sources),
            *(s.source for s in getattr(analysis.model, "form_factors", {}).values()),
        ],
    }


def _versions() -> dict[str, Any]:
    return {
        "version": metadata.version("bknn"),
        "python": platform.python_version(),
        "packages": {n: metadata.version(n) for n in ("jax", "jaxlib", "numpy", "scipy", "optax")},
        "device": jax.devices()[0].device_kind,
    }


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def write_json(content: Mapping[str, Any], path: Path) -> None:
    """Write JSON atomically: a reader sees the old file or the new one, whole."""
    text = json.dumps(content, indent=2, allow_nan=False) + "\n"
    with _replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


@contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """Yield a file to write, which takes the place of `path` when it is complete."""
    temporary = path.with_name(path.name + ".part")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        if temporary.is_file():
            temporary.unlink()


def write_arrays(result: FitResult, path: Path) -> None:
    """Write parameters, covariance and expected counts as NetCDF, for `xarray.open_dataset`."""
    analysis: Analysis = result.target
    channels = [
        channel
        for part in analysis.parts
        for channel, n_bins in part.pdf.channels.items()
        for _ in range(n_bins)
    ]
    with _replacing(path) as temporary, netcdf_file(temporary, "w") as file:
        file.title = f"bknn fit of {analysis.model.name}"
        file.createDimension("parameter", analysis.size)
        file.createDimension("parameter_2", analysis.size)
        file.createDimension("bin", analysis.n_bins)

        def put(name: str, values: np.ndarray, *dimensions: str) -> None:
            file.createVariable(name, "d", dimensions)[:] = values

        def put_texts(name: str, texts: Sequence[str], dimension: str) -> None:
            # NetCDF 3 has no strings, only tables of characters.
            width = max(len(t.encode()) for t in texts)
            table = np.array([list(t.encode().ljust(width, b"\0")) for t in texts], "u1")
            file.createDimension(f"{name}_length", width)
            variable = file.createVariable(name, "c", (dimension, f"{name}_length"))
            variable[:] = table.view("S1")
            variable._Encoding = "utf-8"

        put_texts("name", analysis.names, "parameter")
        put_texts("channel", channels, "bin")
        put("value", result.vector, "parameter")
        put("uncertainty", result.uncertainty_vector, "parameter")
        put("covariance", result.covariance, "parameter", "parameter_2")
        put("observed", np.asarray(analysis.data.counts), "bin")
        put("expected", np.asarray(analysis.rates(result.vector)), "bin")


def predictions_json(
    model: Any,
    rows: Sequence[Mapping[str, Any]],
    params: Mapping[str, float],
    *,
    settings: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the content of `result.json` for predictions; `docs/result.md` describes it.

    A prediction is {"observable", "channel", "q2", "value", "uncertainty"}; a point is a bin
    [q2, q2] without width.
    """
    return {
        "command": "predict",
        "model": model.name,
        "parameters": dict(params),
        "predictions": [
            {**row, "value": _number(row["value"]), "uncertainty": _number(row["uncertainty"])}
            for row in rows
        ],
        "provenance": {
            **_versions(),
            "settings": dict(settings),
            "form_factors": {
                t: {"set": s.name, "source": s.source}
                for t, s in getattr(model, "form_factors", {}).items()
            },
            "inputs": getattr(getattr(model, "inputs", None), "name", None),
        },
    }


def predictions_table(model: Any, rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the table that `bknn predict` prints."""
    lines = []
    for row in rows:
        value, error = in_digits(row["value"], row["uncertainty"])
        a, b = row["q2"] or (None, None)
        where = "all" if a is None else f"{a:g}" if a == b else f"{a:g} ... {b:g}"
        lines.append((row["observable"], row["channel"], where, value, error))
    head = ("observable", "channel", "q2 / GeV^2", "value", "uncertainty")
    return f"{model.name}: {model.description}\n\n" + table(head, lines)


def fit_table(result: FitResult, null: FitResult) -> str:
    """Return the table that `bknn fit` prints."""
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
        elif not math.isfinite(sigma[i]):
            note = "uncertainty unknown"
        else:
            note = ""
        value, error = in_digits(
            float(result.vector[i]), float(sigma[i]) if result.moving[i] else 0.0
        )
        rows.append((p.name, value, error, p.unit, note))
    rows += constant_rows(analysis)
    lines = [
        f"{analysis.model.name}: {analysis.model.description}",
        *(
            f"data: {m.name} ({_counted(len(m.channels), 'channel')}, "
            f"{_counted(m.n_bins, 'bin')}), "
            f"{analysis.response} response"
            for m in analysis.measurements
        ),
        "",
        table(("parameter", "value", "uncertainty", "unit", ""), rows),
        "",
    ]
    delta = float(null.twice_nll) - float(result.twice_nll)
    lines.append(f"-2 log L         {float(result.twice_nll):12.4f}   best fit")
    lines.append(f"                 {float(null.twice_nll):12.4f}   standard model")
    lines.append(f"difference       {delta:12.4f}")
    lines.append("")
    if extreme := _pulls(result):
        lines.append("largest pulls    " + extreme)
    lines.append(f"fit              {result.status}")
    if not np.isfinite(sigma).all():
        lines.append(
            "uncertainties    unknown: in some direction -2 log L does not rise from here; fix "
            "parameters that the data do not determine."
        )
    if not null.converged:
        lines.append(f"null fit         {null.status}")
    return "\n".join(lines)


def constant_rows(analysis: Analysis) -> list[tuple[str, ...]]:
    """Return rows for the parameters that a model keeps fixed; many zeros are one row."""
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


def _counted(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def _pulls(result: FitResult, n: int = 4) -> str:
    """The nuisances that moved most, in units of their constraints."""
    analysis: Analysis = result.target
    index, centre, width = analysis.normal
    if not index.size:
        return ""
    pull = (result.vector[index] - centre) / width
    order = np.argsort(-np.abs(pull))[:n]
    return ", ".join(f"{analysis.names[index[i]]} {pull[i]:+.2f}" for i in order)


def in_digits(value: float, error: float) -> tuple[str, str]:
    """Return value and uncertainty as text, with three digits of the uncertainty.

    >>> in_digits(4.5991, 1.334)
    ('4.60', '1.33')
    >>> in_digits(8.5787e-06, 2.5622e-06)
    ('8.58e-06', '2.56e-06')
    >>> in_digits(2.1, 0.0)
    ('2.1', '')
    """
    # An uncertainty of rounding size (of a ratio that cancels) is none.
    if not (math.isfinite(error) and error > 1e-12 * abs(value)):
        return f"{value:.6g}", ""
    last = math.floor(math.log10(error)) - 2
    size = math.floor(math.log10(max(abs(value), error)))
    if -3 <= size <= 5:
        digits = max(0, -last)
        return f"{value:.{digits}f}", f"{error:.{digits}f}"
    digits = max(0, size - last)
    scale = 10.0**size
    return f"{value / scale:.{digits}f}e{size:+03d}", f"{error / scale:.{digits}f}e{size:+03d}"
