"""Long commands keep what is done in `--out`, and go on with it after an interruption."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bknn import errors
from bknn.questions.shared.question import SHARED
from bknn.reading import user_files
from bknn.reading.user_functions import checksums

if TYPE_CHECKING:
    from bknn.inference.pieces import Work
    from bknn.questions.shared.output import Desk
    from bknn.storage.identity import Parts

#: Within the folder of the results.
FOLDER = "checkpoints"

#: What the computation began with, for a resume to compare.
BEGUN = "begun.json"


@contextlib.contextmanager
def kept(
    desk: Desk, content: Parts, record: Mapping[str, Any], out: Path | None
) -> Iterator[Work | None]:
    """Yield where a command keeps what is done; what is complete is forgotten at the end.

    Args:
        desk: where the question is answered; in a run (`bknn run`) it says where by itself.
        content, record: what is computed with, part by part, and which settings.
        out: folder of the results; without one nothing is kept.

    Raises:
        ParameterError: `--resume` without `--out`.
        RunError: the folder has something unfinished, or of another computation.
    """
    resume, own = desk.resume, desk.kept
    if own is not None or out is None:
        if resume and own is None:
            raise errors.ParameterError("--resume goes on with what is in --out DIR; give both.")
        yield own
        return
    from bknn.inference.pieces import Work
    from bknn.storage.checkpoints import Checkpoints

    folder = out / FOLDER
    functions = checksums(desk.functions)
    _begin(folder, {**state(content, record), "functions": functions}, resume)
    yield Work(Checkpoints(folder))
    shutil.rmtree(folder, ignore_errors=True)


def state(content: Parts, record: Mapping[str, Any]) -> dict[str, Any]:
    """Return what draws depend on, as JSON has it: what they are computed with, and what is
    asked."""
    from bknn.version import VERSION

    settings = {k: x for k, x in record.items() if k not in SHARED}
    found = {**content, "settings": settings, "bknn": {"version": VERSION}}
    return dict(json.loads(json.dumps(found)))


def _begin(folder: Path, now: Mapping[str, Any], resume: bool) -> None:
    """Begin anew, or go on where the same computation began."""
    from bknn.storage.checkpoints import write
    from bknn.storage.identity import differences

    path = folder / BEGUN
    if path.exists() and not resume:
        raise errors.RunError(
            f"{folder} holds what an interrupted run has done; go on with it by --resume, remove "
            "it, or choose another --out."
        )
    if not path.exists():
        write(path, (json.dumps(now, indent=2) + "\n").encode())
        return
    try:
        before = dict(user_files.read_json(path, error=errors.RunError))
    except (errors.RunError, TypeError, ValueError) as problem:
        raise errors.RunError(
            f"{path} cannot be read ({problem}), so it is not known what was asked; remove "
            f"{folder}, or choose another --out."
        ) from None
    if changed := differences(before, now, "was {} and is {}"):
        raise errors.RunError(
            f"this is not what began in {folder}: {changed}. Go on with what was asked "
            "then, remove the folder, or choose another --out."
        )
