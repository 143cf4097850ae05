"""The series with dispersive bounds: orthonormal polynomials over outer functions.

    F(q2) = sum_k a_k p_k(z) / (P(q2) phi_F(q2))

arXiv:1004.3249, with the thresholds below B K of arXiv:2305.06301. P = z(q2; M^2) takes a pole out
that lies below the threshold t_plus of the branch cut. phi_F is the outer function of the
dispersive bound; for one form factor alone its normalisation makes the bound sum_k a_k^2 < 1.
p_k(z) are orthonormal on the arc of the unit circle that the pair production above
(m_parent + m_daughter)^2 maps to.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from bknn.form_factors.series import PSEUDOSCALAR, Relation, Series, pairs

#: Mass of the b quark, GeV, that goes with the susceptibilities.
_MB = 4.2
#: Susceptibilities chi of the currents, arXiv:1004.3249, as EOS 1.0.21 has them (tensor currents
#: with its factor 1/4). Those of spin 1 are split evenly over three helicities, each with its own
#: bound, arXiv:2305.06301v1. All of this is a normalisation of the coefficients, nothing else.
_CHI = {
    **dict.fromkeys(("f_plus", "V"), 1.20e-2 / _MB**2 / 3.0),
    **dict.fromkeys(("A1", "A12"), 1.13e-2 / _MB**2 / 3.0),
    **dict.fromkeys(("f_T", "T1"), 0.803e-2 / _MB**2 / 3.0),
    **dict.fromkeys(("T2", "T23"), 0.748e-2 / _MB**2 / 3.0),
    "f_0": 1.42e-2,
    "A0": 1.57e-2,
}
#: Powers of the Kallen function / 4 and of 1/q2 in the helicity amplitudes behind phi.
_POWERS = {
    "f_plus": (3, 4),
    "f_0": (1, 3),
    "f_T": (3, 3),
    "V": (3, 3),
    "A0": (3, 3),
    "A1": (1, 3),
    "A12": (1, 4),
    "T1": (3, 4),
    "T2": (1, 4),
    "T23": (1, 3),
}


class SimplifiedSeries(Series):
    """Orthonormal polynomials over outer functions, arXiv:1004.3249 and 2305.06301.

    For vector mesons there are relations at q2 = (m_parent - m_daughter)^2 too, where A1, A12 and
    T2, T23 are the same helicity amplitudes: A1 and T23 lose their zeroth coefficients.

    Attributes:
        thresholds: t_plus of each form factor, GeV^2; a dictionary, kept as pairs.
        t_zero: zero of z, GeV^2.
        multiplicity: number of meson pairs related by isospin (2 for B K, 1 for Bs phi).
    """

    thresholds: tuple[tuple[str, float], ...] = eqx.field(
        static=True, converter=pairs, kw_only=True
    )
    t_zero: float = eqx.field(static=True, converter=float, kw_only=True)
    multiplicity: float = eqx.field(static=True, converter=float, kw_only=True)

    def __check_init__(self) -> None:
        self._check_names("thresholds", self.thresholds)

    @property
    def relations(self) -> tuple[Relation, ...]:
        """Those at q2 = 0, then those at the endpoint (arXiv:1501.00367, eq. 3.2)."""
        at_zero = super().relations
        if self.form_factors == PSEUDOSCALAR:
            return at_zero
        m, v = self.mass_parent, self.mass_daughter
        end = (m - v) ** 2
        return (
            *at_zero,
            Relation("A1", "A12", end, 8.0 * m * v / (m**2 - v**2)),
            Relation("T23", "T2", end, (m + v) ** 2 / (4.0 * m * v)),
        )

    def basis(self, form_factor: str, q2: Any, xp: ModuleType = jnp) -> tuple[Any, ...]:
        """Return p_k(z) / (P phi), q2 below the pole and the threshold."""
        t_plus, pole = dict(self.thresholds)[form_factor], dict(self.poles)[form_factor] ** 2
        at_q2 = xp.sqrt(t_plus - q2)

        def z(zero: float) -> Any:
            at_zero = (t_plus - zero) ** 0.5
            return (at_q2 - at_zero) / (at_q2 + at_zero)

        weight = 1.0 / self._outer(form_factor, q2, at_q2, z(self.t_zero), xp)
        if pole < t_plus:
            weight = weight / z(pole)
        powers = [weight]
        for _ in range(self.order - 1):
            powers.append(powers[-1] * z(self.t_zero))
        rows = self._polynomials(form_factor)
        return tuple(
            sum((float(row[j]) * powers[j] for j in range(1, k + 1)), start=float(row[0]) * weight)
            for k, row in enumerate(rows)
        )

    def _outer(self, form_factor: str, q2: Any, at_q2: Any, z: Any, xp: ModuleType) -> Any:
        """Return phi_F(q2), the bound subtracted at q2 = 0.

        sqrt(|dq2/dz|) times powers of the Kallen function and of q2 whose zeros are taken out with
        factors of modulus 1 on the unit circle.
        """
        t_plus = dict(self.thresholds)[form_factor]
        pair = (self.mass_parent + self.mass_daughter) ** 2
        end = (self.mass_parent - self.mass_daughter) ** 2
        kallen_power, q2_power = _POWERS[form_factor]
        kallen = (pair - q2) * (at_q2 + (t_plus - end) ** 0.5) ** 2
        inverse_q2 = 1.0 / (at_q2 + t_plus**0.5) ** 2  # -z(q2; 0)/q2
        jacobian = 4.0 * (t_plus - self.t_zero) * (1.0 + z) / (1.0 - z) ** 3
        square = jacobian * xp.sqrt(kallen) ** kallen_power * inverse_q2 ** (q2_power + 1)
        return self._norm(form_factor) * xp.sqrt(square)

    def _norm(self, form_factor: str) -> float:
        pair = (self.mass_parent + self.mass_daughter) ** 2
        end = (self.mass_parent - self.mass_daughter) ** 2
        product = (4.0 * self.mass_parent * self.mass_daughter) ** 2
        factor = {
            "f_plus": 1.0,
            "f_0": 3.0 * pair * end,
            "f_T": 1.0 / pair,
            "V": 2.0 / pair,
            "A0": 3.0,
            "A1": 2.0 * pair,
            "A12": 4.0 * product,
            "T1": 2.0,
            "T2": 2.0 * pair * end,
            "T23": product / pair,
        }[form_factor]
        return float(np.sqrt(self.multiplicity * factor / (96.0 * np.pi**2 * _CHI[form_factor])))

    def _polynomials(self, form_factor: str) -> np.ndarray:
        """Return the coefficients of p_k in powers of z, (order, order) lower triangular.

        Gram and Schmidt on the arc |arg z| < alpha, with positive leading coefficients.
        """
        t_plus = dict(self.thresholds)[form_factor]
        above = max((self.mass_parent + self.mass_daughter) ** 2 - t_plus, 0.0)
        alpha = 2.0 * np.arctan2(np.sqrt(t_plus - self.t_zero), np.sqrt(above))
        difference = np.subtract.outer(np.arange(self.order), np.arange(self.order))
        gram = 2.0 * alpha * np.sinc(difference * alpha / np.pi)
        return np.linalg.inv(np.linalg.cholesky(gram))
