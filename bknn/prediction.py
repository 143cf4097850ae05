"""What a model predicts: branching fractions, spectra, polarisation, ratios to the SM."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.scipy.special import ndtr
from jax.typing import ArrayLike

from bknn import errors, probe, standard_model
from bknn.answers.answer import Answer, Shown
from bknn.answers.digits import span, with_error
from bknn.channels import CHANNELS, Channel
from bknn.channels import channel as find_channel
from bknn.inputs import HPQCD_2022, STANDARD
from bknn.parameters import of_either_sign, point
from bknn.precision import require_x64
from bknn.response.breit_wigner import bin_fractions, breit_wigner
from bknn.spectrum import Shapes, Spectrum

#: Observables and what they are.
OBSERVABLES: Mapping[str, str] = {
    "branching_ratio": "branching fraction, of a q2 bin or in all",
    "dbr_dq2": "differential branching fraction at q2, GeV^-2 (lines without a width left out)",
    "f_l": "longitudinal fraction of the vector meson, of a q2 bin, at q2, or in all",
    "r_k": "branching fraction of B -> K over the standard model's",
    "r_kstar": "branching fraction of B -> K* over the standard model's",
    "r_phi": "branching fraction of Bs -> phi over the standard model's",
    "r_f_l": "longitudinal fraction over the standard model's",
}

#: The decay of the measurements' own templates, and of spectra that know no other.
_TEMPLATE = "B+ -> K+"

#: Which part of a rate: what an experiment sees, or what is new in it.
PARTS: Mapping[str, str] = {
    "all": "the standard model and what is new, as an experiment sees them",
    "new": "what is new alone, without the standard model",
}

Q2 = ArrayLike | tuple[float, float] | None

#: Gauss-Legendre nodes of an integral over q2, after the square roots at its ends are taken out.
_NODES = 64

#: Points that are printed.
_SHOWN = 10


@jax.tree_util.register_dataclass
@dataclass(frozen=True, eq=False, repr=False)
class Prediction(Answer):
    """A prediction and its uncertainty (one standard deviation).

    The uncertainty is that of the form factors and of the other constrained parameters of the
    model, propagated linearly; parameters of the model that are free are taken as given.

    Attributes:
        value, uncertainty: a number, or arrays of the shape of `q2`.
        observable, channel: which.
        q2: GeV^2: a bin, points, or None for all of phase space.
        part: "all", or "new" for the new state alone.

    >>> import numpy as np
    >>> print(Prediction(np.array(4.92e-6), np.array(0.34e-6), "branching_ratio", "B+ -> K+"))
    branching_ratio, B+ -> K+: (4.92 +- 0.34)e-06
    """

    value: Array
    uncertainty: Array
    observable: str = field(default="", metadata={"static": True})
    channel: str = field(default="", metadata={"static": True})
    q2: Any = None
    part: str = field(default="all", metadata={"static": True})

    def __iter__(self) -> Iterator[Array]:
        """Value and uncertainty, one after the other."""
        return iter((self.value, self.uncertainty))

    def dimensions(self) -> dict[str, tuple[str, ...]]:
        points = tuple(f"point_{i}" if i else "point" for i in range(np.ndim(self.value)))
        return dict.fromkeys(("value", "uncertainty", "q2"), points)

    def field_units(self) -> dict[str, str]:
        unit = {"dbr_dq2": "GeV^-2"}.get(self.observable, "")
        return {"value": unit, "uncertainty": unit, "q2": "GeV^2"}

    @property
    def converged(self) -> np.ndarray:
        """Whether there is a number, of the shape of `value`."""
        return np.isfinite(self.value) & np.isfinite(self.uncertainty)

    @property
    def status(self) -> str:
        """How many numbers there are, in a sentence."""
        bad = int(np.sum(~self.converged))
        return f"{bad} of {self.converged.size} values are no numbers." if bad else "computed."

    def columns(self) -> dict[str, np.ndarray]:
        """One row a point."""
        value, uncertainty = (np.atleast_1d(x) for x in (self.value, self.uncertainty))
        points = isinstance(self.q2, tuple) or self.q2 is None
        along = {} if points else {"q2": np.broadcast_to(self.q2, value.shape).reshape(-1)}
        return {**along, "value": value.reshape(-1), "uncertainty": uncertainty.reshape(-1)}

    def shown(self) -> Shown:
        if not _known(self.value, self.uncertainty):
            return Shown(f"{self._what}: traced by JAX")
        unit = self.field_units()["value"]
        if np.ndim(self.value) == 0:
            return Shown(f"{self._what}: {with_error(self.value, self.uncertainty, unit)}")
        rows = self.columns()
        q2 = rows.pop("q2", np.full(len(rows["value"]), np.nan))
        texts = [
            (f"{x:.4g}", with_error(value, error, unit))
            for x, value, error in zip(q2, rows["value"], rows["uncertainty"], strict=True)
        ]
        if len(texts) > _SHOWN:
            texts = [*texts[: _SHOWN // 2], ("...", ""), *texts[-_SHOWN // 2 :]]
        return Shown(self._what, ("q2 [GeV^2]", "value"), texts)

    @property
    def _what(self) -> str:
        words = [self.observable, self.channel]
        if isinstance(self.q2, tuple):
            low, high = self.q2
            words.append(f"q2 in {span(low, high, 'GeV^2')}")
        elif self.q2 is not None and np.ndim(self.q2) == 0:
            words.append(f"q2 = {self.q2:.4g} GeV^2")
        return ", ".join([*filter(None, words), *(["new part"] if self.part == "new" else [])])


def predict(
    model: Any,
    observable: str = "branching_ratio",
    channel: str = "B+ -> K+",
    params: Mapping[str, ArrayLike] | None = None,
    q2: Q2 = None,
    *,
    part: str = "all",
) -> Prediction:
    """Return what a model predicts for an observable.

    Args:
        model: from `bknn.models.load` or `from_spectrum`, or one of your own.
        observable: one of `bknn.prediction.OBSERVABLES`.
        channel: one of `bknn.channels.CHANNELS`.
        params: {name: value}; parameters that are not there are at their start, form-factor
            parameters (`ff_...`) at their central values. Where one coupling is there, those that
            are not are 0 (`bknn.parameters.point`).
        q2: GeV^2; a pair is a bin, a number or an array are points (for `dbr_dq2` and `f_l`), None
            is all of phase space.
        part: "all", or "new" for the new state alone, without the standard model; a ratio is then
            that of the new state to the standard model.

    Raises:
        UnknownNameError: an observable, channel, or parameter that does not exist.
        UndefinedError: an observable that the channel or the model does not have, or that is not
            defined at this q2: where nothing decays there are no polarisation and no ratio.
        ParameterError: a q2 or another value that is none, or a spectrum of your own that is no
            function of q2.
        PrecisionError: JAX runs in single precision.

    Example:
        >>> import bknn; bknn.enable_x64()
        >>> from bknn import models
        >>> sm = bknn.predict(models.load("sm"), "branching_ratio", "B+ -> K+")
        >>> f"{float(sm.value):.1e}"
        '4.9e-06'
    """
    require_x64()
    where = find_channel(channel)
    check(model, observable, channel, q2, part=part)
    values, floating, sigma = _values(model, where, params or {})
    if not knows_standard_model(model):
        # As in an analysis: a spectrum of one's own sees numbers of JAX, with their 1/0.
        fixed = {p.name for p in model.parameters if p.fixed}
        values = {n: x if n in fixed else jnp.asarray(x, float) for n, x in values.items()}
    names = list(floating)

    def evaluate(moved: Array) -> tuple[Array, Array]:
        at = values | {n: moved[i] for i, n in enumerate(names)}
        above, below = _fraction(model, observable, where, at, q2, part=part)
        return _ratio(above, below), below

    centre = jnp.array([floating[n] for n in names], float)
    if names:
        program = jax.jit(lambda x: (*evaluate(x), jax.jacfwd(lambda x: evaluate(x)[0])(x)))
        found, below, slopes = program(centre)
        uncertainty = jnp.sqrt(slopes**2 @ sigma**2)
    else:
        found, below = evaluate(centre)
        uncertainty = jnp.zeros_like(found)
    result = Prediction(found, uncertainty, observable, channel, q2, part)
    if _known(result, below):
        _check_result(model, observable, channel, q2, result, below)
    return result


def value(
    model: Any,
    observable: str,
    channel: str,
    params: Mapping[str, ArrayLike],
    q2: Q2 = None,
    *,
    resolution: float = 0.0,
    part: str = "all",
) -> Array:
    """Return the value alone, a pure JAX function of the parameters; arguments as for `predict`,
    but with all parameters given (form-factor ones may be left out).

    Nothing is looked at: polarisations and ratios where nothing decays, which `predict` refuses,
    are 0.

    With a `resolution`, a standard deviation in GeV^2, a narrow line is smeared across the edges of
    a bin; continua are not.
    """
    where = find_channel(channel)
    return _ratio(*_fraction(model, observable, where, params, q2, resolution, part))


def _fraction(
    model: Any,
    observable: str,
    where: Channel,
    params: Mapping[str, ArrayLike],
    q2: Q2,
    resolution: float = 0.0,
    part: str = "all",
) -> tuple[Array, Array]:
    """Return what an observable is the ratio of, 1 below for what is none."""

    def rate(longitudinal: bool = False) -> Array:
        spectrum = spectrum_of(model, params, where.name, longitudinal=longitudinal, part=part)
        if observable == "dbr_dq2" or not (q2 is None or isinstance(q2, tuple)):
            return _density(spectrum, jnp.asarray(q2, float))
        return _amount(model, spectrum, q2, where, resolution)

    if observable in ("dbr_dq2", "branching_ratio"):
        found = rate()
        return found, jnp.ones_like(found)
    if observable == "f_l":
        return rate(longitudinal=True), rate()
    # Ratios: the standard model with the same form factors, inputs and nuisances.
    null, null_params = null_of(model, params)
    if observable != "r_f_l":
        return rate(), _amount(null, null.spectrum(null_params, where.name), q2, where)
    of_null = _ratio(*_fraction(null, "f_l", where, null_params, q2))
    above, below = rate(longitudinal=True), rate()
    return above, below * of_null


def _ratio(above: Array, below: Array) -> Array:
    """Return above / below, 0 where there is nothing below, with finite derivatives."""
    return jnp.where(below > 0.0, above / jnp.where(below > 0.0, below, 1.0), 0.0)


def spectrum_of(
    model: Any,
    params: Mapping[str, ArrayLike],
    channel: str,
    *,
    longitudinal: bool = False,
    part: str = "all",
) -> Spectrum:
    """Return the spectrum of a channel, or the longitudinal or new part of it.

    `longitudinal` and `part` are handed on to models whose `spectrum` takes them; of another one
    the multiple of the standard model's template is left out for `part="new"`.
    """
    options: dict[str, Any] = {"longitudinal": True} if longitudinal else {}
    if part == "new" and takes(model, "part"):
        options["part"] = part
    spectrum: Spectrum = model.spectrum(params, channel, **options)
    if part == "new" and not takes(model, "part"):
        return Spectrum(0.0, spectrum.continuum, spectrum.lines)
    return spectrum


def takes(model: Any, option: str) -> bool:
    """Return whether the `spectrum` of a model takes a keyword."""
    known = inspect.signature(model.spectrum).parameters
    return option in known or any(p.kind is p.VAR_KEYWORD for p in known.values())


def branching_ratio(
    model: Any,
    channel: str,
    spectrum: Spectrum,
    *,
    q2: Q2 = None,
    resolution: float = 0.0,
    held: bool = False,
) -> Array:
    """Return the branching fraction of a spectrum that a model has for a channel; `held` as for
    `Continuum.as_shapes`, other arguments as for `value`."""
    return _amount(model, spectrum, q2, find_channel(channel), resolution, held)


def _amount(
    model: Any,
    spectrum: Spectrum,
    q2: Q2,
    where: Channel,
    resolution: float = 0.0,
    held: bool = False,
) -> Array:
    """Return the branching fraction in a bin (a, b), or in all."""
    low, high = (0.0, jnp.inf) if q2 is None else q2  # type: ignore[misc]
    total = jnp.zeros(())
    if where.daughter is not None:
        edges = _pieces(model, where)
        for part in spectrum.continua:
            start = jnp.maximum(low, 0.0 if part.threshold is None else part.threshold)
            if _known(low, high, edges) and (found := part.as_shapes(held)) is not None:
                if part.threshold is None:
                    start = np.maximum(low, 0.0)
                total = total + _integral_of_shapes(found, start, high, edges)
            else:
                total = total + _integral(part.density, start, high, edges)
        if spectrum.uses_template:
            null = _integral(standard_model.dbr_dq2, jnp.maximum(low, 0.0), high, edges)
            total = total + spectrum.standard_model * null
    for line in spectrum.lines:
        mass = jnp.asarray(line.mass, float)
        if q2 is None:
            fraction = jnp.ones(())
        elif line.known_narrow and resolution > 0.0:
            upper, lower = (ndtr((edge - mass**2) / resolution) for edge in (high, low))
            fraction = upper - lower
        elif line.known_narrow:
            fraction = jnp.where((mass**2 >= low) & (mass**2 < high), 1.0, 0.0)
        else:
            first, last = jnp.asarray(low, float), jnp.asarray(high, float)
            # A width takes nothing out of all of phase space; an infinite edge has no slope.
            everything = (first <= 0.0) & jnp.isinf(last)
            edges_of_bin = jnp.stack([first, jnp.where(everything, 1.0 + first, last)])
            inside = bin_fractions(edges_of_bin, mass, line.width)[0]
            fraction = jnp.where(everything, 1.0, inside)
        total = total + line.branching_ratio * fraction
    return total


def _pieces(model: Any, where: Channel) -> tuple[ArrayLike, ...]:
    """Return the q2 where spectra have kinks, the last one the endpoint of phase space."""
    if hasattr(model, "kinks"):
        return tuple(model.kinks(where.name))
    return (end_of(where),)


def end_of(where: Channel) -> float:
    """Return the largest q2 of a channel, GeV^2, for models that do not say."""
    if where.name == _TEMPLATE:
        masses = [HPQCD_2022.mass_b, HPQCD_2022.mass_k]
    else:
        masses = [STANDARD.masses[m] for m in (where.parent, where.daughter) if m is not None]
    parent, daughter = (*np.asarray(masses, float), 0.0)[:2]
    return float((parent - daughter) ** 2)


def _integral(
    density: Callable[[Array], Array],
    low: ArrayLike,
    high: ArrayLike,
    kinks: Sequence[ArrayLike],
) -> Array:
    """Integrate over q2 from low to high, piece by piece; 0 if there is nothing between."""
    nodes, weights = _quadrature(low, high, kinks, jnp)
    return jnp.sum(weights * density(nodes))


def _integral_of_shapes(
    shapes: Shapes, low: ArrayLike, high: ArrayLike, kinks: Sequence[ArrayLike]
) -> Array:
    """Return the same of a sum of shapes; fixed ones are integrated when the program is traced."""
    nodes, weights = _quadrature(low, high, kinks, np if _known(low) else jnp)
    return shapes.weights @ (shapes.functions(nodes) @ weights)


def _known(*numbers: Any) -> bool:
    """Return whether no number is traced."""
    return not any(isinstance(x, jax.core.Tracer) for x in jax.tree.leaves(numbers))


def _quadrature(
    low: ArrayLike, high: ArrayLike, kinks: Sequence[ArrayLike], numbers: Any
) -> tuple[Any, Any]:
    """Return nodes and weights (n,) of the integral from low to high, computed by numpy or
    jax.numpy.

    With q2 = a + (b - a) (1 - cos(pi u)) / 2 a square root at either end is smooth in u.
    """
    x, w = np.polynomial.legendre.leggauss(_NODES)
    u, w = 0.5 * (x + 1.0), 0.5 * w
    nodes, weights = [], []
    for kink in kinks:
        a, b = numbers.minimum(low, kink), numbers.minimum(high, kink)
        width = numbers.maximum(b - a, 0.0)
        nodes.append(a + width * 0.5 * (1.0 - np.cos(np.pi * u)))
        weights.append(width * (0.5 * np.pi * np.sin(np.pi * u) * w))
        low = numbers.maximum(low, kink)
    return numbers.concatenate(nodes), numbers.concatenate(weights)


def _density(spectrum: Spectrum, q2: Array) -> Array:
    """Return dBR/dq2 at points, Breit-Wigner lines included, narrow ones not."""
    flat = q2.reshape(-1)
    total = jnp.zeros_like(flat)
    for part in spectrum.continua:
        total = total + part.density(flat)
    if spectrum.uses_template:
        total = total + spectrum.standard_model * standard_model.dbr_dq2(flat)
    for line in spectrum.lines:
        if not line.known_narrow:
            mass, width = jnp.asarray(line.mass, float), jnp.asarray(line.width, float)
            total = total + line.branching_ratio * breit_wigner(flat, mass, width)
    return total.reshape(q2.shape)


def null_of(model: Any, params: Mapping[str, ArrayLike]) -> tuple[Any, Mapping[str, ArrayLike]]:
    """Return the standard model with the same form factors, inputs and nuisances, and its
    parameters."""
    if knows_standard_model(model):
        return model.standard_model(), {"sm_normalisation": 1.0, **params}
    if model.null and not _is_template(model):
        return model, {**params, **model.null}
    return _Template(), {}


def knows_standard_model(model: Any) -> bool:
    """Return whether a model makes the standard model of every decay, with form factors of its
    own."""
    return callable(getattr(model, "standard_model", None))


def _is_template(model: Any) -> bool:
    """Return whether the standard model of a model is the measurement's template."""
    return probe.traced(model, _TEMPLATE).uses_template


