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
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from bknn.decay import rate
from bknn.decay.densities import Densities
from bknn.decay.hadronic import Wave
from bknn.form_factors.sets import FormFactorSet
from bknn.kinematics import momentum, numpy_for

#: Waves of a transition from masses, q2 and form factors.
Waves = Callable[[Any, Any, Any], tuple[Wave, ...]]

#: GeV^2, points inside of every phase space, where no amplitude vanishes by accident.
_SOMEWHERE = np.array([5.0, 13.0])


def shapes(
    states: Sequence[Any],
    form_factors: FormFactorSet,
    parameters: Array,
    waves: Waves,
    masses: Mapping[str, Any],
    *,
    longitudinal: bool,
    kept: dict[Any, Any],
    constant: bool,
) -> tuple[Array, Callable[[Any, Any], Any]]:
    """Return the spectrum of some final states as a sum of shapes: weights (n,), and the function
    of masses and lifetime (as `masses`) and q2 that returns the shapes (n, points).

    Args:
        states: with couplings, and densities.
        form_factors, parameters: the set, and the values of its parameters (n,).
        waves: `waves(masses, q2, form_factors)`.
        masses: "mass_parent" and "mass_daughter", GeV, and "lifetime", GeV^-1: numbers. Other ones
            give as many shapes.
        longitudinal: leave the transverse waves out.
        kept: what was found before for the same transition; it grows.
        constant: whether densities depend on nothing that is traced. What is found is kept then,
            and the function is NumPy's.
    """
    hadronic = ("hadronic", longitudinal)
    if hadronic not in kept:
        kept[hadronic] = _Hadronic.build(form_factors, waves, masses, longitudinal)
    known = kept[hadronic]
    # Nothing that may be traced is kept.
    unit = [(dict.fromkeys(s.couplings, 1.0), s.densities) for s in states]

    def of(table: _Table, functions: Callable[[Any, Any], Any]) -> Any:
        couplings, fractions = [s.couplings for s in states], [s.invisible for s in states]
        return table.weights(couplings, fractions, parameters), functions

    if not constant:
        found = _Table.build(known, unit, [s.densities(_SOMEWHERE) for s in states])
        return of(found, found.traced)
    with jax.ensure_compile_time_eval():
        densities = [s.densities(_SOMEWHERE) for s in states]
        numbers = b"".join(np.asarray(x).tobytes() for x in jax.tree.leaves(densities))
    structure = (longitudinal, tuple(tuple(s.couplings) for s in states), numbers)
    if structure not in kept:
        kept[structure] = _Table.build(known, unit, densities)
    return of(kept[structure], kept[structure].functions)


@dataclass(frozen=True, eq=False)
class _Hadronic:
    """The hadronic half of a transition.

    Attributes:
        form_factors: the set.
        waves: somewhere, for unit parameters of the form factors.
        touched: of each wave and quark current the form-factor parameters that its amplitude
            depends on.
        at: waves at masses, q2 (points,) and form factors for unit parameters, with amplitudes
            (parameters, points).
    """

    form_factors: FormFactorSet
    waves: list[Wave]
    touched: list[dict[str, np.ndarray]]
    at: Callable[[Any, Array, Mapping[str, Array]], list[Wave]]

    @classmethod
    def build(
        cls, form_factors: FormFactorSet, waves: Waves, masses: Any, longitudinal: bool
    ) -> _Hadronic:
        """Find out which parameters the amplitudes depend on."""

        def at(masses: Any, q2: Any, unit: Mapping[str, Any]) -> list[Wave]:
            # Masses may be of one member, or at each q2.
            masses = {key: x[None, :] if np.ndim(x) else x for key, x in masses.items()}
            found = waves(masses, q2[None, :], unit)
            return [w for w in found if w.longitudinal or not longitudinal]

        unit = {name: x.T for name, x in form_factors.series.design(_SOMEWHERE).items()}
        found = at(masses, _SOMEWHERE, unit)
        touched = [
            {q: np.flatnonzero(np.asarray(a.value)[:, 0]) for q, a in w.amplitudes.items()}
            for w in found
        ]
        return cls(form_factors, found, touched, at)


