"""A question is declared once: a class whose fields are what may be asked.

From the fields come the options of the shell with their help, the keys of a card, and the record in
`result.json`; where Python has a function for the question, its keywords have the same defaults.
"""

from __future__ import annotations

import dataclasses
import hashlib
import typing
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from bknn import errors
from bknn.questions.shared import kinds, values
from bknn.questions.shared.kinds import Bounds, Priors, Texts
from bknn.reading.names import located

if TYPE_CHECKING:
    from bknn.questions.shared.output import Desk
    from bknn.questions.shared.plan import Plan


def option(help: str, default: Any = MISSING, **more: Any) -> Any:
    """Declare something that may be asked.

    Args:
        help: what it is, in a line.
        default: its value if nothing is said; without one it must be given.
        more: `metavar`, what stands for it in the help; `choices`; `least`, the smallest value of a
            whole number; `flag`, its option in the shell where that is not its name, and `short`,
            one of a letter; `positional`, whether it has none; `keyword`, its name in Python, ""
            if it has none there; `shown`, the default in words; `files`, what it names where
            that may be a file;
            `commas`, whether its words are one, with commas; `section` and `key`, its place on a
            card where that is not its name in the section of the question.
    """
    if isinstance(default, dict):
        return dataclasses.field(default_factory=dict, metadata={"help": help, **more})
    return dataclasses.field(default=default, metadata={"help": help, **more})


@dataclass(frozen=True)
class Option:
    """One thing that may be asked of a question, with its kind.

    Attributes:
        name: of the field, in the record, and on a card unless `key` says otherwise.
        kind: of its values.
        default: its value if nothing is said, `dataclasses.MISSING` without one.
        more: what `option` was told.
    """

    name: str
    kind: Any
    default: Any
    more: Mapping[str, Any]

    @property
    def flag(self) -> str:
        """Its option in the shell, empty if it has none but stands alone."""
        if self.more.get("positional"):
            return ""
        name = f"no-{self.name}" if self.default is True else self.name
        return str(self.more.get("flag", f"--{name.replace('_', '-')}"))

    @property
    def key(self) -> str:
        """Its key on a card."""
        return str(self.more.get("key", self.name))

    @property
    def needed(self) -> bool:
        """Whether it must be given."""
        return self.default is MISSING

    def check(self, value: Any, label: str) -> None:
        """Look whether a value makes sense.

        Raises:
            ParameterError, UnknownNameError: it does not.
        """
        choices, least = self.more.get("choices"), self.more.get("least")
        if value is None:
            return
        if choices is not None and value not in choices:
            raise errors.unknown(self.name, value, choices, label if " of " in label else "")
        if self.name == "seed":
            values.seed(value, label)
        elif least is not None:
            values.number(value, label, least)


