"""Sets of form factors: a parametrisation, central values, covariance, source.

Published sets lie in `data/sets/NAME/`, one file a transition. docs/form_factors.md lists them.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from bknn import errors
from bknn.form_factors.bsz import BSZ
from bknn.form_factors.hpqcd2022 import BCL
from bknn.form_factors.series import TRANSITIONS, Series
from bknn.form_factors.simplified_series import SimplifiedSeries
from bknn.reading import user_files

#: The set of each transition unless another one is asked for.
DEFAULTS = {
    "B -> K": "flag-2021+hpqcd-2022",
    "B -> K*": "grvdv-2023",
    "Bs -> phi": "grvdv-2023",
}

PARAMETRISATIONS: dict[str, type[Series]] = {
    "bcl": BCL,
    "bsz": BSZ,
    "simplified-series": SimplifiedSeries,
}

#: Coefficients of a form factor that a file may have.
HIGHEST_ORDER = 16

_POSITIVE = ("mass_parent", "mass_daughter", "poles", "thresholds", "multiplicity")

_DATA = Path(__file__).parent / "data"


class FormFactorSet(eqx.Module):
    """Form factors of one transition with uncertainties: a normal distribution of parameters.

    Called with q2 and parameters it gives {form factor: values}. It holds numbers of Python only
    (nothing that is traced), hence is hashable and passes through transformations as a constant.

    Attributes:
        name: of the set.
        series: the parametrisation; it knows the transition, names of parameters, masses, poles.
        source: where the numbers come from.

    >>> import jax
    >>> jax.config.update("jax_enable_x64", True)
    >>> form_factors = load("flag-2021+hpqcd-2022", "B -> K")
    >>> form_factors.parameter_names[:4]
    ('f_plus_0', 'f_plus_1', 'f_plus_2', 'f_0_1')
    >>> values = form_factors(20.0, form_factors.mean)
    >>> {name: round(float(value), 3) for name, value in values.items()}
    {'f_plus': 1.68, 'f_0': 0.696, 'f_T': 1.673}
    """

    name: str = eqx.field(static=True)
    series: Series
    source: str = eqx.field(static=True)
    _mean: tuple[float, ...] = eqx.field(static=True)
    _covariance: tuple[tuple[float, ...], ...] = eqx.field(static=True)

    def __init__(
        self,
        name: str,
        series: Series,
        mean: Any,
        covariance: Any,
        source: str = "",
    ) -> None:
        """Make a set.

        Args:
            name: for tables and messages.
            series: parametrisation (`BSZ`, `BCL`, `SimplifiedSeries`, or a `Series` of your own).
            mean: of the parameters, shape (n,), in the order of `series.parameter_names`.
            covariance: shape (n, n).
            source: where the numbers come from.

        Raises:
            ParameterError: shapes that do not fit, numbers that are not finite, a covariance that
                is not symmetric or not positive definite.
        """
        mean, covariance = np.asarray(mean, np.float64), np.asarray(covariance, np.float64)
        _check(f"form-factor set {name!r}, {series.transition}", series, mean, covariance)
        self.name, self.series, self.source = name, series, source
        self._mean = tuple(mean.tolist())
        self._covariance = tuple(map(tuple, (0.5 * (covariance + covariance.T)).tolist()))

    @property
    def transition(self) -> str:
        """Return "B -> K", "B -> K*" or "Bs -> phi"."""
        return self.series.transition

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """Return the names of the independent parameters, like 'f_0_1': coefficient 1 of f_0."""
        return self.series.parameter_names

    @property
    def mean(self) -> np.ndarray:
        """Return the central values of the parameters, shape (n,)."""
        return np.array(self._mean)

    @property
    def covariance(self) -> np.ndarray:
        """Return the covariance of the parameters, shape (n, n)."""
        return np.array(self._covariance)

    def __call__(self, q2: ArrayLike, parameters: ArrayLike | None = None) -> dict[str, Array]:
        """Return {"f_plus", "f_0", "f_T"} or {"A0", "A1", "A12", "V", "T1", "T2", "T23"}.

        Args:
            q2: GeV^2, any shape; physical values, or a bit beyond. From the branch point (above
                30 GeV^2) on there is no value, so clip first where phase space ends.
            parameters: shape (n,), the central values unless given; `jax.vmap` for several.
        """
        return self.series(q2, self.mean if parameters is None else parameters)

    def parameters(self, whitened: ArrayLike) -> Array:
        """Return mean + L whitened, where L L^T is the covariance and L is lower triangular.

        Args:
            whitened: shape (n,); independent and normal with unit width in a prior.
        """
        root = np.linalg.cholesky(self.covariance)
        return jnp.asarray(self.mean) + jnp.asarray(root) @ jnp.asarray(whitened)


def available() -> dict[str, tuple[str, ...]]:
    """Return {name: transitions} of the sets that come with the package.

    >>> available()["hpqcd-2022"]
    ('B -> K',)
    """
    return {
        folder.name: tuple(t for t in TRANSITIONS if _file(folder.name, t).is_file())
        for folder in sorted((_DATA / "sets").iterdir())
        if folder.is_dir()
    }


def load(name: str, transition: str) -> FormFactorSet:
    """Return a set that comes with the package.

    Raises:
        UnknownNameError: no such set or transition, or a set that does not have the transition;
            close matches, or sets that have it, are named.

    >>> load("grvdv-2023", "B -> K*").source.split(",")[0]
    'arXiv:2305.06301'
    """
    known = available()
    if name not in known:
        raise errors.unknown("form-factor set", name, known)
    if transition not in TRANSITIONS:
        raise errors.unknown("transition", transition, TRANSITIONS)
    if transition not in known[name]:
        others = ", ".join(n for n, has in known.items() if transition in has)
        raise errors.UnknownNameError(
            f"form-factor set {name!r} is for {', '.join(known[name])} and has nothing for "
            f"{transition}; take one of: {others}."
        )
    return _load(name, transition)


def choose(
    choice: str | FormFactorSet | Sequence[str | FormFactorSet] = (),
) -> dict[str, FormFactorSet]:
    """Return {transition: set} for all transitions.

    Args:
        choice: names of sets, files (`*.toml`, see `read`), or sets; each takes the place of the
            default for the transitions that it has, later ones that of earlier ones.

    Raises:
        UnknownNameError: no such set.
        DataError: a file that is none.

    >>> {transition: s.name for transition, s in choose("bsz-2015").items()}
    {'B -> K': 'flag-2021+hpqcd-2022', 'B -> K*': 'bsz-2015', 'Bs -> phi': 'bsz-2015'}
    """
    if isinstance(choice, (str, FormFactorSet)):
        choice = (choice,)
    chosen: dict[str, str | FormFactorSet] = {**DEFAULTS}
    known = available()
    for one in choice:
        if isinstance(one, str) and one.endswith(".toml"):
            one = read(one)
        if isinstance(one, FormFactorSet):
            chosen[one.transition] = one
        elif one in known:
            chosen.update(dict.fromkeys(known[one], one))
        else:
            raise errors.unknown("form-factor set", one, known)
    return {t: load(s, t) if isinstance(s, str) else s for t, s in chosen.items()}


def read(path: str | os.PathLike[str]) -> FormFactorSet:
    """Return a set from a file in the form of those in `data/sets` (docs/form_factors.md).

    Raises:
        DataError: the file cannot be read, or lacks something, or has parameters that are not
            those of its parametrisation.
        ParameterError, UnknownNameError: its numbers or names make no sense.
    """
    table = user_files.read_toml(Path(path))
    try:
        name, transition, source = (_text(table, k) for k in ("name", "transition", "source"))
        series = _series(table["parametrisation"], transition, str(path))
        names = tuple(str(n) for n in table["parameters"])
        if names != series.parameter_names:
            raise errors.DataError(
                f"{path}: parameters are {', '.join(names)}, but this parametrisation has "
                f"{', '.join(series.parameter_names)}, in this order."
            )
        with np.errstate(all="ignore"):  # what is not finite is told
            return FormFactorSet(name, series, table["mean"], covariance_of(table), source)
    except (KeyError, TypeError, ValueError) as problem:
        if isinstance(problem, errors.ParameterError):
            raise errors.ParameterError(f"{path}: {problem}") from None
        if isinstance(problem, errors.BknnError):
            raise
        raise errors.DataError(
            f"{path}: not a form-factor set: {problem} is missing or does not fit."
        ) from None


def _text(table: Mapping[str, Any], key: str) -> str:
    if not isinstance(table[key], str):
        raise TypeError(f"{key!r}, which must be a text,")
    return str(table[key])


def _series(how: Any, transition: str, where: str) -> Series:
    """Return the parametrisation that a table describes."""
    if not isinstance(how, dict):
        raise TypeError("'parametrisation', which must be a table,")
    kind = _text(how, "name")
    if kind not in PARAMETRISATIONS:
        raise errors.unknown("parametrisation", kind, PARAMETRISATIONS, where)
    order = how.get("order", 1)
    if type(order) is not int or not 1 <= order <= HIGHEST_ORDER:
        raise TypeError(f"'order', a number of coefficients from 1 to {HIGHEST_ORDER},")
    for key, entry in how.items():
        for number in entry.values() if isinstance(entry, dict) else [entry]:
            if key != "name" and not (
                type(number) in (int, float)
                and np.isfinite(number)
                and (number > 0 or key not in _POSITIVE)
            ):
                raise TypeError(f"{key!r} with a number that is {number!r}")
    return PARAMETRISATIONS[kind](
        transition=transition, **{key: x for key, x in how.items() if key != "name"}
    )


def covariance_of(table: Mapping[str, Any]) -> np.ndarray:
    """Return the covariance, given as such or as uncertainties and correlation."""
    if "covariance" in table:
        return np.array(table["covariance"], np.float64)
    sigma = np.array(table["uncertainty"], np.float64)
    return np.outer(sigma, sigma) * np.array(table["correlation"], np.float64)


def _check(where: str, series: Series, mean: np.ndarray, covariance: np.ndarray) -> None:
    n = len(series.parameter_names)
    if mean.shape != (n,) or covariance.shape != (n, n):
        raise errors.ParameterError(
            f"{where}: mean and covariance have shapes {mean.shape} and {covariance.shape}, but "
            f"there are {n} parameters: {', '.join(series.parameter_names)}."
        )
    if not (np.isfinite(mean).all() and np.isfinite(covariance).all()):
        raise errors.ParameterError(
            f"{where}: mean or covariance have entries that are not finite."
        )
    scale = np.sqrt(np.abs(np.outer(np.diag(covariance), np.diag(covariance))))
    if (np.abs(covariance - covariance.T) > 1e-6 * scale).any():
        raise errors.ParameterError(f"{where}: the covariance is not symmetric.")
    try:
        np.linalg.cholesky(covariance)
    except np.linalg.LinAlgError:
        raise errors.ParameterError(
            f"{where}: the covariance is not positive definite, so it is none. Rounded "
            "correlations can do that: more digits, or a slightly larger variance, help."
        ) from None


def _file(name: str, transition: str) -> Path:
    return _DATA / "sets" / name / f"{transition.replace(' -> ', '-to-').replace('*', 'star')}.toml"


@functools.cache
def _load(name: str, transition: str) -> FormFactorSet:
    return read(_file(name, transition))
