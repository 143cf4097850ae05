"""The hadronic half of a decay: helicity amplitudes of the quark currents between two mesons.

For all models the same. With L = sum_q (sbar G_q b) . D_q, where D_q are invisible currents and
G = 1, g5, g_mu, g_mu g5, sigma_mn, sigma_mn g5 for q = S, P, V, A, T, T5, the matrix element
<M|sbar G_q b|B> is decomposed in the rest frame of the invisible system into waves: spin 0 and 1,
and for a vector meson the transversity of spin 1 (0, parallel, perpendicular). Waves do not
interfere after the integral over angles; inside of a wave all currents do.

Definitions of the form factors: arXiv:1503.05534, appendix, and arXiv:1310.3722 (A12, T23);
metric (+---), sigma_mn = i/2 [g_m, g_n], g5 = i g0 g1 g2 g3. An equivalent list of squares is in
arXiv:2311.14629. `tests/physics/test_brute_force.py` compares with explicit tensors.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import sqrt
from typing import Any, NamedTuple

from jax import Array
from jax.typing import ArrayLike

from bknn.kinematics import momentum

FormFactors = Mapping[str, Array]


class Amplitude(NamedTuple):
    """A helicity amplitude: value, times sqrt(q2) if `root`.

    The root is kept apart because only even powers of it enter a rate: q2 = 0 stays a point where
    everything has a derivative.
    """

    value: Any
    root: bool = False


class Wave(NamedTuple):
    """Amplitudes of the quark currents into one partial wave.

    Attributes:
        spin: 0 or 1, of the invisible system.
        longitudinal: whether the daughter has helicity 0 (always for a pseudoscalar).
        amplitudes: by quark current; those of spin 1, and of vector currents in spin 0, are
            multiplied by sqrt(q2).
        electric: the quark tensor current that meets the electric part D^0i of an invisible
            tensor; the other one meets the magnetic part eps_ijk D^jk / 2.
    """

    spin: int
    longitudinal: bool
    amplitudes: dict[str, Amplitude]
    electric: str = ""


def pseudoscalar_waves(
    q2: ArrayLike,
    form_factors: FormFactors,
    *,
    mass_parent: Any,
    mass_daughter: Any,
    mass_b: Any,
    mass_s: Any,
) -> tuple[Wave, ...]:
    """Return the waves of B -> K: spin 0 (S and V) and spin 1 (V, T, and T5 by duality).

    Args:
        q2: GeV^2, any shape, within [0, (mass_parent - mass_daughter)^2].
        form_factors: f_plus, f_0, f_T at q2.
        mass_parent, mass_daughter: of the mesons, GeV.
        mass_b, mass_s: quark masses in the MS-bar scheme at the scale of the couplings, GeV.
    """
    m: Any = mass_parent
    k: Any = mass_daughter
    root_lambda = 2.0 * m * momentum(m, k, q2)
    scalar = (m**2 - k**2) * form_factors["f_0"]
    tensor = Amplitude(2.0 * root_lambda * form_factors["f_T"] / (m + k), root=True)
    return (
        Wave(
            0,
            True,
            {"S": Amplitude(scalar / (mass_b - mass_s)), "V": Amplitude(scalar)},
        ),
        Wave(
            1,
            True,
            {"V": Amplitude(root_lambda * form_factors["f_plus"]), "T": tensor, "T5": tensor},
            electric="T",
        ),
    )


def vector_waves(
    q2: ArrayLike,
    form_factors: FormFactors,
    *,
    mass_parent: Any,
    mass_daughter: Any,
    mass_b: Any,
    mass_s: Any,
) -> tuple[Wave, ...]:
    """Return the waves of B -> K* (or Bs -> phi): spin 0, and spin 1 with transversity 0, parallel
    and perpendicular.

    Arguments as for `pseudoscalar_waves`, with the form factors V, A0, A1, A12, T1, T2, T23.
    """
    m: Any = mass_parent
    k: Any = mass_daughter
    f = form_factors
    root_lambda = 2.0 * m * momentum(m, k, q2)
    time = root_lambda * f["A0"]

    def tensors(value: Any, root: bool = False) -> dict[str, Amplitude]:
        return {"T": Amplitude(value, root), "T5": Amplitude(value, root)}

    perpendicular = {
        "V": Amplitude(sqrt(2.0) * root_lambda * f["V"] / (m + k), root=True),
        **tensors(2.0 * sqrt(2.0) * root_lambda * f["T1"]),
    }
    # Tensor and axial currents have opposite signs: on a static quark sigma_0i = -i g_i, but
    # sigma_0i g5 = +i g_i g5.
    parallel = {
        "A": Amplitude(sqrt(2.0) * (m + k) * f["A1"], root=True),
        **tensors(-2.0 * sqrt(2.0) * (m**2 - k**2) * f["T2"]),
    }
    zero = {
        "A": Amplitude(8.0 * m * k * f["A12"]),
        **tensors(-8.0 * m * k * f["T23"] / (m + k), root=True),
    }
    return (
        # q^mu (sbar g_mu g5 b) = -(m_b + m_s) sbar g5 b
        Wave(0, True, {"P": Amplitude(-time / (mass_b + mass_s)), "A": Amplitude(time)}),
        Wave(1, True, zero, electric="T5"),
        Wave(1, False, parallel, electric="T5"),
        Wave(1, False, perpendicular, electric="T"),
    )


def annihilation_waves(
    *,
    mass_parent: Any,
    decay_constant: Any,
    mass_b: Any,
    mass_s: Any,
) -> tuple[Wave, ...]:
    """Return the one wave of Bs -> invisible: spin 0, from P and A.

    Args:
        mass_parent: GeV.
        decay_constant: <0|sbar g^mu g5 b|Bs(p)> = i decay_constant p^mu, GeV.
        mass_b, mass_s: quark masses, GeV.
    """
    time = mass_parent**2 * decay_constant
    return (Wave(0, True, {"P": Amplitude(-time / (mass_b + mass_s)), "A": Amplitude(time)}),)
