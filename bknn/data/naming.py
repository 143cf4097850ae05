"""What figures and tables call a data set, and which part of it was used."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

#: More channels or results than these are counted, not named.
_MOST = 6

#: The names of the embedded data sets, and others of that kind: experiment and year are better.
_CODE = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


def title(name: str, experiment: str) -> str:
    """Return a name for people.

    >>> title("belle2-2025", "Belle II"), title("delphi-bs-phi", "DELPHI"), title("mine.json", "")
    ('Belle II 2025', 'DELPHI', 'mine.json')
    """
    if not experiment or not _CODE.fullmatch(name):
        return name
    year = re.search(r"(?:^|-)((?:19|20)\d\d)(?:-|$)", name)
    return f"{experiment} {year[1]}" if year else experiment


def used(
    channels: Sequence[str],
    groups: Mapping[str, Sequence[str]],
    others: Sequence[str],
    labels: Mapping[str, str],
) -> str:
    """Return what of a data set is used, in words.

    Args:
        channels: names of the channels that are used.
        groups: {alias: channels}.
        others: names of results and limits.
        labels: {channel: a name for people}.

    >>> used(["SR_had"], {"hadronic": ["SR_had"]}, [], {})
    'hadronic'
    >>> used([], {}, ["BR(B+ -> K+)", "BR(B0 -> K*0)"], {})
    'B+ -> K+, B0 -> K*0'
    """
    members = [c for names in groups.values() for c in names]
    parts = list(groups) if channels and sorted(members) == sorted(channels) else []
    parts = parts or _counted([labels.get(c, c) for c in channels], "channel")
    decays = [re.sub(r"^BR\((.*?)\)", r"\1", name) for name in others]
    return ", ".join([*parts, *_counted(decays, "result")])


def _counted(names: Sequence[str], what: str) -> list[str]:
    """The names, or how many there are if they are many or long."""
    if len(names) <= _MOST and sum(map(len, names)) <= 80:
        return list(names)
    return [f"{len(names)} {what}s"]
