"""The keys of `result.json` that all commands have, and those of questions about a fit."""

from __future__ import annotations

from collections.abc import Mapping

from bknn.answers.kinds import (
    ANYTHING,
    INTEGER,
    NUMBER,
    NUMBERS,
    RANGE,
    TEXT,
    YES_OR_NO,
    Kind,
    listing,
    mapping,
    of,
    optional,
    record,
)

#: The format that `result.json` names.
FORMAT = 1

Keys = Mapping[str, Kind]

# Parts --------------------------------------------------------------------------------------------

ENDED: Keys = {
    "twice_nll": of(
        NUMBER,
        "-2 log of the likelihood: pyhf's pdf with constraint terms and all constants, times the "
        "constraints of the model's own parameters; `null` if it is not finite",
    ),
    "converged": of(YES_OR_NO, "whether to believe it; if not, the command returns 1"),
    "status": of(
        TEXT,
        "how the fit ended, and if it failed why and what to do; names parameters that ended at a "
        "bound, and empty bins whose expected counts vanish",
    ),
}
PARAMETER = record(
    {
        "value": of(NUMBER, "at the best fit; GeV and GeV<sup>2</sup>"),
        "uncertainty": of(
            NUMBER,
            "from the inverse of the exact Hessian of -log L; `null` if the parameter was fixed, "
            "ended at a bound or where an expected count vanishes, if the data do not determine "
            "it, or if the Hessian has no inverse",
        ),
        "fixed": of(
            YES_OR_NO, "whether it was kept at its value, by the model, the workspace or `--fix`"
        ),
    }
)
DERIVED = record(
    {
        "value": of(NUMBER, "at the best fit, in its unit"),
        "uncertainty": of(NUMBER, "from the covariance of the fit"),
    }
)
PROVENANCE = record(
    {
        "version": of(TEXT, "of bknn"),
        "settings": of(
            ANYTHING,
            "every option of the command, defaults included; files by absolute paths",
        ),
        "python": of(TEXT, "what it was computed with"),
        "packages": of(mapping(TEXT, "PACKAGE"), "versions"),
        "device": of(TEXT, "what it was computed on"),
    },
    {
        "seed": of(optional(INTEGER), "as given; `null` where nothing is random, as in a fit"),
        "data_sha256": of(
            mapping(TEXT, "DATA"),
            "checksum of the content ([data.md](data.md)); of the file for a bare workspace",
        ),
        "computation": of(
            mapping(TEXT, "PART"),
            "digests of what was computed, part by part, and of the whole "
            "([reliability.md](reliability.md)): the same where nothing differs",
        ),
        "channels": of(mapping(listing(TEXT), "DATA"), "channels and results that took part"),
        "response": of(TEXT, "`smooth` or `reweighting` ([response.md](response.md))"),
        "sources": of(listing(TEXT), "what to cite: data, and form factors of the model"),
        "form_factors": of(
            mapping(record({"set": TEXT, "source": TEXT}), "TRANSITION"),
            "of predictions without a fit: sets of the model, defaults included",
        ),
        "inputs": of(optional(TEXT), "of predictions without a fit: set of inputs of the model"),
    },
)

