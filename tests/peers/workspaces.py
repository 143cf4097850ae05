"""Workspaces by the thousand: valid ones with everything mixed, and broken ones.

Everything is drawn from a `random.Random`, so that hypothesis (`strategies.randoms`, which can
shrink what it draws) and a plain seed (for ten thousand mutations a night) share the generator.
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import functools
import json
import math
from collections.abc import Callable, Iterator, Mapping
from random import Random
from typing import Any

import numpy as np
from hypothesis import strategies

import bknn

from .reference import Reference

Workspace = dict[str, Any]

NORMFACTORS = ("mu", "k_background")
ALPHAS = ("alpha_scale", "alpha_tracking", "Alpha-theory")  # shared by normsys and histosys
CHANNELS = ("signal region", "CR", "B_validation")  # pyhf sorts them: the order here is not its
SAMPLES = ("signal", "charged", "Mixed", "continuum")


@functools.cache
def _belle2() -> str:
    return json.dumps(bknn.data.load("belle2-2025").workspace)


def belle2_workspace() -> Workspace:
    """The public Belle II workspace, a fresh copy."""
    return json.loads(_belle2())


def one_channel(
    samples: Mapping[str, tuple[list[float], list[tuple[str, str, Any]]]],
    counts: list[float],
    channel: str = "SR",
) -> Workspace:
    """A workspace of {sample: (yields, [(type, name, data), ...])}, poi-less."""
    return {
        "channels": [
            {
                "name": channel,
                "samples": [
                    {
                        "name": name,
                        "data": data,
                        "modifiers": [_modifier(*modifier) for modifier in modifiers],
                    }
                    for name, (data, modifiers) in samples.items()
                ],
            }
        ],
        "observations": [{"name": channel, "data": counts}],
        "measurements": [{"name": "measurement", "config": {"poi": "", "parameters": []}}],
        "version": "1.0.0",
    }


def chance(rng: Random, percent: int) -> bool:
    """True in so many per cent of the cases; shrinks to False."""
    return rng.randint(0, 99) >= 100 - percent


def number(rng: Random, low: float, high: float, steps: int = 1000) -> float:
    """A number of few digits, so that a failing example can be read."""
    return round(low + (high - low) * rng.randint(0, steps) / steps, 6)


def some(rng: Random, items: tuple[str, ...] | list[str], least: int = 1) -> list[str]:
    """A random selection in random order."""
    return rng.sample(list(items), rng.randint(min(least, len(items)), len(items)))


# ---------------------------------------------------------------------------------- valid ones


def _yield(rng: Random) -> float:
    kind = rng.randint(0, 9)
    if kind == 0:
        return 0.0
    if kind == 1:
        return number(rng, 0.001, 1.0)
    if kind == 2:
        return float(rng.randint(1000, 50000))
    return number(rng, 1.0, 100.0)


def _modifier(kind: str, name: str, data: Any = None) -> dict[str, Any]:
    return {"name": name, "type": kind, "data": data}


def _normsys(rng: Random, name: str) -> dict[str, Any]:
    low, high = number(rng, 0.5, 1.2), number(rng, 0.8, 1.5)
    if chance(rng, 10):
        low = high = 1.0
    return _modifier("normsys", name, {"lo": low, "hi": high})


def _histosys(rng: Random, name: str, nominal: list[float]) -> dict[str, Any]:
    def variation() -> list[float]:
        return [
            round(value * number(rng, 0.0, 2.0) + chance(rng, 20) * number(rng, 0.0, 2.0), 6)
            for value in nominal
        ]

    return _modifier("histosys", name, {"lo_data": variation(), "hi_data": variation()})


def _uncertainties(rng: Random, nominal: list[float]) -> list[float]:
    """Absolute uncertainties: some zero, some on empty bins (pyhf fixes these parameters)."""
    return [
        0.0 if chance(rng, 15) else round(max(value, 0.1) * number(rng, 0.02, 0.6), 6)
        for value in nominal
    ]


def generate(rng: Random) -> Workspace:
    """Return a workspace that pyhf accepts, with any mixture of modifiers."""
    names = some(rng, CHANNELS)
    bins = {name: rng.randint(1, 4) for name in names}
    channels = [
        {
            "name": name,
            "samples": [
                {"name": sample, "data": [_yield(rng) for _ in range(bins[name])], "modifiers": []}
                for sample in some(rng, SAMPLES)
            ],
        }
        for name in names
    ]
    sizes: dict[str, int] = {}  # parameters in each set
    kinds: dict[str, str] = {}

    def add(sample: dict[str, Any], modifier: dict[str, Any], size: int = 1) -> None:
        sample["modifiers"].append(modifier)
        sizes[modifier["name"]] = size
        kinds[modifier["name"]] = modifier["type"]

    for channel in channels:
        count = bins[channel["name"]]
        for sample in channel["samples"]:
            if sample["name"] == "signal" or chance(rng, 20):
                for name in some(rng, NORMFACTORS) if chance(rng, 80) else []:
                    add(sample, _modifier("normfactor", name))
            for name in some(rng, ALPHAS, least=0):
                if chance(rng, 50):
                    add(sample, _normsys(rng, name))
                if chance(rng, 50):
                    add(sample, _histosys(rng, name, sample["data"]))
            if chance(rng, 25):
                name = f"gamma_{channel['name']}_{sample['name']}"
                add(
                    sample,
                    _modifier("shapesys", name, _uncertainties(rng, sample["data"])),
                    count,
                )
            if chance(rng, 25):
                add(sample, _modifier("lumi", "lumi"))

    _add_staterrors(rng, channels, bins, add)
    _add_shapefactors(rng, channels, bins, add)
    if not sizes:
        add(channels[0]["samples"][0], _modifier("normfactor", "mu"))
    for channel in channels:
        for sample in channel["samples"]:
            rng.shuffle(sample["modifiers"])

    observations = [
        {"name": channel["name"], "data": _counts(rng, channel["samples"])} for channel in channels
    ]
    rng.shuffle(observations)
    return {
        "channels": channels,
        "observations": observations,
        "measurements": [
            _measurement(rng, name, sizes, kinds)
            for name in some(rng, ("nominal", "blind", "stress"))
        ],
        "version": "1.0.0",
    }


Add = Callable[..., None]


def _add_staterrors(
    rng: Random, channels: list[dict[str, Any]], bins: dict[str, int], add: Add
) -> None:
    """One set for each channel, or one across channels.

    pyhf wants every sample of a set to have it in the same channels.
    """
    if len(channels) > 1 and chance(rng, 15):
        chosen = rng.sample(channels, rng.randint(2, len(channels)))
        shared = set.intersection(*({s["name"] for s in c["samples"]} for c in chosen))
        picked = some(rng, sorted(shared)) if shared else []
        size = sum(bins[channel["name"]] for channel in chosen)
        for channel in chosen:
            for sample in channel["samples"]:
                if sample["name"] in picked:
                    data = _uncertainties(rng, sample["data"])
                    add(sample, _modifier("staterror", "stat_everywhere", data), size)
        return
    for channel in channels:
        if not chance(rng, 50):
            continue
        picked = some(rng, [sample["name"] for sample in channel["samples"]])
        for sample in channel["samples"]:
            if sample["name"] in picked:
                data = _uncertainties(rng, sample["data"])
                name = f"stat_{channel['name']}"
                add(sample, _modifier("staterror", name, data), bins[channel["name"]])


def _add_shapefactors(
    rng: Random, channels: list[dict[str, Any]], bins: dict[str, int], add: Add
) -> None:
    """One set over samples and channels, as many parameters as the first channel has bins.

    First in pyhf's order; a later channel with more bins has no parameter for the last ones
    (pyhf then multiplies them by the first parameter of the model, whatever that is).
    """
    if not chance(rng, 30):
        return
    ordered = sorted(channels, key=lambda channel: channel["name"])
    start = rng.randint(0, len(ordered) - 1)
    size = bins[ordered[start]["name"]]
    for channel in ordered[start:]:
        if bins[channel["name"]] > size or (channel is not ordered[start] and chance(rng, 40)):
            continue
        for name in some(rng, [sample["name"] for sample in channel["samples"]]):
            (sample,) = (s for s in channel["samples"] if s["name"] == name)
            add(sample, _modifier("shapefactor", "free_shape"), size)


def _counts(rng: Random, samples: list[dict[str, Any]]) -> list[float]:
    totals = np.sum([sample["data"] for sample in samples], axis=0)
    counts: list[float] = []
    for total in totals:
        if chance(rng, 15):
            counts.append(0)
        elif chance(rng, 10):  # pyhf's Poisson is continuous in n; Asimov data sets need it
            counts.append(round(float(total) * number(rng, 0.5, 1.5), 3))
        else:
            counts.append(round(float(total) * number(rng, 0.5, 1.5)))
    return counts


def _measurement(
    rng: Random, name: str, sizes: dict[str, int], kinds: dict[str, str]
) -> dict[str, Any]:
    single = ("normfactor", "normsys", "histosys", "lumi")
    scalars = [parameter for parameter in sorted(sizes) if kinds[parameter] in single]
    poi = rng.choice(scalars) if scalars and chance(rng, 80) else ""
    parameters: list[dict[str, Any]] = []
    for parameter in sorted(sizes):
        kind, size = kinds[parameter], sizes[parameter]
        config: dict[str, Any] = {"name": parameter}
        centre = 0.0 if kind in ("normsys", "histosys") else 1.0
        if kind == "lumi":
            centre = number(rng, 0.9, 1.1)
            config |= {"auxdata": [centre], "inits": [centre], "bounds": [[0.5, 1.5]]}
            config["sigmas"] = [number(rng, 0.005, 0.1)]
        elif not chance(rng, 35):
            continue
        if chance(rng, 40):
            config["inits"] = [round(centre + number(rng, -0.5, 0.5), 6) for _ in range(size)]
        if chance(rng, 40):
            low = centre - number(rng, 0.5, 5)
            config["bounds"] = [[round(low, 6), centre + 5] for _ in range(size)]
        if chance(rng, 30):
            config["fixed"] = chance(rng, 50)
        if kind in ("normsys", "histosys", "staterror") and chance(rng, 30):
            config["auxdata"] = [round(centre + number(rng, -0.3, 0.3), 6) for _ in range(size)]
        if kind == "staterror" and chance(rng, 30):
            config["sigmas"] = [number(rng, 0.01, 0.5) for _ in range(size)]
        if kind == "shapesys" and chance(rng, 30):
            config["factors"] = [number(rng, 1, 400) for _ in range(size)]
        if kind == "shapesys" and chance(rng, 30):
            config["auxdata"] = [float(rng.randint(0, 400)) for _ in range(size)]
        parameters.append(config)
    rng.shuffle(parameters)
    return {"name": name, "config": {"poi": poi, "parameters": parameters}}


@dataclasses.dataclass(frozen=True)
class Case:
    """A workspace and how to read it."""

    workspace: Workspace
    measurement: str | None
    interpolation: dict[str, str] | None

    def __repr__(self) -> str:
        return (
            f"Case(measurement={self.measurement!r}, interpolation={self.interpolation!r}, "
            f"workspace=json.loads({json.dumps(self.workspace)!r}))"
        )


def generate_case(rng: Random) -> Case:
    """Return a workspace with one of its measurements and interpolation codes."""
    workspace = generate(rng)
    names = [measurement["name"] for measurement in workspace["measurements"]]
    interpolation = {
        "normsys": rng.choice(("code4", "code1")),
        "histosys": rng.choice(("code4p", "code0")),
    }
    return Case(
        workspace=workspace,
        measurement=rng.choice(names) if chance(rng, 70) else None,
        interpolation=interpolation if chance(rng, 75) else None,
    )


def cases() -> strategies.SearchStrategy[Case]:
    """Hypothesis: cases that shrink."""
    return strategies.randoms(use_true_random=False).map(generate_case)


def parameter_points(reference: Reference, rng: np.random.Generator) -> np.ndarray:
    """(11, parameters): the initial values and points up to five standard deviations away.

    Among them the joints of the interpolation (alpha = -1, 0, 1 and the floats beside them),
    negative normalisations, and rates that turn negative.
    """
    init, width = reference.init, reference.widths
    size = len(init)
    alphas = np.zeros(size, dtype=bool)
    free = np.zeros(size, dtype=bool)
    for name, (where, scalar) in reference.sets.items():
        parameter_set = reference.model.config.param_set(name)
        alphas[where] = parameter_set.constrained and scalar and name != "lumi"
        free[where] = not parameter_set.constrained

    def up_to(sigmas: float) -> np.ndarray:
        return init + width * rng.uniform(-sigmas, sigmas, size)

    def positive(point: np.ndarray) -> np.ndarray:
        return np.where(alphas, point, np.abs(point))

    joints = np.array([-1.0, 0.0, 1.0])
    beside = np.array([np.nextafter(1.0, 0.0), np.nextafter(1.0, 2.0), 1e-12])
    return np.stack(
        [
            init,
            np.where(alphas, rng.choice(joints, size), init),
            np.where(alphas, rng.choice(np.concatenate([joints, beside, -beside]), size), init),
            np.where(alphas, rng.choice([-5.0, -2.0, 2.0, 5.0], size), init),
            init + width * rng.normal(size=size) * 0.3,
            positive(up_to(1.0)),
            positive(up_to(3.0)),
            positive(up_to(5.0)),
            np.where(free, -np.abs(up_to(2.0)), init),
            np.where(free, -0.1, positive(up_to(1.0))),
            up_to(5.0),
        ]
    )


def random_data(reference: Reference, rng: np.random.Generator) -> np.ndarray:
    """Main and auxiliary data as a toy experiment would give them."""
    rates = np.clip(reference.at(reference.init).rates, 0.0, None)
    main = rng.poisson(np.where(np.isfinite(rates), rates, 1.0)).astype(float)
    shift = rng.uniform(0.7, 1.3, len(reference.auxdata))
    return np.concatenate([main, reference.auxdata * shift + 0.1 * (reference.auxdata == 0.0)])


# --------------------------------------------------------------------------------- broken ones

Path = tuple[str | int, ...]

GARBAGE: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 0.0, -0.0, 0.5, -3.5, 7, 1e-320, 1e308, -1e308, 10**400,
    math.nan, math.inf, -math.inf, "", " ", "mu", "nan", "1.0", "Ärger\n", "\x00", [], {},
    [[]], [None], [0.0], [1.0, 2.0], [-1.0], [math.nan], ["1.0"], [[1.0]], {"name": "mu"},
    {"lo": 1.0, "hi": 1.0}, {"lo_data": [1.0], "hi_data": [1.0]}, {"": None},
    [{"name": "mu", "type": "normfactor", "data": None}],
)  # fmt: skip

TYPES = (
    "normfactor", "normsys", "histosys", "shapesys", "shapefactor", "staterror", "lumi",
    "NormSys", "overallsys", "normfactor ", "",
)  # fmt: skip


def _paths(node: Any, path: Path = ()) -> Iterator[Path]:
    if path:
        yield path
    if isinstance(node, dict):
        for key, value in node.items():
            yield from _paths(value, (*path, key))
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from _paths(value, (*path, index))


def _at(node: Any, path: Path) -> Any:
    for key in path:
        node = node[key]
    return node


def _set(workspace: Workspace, path: Path, value: Any) -> None:
    _at(workspace, path[:-1])[path[-1]] = value


def _pick(
    rng: Random, workspace: Workspace, wanted: Callable[[Path, Any], bool] = lambda p, v: True
) -> Path | None:
    found = [path for path in _paths(workspace) if wanted(path, _at(workspace, path))]
    return rng.choice(found) if found else None


def _is_number(_: Path, value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _delete(rng: Random, workspace: Workspace) -> str | None:
    path = _pick(rng, workspace)
    if path is None:
        return None
    del _at(workspace, path[:-1])[path[-1]]
    return f"delete {path}"


def _replace(rng: Random, workspace: Workspace) -> str | None:
    path = _pick(rng, workspace)
    if path is None:
        return None
    value = copy.deepcopy(rng.choice(GARBAGE))
    _set(workspace, path, value)
    return f"{path} = {str(value)[:40]!r}"


def _leaf(rng: Random, workspace: Workspace) -> str | None:
    path = _pick(rng, workspace, lambda _, value: not isinstance(value, dict | list))
    if path is None:
        return None
    value = copy.deepcopy(rng.choice(GARBAGE))
    _set(workspace, path, value)
    return f"{path} = {str(value)[:40]!r}"


def _rescale(rng: Random, workspace: Workspace) -> str | None:
    path = _pick(rng, workspace, _is_number)
    if path is None:
        return None
    old = _at(workspace, path)
    change: Callable[[Any], Any] = rng.choice(
        [
            lambda x: -x, lambda x: 0, lambda x: 1.07 * x, lambda x: x + 1, lambda x: 1000 * x,
            lambda x: x * 1e-9, lambda x: x / 2 + 0.01, lambda x: abs(x) + 1e-300,
            lambda x: 1e7 * x, str, lambda x: [x], lambda x: {"value": x},
        ]
    )  # fmt: skip
    _set(workspace, path, change(old))
    return f"{path}: {old!r} -> {_at(workspace, path)!r}"


def _rename(rng: Random, workspace: Workspace) -> str | None:
    path = _pick(rng, workspace, lambda _, value: isinstance(value, str))
    other = _pick(rng, workspace, lambda _, value: isinstance(value, str))
    if path is None or other is None:
        return None
    new = rng.choice([_at(workspace, other), _at(workspace, path) + "x", "mu", "lumi", "mu[0]"])
    _set(workspace, path, new)
    return f"{path} = {new!r}"


def _list(rng: Random, workspace: Workspace) -> str | None:
    path = _pick(rng, workspace, lambda _, value: isinstance(value, list) and len(value) > 0)
    if path is None:
        return None
    items = _at(workspace, path)
    kind = rng.choice(["drop", "double", "append", "empty", "reverse", "nest", "dict", "long"])
    if kind == "drop":
        items.pop(rng.randrange(len(items)))
    elif kind == "double":
        items.append(copy.deepcopy(rng.choice(items)))
    elif kind == "append":
        items.append(copy.deepcopy(rng.choice(GARBAGE)))
    elif kind == "empty":
        items.clear()
    elif kind == "reverse":
        items.reverse()
    elif kind == "nest":
        _set(workspace, path, [items])
    elif kind == "dict":
        _set(workspace, path, {str(index): item for index, item in enumerate(items)})
    else:
        items.extend(copy.deepcopy(items[-1]) for _ in range(50))
    return f"{kind} at {path}"


def _extra(rng: Random, workspace: Workspace) -> str | None:
    path = _pick(rng, workspace, lambda _, value: isinstance(value, dict))
    if path is None:
        return None
    key = rng.choice(["comment", "data", "name", "type", "fixed", "sigmas", "factors", "auxdata"])
    value = copy.deepcopy(rng.choice(GARBAGE))
    _at(workspace, path)[key] = value
    return f"{path}[{key!r}] = {str(value)[:40]!r}"


def _swap(rng: Random, workspace: Workspace) -> str | None:
    path, other = _pick(rng, workspace), _pick(rng, workspace)
    if path is None or other is None:
        return None
    first, second = copy.deepcopy(_at(workspace, path)), copy.deepcopy(_at(workspace, other))
    _set(workspace, path, second)
    # one may have lain inside the other: then a copy of a piece in the wrong place will do
    with contextlib.suppress(KeyError, IndexError, TypeError):
        _set(workspace, other, first)
    return f"swap {path} and {other}"


def _retype(rng: Random, workspace: Workspace) -> str | None:
    path = _pick(rng, workspace, lambda where, _: where[-1] == "type")
    if path is None:
        return None
    _set(workspace, path, rng.choice(TYPES))
    return f"{path} = {_at(workspace, path)!r}"


def _configure(rng: Random, workspace: Workspace) -> str | None:
    """A parameter configuration that need not fit the parameter."""
    path = _pick(rng, workspace, lambda where, v: where[-1] == "parameters" and isinstance(v, list))
    name = _pick(rng, workspace, lambda where, v: where[-1] == "name" and isinstance(v, str))
    if path is None or name is None:
        return None
    size = rng.randint(0, 3)
    values: dict[str, Any] = {
        "inits": [number(rng, -2, 2) for _ in range(size)],
        "bounds": [sorted([number(rng, -5, 5), number(rng, -5, 5)]) for _ in range(size)],
        "auxdata": [number(rng, -2, 2) for _ in range(size)],
        "sigmas": [number(rng, -0.5, 2) for _ in range(size)],
        "factors": [number(rng, -5, 50) for _ in range(size)],
        "fixed": rng.choice([True, False, "yes", [True], None, 1]),
    }
    keys = some(rng, list(values))
    config = {"name": _at(workspace, name), **{key: values[key] for key in keys[:2]}}
    _at(workspace, path).append(config)
    return f"{path} += {config}"


MUTATIONS: tuple[Callable[[Random, Workspace], str | None], ...] = (
    _delete, _replace, _leaf, _rescale, _rescale, _rescale, _rescale, _rename, _list, _list,
    _extra, _swap, _retype, _configure,
)  # fmt: skip


def mutate(workspace: Workspace, rng: Random) -> tuple[Workspace, list[str]]:
    """Return a damaged copy of a workspace and what was done to it."""
    damaged = copy.deepcopy(workspace)
    done: list[str] = []
    for _ in range(rng.choice([1, 1, 1, 1, 1, 2, 2, 3])):
        with_luck = rng.choice(MUTATIONS)(rng, damaged)
        if with_luck is not None:
            done.append(with_luck)
    return damaged, done


# ---------------------------------------------------------------------------- those that are fit


def generate_analysis(rng: Random, bins: int = 60, nuisances: int = 300) -> Workspace:
    """Return a workspace as analyses have them, of at most so many bins and nuisances.

    A signal `mu`, every kind of modifier anywhere, counts as they come out. All rates are positive
    where nuisances are within a few standard deviations, and a single minimum is expected.
    """
    names = some(rng, CHANNELS)
    channels: list[dict[str, Any]] = []
    for name in names:
        count = rng.randint(1, bins // len(names))
        samples = [
            {
                "name": sample,
                "data": [number(rng, 2.0, 100.0) for _ in range(count)],
                "modifiers": [],
            }
            for sample in ("signal", *some(rng, SAMPLES[1:]))
        ]
        samples[0]["modifiers"].append(_modifier("normfactor", "mu"))
        channels.append({"name": name, "samples": samples})
    everything = [sample for channel in channels for sample in channel["samples"]]

    def widths(sample: dict[str, Any]) -> list[float]:
        return [round(value * number(rng, 0.02, 0.3), 6) for value in sample["data"]]

    left = nuisances
    for channel in channels:
        count = len(channel["samples"][0]["data"])
        if chance(rng, 60) and count <= left:
            left -= count
            for sample in channel["samples"]:
                data = widths(sample)
                sample["modifiers"].append(_modifier("staterror", f"stat_{channel['name']}", data))
        if channel is not channels[0] and chance(rng, 15) and count <= left:
            left -= count
            name = f"free_{channel['name']}"
            channel["samples"][-1]["modifiers"].append(_modifier("shapefactor", name))
        for sample in channel["samples"]:
            if chance(rng, 40) and count <= left:
                left -= count
                name = f"gamma_{channel['name']}_{sample['name']}"
                sample["modifiers"].append(_modifier("shapesys", name, widths(sample)))
            if chance(rng, 30):
                sample["modifiers"].append(_modifier("lumi", "lumi"))
            if sample["name"] == "continuum" and len(channels) > 1 and chance(rng, 50):
                sample["modifiers"].append(_modifier("normfactor", "k_continuum"))
    n_alphas = rng.randint(0, min(left, nuisances // 2))
    for i in range(n_alphas):
        for sample in rng.sample(everything, rng.randint(1, min(3, len(everything)))):
            size = number(rng, 0.05, 0.5) / math.sqrt(n_alphas)
            if chance(rng, 50):
                ends = {"lo": 1 - size, "hi": 1 + size * number(rng, 0.5, 1.5)}
                sample["modifiers"].append(_modifier("normsys", f"alpha_{i}", ends))
            if chance(rng, 50):
                tilted = {
                    key: [x * (1 + sign * size * number(rng, 0.2, 1.5)) for x in sample["data"]]
                    for key, sign in (("lo_data", -1), ("hi_data", 1))
                }
                sample["modifiers"].append(_modifier("histosys", f"alpha_{i}", tilted))
    for sample in everything:
        rng.shuffle(sample["modifiers"])
    lumi = {"name": "lumi", "auxdata": [1.0], "inits": [1.0], "sigmas": [0.02]}
    return {
        "channels": channels,
        "observations": [
            {"name": channel["name"], "data": _fluctuated(rng, channel["samples"])}
            for channel in channels
        ],
        "measurements": [
            {
                "name": "fit",
                "config": {"poi": "mu", "parameters": [{**lumi, "bounds": [[0.5, 1.5]]}]},
            }
        ],
        "version": "1.0.0",
    }


def _fluctuated(rng: Random, samples: list[dict[str, Any]]) -> list[int]:
    totals = np.sum([sample["data"] for sample in samples], axis=0)
    return [max(0, round(t + math.sqrt(t) * rng.gauss(0.0, 1.0))) for t in totals.tolist()]
