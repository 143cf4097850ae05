"""What axial couplings to light quarks make of hadrons below 2 GeV: a prescription.

No e+e- data have the axial current, and tau decays have its isovector part alone. Isovector: the
a1(1260) with the running width of Kuehn and Santamaria (Z. Phys. C 48, 445 (1990)), which gives way
between 1.3 and 1.8 GeV to chiral symmetry: the axial spectral function equal to the vector one,
smeared. Its height is that of tau decays: R_tau of the axial current without the pion,
1.694 - 0.607 (arXiv:1312.1501 for the first). Isoscalar and strange: nonet symmetry, the same
function stretched so that it starts at eta pi pi (K K pi) and peaks at the f1(1285) (f1(1420)).

Uncertainty: 10 % above 1.8 GeV, 15 % below for isovector couplings; for the others a factor of two
below 1.8 GeV, where the narrow f1 are smeared. Anomaly and pion pole, which belong to the
longitudinal part of the current, are left out.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bknn.vectors.steps import smooth_step

Floats = NDArray[np.float64]

_PION, _RHO = 0.13957, 0.7755
_A1, _WIDTH, _HEIGHT = 1.251, 0.599, 0.0791  # mass and width in GeV; height from R_tau
_CHIRAL = (1.3, 1.8)  # GeV: from the a1 to chiral symmetry

#: R at which chiral symmetry takes over: that of e+e- -> u, d, s at 2 GeV.
LEVEL = 2.18

#: Start (GeV) and peak of each current: 3 pi, a1; eta pi pi, f1(1285); K K pi, f1(1420).
_START, _PEAK = 3 * _PION, 1.230
CURRENTS = {
    "isovector": (_START, _PEAK),
    "isoscalar": (0.8270, 1.2818),
    "strange": (1.1300, 1.4284),
}


def three_pions(s: Floats) -> Floats:
    """Return the phase space of a1 -> rho pi -> 3 pi over s (GeV^2), in arbitrary units."""
    above = np.maximum(s - 9 * _PION**2, 0.0)
    low = 4.1 * above**3 * (1.0 - 3.3 * above + 5.8 * above**2)
    high = s * (1.623 + 10.38 / s - 9.32 / s**2 + 0.65 / s**3)
    return np.where(s < (_RHO + _PION) ** 2, low, high)


def isovector(mass: Floats) -> Floats:
    """Return R of the isovector axial current, LEVEL where chiral symmetry holds; mass in GeV."""
    s = np.maximum(mass, 0.3) ** 2
    width = _A1 * _WIDTH * three_pions(s) / three_pions(np.array(_A1**2))
    meson = _HEIGHT * _A1**4 / ((_A1**2 - s) ** 2 + width**2) * three_pions(s) / s
    chiral = smooth_step(mass, *_CHIRAL)
    return (1.0 - chiral) * 2.0 * meson + chiral * LEVEL


def ratio(current: str, mass: Floats) -> Floats:
    """Return R of an axial current (CURRENTS) at masses in GeV, up to 2 GeV."""
    start, peak = CURRENTS[current]
    return isovector(_START + (mass - start) * (_PEAK - _START) / (peak - start))
