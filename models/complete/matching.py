"""A Lagrangian as a matching: its parameters -> an effective model, and derived quantities.

A complete model has parameters of its own. A pure JAX function says what they are at low energies:
couplings, masses and widths of an effective model that is there already, the fraction that stays
invisible, and numbers by name that other data constrain. Form factors, channels, the standard model
and their uncertainties are those of the effective model; nothing that works on models knows that
there is a Lagrangian.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from functools import cache
from typing import Any, ClassVar, NamedTuple

from jax.typing import ArrayLike

from bknn import errors
from bknn.models.theory import Pair, Params, Particle, Theory
from bknn.parameters import Parameter
from bknn.prediction import DerivedQuantity


class Matched(NamedTuple):
    """What a point of a Lagrangian is at low energies.

    Attributes:
        effective: {parameter of the effective model: value}; those that are not there are at their
            start, couplings at their value in the standard model (0).
        invisible: the fraction of what is new that stays invisible.
        derived: {name: value} of the derived quantities that the model declares; a
            `bknn.prediction.Grouped` computes those that are asked for.
    """

    effective: Mapping[str, ArrayLike]
    invisible: ArrayLike = 1.0
    derived: Mapping[str, ArrayLike] = {}


class Matching(Theory):
    """Base of the complete models.

    A model sets `name`, `description`, `effective`, `lagrangian`, `null`, perhaps
    `derived_quantities` and `thresholds`, and gives `match`. Parameters of the effective model that
    are constrained (`sm_normalisation`) are taken over.

    Attributes:
        effective: the class of the effective model, one of those with form factors.
        effective_options: what it is made with besides form factors and inputs, `basis` for one.
        lagrangian: the parameters of the Lagrangian.
        derived_quantities: what `match` computes by name.
        low: the effective model, with the same form factors and inputs.

    Args:
        others: as for `Theory`.

    Raises:
        ParameterError: a match onto a parameter that the effective model does not have.

    A scalar whose coupling to b and s is known at tree level:

    >>> import jax.numpy as jnp
    >>> import bknn; bknn.enable_x64()
    >>> from bknn import models
    >>> class Toy(Matching):
    ...     name, description = "toy", "SM + a scalar, half of it visible"
    ...     effective = models.Scalar
    ...     lagrangian = (bknn.Parameter("y", 1e-4, (0.0, 1.0), coupling="new"),)
    ...     null = {"y": 0.0}
    ...     derived_quantities = (bknn.DerivedQuantity("y2"),)
    ...     def match(self, params):
    ...         y = params["y"]
    ...         return Matched({"g_S": 1e-4 * y, "mass": 1.0}, 0.5, {"y2": y**2})
    >>> toy, point = Toy(), {"y": 1e-4}
    >>> mine = bknn.predict(toy, params=point, part="new").value
    >>> known = bknn.predict(models.load("scalar"), params={"g_S": 1e-8, "mass": 1.0}, part="new")
    >>> print(f"{float(mine / known.value):.3f}, {float(bknn.predict(toy, 'y2').value):.1e}")
    0.500, 1.0e-08
    """

    effective: ClassVar[type[Theory]]
    effective_options: ClassVar[Mapping[str, Any]] = {}
    lagrangian: ClassVar[tuple[Parameter, ...]]
    derived_quantities: ClassVar[tuple[DerivedQuantity, ...]] = ()
    low: Theory

    def match(self, params: Params) -> Matched:
        """Return what the parameters {name: value} are at low energies, a pure JAX function."""
        raise NotImplementedError

    def own_parameters(self) -> tuple[Parameter, ...]:
        self.low = self.effective(
            form_factors=tuple(self.form_factors.values()),
            inputs=self.inputs,
            long_distance=self.long_distance,
            **self.effective_options,
        )
        self.interferes = self.low.interferes  # type: ignore[misc]
        return (*self.lagrangian, *self._taken_over)

    def at(self, params: Params) -> Matching:
        """Return this model for use at these parameters {name: value}: what they match onto is
        computed once, when it is first needed, for spectra and derived quantities. At others it is
        the same model. To be used within the traced function to which the values belong."""
        here, matched = copy(self), cache(lambda: self.match(params))

        def match(other: Params) -> Matched:
            return matched() if other is params else self.match(other)

        # Tables of form factors are those of the model.
        here.__dict__ |= {"match": match, "_tables": self.__dict__.setdefault("_tables", {})}
        return here

    @property
    def _taken_over(self) -> tuple[Parameter, ...]:
        return tuple(p for p in self.low.parameters if p.constraint is not None)

    def final_states(self, params: Params) -> Sequence[Pair | Particle]:
        matched = self.match(params)
        known = {p.name: p.init for p in self.low.parameters}
        for name in matched.effective:
            if name not in known:
                raise errors.ParameterError(
                    f"model {self.name!r} matches onto {name!r}, which model {self.low.name!r} "
                    f"does not have; it has {', '.join(known)}."
                )
        values: dict[str, Any] = {**known, **self.low.null, **matched.effective}
        values |= {p.name: params[p.name] for p in self._taken_over}
        return [
            state._replace(invisible=matched.invisible)
            if isinstance(state, Particle) or state.new
            else state
            for state in self.low.final_states(values)
        ]

    def derived(self, params: Params) -> Mapping[str, ArrayLike]:
        """Return {name: value} of the derived quantities."""
        return self.match(params).derived
