"""A look at a spectrum that a user wrote, before anything is computed with it.

What is called with traced numbers fails deep inside of JAX, and a NaN looks like a fault of the
data. So a user's model is called once, when it is first used, and what is wrong with it is
said in a sentence that names the model, the q2 and what to write instead.
"""

from __future__ import annotations

import linecache
import traceback
from collections.abc import Container, Iterator, Mapping
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from bknn import errors
from bknn.parameters import Parameter
from bknn.spectrum import Spectrum

#: Points in q2 at which a spectrum is looked at.
_POINTS = 200

#: What was looked at and found in order.
_seen: WeakKeyDictionary[Any, set[Any]] = WeakKeyDictionary()

#: Whose lines are not the user's own.
_PACKAGES = ("bknn", "jax", "jaxlib", "numpy", "equinox", "contextlib", "functools")


def look_at(model: Any, channel: str, end: float, free: Container[str] = ()) -> None:
    """Refuse a spectrum that cannot be computed with.

    Args:
        model: by the protocol of `bknn.models.Model`.
        channel: the decay.
        end: of phase space or of the data, GeV^2.
        free: parameters that float although the model keeps them fixed.

    Raises:
        UndefinedError: the spectrum of this channel raises something, or is None.
        ParameterError: Python branches or numpy on traced numbers, a wrong shape or type, numbers
            or derivatives that are none.
    """
    if type(model).__module__.startswith("bknn.") and type(model).__name__ != "FromSpectrum":
        return
    parameters = _parameters(model, channel)
    floating = tuple(p.name for p in parameters if not p.fixed or p.name in free)
    key = channel, float(end), floating
    try:
        known = _seen.setdefault(model, set())
    except TypeError:  # it cannot be hashed
        known = set()
    if key in known:
        return
    q2 = np.linspace(0.0, end, _POINTS + 2)[1:-1]
    with jax.enable_x64(True):
        _trace(model, channel, q2, parameters, floating)
        with jax.ensure_compile_time_eval():  # within a program of the caller, too
            _compute(model, channel, q2, parameters, floating)
    known.add(key)


def traced(model: Any, channel: str) -> Spectrum:
    """Return the spectrum of a channel as far as it does not depend on values: of which kinds its
    parts are.

    Raises:
        UndefinedError, ParameterError: as for `look_at`.
    """
    parameters = _parameters(model, channel)
    return _trace(model, channel, None, parameters, [p.name for p in parameters if not p.fixed])


def _parameters(model: Any, channel: str) -> tuple[Parameter, ...]:
    nuisances = model.nuisances([channel]) if hasattr(model, "nuisances") else ()
    return (*model.parameters, *nuisances)


def _trace(
    model: Any,
    channel: str,
    q2: np.ndarray | None,
    parameters: tuple[Parameter, ...],
    floating: Container[str],
) -> Spectrum:
    """Call a spectrum with traced numbers, its continua too if there are q2."""
    found: list[Spectrum] = []
    constants = {p.name: p.init for p in parameters if p.name not in floating}

    def call(values: Mapping[str, Array], at: Array) -> Array:
        spectrum = model.spectrum({**constants, **values}, channel)
        if not isinstance(spectrum, Spectrum):
            raise _no_spectrum(model, channel, spectrum)
        found.append(spectrum)
        if q2 is not None:
            for part in spectrum.continua:
                _check_kind(model, channel, q2, part.density(at))
        return at

    values = {p.name: jax.ShapeDtypeStruct((), float) for p in parameters if p.name in floating}
    points = jax.ShapeDtypeStruct((2 if q2 is None else len(q2),), float)
    try:
        jax.eval_shape(call, values, points)
    except errors.BknnError as error:
        if isinstance(error, errors.ParameterError) and str(error).startswith("model "):
            raise
        raise errors.UndefinedError(
            f"model {model.name!r} says nothing about {channel!r}: {error}"
        ) from error
    except Exception as error:
        raise _explained(model, channel, q2, error) from error
    return found[0]


def _no_spectrum(model: Any, channel: str, found: Any) -> errors.ParameterError:
    kind = errors.UndefinedError if found is None else errors.ParameterError
    return kind(
        f"model {model.name!r} returned a {type(found).__name__} as its spectrum "
        f"of {channel}; it must return a bknn.Spectrum."
    )


def _check_kind(model: Any, channel: str, q2: np.ndarray, found: Any) -> None:
    """Refuse what is no array of real numbers, one for each q2."""
    begin = f"{_its(model, channel)}, called with {_range(q2)},"
    if not isinstance(found, jax.Array | np.ndarray | np.generic | int | float | complex):
        raise errors.ParameterError(
            f"{begin} returns a {type(found).__name__}; it must return an array of the shape of "
            "q2, made with jax.numpy."
        )
    if jnp.iscomplexobj(found):
        raise errors.ParameterError(
            f"{begin} returns complex numbers, but a rate is real; write jnp.abs(amplitude)**2, or "
            "jnp.real(...) of what has no imaginary part."
        )
    if np.shape(found) == ():
        raise errors.ParameterError(
            f"{begin} returns a single number; it must return one for each q2, as in "
            "value * jnp.ones_like(q2)."
        )
    if np.shape(found) != np.shape(q2):
        raise errors.ParameterError(
            f"{begin} returns an array of the shape {np.shape(found)} for q2 of the shape "
            f"{np.shape(q2)}; it must return one number for each q2."
        )


