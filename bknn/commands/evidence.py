"""`bknn evidence`: how probable the data are under a model, and under what it competes with."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bknn import errors
from bknn.commands import checkpoints, options, output, progress

if TYPE_CHECKING:
    from bknn.analysis.analysis import Analysis
    from bknn.inference.evidences.comparison import Comparison
    from bknn.inference.pieces import Work

#: What a model competes with, if nothing is said.
FREE, CONSTRAINED, BACKGROUND = "free-sm", "constrained-sm", "background"

#: Prior of the signal strength of the free standard model.
MU = "uniform(0, 20)"

_EXAMPLES = """\
examples:
  bknn evidence resonance --fix width=0.1 --prior "mass=uniform(1.5, 3.0)" \\
      "branching_ratio=uniform(0, 24e-6)" --out results/
  bknn evidence resonance background
  bknn evidence resonance scalar-pair wet
  bknn evidence resonance free-sm --prior "mu=uniform(0, 10)"
"""


@dataclass(frozen=True, eq=False)
class Hypothesis:
    """Something that may be true.

    Attributes:
        name: a word.
        meaning: in a sentence.
        analysis: a model and the data.
        fixed: {name: value} of parameters that do not float.
    """

    name: str
    meaning: str
    analysis: Analysis
    fixed: Mapping[str, float]


def add(commands: Any) -> None:
    """Add the command and its options."""
    parser = options.command(
        commands,
        "evidence",
        run,
        help="evidences and Bayes factors",
        description="The evidence of a model (the probability of the data, averaged over the "
        "priors), of the standard model with its rate free and constrained, and of no signal at "
        "all; and their Bayes factors.",
        epilog=_EXAMPLES,
    )
    options.add_analysis(parser, seed="of the draws (default 0)")
    parser.add_argument(
        "against",
        nargs="*",
        metavar="OTHER",
        help=f"other models, or {FREE!r}, {CONSTRAINED!r}, {BACKGROUND!r} (default: these three)",
    )
    options.add_fix(parser)
    options.add_priors(parser)
    parser.add_argument("--chains", type=int, default=4, metavar="N", help="how many (default 4)")
    parser.add_argument(
        "--draws",
        type=int,
        default=1000,
        metavar="N",
        help="of each chain and hypothesis (default 1000); more of them, smaller errors",
    )
    checkpoints.add(parser)
    options.add_output(parser)


def run(args: argparse.Namespace) -> int:
    """Compute, print, write."""
    fixed = options.values(args.fix, "--fix")
    priors = options.priors(args.prior, functions=args.functions)
    chains = options.number(args.chains, "--chains")
    draws = options.number(args.draws, "--draws", 4)
    asked = hypotheses(args, fixed, priors)
    analysis = asked[0].analysis
    record = options.settings(
        args,
        against=[h.name for h in asked[1:]],
        fix=fixed,
        prior=priors,
        chains=chains,
        draws=draws,
    )
    out = output.directory(args.out)
    with checkpoints.kept(args, analysis, record, out) as work:
        found = compute(asked, chains=chains, draws=draws, seed=args.seed, work=work)
    return report(found, asked, out, record, figures=not args.no_figures)


def compute(
    asked: Sequence[Hypothesis],
    *,
    chains: int = 4,
    draws: int = 1000,
    seed: int = 0,
    work: Work | None = None,
) -> Comparison:
    """Compute the evidence of each hypothesis.

    Args:
        asked: the hypotheses.
        chains, draws: how many, of each hypothesis.
        seed: of the random numbers.
        work: where to keep what is done.
    """
    from bknn.inference.evidences.comparison import Comparison
    from bknn.inference.evidences.evidence import evidence

    found = {}
    for h in asked:
        with progress.bar(f"evidence of {h.name}", unit="draws") as done:
            found[h.name] = evidence(
                h.analysis,
                fixed=dict(h.fixed) or None,
                chains=chains,
                draws=draws,
                seed=seed,
                store=None if work is None else work.within(h.name),
                progress=done,
            )
    return Comparison(found)


def hypotheses(
    args: argparse.Namespace, fixed: Mapping[str, float], priors: Mapping[str, str]
) -> list[Hypothesis]:
    """Return the hypotheses that the options name, the model in question first.

    A value or prior of a parameter that the model does not have is for the others.
    """
    from bknn import models

    known = [*models.available(), FREE, CONSTRAINED, BACKGROUND]
    for name in args.against:
        if name not in known:
            raise errors.unknown("model or hypothesis", name, known)
    others = list(dict.fromkeys(args.against)) or [FREE, CONSTRAINED, BACKGROUND]
    physics = {args.model: options.model(args)}
    for name in others:
        if name in (FREE, BACKGROUND):
            physics["signal-strength"] = models.load("signal-strength")
        elif name != CONSTRAINED:
            physics[name] = models.load(name)
    owned = {name: {p.name for p in m.parameters} for name, m in physics.items()}
    anywhere = set().union(*owned.values())

    def mine(table: Mapping[str, Any], model: str) -> dict[str, Any]:
        """What is said of this model; names that none has are an error of the first."""
        first = model == args.model
        return {
            k: v for k, v in table.items() if k in owned[model] or (first and k not in anywhere)
        }

    def held(analysis: Analysis) -> dict[str, float]:
        """What is kept in this analysis, nuisances of the measurement included."""
        names = {*analysis.names, *owned[analysis.model.name]}
        return {k: v for k, v in fixed.items() if k in names}

    def built(model: str, more: Mapping[str, str]) -> Analysis:
        given = args
        if model != args.model:
            blank: dict[str, Any] = {
                "model": model, "form_factors": [], "inputs": None, "basis": None,
                "long_distance": False, "wilson_coefficients": None, "free": [], "bounds": [],
            }  # fmt: skip
            given = argparse.Namespace(**{**vars(args), **blank})
        return options.analysis(given, mine(fixed, model), {**more, **mine(priors, model)})

    analysis = built(args.model, {})
    own = mine(fixed, args.model)
    for name in own:
        analysis.index(name)  # a name that nobody has gets its close matches
    text = "".join(f"; {k} = {v:g}" for k, v in own.items())
    found = [Hypothesis(args.model, f"{analysis.model.description}{text}", analysis, own)]
    for name in others:
        if name == CONSTRAINED:
            # What is constrained stays free: its constraint is part of the evidence.
            loose = {p.name for p in analysis.parameters if p.constraint is None}
            null = {k: v for k, v in analysis.null_values().items() if k in loose}
            if args.against and not null:
                raise errors.ParameterError(
                    f"{CONSTRAINED}: {args.model} has no parameter whose value makes it the "
                    "standard model, so it is no hypothesis of its own; leave it out."
                )
            if null:
                values = ", ".join(f"{k} = {v:.6g}" for k, v in null.items())
                meaning = f"the standard model within its uncertainty: {args.model} at {values}"
                found.append(Hypothesis(name, meaning, analysis, {**own, **null}))
        elif name in (FREE, BACKGROUND):
            other = built("signal-strength", {"mu": MU})
            prior = other.parameters[0].prior_with_range
            if name == BACKGROUND:
                found.append(
                    Hypothesis(name, "no signal at all", other, {**held(other), "mu": 0.0})
                )
            elif args.model != "signal-strength":
                meaning = f"the standard model with a free rate, mu {prior}"
                found.append(Hypothesis(name, meaning, other, held(other)))
        elif name != args.model:
            other = built(name, {})
            found.append(Hypothesis(name, other.model.description, other, held(other)))
    return found


def report(
    found: Comparison,
    asked: Sequence[Hypothesis],
    out: Path | None,
    record: Mapping[str, Any],
    *,
    figures: bool = True,
) -> int:
    """Print what was found, write it, and return the exit code: 1 if it is not to be believed."""
    from bknn import report

    analysis = asked[0].analysis
    meanings = {h.name: h.meaning for h in asked}
    print(report.evidence_table(found, meanings, analysis))
    if out is not None:

        def draw(folder: Path) -> list[Path]:
            from bknn import plot

            return plot.save(plot.evidence(found, analysis), folder / "evidence")

        output.write(
            out,
            report.evidence_json(found, meanings, analysis, settings=record),
            {},
            draw if figures else None,
        )
    if not found.agreed:
        print(
            "bknn: the methods do not agree on an evidence; do not use it (see 'evidence' above).",
            file=sys.stderr,
        )
        return 1
    return 0
