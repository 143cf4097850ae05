"""What an experiment published, in memory: counts, templates, densities, and whom to cite."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np

from bknn import errors
from bknn.data import naming
from bknn.data.limits import LimitCurve, LimitTable
from bknn.tables import table


@dataclass(frozen=True, eq=False)
class Density:
    """Joint number density of the simulated signal: fit bin x true q2.

    Attributes:
        counts: (bins, n) expected counts of the null spectrum in each bin of true q2.
        edges: (n + 1,) edges of the true-q2 bins in GeV^2, increasing.
        unmatched: (bins,) expected counts without a true q2 (candidates that simulation does not
            match to a generated decay); the response decides what another spectrum does to them.
    """

    counts: np.ndarray
    edges: np.ndarray
    unmatched: np.ndarray

    def __post_init__(self) -> None:
        # Sets are shared between analyses, so nobody may write into one.
        for item in fields(self):
            array = np.array(getattr(self, item.name), dtype=np.float64)
            array.flags.writeable = False
            object.__setattr__(self, item.name, array)


@dataclass(frozen=True)
class Source:
    """One thing to cite. Empty strings stand for what is not known."""

    title: str
    what: str = ""
    authors: str = ""
    journal: str = ""
    arxiv: str = ""
    doi: str = ""

    def __str__(self) -> str:
        places = [
            self.journal,
            f"arXiv:{self.arxiv}" if self.arxiv else "",
            f"doi:{self.doi}" if self.doi else "",
        ]
        return ", ".join(part for part in (self.authors, self.title, *places) if part)


@dataclass(frozen=True)
class Result:
    """One published number that is not a count: a branching fraction, a polarisation, a limit.

    It says -2 log L = ((expected - value) / width)^2, as a density normalised in what is observed:
    two halves of normal densities where the widths differ.

    Attributes:
        name: for people, for example "BR(Bs -> invisible)".
        value: what was measured, in natural units (1e-5 written out).
        below: standard deviation where the truth lies below the value.
        above: standard deviation where it lies above.
        channels: {decay channel: weight}; expected is the sum of weight times observable. Empty if
            what was measured is no observable of a decay.
        observable: one of `bknn.prediction.OBSERVABLES`; without channels the name of a derived
            quantity or of a parameter of a model.
        q2: bin in GeV^2, None for all of phase space.
        resolution: standard deviation in GeV^2 that smears a narrow line across the edges of q2.
        kind: how it was published: "gaussian", "asymmetric" or "limit".
    """

    name: str
    value: float
    below: float
    above: float
    channels: Mapping[str, float]
    observable: str = "branching_ratio"
    q2: tuple[float, float] | None = None
    resolution: float = 0.0
    kind: str = "gaussian"

    def __post_init__(self) -> None:
        widths = (self.below, self.above)
        if not (np.isfinite(self.value) and all(np.isfinite(w) and w > 0 for w in widths)):
            raise errors.DataError(
                f"result {self.name!r} is {self.value:g} -{self.below:g} +{self.above:g}; the "
                "value must be finite and both widths positive."
            )
        if not self.channels and self.observable == "branching_ratio":
            raise errors.DataError(
                f"result {self.name!r} names no decay channel, so nothing can predict it; give "
                "{channel: weight}, or the name of a quantity of a model as its observable."
            )


@dataclass(frozen=True, eq=False)
class Measurement:
    """A published measurement: HistFactory workspace, response of the signal, provenance.

    What was counted stands in a workspace, other numbers in `results`; either may be missing.

    Attributes:
        name: short name, as on the command line.
        title: one line for people.
        workspace: the complete pyhf workspace (JSON as a dict), empty if nothing was counted. Do
            not change it in place.
        signal: {channel: sample}, the samples that a new signal replaces. A channel without signal
            does not appear; without densities it is empty.
        densities: {channel: Density}, for the channels in `signal`.
        null_spectrum: name of the dBR/dq2 behind the densities ("" without densities).
        form_factor_modifiers: names of the modifiers that stand for the form factors of the null.
        decays: {channel: decay} for channels in `signal`, "B+ -> K+" for those that are not there.
        results: numbers that are not counts.
        correlation: of the results (results, results), None if there is none.
        curves: limits against a mass, or against other quantities of a model.
        groups: {alias: channels} for `select`.
        sources: what to cite.
        notes: what one should know before using it.
        sha256: checksum of the whole content, before any `select`.
        metadata: everything else in `metadata.toml` (version, license, command, files, checks).
    """

    name: str
    title: str
    workspace: dict[str, Any]
    signal: Mapping[str, str] = field(default_factory=dict)
    densities: Mapping[str, Density] = field(default_factory=dict)
    null_spectrum: str = ""
    form_factor_modifiers: tuple[str, ...] = ()
    decays: Mapping[str, str] = field(default_factory=dict)
    results: tuple[Result, ...] = ()
    correlation: np.ndarray | None = None
    curves: tuple[LimitCurve | LimitTable, ...] = ()
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    sources: tuple[Source, ...] = ()
    notes: tuple[str, ...] = ()
    sha256: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """A name for people, with the channels and results that are used.

        >>> from bknn import data
        >>> data.load("belle2-2025").select("hadronic").label
        'Belle II 2025 (hadronic)'
        """
        labels = self.metadata.get("labels", {})
        given = labels if isinstance(labels, Mapping) else {}
        name = given.get("name") or naming.title(
            self.name, str(self.metadata.get("experiment", ""))
        )
        others = self.entries[len(self.channels) :]
        part = naming.used(self.channels, self.groups, others, given.get("channels", {}))
        return f"{name} ({part})" if part else str(name)

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of the channels, in the order of the workspace."""
        return tuple(channel["name"] for channel in self.workspace.get("channels", ()))

    @property
    def entries(self) -> tuple[str, ...]:
        """Names of the channels, results and limit curves: what `select` selects."""
        others = [*(r.name for r in self.results), *(c.name for c in self.curves)]
        return (*self.channels, *others)

    @property
    def observed(self) -> dict[str, np.ndarray]:
        """{channel: observed counts (bins,)}, in the order of the workspace."""
        data = {e["name"]: e["data"] for e in self.workspace.get("observations", ())}
        return {name: np.asarray(data[name], dtype=np.float64) for name in self.channels}

    @property
    def quantities(self) -> tuple[str, ...]:
        """Quantities that a model must have: those of results and limits that are of no decay."""
        found = [r.observable for r in self.results if not r.channels]
        found += [q for c in self.curves if isinstance(c, LimitTable) for q in c.quantities]
        return tuple(dict.fromkeys(found))

    @property
    def n_bins(self) -> int:
        """Number of fit bins, all channels, results and limit curves together."""
        counted = sum(len(counts) for counts in self.observed.values())
        return counted + len(self.results) + len(self.curves)

    @property
    def poi(self) -> str | None:
        """Parameter of interest of the workspace's first measurement, if it has one."""
        if not self.workspace:
            return None
        return self.workspace["measurements"][0]["config"].get("poi") or None

    def decay(self, channel: str) -> str:
        """Return the decay that a channel of the workspace looks for."""
        return self.decays.get(channel, "B+ -> K+")

    def template(self, channel: str) -> np.ndarray:
        """Return the nominal signal yields (bins,) of a channel.

        Raises:
            UnknownNameError: the channel has no signal sample.
        """
        if channel not in self.signal:
            raise errors.unknown("channel with a signal", channel, self.signal, f"{self.name!r}")
        return np.asarray(
            sample_of(self.workspace, channel, self.signal[channel])["data"], dtype=np.float64
        )

    def select(self, channels: str | Iterable[str]) -> Measurement:
        """Return the measurement restricted to some channels and results.

        Dropped channels disappear from the workspace (with their observations and with the
        configuration of parameters that only they used), the densities and the groups.

        Args:
            channels: names, unique beginnings of names, or aliases from `groups`; one or several.
                Results are called by their names in the same way.

        Raises:
            UnknownNameError: no such channel, result or alias (close matches are named), or a
                beginning that fits several.
            DataError: nothing selected.

        >>> from bknn import data
        >>> data.load("belle2-2025").select(["B", "hadronic"]).n_bins
        9
        """
        wanted = [channels] if isinstance(channels, str) else list(channels)
        if not wanted:
            raise errors.DataError(
                f"{self.name}: no channel selected; name at least one of "
                f"{', '.join([*self.groups, *self.entries])}."
            )
        chosen = {
            name
            for item in wanted
            for name in resolve(item, self.entries, self.groups, where=f"{self.name!r}")
        }
        kept = [i for i, result in enumerate(self.results) if result.name in chosen]
        groups = {
            alias: tuple(name for name in names if name in chosen)
            for alias, names in self.groups.items()
        }
        return replace(
            self,
            workspace=_restrict(self.workspace, chosen),
            signal={name: sample for name, sample in self.signal.items() if name in chosen},
            densities={name: item for name, item in self.densities.items() if name in chosen},
            decays={name: decay for name, decay in self.decays.items() if name in chosen},
            results=tuple(self.results[i] for i in kept),
            correlation=None if self.correlation is None else self.correlation[np.ix_(kept, kept)],
            curves=tuple(curve for curve in self.curves if curve.name in chosen),
            groups={alias: names for alias, names in groups.items() if names},
        )

    def summary(self) -> str:
        """Return a description in a few lines: channels, response, sources, notes."""
        observed = self.observed
        aliases = {
            name: " ".join(alias for alias, names in self.groups.items() if name in names)
            for name in self.channels
        }
        decays = {name: self.decay(name) for name in self.signal}
        several = set(decays.values()) - {"B+ -> K+"}
        rows = []
        for name in self.channels:
            density = self.densities.get(name)
            rows.append(
                (
                    _shortened(name),
                    *((decays.get(name, "-"),) if several else ()),
                    str(len(observed[name])),
                    f"{observed[name].sum():g}",
                    f"{self.template(name).sum():.4g}" if name in self.signal else "-",
                    self.signal.get(name, "-"),
                    "-" if density is None else f"{len(density.edges) - 1}",
                    aliases[name] or "-",
                )
            )
        head = (
            "channel",
            *(("decay",) if several else ()),
            *("bins", "observed", "signal", "sample", "true q2 bins", "groups"),
        )
        facts = [("parameter of interest", self.poi or "none")] if rows else []
        if self.densities:
            facts.append(("null spectrum", self.null_spectrum))
            facts.append(("its form factors", ", ".join(self.form_factor_modifiers) or "none"))
        facts += [
            (key, str(self.metadata[key]))
            for key in ("version", "license", "record")
            if self.metadata.get(key)
        ]
        if self.sha256:
            facts.append(("sha256 of content", self.sha256))
        if self.metadata.get("command"):
            facts.append(("made by", self.metadata["command"]))
        cited = [f"{s} ({s.what})" if s.what else str(s) for s in self.sources]
        parts = [f"{self.name}: {self.title}" if self.title else self.name]
        if rows:
            parts.append(table(head, rows))
        if self.results:
            head = ("result", "of", "value", "published as")
            parts.append(table(head, map(_row, self.results)))
        if self.curves:
            head = ("limits", "of", "range", "from", "to", "level")
            parts.append(table(head, map(_ends, self.curves)))
        parts.append("\n".join(_wrapped(text, f"{key:22}", 22) for key, text in facts))
        for heading, texts in (("cite:", cited), ("notes:", self.notes)):
            if texts:
                parts.append("\n".join([heading, *(_wrapped(text, "  - ", 4) for text in texts)]))
        return "\n\n".join(parts)


