"""An inclusive tag in other bins of q2_rec than those that were published: a study of sensitivity.

The efficiency and the backgrounds come from the published likelihood, summed over its classifier
bins; true q2 becomes q2_rec by the kernel of `bknn.response.kernel`. Between the published edges
the cumulative background is interpolated, so this says what finer bins would tell, not what is in
them. `docs/simplified.md` compares it with the published bins.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from jax.typing import ArrayLike

from bknn import errors
from bknn.data import Measurement
from bknn.derived.simplified import Background, SimplifiedLikelihood
from bknn.response.grid import gauss_legendre
from bknn.standard_model import NULL_SPECTRA

#: Charged B mesons in 387 million pairs (arXiv:2311.14647).
PRODUCED = 2 * 0.516 * 387e6

#: Relative uncertainty of the size of each background that gives mu the published uncertainty in
#: three bins (docs/simplified.md).
NORM = 0.019

#: Samples that are one background.
_GROUPS = {
    "charged": ("charged",),
    "mixed": ("mixed",),
    "continuum": ("uubar", "ddbar", "ssbar", "ccbar", "taupair"),
}


def rebinned(
    measurement: Measurement,
    edges: Sequence[float],
    *,
    name: str,
    backgrounds: Mapping[str, Mapping[str, ArrayLike]] | None = None,
    norm: float = NORM,
    produced: float = PRODUCED,
) -> Measurement:
    """Return the inclusive tag of Belle II in bins of q2_rec alone, with the counts that its
    backgrounds and the standard model expect.

    Args:
        measurement: with axes of q2_rec, as "belle2-2025".
        edges: of the bins in GeV^2, within the published range.
        name: of the measurement that is made.
        backgrounds: {channel: {sample: expected counts}} of a fit; of the simulation by default.
        norm: relative uncertainty of the size of each background.
        produced: number of B mesons that could have decayed.

    Raises:
        DataError: no channel has a signal and an axis of q2_rec, or edges beyond the axis.
    """
    from scipy.interpolate import PchipInterpolator  # takes a third of a second

    axes = measurement.metadata.get("labels", {}).get("axes", {})
    chosen = [c for c in measurement.signal if c in axes and "q^2" in axes[c][0]["name"]]
    if not chosen:
        raise errors.DataError(
            f"measurement {measurement.name!r} has no channel with a signal whose first axis is "
            "q2_rec, so there is nothing to divide; use 'belle2-2025'."
        )
    published = np.asarray(axes[chosen[0]][0]["edges"], float)
    new = np.asarray(edges, float)
    if new[0] < published[0] or new[-1] > published[-1] or np.any(np.diff(new) <= 0):
        raise errors.DataError(
            f"the edges of q2_rec must increase from {published[0]:g} to {published[-1]:g} GeV^2 "
            f"at most; they go from {new[0]:g} to {new[-1]:g}."
        )
    n = len(published) - 1
    counts = {b: np.zeros(n) for b in _GROUPS}
    variance = {b: np.zeros(n) for b in _GROUPS}
    density = np.zeros(len(measurement.densities[chosen[0]].edges) - 1)
    for channel in measurement.workspace["channels"]:
        c = channel["name"]
        if c not in chosen:
            continue
        density += measurement.densities[c].counts.sum(axis=0)
        for sample in channel["samples"]:
            for b, members in _GROUPS.items():
                if sample["name"] in members:
                    own = (backgrounds or {}).get(c, {}).get(sample["name"], sample["data"])
                    counts[b] += np.reshape(np.asarray(own, float), (-1, n)).sum(axis=0)
                    for m in sample["modifiers"]:
                        if m["type"] == "staterror":
                            variance[b] += np.square(np.reshape(m["data"], (-1, n))).sum(axis=0)
    true = measurement.densities[chosen[0]].edges
    nodes, weights = gauss_legendre(true, 8)
    null = NULL_SPECTRA[measurement.null_spectrum]
    efficiency = density / (produced * (weights * np.asarray(null(nodes))).sum(axis=1))
    middle = (true[1:] + true[:-1]) / 2

    def shared(x: np.ndarray) -> np.ndarray:
        return np.diff(PchipInterpolator(published, np.append(0.0, np.cumsum(x)))(new))

    made = SimplifiedLikelihood.from_efficiency(
        lambda q2: np.interp(q2, middle, efficiency),
        new,
        np.sum([shared(x) for x in counts.values()], axis=0),
        {b: Background(shared(x), np.diag(shared(variance[b])), norm) for b, x in counts.items()},
        produced=produced,
        smallest=1e-4,
        null_spectrum=measurement.null_spectrum,
        sources=measurement.sources,
    )
    return made.measurement(name, f"{measurement.title}, {len(new) - 1} bins of q2_rec, no data")
