"""`bknn sample --over`: the posterior of a few parameters on a grid, without chains."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from bknn import errors
from bknn.commands import options, output, progress

#: Options that are about chains, {name: default}.
CHAINS: dict[str, Any] = {
    "chains": 4,
    "draws": None,
    "warmup": None,
    "target_ess": None,
    "minutes": 30.0,
    "method": "auto",
    "predictive": 1000,
    "resume": False,
}


class OfChains(argparse.Action):
    """Stores a value, and that it was given: without chains it has no meaning."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        setattr(namespace, self.dest, values)
        namespace.of_chains = [*getattr(namespace, "of_chains", []), self.dest]


def run(args: argparse.Namespace) -> int:
    """Compute, print, write."""
    _refuse_chains(args)
    over, fixed = options.grids(args.over), options.values(args.fix, "--fix")
    priors = options.priors(args.prior, functions=args.functions)
    analysis = options.analysis(args, [*over, *fixed], priors)

    from bknn import report
    from bknn.inference.posteriors.marginal import marginal

    out = output.directory(args.out)
    start = time.perf_counter()
    points = int(np.prod([len(grid) for grid in over.values()]))
    with progress.bar("grid", points, "points") as done:
        found = marginal(analysis, over, fixed=fixed, progress=done)
    seconds = time.perf_counter() - start
    print(report.marginal_table(found, seconds))
    if out is not None:
        settings = options.settings(
            args, over=dict(text.split("=", 1) for text in args.over), fix=fixed, prior=priors
        )

        def figure(folder: Path) -> list[Path]:
            from bknn import plot

            return plot.save(plot.marginal(found), folder / "marginal")

        output.write(
            out,
            report.marginal_json(found, seconds, settings=settings),
            {"grid.nc": lambda path: report.write_marginal(found, path)},
            None if args.no_figures else figure,
        )
    for problem in found.problems:
        print(f"bknn: {problem}.", file=sys.stderr)
    return 0 if found.converged.all() else 1


def _refuse_chains(args: argparse.Namespace) -> None:
    """Refuse what is about chains; cards say nothing if it is as by default."""
    given = set(getattr(args, "of_chains", []))
    given |= {name for name, default in CHAINS.items() if getattr(args, name, default) != default}
    if given:
        names = [f"--{name.replace('_', '-')}" for name in CHAINS if name in given]
        verb = "is" if len(names) == 1 else "are"
        raise errors.ParameterError(
            f"{', '.join(names)} {verb} about chains, and with --over there are none; leave out "
            "one or the other."
        )
