"""The parametrisation of Bharucha, Straub and Zwicky: a pole times a polynomial in z(q2) - z(0)."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import jax.numpy as jnp

from bknn.form_factors.series import Series


class BSZ(Series):
    """F(q2) = 1 / (1 - q2/M^2) sum_k a_k [z(q2) - z(0)]^k, arXiv:1503.05534, section 2.5.

    z maps the plane cut above t_plus = (m_parent + m_daughter)^2 onto the unit disc, with its zero
    at t_0 = t_plus (1 - sqrt(1 - t_minus/t_plus)). a_0 is the form factor at q2 = 0.

    >>> import jax
    >>> jax.config.update("jax_enable_x64", True)
    >>> bsz = BSZ("B -> K", 5.279, 0.492, {"f_plus": 5.415, "f_0": 5.630, "f_T": 5.415})
    >>> bsz.parameter_names
    ('f_plus_0', 'f_plus_1', 'f_plus_2', 'f_0_1', 'f_0_2', 'f_T_0', 'f_T_1', 'f_T_2')
    >>> values = bsz(0.0, [0.33, -0.9, -0.1, 0.37, 0.08, 0.32, -0.9, -0.3])
    >>> {name: float(value) for name, value in values.items()}
    {'f_plus': 0.33, 'f_0': 0.33, 'f_T': 0.32}
    """

    def basis(self, form_factor: str, q2: Any, xp: ModuleType = jnp) -> tuple[Any, ...]:
        """Return the powers of z(q2) - z(0), times the pole; q2 below the pole and t_plus."""
        return self._terms(form_factor, q2, self._z(q2, xp))

    def bases(self, q2: Any, xp: ModuleType = jnp) -> dict[str, tuple[Any, ...]]:
        """Return `basis` of all form factors, z computed once."""
        z = self._z(q2, xp)
        return {name: self._terms(name, q2, z) for name in self.form_factors}

    def _z(self, q2: Any, xp: ModuleType) -> Any:
        """Return z(q2) - z(0)."""
        t_plus = (self.mass_parent + self.mass_daughter) ** 2
        t_minus = (self.mass_parent - self.mass_daughter) ** 2
        at_q2, at_zero = xp.sqrt(t_plus - q2), t_plus**0.5
        at_t0 = (t_plus * (t_plus - t_minus)) ** 0.25  # sqrt(t_plus - t_0)
        # On a common denominator: exactly 0 at q2 = 0, and no cancellation near it.
        return -2.0 * at_t0 * q2 / ((at_q2 + at_zero) * (at_q2 + at_t0) * (at_zero + at_t0))

    def _terms(self, form_factor: str, q2: Any, z: Any) -> tuple[Any, ...]:
        terms = [1.0 / (1.0 - q2 / dict(self.poles)[form_factor] ** 2)]
        for _ in range(self.order - 1):
            terms.append(terms[-1] * z)
        return tuple(terms)
