"""The scenarios of light new physics: one model with one kind of coupling each.

They are those of arXiv:2403.13887 and arXiv:2503.19025, whose figure of viable scenarios compares
how well each describes the data, and all others that the models have. A scenario is a model and
the couplings that float in it; B -> K sees the first coupling of each, B -> K* the second one too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bknn import errors
from bknn.models.pairs import FERMION, GRAVITINO, QUARKS, SCALAR, VECTOR, Current


@dataclass(frozen=True)
class Scenario:
    """A model with the couplings that float in it.

    Attributes:
        name: as on the command line.
        model: its name.
        even: coupling that B -> K sees, that of the quark current of even parity. (Pairs have a
            tensor scenario for each parity, because B -> K sees both.)
        odd: its partner of odd parity, which only B -> K*, Bs -> phi and Bs -> invisible see.
        label: LaTeX for figures.
        mass: whether there is a mass to be scanned.
    """

    name: str
    model: str
    even: str
    odd: str | None
    label: str
    mass: bool = True


def _pair(model: str, letter: str, currents: Sequence[Current], symbol: str) -> dict[str, Scenario]:
    """One scenario for each invisible current of a pair model, two for a tensor."""
    found = {}
    for c in currents:
        even, odd = QUARKS[c.kind]
        # B -> K sees sigma and sigma g5, the electric and the magnetic part of the pair.
        apart = [(c.key, even, None), (f"{c.key}5", odd, None)]
        for end, first, second in apart if c.kind == "tensor" else [(c.key, even, odd)]:
            name = f"{model}-{end}"
            label = rf"${symbol}$, ${letter}_{{{first}{c.key}}}$"
            partner = second and f"{letter}_{second}{c.key}"
            found[name] = Scenario(name, model, f"{letter}_{first}{c.key}", partner, label)
    return found


#: All scenarios by name: every current of every final state. "sm-rescaled" is the standard model's
#: spectrum, as often as one likes. Particles that are their own antiparticles have the spectra of
#: complex and Dirac ones.
SCENARIOS: Mapping[str, Scenario] = {
    "sm-rescaled": Scenario(
        "sm-rescaled", "wet", "C_VL", None, r"$\nu\bar\nu$, $\mu\times$SM", mass=False
    ),
    "neutrinos-S": Scenario(
        "neutrinos-S", "wet", "C_SL", "C_SR", r"$\nu\nu$, $C_{SL}$", mass=False
    ),
    "neutrinos-T": Scenario("neutrinos-T", "wet", "C_TL", None, r"$\nu\nu$, $C_{TL}$", mass=False),
    "scalar": Scenario("scalar", "scalar", "g_S", "g_P", r"$\phi$, $g_S$"),
    "vector-V": Scenario("vector-V", "vector", "h_V", "h_A", r"$V$, $h_V$"),
    "vector-T": Scenario("vector-T", "vector", "h_T", "h_T5", r"$V$, $h_T$"),
    **_pair("scalar-pair", "g", SCALAR, r"\phi\bar\phi"),
    **_pair("fermion-pair", "f", FERMION, r"\psi\bar\psi"),
    **_pair("vector-pair", "h", VECTOR, r"V\bar V"),
    **_pair("gravitino-pair", "F", GRAVITINO, r"\Psi\bar\Psi"),
}

#: Those that the figure of viable scenarios of the papers shows, with the reference.
VIABLE = (
    "sm-rescaled",
    "scalar",
    "vector-V",
    "vector-T",
    "scalar-pair-S",
    "scalar-pair-V",
    "fermion-pair-V",
    "fermion-pair-A",
)


def scenario(name: str) -> Scenario:
    """Return a scenario by name.

    Raises:
        UnknownNameError: no such scenario; close matches are named.

    >>> scenario("vector-T").odd
    'h_T5'
    """
    if name not in SCENARIOS:
        raise errors.unknown("scenario", name, SCENARIOS)
    return SCENARIOS[name]