def _row(result: Result) -> tuple[str, ...]:
    same = result.below == result.above
    width = f"+-{result.below:.3g}" if same else f"-{result.below:.3g} +{result.above:.3g}"
    of = ", ".join(result.channels) or result.observable
    return result.name, of, f"{result.value:.4g} {width}", result.kind


def _ends(curve: LimitCurve | LimitTable) -> tuple[str, ...]:
    low, high = curve.extremes
    ends = (curve.valid_for, f"{low:.3g}", f"{high:.3g}")
    if isinstance(curve, LimitCurve):
        return curve.name, ", ".join(curve.channels), *ends, f"{curve.level:g}"
    return curve.name, " x ".join(curve.factors), *ends, curve.level_text


def resolve(
    name: str,
    channels: Sequence[str],
    groups: Mapping[str, Sequence[str]] | None = None,
    *,
    where: str = "",
) -> tuple[str, ...]:
    """Return the channels that a name, an alias or a unique beginning of a name stands for.

    A full name comes before an alias, an alias before a beginning.

    >>> resolve("sig", ["signal_region", "control_region"])
    ('signal_region',)
    """
    groups = groups or {}
    if name in channels:
        return (name,)
    if name in groups:
        return tuple(groups[name])
    found = [channel for channel in channels if name and channel.startswith(name)]
    if len(found) == 1:
        return (found[0],)
    if found:
        raise errors.UnknownNameError(
            f"channel {name!r}{f' in {where}' if where else ''} is not unique: "
            f"{', '.join(found)} begin like that; write more of the name."
        )
    raise errors.unknown("channel", name, [*channels, *groups], where)


