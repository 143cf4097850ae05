"""The signal of a fit over q2, before and after the response, as numpy arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from scipy.special import ndtri

from bknn import errors
from bknn.analysis.analysis import Analysis
from bknn.answers.packing import piece
from bknn.data import Measurement
from bknn.inference import FitResult
from bknn.inference.estimate import ONE_SIGMA
from bknn.inference.fits.result import single
from bknn.postfit.parts_of_signal import (
    DECAY,
    beyond,
    comes_on_top,
    continuum,
    standard_model_of,
    standard_part,
)
from bknn.prediction.two_body import TwoBody, around, behind
from bknn.programs import Program
from bknn.response import Response, breit_wigner
from bknn.standard_model import NULL_SPECTRA

_POINTS, _DRAWS = 600, 1000

#: Of more channels than these only the sum is drawn.
_MOST = 6


@piece
@dataclass(frozen=True, eq=False)
class Curves:
    """The signal of a fit over q2; arrays have shape (n,) where nothing else is said.

    Attributes:
        q2: GeV^2.
        standard_model: dBR/dq2 in the shape of the null spectrum, GeV^-2; in models with form
            factors that of the standard model, as in the fit.
        new: dBR/dq2 of the rest of the continuum and of the lines that are not narrow, GeV^-2; of
            all of the signal if new amplitudes interfere with those of the standard model.
        lower, upper: central 68.3% of their sum if the parameters scatter about the fit with its
            covariance, within their bounds, and lines stay where they are; NaN if the fit has
            no covariance.
        prediction: the null spectrum itself, or the standard model of a model with form factors
            (before the fit), GeV^-2.
        lines: all lines.
        efficiency: {group of channels, or channel: expected events per unit of branching ratio}.
        at_lines: {group of channels: the same at the lines (lines,)}.
        has_own: whether the standard model is the model's own, with its form factors.
    """

    q2: np.ndarray
    standard_model: np.ndarray
    new: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    prediction: np.ndarray
    lines: tuple[TwoBody, ...]
    efficiency: dict[str, np.ndarray]
    at_lines: dict[str, np.ndarray]
    has_own: bool = False

    def dimensions(self) -> dict[str, tuple[str, ...]]:
        """Names of the dimensions of the arrays."""
        over = ("q2", "standard_model", "new", "lower", "upper", "prediction", "efficiency")
        return {**dict.fromkeys(over, ("point",)), "at_lines": ("line",)}

    def field_units(self) -> dict[str, str]:
        """Units of the arrays."""
        rates = ("standard_model", "new", "lower", "upper", "prediction")
        return {"q2": "GeV^2", **dict.fromkeys(rates, "GeV^-2")}

    @property
    def total(self) -> np.ndarray:
        """dBR/dq2 of all of the signal that is no narrow line."""
        return self.standard_model + self.new

    @property
    def spikes(self) -> list[tuple[int, TwoBody]]:
        """Narrow lines with their number."""
        return [
            (i, line)
            for i, line in enumerate(self.lines)
            if line.narrow and line.branching_ratio[0] != 0
        ]

    @property
    def marked(self) -> bool:
        """Whether there are lines that can be seen."""
        return any(line.branching_ratio[0] != 0 for line in self.lines)

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
    analysis = single(result, "a figure shows")
    if not _responses(analysis):
        raise errors.DataError(
            f"{analysis!r} has no number densities of {DECAY}, so its signal has no spectrum in q2 "
            "to draw; import them with `bknn data import`."
        )
    has_own = standard_model_of(analysis.model) is not None
    n = len(analysis.parameters)
    covariance = result.covariance[:n, :n]
    at_lines, at_grid = _compiled(analysis)
    values, slopes, thresholds = map(np.asarray, at_lines(result.vector))
    sigma = np.sqrt(np.maximum(np.einsum("lki,ij,lkj->lk", slopes, covariance, slopes), 0.0))
    lines = tuple(
        TwoBody(*((float(v), float(s)) for v, s in zip(row, row_sigma, strict=True)))
        for row, row_sigma in zip(values, sigma, strict=True)
    )
    end = max(
        float(density.edges[-1])
        for part in analysis.parts
        for channel, density in part.measurement.densities.items()
        if part.measurement.decay(channel) == DECAY
    )
    kinks = analysis.model.kinks(DECAY) if hasattr(analysis.model, "kinks") else ()
    q2 = _grid(lines, [*thresholds, *map(float, kinks)], end)
    drawn = np.array([not line.narrow for line in lines], bool)
    positions = np.array([line.mass[0] ** 2 for line in lines])
    (sm, new, prediction, eps, eps_lines, on_top), scattered = at_grid(
        result.vector, _scattered(result), q2, drawn, positions
    )
    whole = np.asarray(sm + new)
    if has_own:
        sm = np.asarray(sm) * bool(on_top)
        new = beyond(whole, sm)
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
        has_own,
    )


def _responses(analysis: Analysis) -> list[Response]:
    """Return the responses that fold the spectrum that is drawn."""
    return [
        response
        for part in analysis.parts
        for response, decay in zip(part.responses, part.decays, strict=True)
        if decay == DECAY
    ]


def _scattered(result: FitResult) -> np.ndarray:
    """Return parameters of the model (draws, n) that scatter as the fit says; always the same.

    Linear error propagation would leave the bounds of a parameter that the data hardly determine.
    """
    analysis = single(result, "a figure shows")
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
    with_response = [part for part in analysis.parts if DECAY in part.decays]
    result, first = {}, 0
    for part in with_response:
        where = {}
        for channel, n_bins in part.pdf.channels.items():
            measured = part.measurement
            if channel in measured.signal and measured.decay(channel) == DECAY:
                where[channel] = np.arange(first, first + n_bins)
                first += n_bins
        for group, channels in _groups(part.measurement).items():
            label = f"{part.measurement.name}, {group}" if with_response[1:] else group
            if shown := [where[c] for c in channels if c in where]:
                result[label] = np.concatenate(shown)
    return result


def _groups(measurement: Measurement) -> dict[str, list[str]]:
    """Return {name: channels with a signal}: the groups if each such channel is in one of them."""
    with_signal = [c for c in measurement.channels if c in measurement.signal]
    groups = {
        alias: [c for c in names if c in with_signal] for alias, names in measurement.groups.items()
    }
    groups = {alias: names for alias, names in groups.items() if names}
    members = [c for names in groups.values() for c in names]
    if sorted(members) == sorted(with_signal):
        return groups
    if len(with_signal) > _MOST:
        return {f"all {len(with_signal)} channels": with_signal}
    return {c: [c] for c in with_signal}


def _grid(lines: tuple[TwoBody, ...], starts: Sequence[float], end: float) -> np.ndarray:
    """Points over the whole range, closer together around each line and where something starts;
    always the same number."""
    peaks = around([x.mass[0] ** 2 for x in lines], [x.mass[0] * x.width[0] for x in lines], end)
    pieces = [np.linspace(0.0, end, _POINTS), *peaks, *behind(starts, end)]
    return np.sort(np.concatenate(pieces))


#: Parameters of the standard model; its form factors are at their centres.
_CENTRE = {"sm_normalisation": 1.0}


def _compiled(analysis: Analysis) -> tuple[Program, ...]:
    """The compiled lines and curves of an analysis."""
    # Of a copy, whose home is another one.
    alone = copy(analysis)
    return analysis.programs.together("figure of q2", None, lambda: _lines_and_curves(alone))


def _lines_and_curves(analysis: Analysis) -> tuple[Callable[..., Any], Callable[..., Any]]:
    n = len(analysis.parameters)
    with_response = [p for p in analysis.parts if DECAY in p.decays]
    template = NULL_SPECTRA[with_response[0].measurement.null_spectrum]
    own = standard_model_of(analysis.model)
    responses = _responses(analysis)

    def null(q2: Array) -> Array:
        return template(q2) if own is None else continuum(own.spectrum(_CENTRE, DECAY), q2)

    def lines(vector: Array) -> tuple[Array, Array, Array]:
        def values(physics: Array) -> tuple[Array, Array]:
            found = analysis.spectrum(jnp.concatenate([physics, vector[n:]])).lines
            rows = [
                jnp.stack([jnp.asarray(x, float) for x in (s.mass, s.branching_ratio, s.width)])
                for s in found
            ]
            table = jnp.stack(rows) if rows else jnp.zeros((0, 3))
            return table, table

        slopes, table = jax.jacfwd(values, has_aux=True)(vector[:n])
        continua = analysis.spectrum(vector).continua
        starts = [jnp.asarray(c.threshold, float) for c in continua if c.threshold is not None]
        return table, slopes, jnp.stack(starts) if starts else jnp.zeros(0)

    def grid(
        vector: Array, scattered: Array, q2: Array, drawn: Array, positions: Array
    ) -> tuple[tuple[Array, ...], Array]:
        prediction = null(q2)
        # With a peak that moves from draw to draw, the band at one q2 says little about the peak.
        # Its mass and width have their uncertainties in the text.
        at_fit = analysis.spectrum(vector).lines

        def density(physics: Array) -> tuple[Array, Array]:
            spectrum = analysis.spectrum(jnp.concatenate([physics, vector[n:]]))
            new = continuum(spectrum, q2)
            known = standard_part(analysis, physics)
            if known is None:
                sm = jnp.asarray(spectrum.standard_model * prediction)
            else:
                sm = continuum(known, q2)
                new = new - sm
            for i, (line, placed) in enumerate(zip(spectrum.lines, at_fit, strict=True)):
                if not line.known_narrow:
                    width = jnp.where(drawn[i], placed.width, 1.0)
                    shape = line.branching_ratio * breit_wigner(q2, placed.mass, width)
                    new = new + jnp.where(drawn[i], shape, 0.0)
            return sm, new

        sm, new = density(vector[:n])
        totals = jnp.add(*jax.vmap(density)(scattered))
        eps = jnp.concatenate([r.efficiency(q2) for r in responses], axis=-1)
        eps_lines = jnp.concatenate([r.efficiency(positions) for r in responses], axis=-1)
        return (sm, new, prediction, eps, eps_lines, comes_on_top(analysis, vector)), totals

    return lines, grid
