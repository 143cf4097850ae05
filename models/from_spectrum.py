"""Your own dB/dq2."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping

import numpy as np
from jax import Array

from bknn import errors, probe
from bknn.inputs import HPQCD_2022
from bknn.parameters import Parameter, parameter_from
from bknn.spectrum import Spectrum

_CHANNEL = "B+ -> K+"

#: GeV^2, where its phase space ends.
_END = float(np.subtract(HPQCD_2022.mass_b, HPQCD_2022.mass_k) ** 2)


class FromSpectrum:
    """A model made of a function `dbr_dq2(q2, **parameters)`; build it with `from_spectrum`."""

    def __init__(
        self,
        fn: Callable[..., Array],
        parameters: tuple[Parameter, ...],
        null: Mapping[str, float],
        name: str,
        standard_model: float,
    ) -> None:
        self.fn = fn
        self.parameters = parameters
        self.null = null
        self.name = name
        self.standard_model = standard_model
        self.description = (inspect.getdoc(fn) or "a spectrum of the user's own").splitlines()[0]

    def spectrum(self, params: Mapping[str, Array], channel: str) -> Spectrum:
        if channel != _CHANNEL:
            raise errors.UndefinedError(f"it is a function for {_CHANNEL!r}.")
        return Spectrum(
            standard_model=self.standard_model,
            continuum=lambda q2: self.fn(q2, **params),
        )


def from_spectrum(
    fn: Callable[..., Array],
    parameters: Mapping[str, object],
    *,
    null: Mapping[str, float] | None = None,
    name: str | None = None,
    standard_model: float = 0.0,
) -> FromSpectrum:
    """Make a model of your own differential branching fraction.

    Args:
        fn: `fn(q2, **parameters)` returns dBR/dq2 in GeV^-2 at q2 (GeV^2, shape (n,)), of the
            whole signal of B+ -> K+ + invisible; written with `jax.numpy`, zero where phase space
            is closed.
        parameters: {name: start}, {name: (start, lower, upper)} or {name: bknn.Parameter}.
        null: parameter values at which the signal is the standard model, for the comparison that
            fits print; without it fits compare with the measurement's own template at mu = 1.
        name: for tables; the function's name by default.
        standard_model: multiples of the measurement's own SM template to be added, for a `fn` that
            holds new physics only.

    It is called here once, at q2 between 0 and the end of phase space and at the starts and the
    bounds of the parameters, so that what is wrong with it is said here.

    Raises:
        ParameterError: parameters that `fn` does not take, or takes and are not given; a `fn` that
            branches on values, uses `math` or `numpy` on them, or returns what is no array of
            finite real numbers of the shape of q2.

    Example:
        >>> import jax.numpy as jnp
        >>> def flat(q2, rate):
        ...     return rate / 22.9 * jnp.ones_like(q2)
        >>> from_spectrum(flat, {"rate": (1e-5, 0.0, 1e-3)}).parameters[0].init
        1e-05
    """
    if not callable(fn):
        raise errors.ParameterError(
            f"a spectrum is a function of q2, but a {type(fn).__name__} came; pass the function."
        )
    made = tuple(parameter_from(key, value) for key, value in parameters.items())
    label = name or getattr(fn, "__name__", "from_spectrum").replace("_", "-").strip("<>")
    signature = inspect.signature(fn)
    takes = list(signature.parameters.values())[1:]
    anything = any(p.kind is p.VAR_KEYWORD for p in takes)
    needed = [p.name for p in takes if p.kind is not p.VAR_KEYWORD and p.default is p.empty]
    allowed = [p.name for p in takes if p.kind is not p.VAR_KEYWORD]
    if missing := [n for n in needed if n not in parameters]:
        raise errors.ParameterError(
            f"the spectrum {label!r} takes {', '.join(missing)}, for which no start is given; "
            "add them to `parameters`."
        )
    if extra := [n for n in parameters if n not in allowed and not anything]:
        raise errors.ParameterError(
            f"the spectrum {label!r} does not take {', '.join(extra)}; it takes "
            f"{', '.join(allowed) or 'nothing but q2'}."
        )
    for key in null or {}:
        if key not in parameters:
            raise errors.unknown("parameter", key, parameters, f"the null of {label!r}")
    model = FromSpectrum(fn, made, dict(null or {}), label, standard_model)
    probe.look_at(model, _CHANNEL, _END)
    return model