#: What each result has.
COMMON: Keys = {
    "format": {
        "const": FORMAT,
        "description": "of this file; a larger number where keys have changed their meaning",
    },
    "command": of(TEXT, "the command that wrote it"),
    "answers": of(
        listing(TEXT),
        "files of the answers that figures are drawn from; with `--no-figures` fits and "
        "predictions have none",
    ),
    "provenance": of({"$ref": "#/$defs/provenance"}, "what is needed to repeat it"),
    "checksums": of(
        mapping(TEXT, "FILE"), "SHA-256 of the files of all answers, as each ends with its own"
    ),
    "sha256": of(
        TEXT,
        "checksum of all other keys (as JSON without spaces, keys in order); a file that was "
        "changed is refused",
    ),
}
MODEL: Keys = {"model": of(TEXT, "name of the model, as in `bknn models`")}
DATA: Keys = {"data": of(listing(TEXT), "names of the data sets, in the order given")}
ABSENT: Keys = {
    "absent": of(
        listing(TEXT),
        "with limits against a mass ([data.md](data.md)): a sentence for each table that says "
        "nothing at this mass, or at some masses of a grid or of draws",
    )
}
BEST = record(
    {
        **ENDED,
        "parameters": of(
            mapping(PARAMETER),
            "parameters of the model, its form-factor parameters (`ff_K_0`, ..., whitened: "
            "[models.md](models.md#form-factors-are-nuisances)), nuisances in pyhf's order, then "
            "parameters that the model keeps fixed; sets with one entry a bin are spelled "
            "`name[i]`",
        ),
    },
    {"derived": of(mapping(DERIVED), "derived quantities of a model that has some")},
)
FIT: Keys = {"fit": of({"$ref": "#/$defs/fit"}, "the best fit")}
PRIORS: Keys = {
    "priors": of(
        mapping(TEXT),
        'of the model\'s own parameters that were sampled; "(in the likelihood)" is a constraint',
    )
}
ESTIMATE = record(
    {
        "value": of(NUMBER, "natural logarithm"),
        "error": of(NUMBER, "one standard deviation"),
        "method": of(TEXT, "how it was found"),
    }
)
FAILED: Keys = {
    "failed": of(INTEGER, "toys whose fits failed; they are in no fraction"),
    "causes": of(mapping(INTEGER, "CAUSE"), "why, and how many"),
    "failed_toys": of(listing(record({"seed": INTEGER, "number": INTEGER})), "which"),
}
CONTOURS = mapping(
    record(
        {
            "delta": of(NUMBER, "the rise of -2 log L"),
            "lines": of(NUMBERS, "lines of points [first, second parameter]"),
        }
    ),
    "N",
)

# Questions about a fit ----------------------------------------------------------------------------

