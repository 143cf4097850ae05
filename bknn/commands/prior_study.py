"""`[prior_study]` of a card: the posterior with other priors, by weights where those will do."""

from __future__ import annotations

import argparse
from pathlib import Path

from bknn import errors
from bknn.commands import options, output, sample

#: What the posterior with the priors of the card is called.
GIVEN = "given"


def run(args: argparse.Namespace) -> int:
    """Sample with the priors of the card, then look at the others; print, write."""
    settings = sample.Settings(
        fixed=options.values(args.fix, "fix"),
        chains=args.chains,
        draws=args.draws,
        warmup=args.warmup,
        target_ess=args.target_ess,
        minutes=args.minutes,
        method=args.method,
        seed=args.seed,
        predictive=0,
    ).check()
    if GIVEN in args.alternatives:
        raise errors.ParameterError(
            f"alternatives.{GIVEN}: {GIVEN!r} is what the priors of [priors] are called; choose "
            "another word."
        )
    priors = options.priors(args.prior, functions=args.functions)
    named = dict.fromkeys(name for table in args.alternatives.values() for name in table)
    analysis = options.analysis(args, [*settings.fixed, *named], priors)
    tables = {label: options.called(args, t) for label, t in args.alternatives.items()}
    others = {label: analysis.with_priors(t) for label, t in tables.items()}
    out, work = output.directory(args.out), options.work(args)

    from bknn import report
    from bknn.inference.posteriors.reweight import reweight
    from bknn.studies.prior_study import Studied

    posterior = sample.compute(analysis, settings, work=work.within(GIVEN)).posterior
    found = {GIVEN: Studied(posterior)}
    for label, table in tables.items():
        weights = reweight(posterior, table)
        if weights.trusted:
            found[label] = Studied(posterior, weights)
        else:
            anew = sample.compute(others[label], settings, work=work.within(label)).posterior
            found[label] = Studied(anew, why=weights.status)
    print(report.prior_study_table(found))
    if out is not None:
        record = options.settings(
            args,
            alternatives={label: dict(table) for label, table in args.alternatives.items()},
            fix=dict(settings.fixed),
            prior=priors,
            chains=settings.chains,
            draws=settings.draws,
            warmup=settings.warmup,
            target_ess=settings.target_ess,
            minutes=settings.minutes,
            method=settings.method,
        )

        def save(path: Path) -> Path:
            return posterior.save(path)

        content = report.prior_study_json(found, settings=record)
        output.write(out, content, {"posterior.nc": save}, None)
    return 0 if all(x.posterior.converged for x in found.values()) else 1
