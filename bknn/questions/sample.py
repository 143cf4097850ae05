"""`bknn sample`: draws of the posterior, and whether to believe them; or its values on a grid."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bknn import errors
from bknn.answers.digits import asymmetric, in_digits
from bknn.questions import marginal
from bknn.questions.shared import build, output, progress, resume, values
from bknn.questions.shared.absent import absent
from bknn.questions.shared.content import estimate_json, priors_json
from bknn.questions.shared.heading import heading, wrapped
from bknn.questions.shared.kinds import Grids, Numbers
from bknn.questions.shared.numbers import number
from bknn.questions.shared.output import Desk
from bknn.questions.shared.plan import Plan
from bknn.questions.shared.provenance import provenance
from bknn.questions.shared.question import (
    GRID,
    OfAnalysis,
    OfPriors,
    Option,
    fix_option,
    given,
    option,
    seed_option,
)
from bknn.storage.identity import parts
from bknn.tables import table

if TYPE_CHECKING:
    from bknn.analysis.analysis import Analysis
    from bknn.inference.pieces import Work
    from bknn.inference.posteriors.posterior import Posterior
    from bknn.inference.posteriors.predictive import Predictive


METHODS = ("auto", "nuts", "tempered", "population")


@dataclass(frozen=True, kw_only=True)
class OfChains(OfPriors, OfAnalysis):
    """Chains that draw from a posterior."""

    fix: Numbers = fix_option()
    chains: int = option("how many", 4, least=1)
    draws: int | None = option(
        "of each chain", None, shown="1000, and more until the chains have converged", least=4
    )
    warmup: int | None = option(
        "steps before the first draw that is kept", None, shown="the sampler chooses", least=0
    )
    target_ess: float | None = option(
        "go on until every parameter has this many effective draws, bulk and tail",
        None,
        metavar="N",
        shown="400, unless --draws is given",
    )
    minutes: float = option(
        "begin no round of draws that would end later", 30.0, metavar="N", shown="30"
    )
    method: str = option(
        "'nuts'; 'tempered' for several modes; 'population' for thin posteriors and limits; 'auto' "
        "looks which it takes",
        "auto",
        choices=METHODS,
    )
    seed: int = seed_option("the draws")

    def check(self, label: Callable[[Option], str]) -> None:
        super().check(label)
        ess, minutes = (self.called(name, label) for name in ("target_ess", "minutes"))
        if self.target_ess is not None and not self.target_ess > 0:
            raise errors.ParameterError(
                f"{ess} {self.target_ess:g} is no number of effective draws; give a positive "
                "number, as 1000."
            )
        if not self.minutes > 0:
            raise errors.ParameterError(
                f"{minutes} {self.minutes:g} is no time; give a positive number, as 30."
            )

    @property
    def of_chains(self) -> dict[str, Any]:
        """Keyword arguments of `bknn.inference.sample`."""
        names = ("chains", "draws", "warmup", "target_ess", "minutes", "method", "seed")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True, kw_only=True)
class Asked(OfChains):
    """What may be asked of a posterior."""

    name = "sample"
    summary = "draw from the posterior"
    description = (
        "Draw from the posterior of all parameters, nuisances included: modes, means, "
        "highest-density intervals, convergence, predictive checks, figures. Goes on until every "
        "parameter has 400 effective draws, for at most 30 minutes, unless --draws says how many. "
        "With --over, instead, of one to three parameters on a grid, the others integrated out by "
        "Laplace's method: seconds, without chains."
    )
    examples = """\
bknn sample signal-strength
bknn sample resonance --fix width=0.1 --prior "mass=uniform(1.5, 3.0)" \\
    "branching_ratio=uniform(0, 24e-6)" --out results/
