"""What `bknn sample` says and writes."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bknn.analysis.analysis import Analysis
from bknn.inference.posteriors.posterior import LEAST_BFMI, Posterior
from bknn.inference.posteriors.predictive import Predictive
from bknn.report.absent import absent
from bknn.report.heading import heading
from bknn.report.numbers import in_digits, number
from bknn.report.provenance import provenance
from bknn.tables import table


def posterior_json(
    posterior: Posterior, predicted: Sequence[Predictive] = (), *, settings: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the content of `result.json` for a posterior; `docs/result.md` describes it."""
    analysis: Analysis = posterior.analysis
    names = [n for n, moves in zip(posterior.names, posterior.moving, strict=True) if moves]
    worst, bulk, tail = extremes(posterior)
    more: dict[str, Any] = {}
    if posterior.log_evidence is not None:
        more["log_evidence"] = estimate_json(posterior.log_evidence)
    if analysis.results.curves:
        more["absent"] = _absent(posterior)
    if predicted:
        more["predictive"] = {x.kind: _predictive_json(x) for x in predicted}
    return {
        "command": "sample",
        "model": analysis.model.name,
        "data": [m.name for m in analysis.measurements],
        "priors": priors_json(analysis, posterior.moving),
        "fixed": fixed_json(posterior),
        "posterior": {name: _summary(posterior.summary(name)) for name in names},
        "sampling": {
            "method": posterior.method,
            "chains": posterior.n_chains,
            "draws": posterior.n_draws,
            "warmup": posterior.warmup,
            "divergences": posterior.divergences,
            "converged": bool(posterior.converged),
            "status": posterior.status,
            "modes": [
                {"values": dict(mode.values), "share": mode.share, "drawn": float(drawn)}
                for mode, drawn in zip(posterior.modes, posterior.visited, strict=True)
            ],
            "worst_r_hat": worst,
            "least_ess_bulk": bulk,
            "least_ess_tail": tail,
            "energy": number(energy(posterior)),
            "seconds_compile": number(posterior.seconds_compile),
            "seconds_run": number(posterior.seconds_run),
        },
        **more,
        "provenance": provenance(analysis, settings),
    }


def priors_json(analysis: Analysis, moving: np.ndarray | None = None) -> dict[str, str]:
    """Return {name: prior in words} of the model's own parameters that float."""
    return {
        p.name: p.prior_with_range
        for i, p in enumerate(analysis.parameters)
        if not p.nuisance and (moving is None or moving[i])
    }


def fixed_json(posterior: Posterior) -> dict[str, float | None]:
    """Return {name: value} of what did not move."""
    values = np.asarray(posterior.draws)[0, 0]
    held = {
        name: number(float(x))
        for name, x, moves in zip(posterior.names, values, posterior.moving, strict=True)
        if not moves
    }
    return held | dict(posterior.analysis.constants)


def _summary(found: Mapping[str, Any]) -> dict[str, Any]:
    def plain(value: Any) -> Any:
        return [plain(x) for x in value] if np.ndim(value) else number(float(value))

    return {key: plain(value) for key, value in found.items()}


def estimate_json(found: Any) -> dict[str, Any]:
    """Return value, error and method of an estimate."""
    return {
        "value": number(float(found.value)),
        "error": number(float(found.error)),
        "method": found.method,
    }


def _predictive_json(found: Predictive) -> dict[str, Any]:
    return {
        "p": number(found.p.value),
        "p_error": number(found.p.error),
        "draws": found.n,
        "p_bins": [number(float(p)) for p in found.p_bins],
        "status": found.status,
    }


def extremes(posterior: Posterior) -> list[dict[str, Any] | None]:
    """Return the largest R-hat and the smallest bulk and tail ESS of all that moved, with name."""
    found: list[dict[str, Any] | None] = []
    for values, sign in (
        (posterior.r_hat, -1),
        (posterior.ess_bulk, 1),
        (posterior.ess_tail, 1),
    ):
        values = np.asarray(values, float)
        known = np.flatnonzero(np.isfinite(values) & np.asarray(posterior.moving))
        if not known.size:
            found.append(None)
            continue
        i = known[np.argmin(sign * values[known])]
        found.append({"name": posterior.names[i], "value": float(values[i])})
    return found


