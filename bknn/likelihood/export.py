"""Back to pyhf JSON, as read or with a folded signal put in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bknn import errors
from bknn.likelihood.parameter_sets import ParameterSet
from bknn.likelihood.workspace import Channel, Modifier, Sample, Workspace


@dataclass(frozen=True)
class FoldedSignal:
    """What takes the place of a signal sample: its standard-model part and the rest, (bins,)."""

    channel: str
    sample: str
    standard_model: np.ndarray
    new: np.ndarray | None


def workspace_json(workspace: Workspace) -> dict[str, Any]:
    """Return a workspace as pyhf 1.0.0 JSON, with the measurement that was chosen."""
    parameters = [
        {"name": name, **{k: _plain(v) for k, v in config.items()}}
        for name, config in workspace.configs.items()
    ]
    return {
        "channels": [
            {"name": c.name, "samples": [_sample(s) for s in c.samples]} for c in workspace.channels
        ],
        "observations": [{"name": c.name, "data": c.observed.tolist()} for c in workspace.channels],
        "measurements": [
            {
                "name": workspace.measurement,
                "config": {"poi": workspace.poi or "", "parameters": parameters},
            }
        ],
        "version": "1.0.0",
    }


def with_folded_signal(
    workspace: Workspace,
    sets: Mapping[str, ParameterSet],
    signals: Sequence[FoldedSignal],
    *,
    new_name: str,
    without: Sequence[str],
    unused: Sequence[str],
) -> Workspace:
    """Return the workspace with other signals in place of its own.

    The standard-model part keeps the sample's name and modifiers; the rest becomes a sample
    `new_name` with the same modifiers, less the shape modifiers in `without`. Variations keep their
    relative size. Modifiers in `unused` are taken off everywhere. The parameter of interest then
    multiplies both parts: at 1 the signal is the one put in.

    Raises:
        WorkspaceError: a signal with a shapesys, which two samples cannot share.
    """
    found = {(f.channel, f.sample): f for f in signals}
    configs = {k: dict(v) for k, v in workspace.configs.items() if k not in unused}
    channels = []
    for channel in workspace.channels:
        samples: list[Sample] = []
        for sample in channel.samples:
            modifiers = tuple(m for m in sample.modifiers if m.name not in unused)
            sample = replace(sample, modifiers=modifiers)
            folded = found.get((channel.name, sample.name))
            if folded is None:
                samples.append(sample)
                continue
            for m in modifiers:
                if m.type == "shapesys" and folded.new is not None:
                    raise errors.WorkspaceError(
                        f"{workspace.source}: channel {channel.name!r}, sample {sample.name!r}: "
                        f"shapesys {m.name!r} cannot be shared with a second signal sample; "
                        "make it a staterror."
                    )
                if m.type == "staterror":
                    # pyhf would take the widths from the new yields; they are those of the old.
                    configs.setdefault(m.name, {})["sigmas"] = sets[m.name].sigmas
            samples.append(_scaled(sample, folded.standard_model, sample.name, ()))
            if folded.new is not None:
                samples.append(_scaled(sample, folded.new, new_name, without))
        channels.append(Channel(channel.name, tuple(samples), channel.observed))
    return replace(workspace, channels=tuple(channels), configs=configs)


def _scaled(sample: Sample, counts: np.ndarray, name: str, without: Sequence[str]) -> Sample:
    ratio = counts / np.where(sample.data > 0, sample.data, 1)
    ratio = np.where(sample.data > 0, ratio, 0)
    modifiers = []
    for m in sample.modifiers:
        if m.type == "histosys":
            if m.name in without:
                continue
            modifiers.append(Modifier(m.name, m.type, tuple(ratio * x for x in m.data)))
        elif m.type in ("staterror", "shapesys"):
            modifiers.append(Modifier(m.name, m.type, ratio * m.data))
        else:
            modifiers.append(m)
    return Sample(name, ratio * sample.data, tuple(modifiers))


def _sample(sample: Sample) -> dict[str, Any]:
    return {
        "name": sample.name,
        "data": sample.data.tolist(),
        "modifiers": [
            {"name": m.name, "type": m.type, "data": _modifier_data(m)} for m in sample.modifiers
        ],
    }


def _modifier_data(modifier: Modifier) -> Any:
    match modifier.type:
        case "normsys":
            return {"lo": modifier.data[0], "hi": modifier.data[1]}
        case "histosys":
            lo, hi = modifier.data
            return {"lo_data": lo.tolist(), "hi_data": hi.tolist()}
        case "staterror" | "shapesys":
            return modifier.data.tolist()
        case _:
            return None


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray) else value
