"""A continuum as a sum of fixed shapes: what makes fits fast.

Form factors are linear in their parameters a, so that a rate whose kinematics is fixed is a sum

    dBR/dq2 = sum_t sum_kl (C C')_t a_k a_l  S_tkl(q2)

over products of couplings and of form-factor parameters. The shapes S know nothing that floats, and
can be folded with a detector once and for all. Then a spectrum costs some fifty multiplications,
whatever the number of q2 at which it is needed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations_with_replacement
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from bknn.decay import rate
from bknn.decay.densities import Densities
from bknn.decay.hadronic import Wave
from bknn.form_factors.sets import FormFactorSet
from bknn.kinematics import momentum
from bknn.spectrum import Shapes

#: GeV^2, points inside of every phase space, where no amplitude vanishes by accident.
_SOMEWHERE = np.array([5.0, 13.0])


def fixed(*numbers: Any) -> bool:
    """Return whether none of the numbers (or those inside of them) is traced."""
    return not any(isinstance(x, jax.core.Tracer) for x in jax.tree.leaves(numbers))


def shapes(
    states: Sequence[Any],
    form_factors: FormFactorSet,
    parameters: Array,
    waves: Callable[..., tuple[Wave, ...]],
    factor: ArrayLike,
    masses: dict[str, Any],
    *,
    longitudinal: bool,
    kept: dict[Any, Any] | None,
) -> Shapes:
    """Return the spectrum of some final states as a sum of shapes.

    Args:
        states: with couplings, and densities that depend on nothing that is traced if there is a
            place to keep what is found.
        form_factors, parameters: the set, and the values of its parameters (n,).
        waves: `waves(q2, form_factors)`.
        factor: multiplies dGamma/dq2.
        masses: of parent and daughter, as `rate.dgamma_dq2` takes them.
        longitudinal: leave the transverse waves out.
        kept: what was found before for the same transition, masses and factor; it grows. None
            keeps nothing.
    """

    def at(q2: Array, unit: Mapping[str, Array]) -> list[Wave]:
        """Amplitudes for unit parameters, each (n, points)."""
        return [w for w in waves(q2[None, :], unit) if w.longitudinal or not longitudinal]

    # Nothing that may be traced is kept.
    unit = [(dict.fromkeys(s.couplings, 1.0), s.densities) for s in states]

    def table(densities: list[Densities]) -> _Table:
        return _Table.build(unit, densities, form_factors, at, factor, masses)

    def of(table: _Table, functions: Callable[[Any], Any]) -> Shapes:
        couplings, fractions = [s.couplings for s in states], [s.invisible for s in states]
        return Shapes(table.weights(couplings, fractions, parameters), functions)

    if kept is None:
        found = table([s.densities(jnp.asarray(_SOMEWHERE)) for s in states])
        return of(found, found.traced)
    with jax.ensure_compile_time_eval():
        densities = [s.densities(jnp.asarray(_SOMEWHERE)) for s in states]
        numbers = b"".join(np.asarray(x).tobytes() for x in jax.tree.leaves(densities))
    structure = (longitudinal, tuple(tuple(s.couplings) for s in states), numbers)
    if structure not in kept:
        kept[structure] = table(densities)
    return of(kept[structure], kept[structure].functions)


@dataclass(eq=False)
class _Table:
    """The products that a spectrum is a sum of, and their shapes.

    Attributes:
        waves: at the points somewhere, for unit parameters of the form factors.
        densities: of each state there.
        term, first, second: of each product the term, and its two form-factor parameters (n,).
        rows: from q2 and form factors for unit parameters to the shapes (n, points).
        design: form factors for unit parameters at q2, each (parameters, points).
        end: largest q2, GeV^2.
    """

    waves: list[Wave]
    densities: list[Densities]
    term: np.ndarray
    first: np.ndarray
    second: np.ndarray
    rows: Callable[[Array, Mapping[str, Array]], Array]
    design: Callable[..., dict[str, Any]]
    end: float
    known: dict[bytes, np.ndarray] = field(default_factory=dict)

    @classmethod
    def build(
        cls,
        states: Sequence[tuple[rate.Couplings, Callable[[Array], Densities]]],
        densities: list[Densities],
        form_factors: FormFactorSet,
        at: Callable[[Array, Mapping[str, Array]], list[Wave]],
        factor: ArrayLike,
        masses: dict[str, Any],
    ) -> _Table:
        """Find out which products there are."""

        def design(q2: Any, xp: ModuleType = np) -> dict[str, Any]:
            return {name: x.T for name, x in form_factors.series.design(q2, xp).items()}

        with jax.ensure_compile_time_eval():
            waves = at(jnp.asarray(_SOMEWHERE), design(_SOMEWHERE))
        # Which form-factor parameters an amplitude depends on.
        touched = [
            {q: np.flatnonzero(np.asarray(a.value)[:, 0]) for q, a in w.amplitudes.items()}
            for w in waves
        ]

        def pairs(i: int, quarks: tuple[str, str]) -> list[tuple[int, int]]:
            both = np.union1d(touched[i][quarks[0]], touched[i][quarks[1]])
            return list(combinations_with_replacement([int(k) for k in both], 2))

        def products(
            waves: Sequence[Wave], densities: Sequence[Densities]
        ) -> Iterator[tuple[Wave, rate.Term, list[tuple[int, int]]]]:
            """Waves, terms and pairs of parameters, in the order of `_terms`."""
            for (couplings, _), density in zip(states, densities, strict=True):
                for i, wave in enumerate(waves):
                    for term in rate.terms(wave, couplings, density):
                        yield wave, term, pairs(i, term.quarks)

        def rows(q2: Array, unit: Mapping[str, Array]) -> Array:
            physical = rate.inside(q2, **masses)
            q2 = jnp.where(physical, q2, 0.0)
            p = momentum(masses["mass_parent"], masses["mass_daughter"], q2)
            common = factor * p / (16.0 * jnp.pi**2 * masses["mass_parent"] ** 2)
            found = [jnp.zeros((0, len(q2)))]
            for wave, term, both in products(at(q2, unit), [s[1](q2) for s in states]):
                one, two = (wave.amplitudes[q].value for q in term.quarks)
                k, n = (np.array(x, int) for x in zip(*both, strict=True))
                product = one[k] * two[n] + jnp.where((k != n)[:, None], one[n] * two[k], 0.0)
                factors = common * term.density * rate.roots(q2, wave, *term.quarks)
                found.append(jnp.reshape(factors, (1, -1)) * product)
            return jnp.where(physical[None, :], jnp.concatenate(found), 0.0)

        with jax.ensure_compile_time_eval():
            lists = [both for _, _, both in products(waves, densities)]
        term = np.repeat(np.arange(len(lists)), [len(x) for x in lists])
        first, second = np.array([pair for both in lists for pair in both], int).reshape(-1, 2).T
        end = (float(masses["mass_parent"]) - float(masses["mass_daughter"])) ** 2
        return cls(waves, densities, term, first, second, rows, design, end)

    def weights(
        self,
        couplings: Sequence[rate.Couplings],
        fractions: Sequence[ArrayLike],
        parameters: Array,
    ) -> Array:
        """Return the products (n,), whatever of them may be traced."""
        strengths = [
            term.strength if isinstance(part, int | float) and part == 1 else part * term.strength
            for own, part, density in zip(couplings, fractions, self.densities, strict=True)
            for wave in self.waves
            for term in rate.terms(wave, own, density)
        ]
        if not strengths:  # the couplings do not meet this meson
            return jnp.zeros(0)
        return jnp.stack(strengths)[self.term] * parameters[self.first] * parameters[self.second]

    def functions(self, q2: np.ndarray) -> np.ndarray:
        """Return the shapes at q2 (points,), GeV^-2, (n, points); kept for the next call."""
        key = np.asarray(q2).tobytes()
        if key not in self.known:
            unit = self.design(np.clip(q2, 0.0, self.end))
            with jax.ensure_compile_time_eval():
                self.known[key] = np.asarray(jax.jit(self.rows)(jnp.asarray(q2), unit))
        return self.known[key]

    def traced(self, q2: Any) -> Array:
        """Return the same where q2, or what the densities know, is traced."""
        xp = jnp if isinstance(q2, jax.core.Tracer) else np
        return self.rows(jnp.asarray(q2), self.design(xp.clip(q2, 0.0, self.end), xp))
