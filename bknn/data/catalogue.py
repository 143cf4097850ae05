"""Data sets by name or file: embedded ones, directories, TOML files, pyhf workspaces."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bknn import errors
from bknn.data import checks, published, store
from bknn.data.measurement import Measurement
from bknn.errors import DataError
from bknn.reading import user_files
from bknn.reading.names import located
from bknn.reading.pyhf_files import Patch, patched

#: How files of pyhf workspaces end.
_WORKSPACES = (".json", ".json.gz")


def load(name_or_path: str | os.PathLike[str], *, patch: Patch | None = None) -> Measurement:
    """Return a data set, after comparing its content with its checksum.

    Args:
        name_or_path: a name from `available()`, a directory written by `bknn data import`, a TOML
            file of a published measurement (docs/data.md), or a file of a pyhf workspace (`.json`
            or `.json.gz`), which then has no response: its signal can be scaled but not reshaped.
            A name comes first; write `./name` for a directory of the same name.
        patch: of a pyhf workspace: `patchset.json:NAME`, a file with a JSON patch, or the list of
            its operations.

    Raises:
        UnknownNameError: neither a name nor a directory; close matches are named.
        DataError: a file is missing, damaged or contradicts the other one; the content does not
            have its checksum; the densities do not fit the workspace.

    >>> load("belle2-2025").poi
    'mu'
    """
    text = os.fspath(name_or_path)
    if patch is not None and not text.endswith(_WORKSPACES):
        raise DataError(f"{text}: only files of pyhf workspaces (.json, .json.gz) take a patch.")
    if isinstance(name_or_path, str) and (own := store.embedded().get(text)):
        return published.read(own, load) if own.is_file() else store.read(own)
    if text in store.COLLECTIONS:
        raise DataError(
            f"{text!r} are several data sets ({', '.join(store.collection(text))}); load them with "
            "bknn.data.load_all, or give them as --data."
        )
    path = Path(text)
    if path.is_dir():
        return store.read(path)
    if path.suffix == ".toml" and path.is_file() and path.name != store.METADATA_FILE:
        return published.read(path, load)
    if path.name.endswith(_WORKSPACES) and path.is_file():
        return plain(path, patch)
    if path.is_file():
        raise DataError(
            f"{path}: this is a file, and a data set is a directory with {store.DATA_FILE} and "
            f"{store.METADATA_FILE}, or a .toml file of a published measurement. Turn official "
            "files into one with 'bknn data import'."
        )
    if path.name != text or not isinstance(name_or_path, str):
        raise DataError(
            f"{path}: no such directory. A data set is a directory written by 'bknn data import', "
            "a .toml file of a published measurement, or one of the embedded names: "
            f"{', '.join(store.available())}."
        )
    located(text, Path(), kind="data set", known=store.available())  # says where it is not
    raise errors.unknown("data set", text, store.available())


def load_all(
    names: str | Sequence[str],
    model: Any = None,
    *,
    without: str | Sequence[str] = (),
    patch: Patch | None = None,
) -> tuple[Measurement, ...]:
    """Return several data sets, as `--data` and `--without` of a command.

    Args:
        names: names and files as for `load`, or `all-light-vector`, all constraints on light
            vectors and their partners, or `all-dark-matter`, those on dark matter (docs/data.md).
        model: of such a collection, those are left out that limit a quantity which this model does
            not have; `left_out` says which.
        without: names that are left out again.
        patch: as for `load`, of all of them.

    Raises:
        UnknownNameError, DataError: as for `load`; a name of `without` that is not among them, or
            nothing left, as the model says nothing about any of them.

    >>> [m.name for m in load_all("all-light-vector", without="unitarity")][:2]
    ['babar-2014-visible', 'babar-2016-4mu']
    """
    found = _chosen(names, without, patch)
    gone = left_out(names, model, without=without)
    kept = tuple(m for name, m in found if name not in gone)
    if not kept:
        raise DataError(
            f"model {model.name!r} has none of the quantities that {', '.join(_listed(names))} "
            "limits; take a model that has them ('dark-photon', 'aligned-u1', ...), or other data."
        )
    return kept


def left_out(
    names: str | Sequence[str], model: Any, *, without: str | Sequence[str] = ()
) -> dict[str, tuple[str, ...]]:
    """Return the data sets of collections that a model says nothing about, with the quantities that
    it does not have; arguments as for `load_all`. Sets that are named themselves are not among
    them: the model is refused.

    >>> from types import SimpleNamespace as Some
    >>> model = Some(parameters=[Some(name="kappa_t")], derived_quantities=[])
    >>> left_out(["all-light-vector", "muon-g-2"], model)["electroweak-s-t"]
    ('delta_S', 'delta_T')
    """
    given = _listed(names)
    collected = {n for name in given if name in store.COLLECTIONS for n in store.collection(name)}
    if model is None or not collected:
        return {}
    has = {x.name for x in (*model.parameters, *getattr(model, "derived_quantities", ()))}
    lacking = {
        name: tuple(q for q in m.quantities if q not in has)
        for name, m in _chosen(names, without)
        if name in collected - set(given)
    }
    return {name: missing for name, missing in lacking.items() if missing}


def _chosen(
    names: str | Sequence[str], without: str | Sequence[str], patch: Patch | None = None
) -> list[tuple[str, Measurement]]:
    """Return data sets with their names as they are given, collections in parts."""
    given = _listed(names)
    every: list[str] = []
    for name in given:
        parts = store.collection(name) if name in store.COLLECTIONS else ()
        every += [part for part in parts if part not in given and part not in every]
        every += [name] if name not in store.COLLECTIONS else []
    for name in _listed(without):
        for part in store.collection(name) if name in store.COLLECTIONS else (name,):
            if part not in every:
                raise errors.unknown("data set to leave out", part, every)
            every.remove(part)
    if not every:
        raise DataError("all data sets are left out again; keep one.")
    return [(name, load(name, patch=patch)) for name in every]


def _listed(names: str | Sequence[str]) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else tuple(names)


def plain(path: Path, patch: Patch | None = None) -> Measurement:
    """Return a pyhf workspace from a file as a measurement without response."""
    raw = user_files.content(path)
    workspace = user_files.from_json(raw, str(path))
    if patch is not None:
        workspace = patched(workspace, patch, str(path))
    checks.check_workspace(workspace, str(path))
    title = f"pyhf workspace {path.name}, without response"
    name = path.name.removesuffix(".gz").removesuffix(".json")
    metadata = {"path": str(path)}
    if patch is not None:
        raw = store.canonical_json(workspace)
        if isinstance(patch, str | os.PathLike):
            metadata["patch"] = os.fspath(patch)
            title += f", with the patch {os.fspath(patch)}"
    return Measurement(name, title, workspace, sha256=store.sha256(raw), metadata=metadata)
