"""What a model predicts: branching fractions, spectra, polarisation, ratios to the SM."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.scipy.special import ndtr
from jax.typing import ArrayLike

from bknn import errors
from bknn.decay import standard_model
from bknn.decay.channels import CHANNELS, Channel
from bknn.decay.channels import channel as find_channel
from bknn.inputs import HPQCD_2022
from bknn.kinematics import endpoint
from bknn.likelihood.histfactory import require_x64
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

Q2 = ArrayLike | tuple[float, float] | None

#: Gauss-Legendre nodes of an integral over q2, after the square roots at its ends are taken out.
_NODES = 64


class Prediction(NamedTuple):
    """A prediction and its uncertainty (one standard deviation).

    The uncertainty is that of the form factors and of the other constrained parameters of the
    model, propagated linearly; parameters of the model that are free are taken as given.
    """

    value: Array
    uncertainty: Array


def predict(
    model: Any,
    observable: str = "branching_ratio",
    channel: str = "B+ -> K+",
    params: Mapping[str, ArrayLike] | None = None,
    q2: Q2 = None,
) -> Prediction:
    """Return what a model predicts for an observable.

    Args:
        model: from `bknn.models.load` or `from_spectrum`.
        observable: one of `bknn.prediction.OBSERVABLES`.
        channel: one of `bknn.decay.channels.CHANNELS`.
        params: {name: value}; parameters that are not there are at their start, form-factor
            parameters (`ff_...`) at their central values.
        q2: GeV^2; a pair is a bin, a number or an array are points (for `dbr_dq2` and `f_l`), None
            is all of phase space.

    Raises:
        UnknownNameError: an observable, channel, or parameter that does not exist.
        ParameterError: an observable that the channel does not have, q2 that does not fit to it, or
            a value that is not a number.
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
    check(model, observable, channel, q2)
    values, floating, sigma = _values(model, where, params or {})
    names = list(floating)

    def evaluate(moved: Array) -> Array:
        point = values | {n: moved[i] for i, n in enumerate(names)}
        return value(model, observable, channel, point, q2)

    centre = jnp.array([floating[n] for n in names], float)
    if not names:
        result = evaluate(centre)
        return Prediction(result, jnp.zeros_like(result))
    found, slopes = jax.jit(lambda x: (evaluate(x), jax.jacfwd(evaluate)(x)))(centre)
    return Prediction(found, jnp.sqrt(slopes**2 @ sigma**2))


def value(
    model: Any,
    observable: str,
    channel: str,
    params: Mapping[str, ArrayLike],
    q2: Q2 = None,
    *,
    resolution: float = 0.0,
) -> Array:
    """Return the value alone, a pure JAX function of the parameters; arguments as for `predict`,
    but with all parameters given (form-factor ones may be left out).

    With a `resolution`, a standard deviation in GeV^2, a narrow line is smeared across the edges of
    a bin; continua are not.
    """
    where = find_channel(channel)
    if observable == "dbr_dq2":
        return _density(_spectrum(model, params, where), jnp.asarray(q2, float))
    if observable == "branching_ratio":
        return _amount(model, _spectrum(model, params, where), q2, where, resolution)
    if observable == "f_l":
        return _f_l(model, params, where, q2, resolution)
    # Ratios: the standard model with the same form factors, inputs and nuisances.
    null, null_params = null_of(model, params)
    if observable == "r_f_l":
        longitudinal = _f_l(model, params, where, q2, resolution)
        return longitudinal / _f_l(null, null_params, where, q2)
    above = _amount(model, _spectrum(model, params, where), q2, where, resolution)
    return above / _amount(null, _spectrum(null, null_params, where), q2, where)


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


def _f_l(
    model: Any,
    params: Mapping[str, ArrayLike],
    where: Channel,
    q2: Q2,
    resolution: float = 0.0,
) -> Array:
    whole = _spectrum(model, params, where)
    part = _spectrum(model, params, where, longitudinal=True)
    if q2 is None or isinstance(q2, tuple):
        above, below = (_amount(model, s, q2, where, resolution) for s in (part, whole))
    else:
        above, below = (_density(s, jnp.asarray(q2, float)) for s in (part, whole))
    # Where nothing decays there is no polarisation: 0, not NaN.
    return jnp.where(below > 0.0, above / jnp.where(below > 0.0, below, 1.0), 0.0)


