"""Counts and rates of a fit, channel by channel, as numpy arrays."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import jax
import numpy as np
from jax import Array
from scipy.special import gammaincinv

from bknn.analysis.analysis import Analysis
from bknn.analysis.counts import Part
from bknn.answers.packing import piece
from bknn.data import Measurement
from bknn.inference import FitResult
from bknn.inference.estimate import ONE_SIGMA
from bknn.inference.fits.result import single
from bknn.likelihood.histfactory import NEW_SIGNAL, HistFactory
from bknn.postfit.parts_of_signal import beyond, comes_on_top, standard_model_of, standard_part
from bknn.programs import Program
from bknn.spectrum import Spectrum


@piece
@dataclass(frozen=True, eq=False)
class ChannelCounts:
    """One channel at the best fit; all arrays have shape (bins,).

    Attributes:
        measurement, name: which.
        observed: counts.
        samples: {sample: expected counts}, the signal included.
        signal: names of the samples that are signal; `NEW_SIGNAL` is the part beyond the SM, or
            all of the signal if new amplitudes interfere with those of the SM.
        sigma: uncertainty of `total`, correlations included; NaN if the fit has none.
    """

    measurement: Measurement
    name: str
    observed: np.ndarray
    samples: dict[str, np.ndarray]
    signal: frozenset[str]
    sigma: np.ndarray

    def dimensions(self) -> dict[str, tuple[str, ...]]:
        """Names of the dimensions of the arrays."""
        return dict.fromkeys(("observed", "samples", "sigma"), ("bin",))

    @property
    def n_bins(self) -> int:
        return len(self.observed)

    def _sum(self, names: Any) -> np.ndarray:
        return np.sum([np.zeros(self.n_bins), *(self.samples[s] for s in names)], axis=0)

    @cached_property
    def total(self) -> np.ndarray:
        return self._sum(self.samples)

    @cached_property
    def background(self) -> np.ndarray:
        return self._sum(s for s in self.samples if s not in self.signal)

    @cached_property
    def standard_model(self) -> np.ndarray:
        """Signal in the shape of the measurement's own template, or of the model's own SM."""
        return self._sum(s for s in self.samples if s in self.signal and s != NEW_SIGNAL)

    @cached_property
    def new(self) -> np.ndarray:
        """The rest of the signal: lines and continua of the model."""
        return self._sum(s for s in self.samples if s == NEW_SIGNAL)


def poisson_interval(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the central 68.3% interval of a Poisson mean (Garwood 1936), each as `counts`.

    >>> lower, upper = poisson_interval(np.array([0.0, 1.0]))
    >>> lower.round(3).tolist(), upper.round(3).tolist()
    ([0.0, 0.173], [1.841, 3.3])
    """
    counts = np.asarray(counts, float)
    tail = (1 - ONE_SIGMA) / 2
    # Half the quantile of chi2 with 2n degrees of freedom; this module loads far faster than stats.
    lower = np.where(counts > 0, gammaincinv(np.where(counts > 0, counts, 1.0), tail), 0.0)
    return lower, gammaincinv(counts + 1, 1 - tail)


def fitted(result: FitResult) -> list[ChannelCounts]:
    """Return all channels of all measurements at the best fit."""
    analysis = single(result, "a figure shows")
    found = _cells(analysis)(result.vector)
    cells, slopes, known = (list(map(np.asarray, x)) for x in found[:3])
    data = analysis.data if result.data is None else result.data
    covariance = result.covariance
    channels, first = [], 0
    for part, rate, slope in zip(analysis.parts, cells, slopes, strict=True):
        pdf = part.pdf
        in_bin = (np.arange(pdf.n_bins)[:, None] == pdf.cells.bin).astype(float)
        jacobian = in_bin @ slope
        variance = np.einsum("bi,ij,bj->b", jacobian, covariance, jacobian, optimize=True)
        sigma = np.sqrt(np.maximum(variance, 0.0))
        start = 0
        of_channel, of_sample = np.array(pdf.cells.channel), np.array(pdf.cells.sample)
        for name, n_bins in pdf.channels.items():
            where = slice(start, start + n_bins)
            samples = {}
            for sample in dict.fromkeys(of_sample[of_channel == name].tolist()):
                here = (of_channel == name) & (of_sample == sample)
                samples[sample] = np.bincount(pdf.cells.bin[here] - start, rate[here], n_bins)
            observed = np.asarray(data.counts)[first + start : first + start + n_bins]
            signal = _signal(part, name, samples)
            channels.append(
                ChannelCounts(part.measurement, name, observed, samples, signal, sigma[where])
            )
            start += n_bins
        first += pdf.n_bins
    if not (known and bool(found[3])):
        return channels
    parts = zip(analysis.parts, known, strict=True)
    return _separated(channels, np.concatenate([_new_signal(p.pdf, rate) for p, rate in parts]))


