"""The simplified likelihood: few bins, normally distributed expectations, no simulation needed.

`SimplifiedLikelihood` is what arXiv:2403.13887 fitted to Belle II before its likelihood was public,
and what a full likelihood looks like from far away. It is built from an efficiency curve and a
table of backgrounds, or by linearising a full workspace, and becomes a `Measurement`, so that
everything else works with it. `docs/simplified.md` says how good it is.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jax.typing import ArrayLike

from bknn import errors
from bknn.data import Density, Measurement, Source
from bknn.derived.merged_bins import MergedBins, axis_of, labels_of
from bknn.likelihood.histfactory import HistFactory
from bknn.likelihood.simplified import (
    Information,
    Knowledge,
    Mode,
    constraints,
    eigenmodes,
    tangent,
    workspace,
)
from bknn.precision import require_x64
from bknn.response.kernel import InclusiveTagKernel
from bknn.standard_model import NULL_SPECTRA

_SIGNAL, _BACKGROUND, _POI = "signal", "background", "mu"
#: True-q2 bins of the densities that are made here, the same as in the Belle II release.
_TRUE_EDGES = np.linspace(0.0, 22.885, 101)
_POINTS = ("nominal", "fit")


@dataclass(frozen=True, eq=False)
class Background:
    """Expected counts of a process and what is not known of them.

    Attributes:
        counts: (bins,).
        covariance: of the counts in each bin (bins, bins), for example that of a limited
            simulation; None if they are exact.
        norm: relative uncertainty of the size, common to all bins.
    """

    counts: ArrayLike
    covariance: ArrayLike | None = None
    norm: float = 0.0


@dataclass(frozen=True, eq=False)
class SimplifiedLikelihood:
    """Poisson counts with multivariate normal uncertainties of signal and backgrounds.

    Make one with `from_efficiency` or `from_measurement`, use it with `measurement`.

    Attributes:
        channels: {name: number of bins}, one after the other in all arrays (bins,).
        observed: counts (bins,).
        signal: expected counts (bins,) of the null spectrum; 0 in channels without signal.
        backgrounds: {name: expected counts (bins,)}.
        modes: directions in which expectations vary, one standard normal nuisance each.
        norms: {background: relative uncertainty of its size}.
        densities: {channel: joint number density of the null spectrum}, for channels with signal.
        null_spectrum: name of the null spectrum.
        form_factor_modes: names of the modes of the standard-model signal alone.
        decays: {channel: decay}.
        labels: what the figures call things (`docs/figures.md`).
        sources: what to cite.
        notes: what one should know.

    Example:
        >>> import bknn; bknn.enable_x64()
        >>> from bknn import inference, models
        >>> full = bknn.data.load("belle2-2025").select("hadronic")
        >>> simple = bknn.SimplifiedLikelihood.from_measurement(full)
        >>> simple
        SimplifiedLikelihood(6 bins, 15 modes, 1 background)
        >>> analysis = bknn.Analysis(models.load("signal-strength"), simple.measurement("hadronic"))
        >>> analysis.size
        16
    """

    channels: Mapping[str, int]
    observed: np.ndarray
    signal: np.ndarray
    backgrounds: Mapping[str, np.ndarray]
    modes: tuple[Mode, ...] = ()
    norms: Mapping[str, float] = field(default_factory=dict)
    densities: Mapping[str, Density] = field(default_factory=dict)
    null_spectrum: str = ""
    form_factor_modes: tuple[str, ...] = ()
    decays: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, Any] = field(default_factory=dict)
    sources: tuple[Source, ...] = ()
    notes: tuple[str, ...] = ()

    @classmethod
    def from_efficiency(
        cls,
        efficiency: Callable[[np.ndarray], ArrayLike],
        edges: ArrayLike,
        observed: ArrayLike,
        backgrounds: Mapping[str, Background],
        *,
        produced: float,
        kernel: InclusiveTagKernel | None = None,
        signal_covariance: ArrayLike | None = None,
        form_factor_covariance: ArrayLike | None = None,
        null_spectrum: str = "hpqcd-2022",
        decay: str = "B+ -> K+",
        channel: str = "q2_rec",
        smallest: float = 0.01,
        sources: Sequence[Source] = (),
    ) -> SimplifiedLikelihood:
        """Build one from what papers print: the method of arXiv:2403.13887.

        Args:
            efficiency: probability that a decay at q2 (GeV^2, an array) is selected.
            edges: of the bins of reconstructed q2 in GeV^2, (bins + 1,), increasing.
            observed: counts (bins,).
            backgrounds: {name: Background}.
            produced: number of B mesons that could have decayed.
            kernel: how true and reconstructed q2 belong together; that of an inclusive tag at
                10.58 GeV by default.
            signal_covariance: relative covariance (bins, bins) of any signal.
            form_factor_covariance: relative covariance (bins, bins) of the standard-model signal
                alone; models with form factors of their own do without it.
            null_spectrum: the spectrum of the standard-model signal.
            decay: decay channel of the signal.
            channel: name of the bins.
            smallest: eigenmodes of covariances with a variance below this, in units of the Poisson
                variances, are dropped.
            sources: what to cite.

        Raises:
            DataError: shapes that do not fit, or matrices that are no covariances.
            UnknownNameError: another null spectrum.
        """
        require_x64()
        if null_spectrum not in NULL_SPECTRA:
            raise errors.unknown("null spectrum", null_spectrum, NULL_SPECTRA)
        counts = np.asarray(observed, float)
        n = np.size(edges) - 1
        if counts.shape != (n,):
            raise errors.DataError(
                f"{counts.size} observed counts (shape {counts.shape}) for {n} bins of "
                "reconstructed q2; give one count a bin, and one edge more than counts."
            )
        density = (kernel or InclusiveTagKernel()).density(
            efficiency,
            edges,
            _TRUE_EDGES,
            null=NULL_SPECTRA[null_spectrum],
            produced=produced,
        )
        signal = density.counts.sum(axis=1)
        expected = {
            name: _bins(f"background {name!r}", b.counts, n) for name, b in backgrounds.items()
        }
        total = np.sum(list(expected.values()), axis=0) + signal
        scale = np.sqrt(np.maximum(total, 1.0))
        modes: list[Mode] = []

        def add(name: str, samples: Sequence[str], covariance: ArrayLike | None) -> None:
            if covariance is not None:
                vectors, values = eigenmodes(np.asarray(covariance, float), scale, smallest)
                for k, (vector, value) in enumerate(zip(vectors.T, values, strict=True), 1):
                    shift = vector * np.sqrt(value) * scale
                    modes.append(Mode(f"{name}_{k}", dict.fromkeys(samples, shift)))

        for name, background in backgrounds.items():
            add(f"shape_{name}", [name], background.covariance)
        square = signal[:, None] * signal[None, :]
        relative = {"signal": signal_covariance, "form_factor": form_factor_covariance}
        for name, matrix in relative.items():
            add(name, [_SIGNAL], None if matrix is None else square * np.asarray(matrix, float))
        return cls(
            channels={channel: n},
            observed=counts,
            signal=signal,
            backgrounds=expected,
            modes=tuple(modes),
            norms={name: float(b.norm) for name, b in backgrounds.items() if b.norm > 0},
            densities={channel: density},
            null_spectrum=null_spectrum,
            form_factor_modes=tuple(m.name for m in modes if m.name.startswith("form_factor_")),
            decays={channel: decay},
            labels=axis_of(channel, np.asarray(edges, float)),
            sources=tuple(sources),
        )

    @classmethod
    def from_measurement(
        cls,
        measurement: Measurement,
        *,
        at: str = "fit",
        controls: Sequence[str] = (),
        merge: Mapping[str, Sequence[Mapping[str, Sequence[int]]]] | None = None,
        edges: Mapping[str, Sequence[float]] | None = None,
        samples: Mapping[str, Sequence[str]] | None = None,
        correlated: bool = True,
        strength: float = 5.0,
        smallest: float = 0.01,
    ) -> SimplifiedLikelihood:
        """Linearise a full likelihood.

        With J the derivatives of all expectations with respect to the nuisances, and C what is
        known of these, expectations vary with the covariance J C J^T.

        Bins that are to be left out need not be forgotten. Counts in `controls` and the shares of
        bins that are merged say something about the nuisances; a Gaussian approximation of that
        part of the likelihood takes the place of the constraints. (Counts in several bins are
        their sum and their shares of the sum, as probabilities: Poisson times multinomial. The
        sum is kept as a count. In the shares each merged bin has a signal of its own, profiled,
        because the model's is not known here.)

        Args:
            measurement: with a workspace and a signal.
            at: where to linearise: at the best "fit" of all bins, the signal strength floating, or
                at the "nominal" point, that of the constraints (of the fit of controls and shares,
                where there are any). The constraints are the same.
            controls: channels (or groups of them) to fold in; they disappear.
            merge: {new channel: [{channel: bins (from 0) that make the first new bin}, ...]}; what
                is not named keeps its bins.
            edges: {channel: edges of q2_rec in GeV^2} of merged channels, for figures.
            samples: {name: samples of the workspace that shall stay together under it}; one sample
                of all backgrounds by default. Fits do not notice.
            correlated: whether signal and background vary together where they share nuisances; in
                arXiv:2403.13887 they do not.
            strength: signal strength for which modes of the signal are judged.
            smallest: eigenmodes with a variance below this, in units of the Poisson variances, are
                dropped.

        Raises:
            DataError, UnknownNameError: bins and samples that do not exist or come twice.
            WorkspaceError: free parameters, which have no covariance.
            FitError: a fit that did not converge.
        """
        require_x64()
        if at not in _POINTS:
            raise errors.unknown("point", at, _POINTS)
        if not measurement.signal:
            raise errors.DataError(
                f"measurement {measurement.name!r} has no signal, so there is nothing to simplify "
                "for; choose channels with a signal."
            )
        pdf = HistFactory.from_workspace(measurement.workspace, label=measurement.name)
        bins = MergedBins.of(measurement, pdf, controls, merge or {})
        cells = _cell_samples(measurement, pdf, samples)
        is_signal = cells == _SIGNAL
        prior = constraints(pdf)
        known = prior
        if bins.controls.any() or bins.shared:
            signal_bins = set(pdf.cells.bin[is_signal].tolist())
            own = np.full(pdf.n_bins, -1)
            for k, group in enumerate(g for g in bins.shared if signal_bins & set(g.tolist())):
                own[group] = k
            known = Information(pdf, bins.controls, bins.shared, is_signal, own).knowledge(prior)
        point = known.centre
        if at == "fit":
            every, one = np.ones(pdf.n_bins, bool), np.zeros(pdf.n_bins, int)
            point = Information(pdf, every, (), is_signal, one).knowledge(prior).centre
        line = tangent(pdf, point, known, cells)
        centre = {s: bins.matrix @ x for s, x in line.centre.items()}
        slopes = {s: bins.matrix @ x for s, x in line.slopes.items()}
        for sample, counts in centre.items():
            if (counts < 0).any():
                b = int(np.argmin(counts))
                raise errors.DataError(
                    f"sample {sample!r} has {counts[b]:.3g} counts in bin {b} (from 0) when "
                    f"linearised at the {at} point; linearise elsewhere, or put it together with "
                    "other samples."
                )
        names = [n for n in measurement.form_factor_modifiers if n in pdf.slices]
        modes = _modes(pdf, centre, slopes, known, names, correlated, strength, smallest)
        signal = centre.pop(_SIGNAL)
        return cls(
            channels=bins.channels,
            observed=bins.matrix @ pdf.observed,
            signal=signal,
            backgrounds=centre,
            modes=modes,
            densities=bins.densities(measurement, line.centre[_SIGNAL]),
            null_spectrum=measurement.null_spectrum,
            form_factor_modes=tuple(names),
            decays=bins.decays(measurement),
            labels=labels_of(measurement, bins.channels, edges or {}),
            sources=measurement.sources,
            notes=(f"Linearised from {measurement.name!r} at the {at} point.", *measurement.notes),
        )

    @property
    def n_bins(self) -> int:
        return len(self.observed)

    def covariance(self, sample: str = _BACKGROUND) -> np.ndarray:
        """Return the covariance (bins, bins) of the expected counts of a sample.

        Args:
            sample: "signal", a background, or "background" for all backgrounds together.

        Raises:
            UnknownNameError: another sample.
        """
        if sample not in (_SIGNAL, _BACKGROUND, *self.backgrounds):
            raise errors.unknown("sample", sample, [_SIGNAL, _BACKGROUND, *self.backgrounds])
        every = sample == _BACKGROUND and sample not in self.backgrounds
        names = list(self.backgrounds) if every else [sample]
        nothing = np.zeros(self.n_bins)
        shifts = [np.sum([m.shifts.get(s, nothing) for s in names], axis=0) for m in self.modes]
        shifts += [self.norms[s] * self.backgrounds[s] for s in names if s in self.norms]
        matrix = np.array(shifts).reshape(-1, self.n_bins)
        return matrix.T @ matrix

    def measurement(self, name: str, title: str = "") -> Measurement:
        """Return it as a measurement, for analyses, files (JSON) and pyhf.

        Args:
            name: short name.
            title: one line for people.
        """
        samples = {_SIGNAL: self.signal, **self.backgrounds}
        spec = workspace(
            self.channels, self.observed, samples, self.modes, self.norms, _SIGNAL, _POI
        )
        content = [json.dumps(spec, sort_keys=True).encode()]
        content += [d.counts.tobytes() + d.edges.tobytes() for d in self.densities.values()]
        with_signal = [c["name"] for c in spec["channels"] if c["samples"][0]["name"] == _SIGNAL]
        return Measurement(
            name=name,
            title=title or f"simplified likelihood, {self.n_bins} bins",
            workspace=spec,
            signal=dict.fromkeys(with_signal, _SIGNAL),
            densities=self.densities,
            null_spectrum=self.null_spectrum,
            form_factor_modifiers=self.form_factor_modes,
            decays={c: d for c, d in self.decays.items() if c in with_signal},
            sources=self.sources,
            notes=self.notes,
            sha256=hashlib.sha256(b"".join(content)).hexdigest(),
            metadata={"labels": dict(self.labels)},
        )

    def __repr__(self) -> str:
        n = len(self.backgrounds)
        return (
            f"SimplifiedLikelihood({self.n_bins} bins, {len(self.modes) + len(self.norms)} modes, "
            f"{n} background{'' if n == 1 else 's'})"
        )


def _cell_samples(
    measurement: Measurement, pdf: HistFactory, samples: Mapping[str, Sequence[str]] | None
) -> np.ndarray:
    """Return the sample of the simplified likelihood that each cell belongs to."""
    known = set(pdf.cells.sample)
    new: dict[str, str] = {}
    for name, members in (samples or {}).items():
        if name == _SIGNAL:
            raise errors.DataError(f"a background cannot be named {_SIGNAL!r}; choose another.")
        for member in members:
            if member not in known:
                raise errors.unknown("sample", member, known, f"{measurement.name!r}")
            if member in new:
                raise errors.DataError(
                    f"sample {member!r} belongs to {new[member]!r} and {name!r}; count it once."
                )
            new[member] = name
    return np.array(
        [
            _SIGNAL if measurement.signal.get(c) == s else new.get(s, _BACKGROUND)
            for c, s in zip(pdf.cells.channel, pdf.cells.sample, strict=True)
        ]
    )


def _modes(
    pdf: HistFactory,
    centre: Mapping[str, np.ndarray],
    slopes: Mapping[str, np.ndarray],
    known: Knowledge,
    form_factors: Sequence[str],
    correlated: bool,
    strength: float,
    smallest: float,
) -> tuple[Mode, ...]:
    """Return the modes of all samples.

    They are those of the total background and of the signal, `strength` times, in one vector: the
    likelihood sees nothing else. A sample in the stack moves as is expected if the totals do.
    """
    own = [pdf.slices[name].start for name in form_factors]
    covariance = known.covariance.copy()
    covariance[own], covariance[:, own] = 0.0, 0.0
    total = np.sum([x for s, x in centre.items() if s != _SIGNAL], axis=0)
    unit = 1 / np.sqrt(np.maximum(total + strength * centre[_SIGNAL], 1.0))
    background = unit[:, None] * np.sum([x for s, x in slopes.items() if s != _SIGNAL], axis=0)
    signal = strength * unit[:, None] * slopes[_SIGNAL]
    blocks = {
        "mode": np.concatenate([background, signal]),
        "background": background,
        "signal": signal,
    }
    chosen = ["mode"] if correlated else ["background", "signal"]
    modes = []
    for name in chosen:
        block = blocks[name]
        # J C J^T is a covariance by construction; rounding may leave it a little unsymmetric.
        vectors, values = eigenmodes(block @ covariance @ block.T, np.ones(len(block)), smallest)
        weights = covariance @ block.T @ vectors / np.sqrt(values)
        moved = [s for s in slopes if name == "mode" or (s == _SIGNAL) == (name == _SIGNAL)]
        shifts = {s: slopes[s] @ weights for s in moved}
        modes += [
            Mode(f"{name}_{k + 1}", {s: x[:, k] for s, x in shifts.items()})
            for k in range(len(values))
        ]
    for name, column in zip(form_factors, own, strict=True):
        sigma = np.sqrt(known.covariance[column, column])
        modes.append(Mode(name, {_SIGNAL: sigma * slopes[_SIGNAL][:, column]}))
    return tuple(modes)


def _bins(what: str, values: ArrayLike, n: int) -> np.ndarray:
    array = np.asarray(values, float)
    if array.shape != (n,) or not np.isfinite(array).all() or (array < 0).any():
        raise errors.DataError(
            f"the counts of {what} have shape {array.shape}; give {n} numbers, finite and not "
            "negative, one a bin."
        )
    return array
