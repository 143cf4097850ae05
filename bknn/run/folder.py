"""The folder of a run: what it began with, whether it may go on, and what was said."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

from bknn import errors
from bknn.questions.shared.plan import Plan
from bknn.reading import user_files
from bknn.reading.user_functions import checksums
from bknn.run.card import Card
from bknn.storage.changes import changes
from bknn.storage.checkpoints import refused, write
from bknn.storage.identity import differences
from bknn.storage.machine import versions

#: What the run began with, for a resume to compare.
BEGUN = "run.json"

#: All of them are there when the first question is asked.
_OWN = {"lock", "log.txt", "card.toml", BEGUN}


def begin(
    folder: Path,
    card: Card,
    planned: Mapping[str, Plan],
    resume: bool,
    command: str,
    begun: Mapping[str, str],
) -> None:
    """Begin in an empty folder, or go on in one where the same run began.

    Args:
        folder: of the run.
        card: what is asked.
        planned: the plan of each question.
        resume: whether the run may have begun before.
        command: that would resume it, for people.
        begun: {question: "is done" or "has begun"} of those that are not untouched.

    Raises:
        RunError: the folder holds something else, or a run of which something that was begun has
            changed since, or one of another version of bknn.
    """
    now = _state(card, planned)
    path = folder / BEGUN
    if not path.exists():
        if others := sorted({item.name for item in folder.iterdir()} - _OWN):
            raise errors.RunError(
                f"{folder} holds {', '.join(others[:3])}{' and more' if others[3:] else ''} and no "
                "run; choose an empty or new folder with --out."
            )
    elif not resume:
        what = "is complete" if (folder / "result.json").exists() else "has not ended"
        raise errors.RunError(
            f"{folder} holds a run that {what}; go on with it by '{command} --resume', or choose "
            "another --out."
        )
    else:
        try:
            before = user_files.read_json(path, error=errors.RunError)
            _compare(folder, card, before, now, begun)
        except (KeyError, TypeError, AttributeError) as problem:
            raise errors.RunError(
                f"{path} cannot be read ({problem}), so it is not known what was asked; choose "
                "another --out."
            ) from None
        if before == now:
            return
    write(folder / "card.toml", card.text.encode())
    write(path, (json.dumps(now, indent=2) + "\n").encode())


def _state(card: Card, planned: Mapping[str, Plan]) -> dict[str, Any]:
    """Return what results depend on, question by question."""
    functions = {"functions": checksums(card.functions)} if card.functions else {}
    questions = {
        name: {**planned[name].content, "settings": question.own(), **functions}
        for name, question in card.questions.items()
    }
    found = {"settings": card.settings, "questions": questions, **versions()}
    return dict(json.loads(json.dumps(found)))


def _compare(
    folder: Path,
    card: Card,
    before: Mapping[str, Any],
    now: Mapping[str, Any],
    begun: Mapping[str, str],
) -> None:
    """Refuse to go on where what was begun has changed; say so if the digits may differ."""
    if before["version"] != now["version"]:
        raise errors.RunError(
            f"the run in {folder} began with bknn {before['version']}, and this is "
            f"{now['version']}; half of its numbers would be of each. Install bknn=="
            f"{before['version']}, or choose another --out."
        )
    old, new = before["questions"], now["questions"]
    free = [f"[{name}]" for name in new if name not in begun]
    may = f" What has not begun may change: {', '.join(free)}." if free else ""
    for name in dict.fromkeys([*old, *new]):
        if name in old and name in new:
            changed = differences(old[name], new[name], "was {} and is {}")
        else:
            changed = "it is not on the card" if name in old else ""
        if changed and name in begun:
            anew = f", remove {folder / 'checkpoints' / name} to begin it anew"
            raise errors.RunError(
                f"[{name}] {begun[name]} in {folder}, and {card.path} asks something else now: "
                f"{changed}.{may} Go on with [{name}] as it was"
                f"{anew if begun[name] == HAS_BEGUN else ''}, or choose another --out."
            )
        if changed:
            print(f"bknn: [{name}] has changed before it began: {changed}.", file=sys.stderr)
    machine = ("python", "packages", "device")
    if changed_machine := changes(*({name: x[name] for name in machine} for x in (before, now))):
        print(
            f"bknn: since the run began, {', '.join(changed_machine)}; the last digits of what is "
            "still to be done may not be those of an undisturbed run.",
            file=sys.stderr,
        )


#: How far a question is that is not untouched.
IS_DONE, HAS_BEGUN = "is done", "has begun"


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