def _new_signal(pdf: HistFactory, rate: np.ndarray) -> np.ndarray:
    """Return the new signal (bins,) from the rates of all cells."""
    here = np.array(pdf.cells.sample) == NEW_SIGNAL
    return np.bincount(pdf.cells.bin[here], rate[here], pdf.n_bins)


def _separated(channels: list[ChannelCounts], known: np.ndarray) -> list[ChannelCounts]:
    """Take the standard model (bins,) out of the new signal of all channels, and put it to the
    signal samples of the measurements."""
    rest = beyond(np.concatenate([c.new for c in channels]), known)
    ends = np.cumsum([c.n_bins for c in channels])[:-1]
    separated = []
    for c, sm, new in zip(channels, np.split(known, ends), np.split(rest, ends), strict=True):
        if NEW_SIGNAL in c.samples:
            own = c.measurement.signal[c.name]
            samples = {**c.samples, own: c.samples[own] + sm, NEW_SIGNAL: new}
            c = replace(c, samples=samples)
        separated.append(c)
    return separated


def totals(result: FitResult) -> np.ndarray:
    """Return the expected counts of all measurements (bins,), in the order of `fitted`."""
    analysis = single(result, "a figure shows")
    cells = _cells(analysis)(result.vector)[0]
    return np.concatenate(
        [
            np.bincount(part.pdf.cells.bin, np.asarray(rate), part.pdf.n_bins)
            for part, rate in zip(analysis.parts, cells, strict=True)
        ]
    )


def _signal(part: Part, channel: str, samples: dict[str, np.ndarray]) -> frozenset[str]:
    if part.responses:
        names = {part.measurement.signal.get(channel, NEW_SIGNAL), NEW_SIGNAL}
    else:
        names = {
            sample.name
            for c in part.pdf.workspace.channels
            if c.name == channel
            for sample in c.samples
            if any(m.name == part.pdf.signal_strength for m in sample.modifiers)
        }
    return frozenset(names & set(samples))


def _cells(analysis: Analysis) -> Program:
    """The compiled rates of all cells; their slopes; the rates with the standard model as the only
    signal, if the model has it in its continuum; whether all else comes on top of it."""
    # Of a copy, whose home is another one.
    alone = copy(analysis)
    return analysis.programs.get("cells and slopes", None, lambda: _everything(alone), once=True)


def _everything(analysis: Analysis) -> Callable[[Array], tuple[Any, ...]]:
    def cells(vector: Array) -> tuple[list[Array], list[Array]]:
        inputs = analysis.part_inputs(vector)
        rates = [
            part.pdf.cell_rates(own, scales)
            for part, (own, scales) in zip(analysis.parts, inputs, strict=True)
        ]
        return rates, rates

    def known(vector: Array) -> list[Array]:
        if standard_model_of(analysis.model) is None:
            return []

        def spectrum(decay: str) -> Spectrum:
            found = standard_part(analysis, vector, decay)
            assert found is not None
            return found

        inputs = analysis.part_inputs(vector)
        return [
            part.pdf.cell_rates(own, part.scales(spectrum) if part.responses else scales)
            for part, (own, scales) in zip(analysis.parts, inputs, strict=True)
        ]

    def everything(vector: Array) -> tuple[Any, ...]:
        slopes, rates = jax.jacfwd(cells, has_aux=True)(vector)
        return rates, slopes, known(vector), comes_on_top(analysis, vector)

    return everything
