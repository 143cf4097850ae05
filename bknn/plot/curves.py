"""The signal of a fit over q2, before and after the response, as numpy arrays."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from scipy.special import ndtri

from bknn import errors
from bknn.analysis import Analysis
from bknn.inference import FitResult
from bknn.part import NULL_SPECTRA
from bknn.plot.counts import ONE_SIGMA
from bknn.plot.labels import signal_groups
from bknn.plot.style import plain, single
from bknn.response import breit_wigner

#: A Breit-Wigner narrower than this in q2 (GeV^2) is drawn as a spike: thinner than a pen.
NARROW = 0.02

_POINTS, _AROUND_A_LINE, _DRAWS = 600, 80, 400


@dataclass(frozen=True)
class DrawnLine:
    """A two-body state at the best fit; pairs are value and uncertainty, GeV for masses."""

    mass: tuple[float, float]
    branching_ratio: tuple[float, float]
    width: tuple[float, float]

    @property
    def narrow(self) -> bool:
        return self.mass[0] * self.width[0] < 0.5 * NARROW


@dataclass(frozen=True, eq=False)
class Curves:
    """The signal of a fit over q2; arrays have shape (n,) where nothing else is said.

    Attributes:
        q2: GeV^2.
        standard_model: dBR/dq2 in the shape of the null spectrum, GeV^-2.
        new: dBR/dq2 of the continuum and of the lines that are not narrow, GeV^-2.
        lower, upper: central 68.3% of their sum if the parameters scatter about the fit with its
            covariance, within their bounds, and lines stay where they are; NaN if the fit has
            no covariance.
        prediction: the null spectrum itself, GeV^-2.
        lines: all lines.
        efficiency: {group of channels: expected events per unit of branching ratio}.
        at_lines: {group of channels: the same at the lines (lines,)}.
    """

    q2: np.ndarray
    standard_model: np.ndarray
    new: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    prediction: np.ndarray
    lines: tuple[DrawnLine, ...]
    efficiency: dict[str, np.ndarray]
    at_lines: dict[str, np.ndarray]

    @property
    def total(self) -> np.ndarray:
        return self.standard_model + self.new

    @property
    def spikes(self) -> list[tuple[int, DrawnLine]]:
        """Narrow lines with their number."""
        return [
            (i, line)
            for i, line in enumerate(self.lines)
            if line.narrow and line.branching_ratio[0] != 0
        ]

    def events(self, group: str) -> float:
        """Expected signal events of a group of channels, nuisances at their centres."""
        density = self.efficiency[group] * self.total
        smooth = 0.5 * float(np.sum(np.diff(self.q2) * (density[1:] + density[:-1])))
        at = self.at_lines[group]
        return smooth + sum(x.branching_ratio[0] * float(at[i]) for i, x in self.spikes)


def curves(result: FitResult) -> Curves:
    """Return the signal of a fit over q2, before and after the response.

    Raises:
        ParameterError: a batch of fits, or a fit of something that is not an Analysis.
        DataError: no measurement has densities, so that q2 is not known.
    """
    analysis = single(result)
    measurements = [p.measurement for p in analysis.parts if p.responses]
    if not measurements:
        raise errors.DataError(
            f"{analysis!r} has no number densities, so its signal has no spectrum in q2 to draw; "
            "import them with `bknn data import`."
        )
    n = len(analysis.parameters)
    covariance = result.covariance[:n, :n]
    at_lines, at_grid = _compiled(analysis)
    values, slopes = map(np.asarray, at_lines(result.vector))
    sigma = np.sqrt(np.maximum(np.einsum("lki,ij,lkj->lk", slopes, covariance, slopes), 0.0))
    lines = tuple(
        DrawnLine(*((float(v), float(s)) for v, s in zip(row, row_sigma, strict=True)))
        for row, row_sigma in zip(values, sigma, strict=True)
    )
    end = max(float(d.edges[-1]) for m in measurements for d in m.densities.values())
    q2 = _grid(lines, end)
    drawn = np.array([not line.narrow for line in lines], bool)
    positions = np.array([line.mass[0] ** 2 for line in lines])
    (sm, new, prediction, eps, eps_lines), scattered = at_grid(
        result.vector, _scattered(result), q2, drawn, positions
    )
    tail = 50 * (1 - ONE_SIGMA)
    lower, upper = np.percentile(np.asarray(scattered), [tail, 100 - tail], axis=0)
    efficiency, at = {}, {}
    for label, columns in _columns(analysis).items():
        efficiency[label] = np.asarray(eps)[:, columns].sum(axis=1)
        at[label] = np.asarray(eps_lines)[:, columns].sum(axis=1)
    return Curves(
        q2,
        np.asarray(sm),
        np.asarray(new),
        lower,
        upper,
        np.asarray(prediction),
        lines,
        efficiency,
        at,
    )


def _scattered(result: FitResult) -> np.ndarray:
    """Return parameters of the model (draws, n) that scatter as the fit says; always the same.

    Linear error propagation would leave the bounds of a parameter that the data hardly determine.
    """
    analysis = single(result)
    n = len(analysis.parameters)
    sigma = result.uncertainty_vector[:n]
    if not np.isfinite(sigma).all():
        return np.full((1, n), np.nan)
    # One draw from each of equally probable slices, in every direction.
    random = np.random.default_rng(0)
    slices = np.array([random.permutation(_DRAWS) for _ in range(n)]).reshape(n, _DRAWS)
    normal = ndtri((slices + 0.5) / _DRAWS)
    values, vectors = np.linalg.eigh(result.correlation[:n, :n])
    scatter = sigma[:, None] * (vectors @ (np.sqrt(np.maximum(values, 0.0))[:, None] * normal))
    lower, upper = analysis.bounds[:n].T
    return np.clip(result.vector[:n] + scatter.T, lower, upper)


def _columns(analysis: Analysis) -> dict[str, np.ndarray]:
    """Return {group of channels: its columns in the responses of all measurements side by side}."""
    with_response = [part for part in analysis.parts if part.responses]
    result, first = {}, 0
    for part in with_response:
        where = {}
        for channel, n_bins in part.pdf.channels.items():
            if channel in part.measurement.signal:
                where[channel] = np.arange(first, first + n_bins)
                first += n_bins
        for group, channels in signal_groups(part.measurement).items():
            label = f"{plain(part.measurement.name)}, {group}" if with_response[1:] else group
            result[label] = np.concatenate([where[c] for c in channels])
    return result


def _grid(lines: tuple[DrawnLine, ...], end: float) -> np.ndarray:
    """Points over the whole range, closer together around each line; always the same number."""
    pieces = [np.linspace(0.0, end, _POINTS)]
    # Equal steps of the integral of a Breit-Wigner.
    angle = np.linspace(-1.54, 1.54, _AROUND_A_LINE)
    for line in lines:
        half = max(line.mass[0] * line.width[0], 1e-6)
        pieces.append(np.clip(line.mass[0] ** 2 + half * np.tan(angle), 0.0, end))
    return np.sort(np.concatenate(pieces))


def _compiled(analysis: Analysis) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """The compiled lines and curves of an analysis; kept with it."""
    cache = analysis.__dict__.setdefault("_figures", {})
    if "spectrum" in cache:
        return cache["spectrum"]
    n = len(analysis.parameters)
    with_response = [p for p in analysis.parts if p.responses]
    null = NULL_SPECTRA[with_response[0].measurement.null_spectrum]
    responses = [r for p in with_response for r in p.responses]

    def lines(vector: Array) -> tuple[Array, Array]:
        def values(physics: Array) -> tuple[Array, Array]:
            found = analysis.spectrum(jnp.concatenate([physics, vector[n:]])).lines
            rows = [
                jnp.stack([jnp.asarray(x, float) for x in (s.mass, s.branching_ratio, s.width)])
                for s in found
            ]
            table = jnp.stack(rows) if rows else jnp.zeros((0, 3))
            return table, table

        slopes, table = jax.jacfwd(values, has_aux=True)(vector[:n])
        return table, slopes

    def grid(
        vector: Array, scattered: Array, q2: Array, drawn: Array, positions: Array
    ) -> tuple[tuple[Array, ...], Array]:
        prediction = null(q2)
        # With a peak that moves from draw to draw, the band at one q2 says little about the peak.
        # Its mass and width have their uncertainties in the text.
        at_fit = analysis.spectrum(vector).lines

        def density(physics: Array) -> tuple[Array, Array]:
            spectrum = analysis.spectrum(jnp.concatenate([physics, vector[n:]]))
            sm = jnp.asarray(spectrum.standard_model * prediction)
            new = jnp.zeros_like(q2)
            if spectrum.continuum is not None:
                new = new + spectrum.continuum(q2)
            for i, (line, placed) in enumerate(zip(spectrum.lines, at_fit, strict=True)):
                if not line.known_narrow:
                    width = jnp.where(drawn[i], placed.width, 1.0)
                    shape = line.branching_ratio * breit_wigner(q2, placed.mass, width)
                    new = new + jnp.where(drawn[i], shape, 0.0)
            return sm, new

        sm, new = density(vector[:n])
        around = jnp.add(*jax.vmap(density)(scattered))
        eps = jnp.concatenate([r.efficiency(q2) for r in responses], axis=-1)
        eps_lines = jnp.concatenate([r.efficiency(positions) for r in responses], axis=-1)
        return (sm, new, prediction, eps, eps_lines), around

    cache["spectrum"] = (jax.jit(lines), jax.jit(grid))
    return cache["spectrum"]
