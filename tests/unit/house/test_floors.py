"""The house: imports go down the floors, rooms on one floor do not know each other, no circles.

A room is a folder or a single file; it stands on the floor whose list names it or the nearest
folder around it. Imports for types alone and those inside functions count as well.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]

#: From the ground up. Rooms of the ground floor are small and may use each other, without circles.
FLOORS = (
    "version errors faces tables kinematics channels inputs precision programs reading priors "
    "parameters spectrum probe storage data answers inference.chi_squared",
    "form_factors decay likelihood relic response vectors",
    "standard_model",
    "prediction derived",
    "analysis",
    "models inference.estimate inference.pieces inference.sharing inference.slopes",
    "inference.datasets inference.few_events",
    "inference.minimiser",
    "inference.fits",
    "inference.impacts inference.profiles inference.limits inference.toys inference.samplers",
    "inference.posteriors",
    "inference.evidences",
    "inference",
    "studies.observables",
    "studies postfit",
    "plot.drawing",
    "plot.fits",
    "plot.likelihoods plot.posteriors plot.observables",
    "plot",
    "questions.shared",
    "questions",
    "run",
    "commands",
    "cli",
)
FLOOR = {f"bknn.{room}": n for n, floor in enumerate(FLOORS) for room in floor.split()}
FLOOR["bknn"] = len(FLOORS)  # the face of the house

#: Folders with more files than a reader takes in at once.
#: `bknn/questions` has one file a question.
CROWDED = {"bknn": 14, "bknn/questions": 16}


def modules() -> dict[str, Path]:
    found = {}
    for top, prefix in (("bknn", ""), ("models", "bknn."), ("inference", "bknn.")):
        for path in (ROOT / top).rglob("*.py"):
            dotted = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            found[prefix + dotted.removesuffix(".__init__")] = path
    return found


MODULES = modules()


def imported(path: Path) -> Iterator[str]:
    """Yield the modules of bknn that a file imports, wherever in the file it does."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            inside = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [name if name in MODULES else str(node.module) for name in inside]
        else:
            continue
        yield from (name for name in names if name in MODULES)


@cache
def imports() -> dict[str, list[str]]:
    """Return what each module imports; read by the tests, not while they are collected."""
    return {name: sorted(set(imported(path)) - {name}) for name, path in MODULES.items()}


def room(module: str) -> str:
    """Return the room that a module is in, the innermost one that has a floor.

    >>> room("bknn.inference.minimiser.newton")
    'bknn.inference.fits'
    """
    while module and module not in FLOOR:
        module = module.rpartition(".")[0]
    return module or "bknn"


def forbidden(arrows: Mapping[str, list[str]]) -> list[str]:
    """Return the imports that go up, or to a room beside."""
    found = []
    for module, targets in arrows.items():
        here = room(module)
        for target in targets:
            there = room(target)
            beside = FLOOR[here] == FLOOR[there] and here != there and FLOOR[here] > 0
            if FLOOR[there] > FLOOR[here] or beside:
                found.append(f"{module} (floor {FLOOR[here]}) -> {target} (floor {FLOOR[there]})")
    return found


def circle(arrows: Mapping[str, list[str]]) -> list[str]:
    """Return a circle of modules, empty if there is none."""
    try:
        TopologicalSorter(arrows).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_every_module_stands_on_a_floor():
    lost = [name for name in MODULES if name != "bknn" and room(name) == "bknn"]
    assert not lost, f"{lost}: give them a floor in FLOORS"
    empty = [r for r in FLOOR if r not in MODULES]
    assert not empty, f"{empty} have a floor and do not exist"


def test_imports_go_down():
    found = forbidden(imports())
    assert not found, "\n".join(found)


def test_no_circles():
    assert circle(imports()) == []


def test_only_the_ground_is_imported_from_the_face():
    """`from bknn import X` reaches for a room, never for what bknn/__init__.py puts on show."""
    found = [name for name, targets in imports().items() if "bknn" in targets]
    assert not found, f"{found} import from bknn/__init__.py, which imports them"


@pytest.mark.parametrize(
    "extra",
    [
        {"bknn.inference.minimiser.newton": ["bknn.inference.limits.limit"]},
        {"bknn.inference.limits.limit": ["bknn.inference.profiles.profile"]},
        {"bknn.data.store": ["bknn.analysis.analysis"]},
        {"bknn.models.theory": ["bknn.inference.datasets"]},
    ],
)
def test_what_is_forbidden_is_seen(extra):
    assert forbidden(extra)


def test_a_circle_is_seen():
    assert circle({"a": ["b"], "b": ["c"], "c": ["a"]})
    assert not circle({"a": ["b", "c"], "b": ["c"]})


def test_long_files_say_why():
    long = []
    for name, path in MODULES.items():
        text = path.read_text(encoding="utf-8")
        why = ast.get_docstring(ast.parse(text)) or ""
        if text.count("\n") > 450 and "longer than 450 lines" not in why:
            long.append(name)
    assert not long, f"{long} are longer than 450 lines: split them, or say why in their docstrings"


def test_no_folder_is_crowded():
    folders: dict[Path, int] = {}
    for path in MODULES.values():
        if path.name != "__init__.py":
            folders[path.parent] = folders.get(path.parent, 0) + 1
    names = {folder.relative_to(ROOT).as_posix(): n for folder, n in folders.items()}
    crowded = {name: n for name, n in names.items() if n > CROWDED.get(name, 13)}
    assert not crowded, f"{crowded}: split these folders into rooms"
