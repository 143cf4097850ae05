"""Short names for people, of channels, samples and bins.

A data set may bring its own, in a table `labels` of its `metadata.toml` (`docs/figures.md`).
Otherwise long names are cut down to what tells them apart.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from bknn import errors
from bknn.analysis.analysis import Analysis
from bknn.data import Measurement
from bknn.parameters import Parameter
from bknn.plot.drawing.style import plain, powers
from bknn.prediction import derived_quantities
from bknn.studies.observables.quantities import Quantity

#: What B factories call the simulated samples that every analysis has, and how they are drawn
#: together. A sample that is not here keeps its own name.
COMMON_SAMPLES = {
    **dict.fromkeys(("uubar", "ddbar", "ssbar", "ccbar", "qqbar", "taupair"), "continuum"),
    "charged": "$B^{+}B^{-}$",
    "mixed": r"$B^0\overline{B}{}^0$",
    "bbbar": r"$B\overline{B}$",
}

#: Names up to this length are left alone.
_SHORT = 20


class BinAxis(NamedTuple):
    """One of the quantities that the bins of a channel divide.

    Attributes:
        name, unit: as mathtext.
        edges: (n + 1,).
    """

    name: str
    unit: str
    edges: tuple[float, ...]

    @property
    def title(self) -> str:
        return f"{self.name} [{self.unit}]" if self.unit else self.name

    @property
    def n_bins(self) -> int:
        return len(self.edges) - 1

    def texts(self) -> list[str]:
        """Return the edges as text, all with as many digits as the one that needs most.

        >>> BinAxis("x", "", (-1.0, 0.25, 0.5)).texts()
        ['−1.00', '0.25', '0.50']
        """
        digits = max(len(f"{e:g}".partition(".")[2]) for e in self.edges)
        return [f"{e:.{digits}f}".replace("-", "−") for e in self.edges]

    def ranges(self) -> list[str]:
        """Return the bins as text, `4–8`; a negative edge is set apart, `−1 – 4`."""
        texts = self.texts()
        return [f"{a} – {b}" if "−" in a + b else f"{a}–{b}" for a, b in pairwise(texts)]


def shorten(name: str, width: int = 30) -> str:
    """Cut the middle out of a long name.

    >>> shorten("uncorr_bkguncrt_ccbar_zoomCR_offres", 20)
    'uncorr_bk…_offres'
    """
    if len(name) <= width:
        return name
    # Break at the end of a word where one is near.
    tail = name[-(width // 2 - 1) :]
    at = re.search(r"[_\W]", tail[: max(len(tail) - 3, 0)])
    tail = tail[at.start() :] if at else tail
    return f"{name[: width // 2 - 1]}…{tail}"


def distinct(names: Sequence[str]) -> dict[str, str]:
    """Return {name: short name}: long names lose the words that all the long ones share.

    >>> distinct(["A__fit_of_everything_SR", "B__fit_of_everything_CR", "other"])
    {'A__fit_of_everything_SR': 'A SR', 'B__fit_of_everything_CR': 'B CR', 'other': 'other'}
    """
    words = {n: [w for w in re.split(r"[_\W]+", n) if w] for n in names if len(n) > _SHORT}
    shared = set.intersection(*(set(w) for w in words.values())) if len(words) > 1 else set()
    short = {}
    for name in names:
        all_words = words.get(name, [name])
        kept = [w for w in all_words if w not in shared]
        # A lone number or letter is no name.
        if len(" ".join(kept)) < 4 and kept != all_words:
            kept = [all_words[0], *(w for w in kept if w != all_words[0])]
        short[name] = shorten(" ".join(kept))
    # Never at the price of two channels with one name.
    return short if len(set(short.values())) == len(short) else {n: n for n in names}


def channel_labels(measurement: Measurement) -> dict[str, str]:
    """Return {channel: label}, with the name of its group if the label leaves room for it."""
    given = _table(measurement, "channels")
    labels = {}
    for name, short in distinct(measurement.channels).items():
        groups = [g for g, names in measurement.groups.items() if name in names]
        label = plain(short)
        if len(groups) == 1 and groups[0] not in short:
            label = f"{label} ({plain(groups[0])})"
        labels[name] = str(given.get(name, label))
    return labels


def sample_labels(measurement: Measurement, samples: Iterable[str]) -> dict[str, str]:
    """Return {sample: label} of a channel. Samples with one label are drawn as one."""
    given = _table(measurement, "samples")
    samples = list(samples)
    words = [s.split("_") for s in samples]
    common = 0
    # An ending that all samples of the channel share (`ccbar_1_had`, `qqbar_1_had`) says nothing.
    while len(words) > 1 and all(len(w) > common + 1 for w in words):
        if len({w[-1 - common] for w in words}) > 1:
            break
        common += 1
    labels = {}
    for sample, parts in zip(samples, words, strict=True):
        short = "_".join(parts[: len(parts) - common])
        label = COMMON_SAMPLES.get(short, plain(shorten(short, 24)))
        labels[sample] = str(given.get(sample, label))
    return labels


def theory_label(parameter: Parameter) -> str:
    """Return what a nuisance of a model stands for, where the model says so.

    >>> theory_label(Parameter("ff_K_3", 0.0, description="form factors B -> K, some-set"))
    'form factors B → K [3]'
    """
    what, _, _ = parameter.description.partition(",")
    _, _, number = parameter.name.rpartition("_")
    if not what or not number.isdigit():
        return parameter.name
    return f"{what.replace('->', '→')} [{number}]"


def parameter_label(analysis: Analysis, name: str, width: int = 24) -> str:
    """Return how figures write a parameter of an analysis, as mathtext."""
    for p in analysis.parameters:
        if p.name == name:
            text = theory_label(p)
            return p.label if text == p.name else plain(text)
    return plain(shorten(name, width))


def quantity_label(quantity: Quantity, model: Any) -> str:
    """Return the label of an axis of an observable or of a derived quantity, with its unit."""
    if not quantity.is_derived:
        return quantity.label
    declared = derived_quantities(model).get(quantity.observable)
    if declared is None:
        return plain(quantity.observable)
    return declared.label + (f" [{powers(declared.unit)}]" if declared.unit else "")


def unit_of(analysis: Analysis, name: str) -> str:
    """Return the unit of a parameter of an analysis, as mathtext; empty if it has none."""
    return next((powers(p.unit) for p in analysis.parameters if p.name == name), "")


def bin_axes(measurement: Measurement, channel: str, n_bins: int) -> list[BinAxis]:
    """Return what the bins of a channel divide, the quantity that runs fastest first.

    Empty if the data set does not say.

    Raises:
        DataError: what it says does not fit the number of bins.
    """
    entries = _table(measurement, "axes").get(channel)
    if not entries:
        return []
    where = f"{measurement.name}, metadata, labels of the axes of channel {channel!r}"
    try:
        axes = [
            BinAxis(str(e["name"]), str(e.get("unit", "")), tuple(float(x) for x in e["edges"]))
            for e in entries
        ]
    except (AttributeError, KeyError, TypeError, ValueError):
        raise errors.DataError(
            f"{where}: every axis is a table with a name and a list of edges (numbers)."
        ) from None
    found = int(np.prod([axis.n_bins for axis in axes]))
    if found != n_bins:
        raise errors.DataError(
            f"{where}: the edges make {found} bins, but the channel has {n_bins}. Give one edge "
            "more than there are bins on each axis."
        )
    return axes


def signal_label(measurements: Iterable[Measurement], name: str) -> str:
    """Return what a group of channels, or a channel, of `postfit.curves` is called."""
    for m in measurements:
        for channel, label in channel_labels(m).items():
            if name == channel:
                return label
            if name == f"{m.name}, {channel}":
                return f"{plain(m.name)}, {label}"
    return plain(name)


def _table(measurement: Measurement, key: str) -> Mapping[str, Any]:
    table = measurement.metadata.get("labels", {})
    found = table.get(key, {}) if isinstance(table, Mapping) else table
    if not isinstance(found, Mapping):
        raise errors.DataError(
            f"{measurement.name}, metadata: 'labels.{key}' must be a table, not {found!r}."
        )
    return found