@dataclass(eq=False)
class _Table:
    """The products that a spectrum is a sum of, and their shapes.

    Attributes:
        hadronic: of the transition.
        states: their couplings, all 1, and densities.
        densities: of each state somewhere.
        term, first, second: of each product the term, and its two form-factor parameters (n,).
        known: what `functions` found before.
    """

    hadronic: _Hadronic
    states: Sequence[tuple[rate.Couplings, Callable[[Any], Densities]]]
    densities: list[Densities]
    term: np.ndarray
    first: np.ndarray
    second: np.ndarray
    known: dict[bytes, np.ndarray] = field(default_factory=dict)

    @classmethod
    def build(
        cls,
        hadronic: _Hadronic,
        states: Sequence[tuple[rate.Couplings, Callable[[Any], Densities]]],
        densities: list[Densities],
    ) -> _Table:
        """Find out which products there are."""
        found = list(_products(hadronic, hadronic.waves, states, densities))
        term = np.repeat(np.arange(len(found)), [len(pairs) for *_, pairs in found])
        every = [pair for *_, pairs in found for pair in pairs]
        first, second = np.array(every, int).reshape(-1, 2).T
        return cls(hadronic, states, densities, term, first, second)

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
            for wave in self.hadronic.waves
            for term in rate.terms(wave, own, density)
        ]
        if not strengths:  # the couplings do not meet this meson
            return jnp.zeros(0)
        return jnp.stack(strengths)[self.term] * parameters[self.first] * parameters[self.second]

    def functions(self, masses: Any, q2: np.ndarray) -> np.ndarray:
        """Return the shapes at q2 (points,), GeV^-2, (n, points); kept for the next call."""
        key = b"".join(np.asarray(x).tobytes() for x in (*masses.values(), q2))
        if key not in self.known:
            with jax.ensure_compile_time_eval():
                self.known[key] = np.asarray(self.traced(masses, q2))
        return self.known[key]

    def traced(self, masses: Any, q2: Any) -> Any:
        """Return the same where q2, or what the densities know, is traced."""
        hadronic, xp = self.hadronic, cast(Any, numpy_for(masses, q2))
        physical = rate.inside(q2, masses["mass_parent"], masses["mass_daughter"])
        q2 = xp.where(physical, q2, 0.0)
        unit = {name: x.T for name, x in hadronic.form_factors.series.design(q2, xp).items()}
        waves, densities = hadronic.at(masses, q2, unit), [s[1](q2) for s in self.states]
        p = momentum(masses["mass_parent"], masses["mass_daughter"], q2)
        common = masses["lifetime"] * p / (16.0 * np.pi**2 * masses["mass_parent"] ** 2)
        common = xp.where(physical, common, 0.0)
        found = [np.zeros((0, len(q2)))]
        for wave, (one, two), density, both in _products(hadronic, waves, self.states, densities):
            k, n = (np.array(x, int) for x in zip(*both, strict=True))
            a, b = wave.amplitudes[one].value, wave.amplitudes[two].value
            product = a[k] * b[n] + xp.where((k != n)[:, None], a[n] * b[k], 0.0)
            factors = common * rate.roots(q2, wave, one, two)
            found.append(product * factors[None, :] * density[None, :])
        return cast(Any, numpy_for(found)).concatenate(found)


def _products(
    hadronic: _Hadronic,
    waves: Sequence[Wave],
    states: Sequence[tuple[rate.Couplings, Callable[[Any], Densities]]],
    densities: Sequence[Densities],
) -> Iterator[tuple[Wave, tuple[str, str], Array, list[tuple[int, int]]]]:
    """Yield wave, quark currents, density and pairs of parameters, in the order of the weights."""
    for (couplings, _), table in zip(states, densities, strict=True):
        for wave, touched in zip(waves, hadronic.touched, strict=True):
            for _, _, quarks, density in rate.pairs(wave, tuple(couplings), table):
                both = np.union1d(touched[quarks[0]], touched[quarks[1]])
                yield (
                    wave,
                    quarks,
                    density,
                    list(combinations_with_replacement([int(k) for k in both], 2)),
                )
