"""Pairs of top partners at the LHC, over what searches exclude.

p p -> T Tbar is QCD and depends on the mass alone; searches quote limits on its cross section for a
T that decays always into b W, into t Z, or into t h, and for the 2 : 1 : 1 mixture of a singlet.
Here they are recast for any branching fractions B, t + invisible (t Z', t phi) among them.

With u_i the limit for pure decays i, 1/u_i measures the efficiency for a pair of them. That of a
mixed pair is taken as r/sqrt(u_i u_j), with one r for all, so that

    signal over limit = sigma (sum_i B_i^2/u_i + 2 r sum_{i < j} B_i B_j/sqrt(u_i u_j)),

and r, at each mass, follows from the published limit for the singlet: pure decays and the singlet
come out as published. Where a search quotes fewer limits there is less to it:

- `t_pairs_cms`, leptons (arXiv:2209.07327): as above with b W, t Z, t h. A T into t + invisible
  counts as nothing: there is no limit for it, and only its top quark could give a lepton.
- `t_pairs_atlas_met`, one lepton and missing momentum (arXiv:2212.05263), made for T -> t Z,
  Z -> nu nu: pure t Z and the singlet are published. t + invisible counts as t Z, which has
  invisible decays in 20 % only: the true signal may be up to 3 times as large (1/0.36 for two such
  decays if only those with Z -> nu nu counted), and the mass limit up to some 150 GeV higher. b W
  and t h have one common efficiency a decay, from the singlet.
- `t_pairs_atlas`, one lepton and jets (arXiv:2401.17165), made for b W b W: 1.70 TeV for pure b W
  and 1.36 TeV for the singlet are published. Only b W b W is counted, which makes two limits on its
  cross section out of them, at these masses.

Limits and cross sections are interpolated in the logarithm. Beyond the masses of a search its
limits are those at the nearest mass, the cross section is extrapolated: known from 0.7 to 1.8
TeV, where it matters, a guess elsewhere. The two searches of ATLAS share events, which
is neglected. Roughness: a factor of 1.5 in the signal for mixtures, some 50 GeV in the mass.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

#: {name of the quantity: what it is}
QUANTITIES: Mapping[str, str] = {
    "t_pairs_atlas": "T pairs over what ATLAS excludes (one lepton, jets), > 1 is excluded",
    "t_pairs_atlas_met": "T pairs over what ATLAS excludes (missing momentum), > 1 is excluded",
    "t_pairs_cms": "T pairs over what CMS excludes (leptons), > 1 is excluded",
}

#: sigma(p p -> T Tbar) at 13 TeV, fb, at masses in GeV: NNLO with soft gluons resummed (Top++ 2.0,
#: arXiv:1112.5675), as CMS uses it.
CROSS_SECTION = (
    (700.0, 800.0, 900.0, 1000.0, 1100.0, 1200.0, 1300.0, 1400.0, 1500.0, 1600.0, 1700.0, 1800.0),
    (455.0, 196.0, 90.3, 44.0, 22.4, 11.8, 6.39, 3.54, 2.00, 1.148, 0.666, 0.391),
)

#: Limits of CMS on the cross section, fb, 95 %: arXiv:2209.07327, figure 9 (singlet), and the
#: review arXiv:2405.17605, figure 37 (pure decays); as VLQBounds read the figures, four decimals.
CMS_MASS = (900.0, 1100.0, 1200.0, 1300.0, 1400.0, 1500.0, 1600.0, 1700.0)
CMS = {
    "bW": (5.005, 2.8145, 2.4540, 2.1251, 1.8785, 1.6492, 1.5936, 1.3612),
    "tZ": (6.5452, 3.9538, 3.1442, 2.8854, 2.3748, 2.2426, 2.1056, 1.8143),
    "th": (10.3268, 3.5733, 3.4381, 2.7099, 2.2201, 1.9901, 1.8188, 1.5890),
    "singlet": (8.5921, 4.026, 3.351, 2.8356, 2.4427, 2.2151, 2.0325, 1.8093),
}

#: Limits of ATLAS, one lepton and missing momentum, fb, 95 %: arXiv:2212.05263, figure 7 a and c,
#: read from the figures by VLQBounds.
MET_MASS = (800.0, 1000.0, 1100.0, 1200.0, 1300.0, 1400.0, 1500.0, 1600.0, 1700.0, 1800.0, 2000.0)
MET = {
    "tZ": (24.321, 8.24, 4.786, 3.898, 3.316, 2.445, 2.251, 1.993, 1.895, 1.85, 1.791),
    "singlet": (58.707, 19.902, 13.909, 9.615, 7.337, 5.909, 5.042, 4.393, 3.426, 3.627, 3.195),
}

#: Lower limits of ATLAS, one lepton and jets, GeV, 95 %: arXiv:2401.17165.
LEPTON_PURE, LEPTON_SINGLET = 1700.0, 1360.0

#: Branching fractions of a singlet into b W, t Z, t h.
SINGLET = (0.5, 0.25, 0.25)


def cross_section(m_T: ArrayLike) -> Array:
    """Return sigma(p p -> T Tbar) at 13 TeV, fb.

    Args:
        m_T: mass, GeV.

    >>> round(float(cross_section(1450.0)), 2)
    2.66
    """
    return jnp.exp(_at_mass(m_T)[0])


def excess(
    m_T: ArrayLike, bW: ArrayLike, tZ: ArrayLike, th: ArrayLike, invisible: ArrayLike
) -> dict[str, Array]:
    """Return the signal of T pairs over what each search excludes at 95 %, by `QUANTITIES`.

    Args:
        m_T: mass, GeV.
        bW, tZ, th, invisible: branching fractions; invisible: a top quark and what is not seen.

    >>> found = excess(1500.0, 0.0, 0.0, 0.0, 1.0)
    >>> print({name: round(float(x), 2) for name, x in found.items()})
    {'t_pairs_atlas': 0.0, 't_pairs_atlas_met': 0.89, 't_pairs_cms': 0.0}
    """
    numbers = _at_mass(m_T)
    mixed, others = numbers[1], numbers[2]
    # Of pure decays: the root of the cross section over its limit.
    pure = jnp.exp(0.5 * (numbers[0] - numbers[3:]))
    fractions = jnp.stack([jnp.asarray(x, float) for x in (bW, tZ, th, invisible)])
    counted, less = jnp.split(_COUNTED @ fractions, 2)
    legs = (counted + others * less) * pure
    signals = legs**2
    squares, all_pairs = jnp.sum(signals[:3]), jnp.sum(legs[:3]) ** 2
    return {
        "t_pairs_atlas": signals[4],
        "t_pairs_atlas_met": signals[3],
        "t_pairs_cms": squares + mixed * (all_pairs - squares),
    }


#: What counts as each pure decay of `_at_mass`, and what does with the lower efficiency there.
_COUNTED = np.zeros((10, 4))
_COUNTED[:3, :3] = np.eye(3)
_COUNTED[3, [1, 3]] = _COUNTED[4, 0] = _COUNTED[8, [0, 2]] = 1.0


def _at_mass(m_T: ArrayLike) -> Array:
    """Return what depends on the mass (8,): the logarithm of the cross section, r of CMS, the
    efficiency of b W and t h in the search for missing momentum, and logarithms of limits on pure
    decays: b W, t Z, t h of CMS, t Z with missing momentum, b W with one lepton."""
    m = jnp.asarray(m_T, float)
    cell = jnp.clip(jnp.searchsorted(jnp.asarray(_MASS), m, side="right") - 1, 0, len(_MASS) - 2)
    low, high = (jnp.asarray(_MASS)[cell + n] for n in (0, 1))
    part = (m - low) / (high - low)
    below, above = (jnp.asarray(_NUMBERS)[cell + n] for n in (0, 1))
    # Limits are held beyond their ends, the cross section is extrapolated.
    part = jnp.where(np.arange(below.size) > 0, jnp.clip(part, 0.0, 1.0), part)
    return below + part * (above - below)


def _pairs(items: Sequence[Array]) -> list[tuple[Array, Array]]:
    return [(x, y) for i, x in enumerate(items) for y in items[i + 1 :]]


def _mixed_efficiency() -> np.ndarray:
    """Return r of CMS at its masses, out of the limit for the singlet."""
    legs = [b / np.sqrt(np.array(CMS[n])) for n, b in zip(("bW", "tZ", "th"), SINGLET, strict=True)]
    squares, mixed = sum(x**2 for x in legs), sum(x * y for x, y in _pairs(legs))
    found: np.ndarray = (1.0 / np.array(CMS["singlet"]) - squares) / (2.0 * mixed)
    return found


#: r of CMS, and the efficiency of b W and t h over that of t Z in the search for missing momentum.
_MIXED = _mixed_efficiency()
_OTHERS = (np.sqrt(np.array(MET["tZ"]) / np.array(MET["singlet"])) - SINGLET[1]) / (
    SINGLET[0] + SINGLET[2]
)


def _limit_at(mass: float, fraction: float) -> float:
    """Return the limit on b W b W that excludes T pairs below a mass, fb."""
    nodes, values = CROSS_SECTION
    return float(np.exp(np.interp(mass, nodes, np.log(values))) * fraction**2)


#: Limits of the search with one lepton and jets on b W b W: masses, fb.
_LEPTON = (
    (LEPTON_SINGLET, LEPTON_PURE),
    (_limit_at(LEPTON_SINGLET, SINGLET[0]), _limit_at(LEPTON_PURE, 1.0)),
)


#: All masses of the tables, and there the numbers of `_at_mass`. At its ends the first column is
#: that of the cross section extrapolated, too.
_MASS = np.unique(np.concatenate([CROSS_SECTION[0], CMS_MASS, MET_MASS, _LEPTON[0]]))


def _columns() -> np.ndarray:
    nodes, logs = np.array(CROSS_SECTION[0]), np.log(CROSS_SECTION[1])
    first, last = np.diff(logs)[[0, -1]] / np.diff(nodes)[[0, -1]]
    beyond = first * np.minimum(_MASS - nodes[0], 0.0) + last * np.maximum(_MASS - nodes[-1], 0.0)
    found = [
        np.interp(_MASS, nodes, logs) + beyond,
        np.interp(_MASS, CMS_MASS, _MIXED),
        np.interp(_MASS, MET_MASS, _OTHERS),
        *(np.interp(_MASS, CMS_MASS, np.log(CMS[n])) for n in ("bW", "tZ", "th")),
        np.interp(_MASS, MET_MASS, np.log(MET["tZ"])),
        np.interp(_MASS, _LEPTON[0], np.log(_LEPTON[1])),
    ]
    return np.stack(found, axis=1)


_NUMBERS = _columns()
