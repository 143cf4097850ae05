"""The keys of `result.json` of posteriors and evidences."""

from __future__ import annotations

from bknn.answers.keys_of_fits import ESTIMATE, Keys
from bknn.answers.kinds import (
    INTEGER,
    NUMBER,
    RANGE,
    TEXT,
    YES_OR_NO,
    listing,
    mapping,
    of,
    optional,
    record,
)

_BELIEVED: Keys = {
    "converged": of(YES_OR_NO, "whether to believe it; if not, the command returns 1"),
    "status": of(TEXT, "why"),
}
SUMMARY = record(
    {
        "mode": of(
            NUMBER,
            "where the density of all parameters together is highest; on a grid the point of it",
        ),
        "marginal_mode": of(NUMBER, "where the density of this parameter alone is highest"),
        "mean": of(NUMBER, "of the draws"),
        "median": of(NUMBER, "of the draws"),
        "hdi_68": of(
            RANGE,
            "the shortest interval with 68.27% of the draws: the highest-density interval, where "
            "there is one maximum",
        ),
        "hdi_95": of(RANGE, "the same with 95%"),
        "regions_68": of(
            listing(RANGE),
            "where the density of this parameter is highest; several intervals if the posterior "
            "has several modes",
        ),
        "regions_95": of(listing(RANGE), "the same with 95%"),
        "r_hat": of(
            NUMBER,
            "rank-normalised split R-hat (arXiv:1903.08008); at most 1.01 in chains that agree, "
            "`null` of a single chain, and on a grid",
        ),
        "ess_bulk": of(NUMBER, "effective number of draws, of the middle"),
        "ess_tail": of(NUMBER, "effective number of draws, of the 5% and 95% quantiles"),
    }
)
_WORST = optional(record({"name": TEXT, "value": NUMBER}))
SAMPLING = record(
    {
        "method": of(TEXT, "`nuts`, `tempered` or `population`"),
        "chains": of(INTEGER, "how many"),
        "draws": of(INTEGER, "of each chain"),
        "warmup": of(INTEGER, "steps before the first draw"),
        "divergences": of(INTEGER, "trajectories that broke off"),
        **_BELIEVED,
        "modes": of(
            listing(
                record(
                    {
                        "values": of(mapping(NUMBER), "where it is"),
                        "share": of(NUMBER, "of the posterior, by Laplace's method"),
                        "drawn": of(NUMBER, "the part of the draws that is nearest"),
                    }
                )
            ),
            "maxima that were found before sampling",
        ),
        "worst_r_hat": of(_WORST, "of all parameters, nuisances included"),
        "least_ess_bulk": of(_WORST, "of all parameters, nuisances included"),
        "least_ess_tail": of(_WORST, "of all parameters, nuisances included"),
        "energy": of(
            NUMBER,
            "least E-BFMI of the chains (arXiv:1604.00695), 0.3 is the least that is good; `null` "
            "if not `nuts`",
        ),
        "seconds_compile": of(NUMBER, "how long it took"),
        "seconds_run": of(NUMBER, "how long it took"),
    }
)
CHECK = record(
    {
        "p": of(
            NUMBER,
            "how often data thrown at draws are at least as far from the expectation as the data",
        ),
        "p_error": of(NUMBER, "from the number of draws"),
        "draws": of(INTEGER, "how many"),
        "p_bins": of(
            listing(NUMBER), "probability of more counts than observed in each bin, equal ones half"
        ),
        "status": of(TEXT, "the same in words"),
    }
)
GRID = record(
    {
        "method": of(TEXT, "how the others are integrated out: `laplace`"),
        "parameters": of(listing(TEXT), "what is on the grid"),
        "points": of(listing(INTEGER), "how many values of each"),
        "range": of(listing(RANGE), "[first, last] of each"),
        "converged": of(
            INTEGER,
            "points at which the maximum over the nuisances was found; the command returns 1 if it "
            "is not all of them",
        ),
        "log_evidence": of(
            ESTIMATE,
            "log of the integral of likelihood times priors over the grid; the error is that of "
            "its steps, not of Laplace's method",
        ),
        "status": of(TEXT, "whether the grid is long and fine enough"),
        "seconds": of(NUMBER, "how long it took"),
    }
)
SAMPLE: Keys = {
    "fixed": of(mapping(NUMBER), "what was not sampled"),
    "posterior": of(
        mapping(SUMMARY),
        "of every parameter that was sampled, nuisances included; sets with one entry a bin are "
        "spelled `name[i]`; with `--over` those of the grid alone",
    ),
}
STUDIED = record(
    {
        "priors": of(mapping(TEXT), "of the model's own parameters"),
        "method": of(
            TEXT, "`draws`: chains with these priors; `weights`: the draws of `given`, weighted"
        ),
        "effective": of(NUMBER, "how many draws the weighted ones are worth"),
        "log_ratio": of(
            optional(record({"value": NUMBER, "error": NUMBER})),
            "natural logarithm of the evidence with these priors over that with the given ones, "
            "from weights of the draws of one of the two; null for `given`, and where they do not "
            "give it",
        ),
        "converged": of(YES_OR_NO, "whether to believe it"),
        "status": of(TEXT, "why; and why chains were run if weights would not do"),
        "posterior": of(
            mapping(record({"mean": NUMBER, "median": NUMBER, "hdi_68": RANGE, "hdi_95": RANGE})),
            "of the model's own parameters",
        ),
    }
)
_WEIGHED = record(
    {
        "value": of(NUMBER, "the best estimate"),
        "error": of(NUMBER, "one standard deviation"),
        "method": of(TEXT, "how it was found"),
        "converged": of(YES_OR_NO, "whether two methods agree within their errors"),
        "status": of(TEXT, "the same in words"),
        "estimates": of(listing(ESTIMATE), "all methods"),
        "hypothesis": of(TEXT, "what it says"),
    }
)
EVIDENCE = record(
    {
        "log_evidence": of(
            mapping(_WEIGHED, "HYPOTHESIS"),
            "natural logarithm of the probability of the data, counts and auxiliary data, averaged "
            "over the priors; the model in question first, then `free-sm`, `constrained-sm`, "
            "`background`, or what was named ([inference.md](inference.md#evidence))",
        ),
        "log10_bayes_factor": of(
            mapping(record({"value": NUMBER, "error": NUMBER, "converged": YES_OR_NO}), "A/B"),
            "decimal logarithm of the ratio of the evidences of A and B, of all pairs",
        ),
        "status": of(
            TEXT, "whether to believe them; the command returns 1 if two methods do not agree"
        ),
    }
)
