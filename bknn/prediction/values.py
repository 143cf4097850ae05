"""The values that a model predicts, with the uncertainty of its constrained parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from bknn import errors
from bknn.channels import Channel
from bknn.channels import channel as find_channel
from bknn.kinematics import known
from bknn.parameters import of_either_sign, point
from bknn.precision import require_x64
from bknn.prediction.checks import check, check_point
from bknn.prediction.derived import (
    channels_of,
    check_quantity,
    derived,
    derived_quantities,
    together,
)
from bknn.prediction.integrals import Q2, amount, density
from bknn.prediction.parts import knows_standard_model, null_of, spectrum_of
from bknn.prediction.prediction import Prediction
from bknn.programs import Programs
from bknn.spectrum import Spectrum


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
        observable: one of `bknn.prediction.OBSERVABLES`, or a derived quantity of the model.
        channel: one of `bknn.channels.CHANNELS`; it does not matter for a derived quantity.
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
    if observable in derived_quantities(model):
        return predict_derived(model, [observable], params)[0]
    values, floating, sigma = _values(model, [where.name], params or {})
    if not knows_standard_model(model):
        # As in an analysis: a user's spectrum gets numbers of JAX, with their 1/0.
        fixed = {p.name for p in model.parameters if p.fixed}
        values = {n: x if n in fixed else jnp.asarray(x, float) for n, x in values.items()}
    names = list(floating)

    def evaluate(moved: Array) -> tuple[Array, Array]:
        at = values | {n: moved[i] for i, n in enumerate(names)}
        above, below = _fraction(model, observable, where, at, q2, part=part)
        return _ratio(above, below), below

    centre = jnp.array([floating[n] for n in names], float)
    if names:
        what = (model, observable, where, values, names, q2, part)
        found, below, slopes = _at_centres(centre, *what)
        uncertainty = jnp.sqrt(slopes**2 @ sigma**2)
    else:
        found, below = evaluate(centre)
        uncertainty = jnp.zeros_like(found)
    result = Prediction(found, uncertainty, observable, channel, q2, part)
    if known(result, below):
        _check_result(model, observable, channel, q2, result, below)
    return result


def predict_derived(
    model: Any, names: Sequence[str], params: Mapping[str, ArrayLike] | None = None
) -> list[Prediction]:
    """Return what a model predicts for derived quantities, by one program, which has all that are
    computed together with them.

    Args:
        model, params: as for `predict`.
        names: of derived quantities.

    Raises:
        UnknownNameError, ParameterError, PrecisionError: as for `predict`.

    >>> import bknn; bknn.enable_x64()
    >>> from bknn import models
    >>> found = predict_derived(models.load("higgs-portal"), ["sin2_theta"], {"sin_theta": 1e-3})
    >>> float(found[0].value)
    1e-06
    """
    require_x64()
    own = derived_quantities(model)
    check_quantity(model, *names)
    every = together(model, names)
    channels = channels_of(model, every) or ("B+ -> K+",)
    values, floating, sigma = _values(model, channels, params or {})
    centre = jnp.array(list(floating.values()), float)
    found, slopes = _derived_at_centres(centre, model, every, values, tuple(floating))
    uncertainty = jnp.sqrt(slopes**2 @ sigma**2)
    order = {name: i for i, name in enumerate(every)}
    results = [
        Prediction(found[order[name]], uncertainty[order[name]], name, unit=own[name].unit)
        for name in names
    ]
    for name, result in zip(names, results, strict=True):
        if known(result) and not all(np.isfinite(np.asarray(x)).all() for x in result):
            raise errors.ParameterError(
                f"{name!r} of model {model.name!r} is not a finite number at these parameters, or "
                "its derivatives are none; look at its `derived` there."
            )
    return results


def _derived_at_centres(
    centre: Array,
    model: Any,
    asked: tuple[str, ...],
    values: Mapping[str, Any],
    names: tuple[str, ...],
) -> tuple[Array, Array]:
    """Return derived quantities (n,) and their slopes (n, names) where what is uncertain is at its
    centre."""
    own = {p.name for p in model.parameters if p.fixed}
    others = {n: x for n, x in values.items() if n not in names}

    def every(moved: Array, others: Mapping[str, Any]) -> Array:
        at = {**others, **{n: moved[i] for i, n in enumerate(names)}}
        return jnp.stack(list(derived(model, at, asked).values()))

    # A model of a user may look at the values of what it keeps fixed; others need one program.
    traced = {n: jnp.asarray(x, float) for n, x in others.items()}
    fixed: dict[str, Any] = {}
    try:
        jax.eval_shape(every, centre, traced)
    except errors.ParameterError:
        fixed = {n: float(x) for n, x in others.items() if n in own and known(x)}
        traced = {n: x for n, x in traced.items() if n not in fixed}

    def both(moved: Array, others: Mapping[str, Any]) -> tuple[Array, Array]:
        def all_of(x: Array) -> Array:
            return every(x, {**fixed, **others})

        return all_of(moved), jax.jacfwd(all_of)(moved)

    structure = (id(model), asked, names, tuple(traced), tuple(fixed.items()))
    program = PROGRAMS.get("derived quantities", structure, lambda: both)
    result: tuple[Array, Array] = program(centre, traced)
    return result


#: What was compiled for predictions, of the models that were used last.
PROGRAMS = Programs()


def _at_centres(
    centre: Array,
    model: Any,
    observable: str,
    where: Channel,
    values: Mapping[str, Any],
    names: Sequence[str],
    q2: Q2,
    part: str,
) -> tuple[Array, Array, Array]:
    """Return a value, what it is divided by, and its slopes where what is uncertain is at its
    centre, by a program that takes all values but those of parameters that a model keeps fixed."""
    own = {p.name for p in model.parameters if p.fixed}
    fixed = {n: x for n, x in values.items() if n in own and known(x) and np.ndim(x) == 0}
    others = {n: x for n, x in values.items() if n not in fixed and n not in names}
    is_bin = q2 is None or isinstance(q2, tuple)
    points = () if is_bin else (jnp.asarray(q2, float),)

    def evaluate(moved: Array, others: Mapping[str, Any], *points: Array) -> tuple[Array, Array]:
        at = {**fixed, **others, **{n: moved[i] for i, n in enumerate(names)}}
        at_q2 = points[0] if points else q2
        above, below = _fraction(model, observable, where, at, at_q2, part=part)
        return _ratio(above, below), below

    def all_three(x: Array, *rest: Any) -> tuple[Array, Array, Array]:
        return *evaluate(x, *rest), jax.jacfwd(lambda x: evaluate(x, *rest)[0])(x)

    home, structure = Programs(), None  # for this call, if the bin is traced
    if not is_bin or known(q2):
        # A bin and what is fixed decide what is integrated when the program is traced. The program
        # holds the model: no other one has its number as long as the program is there.
        bin_ = tuple(float(x) for x in q2) if isinstance(q2, tuple) else is_bin
        kept = tuple((n, float(x)) for n, x in fixed.items())
        home = PROGRAMS
        structure = (id(model), where.name, part, bin_, tuple(names), tuple(others), kept)
    program = home.get(f"prediction of {observable}", structure, lambda: all_three)
    result: tuple[Array, Array, Array] = program(centre, others, *points)
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
    """Return numerator and denominator of an observable; the latter is 1 if it is no ratio."""
    if observable in derived_quantities(model):
        return derived(model, params, [observable])[observable], jnp.ones(())

    def rate(longitudinal: bool = False) -> Array:
        spectrum = spectrum_of(model, params, where.name, longitudinal=longitudinal, part=part)
        if observable == "dbr_dq2" or not (q2 is None or isinstance(q2, tuple)):
            return density(spectrum, jnp.asarray(q2, float))
        return amount(model, spectrum, q2, where, resolution)

    if observable in ("dbr_dq2", "branching_ratio"):
        found = rate()
        return found, jnp.ones_like(found)
    if observable == "f_l":
        return rate(longitudinal=True), rate()
    # Ratios: the standard model with the same form factors, inputs and nuisances.
    null, null_params = null_of(model, params)
    if observable != "r_f_l":
        return rate(), amount(null, null.spectrum(null_params, where.name), q2, where)
    of_null = _ratio(*_fraction(null, "f_l", where, null_params, q2))
    above, below = rate(longitudinal=True), rate()
    return above, below * of_null


def _ratio(above: Array, below: Array) -> Array:
    """Return above / below, 0 where there is nothing below, with finite derivatives."""
    return jnp.where(below > 0.0, above / jnp.where(below > 0.0, below, 1.0), 0.0)


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
    return amount(model, spectrum, q2, find_channel(channel), resolution, held)


def _values(
    model: Any, channels: Sequence[str], params: Mapping[str, ArrayLike]
) -> tuple[dict[str, Any], dict[str, Any], np.ndarray]:
    """Return all values, those that are uncertain, and their standard deviations; of form factors,
    those of some decays."""
    nuisances = model.nuisances(channels) if hasattr(model, "nuisances") else ()
    known = {p.name: p for p in of_either_sign((*model.parameters, *nuisances), params)}
    for name, x in params.items():
        if name not in known:
            own = [p.name for p in model.parameters]
            raise errors.unknown("parameter", name, own, f"model {model.name!r}", list(known))
        if not isinstance(x, jax.core.Tracer):
            known[name].check(x)
    values: dict[str, Any] = {p.name: p.init for p in nuisances} | point(model, params)
    check_point(model, values)
    floating = {n: values[n] for n, p in known.items() if p.constraint is not None}
    sigma = [p.constraint[1] for p in known.values() if p.constraint is not None]
    return values, floating, np.array(sigma)


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
