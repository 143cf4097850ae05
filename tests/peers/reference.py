"""pyhf 0.7 as the oracle, and what it means to agree with it.

`|a - b| <= 1e-10 * max(1, |b|)` on the log pdf, and the rounding that no program escapes:

- A log pdf of order one is the difference of large terms, n log(rate) against log(n!). Each is
  right to some 1e-16 of itself, so 1e-15 times the sum of their absolute values is allowed: 1e-10
  for 1e4 events, but 1e5 for the 1e20 effective events of a shapesys of relative size 1e-10.
- A rate can be the small difference of large numbers (a histosys that pulls a sample to zero, a
  negative normfactor). Its rounding is some 2e-14 of the sum of the absolute parts (`Point.size`;
  of a histosys, the larger of the variations at alpha and -alpha, for programs that keep half their
  sum and half their difference), and moves the log pdf by |n / rate - 1| times that. Where a rate
  is zero within its rounding and counts were seen, its sign is noise and so is the answer
  (`Point.undecided`).
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import numpy as np
import pytest
from scipy.special import gammaln, xlogy

pyhf = pytest.importorskip("pyhf")

RELATIVE = 1e-10
ROUNDING = 2e-14  # of a rate: powers, products and sums
EPSILON = 1e-15  # of one term of the log pdf
TINY = 1e-300  # denormal numbers may be flushed to zero

Interpolation = Mapping[str, str]
DEFAULT_INTERPOLATION: Interpolation = {"normsys": "code4", "histosys": "code4p"}


@contextlib.contextmanager
def pyhf_speaks_softly() -> Iterator[None]:
    """pyhf warns of deprecated packages and of logarithms of negative rates: not our matter."""
    level = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)


@dataclasses.dataclass(frozen=True)
class Point:
    """What pyhf says at one parameter point."""

    log_prob: float
    rates: np.ndarray  # (bins,) expected counts, channels in pyhf's order
    size: np.ndarray  # (bins,) sum of the absolute values of what the rates are summed from
    negative: bool  # the rate of a Poisson term with counts is negative
    undecided: bool  # such a rate is zero within its rounding
    tolerance: float  # for a finite log_prob


class Reference:
    """One workspace, one measurement, in pyhf on numpy."""

    def __init__(
        self,
        workspace: dict[str, Any],
        measurement: str | None = None,
        interpolation: Interpolation | None = None,
    ) -> None:
        codes = {**DEFAULT_INTERPOLATION, **(interpolation or {})}
        with pyhf_speaks_softly():
            self.workspace = pyhf.Workspace(workspace)
            self.model = self.workspace.model(
                measurement_name=measurement,
                modifier_settings={name: {"interpcode": code} for name, code in codes.items()},
            )
            self.data = np.asarray(self.workspace.data(self.model), dtype=float)
        config = self.model.config
        self.main = int(config.nmaindata)
        self.observed = self.data[: self.main]
        self.auxdata = self.data[self.main :]
        self.names = list(config.par_names)
        self.init = np.asarray(config.suggested_init(), dtype=float)
        self.channels = {name: config.channel_slices[name] for name in config.channels}

    @property
    def bounds(self) -> np.ndarray:
        """(parameters, 2)"""
        return np.asarray(self.model.config.suggested_bounds(), dtype=float)

    @property
    def fixed(self) -> np.ndarray:
        """(parameters,) of bool"""
        return np.asarray(self.model.config.suggested_fixed(), dtype=bool)

    @property
    def sets(self) -> dict[str, tuple[slice, bool]]:
        """Parameter sets in pyhf's order: where they lie and whether they are scalars."""
        config = self.model.config
        return {
            name: (config.par_slice(name), bool(config.param_set(name).is_scalar))
            for name in config.par_order
        }

    @property
    def widths(self) -> np.ndarray:
        """(parameters,) standard deviation of the constraint; 1 where there is none."""
        widths = np.ones(len(self.init))
        for name, (where, _) in self.sets.items():
            parameter_set = self.model.config.param_set(name)
            if parameter_set.constrained:
                widths[where] = parameter_set.width()
        return widths

    def at(self, parameters: np.ndarray, data: np.ndarray | None = None) -> Point:
        """Evaluate at one flat vector of parameters, on the observed data or on others."""
        data = self.data if data is None else np.asarray(data, dtype=float)
        with pyhf_speaks_softly():
            log_prob = float(self.model.logpdf(parameters, data)[0])
            rates = np.asarray(self.model.expected_data(parameters, include_auxdata=False))
            deltas, factors = self.model.main_model._modifications(np.asarray(parameters))
            mirrored, _ = self.model.main_model._modifications(-np.asarray(parameters))
            parts = np.concatenate([*deltas, self.model.nominal_rates])
            mirrored = np.concatenate([*mirrored, self.model.nominal_rates])
            size = np.maximum(np.abs(parts), np.abs(mirrored)).sum(axis=0, keepdims=True)
            size = np.prod(np.abs(np.concatenate([*factors, size])), axis=0).sum(axis=0)[0]
            counts, poisson_rates, sizes = data[: self.main], rates, size
            constraint = self.model.constraint_model.constraints_poisson
            if constraint.has_pdf():
                expected = constraint.make_pdf(np.asarray(parameters)).expected_data()
                counts = np.concatenate([counts, data[self.main :][constraint.poisson_data]])
                poisson_rates = np.concatenate([rates, expected])
                sizes = np.concatenate([size, np.abs(expected)])
            seen = counts > 0
            close = np.abs(poisson_rates) <= 100 * ROUNDING * sizes
            conditioning = np.abs(counts / poisson_rates - 1.0) * sizes
            terms = np.abs([xlogy(counts, poisson_rates), poisson_rates, gammaln(counts + 1.0)])
            tolerance = (
                RELATIVE * max(1.0, abs(log_prob))
                + ROUNDING * np.sum(conditioning, where=np.isfinite(conditioning))
                + EPSILON * np.sum(terms, where=np.isfinite(terms))
            )
        return Point(
            log_prob=log_prob,
            rates=rates,
            size=size,
            negative=bool(np.any(seen & (poisson_rates < 0.0))),
            undecided=bool(np.any(seen & close & (sizes > 0.0))),
            tolerance=float(tolerance),
        )


