"""What `bknn scenarios` and `bknn regions` say and write."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bknn.report import files
from bknn.report.numbers import in_digits, nested, number
from bknn.report.posterior import wrapped
from bknn.report.provenance import provenance
from bknn.studies.regions import Regions
from bknn.studies.scenarios import RESCALED, ScenarioFit, Scenarios
from bknn.tables import table


def scenarios_json(found: Scenarios, *, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of `result.json` for scenarios; `docs/result.md` describes it."""
    return {
        "command": "scenarios",
        "data": [m.name for m in found.measurements],
        "scenarios": {name: _numbers(fit) for name, fit in found.fits.items()},
        "viable": list(found.viable) if RESCALED in found.fits else None,
        "provenance": provenance(next(iter(found.fits.values())).analysis, settings),
    }


def _numbers(fit: ScenarioFit) -> dict[str, Any]:
    result: dict[str, Any] = {
        "model": fit.scenario.model,
        "couplings": {name: number(float(fit.best.params[name])) for name in fit.couplings},
        "delta": number(fit.delta),
        "local_significance": number(fit.significance),
        "twice_nll": number(float(fit.best.twice_nll)),
        "twice_nll_standard_model": number(float(fit.standard_model.twice_nll)),
        "status": fit.best.status,
    }
    if fit.curve is not None and fit.interval is not None:
        result["mass"] = {
            "value": number(float(fit.best.params["mass"])),
            "low": number(fit.interval.low),
            "high": number(fit.interval.high),
            "status": fit.interval.status,
        }
        result["curve"] = {"mass": nested(fit.curve.axes[0]), "delta": nested(fit.deltas)}
    return result


def write_scenarios(found: Scenarios, path: Path) -> None:
    """Write the curves as NetCDF: `mass_NAME` and `delta_NAME` for each scenario with a mass."""
    with files.arrays(path, "bknn scenarios") as file:
        for name, fit in found.fits.items():
            if fit.curve is None:
                continue
            label = name.replace("-", "_")
            (mass,) = fit.curve.axes
            file.dimension(f"mass_{label}", len(mass))
            file.put(f"mass_{label}", mass, f"mass_{label}")
            file.put(f"delta_{label}", fit.deltas, f"mass_{label}")
            for coupling in fit.couplings:
                values = fit.curve.values[coupling]
                file.put(f"{coupling}_{label}", values, f"mass_{label}")


def scenarios_table(found: Scenarios) -> str:
    """Return the table that `bknn scenarios` prints, the best description first."""
    reference = found.fits[RESCALED].delta if RESCALED in found.fits else None
    rows = []
    for name, fit in sorted(found.fits.items(), key=lambda item: item[1].delta):
        mass = "-"
        if fit.interval is not None:
            x = fit.interval
            value, _ = in_digits(x.value, max(x.high - x.low, 1e-9) / 2)
            mass = f"{value} -{x.value - x.low:.2g} +{x.high - x.value:.2g}"
        rows.append(
            (
                name,
                mass,
                ", ".join(f"{c} = {float(fit.best.params[c]):.3g}" for c in fit.couplings),
                f"{fit.delta:.2f}",
                "" if reference is None else f"{fit.delta - reference:+.2f}",
                f"{fit.significance:.2f}",
            )
        )
    head = ("scenario", "mass [GeV]", "couplings", "-2 ln(L/L_SM)", "- rescaled", "local sigma")
    lines = [
        f"data: {', '.join(m.name for m in found.measurements)}",
        "",
        table(head, rows),
        "",
        *wrapped(
            "meaning",
            "local sigma is sqrt of the difference to the standard model, as for one parameter; "
            "the mass was looked for, so that the global one is less (bknn significance).",
        ),
    ]
    for name, fit in found.fits.items():
        if fit.curve is not None and not fit.curve.converged.all():
            lines += wrapped(name, fit.curve.status)
    return "\n".join(lines)


def regions_json(found: Regions, *, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of `result.json` for regions; `docs/result.md` describes it."""
    last = list(found.contours.values())[-1].profile.target
    return {
        "command": "regions",
        "model": last.model.name,
        "data": [m.name for m in last.measurements],
        "parameters": list(found.parameters),
        "fixed": dict(found.fixed),
        "regions": {
            name: {
                "best": {
                    p: number(float(contour.profile.best.params[p])) for p in found.parameters
                },
                "twice_nll": number(contour.profile.twice_nll_min),
                "contours": {
                    f"{n:g}": {
                        "delta": contour.levels[n],
                        "lines": [nested(np.asarray(line)) for line in lines],
                    }
                    for n, lines in contour.lines.items()
                },
                "status": contour.status,
            }
            for name, contour in found.contours.items()
        },
        "provenance": provenance(last, settings),
    }


def regions_table(found: Regions) -> str:
    """Return the table that `bknn regions` prints: what each contour spans."""
    rows = []
    for name, contour in found.contours.items():
        for n, lines in contour.lines.items():
            points = np.concatenate(lines) if lines else np.zeros((0, 2))
            everywhere = contour.profile.delta.max() <= contour.levels[n]
            spans = [
                f"{points[:, a].min():.3g} ... {points[:, a].max():.3g}"
                if len(points)
                else ("anywhere" if everywhere else "-")
                for a in (0, 1)
            ]
            best = contour.profile.best.params
            at = ", ".join(f"{float(best[p]):.3g}" for p in found.parameters)
            first = next(iter(contour.lines)) == n
            rows.append((name if first else "", at if first else "", f"{n:g}", *spans))
    head = ("data", f"best ({', '.join(found.parameters)})", "sigma", *found.parameters)
    text = [table(head, rows), ""]
    for name, contour in found.contours.items():
        text += wrapped(name, contour.status)
    return "\n".join(text)
