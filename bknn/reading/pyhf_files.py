"""What pyhf and its relatives write: workspaces, patch sets, and files that are taken for them.

A patch set (https://pyhf.readthedocs.io, `pyhf.PatchSet`) holds many signals for one workspace:
each a JSON patch under a name, and checksums of the workspace that they belong to.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bknn import errors
from bknn.errors import DataError
from bknn.reading import json_patch, user_files

#: A patch set and the name of a patch in it, `patchset.json:NAME`; a file with a JSON patch; or the
#: operations of a JSON patch.
Patch = str | os.PathLike[str] | Sequence[Mapping[str, Any]]


def patched(workspace: Any, patch: Patch, where: str = "the workspace") -> Any:
    """Return a workspace with a patch applied; the workspace itself stays as it is.

    Args:
        workspace: what its JSON file holds.
        patch: `patchset.json:NAME`, the path of a JSON patch, or a list of its operations.
        where: what the workspace is called in messages.

    Raises:
        DataError: a file that is no patch, a patch that does not fit, or a patch set that was made
            for another workspace.
        UnknownNameError: no patch of this name; close matches are named.
    """
    if not isinstance(patch, str | os.PathLike):
        return json_patch.apply(patch, workspace)
    path, name = _file_and_name(os.fspath(patch))
    found = user_files.read_json(path, "--patch takes FILE:NAME, of a pyhf patch set")
    if isinstance(found, list):
        if name:
            raise DataError(f"{path}: a single patch, which has no {name!r}; leave the name out.")
        return json_patch.apply(found, workspace, str(path))
    patches = _patches(found, str(path))
    _verify(found["metadata"].get("digests", {}), workspace, str(path), where)
    if not name and len(patches) > 1:
        some = ", ".join(list(patches)[:3])
        raise DataError(
            f"{path}: a patch set of {len(patches)} patches; say which as {path.name}:NAME, for "
            f"instance one of {some}."
        )
    name = name or next(iter(patches))
    if name not in patches:
        raise errors.unknown("patch", name, patches, str(path))
    return json_patch.apply(patches[name], workspace, f"{path}, patch {name!r}")


def _file_and_name(text: str) -> tuple[Path, str]:
    """Split FILE:NAME; names in patch sets have letters, digits and underscores."""
    file, _, name = text.rpartition(":")
    if Path(text).is_file() or not file:
        return Path(text), ""
    return Path(file), name


def _patches(found: Any, where: str) -> dict[str, Any]:
    """Return the patches of a patch set by their names."""
    entries = found.get("patches") if isinstance(found, Mapping) else None
    if not isinstance(entries, list) or not entries or not isinstance(found.get("metadata"), dict):
        raise DataError(
            f"{where}: neither a pyhf patch set (an object with 'metadata' and 'patches') nor a "
            "JSON patch (a list)."
        )
    if found.get("version") != "1.0.0":
        raise DataError(
            f"{where}: patch sets of version {found.get('version')!r} are not read, only '1.0.0'."
        )
    patches: dict[str, Any] = {}
    for i, entry in enumerate(entries):
        metadata = entry.get("metadata") if isinstance(entry, Mapping) else None
        name = metadata.get("name") if isinstance(metadata, Mapping) else None
        if not isinstance(name, str) or "patch" not in entry:
            raise DataError(f"{where}: patch {i} has no name in its metadata, or no 'patch'.")
        if name in patches:
            raise DataError(f"{where}: two patches are named {name!r}; keep one.")
        patches[name] = entry["patch"]
    return patches


def _verify(digests: Any, workspace: Any, where: str, of: str) -> None:
    """Refuse a patch set for another workspace: its places would mean something else there."""
    if not isinstance(digests, Mapping):
        raise DataError(f"{where}: 'digests' must be an object of checksums.")
    for algorithm, digest in digests.items():
        if algorithm not in ("md5", "sha256"):
            raise DataError(f"{where}: digests are md5 or sha256, not {algorithm!r:.40}.")
        # pyhf's text of a workspace
        text = json.dumps(workspace, sort_keys=True, ensure_ascii=False).encode()
        if (found := hashlib.new(algorithm, text, usedforsecurity=False).hexdigest()) != digest:
            raise DataError(
                f"{where}: made for a workspace with the {algorithm} digest {digest}, but that of "
                f"{of} is {found}; give the workspace that was published with the patch set."
            )


def another_kind(found: Any) -> str | None:
    """Return what a JSON file is that is no workspace but a relative of one, and what to do."""
    if isinstance(found, list) and found and isinstance(found[0], Mapping) and "op" in found[0]:
        return "a JSON patch, not a workspace; give it with --patch"
    if not isinstance(found, Mapping):
        return None
    if "patches" in found:
        return (
            "a pyhf patch set, not a workspace; give the workspace it belongs to, and this as "
            "--patch FILE:NAME (in Python patch='FILE:NAME')"
        )
    if "distributions" in found or "hs3_version" in (found.get("metadata") or {}):
        return (
            "an HS3 file, not a pyhf workspace. Write the HistFactory measurement it was made of "
            "as XML (in ROOT RooStats::HistFactory::Measurement::PrintXML), and convert that with "
            "'pyhf xml2json'"
        )
    if "channels" in found and not {"observations", "measurements"} & found.keys():
        return (
            "a bare pyhf model, without observations and measurements. Make a workspace of it and "
            "the counts with pyhf.Workspace.build(pyhf.Model(model), data)"
        )
    return None
