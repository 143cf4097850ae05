"""Import of what an experiment publishes: a pyhf workspace and tables of number densities."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bknn import errors
from bknn.data import checks, store
from bknn.data.measurement import Density, Measurement, resolve
from bknn.errors import DataError
from bknn.reading import user_files

#: What a description may say. `metadata.toml` of an existing set says more (checksums and so on);
#: that is ignored, so that it can serve as the description when the set is made again.
DESCRIPTION = ("title", "version", "experiment", "license", "record", "notes", "sources", "labels")
_COMPUTED = ("format", "name", "command", "definition", "groups", "checks", "data", "files")

PathLike = str | os.PathLike[str]

#: More bins of true q2 than that are a mistake.
MOST_BINS = 100_000


def import_official(
    workspace: PathLike,
    *,
    name: str,
    densities: Mapping[str, PathLike] | None = None,
    signal: Mapping[str, str] | None = None,
    q2_edges: Sequence[float] | np.ndarray | None = None,
    sentinel: bool = True,
    null_spectrum: str = "",
    form_factor_modifiers: Sequence[str] = (),
    groups: Mapping[str, Sequence[str]] | None = None,
    description: Mapping[str, Any] | PathLike | None = None,
    tolerance: float = checks.TOLERANCE,
    out: PathLike | None = None,
) -> Measurement:
    """Turn official files into a data set; the Python side of `bknn data import`.

    Any pyhf workspace can be imported; without densities it has no signal that a model could
    replace. Channels may be named by unique beginnings of their names.

    Args:
        workspace: JSON file of the pyhf workspace.
        name: name of the data set: lower-case letters, digits, dots, dashes.
        densities: {channel: file}, comma-separated tables of the expected counts of the simulated
            null: one row per fit bin, one column per bin of true q2 (see `read_table`).
        signal: {channel: sample}, the sample that each density describes.
        q2_edges: edges of the true-q2 bins in GeV^2, increasing, without the sentinel.
        sentinel: the first column of the tables counts candidates without a true q2.
        null_spectrum: name of the dBR/dq2 that was simulated.
        form_factor_modifiers: modifiers of the signal samples that stand for the form factors of
            the null (a model with form factors of its own switches them off).
        groups: {alias: channels} for `Measurement.select`.
        description: a TOML file, or a mapping, with some of title, version, experiment, license,
            record, notes (list) and sources (list of tables: title, what, authors, journal,
            arxiv, doi). `metadata.toml` of an existing set will do.
        tolerance: largest accepted relative difference between a row and its template.
        out: directory to write; without it nothing is written.

    Raises:
        DataError: a file is missing, unreadable or contradicts another one; what, where and what
            to do are in the sentence.
        UnknownNameError: a channel, sample or modifier that the workspace does not have.
    """
    densities, signal, groups = densities or {}, signal or {}, groups or {}
    if not re.fullmatch(r"[a-z0-9][a-z0-9.-]*", name):
        raise DataError(
            f"{name!r} cannot be the name of a data set: use lower-case letters, digits, dots and "
            "dashes, as in 'belle2-2025'."
        )
    if not 0 <= tolerance < 1:
        raise DataError(f"the tolerance must lie between 0 and 1, not at {tolerance}.")
    path = Path(workspace)
    raw = user_files.content(path, "a pyhf workspace is expected; check the path")
    spec = user_files.from_json(raw, str(path))
    checks.check_workspace(spec, str(path))
    channels = [channel["name"] for channel in spec["channels"]]

    def full(key: str) -> str:
        return resolve(key, channels, where=str(path))[0]

    def by_channel(mapping: Mapping[str, Any], what: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in mapping.items():
            if full(key) in found:
                raise DataError(f"channel {full(key)!r} is given more than one {what}.")
            found[full(key)] = value
        return found

    samples = by_channel(signal, "signal sample")
    tables = {c: Path(file) for c, file in by_channel(densities, "density").items()}
    if tables and not null_spectrum:
        raise DataError(
            "densities are given without the spectrum they were simulated with; name it "
            "(null_spectrum, --null-spectrum), or no new signal can be folded with them."
        )
    if tables and q2_edges is None:
        raise DataError(
            "densities are given without the edges of their true-q2 bins (q2_edges, --q2-edges)."
        )
    loaded = {}
    files = [
        {
            "name": path.name,
            "what": "workspace",
            "sha256": store.sha256(raw),
            "sha256_canonical": store.sha256(store.canonical_json(spec)),
        }
    ]
    for channel, file in tables.items():
        content = user_files.content(file, "a number density is expected; check the path")
        loaded[channel] = _density(
            read_table(content, str(file)), np.asarray(q2_edges, dtype=float), sentinel, str(file)
        )
        files.append(
            {
                "name": file.name,
                "what": f"density of {channel}",
                "sha256": store.sha256(content),
            }
        )
    places = {channel: str(file) for channel, file in tables.items()}
    checks.check_signal(
        spec, samples, loaded, form_factor_modifiers, str(path), places, tolerance=tolerance
    )
    definition = {
        "null_spectrum": null_spectrum,
        "form_factor_modifiers": list(form_factor_modifiers),
        "signal": samples,
    }
    metadata = {
        "format": store.FORMAT,
        "name": name,
        **_described(description),
        "command": _command(
            workspace=path,
            name=name,
            densities=densities,
            signal=signal,
            edges=q2_edges,
            sentinel=sentinel,
            null_spectrum=null_spectrum,
            form_factor_modifiers=form_factor_modifiers,
            groups=groups,
            description=description,
            tolerance=tolerance,
            out=out,
        ),
        "definition": definition,
        "groups": {alias: [full(key) for key in keys] for alias, keys in groups.items()},
        "checks": {
            "tolerance": float(tolerance),
            "rows": {
                channel: [
                    float(f"{value:.2g}")
                    for value in checks.row_differences(
                        density, checks.template_of(spec, channel, samples[channel])
                    )
                ]
                for channel, density in loaded.items()
            },
        },
        "files": files,
    }
    content_of_set = {
        "definition": definition,
        "workspace": spec,
        "densities": {
            channel: {
                "counts": density.counts.tolist(),
                "edges": density.edges.tolist(),
                "unmatched": density.unmatched.tolist(),
            }
            for channel, density in loaded.items()
        },
    }
    measurement = store.assemble(content_of_set, metadata, str(path), "the description")
    if out is None:
        return measurement
    store.write(Path(out), content_of_set, metadata)
    return store.read(Path(out))


def read_table(content: bytes, where: str, *, empty: float | None = None) -> np.ndarray:
    """Return a comma-separated table of numbers as an array (rows, columns).

    Blank lines, lines that begin with `#`, and one header line without any number before the
    first row are skipped; blanks around the numbers do not matter. Everything else that is not a
    number, and rows of different lengths, are errors with line and column.

    Args:
        content: of the file.
        where: its name, for errors.
        empty: what an empty cell stands for; without it empty cells are errors.

    >>> read_table(b"# counts\\nlow, high\\n1, 2.5\\n", "a.csv")
    array([[1. , 2.5]])
    """
    text = user_files.text(content, where)
    rows: list[list[float]] = []
    header = False
    for number, line in enumerate(text.splitlines(), start=1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        cells = [cell.strip() for cell in stripped.split(",")]
        values = [_number(cell) if cell else empty for cell in cells]
        if not rows and not header and all(value is None for value in values):
            header = True
            continue
        for column, (cell, value) in enumerate(zip(cells, values, strict=True), start=1):
            if value is None:
                shown = "empty" if not cell else f"{cell[:40]!r}, not a number"
                raise DataError(
                    f"{where}, line {number}, column {column}: {shown}. A number density is a "
                    "table of numbers separated by commas, one row per fit bin."
                )
        row = [value for value in values if value is not None]
        if rows and len(row) != len(rows[0]):
            raise DataError(
                f"{where}, line {number}: {len(row)} columns, where the rows before have "
                f"{len(rows[0])}; every fit bin needs the same true-q2 bins."
            )
        rows.append(row)
    if not rows:
        raise DataError(f"{where}: no numbers in this file; a table with commas is expected.")
    return np.array(rows)


def _number(cell: str) -> float | None:
    if "_" in cell:  # Python would read 1_000 as a number; a table never means that
        return None
    try:
        return float(cell)
    except ValueError:
        return None


def _density(table: np.ndarray, edges: np.ndarray, sentinel: bool, where: str) -> Density:
    """Split a table into the bins of true q2 and the sentinel column."""
    needed = len(edges) - 1 + sentinel
    if table.shape[1] != needed:
        hint = ""
        if table.shape[1] == needed + 1 and not sentinel:
            hint = " Is the first one a sentinel column (candidates without a true q2)? Say so."
        if table.shape[1] == needed - 1 and sentinel:
            hint = " If the table has no sentinel column (--no-sentinel), that is one less."
        raise DataError(
            f"{where}: {table.shape[1]} columns, where {len(edges) - 1} true-q2 bins"
            f"{' and one sentinel column' if sentinel else ''} need {needed}.{hint}"
        )
    unmatched = table[:, 0] if sentinel else np.zeros(len(table))
    density = Density(table[:, int(sentinel) :], edges, unmatched)
    checks.check_density(density, where)
    return density


def _described(description: Mapping[str, Any] | PathLike | None) -> dict[str, Any]:
    """Return the entries of a description, in a fixed order."""
    if description is None:
        return {}
    if isinstance(description, Mapping):
        entries, where = dict(description), "the description"
    else:
        entries, where = store.read_toml(Path(description)), str(description)
    for key in entries:
        if key not in DESCRIPTION and key not in _COMPUTED:
            raise errors.unknown("entry", key, DESCRIPTION, where)
        if key in DESCRIPTION[:5] and not isinstance(entries[key], str):
            raise DataError(f"{where}: {key!r} must be a text, not {entries[key]!r}.")
    return {key: entries[key] for key in DESCRIPTION if key in entries}


def _command(
    *,
    workspace: Path,
    name: str,
    densities: Mapping[str, PathLike],
    signal: Mapping[str, str],
    edges: Sequence[float] | np.ndarray | None,
    sentinel: bool,
    null_spectrum: str,
    form_factor_modifiers: Sequence[str],
    groups: Mapping[str, Sequence[str]],
    description: Mapping[str, Any] | PathLike | None,
    tolerance: float,
    out: PathLike | None,
) -> str:
    """Return the command line of an import, with bare file names: checksums say which files."""
    words = ["bknn", "data", "import", workspace.name, "--name", name]
    for channel, file in densities.items():
        words += ["--density", f"{channel}={Path(file).name}"]
    for channel, sample in signal.items():
        words += ["--signal", f"{channel}={sample}"]
    if densities and edges is not None:
        words += ["--q2-edges", edges_text(edges)]
        words += [] if sentinel else ["--no-sentinel"]
        words += ["--null-spectrum", null_spectrum]
    for modifier in form_factor_modifiers:
        words += ["--form-factor-modifier", modifier]
    for alias, channels in groups.items():
        words += ["--group", f"{alias}={','.join(channels)}"]
    if tolerance != checks.TOLERANCE:
        words += ["--tolerance", f"{tolerance:g}"]
    if description is not None and not isinstance(description, Mapping):
        words += ["--description", Path(description).name]
    if out is not None:
        words += ["--out", Path(out).name]
    return shlex.join(words)


def edges_text(edges: Sequence[float] | np.ndarray) -> str:
    """Write bin edges as `first:last:bins` if they are uniform, else as a list.

    >>> edges_text([0.0, 1.0, 2.0]), edges_text([0.0, 1.0, 3.0])
    ('0:2:2', '0,1,3')
    """
    values = [float(edge) for edge in edges]
    if len(values) > 1 and np.array_equal(np.linspace(values[0], values[-1], len(values)), values):
        return f"{_short(values[0])}:{_short(values[-1])}:{len(values) - 1}"
    return ",".join(map(_short, values))


def edges_from_text(text: str) -> np.ndarray:
    """Read bin edges in GeV^2 from `first:last:bins` or from a list with commas.

    >>> edges_from_text("0:3:2")
    array([0. , 1.5, 3. ])
    """
    try:
        if ":" in text:
            first, last, bins = text.split(":")
            if int(bins) > MOST_BINS:
                raise DataError(f"{text!r} has more than {MOST_BINS} bins; correct the number.")
            if int(bins) > 0:
                return np.linspace(float(first), float(last), int(bins) + 1)
        else:
            return np.array([float(edge) for edge in text.split(",")])
    except ValueError:
        pass
    raise DataError(
        f"{text!r} are no bin edges: write first:last:bins (uniform, as 0:22.885:100) or the edges "
        "in GeV^2 separated by commas."
    )


def _short(value: float) -> str:
    return repr(value).removesuffix(".0")
