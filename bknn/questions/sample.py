"""`bknn sample`: draws of the posterior, and whether to believe them; or its values on a grid."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bknn import errors
from bknn.questions import marginal
from bknn.questions.shared import options, output, progress, resume
from bknn.questions.shared.absent import absent
from bknn.questions.shared.content import estimate_json, priors_json
from bknn.questions.shared.heading import heading, wrapped
from bknn.questions.shared.numbers import in_digits, number
from bknn.questions.shared.provenance import provenance
from bknn.tables import table

if TYPE_CHECKING:
    from bknn.analysis.analysis import Analysis
    from bknn.inference.pieces import Work
    from bknn.inference.posteriors.posterior import Posterior
    from bknn.inference.posteriors.predictive import Predictive

METHODS = ("auto", "nuts", "tempered")

_EXAMPLES = """\
examples:
  bknn sample signal-strength
  bknn sample resonance --fix width=0.1 --prior "mass=uniform(1.5, 3.0)" \\
      "branching_ratio=uniform(0, 24e-6)" --out results/
  bknn sample resonance --fix mass=2.1 --draws 2000 --target-ess 5000
  bknn sample wet --method nuts --out results/ --resume
  bknn sample resonance --over mass=0.5:4.5:161 branching_ratio=0:3e-5:49
