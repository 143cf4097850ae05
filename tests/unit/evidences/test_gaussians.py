"""Evidences of normal likelihoods with normal priors, which have a closed form in any dimension."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.stats import multivariate_normal

import bknn
from bknn import inference

pytestmark = pytest.mark.usefixtures("quick_compilation")


class Numbers:
    """Parameters x_0, x_1, ..., and nothing that decays."""

    name = "numbers"
    description = "its parameters are what was measured"

    def __init__(self, n: int) -> None:
        names = [f"x_{i}" for i in range(n)]
        self.parameters = tuple(bknn.Parameter(x, 0.1, (-30.0, 30.0)) for x in names)
        self.null = dict.fromkeys(names, 0.0)
        self.derived_quantities = tuple(bknn.DerivedQuantity(f"y_{i}") for i in range(n))

    def derived(self, params: Any) -> dict[str, Any]:
        return {f"y_{i}": params[f"x_{i}"] for i in range(len(self.parameters))}

    def spectrum(self, params: Any, channel: str) -> bknn.Spectrum:
        raise ValueError("nothing decays")


def problem(n: int, folder: Any) -> tuple[bknn.Analysis, float]:
    """Correlated measurements of n numbers with priors of unit width, and the log evidence."""
    random = np.random.default_rng(n)
    root = random.normal(size=(n, n)) / np.sqrt(n)
    covariance = root @ root.T + 0.2 * np.eye(n)
    width = np.sqrt(np.diag(covariance))
    value = random.normal(size=n)
    correlation = (covariance / np.outer(width, width)).tolist()
    results = [
        f'[[results]]\nname = "r{i}"\nquantity = "y_{i}"\nvalue = {value[i]}\n'
        f"uncertainty = {width[i]}\n"
        for i in range(n)
    ]
    path = folder / "numbers.toml"
    path.write_text(f"correlation = {correlation}\n" + "".join(results), encoding="utf-8")
    priors = {f"x_{i}": "normal(0, 1)" for i in range(n)}
    analysis = bknn.Analysis(Numbers(n), bknn.data.load(path), priors=priors)
    # The likelihood is normal up to a constant, which it has at what was measured.
    peak = float(analysis.log_likelihood(analysis.at({f"x_{i}": value[i] for i in range(n)})))
    constant = peak - multivariate_normal.logpdf(value, value, covariance)
    return analysis, constant + multivariate_normal.logpdf(
        value, np.zeros(n), covariance + np.eye(n)
    )


@pytest.mark.slow
@pytest.mark.parametrize("n", [2, 10, pytest.param(50, marks=pytest.mark.nightly)])
def test_both_methods_find_the_closed_form(n, tmp_path):
    analysis, expected = problem(n, tmp_path)
    found = inference.evidence(analysis, draws=500, seed=n)
    assert {e.method for e in found.estimates} == {"tempering", "bridge"}
    for estimate in found.estimates:
        assert 0 < estimate.error < 0.3
        assert estimate.value == pytest.approx(expected, abs=4 * estimate.error)
