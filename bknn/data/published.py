"""A published measurement in one TOML file: counts, results, spectra, limits, or a workspace.

`docs/data.md` shows the form. What is read here becomes a `Measurement`: counting experiments a
pyhf workspace with densities (`bknn.data.count_tables`), results, spectra and limits normal
densities (`bknn.data.result_tables`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bknn import errors
from bknn.data import count_tables, counting, result_tables, store
from bknn.data.entries import Table
from bknn.data.measurement import Measurement
from bknn.errors import DataError
from bknn.reading.names import located

#: Reads the data set of a name or a file.
Load = Callable[[str | Path], Measurement]

_TEXTS = ("title", "version", "experiment", "license", "record")
_MEASURED = ("counts", "results", "spectrum", "limits", "workspace")
_TOP = (
    "name",
    *_TEXTS,
    "notes",
    "sources",
    "groups",
    "production",
    *_MEASURED,
    "correlation",
    "excludes",
)
_WORKSPACE = ("set", "file", "select")


def read(path: Path, load: Load) -> Measurement:
    """Return the measurement that a TOML file describes; `load` reads the data set it builds on.

    Raises:
        DataError: an entry that is missing, unknown, of the wrong kind or without sense; the
            sentence names the file, the table and the entry.
        UnknownNameError: an unknown entry or decay; close matches are named.
    """
    return _File(path, store.read_toml(path), load).measurement()


class _File:
    """A file of a published measurement."""

    def __init__(self, path: Path, content: dict[str, Any], load: Load) -> None:
        self.path = path
        self.load = load
        self.top = Table(content, str(path), _TOP)

    def measurement(self) -> Measurement:
        top = self.top
        for key in _TEXTS:
            top.text(key, "words for people", "-")
        if not any(key in top for key in _MEASURED):
            raise top.fail(
                "nothing is measured here; give at least one of [[counts]], [[results]], "
                "[[spectrum]], [[limits]] and [workspace]."
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
        production = count_tables.Production.read(top)
        counts = count_tables.read(top, production)
        if base is not None and counts:
            raise top.fail("has both [[counts]] and [workspace]; put them into two files.")
        found = result_tables.read(top, production, self.path.parent)
        if base is None:
            densities = counting.densities(counts)
            base = Measurement(
                name,
                "",
                counting.workspace(counts, densities) if counts else {},
                signal={c.channel: counting.SIGNAL for c in counts},
                densities=densities,
                null_spectrum=counting.NULL_SPECTRUM if counts else "",
                decays={c.channel: c.decay for c in counts},
            )
        known = [*base.channels, *(r.name for r in found.results), *(c.name for c in found.curves)]
        twice = sorted({n for n in known if known.count(n) > 1})
        if twice:
            raise top.fail(f"two channels or results are named {twice[0]!r}; rename one.")
        metadata = {key: top.content[key] for key in _TEXTS[1:] if key in top}
        metadata = {**base.metadata, **metadata}
        if self.path not in store.embedded().values():
            metadata["path"] = str(self.path)
        excluded = {
            t.text("name", "another data set"): t.text("reason", "why")
            for t in top.tables("excludes", ("name", "reason"), "name")
        }
        if excluded:
            metadata["excludes"] = excluded
        content = [self._content(), base.sha256, *map(store.sha256, found.files)]
        return Measurement(
            name=name,
            title=top.text("title", "one line for people", base.title or name),
            workspace=base.workspace,
            signal=base.signal,
            densities=base.densities,
            null_spectrum=base.null_spectrum,
            form_factor_modifiers=base.form_factor_modifiers,
            decays=base.decays,
            results=found.results,
            correlation=found.correlation,
            curves=found.curves,
            groups={**base.groups, **self._groups(known)},
            sources=(*base.sources, *(store.source(item, str(self.path)) for item in sources)),
            notes=(*notes, *base.notes),
            sha256=store.sha256(store.canonical_json(content)),
            metadata=metadata,
        )

    def _content(self) -> dict[str, Any]:
        """Return what enters a computation, for the checksum."""
        words = (*_TEXTS, "notes", "sources", "excludes")
        return {key: _finite(value) for key, value in self.top.content.items() if key not in words}

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
            found = self.load(file)
        else:
            name = table.text("set", "a data set")
            if name.endswith((".toml", ".json", ".gz")):
                raise table.fail("'set' must be a data set or its directory, not a file.")
            label = f"{self.path}, [workspace], set"
            known = store.available()
            place = located(name, self.path.parent, kind="data set", known=known, label=label)
            found = self.load(name if place == name else Path(place))
            if not found.workspace:
                raise table.fail(f"{name!r} holds results, not a workspace; use it beside this.")
        whole = str(found.metadata.get("part_of", found.name))
        if "select" in table:
            chosen = table.content["select"]
            if not isinstance(chosen, list) or not all(isinstance(c, str) for c in chosen):
                raise table.fail("'select' must be a list of channels or groups.")
            found = found.select(chosen)
        metadata = {k: v for k, v in found.metadata.items() if k not in ("data", "path", "command")}
        return replace(found, metadata={**metadata, "part_of": whole})


def _finite(value: Any) -> Any:
    """Return a value with infinities, limits that are none, in words, as JSON has none."""
    if isinstance(value, dict):
        return {key: _finite(x) for key, x in value.items()}
    if isinstance(value, list):
        return [_finite(x) for x in value]
    return "inf" if value == math.inf else value


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


__all__ = ["check_together", "read"]
