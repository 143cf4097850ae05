"""Prior densities of a parameter: numpyro distributions of one real number."""

from bknn.priors.distributions import (
    LEAST,
    FlatInSquare,
    Within,
    cumulative,
    describe,
    log_density,
    middle,
    quantile,
    support_bounds,
    within,
)
from bknn.priors.texts import read

__all__ = [
    "LEAST",
    "FlatInSquare",
    "Within",
    "cumulative",
    "describe",
    "log_density",
    "middle",
    "quantile",
    "read",
    "support_bounds",
    "within",
]
