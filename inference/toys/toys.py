"""Toys: fits of data as they could have come out, main counts and auxiliary data alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from bknn import errors
from bknn.analysis.analysis import Analysis, Data, Parameters
from bknn.answers.answer import Answer, Shown
from bknn.answers.outline import content, identity, subject, unlike
from bknn.inference.datasets import saturated, taken, throw
from bknn.inference.minimiser.newton import CONVERGED, NOT_FINITE
from bknn.inference.pieces import Progress, Work
from bknn.inference.toys.failures import CAUSES, Failures
from bknn.inference.toys.lowest_minima import Search
from bknn.inference.toys.uncertainties import uncertainties_of
from bknn.storage.identity import Parts
from bknn.version import VERSION


def toys(
    analysis: Analysis,
    params: Parameters,
    n: int,
    *,
    seed: int = 0,
    first: int = 0,
    hypotheses: Mapping[str, Mapping[str, float]] | None = None,
    fixed: Mapping[str, float] | None = None,
    uncertainties: bool = False,
    coverage: bool = False,
    progress: Progress | None = None,
    work: Work | None = None,
) -> Toys:
    """Throw toys and fit each of them freely, and once for every hypothesis.

    Args:
        analysis: what is measured.
        params: {name: value} or the flat vector (size,): the truth (`inference.truth`).
        n: how many toys.
        seed: of the random numbers.
        first: number of the first toy. Toy i of a seed is the same in every job, so that jobs with
            different `first` can be merged.
        hypotheses: {label: {name: value}}; the parameters of each are fixed there.
        fixed: {name: value} of parameters that float in no fit.
        uncertainties: whether to compute the uncertainties of the free fit, from its Hessian; about
            10 ms a toy.
        coverage: whether to fit each parameter of the model that floats at its true value, too, for
            `inference.coverage` of likelihood intervals; these hypotheses are called as the
            parameters.
        progress: is called with the number of toys that have been done since the last call.
        work: keeps toys that are done, or has them done elsewhere, 512 at a time.

    Fits begin at the truth. Parameters with several `starts` would make them miss the lowest
    minimum of one toy in five; if they mean nothing at the null, a scan from there finds where to
    begin (`position_scan`), otherwise fits begin at all starts. Only summaries are kept:
    memory does not grow with n, but for some numbers a toy.

    Raises:
        UnknownNameError, ParameterError: as for `fit`.

    Example:
        >>> import bknn; bknn.enable_x64()
        >>> from bknn import inference, models
        >>> analysis = bknn.Analysis(models.load("signal-strength"), bknn.data.load("belle2-2025"))
        >>> toys = inference.toys(analysis, analysis.init, 50, hypotheses={"SM": {"mu": 1.0}})
        >>> toys.estimates["mu"].shape, bool((toys.statistic("SM") >= 0).all())
        ((50,), True)
        >>> print(toys.failed)
        none of 50 toys failed
    """
    if n < 1:
        raise errors.ParameterError(f"{n} toys were asked for; fit at least one.")
    truth = np.asarray(analysis.flatten(params))
    hypotheses = {
        **(_at_truth(analysis, truth, fixed or {}) if coverage else {}),
        **(hypotheses or {}),
    }
    options: dict[str, Any] = {
        "truth": truth,
        "hypotheses": {label: dict(values) for label, values in hypotheses.items()},
        "fixed": dict(fixed or {}),
        "seed": seed,
        "uncertainties": uncertainties,
    }
    work = work or Work()
    size = _PIECE if work else n
    tasks = [
        {**options, "first": i, "n": min(size, first + n - i)}
        for i in range(first, first + n, size)
    ]
    sizes = [task["n"] for task in tasks]
    parts = work.run(_piece, analysis, tasks, sizes=sizes, progress=progress)
    return Toys.merge(*(_assembled(analysis, options, part) for part in parts))


def _at_truth(
    analysis: Analysis, truth: np.ndarray, fixed: Mapping[str, float]
) -> dict[str, dict[str, float]]:
    """Return the hypotheses, one a parameter of the model, that have its true value."""
    own = [p.name for p in analysis.parameters if not p.nuisance and p.constraint is None]
    return {n: {n: float(truth[analysis.index(n)])} for n in own if n not in fixed}


#: Toys that are kept together.
_PIECE = 512


def _piece(
    analysis: Analysis,
    *,
    truth: np.ndarray,
    hypotheses: Mapping[str, Mapping[str, float]],
    fixed: Mapping[str, float],
    seed: int,
    first: int,
    n: int,
    uncertainties: bool,
    progress: Progress | None,
) -> dict[str, np.ndarray]:
    """Throw and fit n toys."""
    search = Search(analysis, truth, hypotheses, fixed)
    parts = []
    block = search.block if n > _PIECE else min(search.block, _PIECE)
    for start in range(first, first + n, block):
        # Blocks of one size, so that one program throws them all.
        thrown = throw(analysis, truth, block, seed=seed, first=start)
        count = min(block, first + n - start)
        data = taken(thrown, slice(count))
        parts.append(_summary(search, data, seed, start, uncertainties))
        if progress is not None:
            progress(count)
    found = Toys.merge(*parts)
    arrays = {name: getattr(found, name) for name in _LISTS}
    for name in _TABLES:
        arrays |= {f"{name}/{key}": values for key, values in getattr(found, name).items()}
    return arrays


def _assembled(
    analysis: Analysis, options: Mapping[str, Any], arrays: Mapping[str, np.ndarray]
) -> Toys:
    """Return the toys of a piece."""
    fields: dict[str, Any] = {name: {} for name in _TABLES}
    for name, values in arrays.items():
        table, _, key = name.partition("/")
        if key:
            fields[table][key] = values
        else:
            fields[name] = values
    return Toys(
        analysis=subject(analysis),
        sha256=identity(analysis),
        content=content(analysis),
        version=VERSION,
        truth=dict(zip(analysis.names, options["truth"].tolist(), strict=True)),
        fixed={k: float(v) for k, v in options["fixed"].items()},
        hypotheses={
            label: {k: float(v) for k, v in values.items()}
            for label, values in options["hypotheses"].items()
        },
        **fields,
    )


def _summary(search: Search, data: Data, seed: int, first: int, uncertainties: bool) -> Toys:
    """Fit data sets and keep what is asked of them later."""
    analysis = search.analysis
    free, under = search.fit(data)
    moving = search.moving
    own = {p.name: i for i, p in enumerate(analysis.parameters) if not p.nuisance and moving[i]}
    sigma: dict[str, np.ndarray] = {}
    if uncertainties:
        index = np.array(list(own.values()), int)
        found = uncertainties_of(analysis, index, free.vector, data, moving)
        sigma = {name: found[:, i] for i, name in enumerate(own)}
    outcome = np.array(free.outcome)
    for minimum in under.values():
        outcome = np.where(outcome == CONVERGED, minimum.outcome, outcome)
    n = len(outcome)
    return Toys(
        analysis=subject(analysis),
        sha256=identity(analysis),
        content=content(analysis),
        version=VERSION,
        truth=dict(zip(analysis.names, search.truth.tolist(), strict=True)),
        fixed=search.fixed,
        hypotheses=search.hypotheses,
        seeds=np.full(n, seed),
        numbers=np.arange(first, first + n),
        estimates={name: free.vector[:, i] for name, i in own.items()},
        uncertainties=sigma,
        twice_nll=2 * free.value,
        hypothesis_twice_nll={label: 2 * m.value for label, m in under.items()},
        saturated=saturated(analysis, data, vector=free.vector[0], moving=moving),
        outcome=outcome,
    )


@dataclass(frozen=True, eq=False, repr=False)
class Toys(Answer):
    """What the fits of n toys found.

    Attributes:
        analysis: what was fitted, in words.
        sha256: digest of what was fitted.
        truth: {flat name: value} at which the toys were thrown.
        fixed: {name: value} that floated in no fit.
        hypotheses: {label: {name: value}} fixed in the fits of each hypothesis.
        seeds, numbers: which toys these are (n,).
        estimates: {name: (n,)} of the model's parameters in the free fit.
        uncertainties: {name: (n,)}, NaN where the Hessian is not positive, 0 at a bound; empty if
            they were not asked for.
        twice_nll: -2 log L of the free fit (n,).
        hypothesis_twice_nll: {label: (n,)}.
        saturated: -2 log L_sat (n,), see `bknn.inference.datasets.saturated`.
        outcome: code of `bknn.inference.minimiser.newton` (n,), of the first fit of the toy that
            failed.
        content: what was fitted, part by part (`bknn.storage.identity`).
        version: of bknn.
    """

    analysis: str
    sha256: str
    truth: Mapping[str, float]
    fixed: Mapping[str, float]
    hypotheses: Mapping[str, Mapping[str, float]]
    seeds: np.ndarray
    numbers: np.ndarray
    estimates: Mapping[str, np.ndarray]
    uncertainties: Mapping[str, np.ndarray]
    twice_nll: np.ndarray
    hypothesis_twice_nll: Mapping[str, np.ndarray]
    saturated: np.ndarray
    outcome: np.ndarray
    content: Parts = field(default_factory=dict)
    version: str = ""

    def dimensions(self) -> dict[str, tuple[str, ...]]:
        return dict.fromkeys((*_LISTS, *_TABLES), ("toy",))

    def columns(self) -> dict[str, np.ndarray]:
        """One row a toy."""
        tables = {f"{name}.{k}": x for name in _TABLES for k, x in getattr(self, name).items()}
        return {**{name: getattr(self, name) for name in _LISTS}, **tables}

    @property
    def converged(self) -> np.ndarray:
        """Which toys did not fail (n,); the others are left out of what is said of them."""
        return self.good

    @property
    def status(self) -> str:
        """How many toys failed, and why, in a sentence."""
        return f"{self.failed}."

    @property
    def n(self) -> int:
        """How many toys, failed ones included."""
        return len(self.numbers)

    @cached_property
    def good(self) -> np.ndarray:
        """Which toys did not fail (n,)."""
        finite = np.isfinite(self.twice_nll)
        for values in self.hypothesis_twice_nll.values():
            finite &= np.isfinite(values)
        return (self.outcome == CONVERGED) & finite

    @cached_property
    def failed(self) -> Failures:
        """Which toys failed, and why."""
        bad = np.flatnonzero(~self.good)
        causes: dict[str, int] = {}
        for code in self.outcome[bad]:
            cause = CAUSES.get(int(code), CAUSES[NOT_FINITE])
            causes[cause] = causes.get(cause, 0) + 1
        names = tuple((int(self.seeds[i]), int(self.numbers[i])) for i in bad)
        return Failures(names, self.n, causes)

    def statistic(self, hypothesis: str) -> np.ndarray:
        """Return t = -2 log(L_hypothesis / L_best) of the toys that did not fail."""
        if hypothesis not in self.hypothesis_twice_nll:
            raise errors.unknown("hypothesis", hypothesis, self.hypothesis_twice_nll)
        t = (self.hypothesis_twice_nll[hypothesis] - self.twice_nll)[self.good]
        # Both fits are in the same minimum: what is below zero is rounding.
        return np.maximum(t, 0.0)

    @property
    def goodness(self) -> np.ndarray:
        """-2 log(L_best / L_sat) of the toys that did not fail."""
        return (self.twice_nll - self.saturated)[self.good]

    def shown(self) -> Shown:
        rows: list[tuple[str, str, str]] = []
        for name, x in self.estimates.items():
            good = x[self.good]
            if good.size > 1 and np.ptp(good) > 0:
                spread = f"{np.mean(good):.4g}, {np.std(good, ddof=1):.2g}"
                rows.append((name, f"{self.truth.get(name, np.nan):.4g}", spread))
        fits = ", ".join(["free", *self.hypotheses])
        return Shown(
            f"{self.n} toys of {self.analysis}, fitted {fits}",
            ("parameter", "truth", "mean and spread of the estimates"),
            rows,
            [self.status],
        )

    @classmethod
    def merge(cls, *parts: Toys) -> Toys:
        """Return the toys of several jobs as one, in the order of seeds and numbers.

        Raises:
            DataError: they differ in model, data, truth or hypotheses, or a toy is there twice.
        """
        if not parts:
            raise errors.DataError("there are no toys to merge; give at least one set.")
        one = parts[0]
        for other in parts[1:]:
            one._check(other)
        seeds = np.concatenate([p.seeds for p in parts])
        numbers = np.concatenate([p.numbers for p in parts])
        order = np.lexsort((numbers, seeds))
        twice = (np.diff(seeds[order]) == 0) & (np.diff(numbers[order]) == 0)
        if twice.any():
            i = order[np.flatnonzero(twice)[0]]
            raise errors.DataError(
                f"{int(twice.sum())} toys are in more than one of the sets to merge, the first is "
                f"number {int(numbers[i])} of seed {int(seeds[i])}; they would count twice. Give "
                "every job a seed, or a `first`, of its own."
            )

        def joined(field: str) -> Any:
            values = [getattr(p, field) for p in parts]
            if isinstance(values[0], Mapping):
                return {k: np.concatenate([v[k] for v in values])[order] for k in values[0]}
            return np.concatenate(values)[order]

        return replace(one, **{name: joined(name) for name in _ARRAYS})

    def check_is_of(self, analysis: Analysis, fixed: Mapping[str, float]) -> None:
        """Refuse toys of something else than an analysis with some parameters fixed.

        Raises:
            DataError: they are.
        """
        if self.sha256 == identity(analysis) and dict(self.fixed) == dict(fixed):
            return
        raise errors.DataError(
            f"the toys are of {self.analysis} with {dict(self.fixed) or 'nothing'} fixed, not of "
            f"this analysis and data ({analysis!r}, {dict(fixed) or 'nothing'} fixed)"
            f"{unlike(self.content, analysis)}; throw toys for it."
        )

    def _check(self, other: Toys) -> None:
        """Refuse to merge toys of different things."""

        def refuse(what: str) -> errors.DataError:
            return errors.DataError(
                f"toys of {self.analysis} and of {other.analysis} do not merge: they differ in "
                f"{what}."
            )

        if self.sha256 != other.sha256:
            raise refuse("what was fitted" + unlike(self.content, other.content))
        if self.version != other.version:
            words = [x.version or "an older one" for x in (self, other)]
            raise refuse(f"the version of bknn ({words[0]} and {words[1]})")
        if self.fixed != other.fixed:
            raise refuse(f"the parameters that are fixed ({_both(self.fixed, other.fixed)})")
        if self.hypotheses != other.hypotheses:
            both = _both(self.hypotheses, other.hypotheses)
            raise refuse(f"the hypotheses that were fitted ({both})")
        if set(self.uncertainties) != set(other.uncertainties):
            raise refuse("the uncertainties, which only one of them has")
        # The truth may come from fits on two machines, equal but for rounding.
        for name, value in self.truth.items():
            if not np.isclose(value, other.truth[name], rtol=1e-6, atol=1e-7):
                raise refuse(
                    f"the truth: {name} is {value:g} in one, {other.truth[name]:g} in the other"
                )


def _both(one: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    return f"{dict(one) or 'none'} and {dict(other) or 'none'}"


_LISTS = ("seeds", "numbers", "twice_nll", "saturated", "outcome")
_TABLES = ("estimates", "uncertainties", "hypothesis_twice_nll")
_ARRAYS: Sequence[str] = (*_LISTS, *_TABLES)
