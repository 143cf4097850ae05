"""A bar on long work, for people who watch: nothing is drawn into a file or a pipe."""

from __future__ import annotations

import contextlib
import shutil
import sys
import threading
from collections.abc import Callable, Iterator

#: Is told how many more are done.
Progress = Callable[[int], None]


@contextlib.contextmanager
def bar(what: str, total: int | None = None, unit: str = "fits") -> Iterator[Progress | None]:
    """Show how far a computation is, if standard error is a terminal.

    Nothing is done before the program is compiled, so until the first report the bar says
    "compiling"; the clock starts at that report, and the rate is that of the computation alone.

    Args:
        what: is done, a word or two.
        total: how many there are to do, if known; more may come.
        unit: of what is counted.

    Yields:
        What is to be told how many more are done, by any thread; None where nobody watches.
    """
    if not sys.stderr.isatty():
        yield None
        return
    from tqdm import tqdm

    shown = tqdm(
        total=total,
        desc=f"{what}: compiling",
        unit=f" {unit}",
        leave=False,
        ncols=min(100, shutil.get_terminal_size().columns),
        file=sys.stderr,
    )
    lock = threading.Lock()
    running = False

    def done(more: int) -> None:
        nonlocal running
        with lock:
            if running:
                shown.update(more)
                return
            running = True
            shown.reset(total)
            shown.initial = shown.n = shown.last_print_n = more
            shown.set_description(what)

    with shown:
        yield done
