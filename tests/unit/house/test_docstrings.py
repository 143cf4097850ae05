"""Every example in a docstring of the package runs and prints what it says.

Examples are read from the source: pytest's own collection would import models/ and inference/
under names that are not theirs, and does not see the methods of equinox modules.
"""

from __future__ import annotations

import ast
import doctest
import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest

import bknn
import bknn.inference
import bknn.models

pytestmark = pytest.mark.usefixtures("quick_compilation")

#: What takes more than some five seconds, most of it to compile.
LONG = (
    "bknn.derived.simplified:SimplifiedLikelihood",
    "bknn.inference.datasets:asimov",
    "bknn.inference.fits.fit:LogDensity",
    "bknn.inference.limits.feldman_cousins:feldman_cousins",
    "bknn.inference.limits.limit:limit",
    "bknn.inference.limits.two_sided:two_sided",
    "bknn.inference.posteriors.marginal:marginal",
    "bknn.inference.profiles.contours:contours",
    "bknn.inference.profiles.intervals:intervals",
    "bknn.inference.profiles.profile:profile",
    "bknn.inference.toys.coverage:coverage",
    "bknn.inference.toys.goodness:goodness_of_fit",
    "bknn.inference.toys.significance:significance",
    "bknn.inference.toys.toys:toys",
    "bknn.inference.toys.truth:truth",
    "bknn.plot.likelihoods.profile:profile",
    "bknn.plot.observables.prediction:prediction",
    "bknn.postfit.postfit:postfit",
    "bknn.studies.observables.predictions:predictions",
)

OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def examples() -> Iterator[pytest.param]:
    for package in (bknn, bknn.inference, bknn.models):
        root = Path(package.__file__).parent
        for file in sorted(root.rglob("*.py")):
            parts = file.relative_to(root).with_suffix("").parts
            module = ".".join([package.__name__, *(p for p in parts if p != "__init__")])
            for name, docstring, line in docstrings(file):
                if ">>>" in docstring:
                    label = f"{module}:{name}"
                    marks = [pytest.mark.slow] * (label in LONG)
                    yield pytest.param(module, label, docstring, file, line, id=label, marks=marks)


def docstrings(file: Path) -> Iterator[tuple[str, str, int]]:
    """Yield name, text and line of the module's docstring and of all below."""

    def visit(node: ast.AST, name: str) -> Iterator[tuple[str, str, int]]:
        text = ast.get_docstring(node, clean=False)
        if text is not None:
            yield name or "module", text, node.body[0].lineno - 1
        for child in node.body:
            if isinstance(child, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
                yield from visit(child, f"{name}.{child.name}".lstrip("."))

    yield from visit(ast.parse(file.read_text(encoding="utf-8")), "")


@pytest.mark.parametrize(("module", "label", "docstring", "file", "line"), list(examples()))
def test_example(module, label, docstring, file, line, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = dict(vars(importlib.import_module(module)))
    test = doctest.DocTestParser().get_doctest(docstring, names, label, str(file), line)
    output: list[str] = []
    doctest.DocTestRunner(optionflags=OPTIONS).run(test, out=output.append)
    assert not output, "".join(output)
