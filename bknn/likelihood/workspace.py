"""Read a pyhf JSON workspace and refuse, in a sentence, whatever is wrong with it.

The format is that of pyhf 1.0.0 workspaces (https://pyhf.readthedocs.io, "Likelihood
specification"). Checks are stricter than pyhf where pyhf would answer NaN, or go on with something
else than what is written (docs/likelihood.md lists them). What it takes no notice of is a warning.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from bknn import errors
from bknn.reading import user_files
from bknn.reading.pyhf_files import Patch, another_kind, patched

MODIFIER_TYPES = (
    "histosys",
    "lumi",
    "normfactor",
    "normsys",
    "shapefactor",
    "shapesys",
    "staterror",
)

#: Beyond these, arithmetic in double precision loses its meaning.
_MOST_COUNTS = 2.0**53
_MOST_FACTOR = 1e50
_LARGEST = 1e100

#: Keys that a measurement may set for a parameter, and whether the value is a list of numbers.
CONFIG_KEYS = ("inits", "bounds", "auxdata", "factors", "sigmas", "fixed")


@dataclass(frozen=True)
class Modifier:
    """One entry of a sample's `modifiers`; `data` holds arrays (bins,) or floats, by type."""

    name: str
    type: str
    data: Any


@dataclass(frozen=True)
class Sample:
    """A process in a channel: nominal yields (bins,) and what modifies them."""

    name: str
    data: np.ndarray
    modifiers: tuple[Modifier, ...]


@dataclass(frozen=True)
class Channel:
    """A histogram with its observed counts (bins,), samples in alphabetical order as in pyhf."""

    name: str
    samples: tuple[Sample, ...]
    observed: np.ndarray

    @property
    def n_bins(self) -> int:
        return len(self.observed)


@dataclass(frozen=True)
class Workspace:
    """A checked workspace with one of its measurements chosen; channels in pyhf's order."""

    channels: tuple[Channel, ...]
    measurement: str
    poi: str | None
    configs: dict[str, dict[str, Any]]
    source: str
    #: Some channels were left out, so settings may name parameters that are gone with them.
    partial: bool = False


def read_json(path: str | Path, kind: str = "a pyhf workspace") -> Any:
    """Return the JSON content of a file.

    Raises:
        WorkspaceError: the file is missing, unreadable or not JSON; the sentence says where.
    """
    return user_files.read_json(
        Path(path), f"{kind} in JSON is expected; check the path", error=errors.WorkspaceError
    )


def parse(
    source: str | Path | Mapping[str, Any],
    measurement: str | None = None,
    channels: Sequence[str] | None = None,
    label: str = "workspace",
    patch: Patch | None = None,
) -> Workspace:
    """Check a workspace and return it with one measurement chosen.

    Args:
        source: path of a JSON file, or the workspace as a mapping.
        measurement: name of the measurement; the first one by default.
        channels: names of the channels to keep; all by default.
        label: what messages call a workspace that comes as a mapping.
        patch: applied before anything else; see `bknn.reading.pyhf_files.patched`.

    Raises:
        DataError: a patch that cannot be read or does not fit.
        WorkspaceError: anything wrong with the workspace, with its place.
        UnknownNameError: a measurement or channel that the workspace does not have.
    """
    if isinstance(source, Mapping):
        where, spec = label, source
    elif not isinstance(source, str | Path):
        raise errors.WorkspaceError(
            f"a workspace is a path or a JSON object (a dict), not {_kind(source)}; pass what "
            "json.load returns for a pyhf workspace, or the path of its file."
        )
    else:
        where, spec = str(source), read_json(source)
    if patch is not None:
        spec = patched(spec, patch, where)
    return _Reader(where).workspace(spec, measurement, channels)


