"""`bknn fit`: the best values, how sure they are, and the standard model beside them."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bknn import errors
from bknn.questions.shared import build, output
from bknn.questions.shared.absent import absent
from bknn.questions.shared.absent import lines as absent_lines
from bknn.questions.shared.content import content, ended
from bknn.questions.shared.heading import heading, parameters_table
from bknn.questions.shared.kinds import Numbers
from bknn.questions.shared.numbers import number
from bknn.questions.shared.output import Desk
from bknn.questions.shared.plan import Plan
from bknn.questions.shared.question import OfAnalysis, fix_option, option
from bknn.storage.identity import parts
from bknn.tables import table

if TYPE_CHECKING:
    from bknn.analysis.analysis import Analysis
    from bknn.data import LimitCurve, LimitTable
    from bknn.inference.fits.result import FitResult


@dataclass(frozen=True, kw_only=True)
class Asked(OfAnalysis):
    """What may be asked of a fit."""

    name = "fit"
    summary = "fit a model to data"
    description = (
        "Fit a model to data: best values, uncertainties, comparison with the standard model, "
        "figures."
    )
    examples = """\
bknn fit signal-strength
bknn fit signal-strength --channels hadronic
bknn fit resonance --fix mass=2.1 --out results/
bknn fit resonance --fix width=0.1 --response reweighting
bknn fit signal-strength --data my-workspace.json
bknn fit wet --free C_VR --form-factors hpqcd-2022
bknn fit vector --fix mass=2.1
"""

    fix: Numbers = fix_option()
    init: Numbers = option("start there", {})
    method: str = option(
        "Fisher steps, L-BFGS, or Adam then L-BFGS", "newton", choices=("newton", "lbfgs", "adam")
    )

    def plan(self, desk: Desk) -> Plan:
        analysis = build.analysis(self, desk, self.fix)
        for name in self.init:
            if name in analysis.constants:
                raise errors.ParameterError(
                    f"--init {name}: {analysis.model.name} keeps {name} fixed at "
                    f"{analysis.constants[name]:g} by default; let it float with --free {name}, or "
                    f"set it with --fix {name}=VALUE."
                )
        build.look(analysis, self.fix, start=self.init)
        return Plan(analysis, parts(analysis), {"fits": 2}, ("fit.nc",))

    def answer(self, desk: Desk) -> int:
        """Fit, print, write."""
        from bknn.inference import fit, fit_null

        analysis = self.planned(desk).made
        out = desk.folder()
        result = fit(analysis, fixed=self.fix, init=self.init, method=self.method)
        # A parameter the user fixed keeps its value in the null, unless it is what makes the null.
        null = fit_null(analysis, fixed_too=self.fix)
        print(fit_table(result, null))
        if out is not None:
            from bknn.postfit.postfit import postfit

            content = fit_json(result, null, command="fit", settings=self.record())
            if desk.figures:
                output.write(out, content, {"fit": postfit(result, null)}, True)
            else:
                output.write(out, content, {}, False, {"fit": result})
        if not (result.converged and null.converged):
            print(
                "bknn: the fit did not converge; do not use its numbers (see 'fit' above).",
                file=sys.stderr,
            )
            return 1
        return 0


# What is said and written ---------------------------------------------------------------------


def fit_json(
    result: FitResult, null: FitResult, *, command: str, settings: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the content of `result.json` for a fit; `docs/result.md` describes it.

    Numbers that do not exist (an uncertainty at a bound, a fit that failed) are null, never NaN.
    """
    delta = number(float(null.twice_nll) - float(result.twice_nll))
    return content(result, command, settings, {"null": ended(null), "twice_delta_nll": delta})


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
    distribution, n = analysis.data_distribution, analysis.data_distribution.n_counts
    measured = np.asarray(analysis.data.counts if result.data is None else result.data.counts)[n:]
    expected = np.asarray(analysis.rates(result.vector))[n:]
    width = np.where(expected < measured, distribution.below, distribution.above)
    limits = {c.name: c for c in analysis.results.curves}
    rows = [
        (
            name,
            *(
                _of_limit(limits[name], m)
                if name in limits
                else (f"{x:.4g} -{low:.3g} +{high:.3g}", f"{m:.4g}")
            ),
            f"{(m - x) / w:+.2f}",
        )
        for name, x, low, high, m, w in zip(
            analysis.results.names,
            measured,
            distribution.below,
            distribution.above,
            expected,
            width,
            strict=True,
        )
    ]
    return table(("result", "measured", "best fit", "pull"), rows)


def _of_limit(limit: LimitCurve | LimitTable, root: float) -> tuple[str, str]:
    """Return what a limit is, and where a fit stands, `root` being the root of its -2 log L."""
    if getattr(limit, "kind", "") == "bound":
        told = getattr(limit, "level_text", "theory")
        kept = "kept" if root == 0.0 else "exceeded"
        return "bound of theory" if told == "theory" else told, kept
    return f"limit ({100 * limit.level:g} %)", f"{root / limit.quantile:.3g} of it"


def _pulls(result: FitResult, n: int = 4) -> str:
    """The nuisances that moved most, in units of their constraints."""
    analysis: Analysis = result.target
    index, centre, width = analysis.normal
    if not index.size:
        return ""
    pull = (result.vector[index] - centre) / width
    order = np.argsort(-np.abs(pull))[:n]
    return ", ".join(f"{analysis.names[index[i]]} {pull[i]:+.2f}" for i in order)
