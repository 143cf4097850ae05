"""Data that nobody has taken yet: measurements of today with more luminosity, and made-up ones.

`project` makes the measurement of an experiment as it would be with another integrated luminosity.
Counts, templates and densities grow in proportion to it; what becomes of the uncertainties is a
rule that has to be chosen (`RULES`). `future_result` is a result that nobody has published, with
the precision that one wants to know the worth of. `docs/projections.md` says what comes of them.
"""

from __future__ import annotations

import copy
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
from jax.typing import ArrayLike

from bknn import errors
from bknn.data import Density, Measurement, Result, Source

#: What becomes of systematic uncertainties with k times the luminosity.
RULES: Mapping[str, str] = {
    "constant": "all constraints stay as they are",
    "statistical": "constraints of statistical nature shrink like 1/sqrt(k), all others stay",
    "all": "all constraints shrink like 1/sqrt(k), down to a floor",
}

#: ab^-1 at the Upsilon(4S), of the sets that are embedded (the papers are in their sources).
LUMINOSITIES: Mapping[str, float] = {
    "babar-2013": 0.429,
    "babar-2013-combined": 0.429,
    "belle-2017": 0.711,
    "belle2-2025": 0.362,
    "belle2-2025-hadronic": 0.362,
    "belle2-2025-inclusive": 0.362,
    "belle2-xs-2025": 0.365,
}

#: Constraints beside the statistics of simulation whose width comes from the size of a control
#: sample: efficiencies of selection, tracking, identification and K_L, and the photons of the
#: hadronic tag (systematic uncertainties of arXiv:2311.14647).
CONTROL_SAMPLES: Mapping[str, tuple[str, ...]] = dict.fromkeys(
    ("belle2-2025", "belle2-2025-hadronic", "belle2-2025-inclusive"),
    (
        "corr_KLeff_c*", "corr_bdt_c*", "corr_pid_c*", "corr_trackingEff_c*",
        "KL_1_had", "NEE_1_had", "PID_corr*_1_had", "norm_sgn_1_had",
    ),
)  # fmt: skip

#: Part of the width of a published result that is systematic, if nobody says it: its square is a
#: tenth of the square of the width.
SYSTEMATIC = 0.3

_STATISTICAL_TYPES = ("staterror", "shapesys")
_SHAPED_TYPES = ("histosys", "normsys")


@dataclass(frozen=True)
class Expectation:
    """How well an experiment expects to measure something.

    Attributes:
        observable, channel: as of a `bknn.data.Result`.
        value: of the standard model, where the precision is meant.
        sigma: {ab^-1: standard deviation}.
        source: where it stands.
    """

    observable: str
    channel: str
    value: float
    sigma: Mapping[float, float]
    source: Source

    def at(self, luminosity: float) -> float:
        """Return the standard deviation at a luminosity in ab^-1: a power law between those that
        are given, 1/sqrt(luminosity) beyond.

        >>> round(BELLE2["F_L(B0 -> K*0)"].at(12.5), 3)
        0.158
        """
        if not luminosity > 0:
            raise errors.ParameterError(f"a luminosity is positive, in ab^-1, not {luminosity:g}.")
        known = sorted(self.sigma)
        if luminosity <= known[0] or luminosity >= known[-1]:
            near = known[0] if luminosity <= known[0] else known[-1]
            return self.sigma[near] * math.sqrt(near / luminosity)
        found = np.interp(
            math.log(luminosity), np.log(known), np.log([self.sigma[x] for x in known])
        )
        return float(np.exp(found))


_BOOK = Source(
    "The Belle II Physics Book",
    what="expected precision",
    authors="E. Kou et al. (Belle II and B2TiP)",
    journal="PTEP 2019, 123C01 (2019)",
    arxiv="1808.10567",
)


def _expected(
    observable: str, channel: str, value: float, sigma: Mapping[float, float]
) -> Expectation:
    """Relative precision of branching fractions, absolute one of F_L."""
    unit = 1.0 if observable == "f_l" else value
    return Expectation(observable, channel, value, {x: unit * s for x, s in sigma.items()}, _BOOK)