def _explained(
    model: Any, channel: str, q2: np.ndarray | None, error: Exception
) -> errors.BknnError:
    """Return the sentence for what a spectrum raised."""
    with_q2 = "" if q2 is None else f", called with {_range(q2)},"
    begin = f"{_its(model, channel)}{with_q2}{_line(error)}"
    names = "q2 and parameters are traced by JAX"
    if isinstance(error, jax.errors.NonConcreteBooleanIndexError):
        text = "picks entries of an array by a condition; write jnp.where(condition, a, b)"
    elif isinstance(error, jax.errors.TracerBoolConversionError):
        text = (
            "has a Python branch on a value (`if`, `while`, `and`, `min`, `max`); write "
            "jnp.where(condition, a, b), jnp.minimum or jnp.maximum"
        )
    elif isinstance(
        error, jax.errors.TracerArrayConversionError | jax.errors.TracerIntegerConversionError
    ):
        text = "hands values to numpy; write jax.numpy, as in jnp.sqrt in place of np.sqrt"
    elif isinstance(error, jax.errors.ConcretizationTypeError) or (
        isinstance(error, TypeError) and "scalar arrays" in str(error)
    ):
        text = (
            "turns values into Python numbers (`math`, `float`); write jax.numpy, as in jnp.sqrt "
            "in place of math.sqrt"
        )
    else:
        said = str(error).strip().splitlines()
        what = f"{type(error).__name__}{': ' + said[0] if said else ''}".rstrip(".")
        return errors.UndefinedError(
            f"{begin} raises {what}; correct the function, or, if it knows nothing about this "
            "decay, ask for another one."
        )
    return errors.ParameterError(f"{begin} {text}, because {names}.")


def _line(error: Exception) -> str:
    """Where in the user's own file it happened."""
    own = [
        (frame, line)
        for frame, line in traceback.walk_tb(error.__traceback__)
        if str(frame.f_globals.get("__name__")).partition(".")[0] not in _PACKAGES
    ]
    if not own:
        return ""
    (frame, number), path = own[-1], own[-1][0].f_code.co_filename
    text = linecache.getline(path, number, frame.f_globals).strip()
    return f" in line {number} of {Path(path).name} (`{text}`)" if text else ""


def _compute(
    model: Any,
    channel: str,
    q2: np.ndarray,
    parameters: tuple[Parameter, ...],
    floating: tuple[str, ...],
) -> None:
    """Refuse numbers that are none: at starts, and at bounds."""
    values = {p.name: p.init for p in parameters}
    constants = {n: x for n, x in values.items() if n not in floating}
    own = [p for p in parameters if p.name in floating]

    def numbers(vector: Array, at: Array) -> tuple[Array, Array]:
        """dB/dq2 (n,), and other numbers of the spectrum."""
        moving = {p.name: vector[i] for i, p in enumerate(own)}
        spectrum = model.spectrum({**constants, **moving}, channel)
        total = sum((part.density(at) for part in spectrum.continua), jnp.zeros(len(at)))
        others = [spectrum.standard_model]
        others += [x for line in spectrum.lines for x in (line.mass, line.branching_ratio)]
        return total, jnp.stack([jnp.asarray(x, float) for x in others])

    rows = list(_rows(own))
    names = [
        ", ".join(
            f"{p.name} = {x:g}"
            for p, x in zip(own, row, strict=True)
            if not p.nuisance or x != p.init
        )
        or "its parameters"
        for row in rows
    ]
    batch = np.array(rows).reshape(len(rows), len(own))
    try:
        program = jax.jit(jax.vmap(numbers, (0, None)))
        density, others = (np.asarray(x) for x in program(batch, q2))
        # Backwards, as samplers need it: there a branch that is not taken can spoil the other one.
        slope = jax.grad(lambda vector, x: numbers(vector, x[None])[0][0])
        slopes = np.asarray(jax.jit(jax.vmap(slope, (None, 0)))(batch[0], q2))
    except Exception as error:
        raise _explained(model, channel, q2, error) from error
    begin = _its(model, channel)
    advice = (
        "A square root below a threshold, a logarithm of 0 and a division by 0 do this, in the "
        "branch of a jnp.where that is not taken, too: keep their arguments where they are "
        "defined, as in bknn.kinematics.safe_sqrt, or narrow the bounds of the parameters."
    )
    for row, name in enumerate(names):
        bad = np.flatnonzero(~np.isfinite(density[row]))
        if bad.size:
            what = "not a number" if np.isnan(density[row, bad[0]]) else "infinite"
            raise errors.ParameterError(
                f"{begin} is {what} at q2 = {q2[bad[0]]:.4g} GeV^2{_more(bad)} with {name}. "
                + advice
            )
        if not np.isfinite(others[row]).all():
            raise errors.ParameterError(
                f"{begin} has a line or a multiple of the standard model that is not a finite "
                f"number with {name}. {advice}"
            )
    for i, p in enumerate(own):
        bad = np.flatnonzero(np.isnan(slopes[:, i]))
        if bad.size:
            raise errors.ParameterError(
                f"{begin} has a derivative with respect to {p.name!r} that is not a number at q2 = "
                f"{q2[bad[0]]:.4g} GeV^2{_more(bad)}, although its value is one. {advice}"
            )


def _rows(parameters: list[Parameter]) -> Iterator[np.ndarray]:
    """Representative values: the start, then one parameter at a time elsewhere."""
    start = np.array([p.init for p in parameters], float)
    yield start
    for i, p in enumerate(parameters):
        for x in (*p.starts, *p.bounds):
            if np.isfinite(x) and x != p.init:
                row = start.copy()
                row[i] = x
                yield row


def _its(model: Any, channel: str) -> str:
    return f"model {model.name!r}: its dB/dq2 of {channel!r}"


def _range(q2: np.ndarray) -> str:
    return f"{len(q2)} values of q2 from {q2[0]:.3g} to {q2[-1]:.3g} GeV^2"


def _more(bad: np.ndarray) -> str:
    return f" and {len(bad) - 1} others" if len(bad) > 1 else ""