class _Template:
    """The standard model behind the measurement's template, for models that multiply it."""

    def spectrum(self, params: Mapping[str, ArrayLike], channel: str) -> Spectrum:
        return Spectrum(standard_model=1.0)


def _values(
    model: Any, where: Channel, params: Mapping[str, ArrayLike]
) -> tuple[dict[str, Any], dict[str, Any], np.ndarray]:
    """Return all values, those that are uncertain, and their standard deviations."""
    nuisances = model.nuisances([where.name]) if hasattr(model, "nuisances") else ()
    known = {p.name: p for p in of_either_sign((*model.parameters, *nuisances), params)}
    for name, x in params.items():
        if name not in known:
            own = [p.name for p in model.parameters]
            raise errors.unknown("parameter", name, own, f"model {model.name!r}", list(known))
        if not isinstance(x, jax.core.Tracer):
            known[name].check(x)
    values: dict[str, Any] = {p.name: p.init for p in nuisances} | point(model, params)
    floating = {n: values[n] for n, p in known.items() if p.constraint is not None}
    sigma = [p.constraint[1] for p in known.values() if p.constraint is not None]
    return values, floating, np.array(sigma)


def check(
    model: Any,
    observable: str,
    channel: str,
    q2: Q2 = None,
    *,
    part: str = "all",
    end: float | None = None,
    free: Container[str] = (),
) -> None:
    """Refuse what makes no sense, with the reason.

    Args:
        model, observable, channel, q2, part: as for `predict`.
        end: of the q2 at which data ask for the spectrum, GeV^2; of phase space by default.
        free: parameters that float although the model keeps them fixed.

    Raises:
        UnknownNameError, UndefinedError, ParameterError: as for `predict`.
    """
    where = find_channel(channel)
    if observable not in OBSERVABLES:
        raise errors.unknown("observable", observable, OBSERVABLES)
    if part not in PARTS:
        raise errors.unknown("part", part, PARTS)
    _check_combination(observable, where, q2)
    _check_region(observable, q2)
    _check_model(model, where, end, free)
    if observable in ("f_l", "r_f_l") and not takes(model, "longitudinal"):
        raise errors.UndefinedError(
            f"model {model.name!r} says nothing about {observable!r}, because its `spectrum` does "
            "not take `longitudinal`; with longitudinal=True it must return the decays with the "
            "vector meson in helicity 0."
        )
    if part == "new":
        _check_new(model, where)
    if observable not in ("branching_ratio", "dbr_dq2"):
        _check_inside(model, observable, where, q2)