#: What Belle II expected before it began, without new physics (arXiv:1808.10567, chapter 9, table
#: of sensitivities to modes with neutrinos).
BELLE2: Mapping[str, Expectation] = {
    "BR(B+ -> K+)": _expected("branching_ratio", "B+ -> K+", 4.7e-6, {5.0: 0.30, 50.0: 0.11}),
    "BR(B0 -> K*0)": _expected("branching_ratio", "B0 -> K*0", 9.5e-6, {5.0: 0.26, 50.0: 0.096}),
    "BR(B+ -> K*+)": _expected("branching_ratio", "B+ -> K*+", 10.2e-6, {5.0: 0.25, 50.0: 0.093}),
    "F_L(B0 -> K*0)": _expected("f_l", "B0 -> K*0", 0.47, {50.0: 0.079}),
    "F_L(B+ -> K*+)": _expected("f_l", "B+ -> K*+", 0.47, {50.0: 0.077}),
}


def project(
    measurement: Measurement,
    luminosity: float,
    *,
    base: float | None = None,
    systematics: str = "statistical",
    statistical: Sequence[str] = (),
    floor: float = 0.3,
    systematic: float = SYSTEMATIC,
    backgrounds: Mapping[str, Mapping[str, ArrayLike]] | None = None,
) -> Measurement:
    """Return the measurement as it would be with another integrated luminosity.

    With k = luminosity / base, observed counts, templates, variations of templates and densities
    are multiplied by k, off-resonance channels too. Observed counts are then no data but what a
    repetition of today's would look like; `inference.asimov` and `throw` make others. Widths of
    constraints are multiplied by a factor s that depends on the rule:

    - "constant": s = 1;
    - "statistical": s = 1/sqrt(k) for `staterror` and `shapesys` (the simulation grows with the
      data), and for the constraints in `CONTROL_SAMPLES` and `statistical`; s = 1 for others;
    - "all": s = 1/sqrt(k), but not below `floor`.

    In the workspace the variations of `histosys` (difference to the template) and `normsys`
    (difference to 1) are multiplied by s, absolute uncertainties of `staterror` and `shapesys` by
    k s, and configured widths by s. So it is a workspace like others.

    The width w of a result becomes w sqrt((1 - f^2)/k + f^2 s^2), with f the part that is
    systematic (`systematic`) and s that of a constraint that is not statistical.

    Args:
        measurement: of today.
        luminosity: ab^-1.
        base: ab^-1 of the measurement; by default `metadata["luminosity"]`, or as in
            `LUMINOSITIES`.
        systematics: one of `RULES`.
        statistical: names of more constraints that are of statistical nature, or patterns of names
            (`corr_pid_*`).
        floor: smallest s of the rule "all".
        systematic: f, between 0 and 1.
        backgrounds: {channel: {sample: expected counts today (bins,)}}, for example of
            `Analysis.expected` at a fit, in place of the simulated ones; relative uncertainties
            stay. Samples that are not there, and the signal, stay as they are.

    Raises:
        UnknownNameError: no such rule, or a channel or sample that does not exist.
        ParameterError: luminosities that are not positive, fractions that are none.
        DataError: the luminosity of the measurement is not known.

    >>> import bknn
    >>> future = project(bknn.data.load("belle2-2025"), 5.0)
    >>> future.name, round(float(future.observed["sgn1_had"].sum()))
    ('belle2-2025-5ab', 3481)
    """
    if systematics not in RULES:
        raise errors.unknown("rule for systematic uncertainties", systematics, RULES)
    for what, value in (("floor", floor), ("systematic", systematic)):
        if not 0.0 <= value <= 1.0:
            raise errors.ParameterError(f"{what!r} is {value:g}; give a fraction, from 0 to 1.")
    base = base_luminosity(measurement) if base is None else base
    if not (base > 0 and luminosity > 0 and math.isfinite(luminosity / base)):
        raise errors.ParameterError(
            f"luminosities are positive numbers in ab^-1, not {luminosity:g} and {base:g}."
        )
    k = luminosity / base
    narrow = 1.0 / math.sqrt(k)
    # Less data than today do not make theory worse.
    others = max(narrow, floor) if systematics == "all" and k > 1 else 1.0
    patterns = (*CONTROL_SAMPLES.get(measurement.name, ()), *statistical)

    def width(name: str, kind: str) -> float:
        if systematics != "statistical":
            return others
        is_statistical = kind in _STATISTICAL_TYPES or any(fnmatchcase(name, p) for p in patterns)
        return narrow if is_statistical else 1.0

    workspace: dict[str, Any] = copy.deepcopy(measurement.workspace)
    if workspace:
        _scale(workspace, k, width, _ratios(measurement, backgrounds or {}))
    results = tuple(
        replace(r, below=r.below * factor, above=r.above * factor)
        for r in measurement.results
        for factor in [math.sqrt((1 - systematic**2) / k + (systematic * others) ** 2)]
    )
    curves = tuple(
        c.scaled(factor)
        for c in measurement.curves
        for factor in [math.sqrt((1 - systematic**2) / k + (systematic * others) ** 2)]
    )
    densities = {
        name: Density(k * d.counts, d.edges, k * d.unmatched)
        for name, d in measurement.densities.items()
    }
    name = f"{measurement.name}-{luminosity:.6g}ab"
    note = (
        f"No data: {measurement.name!r} ({base:.4g}/ab) as it would be with {luminosity:.6g}/ab; "
        f"{RULES[systematics]}."
    )
    content = json.dumps([measurement.sha256, workspace, [[r.below, r.above] for r in results]])
    return replace(
        measurement,
        name=name,
        title=f"projection to {luminosity:.6g}/ab of: {measurement.title}",
        workspace=workspace,
        densities=densities,
        results=results,
        curves=curves,
        notes=(note, *measurement.notes),
        sha256=hashlib.sha256(content.encode()).hexdigest(),
        metadata={
            **measurement.metadata,
            "luminosity": luminosity,
            "systematics": systematics,
            # Data of today would be counted twice beside it.
            "part_of": measurement.metadata.get("part_of", measurement.name),
        },
    )


