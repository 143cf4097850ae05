"""Complete models with a light vector Z': its couplings to all that it may decay into are known.

A model gives the couplings to leptons, quarks, neutrinos and dark fermions, and those to b and s.
Widths, lifetime, the probability to stay invisible, and the numbers that other experiments limit
follow here, by names that the data sets use.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

import jax.numpy as jnp
import numpyro.distributions as dist
from jax import Array
from jax.typing import ArrayLike

from bknn.channels import channel
from bknn.models.complete import dark_matter
from bknn.models.complete.matching import Matched, Matching
from bknn.models.particles import LARGEST_MASS, MASSES, Vector
from bknn.models.theory import Params, Particle
from bknn.parameters import Parameter
from bknn.prediction import DerivedQuantity, Group, Grouped
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


class Point(NamedTuple):
    """A point of a model with a light vector, which all that is said about it has in common.

    Attributes:
        own: what `point` of the model returned.
        couplings: of the Z', but for that to b and s.
        widths: of the Z'.
        p_inv: the probability that the Z' is not seen.
        b_to_s: {coupling of `vector` in the chiral basis: value}.
    """

    own: Any
    couplings: Couplings
    widths: Widths
    p_inv: Array
    b_to_s: Mapping[str, ArrayLike]


class LightVector(Matching):
    """Base of the models with a light vector.

    A model gives, beside what a `Matching` has, `vector_couplings` and `b_to_s`, and may add
    derived quantities by further `groups`. What all of these need is computed once, by `point`.

    Args:
        kinetic: solve for the temperature of dark matter when its abundance is computed
            (`bknn.relic.abundance_kinetic`); by default it is that of the plasma.
        others: options of `Theory`.

    Attributes:
        electroweak: masses and couplings of the standard model at tree level.
    """

    effective = Vector
    effective_options: ClassVar[Mapping[str, Any]] = {"basis": "chiral"}
    electroweak: ClassVar[Electroweak] = STANDARD

    def __init__(self, *, kinetic: bool = False, **others: Any) -> None:
        self.kinetic = kinetic
        super().__init__(**others)

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

    def groups(self) -> tuple[Group, ...]:
        """Return the derived quantities of every model with a light vector. One with more adds its
        own, whose functions are handed the parameters and the `Point` there:

            return (Group((DerivedQuantity("slow"),), self.slow), *super().groups())
        """
        return (
            Group(_COUPLINGS, self._couplings),
            Group(_DECAYS_OF_Z, self._decays),
            Group(_DECAYS_OF_B, self._b_decays),
            Group(_SEARCHES, self._searches),
            Group(_LOW_ENERGY, self._low_energy),
            Group(dark_matter.SCATTERING, self._scattering),
            Group(dark_matter.ABUNDANCE + dark_matter.KINETIC * self.kinetic, self._relic),
        )

    def own_parameters(self) -> tuple[Parameter, ...]:
        found = super().own_parameters()
        names = {p.name for p in found}
        every = (q for group in self.groups() for q in group.quantities)
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

    def remarks(self, values: Mapping[str, float]) -> tuple[str, ...]:
        """Return what must be known of a point: where the abundance of X is doubtful."""
        if "m_X" not in values:
            return ()
        return dark_matter.remarks(values["m_X"], values["mass"], self.kinetic)

    def match(self, params: Params) -> Matched:
        own = self.point(params)
        couplings = self.vector_couplings(params, own)
        partial = self._widths(params, couplings)
        p_inv = invisible_probability(partial, params["mass"], params["detector_length"])
        at = Point(own, couplings, partial, p_inv, self.b_to_s(params, own))
        low = {"mass": params["mass"], "width": partial.total, **at.b_to_s}
        return Matched(low, invisible=p_inv, derived=Grouped(self.groups(), params, at))

    def _widths(self, params: Params, couplings: Couplings) -> Widths:
        return widths(
            couplings,
            params["mass"],
            self.electroweak,
            hadrons=params["r_hadrons"],
            axial=params["axial_hadrons"],
        )

    def _couplings(self, params: Params, at: Point) -> dict[str, Array]:
        return {
            **{f"g_v_{f}": at.couplings.g_v(name) for f, name in FERMIONS.items()},
            **{f"g_a_{f}": at.couplings.g_a(name) for f, name in FERMIONS.items() if f != "nu"},
        }

    def _decays(self, params: Params, at: Point) -> dict[str, Array]:
        total = at.widths.total
        return {
            "width": total,
            "lifetime": lifetime_ps(total),
            "p_inv": at.p_inv,
            **branching_fractions(at.widths),
        }

    def _b_decays(self, params: Params, at: Point) -> dict[str, Array]:
        """Return the branching fractions of B -> K(*) Z', whatever the Z' decays into."""
        low = {"mass": params["mass"], "width": at.widths.total, **at.b_to_s}
        known = {p.name: p.init for p in self.low.parameters}
        values: dict[str, Any] = {**known, **self.low.null, **low}
        (new,) = (s for s in self.low.final_states(values) if isinstance(s, Particle))
        return {
            name: jnp.asarray(self._line(params, channel(decay), new, False).branching_ratio)
            for name, decay in (("br_K_Zprime", "B+ -> K+"), ("br_Kst_Zprime", "B0 -> K*0"))
        }

    def _searches(self, params: Params, at: Point) -> dict[str, Array]:
        ew = self.electroweak
        photon = widths(dark_photon(1.0, ew), params["mass"], ew, hadrons=params["r_hadrons"])
        return searches.effective_epsilon2(at.couplings, at.widths, photon, at.p_inv, ew)

    def _low_energy(self, params: Params, at: Point) -> dict[str, Array]:
        g, mass, ew = at.couplings, params["mass"], self.electroweak
        return {
            "delta_a_mu": low_energy.magnetic_moment(g, mass, "mu"),
            "delta_q_w_cs": low_energy.weak_charge(g, mass, 55, 78, ew),
            "width_Z_XX": low_energy.width_to_dark(self.of_z(params, at.own), ew.m_z),
            "sigma_p": low_energy.nucleon_cross_section(g, mass, "p"),
            "sigma_n": low_energy.nucleon_cross_section(g, mass, "n"),
        }

    def _scattering(self, params: Params, at: Point) -> dict[str, Array]:
        return dark_matter.scattering(at.couplings, params["mass"])

    def _relic(self, params: Params, at: Point) -> dict[str, Array]:
        return dark_matter.relic(at.couplings, at.widths, params, self.electroweak, self.kinetic)


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
    found = partial.fractions(*((decay,) for decay in _DECAYS.values()))
    return {name: found[..., i] for i, name in enumerate(_DECAYS)}


_LABELS = {"mu": r"\mu", "tau": r"\tau", "nu": r"\nu"}
_ENDS = {"ee": "e e", "mumu": r"\mu\mu", "tautau": r"\tau\tau", "nunu": r"\nu\nu"}
_ENDS |= {"pipi": r"\pi\pi", "XX": r"X\bar X", "hadrons": r"\mathrm{hadrons}"}
_PART, _POSITIVE = (0.0, 1.0), (0.0, math.inf)

_COUPLINGS = tuple(
    DerivedQuantity(
        f"g_{kind}_{f}",
        "",
        f"{word} coupling to {f}",
        rf"$g_{kind.upper()}^{{{_LABELS.get(f, f)}}}$",
    )
    for f in FERMIONS
    for kind, word in (("v", "vector"), ("a", "axial"))
    if (kind, f) != ("a", "nu")
)
_DECAYS_OF_Z = (
    DerivedQuantity("width", "GeV", "total width of the Z'", r"$\Gamma_{Z'}$", _POSITIVE),
    DerivedQuantity("lifetime", "ps", "of the Z'", r"$\tau_{Z'}$", _POSITIVE),
    DerivedQuantity("p_inv", "", "probability that the Z' is not seen", r"$P_\mathrm{inv}$"),
    *(
        DerivedQuantity(f"br_{n}", "", f"BR(Z' -> {n})", rf"BR$(Z' \to {s})$", _PART)
        for n, s in _ENDS.items()
    ),
)
_DECAYS_OF_B = (
    DerivedQuantity(
        "br_K_Zprime",
        "",
        "BR(B+ -> K+ Z'), all decays",
        r"BR$(B^+ \to K^+ Z')$",
        _PART,
        ("B+ -> K+",),
    ),
    DerivedQuantity(
        "br_Kst_Zprime",
        "",
        "BR(B0 -> K*0 Z'), all decays",
        r"BR$(B^0 \to K^{*0} Z')$",
        _PART,
        ("B0 -> K*0",),
    ),
)
_SEARCHES = tuple(
    DerivedQuantity(name, "", text, bounds=_POSITIVE) for name, text in searches.QUANTITIES.items()
)
_LOW_ENERGY = (
    DerivedQuantity("delta_a_mu", "", "of the muon's (g - 2)/2", r"$\Delta a_\mu$"),
    DerivedQuantity(
        "delta_q_w_cs", "", "of the weak charge of caesium", r"$\Delta Q_W(\mathrm{Cs})$"
    ),
    DerivedQuantity(
        "width_Z_XX", "GeV", "Gamma(Z -> X Xbar)", r"$\Gamma(Z \to X\bar X)$", _POSITIVE
    ),
    DerivedQuantity("sigma_p", "cm^2", "X on protons, spin independent", r"$\sigma_p$", _POSITIVE),
    DerivedQuantity("sigma_n", "cm^2", "X on neutrons, spin independent", r"$\sigma_n$", _POSITIVE),
)
