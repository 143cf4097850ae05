"""What makes two computations the same: one digest of model, inputs, form factors, priors, bounds
and data, made of parts with names, so that a refusal can say which of them differs.

All that is resumed, merged, kept in pieces or computed elsewhere is compared by this, and by the
version of bknn. On what machine it is computed, and with which libraries, changes the last digits
alone, and is told.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from typing import Any
from weakref import WeakKeyDictionary

from bknn.storage.content import digest, state_of

#: {part: {name: a number, or what tells it from others}}.
Parts = Mapping[str, Mapping[str, Any]]

#: Analyses and measurements do not change: what is known of each.
_KNOWN: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()

#: Of a model: what has a part of its own, and what is for people.
_APART = {"inputs", "form_factors", "parameters", "description", "notes"}

#: Of a measurement: what is for people, or counts in another form.
_WORDS = {"name", "title", "sources", "notes", "groups", "metadata", "sha256", "workspace"}


def parts(analysis: Any) -> Parts:
    """Return what an analysis consists of.

    - "model": its class, with the code of it if it is the user's, and what it was made with,
    - "inputs", "form factors": the numbers of a model that has them,
    - "parameters": starts, bounds, constraints, and which of them float,
    - "priors": of those that float,
    - "nuisances": what they are called, and bounds that were given,
    - "data": the content of each measurement, and what of it is used,
    - "folding": how spectra are folded, and what else is in the likelihood.
    """
    if analysis not in _KNOWN:
        own = {p.name: p for p in analysis.parameters}
        _KNOWN[analysis] = {
            **of_model(analysis.model, own),
            "priors": {p.name: _prior(p) for p in own.values() if not p.nuisance},
            "nuisances": {
                "all": digest([analysis.names, [_parameter(p, True) for p in own.values()]]),
                **{k: _plain(tuple(x)) for k, x in sorted(analysis.given_bounds.items())},
            },
            "data": of_data(analysis.measurements),
            "folding": {
                "response": analysis.response,
                **{f"term {i + 1}": digest(x) for i, x in enumerate(analysis.terms)},
            },
        }
    found: Parts = _KNOWN[analysis]
    return found


def of_model(model: Any, moving: Mapping[str, Any] | None = None) -> Parts:
    """Return what a model consists of.

    Args:
        model: any.
        moving: {name: parameter} of those that float, where that is known.
    """
    state = state_of(model)
    state = state if isinstance(state, Mapping) else {"content": state}
    own = {str(name): _plain(x) for name, x in state.items() if name not in _APART}
    known = moving or {}
    found: dict[str, Mapping[str, Any]] = {
        "model": {"name": model.name, "class": _plain(type(model)), **own},
        "parameters": {
            p.name: _parameter(known.get(p.name, p), None if moving is None else p.name in known)
            for p in model.parameters
        },
    }
    if "inputs" in state:
        found["inputs"] = _numbers(state["inputs"])
    if "form_factors" in state:
        sets = state["form_factors"]
        each = sets.items() if isinstance(sets, Mapping) else [("all", sets)]
        found["form factors"] = {str(k): f"{getattr(x, 'name', '')} #{digest(x)}" for k, x in each}
    return found


def of_data(measurements: Iterable[Any]) -> dict[str, str]:
    """Return what of each measurement is used, and the digest of its content."""
    return {m.name: _data(m) for m in measurements}


def sha256(found: Parts) -> str:
    """Return the digest of parts."""
    return hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()


def digests(found: Parts) -> dict[str, str]:
    """Return the digest of each part, and of the whole."""
    return {"whole": sha256(found), **{name: digest(x) for name, x in found.items()}}


def differences(one: Parts, other: Parts, words: str = "{} and {}") -> str:
    """Return in words in which parts two analyses differ, "" if in none.

    >>> differences({"inputs": {"alpha": 0.0078}}, {"inputs": {"alpha": 0.0079}})
    'inputs alpha: 0.0078 and 0.0079'
    """
    found = []
    for part in dict.fromkeys([*one, *other]):
        a, b = one.get(part, {}), other.get(part, {})
        for name in dict.fromkeys([*a, *b]):
            if a.get(name) != b.get(name):
                both = [_word(x, name) for x in (a, b)]
                if both[0] == both[1]:
                    both = [str(x.get(name, "none")) for x in (a, b)]
                found.append(f"{part} {name}: {words.format(*both)}")
    more = f"; and {len(found) - _MOST} more" if len(found) > _MOST else ""
    return "; ".join(found[:_MOST]) + more


#: Differences that are told.
_MOST = 4


def _word(table: Mapping[str, Any], name: str) -> str:
    """Return what stands under a name, without its digest."""
    return str(table[name]).partition(" #")[0] if name in table else "none"


def _data(measurement: Any) -> str:
    """Return what of a measurement is used, and the digest of it."""
    if measurement not in _KNOWN:
        held = vars(measurement)
        workspace = json.dumps(measurement.workspace, sort_keys=True)
        content = digest([workspace, {k: x for k, x in held.items() if k not in _WORDS}])
        used = measurement.entries
        words = ", ".join(used) if len(used) <= 4 else f"{len(used)} channels and results"
        _KNOWN[measurement] = f"{words} #{content}"
    return str(_KNOWN[measurement])


def _prior(p: Any) -> str:
    """Return a prior in words, and its digest."""
    return f"{p.prior_with_range} #{digest([p.prior, p.constraint])}"


def _parameter(p: Any, moves: bool | None) -> str:
    """Return where a parameter starts and may go."""
    words = {None: "", True: "floats from ", False: "kept at "}[moves]
    found = f"{words}{p.init!r} in [{p.bounds[0]!r}, {p.bounds[1]!r}]"
    rest = [p.init, p.bounds, p.constraint, p.starts, p.fixed, p.nuisance, p.coupling]
    return f"{found} #{digest(rest)}"


def _numbers(inputs: Any) -> dict[str, Any]:
    """Return {name: number} of numerical inputs."""
    found: dict[str, Any] = {"class": _plain(type(inputs))}
    state = state_of(inputs)
    for name, x in (state if isinstance(state, Mapping) else {"content": state}).items():
        if isinstance(x, Mapping):
            found |= {f"{name} {key}": _plain(value) for key, value in x.items()}
        else:
            found[str(name)] = _plain(x)
    return found


def _plain(x: Any) -> Any:
    """Return a number or a word as it is, and the digest of anything else with a name for it."""
    if x is None or isinstance(x, bool | int) or (isinstance(x, str) and len(x) <= 60):
        return x
    if isinstance(x, float) and math.isfinite(x):
        return float(x)
    if isinstance(x, tuple) and len(x) == 2 and all(isinstance(y, int | float) for y in x):
        return f"[{x[0]!r}, {x[1]!r}]"
    name = getattr(x, "__qualname__", None)
    return f"{name} #{digest(x)}" if isinstance(name, str) else f"#{digest(x)}"
