"""The shape that all results have: `converged`, `status`, arrays with units, files, tables."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import numpy as np

from bknn import errors
from bknn.answers import outline
from bknn.answers.packing import Coordinate, Packing, Unpacking, known, piece
from bknn.storage import sealed
from bknn.storage.files import replacing
from bknn.tables import table, visible
from bknn.version import VERSION

if TYPE_CHECKING:
    import pandas
    import xarray

A = TypeVar("A", bound="Answer")

#: Of the files; it grows when older programs could not read them.
FORMAT = 1

#: The first bytes of the files of posteriors, which are those of arviz.
_HDF5 = b"\x89HDF"


@dataclass(frozen=True)
class Shown:
    """What a person wants to see of a result: a headline, a table, and what is to be said."""

    title: str
    head: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    notes: Sequence[str] = ()

    def text(self) -> str:
        """Return it for a terminal."""
        body = table(self.head, self.rows).splitlines() if self.rows else []
        lines = [self.title, *(f"  {line}" for line in body), *filter(None, self.notes)]
        return visible("\n".join(lines))

    def html(self) -> str:
        """Return it for a notebook."""

        def row(cells: Sequence[str], tag: str) -> str:
            return "<tr>" + "".join(f"<{tag}>{escape(c)}</{tag}>" for c in cells) + "</tr>"

        head = [row(self.head, "th")] if self.head else []
        rows = [*head, *(row(cells, "td") for cells in self.rows)]
        body = f"<table>{''.join(rows)}</table>" if self.rows else ""
        notes = "".join(f"<p>{escape(note)}</p>" for note in self.notes if note)
        return f"<p><b>{escape(self.title)}</b></p>{body}{notes}"


class Answer:
    """Base of all results, which are frozen dataclasses.

    Attributes of every result: `converged`, whether to believe it (a bool, or an array of bool),
    and `status`, the same in a sentence that says what to do if not.
    """

    #: Properties that are written to files, too. Those that are cached need the analysis, and are
    #: read again in its place.
    KEPT: ClassVar[tuple[str, ...]] = ()

    #: {field: its name in files}, where it has another one there.
    CALLED: ClassVar[Mapping[str, str]] = {}

    if TYPE_CHECKING:

        @property
        def converged(self) -> Any: ...
        @property
        def status(self) -> str: ...

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        piece(cls)

    # What a class says of itself ---------------------------------------------------------------

    def dimensions(self) -> Mapping[str, Sequence[str]]:
        """{field: names of the dimensions of its arrays}; "*" stands for those of a batch."""
        return {}

    def coordinates(self) -> Mapping[str, Coordinate]:
        """{dimension: what stands along it}."""
        return {}

    def field_units(self) -> Mapping[str, str]:
        """{field: unit}, of what has one."""
        return {}

    def shown(self) -> Shown:
        """What is printed."""
        return Shown(type(self).__name__, notes=[self.status])

    def columns(self) -> Mapping[str, Any]:
        """{name: one entry a row}, of what is a table."""
        raise errors.ParameterError(
            f"a {type(self).__name__} is no table; `to_dataset` gives its arrays."
        )

    # What follows ------------------------------------------------------------------------------

    def __repr__(self) -> str:
        return self.shown().text()

    def _repr_html_(self) -> str:
        return self.shown().html()

    def to_dataframe(self) -> pandas.DataFrame:
        """Return the result as a table of pandas.

        Raises:
            ParameterError: it is none.
        """
        import pandas

        return pandas.DataFrame(dict(self.columns()))

    def to_dataset(self) -> xarray.Dataset:
        """Return all arrays of the result, with coordinates, units and long names.

        The rest of it is text, in the attribute "bknn", so that `from_dataset` gives the result
        back, without the analysis.
        """
        import xarray

        packing = Packing()
        tree = packing.pack(self)
        sizes: dict[str, int] = {}
        variables = {}
        for name, x in packing.arrays.items():
            for dim, size in zip(x.dims, x.values.shape, strict=True):
                if sizes.setdefault(dim, size) != size:
                    raise AssertionError(f"{name}: {dim} has {size} entries, not {sizes[dim]}")
            about = {"units": x.unit, "long_name": x.long_name}
            variables[name] = xarray.Variable(
                x.dims, x.values, {k: v for k, v in about.items() if v}
            )
        along = {}
        for dim, c in packing.coordinates.items():
            if dim in sizes or isinstance(c.values, np.ndarray):
                about = {"units": c.unit, "long_name": c.long_name}
                values = np.asarray(c.values)
                along[dim] = xarray.Variable((dim,), values, {k: v for k, v in about.items() if v})
        status, converged = self.status, bool(np.all(self.converged))
        record = {"format": FORMAT, "result": tree, "analyses": packing.analyses}
        return xarray.Dataset(
            variables,
            along,
            {
                "title": self.shown().title,
                "kind": type(self).__name__,
                "converged": int(converged),
                "status": status,
                "version": VERSION,
                "bknn": json.dumps(record),
            },
        )

    @classmethod
    def from_dataset(cls: type[A], dataset: xarray.Dataset, analysis: Any = None) -> A:
        """Return the result that `to_dataset` was asked of.

        Args:
            dataset: from `to_dataset`, or from its file.
            analysis: is put in the place of what is kept of it, for what needs a likelihood.

        Raises:
            DataError: the arrays are of something else.
        """
        found = unpacked(dataset, analysis, "the dataset")
        if not isinstance(found, cls):
            raise errors.DataError(
                f"the dataset holds a {type(found).__name__}, not a {cls.__name__}."
            )
        return found

    def save(self, path: str | Path) -> Path:
        """Write the result as NetCDF 3, for `load` and `xarray.open_dataset`.

        A reader sees the old file or the new one, whole. It ends with its checksum, by which
        `load` knows whether something was changed since.
        """
        path = Path(path)
        with replacing(path) as temporary:
            self.to_dataset().to_netcdf(temporary, engine="scipy", format="NETCDF3_64BIT")
            sealed.seal(temporary)
        return path

    @classmethod
    def load(cls: type[A], path: str | Path, analysis: Any = None) -> A:
        """Read a result that `save` wrote.

        Without `analysis` it can be printed, tabulated and drawn; what needs the likelihood again
        says so.

        Raises:
            DataError: the file is missing, damaged, or holds something else; or is of another
                analysis.
        """
        found = read(path, analysis)
        if not isinstance(found, cls):
            raise errors.DataError(
                f"{path} holds a {type(found).__name__}, not a {cls.__name__}; `bknn.load` reads "
                "any result."
            )
        return found


def read(path: str | Path, analysis: Any = None) -> Answer:
    """Return the result in a file, whichever it is; arguments and errors as for `Answer.load`."""
    import xarray

    path = Path(path)
    sealed.check(path)
    if _begins(path, _HDF5):
        found: Answer = known("Posterior").load(path, analysis)
        return found
    try:
        dataset = xarray.load_dataset(path, engine="scipy")
    except (OSError, ValueError, TypeError, KeyError, IndexError, AttributeError) as problem:
        raise errors.DataError(
            f"{path} cannot be read as a result ({problem or type(problem).__name__}); give a file "
            "that `save` wrote."
        ) from None
    return unpacked(dataset, analysis, str(path))


def _begins(path: Path, magic: bytes) -> bool:
    with path.open("rb") as file:
        return file.read(len(magic)) == magic


def unpacked(dataset: xarray.Dataset, analysis: Any, where: str) -> Answer:
    """Return the result that is in a dataset."""
    try:
        record = json.loads(dataset.attrs["bknn"])
        newer = record["format"] > FORMAT
    except (KeyError, ValueError, TypeError):
        raise errors.DataError(
            f"{where} holds something else than a result of bknn; give what `save` or `to_dataset` "
            "of a result made."
        ) from None
    if newer:
        raise errors.DataError(
            f"{where} has the format {record['format']}, and this version of bknn knows "
            f"{FORMAT}; read it with a newer one."
        )

    def array(how: str, name: str) -> np.ndarray:
        return np.asarray(dataset[name].values)

    try:
        unpack = Unpacking(array)
        unpack.analyses = unpack.outlines(record["analyses"])
        if analysis is not None:
            same = [x.sha256 == outline.identity(analysis) for x in unpack.analyses]
            if not any(same):
                outline.fitting(unpack.analyses[0], analysis, where)
            unpack.analyses = [
                analysis if alike else x for x, alike in zip(unpack.analyses, same, strict=True)
            ]
        found = unpack(record["result"])
    except (KeyError, ValueError, TypeError, AttributeError) as problem:
        if isinstance(problem, errors.BknnError):
            raise
        raise errors.DataError(f"{where} is damaged ({problem}).") from None
    return found
