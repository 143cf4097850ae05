"""The scenarios of light new physics: one model with one kind of coupling each.

They are those of arXiv:2403.13887 and arXiv:2503.19025, whose figure of viable scenarios compares
how well each describes the data. A scenario is a model and the couplings that float in it; B -> K
sees the first coupling of each (quark currents of even parity), B -> K* the second one too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bknn import errors


@dataclass(frozen=True)
class Scenario:
    """A model with the couplings that float in it.

    Attributes:
        name: as on the command line.
        model: its name.
        even: coupling of the quark current of even parity, which B -> K sees.
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


def _pair(model: str, letter: str, what: str, symbol: str) -> dict[str, Scenario]:
    """One scenario for each invisible current of a pair model."""
    found = {}
    for key in what:
        even, odd = {
            "V": ("V", "A"),
            "A": ("V", "A"),
            "M": ("V", "A"),
            "E": ("V", "A"),
            "T": ("T", "T5"),
        }.get(key, ("S", "P"))
        name = f"{model}-{key}"
        label = rf"${symbol}$, ${letter}_{{{even}{key}}}$"
        found[name] = Scenario(name, model, f"{letter}_{even}{key}", f"{letter}_{odd}{key}", label)
    return found


#: All scenarios by name; "sm-rescaled" is the standard model's spectrum, as often as one likes.
SCENARIOS: Mapping[str, Scenario] = {
    "sm-rescaled": Scenario(
        "sm-rescaled", "wet", "C_VL", None, r"$\nu\bar\nu$, $\mu\times$SM", mass=False
    ),
    "scalar": Scenario("scalar", "scalar", "g_S", "g_P", r"$\phi$, $g_S$"),
    "vector-V": Scenario("vector-V", "vector", "h_V", "h_A", r"$V$, $h_V$"),
    "vector-T": Scenario("vector-T", "vector", "h_T", "h_T5", r"$V$, $h_T$"),
    **_pair("scalar-pair", "g", "SV", r"\phi\bar\phi"),
    **_pair("fermion-pair", "f", "SPVAT", r"\psi\bar\psi"),
    **_pair("vector-pair", "h", "SVT", r"V\bar V"),
    **_pair("gravitino-pair", "F", "SPVAT", r"\Psi\bar\Psi"),
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
