"""Poisson counts times multivariate normal densities of the expectations, as a pyhf workspace.

The simplified likelihood of arXiv:2403.13887 (and of many before it, CMS-NOTE-2017-001) expects in
bin i

    n_i = strength s_i (1 + theta_i) + sum over backgrounds b of  tau_b b_i (1 + theta_bi)

with normally distributed theta (a covariance for each process) and one factor tau for the size of
each background. With the eigenvectors of a covariance as columns, theta = sum_k alpha_k e_k with
independent standard normal alpha_k: a `histosys` modifier each, symmetric about the nominal yields
and so linear under every interpolation code. This module holds the steps; `derived.simplified` puts
them together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from bknn import errors
from bknn.likelihood.histfactory import HistFactory
from bknn.likelihood.sparse import collect, take_or_one
from bknn.likelihood.terms import normal_shape, poisson_shape
from bknn.programs import Programs, at_once

#: A fit of the nuisances has this many steps, and ends with slopes below this.
_STEPS, _SLOPE = 100, 1e-5

#: Stands for no counts where a free signal strength would make the expected count negative.
_FEW = 1e-7


@dataclass(frozen=True, eq=False)
class Mode:
    """One direction in which expected counts vary together, with the size of one sigma.

    Attributes:
        name: of its nuisance parameter.
        shifts: {sample: change of the expected counts (bins,)}; what is missing does not change.
    """

    name: str
    shifts: Mapping[str, np.ndarray]


def eigenmodes(
    covariance: np.ndarray, scale: np.ndarray, smallest: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return eigenvectors (n, modes) and eigenvalues of a covariance in units of `scale`.

    Those with an eigenvalue below `smallest` are dropped. With the Poisson uncertainties as scale,
    an eigenvalue says how the variance compares with that of the counts: dropping one below 0.01
    lowers no uncertainty by more than half a percent.

    Args:
        covariance: (n, n), symmetric, positive semi-definite.
        scale: (n,), positive.
        smallest: eigenvalues of at least this are kept.

    Raises:
        DataError: what is no covariance.
    """
    covariance = np.asarray(covariance, float)
    n = len(scale)
    if covariance.shape != (n, n) or not np.isfinite(covariance).all():
        raise errors.DataError(
            f"the covariance has shape {covariance.shape} and {np.sum(~np.isfinite(covariance))} "
            f"entries that are not finite; it belongs to {n} bins, so give ({n}, {n}) numbers."
        )
    scaled = covariance / scale[:, None] / scale[None, :]
    size = max(float(np.max(np.abs(scaled), initial=0.0)), np.finfo(float).tiny)
    if np.max(np.abs(scaled - scaled.T), initial=0.0) > 1e-6 * size:
        raise errors.DataError(
            "the covariance is not symmetric; give the covariance of one set of bins with itself."
        )
    values, vectors = np.linalg.eigh((scaled + scaled.T) / 2)
    if values.size and values[0] < -1e-6 * max(values[-1], 0.0) - 1e-14:
        raise errors.DataError(
            f"the covariance has a negative eigenvalue ({values[0]:.3g} in units of the largest, "
            f"{values[-1]:.3g}), so it is none; was it rounded, or are rows and columns mixed up?"
        )
    kept = np.flatnonzero((values >= smallest) & (values > 1e-12 * size))[::-1]
    # Eigenvectors are known up to a sign; the largest entry shall be positive.
    vectors = vectors[:, kept]
    sign = np.sign(vectors[np.argmax(np.abs(vectors), axis=0), np.arange(vectors.shape[1])])
    return vectors * np.where(sign == 0, 1.0, sign), values[kept]


@dataclass(frozen=True, eq=False)
class Knowledge:
    """What is known of the parameters of a workspace: a normal density.

    Attributes:
        centre: (parameters,), in the order of the flat vector.
        covariance: (parameters, parameters); 0 for what is fixed.
    """

    centre: np.ndarray
    covariance: np.ndarray


def constraints(pdf: HistFactory) -> Knowledge:
    """Return the constraints of a workspace as a normal density.

    A Poisson constraint counts with its mean and variance. The parameter of interest is fixed at 1.

    Raises:
        WorkspaceError: a parameter without a constraint, which no covariance can describe.
    """
    centre = np.concatenate([s.init for s in pdf.parameter_sets.values()])
    variance = np.zeros(pdf.size)
    known = np.concatenate([s.fixed for s in pdf.parameter_sets.values()]).astype(bool)
    index, positions, sigmas = pdf.normal
    centre[index], variance[index], known[index] = pdf.auxdata[positions], sigmas**2, True
    index, positions, factors = pdf.poisson
    centre[index] = pdf.auxdata[positions] / factors
    variance[index], known[index] = pdf.auxdata[positions] / factors**2, True
    if pdf.signal_strength is not None:
        where = pdf.slices[pdf.signal_strength]
        centre[where], known[where] = 1.0, True
    if not known.all():
        free = [n for n, ok in zip(pdf.parameter_names, known, strict=True) if not ok]
        raise errors.WorkspaceError(
            f"{len(free)} parameters have no constraint ({', '.join(free[:4])}), so there is no "
            "covariance of the expectations; fix them in the workspace, or fold the channels that "
            "determine them in (`controls`)."
        )
    return Knowledge(centre, np.diag(variance))


