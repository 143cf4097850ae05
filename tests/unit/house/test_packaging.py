"""What is in the repository is in the wheel, byte by byte, and nothing more."""

from __future__ import annotations

import email
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import bknn

ROOT = Path(__file__).parents[3]
FOLDERS = {"bknn": "bknn", "models": "bknn/models", "inference": "bknn/inference"}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
VERSION = PROJECT["version"]
INFO = f"bknn-{VERSION}.dist-info"


def run(*command: object, cwd: Path, **environment: str) -> str:
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{command} failed\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built without the network from a copy, so that the tree stays clean."""
    copy = tmp_path_factory.mktemp("tree")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy / name)
    for folder in FOLDERS:
        ignore = shutil.ignore_patterns("__pycache__", ".*", "*~")
        shutil.copytree(ROOT / folder, copy / folder, ignore=ignore)
    out = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", out, cwd=copy)
    (built,) = out.iterdir()
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("installed")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def tree() -> dict[str, Path]:
    """Every file of the three folders under the name that it must have in the wheel."""
    return {
        f"{target}/{file.relative_to(ROOT / folder).as_posix()}": file
        for folder, target in FOLDERS.items()
        for file in (ROOT / folder).rglob("*")
        if file.is_file() and not hidden(file.relative_to(ROOT / folder))
    }


def hidden(path: Path) -> bool:
    return path.name.endswith("~") or any(
        p.startswith(".") or p == "__pycache__" for p in path.parts
    )


def test_the_wheel_is_pure_python(wheel):
    assert wheel.name == f"bknn-{VERSION}-py3-none-any.whl"


def test_the_wheel_holds_the_tree_and_nothing_more(installed):
    ours = tree()
    shipped = {
        file.relative_to(installed).as_posix() for file in installed.rglob("*") if file.is_file()
    }
    metadata = {name for name in shipped if name.startswith(f"{INFO}/")}
    assert shipped - metadata - set(ours) == set(), "in the wheel, but not in the tree"
    assert set(ours) - shipped == set(), (
        "in the tree, but not in the wheel: list the sub-package under tool.setuptools.packages "
        "or the data under tool.setuptools.package-data in pyproject.toml"
    )
    different = [n for n, file in ours.items() if (installed / n).read_bytes() != file.read_bytes()]
    assert not different
    assert {"bknn/__init__.py", "bknn/py.typed"} <= shipped
    assert {"bknn/models/__init__.py", "bknn/inference/__init__.py"} <= shipped


def test_metadata(installed):
    metadata = email.message_from_string((installed / INFO / "METADATA").read_text("utf-8"))
    assert metadata["Name"] == "bknn"
    assert metadata["Version"] == VERSION
    assert metadata["License-Expression"] == "MIT"
    assert metadata["Requires-Python"] == ">=3.11"
    assert set(metadata.get_all("Provides-Extra")) == {
        "test",
        "peers",
        "wilson",
        "distributed",
        "nested",
        "cuda12",
        "cuda13",
        "docs",
    }
    entry_points = (installed / INFO / "entry_points.txt").read_text("utf-8")
    assert "bknn = bknn.cli:main" in entry_points
    assert (installed / INFO / "licenses" / "LICENSE").is_file()


def test_every_module_of_the_wheel_imports(installed):
    """From the wheel alone, far from the repository: no module leans on a file left behind."""
    modules = sorted(
        name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        for name in tree()
        if name.endswith(".py")
    )
    code = (
        "import importlib, json, sys\n"
        "for name in json.loads(sys.argv[1]):\n"
        "    print(importlib.import_module(name).__file__)\n"
    )
    listed = "[" + ", ".join(f'"{name}"' for name in modules) + "]"
    files = run(sys.executable, "-c", code, listed, cwd=installed.parent, PYTHONPATH=str(installed))
    assert files.split("\n")[:-1] == [str(installed / file_of(name)) for name in modules]


def file_of(module: str) -> str:
    path = module.replace(".", "/")
    return f"{path}.py" if f"{path}.py" in tree() else f"{path}/__init__.py"


def test_one_version():
    assert bknn.__version__ == VERSION
    citation = (ROOT / "CITATION.cff").read_text("utf-8")
    assert re.search(rf"^version: {re.escape(VERSION)}$", citation, re.MULTILINE)
    changelog = (ROOT / "CHANGELOG.md").read_text("utf-8")
    assert re.search(rf"^## {re.escape(VERSION)}\b", changelog, re.MULTILINE)


def test_constraints_pin_every_requirement():
    """Exactly one version each, for the oldest Python and for the newer ones."""
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    pins = [Requirement(line) for line in lines if line.strip() and not line.startswith("#")]
    loose = [str(pin) for pin in pins if not re.fullmatch(r"==[^,*]+", str(pin.specifier))]
    assert not loose, "not pinned to one version"

    # The CUDA extras follow jax.
    extras = ("test", "peers", "wilson", "distributed", "nested", "docs")
    optional = PROJECT["optional-dependencies"]
    wanted = [*PROJECT["dependencies"], *(line for extra in extras for line in optional[extra])]
    for python in ("3.11", "3.12", "3.13"):
        valid = [
            pin
            for pin in pins
            if pin.marker is None or pin.marker.evaluate({"python_version": python})
        ]
        versions = {canonicalize_name(pin.name): str(pin.specifier)[2:] for pin in valid}
        assert len(versions) == len(valid), f"a package is pinned twice for Python {python}"
        for requirement in map(Requirement, wanted):
            version = versions.get(canonicalize_name(requirement.name))
            assert version is not None, f"{requirement} has no pin for Python {python}"
            assert requirement.specifier.contains(version), (requirement, version, python)