def _check_region(observable: str, q2: Q2) -> None:
    """Refuse a q2 that is none."""
    if isinstance(q2, tuple):
        if observable == "dbr_dq2":
            raise errors.UndefinedError(
                f"'dbr_dq2' is asked for in a bin {q2}, but it is a function of q2; give one q2 or "
                "an array, or ask for 'branching_ratio'."
            )
        if not _known(q2):
            return
        if len(q2) != 2 or not 0.0 <= q2[0] < q2[1]:
            raise errors.ParameterError(
                f"q2 = {q2} is not a bin; give (lower, upper) in GeV^2 with 0 <= lower < upper."
            )
    elif q2 is None:
        if observable == "dbr_dq2":
            raise errors.UndefinedError("'dbr_dq2' needs q2, a number or an array in GeV^2.")
    elif observable not in ("dbr_dq2", "f_l", "r_f_l"):
        raise errors.UndefinedError(
            f"{observable!r} is asked for at a point; give a bin (lower, upper) in GeV^2, or no q2 "
            "for all of phase space."
        )
    elif _known(q2):
        points = np.asarray(q2, float)
        bad = points[~(np.isfinite(points) & (points >= 0.0))]
        if bad.size:
            raise errors.ParameterError(
                f"q2 = {bad.flat[0]:g} GeV^2 is no squared mass; give numbers that are not "
                "negative."
            )


