"""The Python in README.md, CONTRIBUTING.md, docs/ and notebooks/ runs, from top to bottom.

A block that starts with three backquotes and `python` is run, one of another language is not.
Files that an example writes go to a temporary folder.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from itertools import islice
from pathlib import Path

import matplotlib
import pytest

pytestmark = pytest.mark.usefixtures("quick_compilation")

ROOT = Path(__file__).parents[3]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
#: What a block of the README prints stands right below it.
SHOWN = re.compile(r"\n\n```text\n(.*?)^```$", re.MULTILINE | re.DOTALL)
STEPS = re.compile(r"^converged in .*", re.MULTILINE)
PAGES = [
    page
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("docs/**/*.md"))]
    if page.is_file() and BLOCK.search(page.read_text(encoding="utf-8"))
]


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


#: What takes more than ten seconds.
LONG = [
    "README.md",
    "CONTRIBUTING.md",
    "docs/figures.md",
    "docs/inference.md",
    "docs/models.md",
    "docs/predictions.md",
    "docs/response.md",
    "docs/runs.md",
    "docs/simplified.md",
]


@pytest.mark.parametrize(
    "page",
    [pytest.param(p, marks=[pytest.mark.slow] * (name(p) in LONG), id=name(p)) for p in PAGES],
)
def test_page(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run(page)


def test_the_beginning_of_the_readme(tmp_path, monkeypatch, capsys):
    """The first fit, as the page shows it."""
    monkeypatch.chdir(tmp_path)
    run(ROOT / "README.md", blocks=1)
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    shown = SHOWN.match(text, BLOCK.search(text).end())
    assert capsys.readouterr().out == shown.group(1)


def run(page: Path, blocks: int | None = None) -> None:
    """All blocks of a page, or the first ones."""
    matplotlib.rcdefaults()  # peers in the same process change them
    text = page.read_text(encoding="utf-8")
    names: dict[str, object] = {"__name__": page.stem}
    for block in islice(BLOCK.finditer(text), blocks):
        # Empty lines in front, so that a traceback names the line of the page.
        padding = "\n" * text.count("\n", 0, block.start(1))
        exec(compile(padding + block.group(1), str(page), "exec", dont_inherit=True), names)


@pytest.mark.nightly
@pytest.mark.parametrize("page", PAGES, ids=name)
def test_page_in_a_fresh_interpreter(page, tmp_path):
    """As a reader runs it: nothing was imported or set before."""
    script = tmp_path / "page.py"
    script.write_text("\n".join(BLOCK.findall(page.read_text(encoding="utf-8"))), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-P", script.name], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.slow
@pytest.mark.parametrize("path", sorted(ROOT.glob("notebooks/*.ipynb")), ids=lambda p: p.name)
def test_notebook(path, tmp_path, monkeypatch):
    """Every cell runs, and the stored outputs are there (the notebook was executed)."""
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": path.stem}
    for i, cell in enumerate(json.loads(path.read_text(encoding="utf-8"))["cells"]):
        if cell["cell_type"] != "code":
            continue
        assert cell["execution_count"], f"cell {i} was not executed before it was stored"
        lines = "".join(cell["source"]).splitlines()
        # Magics are for Jupyter alone.
        code = "\n".join("" if line.startswith("%") else line for line in lines)
        exec(compile(code, f"{path.name}, cell {i}", "exec"), names)
