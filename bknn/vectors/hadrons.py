"""R of every hadronic channel, current by current, as one table of cubics in the mass.

A vector with couplings g to quarks decays into hadrons as the virtual photon does, if each current
of it is weighted: with the rho for u - d, the omega for u + d, the phi for s, and charm,

    Gamma(channel) = M/(12 pi) sum_currents w R,
    w_rho = (g_u - g_d)^2,  w_omega = 9 (g_u + g_d)^2,  w_phi = 9 g_s^2,
    w_omega_phi = 18 (g_u + g_d) g_s,  w_charm = (9/4) g_c^2,

and for axial couplings with w = (3/4)(g_u -+ g_d)^2, (3/2) g_s^2, (9/4) g_c^2. Quark currents in
three ranges of the mass:

- below 2.0 GeV the fits to e+e- data of arXiv:1801.04847, eqs. 2.15-2.18, as tabulated by the
  program darkcast (`tables/hadron_channels_vmd.csv`: channel, meson, mass in GeV, R; thinned, its
  rows denser where pi0 gamma and three pions begin);
- above, R of the Particle Data Group 2020 (`tables/r_ratio_pdg2020.csv`, from 2.0 GeV on, as in
  GAMBIT 2.5), shared among u, d, s as quarks share it, 3/4 : 1/12 : 1/6. From 2.0 to 2.1 GeV the
  shares (0.77 : 0.08 : 0.15) turn into these, and the channels into "other hadrons";
- above the threshold of charm, 2 m_D, what R has above R_UDS is charm's. Axial charm is suppressed
  against it by what free quarks of mass m_D have, (1 - 4 r)/(1 + 2 r), r = m_D^2/M^2. Bottom opens
  at 10.56 GeV.

A photon-like vector has R itself, exactly, above 2.0 GeV. Monotone cubics (PCHIP) join the points;
everything has a continuous derivative. Negative entries of the first table, of two channels near
their thresholds and at most -5e-4, are taken as 0. `axial` has the axial currents.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import NDArray

from bknn.vectors import axial

Floats = NDArray[np.float64]

#: Where R data take over, and where the shares are those of quarks (GeV).
JOIN, SHARED = 2.0, 2.1

#: Threshold of open charm, 2 m_D0 (GeV), and R of u, d, s above it: that of the precise points
#: between 2.9 and 3.65 GeV.
CHARM, R_UDS = 2 * 1.86484, 2.22

#: Masses in GeV about which R changes fast: omega, phi, and a bend of the fits at 1.48 GeV. For who
#: integrates over the mass; there are more between 3.7 and 4.5 GeV, where points of R scatter.
STRUCTURES = (
    *(0.755, 0.775, 0.7826, 0.79, 0.81),
    *(1.0, 1.01, 1.015, 1.0175, 1.0195, 1.0215, 1.024, 1.03, 1.045),
    *(1.47, 1.48, 1.49, 1.5),
)

#: Shares of the rho, omega and phi in R of u, d, s, for free quarks.
_QUARKS = {"rho0": 3 / 4, "omega": 1 / 12, "phi": 1 / 6}

_TABLES = Path(__file__).parent / "tables"
_NAMES = {
    "pi+_pi-": "pi+ pi-",
    "pi+_pi-_pi0": "pi+ pi- pi0",
    "pi0_gamma": "pi0 gamma",
    "pi+_pi-_pi+_pi-": "pi+ pi- pi+ pi-",
    "pi+_pi-_pi0_pi0": "pi+ pi- pi0 pi0",
    "K_K": "K K",
    "K_K_pi": "K K pi",
    "other": "other hadrons",
}

#: The channels. "other hadrons" has what no channel resolves: above 2.1 GeV, all that vector
#: couplings to u, d, s make.
CHANNELS = (*_NAMES.values(), "open charm", "axial hadrons")

#: The currents.
CURRENTS = ("rho0", "omega", "phi", "omega_phi", "charm", *axial.CURRENTS, "axial charm")

#: Which of them axial couplings make.
_AXIAL = (*axial.CURRENTS, "axial charm")


class Table(NamedTuple):
    """R as cubics: of column k, between edge i and the next, sum_n powers[i, n, k] (M - edge)^n."""

    edges: Floats  #: (intervals,), GeV
    powers: Floats  #: (intervals, 4, columns)
    channel: NDArray[np.int64]  #: (columns,), index in CHANNELS
    current: NDArray[np.int64]  #: (columns,), index in CURRENTS


def _monotone_slopes(x: Floats, y: Floats) -> Floats:
    """Return the slopes at points with which cubics between them are monotone."""
    from scipy.interpolate import PchipInterpolator  # not for whom has no light vector

    found: Floats = PchipInterpolator(x, y).derivative()(x)
    return found


class _Curve:
    """A function by values and derivatives at points; 0 below the first and above the last."""

    def __init__(self, x: Floats, y: Floats, slope: Floats | None = None) -> None:
        self.x, self.y = x, y
        self.slope = _monotone_slopes(x, y) if slope is None else slope

    def at(self, x: Floats) -> tuple[Floats, Floats]:
        """Return values and derivatives at x."""
        i = np.clip(np.searchsorted(self.x, x, side="right") - 1, 0, len(self.x) - 2)
        h, t = self.x[i + 1] - self.x[i], x - self.x[i]
        c = _cubic(h, self.y[i], self.slope[i], self.y[i + 1], self.slope[i + 1])
        inside = (x >= self.x[0]) & (x <= self.x[-1])
        value = c[0] + t * (c[1] + t * (c[2] + t * c[3]))
        return np.where(inside, value, 0.0), np.where(
            inside, c[1] + t * (2 * c[2] + 3 * t * c[3]), 0.0
        )


def _cubic(h: Floats, y0: Floats, d0: Floats, y1: Floats, d1: Floats) -> list[Floats]:
    """Return the powers of the cubic with these values and derivatives at 0 and h."""
    rise = (y1 - y0) / h
    return [y0, d0, (3 * rise - 2 * d0 - d1) / h, (d0 + d1 - 2 * rise) / h**2]


def _read(name: str) -> list[list[str]]:
    text = (_TABLES / name).read_text(encoding="utf-8")
    return [line.split(",") for line in text.split()[1:]]


def _measured() -> dict[tuple[str, str], _Curve]:
    """Return {(channel, meson): R} below JOIN; level with 0 where a channel starts or ends."""
    points: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for channel, meson, mass, ratio in _read("hadron_channels_vmd.csv"):
        point = float(mass), float(ratio) if meson == "omega_phi" else max(float(ratio), 0.0)
        points.setdefault((_NAMES[channel], meson), []).append(point)
    found = {}
    for key, some in points.items():
        x, y = (np.array(column) for column in zip(*some, strict=True))
        x, y = np.insert(x, 0, x[0] - 0.01), np.insert(y, 0, 0.0)
        if x[-1] < JOIN:
            x, y = np.append(x, x[-1] + 0.01), np.append(y, 0.0)
        found[key] = _Curve(x, y)
    # "other" is what the fits leave of R: at the join of R itself, not of its fifth digit.
    left, ends = ("other hadrons", "rho0"), [c.y[-1] for c in found.values() if c.x[-1] == JOIN]
    curve = found[left]
    y = np.append(curve.y[:-1], curve.y[-1] + _data()[1][0] - sum(ends))
    return found | {left: _Curve(curve.x, y)}


def _grid(*some: Floats) -> Floats:
    """Return all points, those that differ by rounding once."""
    return np.unique(np.round(np.concatenate(some), 9))


def _data() -> tuple[Floats, Floats]:
    x, y = np.array([[float(value) for value in row] for row in _read("r_ratio_pdg2020.csv")]).T
    return x, y


Columns = dict[tuple[str, str], tuple[Floats, Floats]]


def _fading(curve: _Curve) -> _Curve:
    """Return what a channel fades out with above JOIN: smooth there, never negative."""
    value, slope = curve.y[-1], curve.slope[-1]
    length = SHARED - JOIN
    if slope * length < -3 * value:  # a longer cubic would dip below 0
        length = round(3 * value / -slope, 6)
    return _Curve(np.array([JOIN, JOIN + length]), np.array([value, 0.0]), np.array([slope, 0.0]))


def _vector(grid: Floats, measured: dict[tuple[str, str], _Curve]) -> Columns:
    """Return values and derivatives at the grid of the columns that vector couplings have."""
    x, y = _data()
    to_join = {key: curve for key, curve in measured.items() if curve.x[-1] == JOIN}
    slope = _monotone_slopes(x, y)
    slope[0] = sum(curve.slope[-1] for curve in to_join.values())  # the join is smooth
    total = np.array(_Curve(x, y, slope).at(grid))
    charm = np.array(_Curve(x, np.where(x > CHARM, np.maximum(y - R_UDS, 0.0), 0.0)).at(grid))
    uds = total - charm

    columns = {key: np.array(curve.at(grid)) for key, curve in measured.items()}
    above = grid > JOIN
    for meson, quarks in _QUARKS.items():
        curves = {key: curve for key, curve in to_join.items() if key[1] == meson}
        value = sum(curve.y[-1] for curve in curves.values())
        rise = sum(curve.slope[-1] for curve in curves.values())
        share, change = _Curve(
            np.array([JOIN, SHARED, x[-1]]),
            np.array([value / y[0], quarks, quarks]),
            np.array([(rise - value / y[0] * slope[0]) / y[0], 0.0, 0.0]),
        ).at(grid)
        rest = np.array([share * uds[0], change * uds[0] + share * uds[1]])
        for key, curve in curves.items():
            if key[0] != "other hadrons":
                fading = np.array(_fading(curve).at(grid))
                columns[key] = np.where(above, fading, columns[key])
                rest = rest - fading
        other = "other hadrons", meson
        columns[other] = np.where(above, rest, columns[other])
    return {key: (v, d) for key, (v, d) in columns.items()} | {
        ("open charm", "charm"): (charm[0], charm[1])
    }


def _axial_points() -> dict[str, tuple[Floats, Floats]]:
    """Return {current: masses, R} of the axial currents of light quarks, up to JOIN."""
    found = {}
    for current, (start, _) in axial.CURRENTS.items():
        x = np.linspace(start, JOIN, 81)[:-1]
        found[current] = np.insert(x, 0, start - 0.01), np.insert(axial.ratio(current, x), 0, 0.0)
    return found


def _axial(grid: Floats) -> Columns:
    """Return values and derivatives at the grid of the columns that axial couplings have."""
    x, y = _data()
    charm = np.where(x > CHARM, np.maximum(y - R_UDS, 0.0), 0.0)
    r = (CHARM / (2 * x)) ** 2
    columns: Columns = {
        ("open charm", "axial charm"): _Curve(x, charm * (1 - 4 * r) / (1 + 2 * r)).at(grid)
    }
    for current, (low, ratio) in _axial_points().items():
        curve = _Curve(np.append(low, x), np.append(ratio, y - charm))
        columns["axial hadrons", current] = curve.at(grid)
    return columns


@cache
def table() -> Table:
    """Return the table, made once."""
    measured = _measured()
    points = [curve.x for curve in measured.values()]
    points += [_fading(curve).x for curve in measured.values() if curve.x[-1] == JOIN]
    points += [x for x, _ in _axial_points().values()]
    grid = _grid(*points, np.linspace(JOIN, SHARED, 11), _data()[0])
    columns = _vector(grid, measured) | _axial(grid)
    keys: Sequence[tuple[str, str]] = list(columns)
    values, slopes = (np.stack([columns[key][n] for key in keys], axis=1) for n in (0, 1))
    h = np.diff(grid)[:, None]
    cubic = _cubic(h, values[:-1], slopes[:-1], values[1:], slopes[1:])
    return Table(
        grid[:-1],
        np.stack(cubic, axis=1),
        np.array([CHANNELS.index(channel) for channel, _ in keys]),
        np.array([CURRENTS.index(current) for _, current in keys]),
    )


def ratios(mass: Array) -> Array:
    """Return R (columns,) of a table's columns at a mass in GeV, which may be traced."""
    made = table()
    i = jnp.searchsorted(jnp.asarray(made.edges), mass, side="right") - 1
    i = jnp.maximum(i, 0)  # below the first edge, too, all columns are 0
    t = mass - jnp.asarray(made.edges)[i]
    c = jnp.asarray(made.powers)[i]
    return c[0] + t * (c[1] + t * (c[2] + t * c[3]))


