"""Files that are complete or not there: JSON and NetCDF."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from bknn.storage.files import replacing


def write_json(content: Mapping[str, Any], path: Path) -> None:
    """Write JSON atomically: a reader sees the old file or the new one, whole."""
    text = json.dumps(content, indent=2, allow_nan=False) + "\n"
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


class Arrays:
    """A NetCDF 3 file that is being written; `xarray.open_dataset` reads it."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def dimension(self, name: str, size: int) -> None:
        """Declare a dimension."""
        self._file.createDimension(name, size)

    def put(self, name: str, values: ArrayLike, *dimensions: str) -> None:
        """Write numbers."""
        self._file.createVariable(name, "d", dimensions)[:] = np.asarray(values, float)

    def put_texts(self, name: str, texts: Sequence[str], dimension: str) -> None:
        """Write one text for each entry of a dimension."""
        # NetCDF 3 has no strings, only tables of characters.
        width = max(1, *(len(t.encode()) for t in texts))
        table = np.array([list(t.encode().ljust(width, b"\0")) for t in texts], "u1")
        self.dimension(f"{name}_length", width)
        variable = self._file.createVariable(name, "c", (dimension, f"{name}_length"))
        variable[:] = table.view("S1")
        variable._Encoding = "utf-8"


@contextmanager
def arrays(path: Path, title: str) -> Iterator[Arrays]:
    """Open a NetCDF file to write, which takes its place when it is complete."""
    from scipy.io import netcdf_file

    with replacing(path) as temporary, netcdf_file(temporary, "w") as file:
        file.title = title
        yield Arrays(file)