def _spectrum(
    model: Any, params: Mapping[str, ArrayLike], where: Channel, **options: bool
) -> Spectrum:
    spectrum: Spectrum = model.spectrum(params, where.name, **options)
    return spectrum


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
    return (endpoint(HPQCD_2022.mass_b, HPQCD_2022.mass_k),)


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
    """Return the standard model with the same form factors, inputs and nuisances."""
    if hasattr(model, "form_factors"):
        return model.standard_model(), {"sm_normalisation": 1.0, **params}
    return _Template(), {}


class _Template:
    """The standard model behind the measurement's template, for models that multiply it."""

    def spectrum(self, params: Mapping[str, ArrayLike], channel: str) -> Spectrum:
        return Spectrum(standard_model=1.0)


def _values(
    model: Any, where: Channel, params: Mapping[str, ArrayLike]
) -> tuple[dict[str, Any], dict[str, Any], np.ndarray]:
    """Return all values, those that are uncertain, and their standard deviations."""
    nuisances = model.nuisances([where.name]) if hasattr(model, "nuisances") else ()
    known = {p.name: p for p in (*model.parameters, *nuisances)}
    for name, x in params.items():
        if name not in known:
            own = [p.name for p in model.parameters]
            raise errors.unknown("parameter", name, own, f"model {model.name!r}", list(known))
        if not isinstance(x, jax.core.Tracer):
            known[name].check(x)
    values: dict[str, Any] = {n: params.get(n, p.init) for n, p in known.items()}
    floating = {n: values[n] for n, p in known.items() if p.constraint is not None}
    sigma = [p.constraint[1] for p in known.values() if p.constraint is not None]
    return values, floating, np.array(sigma)


def check(model: Any, observable: str, channel: str, q2: Q2 = None) -> None:
    """Refuse what makes no sense, with the reason.

    Raises:
        UnknownNameError, ParameterError: as for `predict`.
    """
    where = find_channel(channel)
    if observable not in OBSERVABLES:
        raise errors.unknown("observable", observable, OBSERVABLES)
    if not hasattr(model, "form_factors") and where.name != "B+ -> K+":
        raise errors.ParameterError(
            f"model {model.name!r} is a spectrum of B+ -> K+ and says nothing about "
            f"{where.name!r}; a model with couplings ('vector', 'wet', ...) predicts all channels."
        )
    if observable in ("f_l", "r_f_l") and not where.vector:
        raise errors.ParameterError(
            f"{observable!r} is the polarisation of a vector meson, and {where.name!r} has none; "
            f"choose one of {', '.join(c.name for c in CHANNELS.values() if c.vector)}."
        )
    if observable in ("r_k", "r_kstar", "r_phi") and observable != where.ratio:
        fitting = [c.name for c in CHANNELS.values() if c.ratio == observable]
        raise errors.ParameterError(
            f"{observable!r} is a ratio of {' or '.join(fitting)}, not of {where.name!r}; choose "
            f"one of them, or {where.ratio!r}."
        )
    if where.daughter is None and (observable != "branching_ratio" or q2 is not None):
        raise errors.ParameterError(
            f"{where.name!r} has one q2, m_Bs^2, so that {observable!r} of a q2 range is not "
            "defined; ask for 'branching_ratio' without q2."
        )
    if isinstance(q2, tuple):
        if observable == "dbr_dq2":
            raise errors.ParameterError(
                f"'dbr_dq2' is asked for in a bin {q2}, but it is a function of q2; give one q2 or "
                "an array, or ask for 'branching_ratio'."
            )
        if len(q2) != 2 or not q2[0] < q2[1]:
            raise errors.ParameterError(
                f"q2 = {q2} is not a bin; give (lower, upper) in GeV^2 with lower < upper."
            )
    elif q2 is None:
        if observable == "dbr_dq2":
            raise errors.ParameterError("'dbr_dq2' needs q2, a number or an array in GeV^2.")
    elif observable not in ("dbr_dq2", "f_l", "r_f_l"):
        raise errors.ParameterError(
            f"{observable!r} is asked for at a point; give a bin (lower, upper) in GeV^2, or no q2 "
            "for all of phase space."
        )