def base_luminosity(measurement: Measurement) -> float:
    """Return the integrated luminosity of a measurement, ab^-1.

    Raises:
        DataError: neither its metadata nor `LUMINOSITIES` has it.
    """
    known = measurement.metadata.get("luminosity", LUMINOSITIES.get(measurement.name))
    if known is None:
        raise errors.DataError(
            f"measurement {measurement.name!r} does not say with which integrated luminosity it "
            "was made, so it cannot be scaled to another; give base= in ab^-1."
        )
    return float(known)


def future_result(
    observable: str,
    channel: str | Mapping[str, float],
    sigma: float,
    *,
    value: float,
    q2: tuple[float, float] | None = None,
    name: str | None = None,
    sources: Sequence[Source] = (),
) -> Measurement:
    """Return a result that nobody has published, as a measurement.

    Args:
        observable: one of `bknn.prediction.OBSERVABLES`, in a bin or in all.
        channel: a decay channel, or {channel: weight} of an average.
        sigma: standard deviation.
        value: what was measured; it does not matter for `asimov` and `throw`, which replace it.
        q2: bin in GeV^2, None for all.
        name: of the measurement; made of the others by default.
        sources: where the precision comes from.

    Raises:
        DataError: a width that is not positive.

    >>> future_result("f_l", "B0 -> K*0", 0.08, value=0.47).results[0].above
    0.08
    """
    channels = {channel: 1.0} if isinstance(channel, str) else dict(channel)
    where = "" if q2 is None else f", {q2[0]:g} to {q2[1]:g} GeV^2"
    label = name or f"{observable}({', '.join(channels)}{where})"
    return Measurement(
        name=label,
        title=f"no data: {label} +- {sigma:.3g}",
        workspace={},
        results=(Result(label, value, sigma, sigma, channels, observable, q2),),
        sources=tuple(sources),
        notes=("No data: made up to see what such a measurement would tell.",),
    )


