"""Data sets with their provenance: what was measured, where it comes from, whether it is intact.

>>> from bknn import data
>>> "belle2-2025" in data.available()
True
>>> belle2 = data.load("belle2-2025")
>>> belle2.n_bins
30
>>> belle2.select("hadronic").channels
('sgn1_had',)

`docs/data.md` describes the form the sets are kept in and how to import one's own. Only NumPy is
needed here; importing this package does not import JAX.
"""

from bknn.data.catalogue import left_out, load, load_all
from bknn.data.limits import LimitCurve, LimitTable
from bknn.data.measurement import Density, Measurement, Result, Source
from bknn.data.official import import_official
from bknn.data.store import available

__all__ = [
    "Density",
    "LimitCurve",
    "LimitTable",
    "Measurement",
    "Result",
    "Source",
    "available",
    "import_official",
    "left_out",
    "load",
    "load_all",
]


def __dir__() -> list[str]:
    return sorted(__all__)
