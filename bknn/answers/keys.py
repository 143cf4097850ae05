"""The keys of `result.json`, command by command: their types, and what they mean."""

from __future__ import annotations

from collections.abc import Mapping

from bknn.answers.keys_of_fits import (
    ABSENT,
    BEST,
    COMMON,
    CONTOURS,
    DATA,
    ENDED,
    ESTIMATE,
    FIT,
    GOODNESS,
    IMPACTS,
    INTERVAL,
    LIMIT,
    MODEL,
    PRIORS,
    PROFILE,
    PROVENANCE,
    SIGNIFICANCE,
    TOYS,
    TWO_SIDED,
    UNIFIED,
    Keys,
)
from bknn.answers.keys_of_posteriors import (
    CHECK,
    EVIDENCE,
    GRID,
    SAMPLE,
    SAMPLING,
    STUDIED,
)
from bknn.answers.kinds import (
    INTEGER,
    NUMBER,
    NUMBERS,
    NUMBERS_OF_ANY_DEPTH,
    RANGE,
    TEXT,
    YES_OR_NO,
    either,
    listing,
    mapping,
    of,
    optional,
    record,
)

# Predictions, scenarios, projections --------------------------------------------------------------

_ASKED: Keys = {
    "observable": of(TEXT, "see [predictions.md](predictions.md)"),
    "channel": of(optional(TEXT), "of which decay; `null` of a derived quantity"),
    "q2": of(
        optional(RANGE),
        "bin in GeV<sup>2</sup>; a point is [a, a]; `null` is all of phase space",
    ),
    "part": of(TEXT, '"all", or "new" for the new state alone, without the standard model'),
}
_PREDICTED = record(
    {
        **_ASKED,
        "value": of(
            NUMBER,
            "dBR/dq2 in GeV<sup>-2</sup>, all others without a unit; at the point, at the best "
            "fit, or the median of a posterior",
        ),
        "uncertainty": of(
            NUMBER,
            "one standard deviation, from form factors and constrained parameters (0 if there are "
            "none); from a fit, of everything",
        ),
    },
    {
        "around": of(
            NUMBER, "from a fit: half width in GeV<sup>2</sup> of a bin around mass<sup>2</sup>"
        ),
        "68": of(RANGE, "from a fit: range; `null` is an end that there is not"),
        "95": of(RANGE, "the same"),
        "remark": of(TEXT, "from a fit: what is to be said of the ranges, empty if nothing"),
    },
)
_METHOD: Keys = {"method": of(TEXT, '"profile", "hessian" or "posterior"')}
_PREDICTIONS: Keys = {
    "predictions": of(
        listing(_PREDICTED), "one entry for each channel, observable and range of q2, in this order"
    )
}
_COMPARED = record(
    {
        **MODEL,
        **DATA,
        **FIT,
        **_METHOD,
        **_PREDICTIONS,
        "provenance": COMMON["provenance"],
    },
    ABSENT,
)
_SCENARIO = record(
    {
        "model": of(TEXT, "its name"),
        "couplings": of(mapping(NUMBER), "that float, at the best fit"),
        "delta": of(NUMBER, "-2 ln(L / L of the standard model)"),
        "local_significance": of(NUMBER, "of the coupling at the best mass, by Wilks' theorem"),
        "twice_nll": of(NUMBER, "of the best fit"),
        "twice_nll_standard_model": of(NUMBER, "without the new particle"),
        "status": of(TEXT, "how the fit ended"),
    },
    {
        "mass": of(
            record(
                {
                    "value": of(NUMBER, "at the best fit, GeV"),
                    "low": of(NUMBER, "end of the 68% interval"),
                    "high": of(NUMBER, "end of the 68% interval"),
                    "status": of(TEXT, "what is to be said of it"),
                }
            ),
            "of scenarios with one",
        ),
        "curve": of(
            record({"mass": listing(NUMBER), "delta": listing(NUMBER)}), "`delta` over the mass"
        ),
    },
)
_REGION = record(
    {
        "best": of(mapping(NUMBER), "of both parameters"),
        "twice_nll": of(NUMBER, "the lowest"),
        "contours": of(CONTOURS, "for N sigma of two parameters"),
        "status": of(TEXT, "what is to be said"),
    }
)
_EXCLUDED = record(
    {
        "delta": of(
            NUMBERS,
            "-2 log L, nuisances fitted; of counts above the lowest, of other numbers above 0; "
            "`null` where the data set says nothing",
        ),
        "level": of(NUMBER, "of `delta`, above which is excluded at 95%"),
        "excluded": of(NUMBER, "part of the points that is"),
    },
    {
        "ratio": of(NUMBERS, "of bounds of theory: of a quantity to its bound, the largest"),
        "error": of(NUMBER, "of `delta` where that is small, if it was interpolated"),
    },
)
_WORTH = record(
    {
        "luminosity": of(NUMBER, "in ab<sup>-1</sup>"),
        "largest": of(NUMBER, "the logarithm of the number of scenarios"),
        "measurements": of(
            listing(
                record(
                    {
                        "name": of(TEXT, "of the measurement"),
                        "scenario": of(NUMBER, "what it would tell about which is true, in nats"),
                        "scenario_error": of(NUMBER, "from the number of draws"),
                        "parameters": of(mapping(NUMBER, "SCENARIO"), "about couplings and mass"),
                    }
                )
            ),
            "the most telling first",
        ),
        "precision": of(
            mapping(record({"sigma": listing(NUMBER), "scenario": listing(NUMBER)}), "RESULT"),
            "the same for results of other precision",
        ),
    }
)
_TOY_CHECK = record(
    {
        "true": of(TEXT, "scenario"),
        "tested": of(TEXT, "scenario"),
        "delta": of(NUMBER, "expected"),
        "median": of(NUMBER, "of toys of the true one"),
        "p": of(NUMBER, "toys of the tested one beyond it"),
        "p_error": of(NUMBER, "from the number of toys"),
        "z_of_spread": of(NUMBER, "significance from the spread of the toys"),
        "toys": of(INTEGER, "how many"),
    }
)
_OUTLOOK: Keys = {
    "scenarios": of(listing(TEXT), "the hypotheses; the first, `sm`, is the standard model"),
    "truths": of(
        mapping(mapping(NUMBER), "SCENARIO"),
        "where each is true: the best fit to the data of today",
    ),
    "systematics": of(TEXT, "rule of the projection ([projections.md](projections.md))"),
    "expected": of(listing(TEXT), "results to come that are in it"),
    "luminosities": of(listing(NUMBER), "in ab<sup>-1</sup>"),
    "z": of(NUMBERS, "expected significance of the exclusion, [luminosity][true][tested]"),
    "delta": of(NUMBERS, "its square"),
    "converged": of(listing(listing(listing(YES_OR_NO))), "whether the fit did"),
    "luminosity_for": of(
        mapping(NUMBERS, "Z"),
        "in ab<sup>-1</sup>, [true][tested]; `null` beyond the largest one, and on the diagonal",
    ),
    "checks": of(listing(_TOY_CHECK), "toys of entries"),
    "worth": of(optional(_WORTH), "what measurements would tell, in nats"),
}
_TASK = record(
    {
        "exit_code": of(INTEGER, "of its command"),
        "files": of(listing(TEXT), "what it wrote"),
    }
)