PROFILE = record(
    {
        "parameters": of(listing(TEXT), "what is on the grid, one to three"),
        "grid": of(NUMBERS, "values of the parameter; with several parameters a list for each"),
        "twice_nll": of(
            NUMBERS,
            "-2 log L, everything else fitted; with several parameters lists of lists, the last "
            "parameter running fastest, and so below",
        ),
        "delta": of(NUMBERS, "above the lowest of the best fit and the grid"),
        "second": of(
            NUMBERS,
            "the next higher minimum that was found at the point, above the lowest of all; `null` "
            "if none was",
        ),
        "status": of(
            ANYTHING,
            '"converged"; "stalled", "not converged", "not finite": then `twice_nll` is an upper '
            "bound; of the shape of the grid",
        ),
    },
    others=("NAME", of(NUMBERS, "the other floating parameters of the model, at each minimum")),
)
INTERVAL = record(
    {
        "value": of(NUMBER, "best fit"),
        "68": of(RANGE, "ends of the region with the best fit; `null` is no end"),
        "95": of(RANGE, "the same"),
        "at_bound": of(
            mapping(listing(YES_OR_NO), "LEVEL"),
            "whether an end is the bound of the parameter, or where an expected count would become "
            "negative",
        ),
        "regions": of(mapping(listing(RANGE), "LEVEL"), "all regions, disjoint"),
        "status": of(mapping(TEXT, "LEVEL"), "what is to be said"),
    }
)
_ON_GRID: Keys = {
    "parameter": of(TEXT, "what is limited"),
    "cl": of(NUMBER, "confidence level"),
    "grid": of(
        mapping(listing(NUMBER)),
        "values of the other parameter; empty without `--over`, and then the lists below have one "
        "entry",
    ),
    "best": of(listing(NUMBER), "best fit, not below the background"),
    "converged": of(listing(YES_OR_NO), "whether all that was looked for is there"),
    "status": of(TEXT, "how many were found, and which not"),
    "remarks": of(listing(TEXT), '"found", or what is missing and why'),
}
_BANDS = mapping(listing(NUMBER), "N")
LIMIT = record(
    {
        **_ON_GRID,
        "method": of(TEXT, "`asymptotic` or `toys`"),
        "statistic": of(TEXT, "`cls` or `clsb`"),
        "background": of(NUMBER, "value of the parameter without a signal"),
        "observed": of(
            listing(NUMBER),
            "upper limits; `null` beyond the bound of the parameter, or where a fit failed",
        ),
        "expected": of(_BANDS, 'expected without a signal: median "0", bands "-2" ... "2"'),
        "observed_error": of(optional(listing(NUMBER)), "from the number of toys; `null` without"),
        "expected_error": of(optional(_BANDS), "the same"),
        "toys": of(INTEGER, "for each tested value"),
        "failed": of(listing(INTEGER), "toys whose fits failed, left out of the fractions"),
    },
    {
        "branching_fraction": of(
            record(
                {
                    "channel": of(TEXT, "of which decay"),
                    "standard_model": of(NUMBER, "of a signal strength of 1"),
                    "observed": of(listing(NUMBER), "upper limits"),
                    "expected": of(_BANDS, "median and bands"),
                }
            ),
            "limits on a signal strength, times the branching fraction of the standard model",
        )
    },
)
TWO_SIDED = record(
    {
        **_ON_GRID,
        "low": of(listing(NUMBER), "lower ends; `null` is no end"),
        "high": of(listing(NUMBER), "upper ends"),
        "low_at_bound": of(listing(YES_OR_NO), "whether an end is the bound of the parameter"),
        "high_at_bound": of(listing(YES_OR_NO), "the same"),
    }
)
UNIFIED = record(
    {
        "parameter": _ON_GRID["parameter"],
        "method": of(TEXT, '"toys", or "sums" over all outcomes'),
        "lowest": of(NUMBER, "its physical bound"),
        "grid": of(listing(NUMBER), "what was asked for, and more values where the ends are"),
        "observed": of(listing(NUMBER), "-2 log of the likelihood ratio"),
        "critical": of(mapping(listing(NUMBER), "LEVEL"), "what it may be"),
        "critical_error": of(mapping(listing(NUMBER), "LEVEL"), "from the number of toys"),
        "p": of(listing(NUMBER), "of a larger ratio"),
        "p_error": of(listing(NUMBER), "from the number of toys"),
        "regions": of(mapping(listing(RANGE), "LEVEL"), "accepted values"),
        "region_errors": of(mapping(listing(RANGE), "LEVEL"), "of their ends"),
        "toys": of(INTEGER, "for each value"),
        "failed": of(listing(INTEGER), "toys whose fits failed"),
        **{name: _ON_GRID[name] for name in ("converged", "status", "remarks")},
    }
)
_GLOBAL = record(
    {
        "z": of(
            NUMBER,
            "in standard deviations, one-sided; a lower limit (95%) if no toy exceeds the data, an "
            "upper one if all do",
        ),
        "z_error": of(NUMBER, "`null` where z is a limit"),
        "p": of(NUMBER, "fraction of toys"),
        "p_error": of(NUMBER, "its binomial error"),
        "p_upper": of(NUMBER, "its upper limit (95%)"),
        "exceeding": of(INTEGER, "toys that differ from the null at least as much as the data"),
        "asymptotic_p": of(NUMBER, "by the formula of Gross and Vitells; `null` if it is none"),
        "toys": of(INTEGER, "how many"),
        "seeds": of(listing(INTEGER), "of which seeds"),
        **FAILED,
    }
)
SIGNIFICANCE = record(
    {
        "t": of(NUMBER, "-2 log of the likelihood ratio of the null to the best fit"),
        "tested": of(mapping(NUMBER), "what the null fixes, and where"),
        "meaningless": of(listing(TEXT), "parameters on which nothing depends under the null"),
        "local": of(
            record({"z": NUMBER, "p": NUMBER, "dof": of(INTEGER, "parameters that are tested")}),
            "asymptotic, one-sided for one tested parameter",
        ),
        "global": of(optional(_GLOBAL), "from toys; `null` without"),
        "status": of(TEXT, "whether the asymptotic formula holds"),
    }
)
_COVERED = record({"value": NUMBER, "error": of(NUMBER, "binomial")})
_STUDIED = record(
    {
        "truth": of(NUMBER, "value at which toys were thrown"),
        "bias": of(NUMBER, "mean of the best values minus the truth"),
        "bias_error": of(NUMBER, "from the number of toys"),
        "median_bias": of(NUMBER, "median minus the truth"),
        "spread": of(NUMBER, "standard deviation of the best values"),
        "pull_mean": of(NUMBER, "mean of (best - truth) / uncertainty"),
        "pull_mean_error": of(NUMBER, "from the number of toys"),
        "pull_width": of(NUMBER, "standard deviation of these"),
        "pull_width_error": of(NUMBER, "from the number of toys"),
        "without_uncertainty": of(optional(INTEGER), "toys that have none"),
        "coverage": of(
            optional(
                record(
                    {
                        "method": of(TEXT, "of the intervals"),
                        "68": of(_COVERED, "fraction of intervals that hold the truth"),
                        "95": _COVERED,
                    }
                )
            ),
            "`null` where it was not asked for",
        ),
    }
)
TOYS = record(
    {
        "n": of(INTEGER, "how many"),
        "seeds": of(listing(INTEGER), "of which seeds"),
        "parameters": of(mapping(_STUDIED), "of the model"),
        **FAILED,
    }
)
GOODNESS = record(
    {
        "statistic": of(NUMBER, "-2 log of the likelihood ratio to the saturated model"),
        "dof": of(INTEGER, "bins minus free parameters that move them"),
        "p": of(NUMBER, "fraction of toys that are described no better"),
        "p_error": of(NUMBER, "binomial error"),
        "asymptotic_p": of(NUMBER, "by chi-squared; `null` if it is none"),
        "smallest_expected": of(
            NUMBER, "of all bins; with less than about 5 chi-squared is not to be trusted"
        ),
        "toys": of(INTEGER, "thrown at the best fit"),
        "failed": of(INTEGER, "those whose fits failed"),
    }
)
_BY_REFIT = of(NUMBER, "by refits; `null` without, or where a bound forbids it")
_IMPACT = record(
    {
        "name": TEXT,
        "pre": of(NUMBER, "shift for +1 width of the constraint; `null` without one"),
        "post": of(NUMBER, "shift for +1 uncertainty after the fit, from the Hessian"),
        **dict.fromkeys(("pre_up", "pre_down", "post_up", "post_down"), _BY_REFIT),
        "pull": of(NUMBER, "(fit - centre) / width"),
        "constraint": of(NUMBER, "uncertainty / width"),
        "remark": of(optional(TEXT), "what has no value, and why"),
    }
)
IMPACTS: Keys = {
    "parameter": of(TEXT, "the parameter of interest"),
    "impacts": of(listing(_IMPACT), "everything else that floats, the strongest first"),
    "groups": of(
        mapping(NUMBER, "LABEL"),
        "fluctuation of the best value that comes from each group of data, about what was "
        "observed; the squares add up",
    ),
    "total": of(NUMBER, "their quadratic sum"),
    "expected_groups": of(mapping(NUMBER, "LABEL"), "about what the fit expects, as in toys"),
    "expected_total": of(NUMBER, "their quadratic sum"),
    "contributions": of(
        mapping(NUMBER, "LABEL"),
        "by how much the uncertainty shrinks, in quadrature, if all nuisances of a group are held",
    ),
}
