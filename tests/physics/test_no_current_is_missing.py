"""Whether the models have every invisible current of the lowest dimension, by brute force.

All currents of a final state are made by machine: the wave functions of both particles (and, of
fermions, the 16 Dirac matrices between them), with a derivative or without, and every way to
contract their Lorentz indices with the metric and the Levi-Civita tensor until none, one, or two
antisymmetric ones are left. How many of them are independent is the rank of their matrix elements
at several q2, in many directions and all spins. The currents of a model must span the same space,
and be independent themselves. The table is in docs/decays.md.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from types import ModuleType
from typing import NamedTuple

import numpy as np
import pytest

from bknn.decay.invisible import fermion_pair, gravitino_pair, scalar_pair, vector_pair

from . import brute_force as bf

MASS = 0.6
ENERGIES = (2.1, 5.3, 13.7)  # q2, GeV^2
SIGNS = np.diag(bf.METRIC)

#: Fields of both particles, uncontracted: (directions, spins, spins, Lorentz indices).
Fields = Callable[[np.ndarray, np.ndarray], list[np.ndarray]]


def scalar_fields(p1: np.ndarray, p2: np.ndarray) -> list[np.ndarray]:
    return [np.ones((len(p1), 1, 1), complex)]


def vector_fields(p1: np.ndarray, p2: np.ndarray) -> list[np.ndarray]:
    e1, e2 = (bf.polarisations(p, MASS).conj() for p in (p1, p2))
    return [np.einsum("nim,njr->nijmr", e1, e2)]


def fermion_fields(p1: np.ndarray, p2: np.ndarray) -> list[np.ndarray]:
    return list(bf.fermion_pair(p1, p2, MASS, MASS).values())


def gravitino_fields(p1: np.ndarray, p2: np.ndarray) -> list[np.ndarray]:
    left = bf.bar(bf.vector_spinors(p1, MASS))
    right = bf.conjugate(bf.vector_spinors(p2, MASS))
    found = []
    for matrix in bf.STRUCTURES.values():
        flat = matrix.reshape(-1, 4, 4)
        value = np.einsum("nirx,Gxy,njsy->nijrsG", left, flat, right, optimize=True)
        found.append(value.reshape(*value.shape[:-1], *matrix.shape[:-2]))
    return found


def pairings(left: Sequence[str]) -> Iterator[list[tuple[str, str]]]:
    if not left:
        yield []
    for i in range(1, len(left)):
        for more in pairings([*left[1:i], *left[i + 1 :]]):
            yield [(left[0], left[i]), *more]


def contractions(tensor: np.ndarray, rank: int) -> Iterator[np.ndarray]:
    """Every way to leave `rank` of the upper indices, antisymmetric if two."""
    letters = "abcdefgh"[: tensor.ndim - 3]
    for of_epsilon in (None, *range(rank + 1)):  # how many free ones the Levi-Civita tensor has
        free, meets = ("", 0) if of_epsilon is None else ("wxyz"[:of_epsilon], 4 - of_epsilon)
        for out in itertools.combinations(letters, rank - len(free)):
            rest = [x for x in letters if x not in out]
            for met in itertools.combinations(rest, meets):
                for pairs in pairings([x for x in rest if x not in met]):
                    same = {second: first for first, second in pairs}
                    parts = ["..." + "".join(same.get(x, x) for x in letters)]
                    lowered = [*same.values(), *met]
                    operands = [tensor, *[SIGNS] * len(lowered)]
                    if of_epsilon is not None:
                        operands.append(bf.EPSILON)
                    parts += lowered + ([] if of_epsilon is None else [free + "".join(met)])
                    value = np.einsum(f"{','.join(parts)}->...{free}{''.join(out)}", *operands)
                    yield value - np.swapaxes(value, -1, -2) if rank == 2 else value


def matrix_elements(make: Callable[..., list[np.ndarray]], twins: int = 0) -> np.ndarray:
    """Currents in rows, what they are at all q2, in all directions, of all spins in columns."""
    blocks = []
    for q2 in ENERGIES:
        p1, p2, _ = bf.directions(q2, MASS, MASS, polar=2, azimuthal=3)
        found = make(p1, p2)
        if twins:
            turned = make(p2, p1)
            found = [a + twins * np.swapaxes(b, 1, 2) for a, b in zip(found, turned, strict=True)]
        blocks.append([x.ravel() for x in found])
    return np.array([np.concatenate(row) for row in zip(*blocks, strict=True)])


def rank_of(rows: np.ndarray) -> int:
    if not rows.size:
        return 0
    size = np.linalg.norm(rows, axis=1)
    kept = size > 1e-9 * max(1.0, size.max())
    return int(np.linalg.matrix_rank(rows[kept] / size[kept, None], tol=1e-8)) if any(kept) else 0


def every(fields: Fields, rank: int, derivatives: int) -> Callable[..., list[np.ndarray]]:
    """All currents; derivatives act on the pair, or on one minus the other."""

    def make(p1: np.ndarray, p2: np.ndarray) -> list[np.ndarray]:
        tensors = fields(p1, p2)
        for _ in range(derivatives):
            tensors = [
                np.einsum("nij...,nm->nij...m", t, p) for t in tensors for p in (p1 + p2, p1 - p2)
            ]
        return [c for t in tensors for c in contractions(t, rank)]

    return make


def named(*keys: str, duals: bool = False) -> Callable[..., Callable[..., list[np.ndarray]]]:
    """The currents of a model; the dual of a tensor is what sigma g5 instead of sigma meets."""

    def of(pair: bf.Pair) -> Callable[..., list[np.ndarray]]:
        def make(p1: np.ndarray, p2: np.ndarray) -> list[np.ndarray]:
            current = pair(p1, p2, MASS, MASS)
            found = [current[key] for key in keys]
            return found + [bf.lower(bf.dual(bf.lower(x, 2)), 2) for x in found] if duals else found

        return make

    return of


class Final(NamedTuple):
    """A final state: its fields, the currents of its model, the statistics, spin, densities.

    The currents that are listed are by rank, with the number of derivatives that they have.
    """

    fields: Fields
    pair: bf.Pair
    statistics: int
    lists: dict[tuple[int, int], tuple[str, ...]]
    spin: float
    module: ModuleType


FINAL = {
    "scalars": Final(
        scalar_fields, bf.scalar_pair, 1, {(0, 0): ("S",), (1, 1): ("V",)}, 0, scalar_pair
    ),
    "fermions": Final(
        fermion_fields,
        bf.fermion_pair,
        -1,
        {(0, 0): ("S", "P"), (1, 0): ("V", "A"), (2, 0): ("T",)},
        0.5,
        fermion_pair,
    ),
    "vectors": Final(
        vector_fields,
        bf.vector_pair,
        1,
        {
            (0, 0): ("S",),
            (0, 2): ("S", "F", "D"),
            (1, 1): ("V", "M", "E", "A", "B"),
            (2, 0): ("T",),
        },
        1,
        vector_pair,
    ),
    "gravitinos": Final(
        gravitino_fields,
        bf.gravitino_pair,
        -1,
        {(0, 0): ("S", "P"), (1, 0): ("V", "A"), (2, 0): ("T", "U")},
        1.5,
        gravitino_pair,
    ),
}
CASES = [(name, *key) for name, final in FINAL.items() for key in final.lists]


@pytest.mark.parametrize("twins", [False, True], ids=["distinct", "identical"])
@pytest.mark.parametrize(("name", "rank", "derivatives"), CASES)
def test_the_currents_of_a_model_are_all_there_are(
    name: str, rank: int, derivatives: int, twins: bool
) -> None:
    """Total derivatives of scalar currents are left out: by parts they are scalar currents."""
    final = FINAL[name]
    statistics = final.statistics if twins else 0
    rows = matrix_elements(every(final.fields, rank, derivatives), statistics)
    keys = final.lists[rank, derivatives]
    if twins:
        kept = getattr(final.module, "SELF_CONJUGATE", ("S", "P", "A"))
        keys = tuple(k for k in keys if k in kept)
    trivial = {(0, 2): total_second, (1, 1): total_first}.get((rank, derivatives))
    own = matrix_elements(named(*keys, duals=rank == 2)(final.pair), statistics)
    if trivial is not None:
        more = matrix_elements(trivial(final.pair), statistics)
        own = np.concatenate([own, more]) if own.size else more
    expected = len(keys) * (2 if rank == 2 else 1) + (trivial is not None)
    assert rank_of(own) == expected, "the currents of the model are not independent"
    assert rank_of(rows) == expected, "the model does not have all currents"
    if expected:
        assert rank_of(np.concatenate([rows, own])) == expected


def total_first(pair: bf.Pair) -> Callable[..., list[np.ndarray]]:
    """d^m S."""
    return lambda p1, p2: [
        np.einsum("nij,nm->nijm", pair(p1, p2, MASS, MASS)["S"], p1 + p2).astype(complex)
    ]


def total_second(pair: bf.Pair) -> Callable[..., list[np.ndarray]]:
    """d_m d^m S."""
    return lambda p1, p2: [pair(p1, p2, MASS, MASS)["S"] * bf.dot(p1 + p2, p1 + p2)[:, None, None]]


def states(spin: float) -> dict[str, int]:
    """How many amplitudes a pair, particle and antiparticle, has for each J^PC, J = 0 and 1.

    P = (-1)^(L + 2 spin), C = (-1)^(L + S).
    """
    found: dict[str, int] = {}
    for total in range(int(2 * spin) + 1):
        for j in (0, 1):
            for orbital in range(abs(total - j), total + j + 1):
                p = (-1) ** (orbital + int(2 * spin))
                c = (-1) ** (orbital + total)
                name = f"{j}{'+' if p > 0 else '-'}{'+' if c > 0 else '-'}"
                found[name] = found.get(name, 0) + 1
    return found


#: J^PC of each current, time components first; E and B are the parts of a tensor.
QUANTUM_NUMBERS = {
    "scalars": {"S": "0++", "V": "1--"},
    "fermions": {
        **{"S": "0++", "P": "0-+", "V": "1--", "A": "0-+ 1++", "T.E": "1--", "T.B": "1+-"},
    },
    "vectors": {
        **{"S": "0++", "F": "0++", "D": "0-+", "V": "1--", "M": "1--", "E": "0++ 1-+"},
        **{"A": "0-+ 1++", "B": "1+-", "T.E": "1--", "T.B": "1+-"},
    },
    "gravitinos": {
        **{"S": "0++", "P": "0-+", "V": "1--", "A": "0-+ 1++"},
        **{"T.E": "1--", "T.B": "1+-", "U.E": "1--", "U.B": "1+-"},
    },
}
#: Amplitudes and how many of them the currents reach, as in docs/decays.md.
COUNT = {
    "scalars": "0++ 1/1, 1-- 1/1",
    "fermions": "0++ 1/1, 0-+ 1/1, 1-- 2/2, 1++ 1/1, 1+- 1/1",
    "vectors": "0++ 2/2, 0-+ 1/1, 1-- 2/3, 1-+ 1/1, 1++ 1/1, 1+- 1/2",
    "gravitinos": "0++ 1/2, 0-+ 1/2, 1-- 3/4, 1-+ 0/1, 1++ 1/2, 1+- 2/3",
}


@pytest.mark.parametrize("name", FINAL)
def test_count_of_helicity_amplitudes(name: str) -> None:
    """The rank of the spectral densities of one J^PC is how many of its amplitudes are reached."""
    final = FINAL[name]
    there = states(final.spin)
    densities = final.module.densities(ENERGIES[-1], MASS)
    reached = dict.fromkeys(there, 0)
    for j, table in enumerate(densities):
        for jpc in (x for x in there if x[0] == str(j)):
            keys = [k for k, numbers in QUANTUM_NUMBERS[name].items() if jpc in numbers.split()]
            matrix = np.array(
                [[float(table.get((a, b), table.get((b, a), 0.0))) for b in keys] for a in keys]
            ).reshape(len(keys), len(keys))
            size = np.sqrt(np.diag(matrix))
            assert np.all(size > 0)
            reached[jpc] = rank_of(matrix / np.outer(size, size)) if keys else 0
        listed = set(QUANTUM_NUMBERS[name])
        assert {k for pair in table for k in pair} <= listed
    order = ("0++", "0-+", "1--", "1-+", "1++", "1+-")
    found = [f"{x} {reached[x]}/{there[x]}" for x in order if x in there]
    assert ", ".join(found) == COUNT[name]