@dataclass(frozen=True, kw_only=True)
class Question:
    """What may be asked, and what answers it.

    Attributes:
        name: of its section on a card, and of its command (with - for _).
        summary: what it is, in the list of commands.
        description: what it does, in its help.
        examples: commands, one a line.
        resumes: whether an interrupted command can go on.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    description: ClassVar[str]
    examples: ClassVar[str]
    resumes: ClassVar[bool] = False

    def plan(self, desk: Desk) -> Plan:
        """Look whether what is asked makes sense, and say what will be done. Nothing is fitted.

        Raises:
            BknnError: it makes none.
        """
        raise NotImplementedError

    def planned(self, desk: Desk) -> Plan:
        """Return the plan, made once."""
        key = "plan", id(self)
        if key not in desk.analyses:
            desk.analyses[key] = self.plan(desk)
        found: Plan = desk.analyses[key]
        return found

    def answer(self, desk: Desk) -> int:
        """Compute, print, write; return the exit code."""
        raise NotImplementedError

    @classmethod
    def options(cls) -> Iterator[Option]:
        """Yield what may be asked, in the order of the help."""
        hints = typing.get_type_hints(cls)
        for field in dataclasses.fields(cls):
            made = field.default_factory
            default = field.default if made is MISSING else made()
            yield Option(field.name, hints[field.name], default, field.metadata)

    def check(self, label: Callable[[Option], str]) -> None:
        """Look whether each value makes sense.

        Args:
            label: what an option is called where it was given.

        Raises:
            ParameterError, UnknownNameError: a value does not.
        """
        for one in self.options():
            one.check(getattr(self, one.name), label(one))

    def called(self, name: str, label: Callable[[Option], str]) -> str:
        """Return what an option is called where it was given."""
        return next(label(one) for one in self.options() if one.name == name)

    def own(self) -> dict[str, Any]:
        """Return what is asked of model and data, as JSON has it; files by what they contain."""
        found = {}
        for one in self.options():
            value = getattr(self, one.name)
            if one.name in SHARED or one.name == "fit":
                continue  # they count by their content
            found[one.name] = [_sum(name) for name in value] if one.more.get("files") else value
        return {name: kinds.as_json(x) for name, x in found.items()}

    def record(self) -> dict[str, Any]:
        """Return everything that was asked, defaults included, as JSON has it.

        Files have their absolute paths, so that the same computation has the same record, wherever
        it was started; what they contain is in `data_sha256` beside it.
        """
        found = {}
        for one in self.options():
            value = getattr(self, one.name)
            found[one.name] = kinds.as_json(
                _located(value, one.more["files"]) if one.more.get("files") else value
            )
        return found


def _sum(name: str) -> str:
    """Return the digest of a file."""
    try:
        return hashlib.sha256(Path(name).read_bytes()).hexdigest()
    except OSError as problem:
        raise errors.DataError(f"{name}: cannot be read ({problem.strerror}).") from None


def _located(value: Any, kind: str) -> Any:
    """Return names of files with their absolute paths, and of what comes with bknn as they are."""
    if isinstance(value, tuple):
        return tuple(_located(x, kind) for x in value)
    if not isinstance(value, str):
        return value
    try:
        return located(value, Path.cwd(), kind=kind, known=known(kind))
    except errors.BknnError:
        return value


def known(kind: str) -> Collection[str]:
    """Return the names of a kind that come with bknn."""
    if kind == "data set":
        from bknn.data.store import COLLECTIONS, available

        return (*available(), *COLLECTIONS)
    if kind == "form-factor set":
        from bknn.form_factors import sets

        return sets.available()
    return ()


#: How grids are written.
GRID = "LOW:HIGH:POINTS, LOW:HIGH:POINTS:log, or A,B,C"


def bounds_option() -> Any:
    """Declare bounds of parameters."""
    return option(
        "bounds of parameters in place of their own, as in mu=0:10 or 'stat_*=-inf:inf'",
        {},
        section="model",
        keyword="",
    )


def without_option() -> Any:
    """Declare data sets that are left out again."""
    return option(
        "leave these of the data sets out again",
        (),
        metavar="SET",
        section="data",
        files="data set",
        keyword="",
    )


# What several questions share --------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class OfTheory(Question):
    """With which form factors and inputs."""

    form_factors: Texts = option(
        "sets of form factors in place of the default ones (docs/form_factors.md)",
        (),
        section="model",
        files="form-factor set",
        keyword="",
    )
    inputs: str | None = option(
        "'standard', 'eos-1.0.21', 'flavio-2.7.1'",
        None,
        shown="standard",
        section="model",
        keyword="",
    )
    long_distance: bool = option(
        "add B -> tau nu, tau -> K nu to charged channels (counted as background otherwise)",
        False,
        section="model",
        keyword="",
    )

    @property
    def theory(self) -> dict[str, Any]:
        """Form factors and inputs that were given."""
        names = ("form_factors", "inputs", "long_distance")
        return {name: x for name in names if (x := getattr(self, name))}


@dataclass(frozen=True, kw_only=True)
class OfModel(OfTheory):
    """Which model."""

    model: str = option(
        "one of `bknn models`", positional=True, section="model", key="name", keyword=""
    )
    basis: str | None = option(
        "of the couplings: 'parity' or 'chiral', or as docs/models.md says of a model",
        None,
        shown="parity",
        section="model",
        keyword="",
    )
    wilson_coefficients: str | None = option(
        "WCxf file with coefficients for 'wet' or 'wet-rhn'; of another basis than flavio's "
        "and EOS's, another scale than m_b, or the SMEFT it is run to m_b (needs bknn[wilson])",
        None,
        metavar="FILE",
        section="model",
        files="file",
        keyword="",
    )
    kinetic: bool = option(
        "solve for the temperature of dark matter, too, which near a pole is not that of the "
        "plasma (docs/relic_kinetic.md); slower",
        False,
        section="model",
        keyword="",
    )
    free: Texts = option(
        "let parameters float that are fixed by default", (), section="model", keyword=""
    )

    @property
    def theory(self) -> dict[str, Any]:
        """What of form factors, inputs and the model's options was given."""
        names = ("basis", "wilson_coefficients", "kinetic")
        return {**super().theory, **{n: x for n in names if (x := getattr(self, n))}}