def disagreement(point: Point, ours: float) -> str | None:
    """Return what is wrong with our log pdf at this point, or None.

    Finite values of pyhf are reproduced; where it answers NaN (a negative rate) or -inf, ours
    is -inf. Where pyhf overflows on numbers near 1e308, ours may know better, but is not NaN.
    """
    overflow = np.isnan(point.log_prob) and not point.negative
    if point.undecided or overflow:
        return "ours is NaN" if np.isnan(ours) else None
    if np.isfinite(point.log_prob):
        if not abs(ours - point.log_prob) <= point.tolerance:
            return (
                f"log pdf {ours!r}, pyhf {point.log_prob!r}: off by {ours - point.log_prob:.3g}, "
                f"allowed {point.tolerance:.3g}"
            )
    elif ours != -np.inf:
        return f"log pdf {ours!r} where pyhf gives {point.log_prob!r}, not -inf"
    return None


def rate_disagreement(point: Point, ours: np.ndarray) -> str | None:
    """Return what is wrong with our expected counts (flat, pyhf's order), or None."""
    allowed = RELATIVE * np.abs(point.rates) + ROUNDING * point.size + TINY
    bad = np.isfinite(point.rates) & ~(np.abs(ours - point.rates) <= allowed)
    if bad.any():
        (where, *_) = np.flatnonzero(bad)
        return f"rate of bin {where}: {ours[where]!r}, pyhf {point.rates[where]!r}"
    return None


def compare(
    reference: Reference,
    pdf: Any,
    points: np.ndarray,
    data: np.ndarray | None = None,
) -> list[str]:
    """Return the disagreements of log pdf and expected counts, (points, parameters) at once.

    One compiled, vectorised call of ours (compiling is what takes the time); pyhf in a loop.
    `data` is one row (main and auxiliary) a point, the observation where it is None.
    """
    rows = np.broadcast_to(reference.data, (len(points), len(reference.data)))
    rows = rows if data is None else data

    def ours(parameters: jax.Array, row: jax.Array) -> tuple[jax.Array, dict[str, jax.Array]]:
        return pdf.log_prob(parameters, row), pdf.expected(parameters)

    log_prob, expected = jax.jit(jax.vmap(ours))(points, rows)
    rates = np.concatenate([np.asarray(expected[name]) for name in reference.channels], axis=-1)
    found = []
    for index, (parameters, row) in enumerate(zip(points, rows, strict=True)):
        point = reference.at(parameters, row)
        for problem in (
            disagreement(point, float(log_prob[index])),
            rate_disagreement(point, rates[index]),
        ):
            if problem is not None:
                named = dict(zip(reference.names, parameters.tolist(), strict=True))
                found.append(f"point {index} {named}: {problem}")
    return found
