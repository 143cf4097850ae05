"""What a result remembers of its analysis once it has been written to a file and read again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

import numpy as np
from jax.typing import ArrayLike

from bknn import errors
from bknn.parameters import Parameter
from bknn.storage.identity import Parts, differences, parts, sha256


class _Kept:
    """What is kept of an object; everything else is said to be missing."""

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):
            raise AttributeError(name)
        raise errors.NotKeptError(
            f"{name!r} needs the analysis, and this result was read from a file, which does not "
            "hold it; build the analysis again and give it to `load(path, analysis)`."
        )


@dataclass(frozen=True)
class ModelOutline(_Kept):
    """Name and description of a model, and where it is the standard model."""

    name: str
    description: str
    null: Mapping[str, float]


@dataclass(frozen=True)
class DataOutline(_Kept):
    """Names, titles and labels of a measurement, what of it was used, and what to cite.

    Attributes:
        densities: channels that have them.
        metadata: the table `labels` of it.
    """

    name: str
    label: str
    title: str
    sha256: str
    entries: tuple[str, ...]
    sources: tuple[str, ...]
    n_bins: int
    channels: tuple[str, ...] = ()
    signal: Mapping[str, str] = field(default_factory=dict)
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    densities: tuple[str, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, x: Any) -> DataOutline:
        if isinstance(x, DataOutline):
            return x
        sources = tuple(str(s) for s in x.sources)
        return cls(
            x.name,
            x.label,
            x.title,
            x.sha256,
            tuple(x.entries),
            sources,
            int(x.n_bins),
            tuple(x.channels),
            dict(x.signal),
            {alias: tuple(names) for alias, names in x.groups.items()},
            tuple(x.densities),
            {k: v for k, v in x.metadata.items() if k == "labels"},
        )


@dataclass(frozen=True, repr=False)
class Outline(_Kept):
    """Names, parameters and data of an analysis, without its likelihood.

    Attributes:
        text: how the analysis printed.
        sha256: digest of what it consists of (`identity`).
        names: one an entry of the flat vector.
        parameters: of the model, with the nuisances of theory.
        extents: {name: first and last position + 1 in the flat vector} of the other nuisances.
        constants: {name: value} of what the model keeps fixed.
        bounds: of the flat vector (size, 2).
        init_vector, fixed: start and whether it is kept there, of the flat vector (size,).
        normal: positions, centres and widths of what has a normal constraint, (n,) each.
        poisson: positions, counts and rates of what has a Poisson constraint, (n,) each.
        model, measurements, response: which.
        data: observed counts and auxiliary data; None for a density of the user's.
        in_channels: (number of the measurement, channel, bins), in the order of the counts.
        bins: the channel of each count, then names of other results.
        content: what it consists of (`bknn.storage.identity.parts`).
    """

    text: str
    sha256: str
    names: tuple[str, ...]
    parameters: tuple[Parameter, ...]
    extents: Mapping[str, tuple[int, int]]
    constants: Mapping[str, float]
    bounds: np.ndarray
    init_vector: np.ndarray
    fixed: np.ndarray
    normal: tuple[np.ndarray, np.ndarray, np.ndarray]
    model: ModelOutline | None
    measurements: tuple[DataOutline, ...]
    response: str
    data: Any
    poisson: tuple[np.ndarray, np.ndarray, np.ndarray] = (np.zeros(0),) * 3
    in_channels: tuple[tuple[int, str, int], ...] = ()
    bins: tuple[str, ...] = ()
    content: Parts = field(default_factory=dict)

    @classmethod
    def of(cls, x: Any) -> Outline:
        """Return the outline of an analysis, or of a log density."""
        if isinstance(x, Outline):
            return x
        if not hasattr(x, "measurements"):
            none = np.zeros(0)
            return cls(
                repr(x), "", tuple(x.names), (), {}, {}, np.asarray(x.bounds),
                np.asarray(x.init_vector), np.asarray(x.fixed), (none, none, none),
                None, (), "", None,
            )  # fmt: skip
        null = {k: float(v) for k, v in getattr(x.model, "null", {}).items()}
        return cls(
            repr(x),
            identity(x),
            tuple(x.names),
            tuple(x.parameters),
            {k: (s.start, s.stop) for k, s in x.nuisances.items()},
            {k: float(v) for k, v in x.constants.items()},
            np.asarray(x.bounds),
            np.asarray(x.init_vector),
            np.asarray(x.fixed),
            tuple(np.asarray(part) for part in x.normal),  # type: ignore[arg-type]
            ModelOutline(x.model.name, x.model.description, null),
            tuple(DataOutline.of(m) for m in x.measurements),
            x.response,
            type(x.data)(*(np.asarray(part) for part in x.data)),
            tuple(np.asarray(part) for part in x.poisson),  # type: ignore[arg-type]
            tuple(
                (x.measurements.index(part.measurement), name, n_bins)
                for part in x.parts
                for name, n_bins in part.pdf.channels.items()
            ),
            tuple(x.bins),
            parts(x),
        )

    @property
    def nuisances(self) -> dict[str, slice]:
        """Where each set of nuisances lies in the flat vector."""
        return {name: slice(*ends) for name, ends in self.extents.items()}

    @property
    def channels(self) -> list[tuple[DataOutline, str, slice]]:
        """What was counted where: measurement, channel, and its place among all counts."""
        return placed((self.measurements[k], name, n) for k, name, n in self.in_channels)

    @property
    def size(self) -> int:
        """Length of the flat vector."""
        return len(self.names)

    @property
    def n_bins(self) -> int:
        """How many numbers were observed."""
        return len(self.data.counts)

    def index(self, name: str) -> int:
        """Position of a parameter in the flat vector."""
        if name not in self.names:
            own = [p.name for p in self.parameters if not p.nuisance]
            raise errors.unknown("parameter", name, own, "the result", self.names)
        return self.names.index(name)

    def unflatten(self, vector: ArrayLike) -> dict[str, np.ndarray]:
        """Return {name: value} of a vector (size,), or of a batch (..., size)."""
        vector = np.asarray(vector)
        own = [p.name for p in self.parameters] or self.names
        found = {name: vector[..., i] for i, name in enumerate(own)}
        for name, where in self.nuisances.items():
            scalar = self.names[where.start] == name
            found[name] = vector[..., where.start if scalar else where]
        return found

    def __repr__(self) -> str:
        return self.text


def placed(channels: Iterable[tuple[Any, str, int]]) -> list[tuple[Any, str, slice]]:
    """Return (measurement, channel, where its bins are) of channels with the given numbers of bins.

    >>> placed([("a", "SR", 3), ("a", "CR", 2)])
    [('a', 'SR', slice(0, 3, None)), ('a', 'CR', slice(3, 5, None))]
    """
    found, first = [], 0
    for measurement, name, n_bins in channels:
        found.append((measurement, name, slice(first, first + n_bins)))
        first += n_bins
    return found


def is_analysis(x: Any) -> bool:
    """Return whether an object is an analysis, a log density, or what is kept of one."""
    return isinstance(x, Outline) or (
        callable(getattr(type(x), "log_density", None)) and hasattr(x, "unflatten")
    )


def subject(analysis: Any) -> str:
    """Return model and data in a few words, for headlines."""
    if not getattr(analysis, "measurements", ()):
        return repr(analysis)
    return f"{analysis.model.name}, {' + '.join(m.label for m in analysis.measurements)}"


def unit_of(analysis: Any, name: str) -> str:
    """Return the unit of a parameter."""
    parameters = getattr(analysis, "parameters", ())
    return next((p.unit for p in parameters if p.name == name), "")


def fitting(outline: Outline, analysis: Any, where: str) -> Any:
    """Return the analysis if it is the one that was kept.

    Raises:
        DataError: it is of another model, of other data, priors or parameters.
    """
    if outline.sha256 and outline.sha256 != identity(analysis):
        raise errors.DataError(
            f"{where} is of {outline.text}, not of this {analysis!r}{unlike(outline, analysis)}; "
            "build the analysis with the same model, options and data."
        )
    return analysis


def identity(analysis: Any) -> str:
    """Return the digest of what an analysis consists of: pieces and toys of the same fit together,
    and a file fits the analysis that it is of."""
    return analysis.sha256 if isinstance(analysis, Outline) else sha256(parts(analysis))


def content(analysis: Any) -> Parts:
    """Return what an analysis consists of, by name."""
    return analysis.content if isinstance(analysis, Outline) else parts(analysis)


def unlike(one: Any, other: Any) -> str:
    """Return in brackets in what two analyses differ, as far as it is known."""
    a, b = (x if isinstance(x, Mapping) else content(x) for x in (one, other))
    found = differences(a, b) if a and b else "written by another version"
    return f" ({found})" if found else ""