_COUPLINGS = mapping(NUMBER, "FERMION")
_VECTOR: Keys = {
    "vector": of(TEXT, "what the vector is called"),
    "couplings": of(
        record(
            {
                "vector": of(_COUPLINGS, "g_V of each fermion ([vectors.md](vectors.md))"),
                "axial": of(_COUPLINGS, "g_A"),
            }
        ),
        "to the fermions of the standard model",
    ),
    "widths": of(
        listing(
            record(
                {
                    "mass": of(NUMBER, "GeV"),
                    "width": of(NUMBER, "GeV, the total one"),
                    "lifetime": of(optional(NUMBER), "ps; `null` of a vector that does not decay"),
                    "p_invisible": of(
                        NUMBER, "probability to stay invisible, made in B+ -> K+ and the vector"
                    ),
                    "partial_widths": of(
                        mapping(NUMBER, "CHANNEL"), "GeV, of channels that open somewhere"
                    ),
                }
            )
        ),
        "one entry a mass",
    ),
    "left_out": of(
        mapping(INTEGER, "RESONANCE"), "how many masses were left out, at which narrow resonance"
    ),
}

#: {command: (keys that it has besides those of all, keys that it may have)}.
COMMANDS: Mapping[str, tuple[Keys, Keys]] = {
    "fit": (
        {
            **MODEL,
            **DATA,
            **FIT,
            "null": of(
                record(ENDED),
                "the same model with its parameters at their values in the standard model (for "
                "`resonance` no X, for `signal-strength` mu = 1, for `wet` C_VL = "
                "X_t/s_w<sup>2</sup>, for new particles couplings of 0), nuisances fitted; what "
                "was fixed with `--fix` stays so",
            ),
            "twice_delta_nll": of(
                NUMBER,
                "`null.twice_nll - fit.twice_nll`; negative only if `--fix` keeps the fit away "
                "from better points",
            ),
        },
        ABSENT,
    ),
    "profile": (
        {**MODEL, **DATA, **FIT, "profile": of(PROFILE, "over the grid")},
        {
            "intervals": of(mapping(INTERVAL), "68.27% and 95%, if asked for"),
            "contours": of(CONTOURS, "of two parameters, for N = 1, 2, 3 sigma"),
            **ABSENT,
        },
    ),
    "limit": (
        {**MODEL, **DATA, **FIT, "limit": of(LIMIT, "upper limits")},
        {
            "two_sided": of(TWO_SIDED, "intervals, if asked for"),
            "feldman_cousins": of(UNIFIED, "of the unified approach, if asked for"),
            **ABSENT,
        },
    ),
    "significance": (
        {**MODEL, **DATA, **FIT, "significance": of(SIGNIFICANCE, "of the signal")},
        ABSENT,
    ),
    "toys": (
        {**MODEL, **DATA, **FIT, "toys": of(TOYS, "what they found")},
        {"goodness_of_fit": of(GOODNESS, "if asked for"), **ABSENT},
    ),
    "impacts": ({**MODEL, **DATA, **FIT, **IMPACTS}, ABSENT),
    "sample": (
        {**MODEL, **DATA, **PRIORS, **SAMPLE},
        {
            "sampling": of(SAMPLING, "the chains"),
            "predictive": of(
                record(
                    {},
                    {
                        "prior": of(CHECK, "of the prior"),
                        "posterior": of(CHECK, "of the posterior"),
                    },
                ),
                "counts thrown at draws beside those observed; no `prior` if one is improper",
            ),
            "log_evidence": of(ESTIMATE, "only with `tempered` and `population`, which give it"),
            "grid": of(GRID, "with `--over`, in place of the chains"),
            **ABSENT,
        },
    ),
    "prior_study": (
        {
            **MODEL,
            **DATA,
            "prior_study": of(
                mapping(STUDIED, "WORD"), "`given` (the priors of the card), and the alternatives"
            ),
        },
        {},
    ),
    "evidence": (
        {**MODEL, **DATA, **PRIORS, "evidence": of(EVIDENCE, "of all hypotheses")},
        {},
    ),
    "predict": (
        {**MODEL, **_PREDICTIONS},
        {
            "parameters": of(
                mapping(NUMBER),
                "all values that were used: what was given with `--set`, the start of all others; "
                "couplings that were not given are 0 where one was",
            ),
            "absent": of(
                listing(either(record({**_ASKED, "reason": of(TEXT, "why")}), TEXT)),
                "combinations that do not exist",
            ),
            **FIT,
            **DATA,
            **_METHOD,
        },
    ),
    "compare": (
        {
            "twice_nll_standard_model": of(NUMBER, "of the fit without a new particle"),
            "scenarios": of(mapping(_COMPARED, "SCENARIO"), "in the order asked for"),
        },
        {},
    ),
    "scenarios": (
        {
            **DATA,
            "scenarios": of(mapping(_SCENARIO, "SCENARIO"), "in the order asked for"),
            "viable": of(
                optional(listing(TEXT)),
                "those that describe the data better than the standard model rescaled, if that is "
                "among them",
            ),
        },
        {},
    ),
    "regions": (
        {
            **MODEL,
            **DATA,
            "parameters": of(listing(TEXT), "the two"),
            "fixed": of(mapping(NUMBER), "what did not float"),
            "regions": of(
                mapping(_REGION, "DATA"), "each data set alone, and `combined` all of them"
            ),
        },
        {},
    ),
    "exclusions": (
        {
            **MODEL,
            **DATA,
            "parameters": of(listing(TEXT), "the two"),
            "fixed": of(mapping(NUMBER), "of the other parameters, those that were given"),
            "grid": of(listing(listing(NUMBER)), "the values of both"),
            "exclusions": of(
                mapping(_EXCLUDED, "DATA"), "each data set alone; rows are of the first parameter"
            ),
            "quantities": of(mapping(NUMBERS), "derived quantities on the grid, if asked for"),
            "status": of(TEXT, "what is to be said"),
        },
        {},
    ),
    "relic": (
        {
            **MODEL,
            **DATA,
            "parameter": of(TEXT, "that is gone over"),
            "grid": of(listing(NUMBER), "its values"),
            "fixed": of(mapping(NUMBER), "of the other parameters, those that were given"),
            "quantities": of(
                mapping(NUMBERS),
                "`omega_h2` and so on ([relic.md](relic.md)) at each value; `null` where there is "
                "no solution or no model",
            ),
            "find": of(
                optional(
                    record(
                        {
                            "parameter": of(TEXT, "that was looked for"),
                            "omega_h2": of(NUMBER, "that it was to give"),
                            "values": of(NUMBERS, "of the parameter; `null` if there is none"),
                            "solutions": of(listing(INTEGER), "how many there are"),
                        }
                    )
                ),
                "`null` without `--find`",
            ),
            "exclusions": of(
                mapping(_EXCLUDED, "DATA"), "each data set alone, as of `bknn exclusions`"
            ),
            "allowed": of(listing(YES_OR_NO), "whether no data set excludes at 95%"),
            "status": of(TEXT, "what is to be known of the numbers"),
        },
        {},
    ),
    "project": ({**DATA, **_OUTLOOK}, {}),
    "vector_widths": (_VECTOR, {}),
    "run": (
        {
            **MODEL,
            "tasks": of(
                mapping(_TASK, "SECTION"), "the keys of all tasks stand beside it, side by side"
            ),
        },
        {},
    ),
}

#: What several commands have, and one table describes.
SHARED: Keys = {**MODEL, **DATA, **FIT, **ABSENT}

#: Types that are used again, by name.
DEFINED: Keys = {**NUMBERS_OF_ANY_DEPTH, "fit": BEST, "provenance": PROVENANCE}
