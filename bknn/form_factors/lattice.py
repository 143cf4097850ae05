"""Form-factor parameters from values at points: generalised least squares.

Lattice collaborations, and those who compute sum rules, publish values of form factors at a few q2
with a covariance. As form factors
are linear in their parameters, the posterior of the parameters (flat prior) is exactly normal, and
nothing has to be sampled.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bknn import errors
from bknn.form_factors.series import Series
from bknn.form_factors.sets import covariance_of
from bknn.reading import user_files

_DATA = Path(__file__).parent / "data" / "constraints"


class Constraint(NamedTuple):
    """Values of form factors at points.

    Attributes:
        name, transition, source: what it is and where the numbers come from.
        form_factors: name of the form factor of each point.
        q2: of each point, GeV^2, shape (points,).
        mean: shape (points,).
        covariance: shape (points, points).
    """

    name: str
    transition: str
    source: str
    form_factors: tuple[str, ...]
    q2: np.ndarray
    mean: np.ndarray
    covariance: np.ndarray


class Fit(NamedTuple):
    """Result of a fit: mean (n,), covariance (n, n) of the parameters, chi^2 and its degrees."""

    mean: np.ndarray
    covariance: np.ndarray
    chi2: float
    degrees_of_freedom: int


def available() -> tuple[str, ...]:
    """Return the names of the constraints that come with the package.

    >>> available()
    ('bgmt-2025', 'bgmt-2025-kstar', 'flag-2021', 'hpqcd-2022')
    """
    return tuple(sorted(path.stem for path in _DATA.glob("*.toml")))


def load(name: str) -> Constraint:
    """Return a constraint that comes with the package.

    Raises:
        UnknownNameError: no such constraint; close matches are named.

    >>> load("hpqcd-2022").form_factors[:4]
    ('f_0', 'f_0', 'f_0', 'f_plus')
    """
    if name not in available():
        raise errors.unknown("lattice constraint", name, available())
    table = user_files.read_toml(_DATA / f"{name}.toml")
    return Constraint(
        table["name"],
        table["transition"],
        table["source"],
        tuple(table["form_factors"]),
        np.array(table["q2"], np.float64),
        np.array(table["mean"], np.float64),
        covariance_of(table),
    )


def fit(series: Series, constraints: Sequence[Constraint]) -> Fit:
    """Return the parameters of a series that independent constraints ask for.

    Raises:
        ParameterError: no constraint, or one of another transition; points that do not determine
            all parameters.

    >>> from bknn.form_factors import load as form_factors
    >>> bsz = form_factors("flag-2021+hpqcd-2022", "B -> K").series
    >>> result = fit(bsz, [load("flag-2021"), load("hpqcd-2022")])
    >>> print(f"chi2 = {result.chi2:.2f} for {result.degrees_of_freedom} degrees of freedom")
    chi2 = 4.84 for 8 degrees of freedom
    """
    if not constraints:
        raise errors.ParameterError("a fit of form factors needs at least one constraint.")
    for one in constraints:
        if one.transition != series.transition:
            raise errors.ParameterError(
                f"constraint {one.name!r} is for {one.transition}, the series for "
                f"{series.transition}: they cannot be fitted together."
            )
    # Each constraint in units of its uncertainty and without correlations: rows A p = y.
    rows, values = [], []
    for one in constraints:
        root = np.linalg.cholesky(one.covariance)
        rows.append(np.linalg.solve(root, _design(series, one)))
        values.append(np.linalg.solve(root, one.mean))
    a, y = np.concatenate(rows), np.concatenate(values)
    n = len(series.parameter_names)
    if np.linalg.matrix_rank(a) < n:
        raise errors.ParameterError(
            f"{len(y)} points at these q2 do not determine the {n} parameters of "
            f"{series.transition}; use more constraints or a smaller order."
        )
    q, r = np.linalg.qr(a)
    mean = np.linalg.solve(r, q.T @ y)
    inverse = np.linalg.inv(r)
    return Fit(mean, inverse @ inverse.T, float(np.sum((y - a @ mean) ** 2)), len(y) - n)


def _design(series: Series, one: Constraint) -> np.ndarray:
    """Return d(points)/d(parameters), shape (points, n)."""
    columns = series.design(one.q2)
    return np.stack([columns[name][i] for i, name in enumerate(one.form_factors)])
