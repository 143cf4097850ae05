"""One measurement inside an analysis: its density, and how a spectrum gets into it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array

from bknn import errors
from bknn.data import Measurement
from bknn.likelihood.export import FoldedSignal, with_folded_signal, workspace_json
from bknn.likelihood.histfactory import NEW_SIGNAL, HistFactory
from bknn.likelihood.sparse import take
from bknn.response import Response
from bknn.spectrum import Spectrum
from bknn.standard_model import NULL_SPECTRA

#: The spectrum of a decay, by its name.
Spectra = Callable[[str], Spectrum]

#: Expected counts: of the standard model's part of a spectrum, and of the rest if there is any.
Folded = tuple[Array, Array | None]


@dataclass(frozen=True, eq=False)
class Part:
    """A measurement, compiled for the spectra of a model.

    Attributes:
        measurement: what was published.
        pdf: its HistFactory model, the signal under outside control if there are densities.
        responses: one for each run of channels with the same decay and true-q2 bins.
        decays: of each response.
        template: the signal of the null, in the bins of all channels with a signal (s,).
        has_new: whether spectra have more than a standard-model part.
    """

    measurement: Measurement
    pdf: HistFactory
    responses: tuple[Response, ...]
    decays: tuple[str, ...]
    template: np.ndarray
    has_new: bool

    @staticmethod
    def compiled(measurement: Measurement) -> HistFactory:
        """Return the workspace of a measurement, compiled."""
        label = str(measurement.metadata.get("path", measurement.name))
        return HistFactory.from_workspace(measurement.workspace, label=label)

    @classmethod
    def build(
        cls, pdf: HistFactory, measurement: Measurement, response: str, *, has_new: bool
    ) -> Part:
        """Put the signal of a measurement under the control of a spectrum.

        Args:
            pdf: from `compiled`.
            measurement: with number densities, or without (then its signal can only be scaled).
            response: "smooth" or "reweighting".
            has_new: whether spectra have more than a standard-model part.

        Raises:
            DataError: a signal that cannot be folded.
            UnknownNameError: an unknown null spectrum.
        """
        where = f"measurement {measurement.name!r}"
        if not measurement.signal:
            if has_new:
                raise errors.DataError(
                    f"{where} has no signal in the channels {', '.join(measurement.channels)}, so "
                    "a spectrum cannot be folded with it; choose channels with a signal, or import "
                    "its number densities with `bknn data import`."
                )
            return cls(measurement, pdf, (), (), np.zeros(0), False)
        if measurement.null_spectrum not in NULL_SPECTRA:
            raise errors.unknown("null spectrum", measurement.null_spectrum, NULL_SPECTRA, where)
        null = NULL_SPECTRA[measurement.null_spectrum]
        channels = [c for c in pdf.channels if c in measurement.signal]
        template = np.concatenate([measurement.template(c) for c in channels])
        responses, decays = [], []

        def alike(channel: str) -> tuple[str, bytes]:
            return measurement.decay(channel), measurement.densities[channel].edges.tobytes()

        # Channels that share their decay and their true-q2 bins are folded at once.
        for (decay, _), same in groupby(channels, alike):
            names = list(same)
            decays.append(decay)
            densities = [measurement.densities[c] for c in names]
            responses.append(
                Response.from_density(
                    np.concatenate([d.counts for d in densities]),
                    densities[0].edges,
                    np.concatenate([d.unmatched for d in densities]),
                    null=null,
                    mode=response,
                    template=np.concatenate([measurement.template(c) for c in names]),
                )
            )
        _check_strength(measurement, pdf)
        pdf = pdf.with_signal(
            measurement.signal, new=has_new, without=measurement.form_factor_modifiers
        )
        return cls(measurement, pdf, tuple(responses), tuple(decays), template, has_new)

    def uses(self, *, held: bool = False) -> list[tuple[str, Callable[[Spectrum], Folded]]]:
        """Return what is made of the spectra: one decay and one function of its spectrum a
        response. `held` as for `Response.fold_new`."""

        def folded(response: Response, spectrum: Spectrum) -> Folded:
            new = response.fold_new(spectrum, held=held) if self.has_new else None
            return response.fold_standard_model(spectrum.standard_model), new

        return [
            (decay, partial(folded, response))
            for response, decay in zip(self.responses, self.decays, strict=True)
        ]

    def counts(self, spectrum: Spectra) -> Folded:
        """Return the expected signal (signal bins,), its SM part and the rest apart."""
        return _joined([use(spectrum(decay)) for decay, use in self.uses()])

    def scales(self, spectrum: Spectra) -> Array:
        """Return the factors on the signal templates that `pdf.rates` takes.

        Args:
            spectrum: the spectrum of a decay by its name.
        """
        return self.scales_of([use(spectrum(decay)) for decay, use in self.uses()])

    def scales_of(self, folded: Sequence[Folded]) -> Array:
        """Return the same of what `uses` returned."""
        inverse = np.where(self.template > 0, 1 / np.where(self.template > 0, self.template, 1), 0)
        sm, new = _joined(folded)
        return sm * inverse if new is None else jnp.concatenate([sm * inverse, new * inverse])

    def own_vector(self, vector: Array, source: np.ndarray) -> Array:
        """Return the parameters of the pdf from the flat vector of an analysis.

        `source` (size of the pdf,) says where each stands, -1 for those that are not there: they
        keep their starting value, but for the signal strength, which the model replaces by 1.
        """
        init = np.concatenate([s.init for s in self.pdf.parameter_sets.values()])
        if self.pdf.signal_strength is not None:
            init[self.pdf.slices[self.pdf.signal_strength]] = 1.0
        index = np.where(source >= 0, source, vector.shape[0] + np.arange(len(source)))
        return jnp.asarray(take(jnp.concatenate([vector, init]), index))

    def to_workspace(self, spectrum: Spectra, source: np.ndarray) -> dict[str, Any]:
        """Return pyhf JSON with the folded spectrum in place of the signal.

        Form-factor modifiers that `source` says an analysis does without are taken off.
        """
        measurement, pdf = self.measurement, self.pdf
        if not self.responses:
            return pdf.to_workspace()
        sm, new = self.counts(spectrum)
        signals, start = [], 0
        for channel, n_bins in pdf.channels.items():
            if channel in measurement.signal:
                where = slice(start, start + n_bins)
                start += n_bins
                signals.append(
                    FoldedSignal(
                        channel,
                        measurement.signal[channel],
                        np.asarray(sm)[where],
                        None if new is None else np.asarray(new)[where],
                    )
                )
        unused = [
            name
            for name in measurement.form_factor_modifiers
            if name in pdf.slices and source[pdf.slices[name].start] < 0
        ]
        return workspace_json(
            with_folded_signal(
                pdf.workspace,
                pdf.parameter_sets,
                signals,
                new_name=NEW_SIGNAL.replace(" ", "_"),
                without=measurement.form_factor_modifiers,
                unused=unused,
            )
        )


def _joined(folded: Sequence[Folded]) -> Folded:
    sm = jnp.concatenate([x for x, _ in folded])
    new = [x for _, x in folded if x is not None]
    return sm, jnp.concatenate(new) if new else None


def _check_strength(measurement: Measurement, pdf: HistFactory) -> None:
    """Refuse a signal that the model would leave alone: scaled by mu, but without a density."""
    for channel in pdf.workspace.channels:
        for sample in channel.samples:
            if measurement.signal.get(channel.name) != sample.name and any(
                m.type == "normfactor" and m.name == pdf.signal_strength for m in sample.modifiers
            ):
                raise errors.DataError(
                    f"measurement {measurement.name!r}: sample {sample.name!r} of channel "
                    f"{channel.name!r} is scaled by {pdf.signal_strength!r}, but has no number "
                    "density, so a new spectrum cannot be folded with it; import its density too, "
                    "or leave the channel out."
                )