@dataclass(frozen=True, eq=False)
class Information:
    """A part of the likelihood of a workspace, which turns into knowledge of its nuisances.

    Attributes:
        pdf: the workspace.
        counted: bins whose counts enter, (bins,) of bool.
        shared: groups of bins of which only the shares of their sum enter, not the sum.
        signal: whether a cell is signal, (cells,) of bool.
        strength: which free signal strength multiplies the signal in a bin, (bins,); -1 for 1.
    """

    pdf: HistFactory
    counted: np.ndarray
    shared: Sequence[np.ndarray]
    signal: np.ndarray
    strength: np.ndarray

    def knowledge(self, prior: Knowledge) -> Knowledge:
        """Return the normal density with the maximum and the curvature of this likelihood.

        Free signal strengths are profiled, down to where the expected count of an empty bin
        vanishes. `prior` says what floats (where its variance is not 0) and where to start; the
        constraints of the workspace are in the likelihood already.

        Raises:
            FitError: no maximum was found, or one where an expected count is negative.
        """
        floats = np.flatnonzero(np.diag(prior.covariance) > 0)
        n, n_strengths = len(floats), int(self.strength.max(initial=-1)) + 1
        with_signal = np.isin(np.arange(self.pdf.n_bins), self.pdf.cells.bin[self.signal])
        none = self.pdf.observed == 0
        followed = none & with_signal & (self.strength >= 0)
        counts = np.where(followed, _FEW, self.pdf.observed)

        def minus_log(x: Array) -> Array:
            vector = jnp.asarray(prior.centre).at[floats].set(x[:n])
            rates = self.rates(vector, x[n:])
            result = -jnp.sum(poisson_shape(counts[self.counted], rates[self.counted]))
            for group in self.shared:
                inside = rates[group]
                result = result - jnp.sum(counts[group] * jnp.log(inside / jnp.sum(inside)))
            index, positions, sigmas = self.pdf.normal
            result = result - normal_shape(vector, self.pdf.auxdata[positions], index, sigmas)
            index, positions, factors = self.pdf.poisson
            if index.size:
                aux = poisson_shape(self.pdf.auxdata[positions], vector[index] * factors)
                result = result - jnp.sum(aux)
            return result

        x, slope, matrix = _minimum(
            minus_log, np.concatenate([prior.centre[floats], np.ones(n_strengths)])
        )
        known, between, own = matrix[:n, :n], matrix[:n, n:], matrix[n:, n:]
        if n_strengths:
            # What the profile over the signal strengths leaves; pinv if nothing fixes one.
            known = known - between @ np.linalg.pinv(own, rcond=1e-10, hermitian=True) @ between.T
        lowest = np.linalg.eigvalsh(known)[0]
        if slope > _SLOPE or lowest <= 0:
            raise errors.FitError(
                f"the fit of the nuisances stopped at a slope of {slope:.2g} and a lowest "
                f"curvature of {lowest:.2g}; without a maximum there is no covariance. Linearise "
                "at the nominal point instead."
            )
        found = np.asarray(
            self.rates(jnp.asarray(prior.centre).at[floats].set(x[:n]), jnp.asarray(x[n:]))
        )
        if (negative := np.flatnonzero(none & self.counted & (found < -1e-9))).size:
            bins = [f"{c} bin {b}" for c, n in self.pdf.channels.items() for b in range(n)]
            raise errors.FitError(
                f"the expected count of {bins[negative[0]]} (from 0) is {found[negative[0]]:.2g} "
                "at the best fit; negative ones have no likelihood, and what an edge leaves of the "
                "nuisances is no normal density. Linearise at the nominal point, without that "
                "channel in `controls`."
            )
        centre, covariance = prior.centre.copy(), np.zeros_like(prior.covariance)
        centre[floats] = x[:n]
        covariance[np.ix_(floats, floats)] = np.linalg.inv(known)
        return Knowledge(centre, (covariance + covariance.T) / 2)

    def rates(self, vector: Array, strengths: Array) -> Array:
        """Return expected counts (bins,) with the signal in each bin times its strength."""
        pdf = self.pdf
        strength = np.where(self.signal, self.strength[pdf.cells.bin], -1)
        rates = pdf.cell_rates(vector) * take_or_one(strengths, strength)
        return collect(rates, pdf.cells.bin, pdf.n_bins)


