"""The decay channels, and what each of them is made of."""

from __future__ import annotations

from dataclasses import dataclass

from bknn import errors


@dataclass(frozen=True)
class Channel:
    """A decay with missing energy.

    Attributes:
        name: `"B+ -> K+"` and so on; what is invisible is the model's business.
        parent, daughter: keys of masses and lifetimes in `bknn.inputs.Inputs`; the daughter is
            None if everything is invisible.
        form_factors: which transition's form factors it needs, None for an annihilation.
        vector: whether the daughter is a vector meson.
        ratio: usual name of its rate over the standard model's.
    """

    name: str
    parent: str
    daughter: str | None
    form_factors: str | None
    vector: bool
    ratio: str


CHANNELS: dict[str, Channel] = {
    c.name: c
    for c in (
        Channel("B+ -> K+", "B+", "K+", "B -> K", False, "r_k"),
        Channel("B0 -> K0", "B0", "K0", "B -> K", False, "r_k"),
        Channel("B+ -> K*+", "B+", "K*+", "B -> K*", True, "r_kstar"),
        Channel("B0 -> K*0", "B0", "K*0", "B -> K*", True, "r_kstar"),
        Channel("Bs -> phi", "Bs", "phi", "Bs -> phi", True, "r_phi"),
        Channel("Bs -> invisible", "Bs", None, None, False, "r_bs"),
    )
}


def channel(name: str) -> Channel:
    """Return a channel by name.

    Raises:
        UnknownNameError: no such channel; close matches are named.

    >>> channel("B0 -> K*0").vector
    True
    """
    if name not in CHANNELS:
        raise errors.unknown("channel", name, CHANNELS)
    return CHANNELS[name]
