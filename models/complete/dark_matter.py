"""The dark fermion X of a model with a light vector as dark matter: what is left of it, and shows.

Freeze-out by X Xbar -> Z'* -> standard model and X Xbar -> Z'Z' (`bknn.relic`), with the widths of
`bknn.vectors` at sqrt(s) in place of the mass of the Z'.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import jax.numpy as jnp
import numpyro.distributions as dist
from jax import Array
from jax.typing import ArrayLike

from bknn.parameters import Parameter
from bknn.prediction import DerivedQuantity
from bknn.relic.annihilation import Annihilation, Resonance, beta_sigma_pairs
from bknn.relic.boltzmann import abundance
from bknn.relic.detection import deposited, p_ann
from bknn.relic.kinetic import abundance_kinetic
from bknn.relic.scattering import Scattering, standard_model
from bknn.relic.thermal_average import to_cm3_per_s
from bknn.vectors.couplings import Couplings
from bknn.vectors.electroweak import Electroweak
from bknn.vectors.hadrons import STRUCTURES
from bknn.vectors.low_energy import nucleus_cross_section
from bknn.vectors.widths import CHANNELS, Widths, widths

#: Omega h^2 of dark matter (Planck 2018, arXiv:1807.06209, table 2, last column).
OBSERVED = 0.1200

#: Below it, kinetic equilibrium until freeze-out is doubtful (arXiv:1706.07433).
SAFE_DISTANCE = 0.1

#: Masses of X in GeV between which freeze-out is computed; beyond, those are taken.
LIGHTEST, HEAVIEST = 1e-2, 1e3

#: Above it the width grows like sqrt(s), quarks that open up there left out (GeV).
HIGHEST = 10.0

_POSITIVE, _PART = (0.0, math.inf), (0.0, 1.0)

#: What freeze-out leaves.
ABUNDANCE = (
    DerivedQuantity("omega_h2", "", "Omega h^2 of X and Xbar", r"$\Omega_X h^2$", _POSITIVE),
    DerivedQuantity("dark_matter_fraction", "", "part of the dark matter that is X", bounds=_PART),
    DerivedQuantity("x_freeze_out", "", "m_X/T at which X freezes out", r"$x_f$", _POSITIVE),
    DerivedQuantity("pole_distance", "", "(M^2 - 4 m_X^2)/(4 m_X^2)", r"$\epsilon_R$"),
    DerivedQuantity(
        "sigma_v_x20",
        "cm^3/s",
        "<sigma v> at m_X/T = 20, averaged over X and Xbar",
        r"$\langle\sigma v\rangle_{20}$",
        _POSITIVE,
    ),
    DerivedQuantity(
        "sigma_v_today",
        "cm^3/s",
        "sigma v at rest, averaged over X and Xbar",
        r"$\langle\sigma v\rangle_0$",
        _POSITIVE,
    ),
    DerivedQuantity(
        "p_ann",
        "cm^3/s/GeV",
        "f_eff <sigma v>/m_X at recombination, were X all dark matter",
        r"$P_\mathrm{ann}$",
        _POSITIVE,
    ),
)

#: And where X has a temperature of its own.
KINETIC = (
    DerivedQuantity(
        "kinetic_ratio",
        "",
        "omega_h2 over that of X at the temperature of the plasma",
        r"$\Omega^\mathrm{kin}/\Omega$",
        _POSITIVE,
    ),
    DerivedQuantity(
        "x_kinetic",
        "",
        "m_X/T at which X scatters once in a Hubble time",
        bounds=_POSITIVE,
    ),
)

_TARGETS = {"sigma_xe": "Xe", "sigma_ar": "Ar", "sigma_cawo4": "CaWO4"}

#: Scattering on nuclei.
SCATTERING = tuple(
    DerivedQuantity(
        name, "cm^2", f"X on {target}, per nucleon", rf"$\sigma_\mathrm{{{target}}}$", _POSITIVE
    )
    for name, target in _TARGETS.items()
)


def parameters() -> tuple[Parameter, ...]:
    """Return the parameters for the mass of X, and for whether it is all of the dark matter."""
    return (
        Parameter(
            "m_X",
            0.95,
            (0.0, 1e4),
            prior=dist.Uniform(0.0, 1.05),
            fixed=True,
            unit="GeV",
            symbol="$m_X$",
            description="mass of the dark fermion X",
        ),
        Parameter(
            "thermal",
            1.0,
            (0.0, 1.0),
            fixed=True,
            description="1: X is as abundant as freeze-out leaves it; 0: X is all dark matter",
        ),
    )


def remarks(m_X: float, mass: float, kinetic: bool = False) -> tuple[str, ...]:
    """Return what must be known of dark matter of mass m_X that annihilates through a vector of a
    mass (GeV both), a sentence each; `kinetic` as of `relic`."""
    if not m_X > 0.0:
        return ()
    said = []
    distance = (mass**2 - 4.0 * m_X**2) / (4.0 * m_X**2)
    if 0.0 < distance < SAFE_DISTANCE and not kinetic:
        said.append(
            f"2 m_X = {2 * m_X:.4g} GeV lies close below the Z' ((M^2 - 4 m_X^2)/(4 m_X^2) = "
            f"{distance:.2g}, below {SAFE_DISTANCE:g}): X may leave kinetic equilibrium before it "
            "freezes out, and its abundance may change by a factor of several (kinetic=True, "
            "--kinetic, solves for its temperature)."
        )
    if not LIGHTEST <= m_X <= HEAVIEST:
        said.append(
            f"m_X = {m_X:.4g} GeV lies outside of {LIGHTEST:g} to {HEAVIEST:g} GeV, where "
            "freeze-out is computed: Omega h^2 and what follows are those of the nearer end."
        )
    return tuple(said)


def annihilation(
    couplings: Couplings,
    partial: Widths,
    mass: ArrayLike,
    ew: Electroweak,
    *,
    hadrons: ArrayLike = 1.0,
    axial: ArrayLike = 1.0,
) -> Annihilation:
    """Return the annihilation of the first dark fermion of a vector.

    Args:
        couplings: of the vector.
        partial: its widths.
        mass: of the vector, GeV.
        ew: masses and couplings of the standard model.
        hadrons, axial: factors on hadronic widths, as of `widths`.
    """
    dark, visible = couplings.dark[0], Couplings(couplings.vector, couplings.axial)

    def width(w: Array) -> Array:
        low = jnp.minimum(w, HIGHEST)
        return widths(visible, low, ew, hadrons=hadrons, axial=axial).total * (w / low)

    return Annihilation(
        jnp.clip(jnp.asarray(dark.mass, float), LIGHTEST, HEAVIEST),
        dark.vector,
        0.0,
        Resonance(mass, partial.total),
        width,
        breakpoints=STRUCTURES,
        pairs=True,
    )


def _process(
    couplings: Couplings, partial: Widths, params: Mapping[str, ArrayLike], ew: Electroweak
) -> Annihilation:
    factors = {"hadrons": params["r_hadrons"], "axial": params["axial_hadrons"]}
    return annihilation(couplings, partial, params["mass"], ew, **factors)


def relic(
    couplings: Couplings,
    partial: Widths,
    params: Mapping[str, ArrayLike],
    ew: Electroweak,
    kinetic: bool = False,
) -> dict[str, Array]:
    """Return {name: value} of `ABUNDANCE`, and of `KINETIC` where that is asked for.

    Args:
        couplings, partial: of the vector.
        params: with `mass`, `r_hadrons`, `axial_hadrons`, `thermal`.
        ew: masses and couplings of the standard model.
        kinetic: solve for the temperature of X, too (`bknn.relic.kinetic`); `x_freeze_out` and
            `sigma_v_x20` remain those of X at the temperature of the plasma.
    """
    process = _process(couplings, partial, params, ew)
    found = abundance(process)
    omega, thermal = found.omega_h2, jnp.asarray(params["thermal"])
    of_temperature: dict[str, Array] = {}
    if kinetic:
        partners = standard_model(couplings.vector, couplings.axial)
        own = abundance_kinetic(process, Scattering(params["mass"], process.g_v, 0.0, partners))
        omega = own.omega_h2
        of_temperature = {"kinetic_ratio": omega / found.omega_h2, "x_kinetic": own.x_kinetic}
    f = _deposited(couplings, partial, process, params, ew, found.sigma_v_today)
    return {
        "omega_h2": omega,
        "dark_matter_fraction": thermal * jnp.minimum(omega / OBSERVED, 1.0) + 1.0 - thermal,
        "x_freeze_out": found.x_freeze_out,
        "pole_distance": found.epsilon,
        "sigma_v_x20": found.sigma_v_x20,
        "sigma_v_today": found.sigma_v_today,
        "p_ann": p_ann(f, found.sigma_v_today, process.mass),
        **of_temperature,
    }


def _deposited(
    couplings: Couplings,
    partial: Widths,
    process: Annihilation,
    params: Mapping[str, ArrayLike],
    ew: Electroweak,
    today: Array,
) -> Array:
    """Return f_eff of annihilation at rest."""
    m, M = jnp.asarray(process.mass, float), jnp.asarray(params["mass"], float)
    visible = Couplings(couplings.vector, couplings.axial)
    at_rest = widths(
        visible,
        jnp.clip(2.0 * m, 1e-3, HIGHEST),
        ew,
        hadrons=params["r_hadrons"],
        axial=params["axial_hadrons"],
    )
    direct = deposited({c: at_rest.branching_fraction(c) for c in CHANNELS}, m)
    pairs = to_cm3_per_s(beta_sigma_pairs(4.0 * m**2, m, M, process.g_v))  # 2 beta sigma, halved
    decays = deposited({c: partial.branching_fraction(c) for c in CHANNELS}, m, mediator=M)
    part = jnp.clip(pairs / jnp.where(today > 0.0, today, 1.0), 0.0, 1.0)
    return (1.0 - part) * direct + part * decays


def scattering(couplings: Couplings, mass: ArrayLike) -> dict[str, Array]:
    """Return {name: value} of `SCATTERING`, for a vector of a mass in GeV."""
    return {n: nucleus_cross_section(couplings, mass, t) for n, t in _TARGETS.items()}