def _check_combination(observable: str, where: Channel, q2: Q2) -> None:
    """Refuse an observable that a decay does not have."""
    if observable in ("f_l", "r_f_l") and not where.vector:
        raise errors.UndefinedError(
            f"{observable!r} is the polarisation of a vector meson, and {where.name!r} has none; "
            f"choose one of {', '.join(c.name for c in CHANNELS.values() if c.vector)}."
        )
    if observable in ("r_k", "r_kstar", "r_phi") and observable != where.ratio:
        fitting = [c.name for c in CHANNELS.values() if c.ratio == observable]
        other = f", or {where.ratio!r}" if where.ratio in OBSERVABLES else ""
        raise errors.UndefinedError(
            f"{observable!r} is a ratio of {' or '.join(fitting)}, not of {where.name!r}; choose "
            f"one of them{other}."
        )
    if where.daughter is None and (observable != "branching_ratio" or q2 is not None):
        raise errors.UndefinedError(
            f"{where.name!r} has one q2, m_Bs^2, so that {observable!r} of a q2 range is not "
            "defined; ask for 'branching_ratio' without q2."
        )


def _check_model(model: Any, where: Channel, end: float | None, free: Container[str]) -> None:
    """Refuse a decay that a model says nothing about, and spectra that are none."""
    if knows_standard_model(model):  # form factors of all decays
        if where.daughter is not None:
            last = _pieces(model, where)[-1]
            if _known(last):
                probe.look_at(model, where.name, max(float(np.asarray(last)), end or 0.0), free)
        return
    if where.name != _TEMPLATE and probe.traced(model, where.name).uses_template:
        raise errors.UndefinedError(
            f"model {model.name!r} multiplies the standard-model template of {_TEMPLATE!r} and "
            f"says nothing about {where.name!r}; a model with couplings ('vector', 'wet', ...) "
            "predicts all channels, and one of your own does where its `spectrum` has the standard "
            "model in the continuum."
        )
    probe.look_at(
        model, where.name, max(float(np.asarray(_pieces(model, where)[-1])), end or 0.0), free
    )


