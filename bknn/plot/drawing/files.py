"""Writing figures."""

from __future__ import annotations

import os
from pathlib import Path

from matplotlib.figure import Figure

from bknn.plot.drawing.style import style
from bknn.storage.files import replacing

#: Dots per inch of PNG files.
RESOLUTION = 160


def save(figure: Figure, path_stem: str | os.PathLike[str]) -> list[Path]:
    """Write a figure as PDF and PNG; the same figure gives the same bytes, whenever written.

    Args:
        figure: from this package.
        path_stem: where, without an ending; missing folders are made.

    Returns:
        The two paths.
    """
    stem = Path(path_stem)
    stem.parent.mkdir(parents=True, exist_ok=True)
    paths = [stem.parent / f"{stem.name}.{kind}" for kind in ("pdf", "png")]
    # No time stamps, and no versions: two runs are the same if their pictures are.
    with style():
        with replacing(paths[0]) as file:
            nothing = {"Creator": None, "Producer": None, "CreationDate": None}
            figure.savefig(file, format="pdf", metadata=nothing)
        with replacing(paths[1]) as file:
            figure.savefig(file, format="png", dpi=RESOLUTION, metadata={"Software": None})
    return paths
