"""What a model predicts for a channel over q2, and the standard model beside it, as numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import numpy as np

from bknn import errors
from bknn.channels import Channel
from bknn.channels import channel as find_channel
from bknn.parameters import point
from bknn.plot.drawing.lines import DrawnLine
from bknn.plot.drawing.q2 import around, behind
from bknn.postfit.parts_of_signal import standard_model_of
from bknn.prediction import Prediction, end_of, predict
from bknn.spectrum import Line, Spectrum

_POINTS = 300


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


@dataclass(frozen=True, eq=False)
class Comparison:
    """Predictions for a channel over q2.

    Attributes:
        channel: which.
        end: the end of phase space, GeV^2.
        q2: GeV^2 (n,).
        model, standard_model: what they predict; the latter None if the model is it.
        lines: two-body states that occur.
        polarisations: longitudinal fractions of the vector mesons beside them.
    """

    channel: Channel
    end: float
    q2: np.ndarray
    model: Predicted
    standard_model: Predicted | None
    lines: tuple[DrawnLine, ...]
    polarisations: tuple[Prediction | None, ...]


class _Part:
    """A model of which only a part of the spectrum is left."""

    def __init__(self, model: Any, keep: Callable[[Spectrum], Spectrum]) -> None:
        self._model, self._keep = model, keep

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def spectrum(self, params: Mapping[str, Any], channel: str, **options: bool) -> Spectrum:
        return self._keep(self._model.spectrum(params, channel, **options))


def compare(model: Any, channel: str, params: Mapping[str, float]) -> Comparison:
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
    params = point(model, {name: float(x) for name, x in params.items()})
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
    @jax.jit
    def everything() -> Any:
        lines = [_Part(model, _only(i)) for i in range(len(states))]
        return (
            of(model, params, _Part(model, _without([x.narrow for x in states]))),
            None if alone else of(null, {}, null),
            [predict(x, "branching_ratio", channel, params) for x in lines],
            [predict(x, "f_l", channel, params) if where.vector else None for x in lines],
        )

    found, standard, ratios, polarisations = jax.tree.map(np.asarray, everything())
    lines = [
        DrawnLine(x.mass, (float(ratio.value), float(ratio.uncertainty)), x.width)
        for x, ratio in zip(states, ratios, strict=True)
    ]
    seen = [i for i, x in enumerate(lines) if x.branching_ratio[0] != 0 and x.mass[0] ** 2 < end]
    return Comparison(
        where,
        end,
        q2,
        found,
        standard,
        tuple(lines[i] for i in seen),
        tuple(polarisations[i] for i in seen),
    )


def _null(model: Any, where: Channel) -> Any:
    from bknn.models import load

    template = where.name == "B+ -> K+"
    return standard_model_of(model) or load("signal-strength" if template else "sm")


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
) -> tuple[list[DrawnLine], list[float]]:
    """Return the lines, branching ratios still unknown, and where continua have a kink."""

    # Compiled, so that no rate is computed.
    @jax.jit
    def places() -> Any:
        spectrum = model.spectrum(params, where.name)
        lines = [(x.mass, x.width) for x in spectrum.lines]
        return lines, [c.threshold for c in spectrum.continua if c.threshold is not None]

    lines, starts = places()
    kinks = model.kinks(where.name)[:-1] if hasattr(model, "kinks") else ()
    states = [DrawnLine((float(m), 0.0), (np.nan, 0.0), (float(w), 0.0)) for m, w in lines]
    return states, [float(x) for x in (*starts, *kinks)]


def _endpoint(model: Any, where: Channel) -> float:
    if hasattr(model, "kinks"):
        return float(model.kinks(where.name)[-1])
    return end_of(where)


def _grid(states: Sequence[DrawnLine], starts: Sequence[float], end: float) -> np.ndarray:
    # At the very end nothing decays, and there is no polarisation.
    last = end * (1 - 1e-9)
    wide = [x for x in states if not x.narrow]
    peaks = around([x.mass[0] ** 2 for x in wide], [x.mass[0] * x.width[0] for x in wide], last)
    pieces = [np.linspace(0.0, last, _POINTS), *peaks, *behind(starts, last)]
    return np.unique(np.concatenate(pieces))