def sample_of(workspace: Mapping[str, Any], channel: str, sample: str) -> dict[str, Any]:
    """Return a sample of a workspace; an unknown one is an error that names the known ones."""
    samples: list[dict[str, Any]] = next(
        entry["samples"] for entry in workspace["channels"] if entry["name"] == channel
    )
    for entry in samples:
        if entry["name"] == sample:
            return entry
    raise errors.unknown(
        "sample", sample, (entry["name"] for entry in samples), f"channel {channel!r}"
    )


def _shortened(name: str, width: int = 44) -> str:
    """Cut the middle out of a long channel name; its beginning is what one types."""
    if len(name) <= width:
        return name
    return f"{name[: width // 2 - 1]}...{name[-(width // 2 - 2) :]}"


def _wrapped(text: str, first: str, indent: int) -> str:
    return textwrap.fill(
        text,
        width=100,
        initial_indent=first,
        subsequent_indent=" " * indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _restrict(workspace: Mapping[str, Any], keep: set[str]) -> dict[str, Any]:
    """Return a workspace with only some channels, without loose ends in its measurements."""
    channels = [c for c in workspace.get("channels", ()) if c["name"] in keep]
    if not channels:
        return {}
    used = {
        modifier["name"]
        for channel in channels
        for sample in channel["samples"]
        for modifier in sample["modifiers"]
    }
    measurements = []
    for measurement in workspace["measurements"]:
        config = dict(measurement["config"])
        config["parameters"] = [
            entry for entry in config.get("parameters", ()) if entry.get("name") in used
        ]
        if config.get("poi") not in used:
            config["poi"] = ""  # pyhf's spelling of "no parameter of interest"
        measurements.append({**measurement, "config": config})
    return {
        **workspace,
        "channels": channels,
        "observations": [entry for entry in workspace["observations"] if entry["name"] in keep],
        "measurements": measurements,
    }
