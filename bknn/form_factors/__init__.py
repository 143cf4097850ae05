"""Form factors of B -> K, B -> K* and Bs -> phi: parametrisations, published sets, lattice fits.

`load` gives a published set with its covariance; `FormFactorSet` makes one of your own.
"""

from __future__ import annotations

from bknn.form_factors.bsz import BSZ
from bknn.form_factors.hpqcd2022 import BCL
from bknn.form_factors.sets import DEFAULTS, FormFactorSet, available, choose, load, read
from bknn.form_factors.simplified_series import SimplifiedSeries

__all__ = [
    "BCL",
    "BSZ",
    "DEFAULTS",
    "FormFactorSet",
    "SimplifiedSeries",
    "available",
    "choose",
    "load",
    "read",
]


def __dir__() -> list[str]:
    return sorted(__all__)
