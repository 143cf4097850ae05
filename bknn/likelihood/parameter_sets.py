"""The parameters of a HistFactory model: which there are, in which order, how constrained.

Order, names, starting values, bounds and auxiliary data are those of pyhf 0.7, so that vectors can
be exchanged with it. pyhf collects parameters modifier type by modifier type (alphabetically), and
within a type in the order in which channels, samples and modifiers (each alphabetical) name them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bknn import errors
from bknn.likelihood.workspace import MODIFIER_TYPES, Channel, Modifier, Sample, Workspace

#: What pyhf calls the constraint of a parameter set.
NORMAL, POISSON, FREE = "normal", "poisson", "free"


@dataclass(frozen=True)
class ParameterSet:
    """Parameters under one name; arrays have shape (n,), bounds (n, 2).

    `constraint` is "normal" (auxdata ~ Normal(parameter, sigmas)), "poisson"
    (auxdata ~ Poisson(parameter * factors)) or "free".
    """

    name: str
    scalar: bool
    init: np.ndarray
    bounds: np.ndarray
    fixed: np.ndarray
    constraint: str = FREE
    auxdata: np.ndarray | None = None
    sigmas: np.ndarray | None = None
    factors: np.ndarray | None = None

    @property
    def size(self) -> int:
        return len(self.init)

    @property
    def flat_names(self) -> list[str]:
        return [self.name] if self.scalar else [f"{self.name}[{i}]" for i in range(self.size)]


def collect_sets(workspace: Workspace) -> dict[str, ParameterSet]:
    """Return the parameter sets of a workspace in pyhf's order, measurement settings applied.

    Raises:
        WorkspaceError: one name with two meanings, uncertainties that cannot be shared as they
            are, or settings that fit no parameter.
    """
    uses: dict[str, dict[str, list[tuple[Channel, Sample, Modifier]]]] = {
        kind: {} for kind in MODIFIER_TYPES
    }
    all_samples = sorted({s.name for c in workspace.channels for s in c.samples})
    for channel in workspace.channels:
        by_name = {s.name: s for s in channel.samples}
        for sample in (by_name[n] for n in all_samples if n in by_name):
            for modifier in sample.modifiers:
                uses[modifier.type].setdefault(modifier.name, []).append(
                    (channel, sample, modifier)
                )
    # pyhf meets the names of staterror modifiers in alphabetical order, the others as it walks.
    uses["staterror"] = dict(sorted(uses["staterror"].items()))

    sets: dict[str, ParameterSet] = {}
    kinds: dict[str, str] = {}
    for kind in MODIFIER_TYPES:
        for name, users in uses[kind].items():
            other = kinds.get(name)
            if other is not None and {kind, other} != {"histosys", "normsys"}:
                raise errors.WorkspaceError(
                    f"{workspace.source}: the name {name!r} is used by {other} and {kind} "
                    "modifiers, which do not share a parameter; rename one of them."
                )
            if other is None:
                kinds[name] = kind
                made = _make(workspace, kind, name, users)
                sets[name] = _configured(workspace, kind, made)
    _check_configs(workspace, sets)
    if not sets:
        raise errors.WorkspaceError(
            f"{workspace.source}: no sample has a modifier, so there is nothing to fit."
        )
    return sets


def _make(
    workspace: Workspace, kind: str, name: str, users: list[tuple[Channel, Sample, Modifier]]
) -> ParameterSet:
    channel, sample, modifier = users[0]
    n_bins = channel.n_bins

    def filled(value: float, n: int = 1) -> np.ndarray:
        return np.full(n, value)

    def bounded(lower: float, upper: float, n: int = 1) -> np.ndarray:
        return np.tile([lower, upper], (n, 1))

    free = np.zeros(1, bool)
    match kind:
        case "histosys" | "normsys":
            return ParameterSet(
                name, True, filled(0.0), bounded(-5, 5), free, NORMAL, filled(0.0), filled(1.0)
            )
        case "lumi":
            config = workspace.configs.get(name, {})
            missing = [k for k in ("inits", "bounds", "auxdata", "sigmas") if k not in config]
            if missing:
                raise errors.WorkspaceError(
                    f"{workspace.source}: a sample has a lumi modifier, but measurement "
                    f"{workspace.measurement!r} does not set {', '.join(missing)} of 'lumi'; add "
                    "the parameter with its value, bounds and uncertainty."
                )
            return ParameterSet(
                name, True, filled(1.0), bounded(0, 10), free, NORMAL, filled(1.0), filled(1.0)
            )
        case "normfactor":
            return ParameterSet(name, True, filled(1.0), bounded(0, 10), free)
        case "shapefactor":
            for other, _, _ in users:
                if other.n_bins > n_bins:
                    raise errors.WorkspaceError(
                        f"{workspace.source}: shapefactor {name!r} has {n_bins} parameters from "
                        f"channel {channel.name!r}, too few for the {other.n_bins} bins of channel "
                        f"{other.name!r}; use another name there."
                    )
            return ParameterSet(
                name, False, filled(1.0, n_bins), bounded(0, 10, n_bins), np.zeros(n_bins, bool)
            )
        case "shapesys":
            if len(users) > 1:
                second = users[1]
                raise errors.WorkspaceError(
                    f"{workspace.source}: shapesys {name!r} is on sample {sample.name!r} of "
                    f"channel {channel.name!r} and on sample {second[1].name!r} of channel "
                    f"{second[0].name!r}; it cannot be shared. Rename one."
                )
            valid = (sample.data > 0) & (modifier.data > 0)
            with np.errstate(over="ignore"):
                factors = np.where(valid, (sample.data / np.where(valid, modifier.data, 1)) ** 2, 1)
            if not np.isfinite(factors).all() or (factors == 0).any():
                raise errors.WorkspaceError(
                    f"{workspace.source}: channel {channel.name!r}, sample {sample.name!r}, "
                    f"shapesys {name!r}: the ratio of yield to uncertainty is out of range."
                )
            return ParameterSet(
                name,
                False,
                filled(1.0, n_bins),
                bounded(1e-10, 10, n_bins),
                ~valid,
                POISSON,
                factors.copy(),
                factors=factors,
            )
        case _:
            sigmas = _staterror_sigmas(workspace, name, users)
            n = len(sigmas)
            return ParameterSet(
                name,
                False,
                filled(1.0, n),
                bounded(1e-10, 10, n),
                sigmas == 0,
                NORMAL,
                filled(1.0, n),
                np.where(sigmas == 0, 1.0, sigmas),
            )


def _staterror_sigmas(
    workspace: Workspace, name: str, users: list[tuple[Channel, Sample, Modifier]]
) -> np.ndarray:
    """Relative uncertainty of the summed yield of all samples that share the modifier, per bin."""
    samples = {s.name for _, s, _ in users}
    result = []
    for channel in workspace.channels:
        here = [(s, m) for c, s, m in users if c.name == channel.name]
        if not here:
            continue
        if len(here) != len(samples):
            absent = sorted(samples - {s.name for s, _ in here})
            raise errors.WorkspaceError(
                f"{workspace.source}: channel {channel.name!r}: staterror {name!r} is missing on "
                f"sample {absent[0]!r}, which has it in another channel; samples must share it in "
                "all channels or in none. Use one name per channel."
            )
        total = np.sum([s.data for s, _ in here], axis=0)
        with np.errstate(over="ignore"):
            relative = [(m.data / np.where(total > 0, total, 1)) ** 2 for _, m in here]
        result.append(np.sqrt(np.where(total > 0, np.sum(relative, axis=0), 0)))
    sigmas = np.concatenate(result)
    if not np.isfinite(sigmas).all():
        raise errors.WorkspaceError(
            f"{workspace.source}: staterror {name!r}: a relative uncertainty is out of range."
        )
    return sigmas


def _configured(workspace: Workspace, kind: str, made: ParameterSet) -> ParameterSet:
    """Apply what the measurement sets for this parameter."""
    config = workspace.configs.get(made.name)
    if not config:
        return made
    place = f"{workspace.source}: measurement {workspace.measurement!r}, parameter {made.name!r}"
    settable = {
        "histosys": ("inits", "bounds", "fixed", "auxdata"),
        "normsys": ("inits", "bounds", "fixed", "auxdata"),
        "lumi": ("inits", "bounds", "fixed", "auxdata", "sigmas"),
        "staterror": ("inits", "bounds", "fixed", "auxdata", "sigmas"),
        "shapesys": ("inits", "bounds", "fixed", "auxdata", "factors"),
        "normfactor": ("inits", "bounds", "fixed"),
        "shapefactor": ("inits", "bounds", "fixed"),
    }[kind]
    changes: dict[str, Any] = {}
    for key, value in config.items():
        if key not in settable:
            raise errors.WorkspaceError(
                f"{place}: a {kind} parameter has no {key!r}; it takes {', '.join(settable)}."
            )
        if key == "fixed":
            changes["fixed"] = np.full(made.size, value)
            continue
        if len(value) != made.size:
            raise errors.WorkspaceError(
                f"{place}: {key!r} has {len(value)} entries, but the parameter has {made.size}."
            )
        changes["init" if key == "inits" else key] = value
    if kind == "shapesys" and (changes.get("auxdata", np.zeros(1)) < 0).any():
        raise errors.WorkspaceError(f"{place}: 'auxdata' of a Poisson constraint is negative.")
    return replace(made, **changes)


def _check_configs(workspace: Workspace, sets: dict[str, ParameterSet]) -> None:
    if workspace.partial:
        return
    # Conversions from ROOT always configure the luminosity, used or not, and call the parameter of
    # a modifier alpha_NAME; pyhf takes no notice of either.
    for name in workspace.configs:
        if name not in sets and name != "lumi" and name.removeprefix("alpha_") not in sets:
            hint = errors.unknown("parameter", name, sets)
            errors.warn(
                f"{workspace.source}: measurement {workspace.measurement!r} has settings of a "
                f"parameter that no sample has, and they are not used: {hint}"
            )
    if workspace.poi is not None:
        if workspace.poi not in sets:
            hint = errors.unknown("parameter", workspace.poi, sets)
            raise errors.WorkspaceError(
                f"{workspace.source}: measurement {workspace.measurement!r}: the parameter of "
                f"interest is declared by no sample: {hint}"
            )
        if sets[workspace.poi].size > 1:
            raise errors.WorkspaceError(
                f"{workspace.source}: measurement {workspace.measurement!r}: the parameter of "
                f"interest {workspace.poi!r} has {sets[workspace.poi].size} components; choose a "
                "single parameter."
            )
