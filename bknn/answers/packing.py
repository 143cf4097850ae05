"""Results as plain values with arrays beside them, and back.

A result becomes what JSON can hold, with the name of an array in place of each array. Classes are
found again by name, and only those that were made known: a file never says what is run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from functools import cached_property
from inspect import cleandoc
from typing import Any, TypeVar

import jax
import numpy as np
import numpyro.distributions as dist

from bknn import errors, faces, priors
from bknn.answers.outline import DataOutline, ModelOutline, Outline, is_analysis
from bknn.parameters import Parameter
from bknn.priors.tabulated import Tabulated

T = TypeVar("T")

#: Classes that results are made of.
KNOWN: dict[str, Any] = {}

#: Where all results are made known; by name, since imports go down and these stand higher.
_ROOMS = ("bknn.inference", "bknn.studies", "bknn.postfit.postfit", "bknn.vectors.over_mass")

#: A dimension that stands for those of a batch of results, as many as there are.
BATCH = "*"

_PRIORS: Mapping[str, Callable[..., Any]] = {
    **{
        name: getattr(dist, name)
        for name in ("Uniform", "LogUniform", "Normal", "LogNormal", "Gamma", "Beta", "HalfNormal")
    },
    "FlatInSquare": priors.FlatInSquare,
    "Within": priors.Within,
}


def piece(kind: type[T]) -> type[T]:
    """Make a dataclass or a named tuple known, so that results may hold it."""
    KNOWN[kind.__name__] = kind
    return kind


def known(name: str) -> Any:
    """Return the class of this name that results are made of; None if there is none.

    What nothing has used yet is loaded: a file may hold any result.
    """
    if name not in KNOWN:
        for room in _ROOMS:
            faces.load(room)
    return KNOWN.get(name)


@dataclass(frozen=True)
class Coordinate:
    """What stands along one dimension of the arrays of a result."""

    values: Sequence[Any] | np.ndarray
    unit: str = ""
    long_name: str = ""


@dataclass(frozen=True)
class Packed:
    """One array of a result: its dimensions, unit and meaning."""

    dims: tuple[str, ...]
    values: np.ndarray
    unit: str
    long_name: str


class Packing:
    """Packs one result.

    Args:
        inside: whether arrays stay where they are, as lists.

    Attributes:
        arrays: {name: array}.
        coordinates: {dimension: what stands along it}.
        analyses: what analyses are remembered by, each once.
    """

    def __init__(self, *, inside: bool = False) -> None:
        self.inside = inside
        self.arrays: dict[str, Packed] = {}
        self.coordinates: dict[str, Coordinate] = {}
        self.analyses: list[Any] = []
        self._seen: dict[int, tuple[int, Any]] = {}

    def pack(
        self, x: Any, name: str = "", dims: Sequence[str] = (), unit: str = "", text: str = ""
    ) -> Any:
        """Return what JSON can hold; arrays are put aside under `name` and names made of it."""
        if x is None or isinstance(x, bool | int | float | str):
            return x
        if isinstance(x, np.generic):
            return self.pack(x.item())
        if isinstance(x, np.ndarray | jax.Array):
            return self._array(np.asarray(x), name, dims, unit, text)
        if isinstance(x, dist.Distribution):
            return {"prior": self._prior(x)}
        if is_analysis(x):
            if id(x) not in self._seen:
                self._seen[id(x)] = len(self.analyses), x
                self.analyses.append(Packing(inside=True)._fields(Outline.of(x), "", {}, {}, {}))
            return {"analysis": self._seen[id(x)][0]}
        kind = type(x).__name__
        if kind == "Measurement" or isinstance(x, DataOutline):
            for number, analysis in self._seen.values():
                for k, known in enumerate(getattr(analysis, "measurements", ())):
                    if known is x:
                        return {"data": [number, k]}
            return {"DataOutline": self._fields(DataOutline.of(x), "", {}, {}, {})}
        if is_dataclass(x) and kind in KNOWN:
            return {kind: self._result(x, f"{name}." if name else "")}
        if isinstance(x, tuple) and hasattr(x, "_fields") and kind in KNOWN:
            return {kind: [self.pack(v, f"{name}.{k}", dims) for k, v in _items(x)]}
        if isinstance(x, Mapping):
            pairs = x.items()
            return {
                "dict": [
                    [self.pack(k), self.pack(v, f"{name}.{_word(k)}", dims, unit, text)]
                    for k, v in pairs
                ]
            }
        if isinstance(x, tuple | list | frozenset):
            found = [
                self.pack(v, f"{name}.{i}", dims, unit, text)
                for i, v in enumerate(sorted(x) if isinstance(x, frozenset) else x)
            ]
            return found if type(x) is tuple else {type(x).__name__: found}
        raise TypeError(f"{name or 'the result'} is a {kind}, which is not known how to be kept")

    def _result(self, x: Any, prefix: str) -> dict[str, Any]:
        """Pack the fields of a dataclass, and what it found with an analysis that will be gone."""
        told = meanings(type(x))
        dimensions, units, coordinates = (
            dict(getattr(x, said, dict)()) for said in ("dimensions", "field_units", "coordinates")
        )
        for dim, along in coordinates.items():
            self.coordinates[f"{prefix}{dim}"] = along
        dims = {k: [f"{prefix}{d}" for d in v] for k, v in dimensions.items()}
        packed = self._fields(x, prefix, dims, units, told)
        kept = {}
        for name in getattr(x, "KEPT", ()):
            cached = isinstance(getattr(type(x), name), cached_property)
            if prefix and cached and name not in vars(x):
                continue  # a part of another result: nothing is computed for it
            try:
                value = getattr(x, name)
            except errors.BknnError:
                continue  # what cannot be had now cannot be had later
            unit, text = units.get(name, ""), told.get(name, "")
            entry = self.pack(value, self._name(x, prefix, name), dims.get(name, ()), unit, text)
            if cached:
                kept[name] = entry
        return {**packed, **({"kept": kept} if kept else {})}

    def _fields(
        self,
        x: Any,
        prefix: str,
        dims: Mapping[str, Sequence[str]],
        units: Mapping[str, str],
        told: Mapping[str, str],
    ) -> dict[str, Any]:
        return {
            f.name: self.pack(
                getattr(x, f.name),
                self._name(x, prefix, f.name),
                dims.get(f.name, ()),
                units.get(f.name, ""),
                told.get(f.name, ""),
            )
            for f in fields(x)
            if f.init
        }

    @staticmethod
    def _name(x: Any, prefix: str, field: str) -> str:
        return prefix + getattr(x, "CALLED", {}).get(field, field)

    def _array(self, x: np.ndarray, name: str, dims: Sequence[str], unit: str, text: str) -> Any:
        if self.inside or x.size == 0 or x.dtype.kind not in "bifU" or _large(x):
            return {"values": x.tolist(), "dtype": str(x.dtype), "shape": list(x.shape)}
        for dim, along in self.coordinates.items():
            if along.values is x:
                return {"coordinate": dim, "dtype": str(x.dtype)}
        for key, known in self.arrays.items():
            if known.values is x:  # parts of a result share what is large, such as draws
                return {"array": key, "dtype": str(x.dtype)}
        key, named = name.replace("/", "|"), list(dims)
        if named and named[0].endswith(BATCH):
            start = named.pop(0).removesuffix(BATCH)
            named = [f"{start}batch_{i}" for i in range(x.ndim - len(named))] + named
        if len(named) != x.ndim:
            named = [f"{key}.axis_{i}" for i in range(x.ndim)]
        self.arrays[key] = Packed(tuple(named), x, unit, text)
        return {"array": key, "dtype": str(x.dtype)}

    def _prior(self, x: dist.Distribution) -> Any:
        kind = type(x).__name__
        names = ("base", "low", "high") if kind == "Within" else tuple(x.arg_constraints)
        values: list[Any] = [getattr(x, name, None) for name in names]
        numbers = [isinstance(v, dist.Distribution) or np.size(v) == 1 for v in values]
        if kind not in _PRIORS or not all(numbers):
            known = Tabulated.of(x)
            table = (known.x.tolist(), known.log_density.tolist())
            return ["", known.text, known.low, known.high, *table]
        packed = [self.pack(v) if isinstance(v, dist.Distribution) else _float(v) for v in values]
        return [kind, *packed]


class Unpacking:
    """Makes results of what `Packing` made of them.

    Args:
        analyses: what stands for each analysis.
        read: returns the array of a name, as ("array" or "coordinate", name).
    """

    def __init__(self, read: Callable[[str, str], np.ndarray], analyses: Sequence[Any] = ()):
        self.read, self.analyses = read, analyses
        self._arrays: dict[str, np.ndarray] = {}

    def outlines(self, packed: Sequence[Mapping[str, Any]]) -> list[Outline]:
        """Return what is kept of analyses."""
        return [Outline(**{k: self(v) for k, v in content.items()}) for content in packed]

    def __call__(self, x: Any) -> Any:
        if isinstance(x, list):
            return tuple(self(v) for v in x)
        if not isinstance(x, dict):
            return x
        if "dtype" in x:
            return self._array(x)
        ((kind, content),) = x.items()
        match kind:
            case "dict":
                return {self(k): self(v) for k, v in content}
            case "list":
                return [self(v) for v in content]
            case "frozenset":
                return frozenset(self(v) for v in content)
            case "analysis":
                return self.analyses[content]
            case "data":
                return self.analyses[content[0]].measurements[content[1]]
            case "prior":
                name, *values = content
                return _PRIORS[name](*map(self, values)) if name else Tabulated(*values)
        made = known(kind)
        if made is None:
            raise errors.DataError(
                f"the file holds a {kind!r}, which this version of bknn does not know; read it "
                "with the version that wrote it."
            )
        if isinstance(content, list):
            return made(*(self(v) for v in content))
        found = made(**{k: self(v) for k, v in content.items() if k != "kept"})
        vars(found).update({k: self(v) for k, v in content.get("kept", {}).items()})
        return found

    def _array(self, x: dict[str, Any]) -> np.ndarray:
        if "shape" in x:
            return np.array(x["values"], x["dtype"]).reshape(x["shape"])
        ((how, name),) = ((k, v) for k, v in x.items() if k != "dtype")
        if name not in self._arrays:
            self._arrays[name] = np.asarray(self.read(how, name)).astype(x["dtype"])
        return self._arrays[name]


for _kind in (Parameter, ModelOutline, DataOutline):
    piece(_kind)


def meanings(kind: type) -> dict[str, str]:
    """Return {name: what it is} of the fields and properties of a class, from their docstrings.

    A class names its fields in a section "Attributes:", each with a text that may go on.
    """
    # Python 3.13 strips the indentation of docstrings, earlier ones keep it.
    return dict(_lines(cleandoc(kind.__doc__ or ""))) | {
        name: " ".join(cleandoc(member.__doc__ or "").split("\n\n")[0].split())
        for name, member in vars(kind).items()
        if isinstance(member, property | cached_property)
    }


def _lines(text: str) -> Iterator[tuple[str, str]]:
    _, _, section = text.partition("Attributes:\n")
    names: list[str] = []
    words: list[str] = []
    for line in section.splitlines():
        indent = len(line) - len(line.lstrip())
        if indent == 4 and ":" in line:
            yield from ((name, " ".join(words)) for name in names)
            head, _, rest = line.strip().partition(":")
            names, words = [n.strip() for n in head.split(",")], [rest.strip()]
        elif indent > 4:
            words.append(line.strip())
        elif line.strip():
            break
        else:
            break
    yield from ((name, " ".join(words)) for name in names)


def _items(x: Any) -> list[tuple[str, Any]]:
    return list(zip(x._fields, x, strict=True))


def _word(key: Any) -> str:
    return ".".join(map(str, key)) if isinstance(key, tuple) else str(key)


def _float(x: Any) -> float:
    return float(x)


def _large(x: np.ndarray) -> bool:
    """Whether NetCDF 3 has no integers as large as these."""
    return x.dtype.kind == "i" and bool(np.abs(x).max() > np.iinfo(np.int32).max)
