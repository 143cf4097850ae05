"""Impacts and contributions of nuisances on one parameter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from bknn import errors
from bknn.analysis.analysis import Data
from bknn.answers.answer import Answer, Shown
from bknn.answers.digits import with_error
from bknn.answers.outline import subject, unit_of
from bknn.answers.packing import Coordinate
from bknn.inference.fits.result import FitResult
from bknn.inference.impacts.groups import matches

#: Uncertainties whose ratio exceeds this are far apart.
ALIKE = 1.25


#: Parameters that are printed.
_SHOWN = 5


@dataclass(frozen=True, eq=False, repr=False)
class Impacts(Answer):
    """How the parameters move a parameter of interest, the strongest first. Arrays (n,).

    An impact is the shift of the parameter of interest when a parameter is moved by its uncertainty
    and held there. NaN is what has no value; `remarks` says why.

    Attributes:
        poi: the parameter of interest.
        result: the fit.
        names: everything else that floats, in the order of the ranking: by the largest of `post`,
            `post_up` and `post_down`.
        index: positions of the names in the flat vector.
        pre, post: shift for +1 width of the constraint, and for +1 uncertainty of the fit, linear
            (by implicit differentiation). `pre` is NaN for what has no constraint.
        pre_up, pre_down, post_up, post_down: shifts found by fitting again with the parameter held
            one width or uncertainty above and below its best value; NaN without refits.
        pull: (best value - centre of the constraint) / width.
        constraint: uncertainty / width.
        remarks: {name: what went wrong}.
        groups, total: {label: uncertainty}, by how much the best value fluctuates if the data do
            around what was observed, to first order; the squares add up to that of `total`.
        expected_groups, expected_total: the same if they fluctuate around what the fit expects.
        contributions: {label: uncertainty} of each group but the counts, by how much the
            uncertainty shrinks, in quadrature, if all its members are held: see `contribution`.
        hessian: uncertainty from the curvature of the likelihood; see `impacts` why it differs.
        derivative: of the best value by every count and auxiliary datum, in the shape of the data.
    """

    poi: str
    result: FitResult
    names: tuple[str, ...]
    index: np.ndarray
    pre: np.ndarray
    post: np.ndarray
    pre_up: np.ndarray
    pre_down: np.ndarray
    post_up: np.ndarray
    post_down: np.ndarray
    pull: np.ndarray
    constraint: np.ndarray
    remarks: dict[str, str]
    groups: dict[str, float]
    total: float
    expected_groups: dict[str, float]
    expected_total: float
    contributions: dict[str, float]
    hessian: float
    derivative: Data

    def dimensions(self) -> dict[str, tuple[str, ...]]:
        return dict.fromkeys(("index", *COLUMNS), ("nuisance",))

    def coordinates(self) -> dict[str, Coordinate]:
        return {"nuisance": Coordinate(self.names)}

    def field_units(self) -> dict[str, str]:
        unit = unit_of(self.result.target, self.poi)
        return {c: unit for c in COLUMNS if c.startswith(("pre", "post"))}

    @property
    def converged(self) -> np.ndarray:
        """Whether the impact of each parameter was found (n,)."""
        if self.poi in self.remarks:
            return np.zeros(len(self.names), bool)
        return np.array([name not in self.remarks for name in self.names], bool)

    def columns(self) -> dict[str, Any]:
        """One row a parameter, the strongest first."""
        return {"name": list(self.names), **{c: getattr(self, c) for c in COLUMNS}}

    @property
    def value(self) -> float:
        """Best value of the parameter of interest."""
        return float(self.result.vector[self.result.target.index(self.poi)])

    @property
    def table(self) -> list[dict[str, Any]]:
        """One row a parameter, {"name": ..., "pre": ..., ...}, the strongest first."""
        numbers = {c: getattr(self, c) for c in COLUMNS}
        return [
            {"name": name, **{c: float(x[i]) for c, x in numbers.items()}}
            | ({"remark": self.remarks[name]} if name in self.remarks else {})
            for i, name in enumerate(self.names)
        ]

    def __getitem__(self, name: str) -> dict[str, Any]:
        """The row of a parameter."""
        if name not in self.names:
            raise errors.unknown("parameter", name, self.names, f"the impacts on {self.poi!r}")
        return self.table[self.names.index(name)]

    def contribution(self, *patterns: str) -> float:
        """Return by how much the uncertainty shrinks, in quadrature, if parameters are held.

        sqrt(sigma^2 - sigma_held^2), by the curvature at the fit: tables of systematic
        uncertainties are often made so. Contributions of different sources add up to nothing in
        particular. It is the absolute value of `post` for a single parameter.

        Args:
            patterns: names or sets of names, with * and ?, as for groups.

        Raises:
            UnknownNameError: a pattern that matches nothing that floats.
        """
        own = np.zeros(len(self.names), bool)
        for pattern in patterns:
            hits = np.array([matches(name, pattern) for name in self.names], bool)
            if not hits.any():
                raise errors.unknown("parameter", pattern, self.names, "what floats in the fit")
            own |= hits
        return contribution_of(self.result, self.result.target.index(self.poi), self.index[own])

    @property
    def status(self) -> str:
        """What has no value, and why, in a sentence."""
        if self.poi in self.remarks:
            return self.remarks[self.poi]
        text = f"the impacts of all {len(self.names)} parameters were found."
        if self.remarks:
            (name, remark), *more = self.remarks.items()
            rest = f" (and {len(more)} more; see `remarks`)" if more else ""
            text = f"{len(self.remarks)} of {len(self.names)} parameters: {name} {remark}{rest}."
        totals = (self.hessian, self.total, self.expected_total)
        if max(totals) > ALIKE * min(totals):
            text += (
                f" The groups add up to {self.total:.3g} around the observation and to "
                f"{self.expected_total:.3g} around the fit, where the curvature gives "
                f"{self.hessian:.3g}: {self.poi} is far from linear in the data; use toys."
            )
        return text

    def shown(self) -> Shown:
        unit = unit_of(self.result.target, self.poi)
        columns = ((self.post, "+.3g"), (self.pull, "+.2f"), (self.constraint, ".2f"))
        rows = [
            (name, *(written(x[i], how) for x, how in columns))
            for i, name in enumerate(self.names[:_SHOWN])
        ]
        more = f" and {n} more" if (n := len(self.names) - _SHOWN) > 0 else ""
        groups = [*self.groups.items(), ("together", self.total)]
        shares = ", ".join(f"{label} {value:.3g}" for label, value in groups)
        return Shown(
            f"Impacts on {self.poi} = {with_error(self.value, self.hessian, unit)} of "
            f"{subject(self.result.target)}",
            (f"parameter{more}", "impact", "pull", "constraint"),
            rows,
            [f"Uncertainties: {shares}.", self.status],
        )


#: Numbers in a row of the table.
COLUMNS = (
    "pre", "post", "pre_up", "pre_down", "post_up", "post_down", "pull", "constraint",
)  # fmt: skip


def written(x: float, how: str) -> str:
    """Return a number, nothing for what has none."""
    return "" if np.isnan(x) else f"{x:{how}}"


def contribution_of(result: FitResult, i: int, rows: np.ndarray) -> float:
    """Return by how much the uncertainty of parameter i shrinks if others are held."""
    covariance = result.covariance
    rows = rows[result.uncertainty_vector[rows] > 0]  # the others lie at a bound
    scale = np.sqrt(np.diag(covariance)[rows])
    along = covariance[i, rows] / scale
    block = covariance[np.ix_(rows, rows)] / np.outer(scale, scale)
    if not result.uncertainty_vector[i] > 0:
        return float("nan")
    return float(np.sqrt(along @ np.linalg.solve(block, along)))