def _check_new(model: Any, where: Channel) -> None:
    """Refuse to tell what is new from the standard model where that cannot be done."""
    if takes(model, "part"):
        # Only the model knows.
        values = point(model, {})
        jax.eval_shape(lambda: jnp.zeros(len(_spectrum_lines(model, values, where))))
        return
    found = probe.traced(model, where.name)
    if found.continuum is not None and not found.uses_template:
        raise errors.UndefinedError(
            f"the continuum of model {model.name!r} may hold the standard model, so that what is "
            "new cannot be told apart; let its `spectrum` take `part`, and leave the standard "
            "model out where part='new'."
        )
    if found.continuum is None and not found.lines:
        raise errors.UndefinedError(
            f"model {model.name!r} has nothing beyond the standard model; leave out `part`."
        )


def _spectrum_lines(model: Any, values: Mapping[str, Any], where: Channel) -> tuple[Any, ...]:
    return spectrum_of(model, values, where.name, part="new").lines


def _check_inside(model: Any, observable: str, where: Channel, q2: Q2) -> None:
    """Refuse polarisations and ratios beyond the end of phase space."""
    last = _pieces(model, where)[-1]
    if q2 is None or not _known(last, q2):
        return
    last = float(np.asarray(last))
    lowest = q2[0] if isinstance(q2, tuple) else np.max(np.asarray(q2, float), initial=0.0)
    if lowest >= last:
        what = f"in the bin {q2}" if isinstance(q2, tuple) else f"at q2 = {lowest:g} GeV^2"
        raise errors.UndefinedError(
            f"{observable!r} of {where.name!r} is not defined {what}, where nothing decays: phase "
            f"space ends at {last:.4g} GeV^2."
        )


def _check_result(
    model: Any, observable: str, channel: str, q2: Q2, found: Prediction, below: Array
) -> None:
    """Refuse what came out and is no number."""
    if np.any(np.asarray(below) <= 0.0):
        points = None if q2 is None or isinstance(q2, tuple) else np.asarray(q2, float)
        where = "" if points is None else f" at q2 = {points[np.asarray(below) <= 0.0][0]:g} GeV^2"
        where = f" in the bin {q2}" if isinstance(q2, tuple) else where
        raise errors.UndefinedError(
            f"{observable!r} of {channel!r} is not defined{where} for model {model.name!r}, "
            "because there nothing decays (a narrow line is in bins, not at points)."
        )
    if not all(np.isfinite(np.asarray(x)).all() for x in found):
        raise errors.ParameterError(
            f"{observable!r} of {channel!r} is not a finite number for model {model.name!r} at "
            "these parameters; look at its dB/dq2 there."
        )
