"""`[prior_study]` of a card: the posterior with other priors, by weights where those will do."""

from __future__ import annotations

import argparse

from bknn.questions import sample
from bknn.questions.shared import options, output, progress


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
    priors = options.priors(args.prior, functions=args.functions)
    named = dict.fromkeys(name for table in args.alternatives.values() for name in table)
    analysis = options.analysis(args, [*settings.fixed, *named], priors)
    tables = {label: options.called(args, t) for label, t in args.alternatives.items()}
    out, work = output.directory(args.out), options.work(args)

    from bknn.questions import prior_study as report
    from bknn.studies.prior_study import prior_study

    with progress.bar("sampling", None, "draws") as done:
        found = prior_study(
            analysis,
            tables,
            fixed=settings.fixed,
            chains=settings.chains,
            draws=settings.draws,
            warmup=settings.warmup,
            target_ess=settings.target_ess,
            minutes=settings.minutes,
            method=settings.method,
            seed=settings.seed,
            store=work,
            progress=done,
        )
    print(report.prior_study_table(found.studied))
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

        content = report.prior_study_json(found.studied, settings=record)
        output.write(out, content, {"posterior.nc": found.posterior.save}, None)
    return 0 if found.converged else 1
