"""The short-distance standard-model spectrum of B+ -> K+ nu nubar.

It is the null spectrum of the public Belle II number densities. The tau-annihilation part
(B+ -> tau nu, tau -> K nu) is not in it: Belle II counts that as background.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from bknn.form_factors import hpqcd2022
from bknn.inputs import HPQCD_2022, StandardModelInputs
from bknn.kinematics import endpoint, momentum


def dbr_dq2(
    q2: ArrayLike,
    *,
    form_factor: Callable[[Array], Array] = hpqcd2022.f_plus,
    inputs: StandardModelInputs = HPQCD_2022,
) -> Array:
    """Return dBR/dq2 of B+ -> K+ nu nubar in GeV^-2, summed over three flavours.

    arXiv:2207.13371, eq. 16:

        dBR/dq2 = tau G_F^2 alpha^2 X_t^2 |V_tb V_ts*|^2 / (32 pi^5 sin^4 theta_W) p_K^3 f_plus^2.

    Args:
        q2: squared invariant mass of the neutrino pair, GeV^2, any shape. Outside the physical
            range [0, (m_B - m_K)^2] the result is 0, with gradient 0.
        form_factor: f_plus as a function of q2.
        inputs: numerical inputs. A form factor that knows meson masses keeps its own.

    With the defaults it is, number for number, the null spectrum of HEPData
    10.17182/hepdata.166082, and its integral is 4.97e-6.

    >>> round(float(dbr_dq2(4.0)) * 1e7, 3)
    2.901
    >>> float(dbr_dq2(23.0))
    0.0
    """
    q2 = jnp.asarray(q2)
    outside = (q2 < 0.0) | (q2 > endpoint(inputs.mass_b, inputs.mass_k))
    q2 = jnp.where(outside, 0.0, q2)
    rate = (
        (inputs.g_fermi * inputs.alpha * inputs.x_t * inputs.ckm / inputs.sin2_theta_w) ** 2
        * inputs.lifetime
        / (32.0 * jnp.pi**5)
    )
    spectrum = rate * momentum(inputs.mass_b, inputs.mass_k, q2) ** 3 * form_factor(q2) ** 2
    return jnp.where(outside, 0.0, spectrum)


#: Spectra that measurements name as the ones behind their signal templates.
NULL_SPECTRA = {"hpqcd-2022": jax.jit(dbr_dq2)}