def belle2_result(name: str, luminosity: float) -> Measurement:
    """Return what Belle II expects to measure, one of `BELLE2`, at a luminosity in ab^-1.

    Raises:
        UnknownNameError: no such expectation.

    >>> round(belle2_result("F_L(B0 -> K*0)", 50.0).results[0].above, 3)
    0.079
    """
    if name not in BELLE2:
        raise errors.unknown("expected result", name, BELLE2)
    found = BELLE2[name]
    return future_result(
        found.observable,
        found.channel,
        found.at(luminosity),
        value=found.value,
        name=name,
        sources=(found.source,),
    )


def _ratios(
    measurement: Measurement, backgrounds: Mapping[str, Mapping[str, ArrayLike]]
) -> dict[tuple[str, str], np.ndarray]:
    """Return {(channel, sample): expected over simulated counts (bins,)}."""
    spec = {c["name"]: c["samples"] for c in measurement.workspace.get("channels", ())}
    found = {}
    for channel, samples in backgrounds.items():
        if channel not in spec:
            raise errors.unknown("channel", channel, spec, f"{measurement.name!r}")
        nominal = {s["name"]: np.asarray(s["data"], float) for s in spec[channel]}
        for sample, counts in samples.items():
            if sample in (measurement.signal.get(channel), "new signal"):
                continue
            if sample not in nominal:
                raise errors.unknown("sample", sample, nominal, f"channel {channel!r}")
            given = np.asarray(counts, float)
            if given.shape != nominal[sample].shape or not np.all(given >= 0):
                raise errors.DataError(
                    f"the expected counts of sample {sample!r} in channel {channel!r} must be "
                    f"{len(nominal[sample])} numbers that are not negative, one a bin."
                )
            empty = nominal[sample] <= 0
            found[channel, sample] = np.where(
                empty, 1.0, given / np.where(empty, 1.0, nominal[sample])
            )
    return found


def _scale(
    workspace: dict[str, Any], k: float, width: Any, ratios: Mapping[tuple[str, str], np.ndarray]
) -> None:
    """Scale a workspace in place; `width` returns s of a name and a type of modifier."""
    factors: dict[str, tuple[str, float]] = {}
    for channel in workspace["channels"]:
        for sample in channel["samples"]:
            grow = k * ratios.get((channel["name"], sample["name"]), 1.0)
            nominal = np.asarray(sample["data"], float)
            sample["data"] = (grow * nominal).tolist()
            for modifier in sample["modifiers"]:
                kind, data = modifier["type"], modifier["data"]
                s = width(modifier["name"], kind)
                factors[modifier["name"]] = kind, s
                if kind == "histosys":
                    for side in ("lo_data", "hi_data"):
                        moved = nominal + s * (np.asarray(data[side], float) - nominal)
                        data[side] = (grow * moved).tolist()
                elif kind == "normsys":
                    for side in ("lo", "hi"):
                        data[side] = 1.0 + s * (data[side] - 1.0)
                elif kind in _STATISTICAL_TYPES:
                    modifier["data"] = (grow * s * np.asarray(data, float)).tolist()
    for observation in workspace["observations"]:
        observation["data"] = (k * np.asarray(observation["data"], float)).tolist()
    for entry in workspace["measurements"]:
        for config in entry["config"].get("parameters", ()):
            kind, s = factors.get(config["name"], ("", 1.0))
            # What was measured stays where it was, in units of its new width.
            changes = {"auxdata": 1 / s, "inits": 1 / s} if kind in _SHAPED_TYPES else {}
            if kind == "shapesys":
                changes = {"auxdata": s**-2, "factors": s**-2}
            elif kind in ("lumi", "staterror"):
                changes = {"sigmas": s}
            for key, factor in changes.items():
                if key in config:
                    config[key] = [factor * x for x in config[key]]
