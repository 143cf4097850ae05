"""The parameters of the aligned U(1)', by basis."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpyro.distributions as dist

from bknn.models.complete import dark_matter
from bknn.models.complete.light_vector import decay_parameters
from bknn.parameters import Parameter

#: MS-bar mass of the top quark at itself, GeV: loops without QCD corrections are nearest to the
#: full result with it.
MASS_T = 163.0

#: Above it the partial wave of t T scattering violates unitarity.
LARGEST_YUKAWA = math.sqrt(8.0 * math.pi / 3.0)


def _masses() -> tuple[Parameter, ...]:
    return (
        Parameter(
            "m_T",
            1e4,
            (200.0, 1e7),
            prior=dist.LogUniform(1e3, 1e5),
            fixed=True,
            unit="GeV",
            symbol="$m_T$",
            description="mass of the top partner, above that of the top quark",
            logarithmic=True,
        ),
        Parameter(
            "s_R",
            0.3,
            (1e-6, 1.0 - 1e-6),
            prior=dist.Uniform(0.0, 1.0),
            fixed=True,
            symbol="$s_R$",
            description="sine of the mixing of t and T, right-handed",
            logarithmic=True,
        ),
    )


def _gauge_coupling() -> Parameter:
    return Parameter(
        "G",
        1.5e-4,
        (0.0, 3.5),
        prior=dist.LogUniform(1e-6, 1e-1),
        starts=(1.5e-4, 1e-5),
        symbol="$G$",
        description="gauge coupling times the charge of T and Phi, g~ q'",
        coupling="new",
        logarithmic=True,
    )


def _yukawa(fixed: bool = False) -> Parameter:
    """The Yukawa coupling; where it is fixed it is no coupling that could be 0, but gives m_T."""
    return Parameter(
        "y_T",
        0.3,
        (1e-6 if fixed else 0.0, 10.0),
        prior=dist.LogUniform(1e-3, LARGEST_YUKAWA),
        fixed=fixed,
        symbol="$y_T$",
        description="Yukawa coupling of t', T' and Phi",
        coupling="" if fixed else "new",
        logarithmic=True,
    )


#: {basis: parameters of top partner and Phi}
BASES: Mapping[str, tuple[Parameter, ...]] = {
    "coupling": (*_masses(), _gauge_coupling()),
    "yukawa": (*_masses(), _yukawa()),
    "dimensionless": (_masses()[1], _gauge_coupling(), _yukawa(fixed=True)),
    "lagrangian": (
        Parameter(
            "y_t",
            0.936,
            (0.3, 5.0),
            prior=dist.Uniform(0.5, 1.5),
            fixed=True,
            symbol="$y_t'$",
            description="Yukawa coupling of t' and the Higgs boson",
        ),
        _yukawa(),
        Parameter(
            "M_T",
            1e4,
            (200.0, 1e7),
            prior=dist.LogUniform(1e3, 1e5),
            fixed=True,
            unit="GeV",
            symbol="$M_{T'}$",
            description="mass of T' without mixing",
            logarithmic=True,
        ),
        Parameter(
            "v_tilde",
            1e4,
            (0.1, 1e7),
            prior=dist.LogUniform(1e2, 1e6),
            fixed=True,
            unit="GeV",
            symbol=r"$\tilde v$",
            description="vacuum expectation value of Phi, times sqrt2",
            logarithmic=True,
        ),
    ),
}

TOP_MASS = Parameter(
    "m_t",
    MASS_T,
    (150.0, 190.0),
    fixed=True,
    unit="GeV",
    symbol="$m_t$",
    description="mass of the top quark in the loops",
)

COMMON = (
    Parameter(
        "r_X",
        12.0,
        (0.0, 1e6),
        prior=dist.LogUniform(1e-2, 1e3),
        fixed=True,
        symbol="$r_X$",
        description="charge of X over that of T and Phi",
        logarithmic=True,
    ),
    *dark_matter.parameters(),
    Parameter(
        "m_phi",
        1e3,
        (0.0, 1e7),
        prior=dist.LogUniform(1.0, 1e4),
        fixed=True,
        unit="GeV",
        symbol=r"$m_\phi$",
        description="mass of the dark scalar",
        logarithmic=True,
    ),
    Parameter(
        "Lambda",
        0.0,
        (0.0, 1e20),
        fixed=True,
        unit="GeV",
        symbol=r"$\Lambda$",
        description="scale at which the kinetic mixing is eps_A0; 0 is m_T",
    ),
    Parameter(
        "eps_A0",
        0.0,
        (-0.1, 0.1),
        prior=dist.Uniform(-1e-2, 1e-2),
        fixed=True,
        symbol=r"$\epsilon_A^0$",
        description="kinetic mixing with the photon at Lambda",
    ),
    *decay_parameters(),
)
