"""Counting experiments as a pyhf workspace, with the efficiency as a density in true q2.

A counting experiment is a number of events, an efficiency and backgrounds with Gaussian
uncertainties, perhaps for q2 in a window. All of that is HistFactory: a channel of one bin, a
sample for the signal and one for each background, a `histosys` modifier for each uncertainty. Where
up and down are the same, the yield is linear in the nuisance and its uncertainty Gaussian.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bknn.data.measurement import Density

#: Name of the null spectrum of the densities made here.
NULL_SPECTRUM = "hpqcd-2022"

#: Name of the sample of the signal, and of the factor that scales it.
SIGNAL, STRENGTH = "signal", "mu"

#: Nuisances range over this many standard deviations, as in pyhf, unless a yield is 0 before that.
RANGE = 5.0

# The null spectrum, B+ -> K+ nu nubar: arXiv:2207.13371, eq. 16, with f_plus of arXiv:2207.12468,
# table V. It is bknn.standard_model.dbr_dq2 without JAX; a test compares them.
_MASS_B, _MASS_K, _MASS_POLE = 5.279495, 0.4956440, 5.4158
_COEFFICIENTS = (0.2545, -0.71, 0.32)
_RATE = (
    (1.1663787e-5 / 127.952 * 1.468 * 0.04185 / 0.23124) ** 2
    * (1.638e-12 / 6.58211e-25)
    / (32.0 * math.pi**5)
    * 1.304**2
)

#: Largest q2 of the null spectrum, GeV^2. A narrow line beyond it has no density to be folded with.
ENDPOINT = (_MASS_B - _MASS_K) ** 2


@dataclass(frozen=True)
class Uncertainty:
    """How far a yield goes up and down for a standard deviation of the nuisance that it belongs to,
    relative to the yield."""

    name: str
    up: float
    down: float


@dataclass(frozen=True)
class Yield:
    """A number of events with its uncertainties."""

    name: str
    value: float
    uncertainties: tuple[Uncertainty, ...] = ()


@dataclass(frozen=True)
class Efficiency:
    """An efficiency for q2 in a window.

    Attributes:
        q2, values: nodes (GeV^2) and efficiencies there of decays with that q2, linear in between
            and constant outside; one node if it does not depend on q2.
        low, high: window in reconstructed q2, GeV^2; infinite where it is open.
        resolution: standard deviation of reconstructed q2 about the true one, GeV^2.
    """

    q2: tuple[float, ...]
    values: tuple[float, ...]
    low: float = -math.inf
    high: float = math.inf
    resolution: float = 0.0

    def __call__(self, q2: np.ndarray) -> np.ndarray:
        """Return the efficiency at true q2, the probability to be in the window included."""
        return np.interp(q2, self.q2, self.values) * self.acceptance(q2)

    def acceptance(self, q2: np.ndarray) -> np.ndarray:
        """Return the probability that q2 is reconstructed in the window."""
        return _below(self.high - q2, self.resolution) - _below(self.low - q2, self.resolution)

    def edges(self) -> np.ndarray:
        """Return edges of true-q2 bins: coarse, but fine where the efficiency changes.

        A response interpolates smoothly between bins, so that few are enough where the efficiency
        is flat; about an edge of the window they are as wide as the resolution.
        """
        first, last = 0.0, ENDPOINT
        found = []
        for edge in (self.low, self.high):
            if not 0.0 < edge < ENDPOINT:
                continue
            spread = self.resolution or _SHARP
            found += [edge + spread * step for step in _STEPS]
            # Beyond the last step nothing is left, or (before the low one) nothing yet.
            if edge == self.low:
                first = max(first, edge + spread * _STEPS[0])
            else:
                last = min(last, edge + spread * _STEPS[-1])
        # A response goes to zero where its bins end, so they are narrow there.
        found += [ENDPOINT - 1.0, ENDPOINT - 0.3] if last == ENDPOINT else []
        found += [q2 for q2 in self.q2 if len(self.q2) > 1]
        fixed = sorted({first, last, *(q2 for q2 in found if first < q2 < last)})
        result = [fixed[0]]
        for edge in fixed[1:]:
            pieces = max(1, math.ceil((edge - result[-1]) / _WIDEST - 1e-9))
            start = result[-1]
            result += [start + (edge - start) * k / pieces for k in range(1, pieces + 1)]
        return np.array(result)

    def density(self, parents: float) -> Density:
        """Return the expected counts of the null spectrum by true q2, for this many parents."""
        edges = self.edges()
        x, w = np.polynomial.legendre.leggauss(_NODES)
        half, middle = np.diff(edges)[:, None] / 2, (edges[1:] + edges[:-1])[:, None] / 2
        nodes = middle + half * x
        counts = parents * np.sum(half * w * self(nodes) * null(nodes), axis=1)
        return Density(counts[None, :], edges, np.zeros(1))


#: Edges of bins about an edge of a window, in units of the resolution.
_STEPS = (-4.0, -2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 4.0)
#: Resolution (GeV^2) that stands for a sharp edge, so that a mass can move across it.
_SHARP = 0.05
#: Widest bin, GeV^2.
_WIDEST = 3.0
#: Gauss-Legendre nodes a bin.
_NODES = 48

_erf = np.vectorize(math.erf, otypes=[float])


def _below(distance: np.ndarray, resolution: float) -> np.ndarray:
    """Return the probability that something smeared stays below what lies at a distance."""
    scaled = np.asarray(distance, float) / (math.sqrt(2.0) * (resolution or _SHARP))
    return 0.5 * (1.0 + _erf(scaled))


def null(q2: np.ndarray) -> np.ndarray:
    """Return dBR/dq2 (GeV^-2) of the null spectrum "hpqcd-2022", 0 outside of phase space.

    >>> round(float(null(np.array(4.0))) * 1e7, 3)
    2.901
    """
    inside = (q2 >= 0.0) & (q2 <= ENDPOINT)
    q2 = np.where(inside, q2, 0.0)
    lam = (ENDPOINT - q2) * ((_MASS_B + _MASS_K) ** 2 - q2)
    far, near = np.sqrt((_MASS_B + _MASS_K) ** 2 - q2), _MASS_B + _MASS_K
    z = (far - near) / (far + near)
    n = len(_COEFFICIENTS)
    series = sum(
        a * (z**k - k / n * (-1) ** (k - n) * z**n) for k, a in enumerate(_COEFFICIENTS)
    ) / (1.0 - q2 / _MASS_POLE**2)
    momentum = np.sqrt(lam) / (2.0 * _MASS_B)
    return np.where(inside, _RATE * momentum**3 * series**2, 0.0)


@dataclass(frozen=True)
class Count:
    """A counting experiment, read and checked.

    Attributes:
        channel: its name.
        decay: what it looks for.
        observed: number of events.
        parents: number of mesons that could have decayed.
        efficiency: of the signal.
        signal: uncertainties of the signal's yield.
        backgrounds: what else is expected.
    """

    channel: str
    decay: str
    observed: float
    parents: float
    efficiency: Efficiency
    signal: tuple[Uncertainty, ...]
    backgrounds: tuple[Yield, ...]


def densities(counts: Sequence[Count]) -> dict[str, Density]:
    """Return the densities of all counting experiments, by channel."""
    return {c.channel: c.efficiency.density(c.parents) for c in counts}


def workspace(counts: Sequence[Count], found: Mapping[str, Density]) -> dict[str, Any]:
    """Return the pyhf workspace of counting experiments and their densities.

    Nuisances of one name are one. No yield becomes negative: a nuisance stops where all those of a
    sample together, at their lower bounds, have taken away the whole of it. That truncates its
    Gaussian; it matters only where uncertainties add up to more than a fifth of a yield.
    """
    channels: list[dict[str, Any]] = []
    lowest: dict[str, float] = {}
    for count in counts:
        expected = float(found[count.channel].counts.sum())
        samples = []
        for item in (Yield(SIGNAL, expected, count.signal), *count.backgrounds):
            modifiers: list[dict[str, Any]] = [
                {
                    "name": u.name,
                    "type": "histosys",
                    "data": {
                        "hi_data": [item.value * (1.0 + u.up)],
                        "lo_data": [item.value * (1.0 - u.down)],
                    },
                }
                for u in item.uncertainties
            ]
            # Between -1 and 1 an asymmetric one goes smoothly from one slope to the other.
            total = sum(max(u.up, u.down) for u in item.uncertainties)
            if total <= _ALMOST:
                total = sum(u.down for u in item.uncertainties)
            for u in item.uncertainties:
                if total > 0.0:
                    lowest[u.name] = min(lowest.get(u.name, RANGE), _ALMOST / total)
            if item.name == SIGNAL:
                modifiers.insert(0, {"name": STRENGTH, "type": "normfactor", "data": None})
            samples.append({"name": item.name, "data": [item.value], "modifiers": modifiers})
        channels.append({"name": count.channel, "samples": samples})
    parameters = [
        {"name": name, "bounds": [[-bound, RANGE]]}
        for name, bound in lowest.items()
        if bound < RANGE
    ]
    return {
        "version": "1.0.0",
        "channels": channels,
        "observations": [{"name": c.channel, "data": [c.observed]} for c in counts],
        "measurements": [
            {"name": "counting", "config": {"poi": STRENGTH, "parameters": parameters}}
        ],
    }


#: A yield keeps this much less than one of itself at the end of its nuisances' ranges.
_ALMOST = 1.0 - 1e-6
