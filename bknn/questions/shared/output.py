"""What a command leaves behind: `result.json`, arrays, figures, and a line that names them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bknn import errors
from bknn.answers.schema import FORMAT
from bknn.questions.shared.files import write_json

if TYPE_CHECKING:
    from bknn.answers.answer import Answer
    from bknn.inference.pieces import Work

#: The folder of the results from which figures can be drawn again.
ANSWERS = "answers"

#: Writes a file at a path.
Writer = Callable[[Path], object]

#: Draws into a folder and returns what it wrote.
Drawer = Callable[[Path], list[Path]]


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
        return directory(self.out)


def write(
    out: Path,
    content: Mapping[str, Any],
    arrays: Mapping[str, Writer],
    figures: Drawer | None,
    answers: Mapping[str, Answer | None] | None = None,
) -> None:
    """Write `result.json`, then the arrays, then the figures; print the names.

    Args:
        out: the folder.
        content: of `result.json`.
        arrays: {name: writes the file}.
        figures: draws them; None for none.
        answers: {name: result} from which `bknn draw` draws the figures again.
    """
    names = ["result.json"]
    with writing(out):
        write_json({"format": FORMAT, **content}, out / "result.json")
        for name, writer in arrays.items():
            writer(out / name)
            names.append(name)
        for path in (out / ANSWERS).glob("*.nc"):
            path.unlink()  # of an earlier answer
        for name, answer in (answers or {}).items():
            if answer is not None:
                (out / ANSWERS).mkdir(exist_ok=True)
                answer.save(out / ANSWERS / f"{name}.nc")
        if figures is not None:
            names += [path.name for path in figures(out)]
    print(f"written          {out}/: {', '.join(names)}")


def directory(path: str | None) -> Path | None:
    """Make the output directory before anything is computed."""
    if path is None:
        return None
    out = Path(path)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise errors.DataError(
            f"{out}: cannot be made a directory ({problem.strerror}); choose another --out."
        ) from None
    return out


@contextlib.contextmanager
def writing(where: Path) -> Iterator[None]:
    """Say in a sentence what the file system refuses."""
    try:
        yield
    except OSError as problem:
        name = Path(problem.filename2 or problem.filename or where)
        raise errors.DataError(
            f"{name}: cannot be written ({problem.strerror}); make room there, or choose another "
            "--out."
        ) from None