"""


@dataclass(frozen=True)
class Settings:
    """What `bknn sample` can be told.

    Attributes:
        fixed: {name: value} of parameters that do not float.
        chains, draws, warmup: how many. None stands for 1000 draws and more, until the chains have
            converged, and for a warm-up that the sampler chooses.
        target_ess: go on until every parameter has so many effective draws.
        minutes: no round of draws is begun that would end later.
        method: "nuts", "tempered", or "auto".
        seed: of the random numbers.
        predictive: draws for prior and posterior predictive checks, 0 for none.
    """

    fixed: Mapping[str, float] = field(default_factory=dict)
    chains: int = 4
    draws: int | None = None
    warmup: int | None = None
    target_ess: float | None = None
    minutes: float = 30.0
    method: str = "auto"
    seed: int = 0
    predictive: int = 1000

    def check(self) -> Settings:
        """Return the settings if they make sense.

        Raises:
            ParameterError: they do not.
        """
        options.number(self.chains, "--chains")
        if self.draws is not None:
            options.number(self.draws, "--draws", 4)
        options.number(self.predictive, "--predictive", 0)
        if self.warmup is not None:
            options.number(self.warmup, "--warmup", 0)
        if self.target_ess is not None and not self.target_ess > 0:
            raise errors.ParameterError(
                f"--target-ess {self.target_ess:g} is no number of effective draws; give a "
                "positive number, as 1000."
            )
        if not self.minutes > 0:
            raise errors.ParameterError(
                f"--minutes {self.minutes:g} is no time; give a positive number, as 30."
            )
        if self.method not in METHODS:
            raise errors.unknown("method", self.method, METHODS)
        return self


@dataclass(frozen=True, eq=False)
class Sampled:
    """What `bknn sample` found."""

    posterior: Posterior
    predicted: tuple[Predictive, ...]


def add(commands: Any) -> None:
    """Add the command and its options."""
    parser = options.command(
        commands,
        "sample",
        run,
        help="draw from the posterior",
        description="Draw from the posterior of all parameters, nuisances included: modes, means, "
        "highest-density intervals, convergence, predictive checks, figures. Goes on until every "
        "parameter has 400 effective draws, for at most 30 minutes, unless --draws says how many. "
        "With --over, instead, "
        "of one to three parameters on a grid, the others integrated out by Laplace's method: "
        "seconds, without chains.",
        epilog=_EXAMPLES,
    )
    options.add_analysis(parser, seed="of the draws (default 0)")
    options.add_fix(parser)
    options.add_priors(parser)
    options.add_over(
        parser, "no chains, but a grid of one to three parameters, as wide as", required=False
    )
    _add_chains(parser)
    resume.add(parser)
    options.add_output(parser)


def _add_chains(parser: argparse.ArgumentParser) -> None:
    """The options that have no meaning without chains."""
    defaults, given = marginal.CHAINS, marginal.OfChains
    parser.add_argument(
        "--chains",
        type=int,
        action=given,
        default=defaults["chains"],
        metavar="N",
        help="how many (default 4)",
    )
    parser.add_argument(
        "--draws",
        type=int,
        action=given,
        default=defaults["draws"],
        metavar="N",
        help="of each chain (default: 1000, and more until the chains have converged)",
    )
    parser.add_argument(
        "--warmup",
        type=int,
        action=given,
        metavar="N",
        help="steps before the first draw that is kept",
    )
    parser.add_argument(
        "--target-ess",
        type=float,
        action=given,
        metavar="N",
        help="go on until every parameter has so many effective draws, bulk and tail (default "
        "400, unless --draws is given)",
    )
    parser.add_argument(
        "--minutes",
        type=float,
        action=given,
        default=defaults["minutes"],
        metavar="N",
        help="begin no round of draws that would end later (default 30)",
    )
    parser.add_argument(
        "--method",
        choices=METHODS,
        action=given,
        default=defaults["method"],
        help="'nuts'; 'tempered' for several modes; 'auto' (default) looks which it takes",
    )
    parser.add_argument(
        "--predictive",
        type=int,
        action=given,
        default=defaults["predictive"],
        metavar="N",
        help="draws of the prior and posterior predictive checks (default 1000, 0 for none)",
    )


def run(args: argparse.Namespace) -> int:
    """Sample, print, write; without chains if there is a grid."""
    if args.over:
        return marginal.run(args)
    settings = Settings(
        fixed=options.values(args.fix, "--fix"),
        chains=args.chains,
        draws=args.draws,
        warmup=args.warmup,
        target_ess=args.target_ess,
        minutes=args.minutes,
        method=args.method,
        seed=args.seed,
        predictive=args.predictive,
    ).check()
    priors = options.priors(args.prior, functions=args.functions)
    analysis = options.analysis(args, settings.fixed, priors)
    record = options.settings(
        args,
        fix=dict(settings.fixed),
        prior=priors,
        chains=settings.chains,
        draws=settings.draws,
        warmup=settings.warmup,
        target_ess=settings.target_ess,
        minutes=settings.minutes,
        method=settings.method,
        predictive=settings.predictive,
    )
    out = output.directory(args.out)
    with resume.kept(args, analysis, record, out) as work:
        found = compute(analysis, settings, work=work)
    return report(found, out, record, figures=not args.no_figures)


def compute(analysis: Analysis, settings: Settings, *, work: Work | None = None) -> Sampled:
    """Draw from the posterior, and predict counts from the prior and from it.

    Args:
        analysis: what to sample.
        settings: how.
        work: where to keep what is done, for a run that goes on after an interruption.
    """
    from bknn.inference.posteriors.predictive import posterior_predictive, prior_predictive
    from bknn.inference.posteriors.sample import sample

    exactly = settings.draws is not None and settings.target_ess is None
    total = settings.chains * settings.draws if exactly and settings.draws else None
    with progress.bar("sampling", total, "draws") as done:
        posterior = sample(
            analysis,
            fixed=dict(settings.fixed) or None,
            chains=settings.chains,
            draws=settings.draws,
            warmup=settings.warmup,
            seed=settings.seed,
            method=settings.method,
            target_ess=settings.target_ess,
            minutes=settings.minutes,
            store=None if work is None else work.within("posterior"),
            progress=done,
        )
    predicted: list[Predictive] = []
    if settings.predictive:
        n, seed = settings.predictive, settings.seed
        if can_be_drawn(analysis, settings.fixed):
            predicted.append(prior_predictive(analysis, n, fixed=settings.fixed, seed=seed))
        predicted.append(posterior_predictive(posterior, n, seed=seed))
    return Sampled(posterior, tuple(predicted))


def can_be_drawn(analysis: Analysis, fixed: Mapping[str, float]) -> bool:
    """Return whether every parameter has a proper prior."""
    from bknn.inference.posteriors.predictive import draw_prior

    try:
        draw_prior(analysis, 1, np.random.default_rng(0), fixed)
    except errors.ParameterError:
        return False
    return True


def report(
    found: Sampled, out: Path | None, record: Mapping[str, Any], *, figures: bool = True
) -> int:
    """Print what was found, write it, and return the exit code: 1 if it is not to be believed."""

    posterior, predicted = found.posterior, found.predicted
    print(posterior_table(posterior, predicted))
    if out is not None:

        def draw(folder: Path) -> list[Path]:
            from bknn import plot

            return plot.posterior_figures(posterior, folder, predicted=predicted)

        output.write(
            out,
            posterior_json(posterior, predicted, settings=record),
            {"posterior.nc": posterior.save},
            draw if figures else None,
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