#: What each current sees of couplings to u, d, s, c, relative to the photon's: its weight is the
#: square of that, of the interference twice the product of omega's and phi's.
_SEEN = {
    "rho0": (1.0, -1.0, 0.0, 0.0),
    "omega": (3.0, 3.0, 0.0, 0.0),
    "phi": (0.0, 0.0, 3.0, 0.0),
    "charm": (0.0, 0.0, 0.0, 1.5),
    "isovector": (0.75**0.5, -(0.75**0.5), 0.0, 0.0),
    "isoscalar": (0.75**0.5, 0.75**0.5, 0.0, 0.0),
    "strange": (0.0, 0.0, 1.5**0.5, 0.0),
    "axial charm": (0.0, 0.0, 0.0, 1.5),
}


def _factors(first: bool) -> Floats:
    """Return one factor of each weight, as a matrix on (vector, axial) of u, d, s, c."""
    rows = []
    for current in CURRENTS:
        name = ("omega" if first else "phi") if current == "omega_phi" else current
        seen = (2.0 if current == "omega_phi" and first else 1.0) * np.array(_SEEN[name])
        none = np.zeros(4)
        rows.append(np.concatenate([none, seen] if current in _AXIAL else [seen, none]))
    return np.array(rows)


def weights(vector: Array, axial_couplings: Array) -> Array:
    """Return the weights (columns,) of a table's columns, of couplings to u, d, s, c (4,) each."""
    current = table().current
    couplings = jnp.concatenate([vector, axial_couplings])
    one, other = (jnp.asarray(_factors(first)[current]) @ couplings for first in (True, False))
    return one * other


def by_channel(
    vector: Array, axial_couplings: Array, mass: Array, hadrons: Array, axial_factor: Array
) -> Array:
    """Return 12 pi Gamma/M of CHANNELS (channels,).

    Args:
        vector, axial_couplings: to u, d, s, c (4,).
        mass: GeV ().
        hadrons, axial_factor: factors on everything, and on what axial couplings make besides.
    """
    made = table()
    made_by_axial = np.array([CURRENTS[i] in _AXIAL for i in made.current], float)
    factors = hadrons * (1.0 + (axial_factor - 1.0) * made_by_axial)
    columns = ratios(mass) * weights(vector, axial_couplings) * factors
    sums = np.equal.outer(np.arange(len(CHANNELS)), made.channel).astype(float)
    # The fitted interference exceeds the geometric mean of omega and phi by up to 17 % at 1.4 GeV,
    # which makes three pions negative for some couplings to strange quarks.
    return jnp.maximum(jnp.asarray(sums) @ columns, 0.0)
