"""The stored numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np


def table(name):
    """Rows of numbers/NAME.csv as a record array, fields by the names of its header."""
    path = Path(__file__).parent / "numbers" / f"{name}.csv"
    lines = [x for x in path.read_text().splitlines() if not x.startswith("#")]
    return np.genfromtxt(lines, delimiter=",", names=True, dtype=None, encoding="utf-8")


def close(found, expected, rel):
    """Whether numbers agree, however small they are (pytest.approx takes 1e-12 for nothing)."""
    found, expected = np.asarray(found), np.asarray(expected)
    return bool(np.all(np.abs(found - expected) <= rel * np.abs(expected)))
