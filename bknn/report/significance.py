"""What `bknn significance` says and writes."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

import numpy as np

from bknn.inference.toys.significance import Significance
from bknn.report.fit import content
from bknn.report.heading import heading, parameters_table
from bknn.report.numbers import number, short
from bknn.report.toys import failures_json


def significance_json(found: Significance, *, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of `result.json` for a significance; `docs/result.md` describes it."""
    anywhere: dict[str, Any] | None = None
    if found.toys is not None:
        anywhere = {
            "z": number(found.global_z),
            "z_error": number(found.global_z_error),
            "p": number(found.global_p),
            "p_error": number(found.global_p_error),
            "p_upper": number(found.fraction.upper()),
            "exceeding": found.fraction.k,
            "asymptotic_p": number(found.asymptotic_global_p),
            "toys": found.n_toys,
            "seeds": sorted({int(seed) for seed in found.toys.seeds}),
            **failures_json(found.failed),
        }
    numbers = {
        "t": number(found.t),
        "tested": dict(found.tested),
        "meaningless": list(found.meaningless),
        "local": {"z": number(found.z), "p": number(found.p), "dof": found.dof},
        "global": anywhere,
        "statement": found.statement,
    }
    return content(found.best, "significance", settings, {"significance": numbers})


def significance_table(found: Significance) -> str:
    """Return the table that `bknn significance` prints."""
    tested = ", ".join(f"{name} = {value:g}" for name, value in found.tested.items())
    lines = [
        *heading(found.best.target),
        "",
        parameters_table(found.best),
        "",
        f"-2 log L         {float(found.best.twice_nll):z12.4f}   best fit",
        f"                 {float(found.null.twice_nll):12.4f}   {tested}",
        f"difference       {found.t:12.4f}",
        "",
        f"local            {found.z:.2f} sigma, p = {short(found.p)}",
    ]
    lines += _wrapped(found.statement)
    if found.toys is not None:
        p = found.fraction
        if p.k:
            error = f" +- {found.global_z_error:.2f}" if np.isfinite(found.global_z_error) else ""
            text = f"{found.global_z:.2f}{error} sigma, p = {p}"
        else:
            text = f"more than {found.global_z:.2f} sigma, p = {p}"
        lines += [
            "",
            f"global           {text}",
            f"                 {p.k} of {p.n} toys differ as much, wherever their best fit is",
        ]
        if np.isfinite(found.asymptotic_global_p):
            lines.append(
                f"                 p = {short(found.asymptotic_global_p)} by the formula of Gross "
                "and Vitells"
            )
        lines.append(f"toys             {found.failed}")
    lines += ["", f"fit              {found.best.status}"]
    return "\n".join(lines)


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(
        text, 95, initial_indent=" " * 17, subsequent_indent=" " * 17, break_long_words=False
    )
