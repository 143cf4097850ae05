"""The folder of a run: what it began with, whether it may go on, and what was said."""

from __future__ import annotations

import contextlib
import hashlib
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

from bknn import errors
from bknn.reading import user_files
from bknn.reading.user_functions import checksums
from bknn.run.card import Card, beside_card
from bknn.storage.changes import changes
from bknn.storage.checkpoints import refused, write

#: What the run began with, for a resume to compare.
BEGUN = "run.json"

#: All of them are there when the first question is asked.
_OWN = {"lock", "log.txt", "card.toml", BEGUN, f"{BEGUN}.part", "card.toml.part"}


def begin(folder: Path, card: Card, resume: bool, command: str) -> None:
    """Begin in an empty folder, or go on in one where the same run began.

    Args:
        folder: of the run.
        card: what is asked.
        resume: whether the run may have begun before.
        command: that would resume it, for people.

    Raises:
        RunError: the folder holds something else, or a run with another card, other data, or
            another version of bknn.
    """
    now = _state(card)
    path = folder / BEGUN
    if not path.exists():
        if others := sorted({item.name for item in folder.iterdir()} - _OWN):
            raise errors.RunError(
                f"{folder} holds {', '.join(others[:3])}{' and more' if others[3:] else ''} and no "
                "run; choose an empty or new folder with --out."
            )
        write(folder / "card.toml", card.text.encode())
        write(path, (json.dumps(now, indent=2) + "\n").encode())
        return
    if not resume:
        what = "is complete" if (folder / "result.json").exists() else "has not ended"
        raise errors.RunError(
            f"{folder} holds a run that {what}; go on with it by '{command} --resume', or choose "
            "another --out."
        )
    try:
        before = user_files.read_json(path, error=errors.RunError)
        _compare(folder, card, before, now)
    except (KeyError, TypeError, AttributeError) as problem:
        raise errors.RunError(
            f"{path} cannot be read ({problem}), so it is not known what was asked; choose another "
            "--out."
        ) from None


def _state(card: Card) -> dict[str, Any]:
    """Return what results depend on."""
    from bknn import data
    from bknn.storage.machine import versions

    measurements = [data.load(name, patch=patch) for name, patch in card.data.items()]
    sums = {m.name: m.sha256 for m in measurements}
    if (coefficients := card.settings["model"]["wilson_coefficients"]) is not None:
        file = Path(beside_card(coefficients, card.path))
        if file.is_file():
            sums[coefficients] = hashlib.sha256(file.read_bytes()).hexdigest()
    sums |= checksums(card.functions)
    return {"settings": card.settings, "data_sha256": sums, **versions()}


def _compare(folder: Path, card: Card, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Refuse to go on with something else; say so if the digits may differ."""
    if changed := changes(before["settings"], now["settings"]):
        raise errors.RunError(
            f"{card.path} is not the card that the run in {folder} began with: "
            f"{'; '.join(changed)}. Go on with the old card, or choose another --out for the new."
        )
    if changed := changes(before["data_sha256"], now["data_sha256"]):
        raise errors.RunError(
            f"the data are not those that the run in {folder} began with: the checksum of "
            f"{'; that of '.join(changed)}. Bring the old ones back, or choose another --out."
        )
    if before["version"] != now["version"]:
        raise errors.RunError(
            f"the run in {folder} began with bknn {before['version']}, and this is "
            f"{now['version']}; half of its numbers would be of each. Install bknn=="
            f"{before['version']}, or choose another --out."
        )
    machine = ("python", "packages", "device")
    if changed := changes(*({name: x[name] for name in machine} for x in (before, now))):
        print(
            f"bknn: since the run began, {', '.join(changed)}; the last digits of what is still to "
            "be done may not be those of an undisturbed run.",
            file=sys.stderr,
        )


class _Both:
    """A stream whose text goes into a file, too; but for bars, which begin with a return."""

    def __init__(self, stream: TextIO, file: TextIO, path: Path) -> None:
        self._stream, self._file, self._path = stream, file, path

    def write(self, text: str) -> int:
        if not text.startswith("\r"):
            try:
                self._file.write(text)
                self._file.flush()
            except OSError as problem:
                raise refused(self._path, problem) from None
        return self._stream.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextlib.contextmanager
def logging(path: Path) -> Iterator[None]:
    """Write what is said into a file, too, below what is there."""
    try:
        file = path.open("a", encoding="utf-8")
    except OSError as problem:
        raise refused(path, problem) from None
    with contextlib.closing(file):
        out: Any = _Both(sys.stdout, file, path)
        err: Any = _Both(sys.stderr, file, path)
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                yield
            except (errors.BknnError, KeyboardInterrupt) as problem:
                with contextlib.suppress(OSError):
                    said = (
                        "interrupted"
                        if isinstance(problem, KeyboardInterrupt)
                        else f"error: {problem}"
                    )
                    file.write(f"bknn: {said}\n")
                raise
