"""`bknn significance`: how unlikely the standard model makes the data, locally and globally."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bknn.answers.digits import short
from bknn.questions.shared import build, output, progress, values
from bknn.questions.shared.content import content
from bknn.questions.shared.heading import heading, parameters_table
from bknn.questions.shared.kinds import Numbers, Texts
from bknn.questions.shared.numbers import number
from bknn.questions.shared.output import Desk
from bknn.questions.shared.plan import Plan
from bknn.questions.shared.question import (
    TOYS,
    OfAnalysis,
    first_option,
    fix_option,
    merge_option,
    option,
    seed_option,
)
from bknn.questions.toys import failures_json
from bknn.storage.identity import parts

if TYPE_CHECKING:
    from bknn.inference.toys.significance import Significance


@dataclass(frozen=True, kw_only=True)
class Asked(OfAnalysis):
    """What may be asked of a significance."""

    name = "significance"
    summary = "how unlikely the standard model makes the data"
    description = (
        "Compare the best fit with the standard model: the local significance from the likelihood "
        "ratio, and with --toys the global one, for which every toy of the standard model is "
        "searched as the data were."
    )
    examples = """\
bknn significance signal-strength
bknn significance resonance --toys 10000 --seed 1 --out results/
bknn significance resonance --fix mass=2.1
"""

    fix: Numbers = fix_option()
    toys: int = option("toys of the standard model", 0, shown="none", least=0)
    seed: int = seed_option(TOYS)
    first: int = first_option()
    merge: Texts = merge_option()

    def plan(self, desk: Desk) -> Plan:
        from bknn.inference.toys.toys import Toys

        analysis = build.analysis(self, desk, self.fix)
        build.look(analysis, self.fix)
        values.room(self.toys, 16 * (10 + 2 * len(analysis.parameters)), "--toys")
        parts_ = [Toys.load(path) for path in self.merge]
        for part in parts_:
            part.check_is_of(analysis, self.fix)
        if parts_:
            Toys.merge(*parts_)
        return Plan(
            (analysis, parts_),
            parts(analysis),
            {"fits": 2, "toys": self.toys},
            ("significance.nc", "toys.nc")[: 2 if self.toys or parts_ else 1],
        )

    def answer(self, desk: Desk) -> int:
        """Fit, throw, print, write."""
        analysis, parts_ = self.planned(desk).made

        from bknn.inference.toys.significance import significance
        from bknn.inference.toys.toys import Toys

        out = desk.folder()
        with progress.bar("toys", self.toys or None, "toys") as done:
            found = significance(
                analysis,
                toys=self.toys,
                seed=self.seed,
                first=self.first,
                fixed=self.fix,
                progress=done,
                work=desk.work,
            )
        if parts_:
            own = [found.toys] if found.toys is not None else []
            whole = Toys.merge(*own, *parts_)
            found = significance(analysis, toys=whole, seed=self.seed, fixed=self.fix)
        print(significance_table(found))
        if out is not None:
            output.write(
                out,
                significance_json(found, settings=self.record()),
                {"significance": found},
                desk.figures,
                {"toys": found.toys},
            )
        return 0


# What is said and written ---------------------------------------------------------------------


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
        "status": found.status,
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
    lines += _wrapped(found.status)
    if found.toys is not None:
        p = found.fraction
        text = f"{p.z_text} sigma, p = {p}"
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
