"""What all parametrisations have in common: form factors that are linear in their parameters.

    F(q2) = sum_k a_k^F b_k^F(q2)

The functions b know q2, masses and poles, and no parameters: for a fixed array of q2 they are
constants, and form factors of many parameter points cost a few multiplications each.

Two form factors that must agree somewhere (f_plus and f_0 at q2 = 0, ...) share their parameters:
the zeroth coefficient of one of them is not free but solves the relation.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from bknn import errors

#: Form factors of a transition to a pseudoscalar and to a vector meson, in the order of tables.
PSEUDOSCALAR = ("f_plus", "f_0", "f_T")
VECTOR = ("A0", "A1", "A12", "V", "T1", "T2", "T23")
TRANSITIONS = {"B -> K": PSEUDOSCALAR, "B -> K*": VECTOR, "Bs -> phi": VECTOR}


class Relation(NamedTuple):
    """form_factor(q2) = factor * other(q2) at one q2 (GeV^2), whatever the parameters."""

    form_factor: str
    other: str
    q2: float
    factor: float


def pairs(of: Mapping[str, float] | Sequence[tuple[str, float]]) -> tuple[tuple[str, float], ...]:
    """Return names and numbers in a form that is hashable, as static fields must be."""
    return tuple((name, float(x)) for name, x in dict(of).items())


class Series(eqx.Module):
    """Base of the parametrisations.

    Attributes:
        transition: "B -> K", "B -> K*" or "Bs -> phi".
        mass_parent, mass_daughter: of the mesons inside of the expansion, GeV. They belong to the
            parameters, and are not the masses of phase space.
        poles: of each form factor, GeV; a dictionary, kept as pairs.
        order: number of coefficients of each form factor.
    """

    transition: str = eqx.field(static=True)
    mass_parent: float = eqx.field(static=True, converter=float)
    mass_daughter: float = eqx.field(static=True, converter=float)
    poles: tuple[tuple[str, float], ...] = eqx.field(static=True, converter=pairs)
    order: int = eqx.field(static=True, default=3)

    def __check_init__(self) -> None:
        if self.transition not in TRANSITIONS:
            raise errors.unknown("transition", self.transition, TRANSITIONS)
        self._check_names("poles", self.poles)

    def _check_names(self, what: str, of: tuple[tuple[str, float], ...]) -> None:
        """Raise unless there is a number for each form factor and none for another."""
        wanted, given = set(self.form_factors), {name for name, _ in of}
        if wanted != given:
            raise errors.ParameterError(
                f"{what} of a parametrisation of {self.transition} are given for "
                f"{', '.join(sorted(given)) or 'nothing'}; needed are exactly those of "
                f"{', '.join(self.form_factors)}."
            )

    @property
    def form_factors(self) -> tuple[str, ...]:
        """Names of the form factors."""
        return TRANSITIONS[self.transition]

    @property
    def relations(self) -> tuple[Relation, ...]:
        """What holds exactly at q2 = 0 (arXiv:1503.05534, section 2.5).

        Without it the matrix elements would have a pole there.
        """
        if self.form_factors == PSEUDOSCALAR:
            return (Relation("f_0", "f_plus", 0.0, 1.0),)
        m, v = self.mass_parent, self.mass_daughter
        return (
            Relation("A12", "A0", 0.0, (m**2 - v**2) / (8.0 * m * v)),
            Relation("T2", "T1", 0.0, 1.0),
        )

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """Names of the independent parameters, like 'f_0_1': coefficient 1 of f_0."""
        fixed = {relation.form_factor for relation in self.relations}
        return tuple(
            f"{name}_{k}"
            for name in self.form_factors
            for k in range(1 if name in fixed else 0, self.order)
        )

    @abstractmethod
    def basis(self, form_factor: str, q2: Any, xp: ModuleType = jnp) -> tuple[Any, ...]:
        """Return b_0, b_1, ... of a form factor at q2 (GeV^2), each of the shape of q2.

        `xp` is jax.numpy, or numpy for numbers that must not be traced.
        """

    def bases(self, q2: Any, xp: ModuleType = jnp) -> dict[str, tuple[Any, ...]]:
        """Return `basis` of all form factors."""
        return {name: self.basis(name, q2, xp) for name in self.form_factors}

    def expansion(self) -> dict[str, np.ndarray]:
        """Return for each form factor the matrix (order, n) from parameters to coefficients."""
        names = self.parameter_names
        unit = dict(zip(names, np.eye(len(names)), strict=True))
        nothing = np.zeros(len(names))  # for the time being, where a relation decides
        rows = {
            name: np.array([unit.get(f"{name}_{k}", nothing) for k in range(self.order)])
            for name in self.form_factors
        }
        for relation in self.relations:
            there = np.float64(relation.q2)
            here = np.array(self.basis(relation.form_factor, there, np))
            other = np.array(self.basis(relation.other, there, np))
            difference = relation.factor * other @ rows[relation.other]
            difference -= here[1:] @ rows[relation.form_factor][1:]
            rows[relation.form_factor][0] = difference / here[0]
        return rows

    def design(self, q2: Any, xp: ModuleType = np) -> dict[str, Any]:
        """Return d(form factor)/d(parameters) at q2 (points,), shapes (points, n), in NumPy or,
        where q2 may be traced, in jax.numpy."""
        bases = self.bases(q2, xp)
        return {
            name: xp.stack(bases[name], axis=-1) @ matrix
            for name, matrix in self.expansion().items()
        }

    def __call__(self, q2: ArrayLike, parameters: ArrayLike) -> dict[str, Array]:
        """Return {form factor: values of the shape of q2} at parameters (n,)."""
        parameters = jnp.asarray(parameters)
        if parameters.shape != (len(self.parameter_names),):
            raise errors.ParameterError(
                f"form factors {self.transition} have {len(self.parameter_names)} parameters "
                f"({', '.join(self.parameter_names)}), but their shape is {parameters.shape}; use "
                "jax.vmap for several points."
            )
        several = [self.expansion()[name] for name in self.form_factors]
        coefficients = (jnp.asarray(np.concatenate(several)) @ parameters).reshape(-1, self.order)
        if isinstance(q2, jax.core.Tracer):
            return {
                name: sum(a * b for a, b in zip(own, terms, strict=True))
                for own, (name, terms) in zip(coefficients, self.bases(q2).items(), strict=True)
            }
        # A product with constants, as XLA would compute them again at each point of a batch.
        constants = np.array([np.stack(terms) for terms in self.bases(q2, np).values()])
        found = jnp.einsum("fk,fk...->f...", coefficients, constants)
        return dict(zip(self.form_factors, found, strict=True))