def energy(posterior: Posterior) -> float:
    """Return the smallest E-BFMI of the chains (arXiv:1604.00695); NaN where there is none."""
    if posterior.method != "nuts" or "energy" not in posterior.stats or posterior.n_draws < 2:
        return math.nan
    return float(np.min(posterior.bfmi))


def _absent(posterior: Posterior) -> list[str]:
    draws = posterior.draws.reshape(-1, posterior.draws.shape[-1])
    return absent(posterior.analysis, draws, "draws")


def posterior_table(posterior: Posterior, predicted: Sequence[Predictive] = ()) -> str:
    """Return the table that `bknn sample` prints."""
    analysis: Analysis = posterior.analysis
    units = {p.name: p.unit for p in analysis.parameters}
    lines = [*heading(analysis), ""]
    rows = [_row(posterior, name, units.get(name, "")) for name in posterior.own]
    if rows:
        lines += [table(_HEAD, rows), ""]
    held = [f"{k} = {v:g}" for k, v in fixed_json(posterior).items() if v]
    if held:
        lines.append(f"fixed            {', '.join(held[:6])}")
    for name, text in priors_json(analysis, posterior.moving).items():
        lines.append(f"prior            {name}: {text}")
    lines.append("")
    worst, bulk, tail = extremes(posterior)
    n = int(np.sum(posterior.moving))
    lines.append(
        f"chains           {posterior.n_chains} of {posterior.n_draws} draws after "
        f"{posterior.warmup} of warm-up ({posterior.method}), {n} parameters"
    )
    if worst and bulk and tail:
        lines.append(f"R-hat            at most {worst['value']:.4f} ({worst['name']})")
        lines.append(
            f"effective draws  at least {bulk['value']:.0f} in the bulk ({bulk['name']}), "
            f"{tail['value']:.0f} in the tails ({tail['name']})"
        )
    lines.append(f"divergences      {posterior.divergences}")
    if math.isfinite(least := energy(posterior)):
        verdict = "good" if least > LEAST_BFMI else f"too low, below {LEAST_BFMI}"
        lines.append(f"energy           E-BFMI at least {least:.2f}, {verdict}")
    if posterior.log_evidence is not None:
        value, error = in_digits(posterior.log_evidence.value, posterior.log_evidence.error)
        lines.append(f"log evidence     {value} +- {error} ({posterior.log_evidence.method})")
    lines.append(
        f"time             {posterior.seconds_compile:.1f} s to compile, "
        f"{posterior.seconds_run:.1f} s to run"
    )
    for found in predicted:
        lines += wrapped(f"{found.kind} check", found.status)
    for text in _absent(posterior):
        lines += wrapped("absent", text)
    lines += wrapped("sampling", posterior.status)
    return "\n".join(lines)


_HEAD = (
    "parameter", "mode", "mean", "median", "68%", "95%", "R-hat", "ESS bulk", "ESS tail", "unit",
)  # fmt: skip


def _row(posterior: Posterior, name: str, unit: str) -> tuple[str, ...]:
    found = posterior.summary(name)
    low, high = found["hdi_68"]
    error = 0.5 * (high - low)

    def text(value: float) -> str:
        return in_digits(float(value), error)[0]

    return (
        name,
        *(text(found[key]) for key in ("mode", "mean", "median")),
        *(
            " and ".join(f"{text(a)} ... {text(b)}" for a, b in found[key])
            for key in ("regions_68", "regions_95")
        ),
        f"{found['r_hat']:.4f}",
        f"{found['ess_bulk']:.0f}",
        f"{found['ess_tail']:.0f}",
        unit,
    )


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