@dataclass(frozen=True, kw_only=True)
class OfData(Question):
    """Which data."""

    data: Texts = option(
        "names from `bknn data list`, TOML files of published numbers (docs/data.md), "
        "directories of `bknn data import`, or pyhf workspaces; 'all-light-vector': constraints on "
        "light vectors, 'all-dark-matter': on dark matter, all whose quantities the model has",
        ("belle2-2025",),
        metavar="SET",
        section="data",
        key="sets",
        files="data set",
        keyword="",
    )
    without: Texts = without_option()
    patch: str | None = option(
        "a patch of a pyhf patch set, for the workspace in --data",
        None,
        metavar="FILE:NAME",
        section="data",
        files="file",
        keyword="",
    )
    channels: Texts = option(
        "only these channels: names, their beginnings, or groups such as 'inclusive'",
        (),
        metavar="NAME[,NAME...]",
        commas=True,
        section="data",
        keyword="",
    )


@dataclass(frozen=True, kw_only=True)
class OfAnalysis(OfData, OfModel):
    """Which model meets which data, and how."""

    response: str = option(
        "how spectra are folded: 'smooth' or 'reweighting' (arXiv:2402.08417)",
        "smooth",
        metavar="KIND",
        section="data",
        keyword="",
    )
    bounds: Bounds = bounds_option()


@dataclass(frozen=True, kw_only=True)
class OfPriors(Question):
    """With which priors."""

    prior: Priors = option(
        'priors in place of the model\'s, as in "mass=uniform(1.5,3.0)"; also normal, '
        "truncated_normal, log_uniform, flat_in_square, user:module:function (docs/priors.md)",
        {},
        section="priors",
        keyword="",
    )


def fix_option() -> Any:
    """Declare which parameters do not float."""
    return option("keep parameters at values", {}, keyword="fixed")


def seed_option(of: str) -> Any:
    """Declare the seed of what is random."""
    return option(f"of {of}", 0, section="run")


def truth_option() -> Any:
    """Declare the point at which data are made up."""
    return option(
        "the truth; the best fit to the data elsewhere, but couplings that are not named are 0 "
        "once one is",
        {},
        keyword="",
    )


def nominal_option() -> Any:
    """Declare where the nuisances of the truth are."""
    return option(
        "nuisances of the truth where their constraints have them, not where the data do",
        False,
        keyword="",
    )


#: Of the toys, for the seed.
TOYS = "the toys: one seed, the same toys on every machine"


def first_option() -> Any:
    """Declare the number of the first toy."""
    return option(
        "number of the first toy, where several jobs share the toys of a seed",
        0,
        least=0,
        metavar="I",
    )


def merge_option() -> Any:
    """Declare toys to be added."""
    return option(
        "toys.nc of other jobs, to be added", (), metavar="FILE", files="file", keyword=""
    )


#: Options of model, data and priors: what the computation is of counts by its content, whatever it
#: is called and wherever it lies.
SHARED = {
    one.name
    for kind in (OfAnalysis, OfPriors)
    for one in kind.options()
    if one.more.get("section") in ("model", "data", "priors")
}


def given(names: Sequence[str], question: Question) -> list[str]:
    """Return which of these options are not as by default."""
    own = {one.name: one.default for one in question.options()}
    return [name for name in names if getattr(question, name) != own[name]]
