"""The decay channels, what each of them is made of, and how people write them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from bknn import errors

#: Mesons as figures write them.
MESONS = {
    "B+": "B^+",
    "B0": "B^0",
    "Bs": "B_s^0",
    "K+": "K^+",
    "K0": "K^0",
    "K*+": "K^{*+}",
    "K*0": "K^{*0}",
    "phi": r"\phi",
}


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

    @property
    def symbol(self) -> str:
        """The decay as figures write it, as mathtext.

        >>> CHANNELS["B0 -> K*0"].symbol, CHANNELS["Bs -> invisible"].symbol
        ('$B^0 \\\\to K^{*0}$ + inv', '$B_s^0 \\\\to$ inv')
        """
        parent = rf"{MESONS[self.parent]} \to"
        if self.daughter is None:
            return f"${parent}$ inv"
        return f"${parent} {MESONS[self.daughter]}$ + inv"

    @property
    def observables(self) -> tuple[str, ...]:
        """Names of what is measured of it, as in `bknn.prediction.OBSERVABLES`."""
        if self.daughter is None:
            return ("branching_ratio",)
        polarisation = ("f_l", "r_f_l") if self.vector else ()
        return ("branching_ratio", self.ratio, *polarisation)


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


#: What a daughter may be called: the usual name, and which part of its decays is meant.
_DAUGHTERS = {
    **{name: (name, 1.0) for name in ("K+", "K0", "K*+", "K*0", "phi")},
    **{name: ("K0", 0.5) for name in ("KS", "KS0", "K0S", "KL", "KL0", "K0L")},
}

#: What need not be written, with or without a plus before it.
_INVISIBLE = ("nunu", "nunubar", "nunu-bar", "νν̄", "νν", "invisible")


def spelled(text: str, where: str = "") -> tuple[str, float]:
    """Return the channel that a text means, and which part of its decays.

    Blanks do not matter, nor whether what is invisible is written; KS and KL are each half of K0.

    Args:
        text: as a person writes it.
        where: the place of the text, for the error.

    Raises:
        UnknownNameError: it means no channel; close matches are named.

    >>> spelled("B+->K+ nu nubar"), spelled("B0 -> K_S"), spelled("Bs0 -> invisible")
    (('B+ -> K+', 1.0), ('B0 -> K0', 0.5), ('Bs -> invisible', 1.0))
    """
    bare = re.sub(r"[\s_^{}]|\(892\)|\(1020\)", "", text.replace("→", "->"))
    parent, arrow, rest = bare.partition("->")
    parent = {"Bs0": "Bs", "B0s": "Bs"}.get(parent, parent)
    for ending in _INVISIBLE:
        short = rest.removesuffix(ending)
        if short != rest:
            rest = (short if short in _DAUGHTERS else short.removesuffix("+")) or "invisible"
            break
    daughter, part = _DAUGHTERS.get(rest, (rest, 1.0))
    name = f"{parent} -> {daughter}"
    if name not in CHANNELS or not arrow:
        raise errors.unknown("channel", text, CHANNELS, where)
    return name, part
