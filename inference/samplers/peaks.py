"""Where a posterior is high: all its modes, before a sampler is chosen.

Fits from the model's own starts come first. From points spread over the prior, and from the mirror
images of what is found, one climbs in the coordinates of the samplers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from bknn.analysis.analysis import Analysis, Data
from bknn.inference.fits import many
from bknn.inference.fits.fit import compiled, starting_points
from bknn.inference.fits.secondary_minima import distinct, mirrored, own_entries, scattered
from bknn.inference.samplers.coordinates import Coordinates
from bknn.inference.samplers.whitening import Linearise, climb, linearisation

#: A mode that is lower than the highest by more than this, in the logarithm, is forgotten.
_FORGOTTEN = 8.0

#: Modes that are closer than this, in every parameter and in units of its prior, are one.
_SAME = 0.1

#: Standard normal numbers of starting points stay within.
_REACH = 3.0

#: The mode of the best fit stays the first one, where the samplers are set up, unless another is
#: higher by more than this, in the logarithm.
_HIGHER = 1.0

#: A climb that promises more than this, in the logarithm, has not arrived.
_ARRIVED = 1e-3


class Peaks(NamedTuple):
    """The modes of a posterior.

    Attributes:
        z: standard normal numbers (k, n); the first is where a sampler is set up.
        vectors: the same as parameters (k, size).
        shares: of the whole posterior, by Laplace's method at each of them (k,): a rough guess.
        depth: how far the logarithm of the density falls within the prior, from mode to the lowest
            of the scattered points where it does not vanish.
    """

    z: np.ndarray
    vectors: np.ndarray
    shares: np.ndarray
    depth: float = 0.0


class _Peak(NamedTuple):
    z: np.ndarray
    height: float
    log_mass: float


def peaks(
    analysis: Analysis,
    fixed: Mapping[str, float],
    coordinates: Coordinates,
    data: Data | None = None,
) -> Peaks:
    """Return the modes of a posterior that starts, scattered points and mirror images lead to.

    Only the model's own parameters tell modes apart.
    """
    starts, moving, _ = starting_points(analysis, fixed, {})
    observed = analysis.data if data is None else data
    linearise = linearisation(coordinates, observed.counts)
    own = np.flatnonzero(np.isin(coordinates.index, own_entries(analysis, moving)))
    begin = _fitted(analysis, starts, moving, coordinates, observed)
    found = [_climbed(linearise, z) for z in begin]
    first = found[0]
    # Where samplers begin: spread over the funnels, if there are any, not over their priors.
    points = scattered(analysis, moving, starts[0, 0])
    spread = coordinates.standard(points, _REACH, straight=False)
    values = np.array([linearise(z)[0] for z in spread])
    found += [peak for z in spread if (peak := _climbed(linearise, z)) is not None]
    kept = _apart(found, first, own)
    images = mirrored(analysis, moving, _vectors(coordinates, [peak.z for peak in kept]))
    found = [*kept, *(_climbed(linearise, z) for z in coordinates.standard(images, _REACH))]
    kept = _apart(found, first, own)
    if not kept:
        return Peaks(begin[:1], _vectors(coordinates, begin[:1]), np.ones(1))
    mass = np.array([peak.log_mass for peak in kept])
    shares = np.exp(mass - mass.max())
    z = np.array([peak.z for peak in kept])
    vectors = _vectors(coordinates, z)
    if first is kept[0]:
        # From where the model itself begins: samplers climb from there.
        z[0] = begin[0]
    far = values[np.isfinite(values)]
    depth = kept[0].height + float(far.max()) if far.size else 0.0
    return Peaks(z, vectors, shares / shares.sum(), depth)


def _vectors(coordinates: Coordinates, z: Sequence[np.ndarray] | np.ndarray) -> np.ndarray:
    rows = [np.asarray(coordinates.natural(jnp.asarray(row))[0]) for row in z]
    return np.array(rows).reshape(-1, coordinates.analysis.size)


def _apart(found: list[_Peak | None], first: _Peak | None, own: np.ndarray) -> list[_Peak]:
    """Return peaks that count and lie apart, the highest first, but the first before all others
    that are hardly higher."""
    arrived = [peak for peak in found if peak is not None]
    top = max((peak.height for peak in arrived), default=0.0)
    arrived = [peak for peak in arrived if peak.height > top - _FORGOTTEN]
    arrived.sort(key=lambda p: -p.height - (_HIGHER if p is first else 0.0))
    if not arrived:
        return []
    unit = np.full(len(arrived[0].z), _SAME)
    return [arrived[i] for i in distinct([peak.z for peak in arrived], unit, own)]


def _climbed(linearise: Linearise, z: np.ndarray) -> _Peak | None:
    """Return the mode above a point, None if the density vanishes there or no mode was reached."""
    with np.errstate(all="ignore"):
        if not np.isfinite(linearise(z)[0]):
            return None
        z = climb(linearise, z)
        value, gradient, a = linearise(z)
        inner = np.eye(len(a)) + a @ a.T
        promise = gradient @ gradient - (a @ gradient) @ np.linalg.solve(inner, a @ gradient)
    if not (np.isfinite(value) and promise < _ARRIVED):
        return None
    return _Peak(z, -value, -value - 0.5 * float(np.linalg.slogdet(inner)[1]))


def _fitted(
    analysis: Analysis,
    starts: np.ndarray,
    moving: np.ndarray,
    coordinates: Coordinates,
    observed: Data,
) -> np.ndarray:
    """Return z (k, n) of what fits from the model's own starts find, the best first; of a single
    start itself: to climb from there is as good as a fit."""
    if starts.shape[1] == 1:
        return coordinates.standard(starts[0], _REACH)
    program = compiled(analysis)
    found, _ = many.run(program, starts, observed, moving, every=True, above=np.inf)
    # A fit may end where the prior has nothing; if all do, the nearest ends are where to begin.
    allowed = np.array([coordinates.allows(v) for v in found.vector[0]])
    chosen = allowed if allowed.any() else ~allowed
    vectors, values = found.vector[0][chosen], found.value[0][chosen]
    order = np.argsort(values)
    lowest = np.min(values, initial=np.inf, where=np.isfinite(values))
    # Not a number comes last.
    near = [i for k, i in enumerate(order) if k == 0 or values[i] < lowest + _FORGOTTEN]
    return coordinates.standard(vectors[near], _REACH)
