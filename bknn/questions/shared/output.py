"""What a command leaves behind: `result.json`, answers, figures, and a line that names them."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bknn import errors
from bknn.answers.schema import FORMAT
from bknn.storage import sealed
from bknn.storage.files import clear, replacing
from bknn.storage.lock import Lock

if TYPE_CHECKING:
    from bknn.answers.answer import Answer
    from bknn.inference.pieces import Work


@dataclass(frozen=True, kw_only=True, eq=False)
class Desk:
    """Where a question is answered: what does not change its numbers.

    Attributes:
        out: folder of the results, made when it is needed; None for none.
        figures: whether to draw.
        resume: whether to go on with what an interrupted run left in `out`.
        functions: Python files whose functions priors may name.
        kept: where a run keeps what is done; None outside of a run.
        analyses: what questions of a run have built.
        given: names of what the shell was told, be it the default.
    """

    out: str | None = None
    figures: bool = True
    resume: bool = False
    functions: tuple[str, ...] = ()
    kept: Work | None = None
    analyses: dict[Any, Any] = field(default_factory=dict)
    given: frozenset[str] = frozenset()

    @property
    def work(self) -> Work:
        """Where pieces are kept that are done; outside of a run nowhere."""
        from bknn.inference.pieces import Work

        return self.kept or Work()

    def folder(self) -> Path | None:
        """Make the folder of the results before anything is computed."""
        return None if self.out is None else directory(self.out)


def write(
    out: Path,
    content: Mapping[str, Any],
    answers: Mapping[str, Answer | None],
    figures: bool,
    others: Mapping[str, Answer | None] | None = None,
) -> None:
    """Write the answers, then `result.json` with their checksums, then figures; print the names.

    Figures are drawn from the files of the answers, as `bknn draw` does.

    Args:
        out: the folder.
        content: of `result.json`.
        answers: {name: result} of which there are figures; those that are None are not there.
        figures: whether to draw them.
        others: results without figures.
    """
    kept = {f"{name}.nc": x for name, x in answers.items() if x is not None}
    beside = {f"{name}.nc": x for name, x in (others or {}).items() if x is not None}
    names = ["result.json", *kept, *beside]
    with writing(out):
        files = {name: sealed.check(x.save(out / name)) for name, x in (kept | beside).items()}
        whole = {"format": FORMAT, **content}
        provenance = whole.pop("provenance")
        whole |= {"answers": list(kept), "provenance": provenance, "checksums": files}
        write_json(sealed.sealed(whole), out / "result.json")
        if figures and kept:
            names += [path.name for path in draw(out, out)]
    print(f"written          {out}/: {', '.join(names)}")


def write_json(content: Mapping[str, Any], path: Path) -> None:
    """Write JSON: a reader sees the old file or the new one, whole."""
    text = json.dumps(content, indent=2, allow_nan=False) + "\n"
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def draw(folder: Path, out: Path) -> list[Path]:
    """Draw the figures of the answers in a folder, and return the paths.

    Raises:
        DataError: `folder` is none that `write` wrote, or something in it was changed since.
    """
    from bknn.answers.answer import read
    from bknn.plot.drawing.files import save
    from bknn.plot.of_answers import figures

    content = whole(folder)
    try:
        files, asked = list(content["answers"]), dict(content["provenance"]["settings"])
    except (KeyError, TypeError, ValueError):
        raise errors.DataError(
            f"{folder / 'result.json'} does not say from which answers its figures are drawn; "
            "give a folder that --out of this version of bknn wrote."
        ) from None
    if not files:
        raise errors.DataError(
            f"{folder}: 'bknn {content.get('command', '...')}' left nothing to draw; ask again "
            "with --out and without --no-figures."
        )
    before = set() if out == folder else set(out.iterdir())
    paths = [
        path
        for file in files
        for name, figure in figures(read(folder / file), asked).items()
        for path in save(figure, out / name)
    ]
    if replaced := [path.name for path in paths if path in before]:
        print(f"bknn: {', '.join(replaced)} in {out} were replaced.", file=sys.stderr)
    return paths


def whole(folder: Path, then: str = "ask again with --out") -> dict[str, Any]:
    """Return the content of the `result.json` in a folder, after a look at all answers there.

    Args:
        folder: that `write` wrote.
        then: ends the sentence about a file that is damaged: what to do.

    Raises:
        DataError: `result.json` or a file of an answer is missing, was changed, or is that of
            another result.
    """
    content = sealed.read_json(folder / "result.json", then)
    for name, checksum in dict(content.get("checksums", {})).items():
        if sealed.check(folder / name, then) != checksum:
            raise errors.DataError(
                f"{folder / name} is not the file that {folder / 'result.json'} was written with; "
                f"{then}."
            )
    return content


def directory(path: str) -> Path:
    """Make the output directory before anything is computed."""
    out = Path(path)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise errors.DataError(
            f"{out}: cannot be made a directory ({problem.strerror}); choose another --out."
        ) from None
    return out


@contextlib.contextmanager
def alone(path: str | None, replaced: str | None = "result.json") -> Iterator[None]:
    """Be the only process that writes in a folder, which is made; say if a result is there.

    What was made is removed again if nothing was written before an error.

    Args:
        path: of the folder; None for none.
        replaced: name of the file that says that a result is there.

    Raises:
        DataError: it cannot be made.
        RunError: another process writes there.
    """
    if path is None or Lock(Path(path)).held:
        yield
        return
    made = [x for x in (Path(path), *Path(path).parents) if not x.exists()]
    try:
        with Lock(directory(path)):
            clear(Path(path))
            if replaced and (Path(path) / replaced).is_file():
                print(f"bknn: {Path(path) / replaced} will be replaced.", file=sys.stderr)
            yield
    except BaseException:
        for folder in made:
            with contextlib.suppress(OSError):  # not empty
                folder.rmdir()
        raise


@contextlib.contextmanager
def writing(where: Path) -> Iterator[None]:
    """Say in a sentence what the file system refuses."""
    try:
        yield
    except OSError as problem:
        name = Path(problem.filename2 or problem.filename or where)
        raise errors.DataError(
            f"{name}: cannot be written ({problem.strerror or problem}); make room there, or "
            "choose another --out."
        ) from None
