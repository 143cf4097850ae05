"""Contours of the profile likelihood in two parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import contourpy
import numpy as np
from jax.typing import ArrayLike
from scipy.special import erf

from bknn import errors
from bknn.analysis.analysis import Analysis, Data
from bknn.answers.answer import Answer, Shown
from bknn.answers.outline import subject
from bknn.inference import chi_squared
from bknn.inference.fits.result import FitResult
from bknn.inference.pieces import Progress, Work
from bknn.inference.profiles.crossings import crossings
from bknn.inference.profiles.held import Found, Points
from bknn.inference.profiles.profile import Profile, _grid, of_scan, scan

#: Parts of the way to where the likelihood vanishes, how well that place is known in the end, in
#: units of the edge, and how often the search closes in.
_PARTS, _EXACT, _MOST = np.linspace(0, 1, 9), 1e-9, 12

#: Up to this many points all vectors are kept; searches on larger grids begin anew.
_KEPT = 16384


@dataclass(frozen=True, eq=False, repr=False)
class Contours(Answer):
    """Lines on which the profile likelihood has risen by the levels of some numbers of sigma.

    Attributes:
        profile: the grid on which they were looked for.
        levels: {sigmas: rise of -2 log L}: quantiles of chi2 with two degrees of freedom, for the
            probability of so many standard deviations in one dimension (2.30, 6.18, 11.83).
        lines: {sigmas: polylines}, arrays (n, 2) in the order of `profile.parameters`; closed ones
            end where they begin, open ones at the edge of the grid or at a point that failed. Where
            the likelihood ends before it has fallen so far, they follow its end.
        lost: {sigmas: vertices that were not found}; lines are interrupted there.
    """

    profile: Profile
    levels: Mapping[float, float]
    lines: Mapping[float, tuple[np.ndarray, ...]]
    lost: Mapping[float, int]

    #: In files the arrays of the profile have no prefix.
    CALLED: ClassVar[Mapping[str, str]] = {"profile": ""}

    @property
    def converged(self) -> bool:
        """Whether all fits of the grid did, and all vertices were found."""
        bad = ~(self.profile.converged | self.profile.excluded)
        return not bad.any() and not any(self.lost.values())

    @property
    def parameters(self) -> tuple[str, ...]:
        return self.profile.parameters

    @property
    def status(self) -> str:
        """What is to be said of the contours, in a sentence or two."""
        texts = [self.profile.status]
        if not (self.profile.converged | self.profile.excluded).all():
            texts.append("Contours are interrupted next to points that did not converge.")
        if lost := sum(self.lost.values()):
            texts.append(f"{lost} vertices were not found; the lines are interrupted there.")
        delta = np.where(self.profile.converged, self.profile.delta, np.inf)
        if self.profile.excluded.any():
            texts.append("Contours end where an expected count would become negative.")
        hidden = [n for n, level in self.levels.items() if delta.min() > level]
        if hidden:
            shown = ", ".join(f"{n:g}" for n in hidden)
            texts.append(
                f"No point of the grid lies within {shown} sigma; choose a finer grid around the "
                "best fit."
            )
        return " ".join(texts)

    def shown(self) -> Shown:
        rows = [(f"{n:g}", f"{self.levels[n]:.2f}", str(len(x))) for n, x in self.lines.items()]
        return Shown(
            f"Contours of {' and '.join(self.parameters)}: {subject(self.profile.target)}",
            ("sigma", "rise of -2 log L", "lines"),
            rows,
            [self.status],
        )


def contours(
    analysis: Analysis,
    over: Mapping[str, ArrayLike],
    *,
    sigmas: Sequence[float] = (1, 2, 3),
    fixed: Mapping[str, ArrayLike] | None = None,
    data: Data | None = None,
    best: FitResult | None = None,
    progress: Progress | None = None,
    chunk: int | None = None,
    work: Work | None = None,
) -> Contours:
    """Return the contours of two parameters, everything else minimised over.

    The grid says which of its edges a contour crosses (marching squares); where it crosses is found
    by root search on the profile likelihood, so vertices lie on the contour whatever the grid. What
    is smaller than a cell of the grid is not seen.

    Args:
        analysis: what is fitted.
        over: {name: values} of two parameters.
        sigmas: of which contours.
        fixed: {name: value} of parameters that do not float at all.
        data: one data set to fit instead of the observation.
        best: the fit with `over` floating, if it has been done.
        progress: is called with the number of points of the grid that have been done.
        chunk: as for `fit`.
        work: as for `profile`.

    Raises:
        ParameterError: not two parameters, or fewer than two values of one.

    Example:
        >>> import bknn; bknn.enable_x64()
        >>> from bknn import inference, models
        >>> analysis = bknn.Analysis(models.load("signal-strength"), bknn.data.load("belle2-2025"))
        >>> grid = {"mu": [2.0, 5.0, 8.0], "corr_lumi_c1": [-2.0, 0.0, 2.0]}
        >>> inference.contours(analysis, grid, sigmas=[1]).lines[1][0].shape
        (5, 2)
    """
    names, axes = _grid(over)
    if len(names) != 2 or min(len(axis) for axis in axes) < 2:
        raise errors.ParameterError(
            "contours are lines in the plane of two parameters; give two names with at least two "
            "values each."
        )
    points = Points(analysis, names, fixed=fixed, data=data, best=best, chunk=chunk, work=work)
    keep = len(axes[0]) * len(axes[1]) <= _KEPT
    found = scan(points, axes, keep=keep, progress=progress)
    profile = of_scan(points, axes, found)
    levels = {n: chi_squared.quantile(erf(n / np.sqrt(2)), 2) for n in sigmas}
    above = np.where(profile.excluded, 2 * max(levels.values()), profile.delta)
    height = np.ma.masked_where(~(profile.converged | profile.excluded), above)
    # On the grid of indices it is plain which edge a vertex lies on.
    generator = contourpy.contour_generator(z=height.T, name="serial", corner_mask=False)
    raw = {n: [np.asarray(line) for line in generator.lines(level)] for n, level in levels.items()}
    edges = [_edges(line) for lines in raw.values() for line in lines]
    heights = [np.full(len(line), levels[n]) for n, lines in raw.items() for line in lines]
    if edges:
        # A closed line ends where it begins: every edge is searched once.
        table = np.column_stack([np.concatenate(edges), np.concatenate(heights)])
        unique, back = np.unique(table, axis=0, return_inverse=True)
        vertices = _search(points, profile, found.found if keep else None, unique)[back.reshape(-1)]
    lines: dict[float, tuple[np.ndarray, ...]] = {}
    lost = {}
    first = 0
    for n, pieces in raw.items():
        kept: list[np.ndarray] = []
        lost[n] = 0
        for piece in pieces:
            line = vertices[first : first + len(piece)]
            first += len(piece)
            bad = np.isnan(line[:, 0])
            lost[n] += int(bad.sum())
            kept += [part[~np.isnan(part[:, 0])] for part in np.split(line, np.flatnonzero(bad))]
        lines[n] = tuple(part for part in kept if len(part) > 1)
    return Contours(profile, levels, lines, lost)


def _edges(line: np.ndarray) -> np.ndarray:
    """Return the grid edges (n, 4) that vertices (n, 2) lie on: indices of both ends."""
    whole = np.rint(line)
    off = np.abs(line - whole)
    along = np.argmax(off, axis=1)
    rows = np.arange(len(line))
    low, high = whole.copy(), whole.copy()
    low[rows, along] = np.floor(line[rows, along])
    high[rows, along] = np.ceil(line[rows, along])
    return np.column_stack([low, high])


def _search(points: Points, profile: Profile, kept: Found | None, table: np.ndarray) -> np.ndarray:
    """Return the vertices (n, 2) on edges, given as indices of both ends and a level (n, 5)."""
    ends = table[:, :4].astype(int)
    ends = ends.reshape(-1, 2, 2)
    values = np.stack([axis[ends[:, :, k]] for k, axis in enumerate(profile.axes)], axis=-1)
    at = [np.ravel_multi_index(tuple(ends[:, side].T), profile.shape) for side in (0, 1)]
    found = [
        kept.at(at[side]) if kept is not None else points.find(values[:, side]) for side in (0, 1)
    ]
    level = profile.twice_nll_min + table[:, 4]
    result = np.full((len(table), 2), np.nan)
    ending = found[0].impossible | found[1].impossible
    for side in (0, 1):
        i = np.flatnonzero(ending & found[1 - side].impossible)
        result[i] = _ends(points, level[i], values[i, side], values[i, 1 - side], found[side].at(i))
    i = np.flatnonzero(~ending)
    result[i] = crossings(
        points, level[i], values[i, 0], values[i, 1], found[0].at(i), found[1].at(i)
    ).values
    # A vertex on a point of the grid.
    same = (ends[:, 0] == ends[:, 1]).all(axis=1)
    return np.where(same[:, None], values[:, 0], result)


def _ends(
    points: Points, level: np.ndarray, inside: np.ndarray, outside: np.ndarray, first: Found
) -> np.ndarray:
    """Return where -2 log L reaches a level (n,), or else the last place that has a likelihood,
    (n, 2), on edges from places below the level to others where nothing has one, (n, 2) each."""
    n, along = len(level), outside - inside
    low, high, last = np.zeros(n), np.ones(n), Found(*(np.array(x) for x in first))
    ok = first.converged.copy()
    for _ in range(_MOST):
        going = np.flatnonzero(ok & (high - low > _EXACT) & (last.twice_nll < level))
        if not going.size:
            break
        t = low[going] + _PARTS[:, None] * (high - low)[going]
        values = inside[going] + t[1:-1, :, None] * along[going]
        begin = np.tile(last.vector[going], (len(values), 1))
        found = points.find(values.reshape(-1, 2), [begin])
        gone = found.impossible.reshape(values.shape[:2])
        # How many parts of the way there is a likelihood.
        k = np.where(gone.any(axis=0), gone.argmax(axis=0), len(values))
        low[going], high[going] = t[k, range(len(k))], t[k + 1, range(len(k))]
        some = np.flatnonzero(k > 0)
        new = found.at((k[some] - 1) * len(going) + some)
        for old, x in zip(last, new, strict=True):
            old[going[some]] = x
        ok[going[some]] = new.converged
    result = inside + low[:, None] * along
    i = np.flatnonzero(ok & (last.twice_nll >= level))
    result[i] = crossings(points, level[i], inside[i], result[i], first.at(i), last.at(i)).values
    return np.where(ok[:, None], result, np.nan)
