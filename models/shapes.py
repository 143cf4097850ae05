"""A continuum as a sum of fixed shapes: what makes fits fast.

Form factors are linear in their parameters a, so that a rate whose kinematics is fixed is a sum

    dBR/dq2 = sum_t sum_kl (C C')_t a_k a_l  S_tkl(q2)

over products of couplings and of form-factor parameters. The shapes S know nothing that floats, and
can be folded with a detector once and for all. Then a spectrum costs some fifty multiplications,
whatever the number of q2 at which it is needed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import combinations_with_replacement
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from bknn.decay import rate
from bknn.decay.hadronic import Wave
from bknn.form_factors.sets import FormFactorSet
from bknn.kinematics import momentum
from bknn.spectrum import Shapes

#: GeV^2, a point inside of every phase space, where no amplitude vanishes by accident.
_SOMEWHERE = np.array([5.0])


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
) -> Shapes:
    """Return the spectrum of some final states as a sum of shapes.

    Args:
        states: with couplings, and densities that depend on nothing that is traced.
        form_factors, parameters: the set, and the values of its parameters (n,).
        waves: `waves(q2, form_factors)`.
        factor: multiplies dGamma/dq2.
        masses: of parent and daughter, as `rate.dgamma_dq2` takes them.
        longitudinal: leave the transverse waves out.
    """

    def design(q2: np.ndarray) -> dict[str, Any]:
        """Form factors for unit parameters, each (n, points)."""
        return {name: x.T for name, x in form_factors.series.design(q2).items()}

    def at(q2: Array, unit: Mapping[str, Array]) -> list[Wave]:
        """Amplitudes for unit parameters, each (n, points)."""
        return [w for w in waves(q2[None, :], unit) if w.longitudinal or not longitudinal]

    def values(q2: Array, unit: Mapping[str, Array]) -> list[dict[str, Array]]:
        return [{q: a.value for q, a in w.amplitudes.items()} for w in at(q2, unit)]

    with jax.ensure_compile_time_eval():
        here = jnp.asarray(_SOMEWHERE)
        amplitudes = jax.jit(values)(here, design(_SOMEWHERE))
    # Which form-factor parameters an amplitude depends on.
    touched = [{q: np.flatnonzero(np.asarray(a)[:, 0]) for q, a in w.items()} for w in amplitudes]

    def pairs(i: int, quarks: tuple[str, str]) -> list[tuple[int, int]]:
        both = np.union1d(touched[i][quarks[0]], touched[i][quarks[1]])
        return list(combinations_with_replacement([int(k) for k in both], 2))

    def entries(
        q2: Array, unit: Mapping[str, Array], couplings: Callable[[Any], rate.Couplings]
    ) -> Iterator[tuple[Wave, rate.Term, int, int]]:
        """What is summed over, in the order that weights and shapes share."""
        for state in states:
            for i, wave in enumerate(at(q2, unit)):
                for term in rate.terms(wave, couplings(state), state.densities(q2)):
                    for k, n in pairs(i, term.quarks):
                        yield wave, term, k, n

    def rows(q2: Array, unit: Mapping[str, Array]) -> Array:
        physical = rate.inside(q2, **masses)
        q2 = jnp.where(physical, q2, 0.0)
        p = momentum(masses["mass_parent"], masses["mass_daughter"], q2)
        common = factor * p / (16.0 * jnp.pi**2 * masses["mass_parent"] ** 2)
        found = []
        for wave, term, k, n in entries(q2, unit, lambda s: dict.fromkeys(s.couplings, 1.0)):
            one, two = (wave.amplitudes[q].value for q in term.quarks)
            product = one[k] * two[n]
            if k != n:
                product = product + one[n] * two[k]
            found.append(common * term.density * rate.roots(q2, wave, *term.quarks) * product)
        return jnp.where(physical[None, :], jnp.stack(found), 0.0)

    def functions(q2: np.ndarray) -> np.ndarray:
        end = (float(masses["mass_parent"]) - float(masses["mass_daughter"])) ** 2
        unit = design(np.clip(q2, 0.0, end))
        with jax.ensure_compile_time_eval():
            return np.asarray(jax.jit(rows)(jnp.asarray(q2), unit))

    weights = [
        term.strength * parameters[k] * parameters[n]
        for _, term, k, n in entries(here, design(_SOMEWHERE), lambda s: s.couplings)
    ]
    return Shapes(jnp.stack(weights), functions)
