"""Bins of a workspace that are merged, or folded into others as control regions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bknn import errors
from bknn.data import Density, Measurement
from bknn.data.measurement import resolve
from bknn.likelihood.histfactory import HistFactory


@dataclass(frozen=True, eq=False)
class MergedBins:
    """How the bins of a workspace (m,) become those of a simplified likelihood (n,).

    Attributes:
        channels: {name: bins}, new ones.
        matrix: (n, m) of 0 and 1.
        controls: (m,) of bool, bins that are folded in.
        shared: groups of bins that are merged.
        members: {new channel: channels of the workspace in it}.
    """

    channels: dict[str, int]
    matrix: np.ndarray
    controls: np.ndarray
    shared: tuple[np.ndarray, ...]
    members: dict[str, tuple[str, ...]]

    @classmethod
    def of(
        cls,
        measurement: Measurement,
        pdf: HistFactory,
        controls: Sequence[str],
        merge: Mapping[str, Sequence[Mapping[str, Sequence[int]]]],
    ) -> MergedBins:
        starts = dict(zip(pdf.channels, np.cumsum([0, *pdf.channels.values()]), strict=False))
        where = f"measurement {measurement.name!r}"

        def found(name: str) -> tuple[str, ...]:
            return resolve(name, measurement.channels, measurement.groups, where=where)

        folded = {c for name in controls for c in found(name)}
        rows: dict[str, list[np.ndarray]] = {}
        members: dict[str, tuple[str, ...]] = {}
        for new, groups in merge.items():
            rows[new] = []
            inside: dict[str, None] = {}
            for group in groups:
                row = np.zeros(pdf.n_bins)
                for name, indices in group.items():
                    channels = found(name)
                    if len(channels) > 1:
                        raise errors.DataError(
                            f"{new!r} merges bins of {name!r}, which stands for "
                            f"{len(channels)} channels; name one of {', '.join(channels)}."
                        )
                    n = pdf.channels[channels[0]]
                    if bad := [i for i in indices if not 0 <= i < n]:
                        raise errors.DataError(
                            f"{new!r} merges bin {bad[0]} of channel {channels[0]!r}, which has "
                            f"bins 0 to {n - 1}."
                        )
                    row[[starts[channels[0]] + i for i in indices]] += 1
                    inside[channels[0]] = None
                rows[new].append(row)
            members[new] = tuple(inside)
        merged = {c for inside in members.values() for c in inside}
        for name, n in pdf.channels.items():
            if name not in merged and name not in folded:
                rows[name] = list(np.eye(pdf.n_bins)[starts[name] : starts[name] + n])
                members[name] = (name,)
        # pyhf and HistFactory take the channels in alphabetical order.
        rows = {name: rows[name] for name in sorted(rows)}
        matrix = np.array([r for group in rows.values() for r in group])
        used = matrix.sum(axis=0)
        is_folded = np.concatenate([np.full(n, c in folded) for c, n in pdf.channels.items()])
        if (used + is_folded != 1).any():
            b = int(np.argmax(used + is_folded != 1))
            channel = [c for c, start in starts.items() if start <= b][-1]
            raise errors.DataError(
                f"bin {b - starts[channel]} (from 0) of channel {channel!r} is used "
                f"{int(used[b] + is_folded[b])} times; every bin stays, is merged, or is folded "
                "in, once."
            )
        return cls(
            {name: len(r) for name, r in rows.items()},
            matrix,
            is_folded,
            tuple(np.flatnonzero(r) for r in matrix if r.sum() > 1),
            members,
        )

    def densities(self, measurement: Measurement, signal: np.ndarray) -> dict[str, Density]:
        """Return densities of the new channels that add up to a signal (m,)."""
        if not measurement.densities:
            return {}
        starts, result, first = self._starts(measurement), {}, 0
        for new, n in self.channels.items():
            rows = self.matrix[first : first + n]
            first += n
            old = [c for c in self.members[new] if c in measurement.densities]
            if not old:
                continue
            edges = measurement.densities[old[0]].edges
            counts, unmatched = np.zeros((n, len(edges) - 1)), np.zeros(n)
            for c in old:
                density = measurement.densities[c]
                if not np.array_equal(density.edges, edges):
                    raise errors.DataError(
                        f"channels {old[0]!r} and {c!r} are merged into {new!r}, but have "
                        "different bins of true q2; merge channels with the same ones."
                    )
                here = slice(starts[c], starts[c] + len(density.counts))
                rest = density.counts.sum(axis=1) + density.unmatched
                factor = rows[:, here] * (signal[here] / np.where(rest > 0, rest, 1.0))
                counts += factor @ density.counts
                unmatched += factor @ density.unmatched
            result[new] = Density(counts, edges, unmatched)
        return result

    def decays(self, measurement: Measurement) -> dict[str, str]:
        """Return the decay of each new channel with a signal."""
        result = {}
        for new, old in self.members.items():
            decays = {measurement.decay(c) for c in old if c in measurement.signal}
            if len(decays) > 1:
                raise errors.DataError(
                    f"channels of different decays ({', '.join(sorted(decays))}) are merged into "
                    f"{new!r}; merge channels of one decay."
                )
            result.update(dict.fromkeys([new] if decays else [], *decays))
        return result

    def _starts(self, measurement: Measurement) -> dict[str, int]:
        # In the order of the workspace's bins, which is alphabetical.
        sizes = {c: len(x) for c, x in sorted(measurement.observed.items())}
        return dict(zip(sizes, np.cumsum([0, *sizes.values()]).tolist(), strict=False))


def axis_of(channel: str, edges: np.ndarray) -> dict[str, Any]:
    """Return the label of an axis of q2_rec, GeV^2."""
    axis = {"name": r"$q^2_\mathrm{rec}$", "unit": "GeV$^2$", "edges": edges.tolist()}
    return {"axes": {channel: [axis]}}


def labels_of(
    measurement: Measurement, channels: Mapping[str, int], edges: Mapping[str, Sequence[float]]
) -> dict[str, Any]:
    """Return the labels of a measurement as far as they still apply."""
    given = measurement.metadata.get("labels", {})
    axes = {c: x for c, x in given.get("axes", {}).items() if c in channels}
    for channel, values in edges.items():
        if channel not in channels or len(values) != channels[channel] + 1:
            raise errors.DataError(
                f"{len(values)} edges for channel {channel!r}; known are "
                f"{', '.join(f'{c} ({n} bins)' for c, n in channels.items())}, with one edge more "
                "than bins."
            )
        axes |= axis_of(channel, np.asarray(values, float))["axes"]
    names = {c: x for c, x in given.get("channels", {}).items() if c in channels}
    return {"channels": names, "axes": axes}