def _minimum(
    function: Callable[[Array], Array], start: np.ndarray
) -> tuple[np.ndarray, float, np.ndarray]:
    """Return where a function is lowest, its largest slope there, and its second derivatives.

    Newton steps; where the function curves down, they go down all the same.
    """

    def derivatives(x: Array) -> tuple[Array, Array, Array]:
        return function(x), jax.grad(function)(x), jax.hessian(function)(x)

    home = Programs()
    at = home.get("function and derivatives", None, lambda: derivatives, once=True)
    lower = home.get("function", None, lambda: function, once=True)
    x, best = start, np.inf
    for _ in range(_STEPS):
        value, slope, curvature = (np.asarray(y) for y in at(x))
        if best - value < 1e-12 and np.max(np.abs(slope)) < _SLOPE:
            break
        best = float(value)
        size, axes = np.linalg.eigh(curvature)
        step = -axes @ (axes.T @ slope / np.maximum(np.abs(size), 1e-10 * np.max(np.abs(size))))
        for length in 0.5 ** np.arange(30):
            # Asked this way round, so that NaN (a negative rate) is no descent.
            if float(lower(x + length * step)) <= best:
                x = x + length * step
                break
    return x, float(np.max(np.abs(slope))), curvature


@dataclass(frozen=True, eq=False)
class Tangent:
    """Expected counts of a workspace as a linear function of its parameters.

    Attributes:
        centre: {sample: (bins,)} where the parameters are what is known of them.
        slopes: {sample: (bins, parameters)}.
    """

    centre: Mapping[str, np.ndarray]
    slopes: Mapping[str, np.ndarray]


def tangent(pdf: HistFactory, point: np.ndarray, known: Knowledge, samples: np.ndarray) -> Tangent:
    """Linearise the expected counts of a workspace.

    Args:
        pdf: the workspace.
        point: flat vector (parameters,) where the tangent touches.
        known: what is known of the parameters.
        samples: name of the sample that each cell counts for, (cells,).
    """

    def both(x: Array) -> tuple[Array, Array]:
        return pdf.cell_rates(x), jax.jacfwd(pdf.cell_rates)(x)

    rates, slopes = (np.asarray(x) for x in at_once("tangent", both, np.asarray(point, float)))
    centre = rates + slopes @ (known.centre - point)
    in_bins = (np.arange(pdf.n_bins)[:, None] == pdf.cells.bin).astype(float)
    names = list(dict.fromkeys(samples.tolist()))
    return Tangent(
        {s: in_bins @ np.where(samples == s, centre, 0.0) for s in names},
        {s: in_bins @ np.where((samples == s)[:, None], slopes, 0.0) for s in names},
    )


def workspace(
    channels: Mapping[str, int],
    observed: np.ndarray,
    samples: Mapping[str, np.ndarray],
    modes: Sequence[Mode],
    norms: Mapping[str, float],
    signal: str,
    poi: str,
) -> dict[str, Any]:
    """Return a simplified likelihood as pyhf JSON.

    Args:
        channels: {name: number of bins}, one after the other in all arrays.
        observed: counts (bins,).
        samples: {name: expected counts (bins,)}.
        modes: how they vary.
        norms: {sample: relative uncertainty of its size}, a normsys modifier each.
        signal: the sample that the parameter of interest multiplies.
        poi: name of the parameter of interest.
    """
    ends = np.cumsum([0, *channels.values()])
    spec = []
    for name, first, last in zip(channels, ends[:-1], ends[1:], strict=True):
        here = slice(int(first), int(last))
        found = []
        for sample, counts in samples.items():
            if not counts[here].any():
                continue
            modifiers: list[dict[str, Any]] = []
            if sample == signal:
                modifiers.append({"name": poi, "type": "normfactor", "data": None})
            if norms.get(sample, 0.0) > 0:
                up = {"lo": 1 - norms[sample], "hi": 1 + norms[sample]}
                modifiers.append({"name": f"norm_{sample}", "type": "normsys", "data": up})
            for mode in modes:
                shift = mode.shifts.get(sample, np.zeros_like(counts))[here]
                if shift.any():
                    data = {
                        "lo_data": (counts[here] - shift).tolist(),
                        "hi_data": (counts[here] + shift).tolist(),
                    }
                    modifiers.append({"name": mode.name, "type": "histosys", "data": data})
            found.append({"name": sample, "data": counts[here].tolist(), "modifiers": modifiers})
        spec.append({"name": name, "samples": found})
    parts = zip(channels, np.split(observed, ends[1:-1]), strict=True)
    return {
        "version": "1.0.0",
        "channels": spec,
        "observations": [{"name": name, "data": counts.tolist()} for name, counts in parts],
        "measurements": [{"name": "simplified", "config": {"poi": poi, "parameters": []}}],
    }
