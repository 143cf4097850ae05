"""Complete models with a light vector Z': its couplings to all that it may decay into are known.

A model gives the couplings to leptons, quarks, neutrinos and dark fermions, and those to b and s.
Widths, lifetime, the probability to stay invisible, and the numbers that other experiments limit
follow here, by names that the data sets use.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import jax.numpy as jnp
import numpyro.distributions as dist
from jax import Array
from jax.typing import ArrayLike

from bknn.channels import channel
from bknn.models.complete.matching import Matched, Matching
from bknn.models.particles import LARGEST_MASS, MASSES, Vector
from bknn.models.theory import Params, Particle
from bknn.parameters import Parameter
from bknn.prediction import DerivedQuantity
from bknn.vectors import low_energy, searches
from bknn.vectors.couplings import Couplings, dark_photon, none
from bknn.vectors.electroweak import STANDARD, Electroweak
from bknn.vectors.invisible import invisible_probability
from bknn.vectors.resonances import check_mass
from bknn.vectors.widths import Widths, lifetime_ps, widths

#: Fermions whose couplings are derived quantities; the three neutrinos have one name.
FERMIONS = {"e": "e", "mu": "mu", "tau": "tau", "nu": "nu_e", **{q: q for q in "udscb"}}


def mass_parameter() -> Parameter:
    """Return the parameter for the mass of the Z'."""
    return Parameter(
        "mass",
        2.1,
        (1e-3, 10.0),
        prior=dist.Uniform(0.1, LARGEST_MASS),
        starts=MASSES,
        unit="GeV",
        description="of the Z'",
    )


def dark_fermion_mass() -> Parameter:
    """Return the parameter for the mass of the dark fermion."""
    return Parameter(
        "m_X",
        0.95,
        (0.0, 1e4),
        prior=dist.Uniform(0.0, 1.05),
        fixed=True,
        unit="GeV",
        description="mass of the dark fermion X",
    )


def decay_parameters() -> tuple[Parameter, ...]:
    """Return the parameters of decays: the length of the detector, and what is uncertain."""
    return (
        Parameter(
            "detector_length",
            3.0,
            (0.0, 100.0),
            fixed=True,
            unit="m",
            symbol="$L$",
            description="decays within it are seen",
        ),
        Parameter(
            "r_hadrons",
            1.0,
            (0.5, 1.5),
            constraint=(1.0, 0.05),
            symbol=r"$\kappa_\mathrm{had}$",
            description="hadronic widths over those from e+ e- data",
        ),
        Parameter(
            "axial_hadrons",
            1.0,
            (0.3, 1.7),
            constraint=(1.0, 0.10),
            symbol=r"$\kappa_\mathrm{axial}$",
            description="hadronic widths of axial couplings over those of chiral symmetry",
        ),
    )


class LightVector(Matching):
    """Base of the models with a light vector.

    A model gives, beside what a `Matching` has, `vector_couplings` and `b_to_s`, and may add
    derived quantities of its own by `own_quantities` and `own`. What all of these need is computed
    once, by `point`, whose result they are handed.

    Attributes:
        electroweak: masses and couplings of the standard model at tree level.
    """

    effective = Vector
    effective_options: ClassVar[Mapping[str, Any]] = {"basis": "chiral"}
    electroweak: ClassVar[Electroweak] = STANDARD
    own_quantities: ClassVar[tuple[DerivedQuantity, ...]] = ()

    def point(self, params: Params) -> Any:
        """Return what the methods below need of the parameters, a pure JAX function."""
        return None

    def vector_couplings(self, params: Params, at: Any) -> Couplings:
        """Return the couplings of the Z' to all but b and s together."""
        raise NotImplementedError

    def b_to_s(self, params: Params, at: Any) -> Mapping[str, ArrayLike]:
        """Return {coupling of `vector` in the chiral basis: value}."""
        raise NotImplementedError

    def of_z(self, params: Params, at: Any) -> Couplings:
        """Return the couplings of the Z to the dark sector, by mixing with the Z'."""
        return none()

    def own(self, params: Params, at: Any) -> Mapping[str, ArrayLike]:
        """Return {name: value} of the quantities of this model alone."""
        return {}

    def own_parameters(self) -> tuple[Parameter, ...]:
        found = super().own_parameters()
        names = {p.name for p in found}
        every = (*self.own_quantities, *_quantities())
        self.derived_quantities = tuple(  # type: ignore[misc]
            q for q in every if q.name not in names
        )
        return found

    def check(self, values: Mapping[str, float]) -> None:
        """Refuse masses of the Z' at which its hadronic width is not known.

        Raises:
            ParameterError: outside of the range of the tables, or at a narrow resonance.
        """
        check_mass(values["mass"])

    def match(self, params: Params) -> Matched:
        at = self.point(params)
        partial = self._widths(params, self.vector_couplings(params, at))
        low = {"mass": params["mass"], "width": partial.total, **self.b_to_s(params, at)}
        return Matched(low, invisible=self._invisible(params, partial))

    def derived(self, params: Params) -> Mapping[str, ArrayLike]:
        """Return {name: value} of the derived quantities."""
        at, mass, ew = self.point(params), params["mass"], self.electroweak
        couplings = self.vector_couplings(params, at)
        partial = self._widths(params, couplings)
        p_inv = self._invisible(params, partial)
        photon = widths(dark_photon(1.0, ew), mass, ew, hadrons=params["r_hadrons"])
        found: dict[str, ArrayLike] = {
            **{f"g_v_{f}": couplings.g_v(name) for f, name in FERMIONS.items()},
            **{f"g_a_{f}": couplings.g_a(name) for f, name in FERMIONS.items() if f != "nu"},
            "width": partial.total,
            "lifetime": lifetime_ps(partial.total),
            "p_inv": p_inv,
            **branching_fractions(partial),
            **self._b_decays(params, partial, self.b_to_s(params, at)),
            **searches.effective_epsilon2(couplings, partial, photon, p_inv, ew),
            "delta_a_mu": low_energy.magnetic_moment(couplings, mass, "mu"),
            "delta_q_w_cs": low_energy.weak_charge(couplings, mass, 55, 78, ew),
            "width_Z_XX": low_energy.width_to_dark(self.of_z(params, at), ew.m_z),
            "sigma_p": low_energy.nucleon_cross_section(couplings, mass, "p"),
            "sigma_n": low_energy.nucleon_cross_section(couplings, mass, "n"),
            **self.own(params, at),
        }
        return {q.name: found[q.name] for q in self.derived_quantities}

    def _widths(self, params: Params, couplings: Couplings) -> Widths:
        return widths(
            couplings,
            params["mass"],
            self.electroweak,
            hadrons=params["r_hadrons"],
            axial=params["axial_hadrons"],
        )

    def _invisible(self, params: Params, partial: Widths) -> Array:
        return invisible_probability(partial, params["mass"], params["detector_length"])

    def _b_decays(
        self, params: Params, partial: Widths, b_to_s: Mapping[str, ArrayLike]
    ) -> dict[str, Array]:
        """Return the branching fractions of B -> K(*) Z', whatever the Z' decays into."""
        low = {"mass": params["mass"], "width": partial.total, **b_to_s}
        known = {p.name: p.init for p in self.low.parameters}
        values: dict[str, Any] = {**known, **self.low.null, **low}
        (new,) = (s for s in self.low.final_states(values) if isinstance(s, Particle))
        return {
            name: jnp.asarray(self._line(params, channel(decay), new, False).branching_ratio)
            for name, decay in (("br_K_Zprime", "B+ -> K+"), ("br_Kst_Zprime", "B0 -> K*0"))
        }