class _Reader:
    """Walks the JSON; `where` names the file in every sentence."""

    def __init__(self, where: str) -> None:
        self.where = where

    def fail(self, message: str) -> NoReturn:
        raise errors.WorkspaceError(f"{self.where}: {message}")

    def mapping(
        self, value: Any, what: str, required: Sequence[str], optional: Sequence[str] = ()
    ) -> Mapping[str, Any]:
        if not isinstance(value, Mapping):
            self.fail(f"{what} must be a JSON object, not {_kind(value)}.")
        # Its name, if it has one, says more than its number.
        if "name" in required and isinstance(value.get("name"), str):
            what = f"{what} ({value['name']!r})"
        missing = [key for key in required if key not in value]
        if missing:
            self.fail(f"{what} lacks {_listed(missing)}; this is not a valid pyhf workspace.")
        for key in value:
            if key not in required and key not in optional:
                self.fail(
                    f"{what} has an unknown key {key!r}; known keys are "
                    f"{_listed([*required, *optional])}."
                )
        return value

    def items(self, value: Any, what: str, *, empty: bool = False) -> Sequence[Any]:
        if not isinstance(value, list | tuple):
            self.fail(f"{what} must be a list, not {_kind(value)}.")
        if not value and not empty:
            self.fail(f"{what} is empty; it needs at least one entry.")
        return value

    def name(self, value: Any, what: str, *, empty: bool = False) -> str:
        if not isinstance(value, str) or not (value or empty):
            shown = "an empty string" if value == "" else _kind(value)
            self.fail(f"{what} must be named by a non-empty string, not {shown}.")
        return value

    def number(self, value: Any, what: str) -> float:
        if isinstance(value, bool | np.bool_) or not isinstance(
            value, int | float | np.integer | np.floating
        ):
            self.fail(f"{what} must be a number, not {_kind(value)}.")
        try:
            result = float(value)
        except OverflowError:
            result = math.inf
        if not abs(result) < _LARGEST:
            self.fail(
                f"{what} is {value!r:.40}; every number must be finite, and below {_LARGEST:g} so "
                "that products stay so. Correct the input."
            )
        return result

    def numbers(
        self,
        value: Any,
        what: str,
        length: int | None = None,
        *,
        negative: str | None = None,
        against: str = "its channel has",
    ) -> np.ndarray:
        """A finite list of numbers; `negative` names what negative entries would be."""
        if isinstance(value, np.ndarray):
            value = value.tolist()
        entries = self.items(value, what)
        if length is not None and len(entries) != length:
            self.fail(f"{what} has {len(entries)} entries, but {against} {length}.")
        array = np.array([self.number(x, f"{what}, entry {i}") for i, x in enumerate(entries)])
        if negative is not None and (bad := np.flatnonzero(array < 0)).size:
            self.fail(
                f"{what} is negative in {bad.size} of {array.size} bins, the first at bin "
                f"{bad[0]} ({array[bad[0]]:g}); {negative} cannot be negative. Correct the input."
            )
        return array

    def workspace(
        self, spec: Any, measurement: str | None, keep: Sequence[str] | None
    ) -> Workspace:
        if (kind := another_kind(spec)) is not None:
            self.fail(f"{kind}.")
        if isinstance(spec, Mapping) and not ({"channels", "measurements"} & set(spec)):
            self.fail(
                f"JSON, but not a pyhf workspace: expected the keys 'channels', 'observations', "
                f"'measurements', 'version' and found {_listed(list(spec)[:6]) or 'none'}."
            )
        spec = self.mapping(
            spec, "the workspace", ("channels", "observations", "measurements", "version")
        )
        if spec["version"] != "1.0.0":
            self.fail(
                f"workspace version {spec['version']!r} is not supported; bknn reads '1.0.0'."
            )
        observations = self.observations(spec["observations"])
        channels = self.channels(spec["channels"], observations)
        if idle := sorted(observations.keys() - {c.name for c in channels}):
            errors.warn(
                f"{self.where}: {_listed(idle)} in 'observations' belong to no channel, and are "
                "not used."
            )
        if keep is not None:
            for name in keep:
                if name not in {c.name for c in channels}:
                    raise errors.unknown("channel", name, [c.name for c in channels], self.where)
            channels = tuple(c for c in channels if c.name in set(keep))
            if not channels:
                self.fail("no channel is left after the selection; name at least one.")
        chosen, poi, configs = self.measurement(spec["measurements"], measurement)
        return Workspace(channels, chosen, poi, configs, self.where, keep is not None)

    def observations(self, value: Any) -> dict[str, np.ndarray]:
        result: dict[str, np.ndarray] = {}
        for i, entry in enumerate(self.items(value, "'observations'")):
            entry = self.mapping(entry, f"observation {i}", ("name", "data"))
            name = self.name(entry["name"], f"observation {i}")
            if name in result:
                self.fail(f"channel {name!r} has two observations; keep one.")
            what = f"the observation of channel {name!r}"
            result[name] = self.numbers(entry["data"], what, negative="a count")
            if (bad := np.flatnonzero(result[name] > _MOST_COUNTS)).size:
                self.fail(
                    f"{what} is {result[name][bad[0]]:g} in bin {bad[0]}; counts beyond "
                    f"{_MOST_COUNTS:g} cannot be told from their neighbours in double precision. "
                    "Correct the input."
                )
        return result

    def channels(self, value: Any, observations: Mapping[str, np.ndarray]) -> tuple[Channel, ...]:
        result: dict[str, Channel] = {}
        for i, entry in enumerate(self.items(value, "'channels'")):
            entry = self.mapping(entry, f"channel {i}", ("name", "samples"))
            name = self.name(entry["name"], f"channel {i}")
            if name in result:
                self.fail(f"two channels are named {name!r}; names must be unique.")
            if name not in observations:
                self.fail(
                    f"observations are missing for channel {name!r}; add them to 'observations'."
                )
            observed = observations[name]
            samples: dict[str, Sample] = {}
            for j, item in enumerate(self.items(entry["samples"], f"channel {name!r}: 'samples'")):
                sample = self.sample(item, f"channel {name!r}, sample {j}", name, len(observed))
                if sample.name in samples:
                    self.fail(
                        f"channel {name!r} has two samples named {sample.name!r}; rename one."
                    )
                samples[sample.name] = sample
            ordered = tuple(samples[key] for key in sorted(samples))
            result[name] = Channel(name, ordered, observed)
        return tuple(result[key] for key in sorted(result))

    def sample(self, value: Any, place: str, channel: str, n_bins: int) -> Sample:
        value = self.mapping(value, place, ("name", "data", "modifiers"))
        name = self.name(value["name"], place)
        place = f"channel {channel!r}, sample {name!r}"
        data = self.numbers(
            value["data"],
            f"{place}: the nominal yield",
            n_bins,
            against="the observation of its channel has",
        )
        modifiers: dict[tuple[str, str], Modifier] = {}
        listed = self.items(value["modifiers"], f"{place}: 'modifiers'", empty=True)
        for i, entry in enumerate(listed):
            modifier = self.modifier(entry, f"{place}, modifier {i}", place, n_bins)
            key = (modifier.name, modifier.type)
            if key in modifiers and modifier.type == "shapesys":
                self.fail(
                    f"{place} has two shapesys modifiers named {modifier.name!r}, which cannot "
                    "share their nuisances; rename one."
                )
            if key in modifiers:
                errors.warn(
                    f"{self.where}: {place} has two {modifier.type} modifiers named "
                    f"{modifier.name!r}; the last one is kept, as in pyhf."
                )
            modifiers[key] = modifier
        return Sample(name, data, tuple(modifiers[key] for key in sorted(modifiers)))

    def modifier(self, value: Any, where: str, place: str, n_bins: int) -> Modifier:
        value = self.mapping(value, where, ("name", "type", "data"))
        name = self.name(value["name"], where)
        kind = value["type"]
        if kind not in MODIFIER_TYPES:
            shown = kind if isinstance(kind, str) else _kind(kind)
            hint = errors.unknown("type", shown, MODIFIER_TYPES)
            raise errors.WorkspaceError(f"{self.where}: {place}, modifier {name!r}: {hint}")
        what = f"{place}, {kind} {name!r}"
        data = value["data"]
        match kind:
            case "normfactor" | "shapefactor" | "lumi":
                if data is not None:
                    self.fail(f"{what}: 'data' must be null, not {_kind(data)}.")
                if kind == "lumi" and name != "lumi":
                    self.fail(f"{what}: a lumi modifier must be named 'lumi'.")
                return Modifier(name, kind, None)
            case "normsys":
                data = self.mapping(data, f"{what}: 'data'", ("lo", "hi"))
                lo, hi = (self.number(data[k], f"{what}: {k!r}") for k in ("lo", "hi"))
                if not (min(lo, hi) > 1 / _MOST_FACTOR and max(lo, hi) < _MOST_FACTOR):
                    self.fail(
                        f"{what}: factors lo = {lo:g} and hi = {hi:g} must be positive and below "
                        f"{_MOST_FACTOR:g}, because they are interpolated exponentially. Correct "
                        "the input."
                    )
                return Modifier(name, kind, (lo, hi))
            case "histosys":
                data = self.mapping(data, f"{what}: 'data'", ("lo_data", "hi_data"))
                lo_hi = tuple(
                    self.numbers(data[k], f"{what}: {k!r}", n_bins) for k in ("lo_data", "hi_data")
                )
                return Modifier(name, kind, lo_hi)
            case _:
                return Modifier(
                    name,
                    kind,
                    self.numbers(data, f"{what}: 'data'", n_bins, negative="an uncertainty"),
                )

    def measurement(
        self, value: Any, wanted: str | None
    ) -> tuple[str, str | None, dict[str, dict[str, Any]]]:
        found: dict[str, Mapping[str, Any]] = {}
        for i, entry in enumerate(self.items(value, "'measurements'")):
            entry = self.mapping(entry, f"measurement {i}", ("name", "config"))
            name = self.name(entry["name"], f"measurement {i}", empty=True)
            if name in found:
                self.fail(f"two measurements are named {name!r}; names must be unique.")
            found[name] = entry
        if wanted is None:
            wanted = next(iter(found))
        elif wanted not in found:
            raise errors.unknown("measurement", wanted, found, self.where)
        config = self.mapping(
            found[wanted]["config"], f"measurement {wanted!r}: 'config'", ("poi", "parameters")
        )
        poi = self.name(config["poi"], f"measurement {wanted!r}: 'poi'", empty=True)
        configs: dict[str, dict[str, Any]] = {}
        what = f"measurement {wanted!r}: 'parameters'"
        for i, entry in enumerate(self.items(config["parameters"], what, empty=True)):
            entry = self.mapping(entry, f"{what}, entry {i}", ("name",), CONFIG_KEYS)
            name = self.name(entry["name"], f"{what}, entry {i}")
            if name in configs:
                self.fail(f"{what} configures {name!r} twice; keep one entry.")
            configs[name] = self.config(entry, f"{what}, {name!r}")
        return wanted, poi or None, configs

    def config(self, entry: Mapping[str, Any], what: str) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key in CONFIG_KEYS:
            if key not in entry:
                continue
            value = entry[key]
            if key == "fixed":
                if not isinstance(value, bool):
                    self.fail(f"{what}: 'fixed' must be true or false, not {_kind(value)}.")
                result[key] = value
            elif key == "bounds":
                rows = [
                    self.numbers(row, f"{what}: bound {i}", 2, against="a bound has")
                    for i, row in enumerate(self.items(value, f"{what}: 'bounds'"))
                ]
                for i, (lower, upper) in enumerate(rows):
                    if lower > upper:
                        self.fail(
                            f"{what}: bound {i} is empty, from {lower:g} down to {upper:g}; "
                            "swap the two numbers."
                        )
                result[key] = np.array(rows)
            else:
                result[key] = self.numbers(value, f"{what}: {key!r}")
                if key in ("sigmas", "factors") and not (result[key] > 0).all():
                    self.fail(f"{what}: {key!r} must be positive.")
        return result


def _kind(value: Any) -> str:
    """What a JSON value is, in words."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f"the string {value!r:.40}"
    if isinstance(value, Mapping):
        return "an object"
    if isinstance(value, list | tuple):
        return "a list"
    return f"{value!r:.40}"


def _listed(names: Sequence[Any]) -> str:
    return ", ".join(repr(n) for n in names)
