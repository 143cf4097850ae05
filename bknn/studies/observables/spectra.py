"""Spectra: what a model predicts over q2, and what fits of scenarios leave of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import numpy as np

from bknn import errors
from bknn.answers.answer import Answer, Shown
from bknn.answers.digits import with_error
from bknn.answers.packing import Coordinate, piece
from bknn.channels import Channel
from bknn.channels import channel as find_channel
from bknn.data import Measurement
from bknn.parameters import Parameter, point
from bknn.prediction import Prediction, end_of, knows_standard_model, predict
from bknn.prediction.two_body import TwoBody, around, behind
from bknn.programs import at_once
from bknn.spectrum import Line, Spectrum
from bknn.studies.observables.predictions import Band, Source, analysis_of, band
from bknn.studies.observables.quantities import in_bins

piece(Channel)

_POINTS = 300


@piece
class Predicted(NamedTuple):
    """Predictions of one model; lines thinner than a pen are not in those over q2.

    Attributes:
        rate: dBR/dq2, GeV^-2 (n,).
        total: branching fraction, all lines included.
        f_l: longitudinal fraction of a vector meson (n,); None for others.
    """

    rate: Prediction
    total: Prediction
    f_l: Prediction | None


@dataclass(frozen=True, eq=False, repr=False)
class PredictedSpectra(Answer):
    """Predictions for a channel over q2.

    Attributes:
        name: of the model.
        parameters: of the model, those that are given or float.
        at: {parameter: value}.
        form_factors: name of the set, empty for a model without.
        through_tau: whether decays through a tau are included.
        channel: which.
        end: the end of phase space, GeV^2.
        q2: GeV^2 (n,).
        model, standard_model: what they predict; the latter None if the model is it.
        lines: two-body states that occur.
        polarisations: longitudinal fractions of the vector mesons beside them.
    """

    name: str
    parameters: tuple[Parameter, ...]
    at: Mapping[str, float]
    form_factors: str
    through_tau: bool
    channel: Channel
    end: float
    q2: np.ndarray
    model: Predicted
    standard_model: Predicted | None
    lines: tuple[TwoBody, ...]
    polarisations: tuple[Prediction | None, ...]

    @property
    def stem(self) -> str:
        """Name of its files."""
        name = f"prediction_{self.channel.parent}_{self.channel.daughter}"
        return name.replace("+", "plus").replace("*", "star")

    def dimensions(self) -> dict[str, tuple[str, ...]]:
        return {"q2": ("point",)}

    def field_units(self) -> dict[str, str]:
        return {"q2": "GeV^2"}

    @property
    def converged(self) -> bool:
        """Whether there is a number at every q2."""
        return bool(np.all(np.isfinite(self.model.rate.value)))

    @property
    def status(self) -> str:
        """The same in a sentence."""
        return self.model.rate.status

    def columns(self) -> dict[str, Any]:
        """One row a point."""
        rate, _, f_l = self.model
        found = {"q2": self.q2, "dbr_dq2": rate.value, "uncertainty": rate.uncertainty}
        if f_l is not None:
            found |= {"f_l": f_l.value, "f_l_uncertainty": f_l.uncertainty}
        return found

    def shown(self) -> Shown:
        known = {self.name: self.model, "standard model": self.standard_model}
        rows = [(name, with_error(*x.total)) for name, x in known.items() if x is not None]
        return Shown(f"Spectra of {self.channel.name}", ("", "branching fraction"), rows)


class _Part:
    """A model of which only a part of the spectrum is left."""

    def __init__(self, model: Any, keep: Callable[[Spectrum], Spectrum]) -> None:
        self._model, self._keep = model, keep

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def spectrum(self, params: Mapping[str, Any], channel: str, **options: bool) -> Spectrum:
        return self._keep(self._model.spectrum(params, channel, **options))


def predicted_spectra(
    model: Any, channel: str = "B+ -> K+", params: Mapping[str, float] | None = None
) -> PredictedSpectra:
    """Return what a model and the standard model predict.

    Args:
        model, channel, params: as for `bknn.predict`; plain numbers only.

    Raises:
        UnknownNameError, ParameterError: as `bknn.predict`.
    """
    where = find_channel(channel)
    if where.daughter is None:
        raise errors.ParameterError(
            f"{where.name!r} has one q2, m_Bs^2, so that there is no spectrum to draw; "
            "`bknn.predict` gives its branching fraction."
        )
    given = {name: float(x) for name, x in (params or {}).items()}
    params = point(model, given)
    states, starts = _places(model, where, params)
    end = _endpoint(model, where)
    q2 = _grid(states, starts, end)
    null = _null(model, where)
    alone = null.name == model.name and all(
        params.get(p.name, p.init) == p.init for p in model.parameters
    )

    def of(model: Any, params: Mapping[str, float], smooth: Any) -> Predicted:
        return Predicted(
            predict(smooth, "dbr_dq2", channel, params, q2),
            predict(model, "branching_ratio", channel, params),
            predict(smooth, "f_l", channel, params, q2) if where.vector else None,
        )

    # One program for everything.
    def everything() -> Any:
        lines = [_Part(model, _only(i)) for i in range(len(states))]
        return (
            of(model, params, _Part(model, _without([x.narrow for x in states]))),
            None if alone else of(null, {}, null),
            [predict(x, "branching_ratio", channel, params) for x in lines],
            [predict(x, "f_l", channel, params) if where.vector else None for x in lines],
        )

    found, standard, ratios, polarisations = jax.tree.map(
        np.asarray, at_once("predictions over q2", everything)
    )
    lines = [
        TwoBody(x.mass, (float(ratio.value), float(ratio.uncertainty)), x.width)
        for x, ratio in zip(states, ratios, strict=True)
    ]
    seen = [i for i, x in enumerate(lines) if x.branching_ratio[0] != 0 and x.mass[0] ** 2 < end]
    sets = getattr(model, "form_factors", {})
    return PredictedSpectra(
        model.name,
        tuple(p for p in model.parameters if not p.fixed or p.name in given),
        {name: float(x) for name, x in params.items()},
        sets[str(where.form_factors)].name if sets else "",
        where.parent == "B+" and bool(getattr(model, "long_distance", False)),
        where,
        end,
        q2,
        found,
        standard,
        tuple(lines[i] for i in seen),
        tuple(polarisations[i] for i in seen),
    )


def all_spectra(
    model: Any, params: Mapping[str, float], channels: Sequence[str]
) -> list[PredictedSpectra]:
    """Return the spectra of several channels; Bs -> invisible, which has one q2, has none.

    Args, errors: as for `predicted_spectra`.
    """
    known = [find_channel(name) for name in dict.fromkeys(channels)]
    return [predicted_spectra(model, x.name, params) for x in known if x.daughter is not None]


def _null(model: Any, where: Channel) -> Any:
    from bknn.models import load

    if knows_standard_model(model):
        return model.standard_model()
    return load("signal-strength" if where.name == "B+ -> K+" else "sm")


def _without(narrow: Sequence[bool]) -> Callable[[Spectrum], Spectrum]:
    """Take out the lines that are thinner than a pen."""

    def keep(spectrum: Spectrum) -> Spectrum:
        lines = [x for x, thin in zip(spectrum.lines, narrow, strict=True) if not thin]
        return Spectrum(spectrum.standard_model, spectrum.continuum, tuple(lines))

    return keep


def _only(i: int) -> Callable[[Spectrum], Spectrum]:
    """Keep one line, without its width: its rate and polarisation have none."""

    def keep(spectrum: Spectrum) -> Spectrum:
        chosen = spectrum.lines[i]
        return Spectrum(lines=(Line(chosen.mass, chosen.branching_ratio),))

    return keep


def _places(
    model: Any, where: Channel, params: Mapping[str, float]
) -> tuple[list[TwoBody], list[float]]:
    """Return the lines, branching ratios still unknown, and where continua have a kink."""

    # Compiled, so that no rate is computed.
    def places() -> Any:
        spectrum = model.spectrum(params, where.name)
        lines = [(x.mass, x.width) for x in spectrum.lines]
        return lines, [c.threshold for c in spectrum.continua if c.threshold is not None]

    lines, starts = at_once("places of lines", places)
    kinks = model.kinks(where.name)[:-1] if hasattr(model, "kinks") else ()
    states = [TwoBody((float(m), 0.0), (np.nan, 0.0), (float(w), 0.0)) for m, w in lines]
    return states, [float(x) for x in (*starts, *kinks)]


def _endpoint(model: Any, where: Channel) -> float:
    if hasattr(model, "kinks"):
        return float(model.kinks(where.name)[-1])
    return end_of(where)


def _grid(states: Sequence[TwoBody], starts: Sequence[float], end: float) -> np.ndarray:
    # At the very end nothing decays, and there is no polarisation.
    last = end * (1 - 1e-9)
    wide = [x for x in states if not x.narrow]
    peaks = around([x.mass[0] ** 2 for x in wide], [x.mass[0] * x.width[0] for x in wide], last)
    pieces = [np.linspace(0.0, last, _POINTS), *peaks, *behind(starts, last)]
    return np.unique(np.concatenate(pieces))


# Of fits ---------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False, repr=False)
class FittedSpectra(Answer):
    """Spectra and polarisations of scenarios in bins of q2, narrow lines included.

    Attributes:
        measurements: that were fitted.
        channel: which, with a vector meson.
        edges: of the bins, GeV^2 (n + 1,).
        bands: {scenario: {"dbr_dq2" or "f_l": its band}}.
        standard_model: {"dbr_dq2" or "f_l": averages (n,)} of the standard model.
    """

    measurements: tuple[Measurement, ...]
    channel: str
    edges: np.ndarray
    bands: Mapping[str, Mapping[str, Band]]
    standard_model: Mapping[str, np.ndarray]

    def dimensions(self) -> dict[str, tuple[str, ...]]:
        return {"edges": ("edge",), "standard_model": ("point",)}

    def coordinates(self) -> dict[str, Coordinate]:
        return {"edge": Coordinate(self.edges, "GeV^2")}

    @property
    def converged(self) -> bool:
        """Whether every bin has a range."""
        return all(bool(b.converged.all()) for one in self.bands.values() for b in one.values())

    @property
    def status(self) -> str:
        """Where there is none, in sentences."""
        pairs = [(f"{s}, {o}", b) for s, one in self.bands.items() for o, b in one.items()]
        bad = [f"{name}: {b.status}" for name, b in pairs if not b.converged.all()]
        return " ".join(bad) or "all bins have a range."

    def shown(self) -> Shown:
        n = len(self.edges) - 1
        title = f"{self.channel} in {n} bins of q2: {', '.join(self.bands)}"
        return Shown(title, notes=[self.status])


def fitted_spectra(
    sources: Mapping[str, Source], channel: str = "B0 -> K*0", *, width: float = 2.0
) -> FittedSpectra:
    """Return dBR/dq2 and F_L of scenarios in bins of q2.

    Args:
        sources: {label: fit, profile or posterior}; fits have bands from their covariance.
        channel: with a vector meson.
        width: of the bins, GeV^2.

    Raises:
        UnknownNameError, ParameterError: a channel that a model does not have.
    """
    analysis = analysis_of(next(iter(sources.values())))
    end = float(analysis.model.kinks(channel)[-1])
    inner = np.arange(0.0, end, width)
    if end - inner[-1] < 0.4 * width:
        inner = inner[:-1]
    edges = np.append(inner, end)
    bins = np.column_stack([edges[:-1], edges[1:]])
    bands = {
        label: {o: band(source, o, channel, bins) for o in ("dbr_dq2", "f_l")}
        for label, source in sources.items()
    }
    whole, part = _of_standard_model(analysis.model, channel, bins)
    null = {"dbr_dq2": whole / np.diff(edges), "f_l": part / whole}
    return FittedSpectra(tuple(analysis.measurements), channel, edges, bands, null)


def _of_standard_model(model: Any, channel: str, bins: np.ndarray) -> tuple[np.ndarray, ...]:
    """Branching fractions in bins (n,), and those with a longitudinal vector meson."""
    null = model.standard_model()
    values = {p.name: p.init for p in null.parameters}
    edges = [(float(low), float(high)) for low, high in bins]
    whole, part = at_once(
        "the standard model in bins", lambda: in_bins(null, channel, values, edges)
    )
    return np.asarray(whole), np.asarray(part)
