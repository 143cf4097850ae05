"""What must hold before a workspace and its densities are believed.

Only what the data sets themselves rely on is checked here; the likelihood checks the rest of a
workspace (modifiers, their types and lengths) when it is built.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from bknn.data.measurement import Density, sample_of
from bknn.errors import DataError, unknown
from bknn.reading.pyhf_files import another_kind

#: Largest |row sum - template| / template that passes. Belle II's hadronic tag has 2.3e-5 (one
#: simulated event on either side of a bin edge); a wrong row order or scale is off by far more.
TOLERANCE = 1e-4

_AXES = ("fit bin", "true-q2 bin")

Fail = Callable[[str], DataError]


def check_workspace(spec: Any, where: str) -> None:
    """Refuse what is not a pyhf workspace, has numbers that are not finite, or lacks observations.

    Raises:
        DataError: with the file, the place in it and the remedy.
    """

    def fail(message: str) -> DataError:
        return DataError(f"{where}: {message}")

    if (kind := another_kind(spec)) is not None:
        raise fail(f"{kind}.")
    if not isinstance(spec, dict):
        raise fail(
            "not a pyhf workspace: a JSON object is expected, with channels and observations."
        )
    for key in ("channels", "observations", "measurements"):
        if not isinstance(spec.get(key), list) or not all(isinstance(x, dict) for x in spec[key]):
            raise fail(
                f"not a pyhf workspace: {key!r} is missing or not a list of objects. A likelihood "
                "exported by pyhf has channels, observations and measurements; a patch set, a "
                "model or a result of a fit cannot be imported."
            )
    bad = list(_not_finite(spec, "workspace"))
    if bad:
        raise fail(
            f"{_count(len(bad), 'number is', 'numbers are')} not finite, the first at {bad[0]}; "
            "a likelihood cannot be computed with that. Repair the file."
        )
    names = [_name(entry, "channel", fail) for entry in spec["channels"]]
    if not names:
        raise fail("the workspace has no channels.")
    _unique(names, "channel", "the workspace", fail)
    observed = {}
    for entry in spec["observations"]:
        observed[_name(entry, "observation", fail)] = _numbers(entry, "observation", fail)
    for channel, name in zip(spec["channels"], names, strict=True):
        samples = channel.get("samples")
        if not isinstance(samples, list) or not samples:
            raise fail(f"channel {name!r} has no list of samples.")
        for sample in samples:
            if not isinstance(sample, dict) or not isinstance(sample.get("modifiers"), list):
                raise fail(f"channel {name!r}: a sample is not an object with a list of modifiers.")
            if not all(
                isinstance(m, dict) and isinstance(m.get("name"), str) for m in sample["modifiers"]
            ):
                raise fail(f"channel {name!r}: a modifier is not an object with a name.")
        sample_names = [_name(sample, f"sample of channel {name!r}", fail) for sample in samples]
        _unique(sample_names, "sample", f"channel {name!r}", fail)
        if name not in observed:
            raise fail(
                f"channel {name!r} has no entry in 'observations', so there is nothing to compare "
                f"it with; observations exist for {', '.join(observed) or 'no channel'}."
            )
        bins = len(observed[name])
        for sample in samples:
            got = len(_numbers(sample, f"sample of channel {name!r}", fail))
            if got != bins:
                raise fail(
                    f"channel {name!r}: sample {sample['name']!r} has {got} bins, the observation "
                    f"has {bins}; all samples of a channel need the bins of its observation."
                )
    if not spec["measurements"]:
        raise fail("the workspace has no measurement, so no parameter of interest is configured.")
    for entry in spec["measurements"]:
        config = entry.get("config")
        parameters = config.get("parameters", []) if isinstance(config, dict) else None
        if not isinstance(parameters, list) or not all(isinstance(p, dict) for p in parameters):
            raise fail(
                f"measurement {entry.get('name')!r} has no 'config' with a list of parameters."
            )
        if not isinstance(config.get("poi", ""), str):
            raise fail(
                f"measurement {entry.get('name')!r}: the parameter of interest must be a name, "
                f"not {config['poi']!r}."
            )
        for parameter in parameters:
            _name(parameter, f"parameter of measurement {entry.get('name')!r}", fail)


def check_density(density: Density, where: str) -> None:
    """Refuse a density with entries that are no counts, or with edges that do not fit it.

    Raises:
        DataError: entries counted and the first ones located, by fit bin and true-q2 bin (counted
            from 1, the sentinel not included).
    """
    edges = density.edges
    if edges.ndim != 1 or len(edges) < 2 or not np.all(np.isfinite(edges)):
        raise DataError(f"{where}: the true-q2 edges must be at least two finite numbers in GeV^2.")
    if np.any(np.diff(edges) <= 0):
        at = int(np.argmax(np.diff(edges) <= 0))
        raise DataError(
            f"{where}: the true-q2 edges must increase; {edges[at]:g} is followed by "
            f"{edges[at + 1]:g} GeV^2."
        )
    if edges[0] < 0:
        raise DataError(
            f"{where}: the first true-q2 edge is {edges[0]:g} GeV^2, and q2 is never negative. If "
            "the table has a first column for candidates without a true q2, leave its edge out "
            "and say that it has that sentinel column."
        )
    shape = (len(density.unmatched), len(edges) - 1)
    if density.counts.shape != shape or density.unmatched.ndim != 1:
        raise DataError(
            f"{where}: the density has the shape {density.counts.shape} where {shape} "
            "(fit bins, true-q2 bins) is needed."
        )
    for array, what in ((density.counts, "entries"), (density.unmatched, "unmatched entries")):
        problem = _no_counts(array)
        if problem:
            raise DataError(
                f"{where}: {problem} among the {array.size} {what} of the density. They are "
                "expected counts of simulated signal and cannot be negative or missing; repair "
                "the table or ask its authors."
            )


def check_rows(
    density: Density, template: np.ndarray, where: str, *, tolerance: float = TOLERANCE
) -> None:
    """Refuse a density whose rows do not add up to the signal template of their fit bins.

    Args:
        density: (bins, n) counts and (bins,) unmatched.
        template: (bins,) nominal yields of the signal sample.
        where: beginning of the sentence: the file and the channel.
        tolerance: largest accepted |sum - template| / template.

    Raises:
        DataError: wrong number of rows, or rows that differ; counted, the worst one with numbers.
    """
    if len(density.counts) != len(template):
        raise DataError(
            f"{where}: the density has {len(density.counts)} rows, the channel has "
            f"{len(template)} fit bins; a density has one row per fit bin, in the same order."
        )
    differences = row_differences(density, template)
    off = [row for row, value in enumerate(differences) if not abs(value) <= tolerance]
    if off:
        worst = max(off, key=lambda row: abs(differences[row]))
        total = math.fsum([*density.counts[worst], density.unmatched[worst]])
        raise DataError(
            f"{where}: {_count(len(off), 'row does', 'rows do')} not add up to the signal "
            f"template; the worst is row {worst + 1} (counted from 1) with {total:.8g} where the "
            f"template has {template[worst]:.8g}, relative difference {differences[worst]:.2g}, "
            f"tolerance {tolerance:g}. Folding the null spectrum would not give back the "
            "template: look for another order of bins, another scale or another sample, or for a "
            "missing column of candidates without a true q2."
        )


def row_differences(density: Density, template: np.ndarray) -> tuple[float, ...]:
    """Return (row sum - template) / template for every fit bin; inf where only the template is 0.

    The sums are exactly rounded, so that the numbers do not depend on the machine.
    """
    differences = []
    for counts, unmatched, expected in zip(
        density.counts, density.unmatched, template.tolist(), strict=True
    ):
        total = math.fsum([*counts, unmatched])
        if total == expected:
            differences.append(0.0)
        else:
            differences.append((total - expected) / expected if expected else math.inf)
    return tuple(differences)


def check_signal(
    workspace: Mapping[str, Any],
    signal: Mapping[str, str],
    densities: Mapping[str, Density],
    form_factor_modifiers: Sequence[str],
    where: str,
    places: Mapping[str, str] | None = None,
    *,
    tolerance: float = TOLERANCE,
) -> None:
    """Refuse signal samples, densities and form-factor modifiers that do not fit together.

    `where` begins every sentence; `places` gives the file of a channel's density if it has its own.

    Raises:
        DataError: a density without a signal sample or the other way round, rows that do not add
            up to the template.
        UnknownNameError: a sample that the channel does not have, a modifier that no signal has.
    """
    for channel in signal:
        if channel not in densities:
            raise DataError(
                f"{where}: channel {channel!r} has a signal sample but no density, so a new "
                "signal could not be folded there. Give its density, or leave out the sample."
            )
    for channel in densities:
        if channel not in signal:
            raise DataError(
                f"{where}: channel {channel!r} has a density but no signal sample is named for "
                "it. Say which sample of the channel the density describes."
            )
    modifiers: set[str] = set()
    for channel, name in signal.items():
        sample = sample_of(workspace, channel, name)
        modifiers.update(entry["name"] for entry in sample["modifiers"])
        file = (places or {}).get(channel, where)
        check_rows(
            densities[channel],
            template_of(workspace, channel, name),
            f"{file}, channel {channel!r}",
            tolerance=tolerance,
        )
    for name in form_factor_modifiers:
        if name not in modifiers:
            raise unknown("form-factor modifier", name, modifiers, "the signal samples")


def template_of(workspace: Mapping[str, Any], channel: str, sample: str) -> np.ndarray:
    """Return the nominal yields (bins,) of a sample."""
    return np.asarray(sample_of(workspace, channel, sample)["data"], dtype=np.float64)


def _no_counts(array: np.ndarray) -> str:
    """Return what is wrong with the entries of a table, or an empty string."""
    missing = ~np.isfinite(array)
    negative = np.isfinite(array) & (array < 0)
    if not missing.any() and not negative.any():
        return ""
    kinds = [
        f"{int(mask.sum())} {word}"
        for mask, word in ((negative, "negative"), (missing, "not finite"))
        if mask.any()
    ]
    places = np.argwhere(missing | negative)
    shown = [
        ", ".join(f"{axis} {at + 1}" for axis, at in zip(_AXES, place, strict=False))
        + f" ({array[tuple(place)]:g})"
        for place in places[:3].tolist()
    ]
    more = f" and {len(places) - 3} more" if len(places) > 3 else ""
    return f"{' and '.join(kinds)} (at {'; '.join(shown)}{more}, counted from 1)"


def _not_finite(value: Any, path: str) -> Iterator[str]:
    if isinstance(value, int | float) and not abs(value) <= sys.float_info.max:
        yield f"{path} ({value:.3g})" if isinstance(value, float) else f"{path} (too large)"
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _not_finite(item, f"{path}.{key}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            label = item.get("name") if isinstance(item, dict) else None
            yield from _not_finite(item, f"{path}[{index if label is None else label}]")


def _name(entry: Mapping[str, Any], what: str, fail: Fail) -> str:
    name = entry.get("name")
    if not isinstance(name, str) or not name:
        raise fail(f"a {what} has no name (found {name!r}).")
    return name


def _numbers(entry: Mapping[str, Any], what: str, fail: Fail) -> list[float]:
    data = entry.get("data")
    if (
        not isinstance(data, list)
        or not data
        or not all(isinstance(x, int | float) and not isinstance(x, bool) for x in data)
    ):
        raise fail(f"{what} {entry.get('name')!r}: 'data' must be a list of numbers, one per bin.")
    return data


def _unique(names: Sequence[str], what: str, where: str, fail: Fail) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise fail(f"{where} has more than one {what} named {', '.join(map(repr, twice))}.")


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"
