"""Counting experiments as they stand in a TOML file: [production] and [[counts]]."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from bknn.channels import spelled
from bknn.data import counting
from bknn.data.counting import Count, Efficiency, Uncertainty, Yield
from bknn.data.entries import Table, endpoint

_PRODUCTION = ("pairs", "uncertainty", "charged", "neutral", "shared")
_COUNT = ("channel", "decay", "observed", "parents", "efficiency", "window", "backgrounds")
_EFFICIENCY = ("value", "q2", "statistical", "systematic", "relative", "shared", "of", "fraction")
_BACKGROUND = ("name", "value", "statistical", "systematic", "relative", "shared")
_WINDOW = ("low", "high", "resolution")

#: Fewer pairs or mesons than that do not show a rare decay: a factor was left out.
FEWEST = 1e4


@dataclass(frozen=True)
class Production:
    """How many mesons there were: the table [production].

    Attributes:
        where: of the table.
        mesons: {parent: number}.
        uncertainties: of the number of pairs.
    """

    where: str
    mesons: dict[str, float]
    uncertainties: tuple[Uncertainty, ...]

    @classmethod
    def read(cls, top: Table) -> Production | None:
        """Return what the file says, if it does."""
        table = top.table("production", _PRODUCTION)
        if table is None:
            return None
        pairs = table.number("pairs", "the number of B B-bar pairs", least=FEWEST)
        shares = {
            "B+": table.number("charged", "fraction of B+ B- pairs", 0.5, positive=True),
            "B0": table.number("neutral", "fraction of B0 B0-bar pairs", 0.5, positive=True),
        }
        if sum(shares.values()) > 1.0 + 1e-9:
            raise table.fail(
                f"'charged' and 'neutral' add up to {sum(shares.values()):g}; fractions of the "
                "pairs cannot be more than 1 together."
            )
        name = table.text("shared", "the nuisance of the number of pairs", "pairs")
        sizes = (0.0, 0.0)
        if "uncertainty" in table:
            sizes = table.pair("uncertainty", "that of the number of pairs")
        own = (_uncertainty(table, name, sizes, pairs),) if any(sizes) else ()
        return cls(table.where, {b: 2.0 * pairs * share for b, share in shares.items()}, own)


def parents(
    table: Table, decay: str, production: Production | None
) -> tuple[float, tuple[Uncertainty, ...]]:
    """Return the number of mesons that could have decayed, and its uncertainty."""
    if "parents" in table:
        return table.number("parents", "the number of mesons", least=FEWEST), ()
    if production is None:
        raise table.fail(
            "how many mesons could have decayed is not said; give 'parents', or a table "
            "[production] with the number of pairs."
        )
    parent = decay.split(" ")[0]
    if parent not in production.mesons:
        raise table.fail(
            f"[production] counts B+ and B0, not the parent of {decay!r}; give 'parents'."
        )
    return production.mesons[parent], production.uncertainties


def read(top: Table, production: Production | None) -> list[Count]:
    """Return the counting experiments of a file."""
    counts = [_count(t, production) for t in top.tables("counts", _COUNT, "channel")]
    _check_names(top, counts)
    return counts


def _count(table: Table, production: Production | None) -> Count:
    channel = table.text("channel", "its name, as 'K+'")
    decay, part = spelled(table.text("decay", "the decay, as 'B+ -> K+'"), table.where)
    number, pairs = parents(table, decay, production)
    efficiency, own = _efficiency(table, channel, decay)
    backgrounds = []
    for b in table.tables("backgrounds", _BACKGROUND, "name"):
        name = b.text("name", "its name")
        value = b.number("value", "expected events", least=0.0)
        backgrounds.append(Yield(name, value, _uncertainties(b, f"{name}_{channel}", value)))
    names = [counting.SIGNAL, *(b.name for b in backgrounds)]
    for name in names:
        if names.count(name) > 1:
            raise table.fail(f"two samples are named {name!r}; rename a background.")
    if not backgrounds:
        raise table.fail(
            "there are no 'backgrounds'; give at least one, as backgrounds = [{ name = "
            '"all", value = 2.9, systematic = 0.6 }].'
        )
    observed = table.number("observed", "the number of events seen", least=0.0)
    # Efficiencies of a decay to KS are those of half of the decays to K0.
    mesons = part * number
    return Count(channel, decay, observed, mesons, efficiency, (*own, *pairs), tuple(backgrounds))


def _efficiency(
    table: Table, channel: str, decay: str
) -> tuple[Efficiency, tuple[Uncertainty, ...]]:
    entry = table.require("efficiency", "efficiency = { value = ..., systematic = ... }")
    e = Table(entry, f"{table.where}, efficiency", _EFFICIENCY)
    if "q2" in e:
        q2 = e.numbers("q2", "GeV^2, where the efficiency is given")
        values = e.numbers("value", "the efficiency at each q2")
        if len(q2) != len(values) or any(b <= a for a, b in pairwise(q2)) or q2[0] < 0.0:
            raise e.fail("'q2' must increase from 0 or more, and have as many entries as 'value'.")
        e.check_bin(q2[0], [decay])
    else:
        q2, values = [0.0], [e.number("value", "the efficiency", positive=True)]
    if min(values) < 0.0 or not 0.0 < max(values) <= 1.0:
        raise e.fail("'value' must lie between 0 and 1.")
    own = _uncertainties(e, f"efficiency_{channel}", max(values))
    low, high, resolution = -math.inf, math.inf, 0.0
    w = table.table("window", _WINDOW)
    if w is not None:
        last = min(counting.ENDPOINT, endpoint(decay))
        low = w.number("low", "its lower edge in GeV^2", 0.0, least=0.0)
        high = w.number("high", "its upper edge in GeV^2", counting.ENDPOINT, positive=True)
        resolution = w.number("resolution", "that of q2 in GeV^2", 0.0, least=0.0)
        if not low < high or low >= last:
            raise w.fail(
                f"from {low:g} to {high:g} GeV^2 there is no q2; 'low' must be below 'high', "
                f"and below {last:.4g} GeV^2, the endpoint."
            )
        low = -math.inf if low == 0.0 else low
        high = math.inf if high >= counting.ENDPOINT else high
    # Nobody can guess that where there is a window, so it has no default there.
    obvious = w is None or len(values) > 1
    of = e.text("of", "'window' or 'all'", "window" if obvious else "missing")
    if of not in ("window", "all"):
        raise e.fail(
            "'of' must say which decays the efficiency is a part of: \"window\", those with q2 "
            'in the window, or "all", all of the standard model.'
        )
    if of == "all" and w is not None:
        if len(values) > 1:
            raise e.fail("an efficiency by q2 is that of decays with this q2; leave 'of' out.")
        fraction = e.number(
            "fraction", "the standard model's fraction of decays in the window", positive=True
        )
        if fraction > 1.0:
            raise e.fail(f"'fraction' is {fraction:g}, but cannot be above 1.")
        values = [v / fraction for v in values]
        if max(values) > 1.0:
            raise e.fail(f"'value' over 'fraction' is {max(values):.3g}; no efficiency is above 1.")
    elif "fraction" in e:
        raise e.fail("'fraction' belongs to of = \"all\" and a window; leave it out.")
    return Efficiency(tuple(q2), tuple(values), low, high, resolution), own


def _uncertainties(table: Table, label: str, value: float) -> tuple[Uncertainty, ...]:
    """Return the uncertainties of a yield: a statistical one of its own, a systematic one
    that may be shared."""
    sizes = {
        key: table.pair(key, "a standard deviation") if key in table else (0.0, 0.0)
        for key in ("statistical", "systematic")
    }
    if value <= 0.0 and any(map(any, sizes.values())):
        raise table.fail(
            "an expectation of 0 with an uncertainty would be negative half of the time; give "
            "a small value, or leave it out."
        )
    scale = 1.0 if table.flag("relative") else value
    found = []
    if any(sizes["statistical"]):
        found.append(_uncertainty(table, f"{label}_stat", sizes["statistical"], scale))
    if any(sizes["systematic"]):
        name = table.text("shared", "the name of a nuisance", f"{label}_syst")
        found.append(_uncertainty(table, name, sizes["systematic"], scale))
    elif "shared" in table:
        raise table.fail("'shared' names the nuisance of 'systematic', which is not there.")
    return tuple(found)


def _uncertainty(table: Table, name: str, sizes: tuple[float, float], scale: float) -> Uncertainty:
    found = Uncertainty(name, *(size / scale for size in sizes))
    if not max(found.up, found.down) <= 1.0:
        raise table.fail(
            f"{name!r} is {max(found.up, found.down):.3g} times the value; a Gaussian that wide "
            "makes no sense for what cannot be negative."
        )
    return found


def _check_names(top: Table, counts: Sequence[Count]) -> None:
    names = [c.channel for c in counts]
    for name in names:
        if names.count(name) > 1:
            raise top.fail(f"two [[counts]] are named {name!r}; rename one.")
    for c in counts:
        for item in (Yield(counting.SIGNAL, 0.0, c.signal), *c.backgrounds):
            used = [u.name for u in item.uncertainties]
            for name in used:
                if used.count(name) > 1 or name == counting.STRENGTH:
                    raise top.fail(
                        f"channel {c.channel!r}: two uncertainties of {item.name!r} belong to "
                        f"the nuisance {name!r}; they would count as one. Rename one."
                    )