bknn sample resonance --fix mass=2.1 --draws 2000 --target-ess 5000
bknn sample wet --method nuts --out results/ --resume
bknn sample resonance --over mass=0.5:4.5:161 branching_ratio=0:3e-5:49
"""
    resumes = True

    over: Grids = option(
        f"no chains, but a grid of one to three parameters, as wide as: {GRID}", {}, keyword=""
    )
    predictive: int = option(
        "draws of the prior and posterior predictive checks, 0 for none", 1000, least=0, keyword=""
    )

    def plan(self, desk: Desk) -> Plan:
        if self.over:
            self._refuse_chains(desk)
            return marginal.plan(self, desk)
        analysis = build.analysis(self, desk, self.fix)
        build.look(analysis, self.fix)
        values.room(self.chains * (self.draws or 0), 16 * (analysis.size + 10), "--draws")
        predicted = ("prior_predictive.nc", "posterior_predictive.nc") if self.predictive else ()
        does = {"draws": self.chains * (self.draws or 1000)}
        return Plan(analysis, parts(analysis), does, ("posterior.nc", *predicted))

    def answer(self, desk: Desk) -> int:
        """Sample, print, write; without chains if there is a grid."""
        analysis = self.planned(desk).made
        if self.over:
            return marginal.answer(self, desk)
        out = desk.folder()
        with resume.kept(desk, self.planned(desk).content, self.record(), out) as work:
            found = self._compute(analysis, work)
            # What is done is kept until this is written.
            return tell(found, out, self.record(), figures=desk.figures)

    def _refuse_chains(self, desk: Desk) -> None:
        """Refuse what is about chains, where there are none."""
        names = ("chains", "draws", "warmup", "target_ess", "minutes", "method", "predictive")
        said = desk.given.union(given(names, self))
        found = [f"--{name.replace('_', '-')}" for name in names if name in said]
        found += ["--resume"] if desk.resume else []
        if found:
            verb = "is" if len(found) == 1 else "are"
            raise errors.ParameterError(
                f"{', '.join(found)} {verb} about chains, and with --over there are none; leave "
                "out one or the other."
            )

    def _compute(self, analysis: Analysis, work: Work | None) -> Sampled:
        """Draw from the posterior, and predict counts from the prior and from it."""
        from bknn.inference.posteriors.predictive import posterior_predictive, prior_predictive
        from bknn.inference.posteriors.sample import sample

        exactly = self.draws is not None and self.target_ess is None
        total = self.chains * self.draws if exactly and self.draws else None
        with progress.bar("sampling", total, "draws") as done:
            posterior = sample(
                analysis,
                fixed=self.fix or None,
                **self.of_chains,
                store=None if work is None else work.within("posterior"),
                progress=done,
            )
        predicted: list[Predictive] = []
        if n := self.predictive:
            if can_be_drawn(analysis, self.fix):
                predicted.append(prior_predictive(analysis, n, fixed=self.fix, seed=self.seed))
            predicted.append(posterior_predictive(posterior, n, seed=self.seed))
        return Sampled(posterior, tuple(predicted))


@dataclass(frozen=True, eq=False)
class Sampled:
    """What `bknn sample` found."""

    posterior: Posterior
    predicted: tuple[Predictive, ...]


def can_be_drawn(analysis: Analysis, fixed: Mapping[str, float]) -> bool:
    """Return whether every parameter has a proper prior."""
    from bknn.inference.posteriors.predictive import draw_prior

    try:
        draw_prior(analysis, 1, np.random.default_rng(0), fixed)
    except errors.ParameterError:
        return False
    return True


def tell(
    found: Sampled, out: Path | None, record: Mapping[str, Any], *, figures: bool = True
) -> int:
    """Print what was found, write it, and return the exit code: 1 if it is not to be believed."""
    posterior, predicted = found.posterior, found.predicted
    print(posterior_table(posterior, predicted))
    if out is not None:
        output.write(
            out,
            posterior_json(posterior, predicted, settings=record),
            {"posterior": posterior, **{f"{x.kind}_predictive": x for x in predicted}},
            figures,
        )
    if not posterior.converged:
        print(
            "bknn: the chains have not converged; do not use these numbers (see 'sampling' above).",
            file=sys.stderr,
        )
        return 1
    return 0


# What is said and written ---------------------------------------------------------------------


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
    for of_each, sign in (
        (posterior.r_hat, -1),
        (posterior.ess_bulk, 1),
        (posterior.ess_tail, 1),
    ):
        of_each = np.asarray(of_each, float)
        known = np.flatnonzero(np.isfinite(of_each) & np.asarray(posterior.moving))
        if not known.size:
            found.append(None)
            continue
        i = known[np.argmin(sign * of_each[known])]
        found.append({"name": posterior.names[i], "value": float(of_each[i])})
    return found


def energy(posterior: Posterior) -> float:
    """Return the smallest E-BFMI of the chains (arXiv:1604.00695); NaN where there is none."""
    if posterior.method != "nuts" or "energy" not in posterior.stats or posterior.n_draws < 2:
        return math.nan
    return float(np.min(posterior.bfmi))


def _absent(posterior: Posterior) -> list[str]:
    draws = posterior.draws.reshape(-1, posterior.draws.shape[-1])
    return absent(posterior.analysis, draws, "draws")


def _derived(posterior: Posterior) -> list[str]:
    """Return lines with the medians and central 68 % of the derived quantities of a model."""
    from bknn.prediction import derived_quantities
    from bknn.studies.observables.propagation import derived_of_draws

    declared, found = derived_quantities(posterior.analysis.model), []
    for name, draws in derived_of_draws(posterior).items():
        low, median, high = np.quantile(draws, [0.16, 0.5, 0.84])
        said = asymmetric(float(median), float(low), float(high), declared[name].unit)
        found.append(f"derived          {name}: {said}")
    return found


def posterior_table(posterior: Posterior, predicted: Sequence[Predictive] = ()) -> str:
    """Return the table that `bknn sample` prints."""
    from bknn.inference.posteriors.posterior import LEAST_BFMI

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
    lines += _derived(posterior)
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
        lines.append(f"log evidence     {posterior.log_evidence}")
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
    error, largest = 0.5 * (high - low), float(np.max(np.abs(found["regions_95"])))

    def text(value: float) -> str:
        return in_digits(float(value), error, largest)[0]

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
