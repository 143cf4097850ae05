"""A published measurement in one TOML file: counts, results, spectra, limits, or a workspace.

`docs/data.md` shows the form. What is read here becomes a `Measurement`: counting experiments a
pyhf workspace with densities (`bknn.data.counting`), everything else results with normal densities,
of two halves where the uncertainties are asymmetric.

An upper limit alone says less than a measurement: a value and a width that give the limit back when
it is computed as P(x < limit | 0 <= x) of a flat prior, which for a normal density is the same as
CLs. `limit_to_normal` says how.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np

from bknn import errors
from bknn.data import counting, store
from bknn.data.counting import Count, Efficiency, Uncertainty, Yield
from bknn.data.measurement import Measurement, Result
from bknn.errors import DataError

_TEXTS = ("title", "version", "experiment", "license", "record")
_TOP = (
    "name", *_TEXTS, "notes", "sources", "groups", "production", "counts", "results", "spectrum",
    "workspace", "excludes",
)  # fmt: skip
_PRODUCTION = ("pairs", "uncertainty", "charged", "neutral", "shared")
_COUNT = ("channel", "decay", "observed", "parents", "efficiency", "window", "backgrounds")
_EFFICIENCY = ("value", "q2", "statistical", "systematic", "relative", "shared", "of", "fraction")
_BACKGROUND = ("name", "value", "statistical", "systematic", "relative", "shared")
_WINDOW = ("low", "high", "resolution")
_RESULT = (
    "name", "channels", "observable", "q2", "resolution", "value", "events", "efficiency",
    "parents", "uncertainty", "statistical", "systematic", "upper", "level", "expected",
)  # fmt: skip
_SPECTRUM = (
    "name", "channels", "observable", "edges", "values", "covariance", "uncertainties",
    "correlation", "differential", "resolution",
)  # fmt: skip
_WORKSPACE = ("set", "file", "select")

#: Confidence level of a limit whose file does not say it.
LEVEL = 0.90

_NORMAL = NormalDist()


def read(path: Path) -> Measurement:
    """Return the measurement that a TOML file describes.

    Raises:
        DataError: an entry that is missing, unknown, of the wrong kind or without sense; the
            sentence names the file, the table and the entry.
        UnknownNameError: an entry that nobody knows; close matches are named.
    """
    return _File(path, store.read_toml(path)).measurement()


def limit_to_normal(
    upper: float, level: float = LEVEL, *, expected: float | None = None, value: float | None = None
) -> tuple[float, float]:
    """Return the value and the width of a normal density that give back an upper limit.

    For a value x with a width s, what is not negative has at confidence level c the upper limit u
    with

        Phi((x - u) / s) = (1 - c) Phi(x / s),

    whether by CLs with the likelihood ratio or by a flat prior. One equation, two unknowns: without
    an expected limit and without a value x = 0, so that s = u / Phi^-1((1 + c) / 2). The median
    limit without a signal is that of x = 0; so an expected limit fixes s, and the limit then x. If
    x was published too, the limit fixes s.

    Args:
        upper: the limit.
        level: its confidence level c.
        expected: the limit expected without a signal.
        value: the published central value x, in place of `expected`.

    Raises:
        DataError: no normal density does that.

    >>> value, width = limit_to_normal(5.6e-4)
    >>> value, round(width / 5.6e-4, 4)
    (0.0, 0.608)
    """
    from scipy.optimize import brentq

    if not upper > 0.0 or not 0.5 < level < 1.0:
        raise DataError(
            f"an upper limit of {upper:g} at level {level:g} is none: the limit must be positive, "
            "and its confidence level between 0.5 and 1 (as 0.9)."
        )
    quantile = _NORMAL.inv_cdf((1.0 + level) / 2.0)
    if expected is None and value is None:
        return 0.0, upper / quantile

    def excess(x: float, s: float) -> float:
        # In logarithms, as both are tiny far below zero.
        return _log_cdf((x - upper) / s) - math.log(1.0 - level) - _log_cdf(x / s)

    if expected is not None:
        if not expected > 0.0:
            raise DataError(f"an expected limit of {expected:g} is none: it must be positive.")
        width = expected / quantile
        low, high = -30.0 * width, upper + 5.0 * width
        if excess(low, width) > 0.0:
            raise DataError(
                f"a limit of {upper:g} where {expected:g} is expected is lower than any downward "
                "fluctuation of a normal density makes it; leave the expected limit out."
            )
        return float(brentq(excess, low, high, args=(width,), xtol=1e-14 * upper)), width
    assert value is not None
    if value >= upper:
        raise DataError(
            f"the value {value:g} is not below its upper limit {upper:g}; check both, or leave one "
            "out."
        )
    # A wider density has a higher limit.
    narrow, wide = 1e-3 * (upper - value), 1e3 * (upper + abs(value))
    return value, float(brentq(lambda s: excess(value, s), narrow, wide, xtol=1e-14 * upper))


def _log_cdf(x: float) -> float:
    """Return log Phi(x)."""
    from scipy.special import log_ndtr

    return float(log_ndtr(x))


class _Table:
    """A table of the file; `where` begins every sentence about it."""

    def __init__(self, content: Any, where: str, known: Sequence[str]) -> None:
        if not isinstance(content, dict):
            raise DataError(f"{where} must be a table, with some of {', '.join(known)}.")
        for key in content:
            if key not in known:
                raise errors.unknown("entry", key, known, where)
        self.content, self.where = content, where

    def __contains__(self, key: str) -> bool:
        return key in self.content

    def fail(self, message: str) -> DataError:
        return DataError(f"{self.where}: {message}")

    def require(self, key: str, what: str) -> Any:
        if key not in self.content:
            raise self.fail(f"the entry {key!r} is missing; give {what}.")
        return self.content[key]

    def text(self, key: str, what: str, default: str | None = None) -> str:
        if default is not None and key not in self.content:
            return default
        value = self.require(key, what)
        if not isinstance(value, str) or not value:
            raise self.fail(f"{key!r} must be a text, {what}, not {value!r}.")
        return value

    def flag(self, key: str) -> bool:
        value = self.content.get(key, False)
        if not isinstance(value, bool):
            raise self.fail(f"{key!r} must be true or false, not {value!r}.")
        return value

    def number(
        self,
        key: str,
        what: str,
        default: float | None = None,
        *,
        least: float = -math.inf,
        positive: bool = False,
    ) -> float:
        if default is not None and key not in self.content:
            return default
        return self._checked(self.require(key, what), key, what, least, positive)

    def numbers(self, key: str, what: str) -> list[float]:
        value = self.require(key, what)
        if not isinstance(value, list) or not value:
            raise self.fail(f"{key!r} must be a list of numbers, {what}, not {value!r}.")
        return [self._checked(v, key, what, -math.inf, False) for v in value]

    def matrix(self, key: str, what: str, size: int) -> np.ndarray:
        rows = self.require(key, what)
        if (
            not isinstance(rows, list)
            or len(rows) != size
            or not all(isinstance(r, list) and len(r) == size for r in rows)
        ):
            raise self.fail(
                f"{key!r} must be a list of {size} lists of {size} numbers, one a bin: {what}."
            )
        found = np.array(
            [[self._checked(v, key, what, -math.inf, False) for v in row] for row in rows]
        )
        if not np.allclose(found, found.T, rtol=1e-9, atol=0.0):
            raise self.fail(f"{key!r} is not symmetric; correct it.")
        return found

    def pair(self, key: str, what: str) -> tuple[float, float]:
        """Return (plus, minus): an uncertainty is one number, or two."""
        value = self.require(key, what)
        if isinstance(value, list):
            if len(value) != 2:
                raise self.fail(f"{key!r} must be a number or [plus, minus], not {value!r}.")
            plus, minus = (self._checked(v, key, what, 0.0, False) for v in value)
            return plus, minus
        both = self._checked(value, key, what, 0.0, False)
        return both, both

    def tables(self, key: str, known: Sequence[str], label: str) -> list[_Table]:
        value = self.content.get(key, [])
        if not isinstance(value, list):
            raise self.fail(f"{key!r} must be a list of tables; write [[{key}]] above each.")
        found = []
        for number, item in enumerate(value, start=1):
            name = item.get(label) if isinstance(item, dict) else None
            shown = repr(name) if isinstance(name, str) else f"number {number}"
            found.append(_Table(item, f"{self.where}, [[{key}]] {shown}", known))
        return found

    def table(self, key: str, known: Sequence[str]) -> _Table | None:
        if key not in self.content:
            return None
        return _Table(self.content[key], f"{self.where}, {key}", known)

    def channels(self) -> dict[str, float]:
        """Return the decay channels of a result with their weights."""
        what = "a decay channel, as 'B+ -> K+', or a table {channel = weight} of an average"
        value = self.require("channels", what)
        if isinstance(value, str) and value:
            return {value: 1.0}
        if not isinstance(value, dict) or not value:
            raise self.fail(f"'channels' must be {what}, not {value!r}.")
        return {
            key: self._checked(weight, f"channels.{key}", "its weight", -math.inf, False)
            for key, weight in value.items()
        }

    def _checked(self, value: Any, key: str, what: str, least: float, positive: bool) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.fail(f"{key!r} must be a number, {what}, not {value!r}.")
        if not math.isfinite(value):
            raise self.fail(f"{key!r} is {value}; give a finite number, {what}.")
        if value < least or (positive and value <= 0):
            bound = "above 0" if positive else f"at least {least:g}"
            raise self.fail(f"{key!r} is {value:g}, but {what} must be {bound}.")
        return float(value)


class _File:
    """A file of a published measurement."""

    def __init__(self, path: Path, content: dict[str, Any]) -> None:
        self.path = path
        self.top = _Table(content, str(path), _TOP)
        self.production = self.top.table("production", _PRODUCTION)

    def measurement(self) -> Measurement:
        top = self.top
        for key in _TEXTS:
            top.text(key, "words for people", "-")
        if not any(key in top for key in ("counts", "results", "spectrum", "workspace")):
            raise top.fail(
                "nothing is measured here; give at least one of [[counts]], [[results]], "
                "[[spectrum]] and [workspace]."
            )
        name = top.text("name", "the name of the data set", self.path.stem)
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
            raise top.fail(
                f"{name!r} cannot be the name of a data set: use letters, digits, dots and dashes."
            )
        sources = top.content.get("sources", [])
        if not isinstance(sources, list):
            raise top.fail("'sources' must be a list of tables; write [[sources]] above each.")
        notes = top.content.get("notes", [])
        if not isinstance(notes, list) or not all(isinstance(note, str) for note in notes):
            raise top.fail("'notes' must be a list of texts.")
        base = self._base()
        counts = self._counts()
        if base is not None and counts:
            raise top.fail("has both [[counts]] and [workspace]; put them into two files.")
        results, correlation = self._results()
        if base is None:
            found = counting.densities(counts)
            base = Measurement(
                name,
                "",
                counting.workspace(counts, found) if counts else {},
                signal={c.channel: counting.SIGNAL for c in counts},
                densities=found,
                null_spectrum=counting.NULL_SPECTRUM if counts else "",
                decays={c.channel: c.decay for c in counts},
            )
        known = [*base.channels, *(r.name for r in results)]
        twice = sorted({n for n in known if known.count(n) > 1})
        if twice:
            raise top.fail(f"two channels or results are named {twice[0]!r}; rename one.")
        metadata = {key: top.content[key] for key in _TEXTS[1:] if key in top}
        metadata = {**base.metadata, **metadata}
        if self.path.parent != store.EMBEDDED:
            metadata["path"] = str(self.path)
        excluded = {
            t.text("name", "another data set"): t.text("reason", "why")
            for t in top.tables("excludes", ("name", "reason"), "name")
        }
        if excluded:
            metadata["excludes"] = excluded
        return Measurement(
            name=name,
            title=top.text("title", "one line for people", base.title or name),
            workspace=base.workspace,
            signal=base.signal,
            densities=base.densities,
            null_spectrum=base.null_spectrum,
            form_factor_modifiers=base.form_factor_modifiers,
            decays=base.decays,
            results=results,
            correlation=correlation,
            groups={**base.groups, **self._groups(known)},
            sources=(*base.sources, *(store.source(item, str(self.path)) for item in sources)),
            notes=(*notes, *base.notes),
            sha256=store.sha256(store.canonical_json([self._content(), base.sha256])),
            metadata=metadata,
        )

    def _content(self) -> dict[str, Any]:
        """Return what enters a computation, for the checksum."""
        words = (*_TEXTS, "notes", "sources", "excludes")
        return {key: value for key, value in self.top.content.items() if key not in words}

    def _groups(self, known: Sequence[str]) -> dict[str, tuple[str, ...]]:
        groups = self.top.content.get("groups", {})
        where = f"{self.path}, [groups]"
        if not isinstance(groups, dict):
            raise DataError(f"{where} must be a table {{alias = [channels]}}.")
        for alias, names in groups.items():
            if not isinstance(names, list) or not names:
                raise DataError(f"{where}: {alias!r} must be a list of channels or results.")
            for name in names:
                if name not in known:
                    raise errors.unknown("channel or result", str(name), known, where)
        return {alias: tuple(names) for alias, names in groups.items()}

    # A workspace ---------------------------------------------------------------------------------

    def _base(self) -> Measurement | None:
        """Return the data set that [workspace] names."""
        table = self.top.table("workspace", _WORKSPACE)
        if table is None:
            return None
        if ("set" in table) == ("file" in table):
            raise table.fail(
                "give either 'set', the name of a data set or a directory of 'bknn data import', "
                "or 'file', a pyhf workspace."
            )
        if "file" in table:
            file = self.path.parent / table.text("file", "a pyhf workspace")
            if file.suffix != ".json" or not file.is_file():
                raise table.fail(
                    f"'file' must be the .json file of a pyhf workspace beside this one; {file} is "
                    "none."
                )
            found = store.load(file)
        else:
            name = table.text("set", "a data set")
            beside = self.path.parent / name
            embedded = name in store.available() and self.path.parent != store.EMBEDDED
            found = store.load(beside if beside.is_dir() and not embedded else name)
        whole = str(found.metadata.get("part_of", found.name))
        if "select" in table:
            chosen = table.content["select"]
            if not isinstance(chosen, list) or not all(isinstance(c, str) for c in chosen):
                raise table.fail("'select' must be a list of channels or groups.")
            found = found.select(chosen)
        metadata = {k: v for k, v in found.metadata.items() if k not in ("data", "path", "command")}
        return replace(found, metadata={**metadata, "part_of": whole})

    # Counts --------------------------------------------------------------------------------------

    def _counts(self) -> list[Count]:
        counts = [self._count(t) for t in self.top.tables("counts", _COUNT, "channel")]
        self._check_names(counts)
        return counts

    def _count(self, table: _Table) -> Count:
        channel = table.text("channel", "its name, as 'K+'")
        decay = table.text("decay", "the decay, as 'B+ -> K+'")
        parents, pairs = self._parents(table, decay)
        efficiency, own = self._efficiency(table, channel)
        backgrounds = []
        for b in table.tables("backgrounds", _BACKGROUND, "name"):
            name = b.text("name", "its name")
            label = f"{name}_{channel}"
            value = b.number("value", "expected events", least=0.0)
            backgrounds.append(Yield(name, value, self._uncertainties(b, label, value)))
        names = [counting.SIGNAL, *(b.name for b in backgrounds)]
        for name in names:
            if names.count(name) > 1:
                raise table.fail(f"two samples are named {name!r}; rename a background.")
        if not backgrounds:
            raise table.fail(
                "there are no 'backgrounds'; give at least one, as backgrounds = [{ name = "
                '"all", value = 2.9, systematic = 0.6 }].'
            )
        observed = table.number("observed", "the number of events seen", least=0.0)
        return Count(
            channel, decay, observed, parents, efficiency, (*own, *pairs), tuple(backgrounds)
        )

    def _parents(self, table: _Table, decay: str) -> tuple[float, tuple[Uncertainty, ...]]:
        """Return the number of mesons that could have decayed, and its uncertainty."""
        if "parents" in table:
            return table.number("parents", "the number of mesons", positive=True), ()
        production = self.production
        if production is None:
            raise table.fail(
                "how many mesons could have decayed is not said; give 'parents', or a table "
                "[production] with the number of pairs."
            )
        pairs = production.number("pairs", "number of B B-bar pairs", positive=True)
        shares = {
            "B+": production.number("charged", "fraction of B+ B- pairs", 0.5, positive=True),
            "B0": production.number("neutral", "fraction of B0 B0-bar pairs", 0.5, positive=True),
        }
        if sum(shares.values()) > 1.0 + 1e-9:
            raise production.fail(
                f"'charged' and 'neutral' add up to {sum(shares.values()):g}; fractions of the "
                "pairs cannot be more than 1 together."
            )
        parent = decay.split(" ")[0]
        if parent not in shares:
            raise table.fail(
                f"[production] counts B+ and B0, not the parent of {decay!r}; give 'parents'."
            )
        size = production.number("uncertainty", "that of the number of pairs", 0.0, least=0.0)
        name = production.text("shared", "the nuisance of the number of pairs", "pairs")
        own = (Uncertainty(name, size / pairs),) if size else ()
        return 2.0 * pairs * shares[parent], own

    def _efficiency(
        self, table: _Table, channel: str
    ) -> tuple[Efficiency, tuple[Uncertainty, ...]]:
        entry = table.require("efficiency", "efficiency = { value = ..., systematic = ... }")
        e = _Table(entry, f"{table.where}, efficiency", _EFFICIENCY)
        if "q2" in e:
            q2 = e.numbers("q2", "GeV^2, where the efficiency is given")
            values = e.numbers("value", "the efficiency at each q2")
            if len(q2) != len(values) or any(b <= a for a, b in pairwise(q2)):
                raise e.fail("'q2' must increase, and have as many entries as 'value'.")
        else:
            q2, values = [0.0], [e.number("value", "the efficiency", positive=True)]
        if min(values) < 0.0 or not 0.0 < max(values) <= 1.0:
            raise e.fail("'value' must lie between 0 and 1.")
        own = self._uncertainties(e, f"efficiency_{channel}", max(values))
        low, high, resolution = -math.inf, math.inf, 0.0
        w = table.table("window", _WINDOW)
        if w is not None:
            low = w.number("low", "its lower edge in GeV^2", 0.0, least=0.0)
            high = w.number("high", "its upper edge in GeV^2", counting.ENDPOINT, positive=True)
            resolution = w.number("resolution", "that of q2 in GeV^2", 0.0, least=0.0)
            if not low < high or low >= counting.ENDPOINT:
                raise w.fail(
                    f"from {low:g} to {high:g} GeV^2 there is no q2; 'low' must be below 'high', "
                    f"and below {counting.ENDPOINT:.4g} GeV^2, the endpoint."
                )
            low = -math.inf if low == 0.0 else low
            high = math.inf if high >= counting.ENDPOINT else high
        # Nobody can guess that where there is a window, so it has no default there.
        obvious = w is None or len(values) > 1
        of = e.text("of", "'window' or 'all'", "window" if obvious else "missing")
        if of not in ("window", "all"):
            raise e.fail(
                "'of' must say which decays the efficiency is a part of: \"window\", those with q2 "
                'in the window, or "all", all of the standard model.'
            )
        if of == "all" and w is not None:
            if len(values) > 1:
                raise e.fail("an efficiency by q2 is that of decays with this q2; leave 'of' out.")
            fraction = e.number(
                "fraction", "the standard model's fraction of decays in the window", positive=True
            )
            if fraction > 1.0:
                raise e.fail(f"'fraction' is {fraction:g}, but cannot be above 1.")
            values = [v / fraction for v in values]
        return Efficiency(tuple(q2), tuple(values), low, high, resolution), own

    def _uncertainties(self, table: _Table, label: str, value: float) -> tuple[Uncertainty, ...]:
        """Return the uncertainties of a yield: a statistical one of its own, a systematic one
        that may be shared."""
        found = []
        sizes = {
            key: table.number(key, "a standard deviation", 0.0, least=0.0)
            for key in ("statistical", "systematic")
        }
        if value <= 0.0 and any(sizes.values()):
            raise table.fail(
                "an expectation of 0 with an uncertainty would be negative half of the time; give "
                "a small value, or leave it out."
            )
        scale = 1.0 if table.flag("relative") else value
        if sizes["statistical"]:
            found.append(Uncertainty(f"{label}_stat", sizes["statistical"] / scale))
        if sizes["systematic"]:
            name = table.text("shared", "the name of a nuisance", f"{label}_syst")
            found.append(Uncertainty(name, sizes["systematic"] / scale))
        elif "shared" in table:
            raise table.fail("'shared' names the nuisance of 'systematic', which is not there.")
        for item in found:
            if item.relative > 1.0:
                raise table.fail(
                    f"{item.name!r} is {item.relative:.3g} times the value; a Gaussian that wide "
                    "makes no sense for what cannot be negative."
                )
        return tuple(found)

    def _check_names(self, counts: Sequence[Count]) -> None:
        names = [c.channel for c in counts]
        for name in names:
            if names.count(name) > 1:
                raise self.top.fail(f"two [[counts]] are named {name!r}; rename one.")
        for c in counts:
            for item in (Yield(counting.SIGNAL, 0.0, c.signal), *c.backgrounds):
                used = [u.name for u in item.uncertainties]
                for name in used:
                    if used.count(name) > 1 or name == counting.STRENGTH:
                        raise self.top.fail(
                            f"channel {c.channel!r}: two uncertainties of {item.name!r} belong to "
                            f"the nuisance {name!r}; they would count as one. Rename one."
                        )

    # Results -------------------------------------------------------------------------------------

    def _results(self) -> tuple[tuple[Result, ...], np.ndarray | None]:
        results = [self._result(t) for t in self.top.tables("results", _RESULT, "name")]
        blocks = [np.eye(len(results))]
        for t in self.top.tables("spectrum", _SPECTRUM, "name"):
            bins, correlation = self._spectrum(t)
            results += bins
            blocks.append(correlation)
        total = np.eye(len(results))
        start = 0
        for block in blocks:
            here = slice(start, start + len(block))
            total[here, here] = block
            start = here.stop
        return tuple(results), None if np.array_equal(total, np.eye(len(results))) else total

    def _result(self, table: _Table) -> Result:
        name = table.text("name", "as 'BR(Bs -> invisible)'")
        channels = table.channels()
        scale = 1.0
        if "events" in table:
            if "value" in table:
                raise table.fail("has both 'value' and 'events'; give one.")
            scale = 1.0 / self._exposure(table, channels)
        value: float | None = None
        for key in ("value", "events"):
            if key in table:
                value = scale * table.number(key, "what was measured")
        plus, minus = self._widths(table, scale)
        kind = "gaussian" if plus == minus else "asymmetric"
        if "upper" in table:
            upper = table.number("upper", "the limit", positive=True)
            level = table.number("level", "its confidence level", LEVEL)
            expected = (
                table.number("expected", "the expected limit") if "expected" in table else None
            )
            if expected is not None and value is not None:
                raise table.fail(
                    "has a value, a limit and an expected limit, which is one too many for a "
                    "normal density; leave out 'expected'."
                )
            try:
                value, plus = limit_to_normal(upper, level, expected=expected, value=value)
            except DataError as problem:
                raise table.fail(str(problem)) from None
            # Downwards the published uncertainty stands, if there is one.
            minus = minus or plus
            kind = "limit"
        elif "level" in table or "expected" in table:
            raise table.fail("'level' and 'expected' belong to a limit; give it as 'upper'.")
        if value is None:
            raise table.fail("nothing was measured; give 'value', 'events' or 'upper'.")
        if not plus > 0.0 or not minus > 0.0:
            raise table.fail(
                "there is no uncertainty; give 'uncertainty', or 'statistical' and 'systematic', "
                "each as a number or as [plus, minus]."
            )
        return Result(
            name=name,
            value=value,
            below=minus,
            above=plus,
            channels=channels,
            observable=table.text("observable", "what it is", "branching_ratio"),
            q2=self._bin(table),
            resolution=table.number("resolution", "that of q2 in GeV^2", 0.0, least=0.0),
            kind=kind,
        )

    def _exposure(self, table: _Table, channels: Mapping[str, float]) -> float:
        """Return the number of events for a branching fraction of 1."""
        efficiency = table.number("efficiency", "the efficiency of the events", positive=True)
        found = {self._parents(table, decay)[0] for decay in channels}
        if len(found) > 1:
            raise table.fail("'events' of an average need one number of parents for all channels.")
        return efficiency * found.pop()

    @staticmethod
    def _widths(table: _Table, scale: float) -> tuple[float, float]:
        """Return (plus, minus), everything that is given added in quadrature."""
        found = [
            table.pair(key, "a standard deviation")
            for key in ("uncertainty", "statistical", "systematic")
            if key in table
        ]
        plus, minus = (scale * math.hypot(*(pair[side] for pair in found)) for side in (0, 1))
        return plus, minus

    @staticmethod
    def _bin(table: _Table) -> tuple[float, float] | None:
        if "q2" not in table:
            return None
        q2 = table.numbers("q2", "the bin [low, high] in GeV^2")
        if len(q2) != 2 or not 0.0 <= q2[0] < q2[1]:
            raise table.fail(f"'q2' must be a bin [low, high] in GeV^2, not {q2!r}.")
        return q2[0], q2[1]

    def _spectrum(self, table: _Table) -> tuple[list[Result], np.ndarray]:
        """Return the results of the bins of a spectrum and their correlation."""
        name = table.text("name", "the name of the spectrum")
        channels = table.channels()
        edges = np.array(table.numbers("edges", "GeV^2, one more than values"))
        values = np.array(table.numbers("values", "one a bin"))
        size = len(values)
        if len(edges) != size + 1 or edges[0] < 0.0 or np.any(np.diff(edges) <= 0.0):
            raise table.fail(
                f"'edges' must increase from 0 or more, and be one more than the {size} values."
            )
        if ("covariance" in table) == ("uncertainties" in table):
            raise table.fail("give either 'covariance', or 'uncertainties' (and 'correlation').")
        if "covariance" in table:
            covariance = table.matrix("covariance", "the covariance of the values", size)
            if np.any(np.diag(covariance) <= 0.0):
                raise table.fail("'covariance' has a diagonal entry that is not positive.")
            widths = np.sqrt(np.diag(covariance))
            correlation = covariance / np.outer(widths, widths)
        else:
            widths = np.array(table.numbers("uncertainties", "one a bin"))
            if len(widths) != size or np.any(widths <= 0.0):
                raise table.fail(f"'uncertainties' must be {size} positive numbers, one a bin.")
            correlation = np.eye(size)
            if "correlation" in table:
                correlation = table.matrix("correlation", "that of the values", size)
                if not np.allclose(np.diag(correlation), 1.0):
                    raise table.fail("the diagonal of 'correlation' must be 1.")
        np.fill_diagonal(correlation, 1.0)
        if np.linalg.eigvalsh(correlation)[0] <= 0.0:
            raise table.fail(
                "the covariance is none: the correlation has an eigenvalue that is not positive. "
                "Rounded published numbers do that; check them, or merge bins."
            )
        if table.flag("differential"):
            values, widths = values * np.diff(edges), widths * np.diff(edges)
        observable = table.text("observable", "what it is", "branching_ratio")
        resolution = table.number("resolution", "that of q2 in GeV^2", 0.0, least=0.0)
        results = [
            Result(
                name=f"{name} [{low:g}, {high:g}]",
                value=float(value),
                below=float(width),
                above=float(width),
                channels=channels,
                observable=observable,
                q2=(float(low), float(high)),
                resolution=resolution,
            )
            for (low, high), value, width in zip(pairwise(edges), values, widths, strict=True)
        ]
        return results, correlation


def check_together(measurements: Sequence[Measurement]) -> None:
    """Refuse measurements that are made of the same data.

    Raises:
        DataError: a set and a part of it, two parts of one set (whose systematic uncertainties are
            the same, which only the whole knows), or sets of which one excludes the other.
    """
    origins: dict[str, str] = {}
    for m in measurements:
        whole = str(m.metadata.get("part_of", m.name))
        if whole in origins:
            raise DataError(
                f"{origins[whole]!r} and {m.name!r} are parts of the same data, {whole!r}; their "
                f"events or their systematic uncertainties would count twice. Use {whole!r}, and "
                "choose channels of it if need be."
            )
        origins[whole] = m.name
    names = {m.name for m in measurements}
    for m in measurements:
        for other, reason in m.metadata.get("excludes", {}).items():
            if other in names:
                raise DataError(
                    f"{m.name!r} and {other!r} cannot be used together: {reason} Choose one."
                )


__all__ = ["check_together", "limit_to_normal", "read"]
