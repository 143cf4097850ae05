"""A user's file of couplings: TOML with charges, or vector and axial couplings, by fermion.

g = 1e-3                    # gauge coupling, of the charges

[charges]                   # a number, or [left, right]
quarks = 0.333
leptons = -1
tau = [-1, 0]               # an entry of its own has precedence over that of a group

[vector]                    # g_V, added to what the charges make
e = 1e-4
[axial]                     # g_A
e = -2e-4

[[dark]]                    # a Dirac fermion outside the standard model
mass = 0.5                  # GeV
vector = 0.1
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import jax.numpy as jnp

from bknn import errors
from bknn.reading.user_files import read_toml
from bknn.vectors.couplings import (
    FERMIONS,
    NEUTRINOS,
    Couplings,
    DarkFermion,
    from_charges,
    spread,
)

_EXPECTED = "give a TOML file of couplings (docs/vectors.md)"
_KEYS = ("g", "charges", "vector", "axial", "dark")


def read_charges(path: str | Path) -> Couplings:
    """Return the couplings that a file has.

    Raises:
        DataError: no such file, no TOML, an entry that is no number, charges without g, neutrinos
            that are not left-handed.
        UnknownNameError: an unknown fermion or key.
    """
    path = Path(path)
    found = read_toml(path, _EXPECTED)
    _known(found, _KEYS, str(path))
    tables = {name: _table(found, name, path) for name in _KEYS[1:4]}
    if not any(tables.values()) and "dark" not in found:
        raise errors.DataError(f"{path} has no couplings; {_EXPECTED}.")
    if tables["charges"] and "g" not in found:
        raise errors.DataError(
            f"{path} has charges, but no gauge coupling; write it above them, as in g = 1e-3."
        )
    g = _number(found.get("g", 0.0), f"{path}: g")
    return (
        from_charges(_charges(tables["charges"], path), g)
        + _direct(tables["vector"], tables["axial"], path)
        + Couplings(jnp.zeros(12), jnp.zeros(12), _dark(found.get("dark", []), path))
    )


def _known(found: Mapping[str, Any], known: Iterable[str], where: str) -> None:
    for name in found:
        if name not in known:
            raise errors.unknown("key", name, known, where)


def _table(found: Mapping[str, Any], name: str, path: Path) -> dict[str, Any]:
    table = found.get(name, {})
    if not isinstance(table, dict):
        raise errors.DataError(f"{path}: {name} must be a table of fermions, as in [{name}].")
    return table


def _number(value: Any, where: str) -> float:
    good = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not good:
        raise errors.DataError(f"{where} is {value!r}; it must be a number.")
    return float(value)


def _charges(table: Mapping[str, Any], path: Path) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, charge in table.items():
        where = f"{path}, [charges]: {name}"
        if isinstance(charge, list) and len(charge) == 2:
            found[name] = [_number(x, where) for x in charge]
        elif isinstance(charge, list):
            raise errors.DataError(f"{where} is {charge!r}; give a number, or [left, right].")
        else:
            found[name] = _number(charge, where)
    return spread(found, f"{path}, [charges]")


def _direct(vector: Mapping[str, Any], axial: Mapping[str, Any], path: Path) -> Couplings:
    """Return the couplings that are given as g_V and g_A."""
    arrays = []
    for name, table in (("vector", vector), ("axial", axial)):
        numbers = {key: _number(x, f"{path}, [{name}]: {key}") for key, x in table.items()}
        of: dict[str, Any] = spread(numbers, f"{path}, [{name}]")
        arrays.append([of.get(fermion, 0.0) for fermion in FERMIONS])
    for fermion, one, other in zip(FERMIONS, *arrays, strict=True):
        if fermion in NEUTRINOS and one != other:
            raise errors.DataError(
                f"{path}: {fermion} has g_V = {one:g} and g_A = {other:g}, and neutrinos are "
                "left-handed; make them equal, or give a charge."
            )
    g_v, g_a = (jnp.asarray(array) for array in arrays)
    return Couplings(g_v, g_a)


def _dark(entries: Any, path: Path) -> tuple[DarkFermion, ...]:
    if not isinstance(entries, list) or not all(isinstance(x, dict) for x in entries):
        raise errors.DataError(f"{path}: write each dark fermion as a table of its own, [[dark]].")
    found = []
    for n, entry in enumerate(entries, start=1):
        where = f"{path}, [[dark]] number {n}"
        _known(entry, ("mass", "vector", "axial"), where)
        if "mass" not in entry or _number(entry["mass"], f"{where}: mass") < 0:
            raise errors.DataError(f"{where} has no mass, or a negative one; give it in GeV.")
        g_v, g_a, mass = (
            _number(entry.get(key, 0.0), f"{where}: {key}") for key in ("vector", "axial", "mass")
        )
        found.append(DarkFermion(g_v, g_a, mass))
    return tuple(found)