#: {derived quantity: decay, as `Widths.branching_fraction` calls it}
_DECAYS = {
    "br_ee": "e e",
    "br_mumu": "mu mu",
    "br_tautau": "tau tau",
    "br_nunu": "neutrinos",
    "br_pipi": "pi+ pi-",
    "br_hadrons": "hadrons",
    "br_XX": "X X",
}


def branching_fractions(partial: Widths) -> dict[str, Array]:
    """Return {name: branching fraction}; all are 0 where nothing decays."""
    return {name: partial.branching_fraction(decay) for name, decay in _DECAYS.items()}


def _quantities() -> tuple[DerivedQuantity, ...]:
    """The derived quantities of every model with a light vector."""
    symbols = {"mu": r"\mu", "tau": r"\tau", "nu": r"\nu"}
    found = []
    for f in FERMIONS:
        label = symbols.get(f, f)
        found.append(
            DerivedQuantity(f"g_v_{f}", "", f"vector coupling to {f}", rf"$g_V^{{{label}}}$")
        )
        if f != "nu":
            found.append(
                DerivedQuantity(f"g_a_{f}", "", f"axial coupling to {f}", rf"$g_A^{{{label}}}$")
            )
    ends = {"ee": "e e", "mumu": r"\mu\mu", "tautau": r"\tau\tau", "nunu": r"\nu\nu"}
    ends |= {"pipi": r"\pi\pi", "XX": r"X\bar X", "hadrons": r"\mathrm{hadrons}"}
    part, positive = (0.0, 1.0), (0.0, math.inf)
    found += [
        DerivedQuantity("width", "GeV", "total width of the Z'", r"$\Gamma_{Z'}$", positive),
        DerivedQuantity("lifetime", "ps", "of the Z'", r"$\tau_{Z'}$", positive),
        DerivedQuantity("p_inv", "", "probability that the Z' is not seen", r"$P_\mathrm{inv}$"),
        *(
            DerivedQuantity(f"br_{n}", "", f"BR(Z' -> {n})", rf"BR$(Z' \to {s})$", part)
            for n, s in ends.items()
        ),
        DerivedQuantity(
            "br_K_Zprime",
            "",
            "BR(B+ -> K+ Z'), all decays",
            r"BR$(B^+ \to K^+ Z')$",
            part,
            ("B+ -> K+",),
        ),
        DerivedQuantity(
            "br_Kst_Zprime",
            "",
            "BR(B0 -> K*0 Z'), all decays",
            r"BR$(B^0 \to K^{*0} Z')$",
            part,
            ("B0 -> K*0",),
        ),
        *(
            DerivedQuantity(name, "", text, bounds=positive)
            for name, text in searches.QUANTITIES.items()
        ),
        DerivedQuantity("delta_a_mu", "", "of the muon's (g - 2)/2", r"$\Delta a_\mu$"),
        DerivedQuantity(
            "delta_q_w_cs", "", "of the weak charge of caesium", r"$\Delta Q_W(\mathrm{Cs})$"
        ),
        DerivedQuantity(
            "width_Z_XX", "GeV", "Gamma(Z -> X Xbar)", r"$\Gamma(Z \to X\bar X)$", positive
        ),
        DerivedQuantity(
            "sigma_p", "cm^2", "X on protons, spin independent", r"$\sigma_p$", positive
        ),
        DerivedQuantity(
            "sigma_n", "cm^2", "X on neutrons, spin independent", r"$\sigma_n$", positive
        ),
    ]
    return tuple(found)
