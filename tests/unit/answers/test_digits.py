"""Digits of numbers: the rule of the Review of Particle Physics (Introduction, rounding)."""

from __future__ import annotations

import pytest

from bknn.answers.digits import asymmetric, in_digits, with_error
from bknn.inference.estimate import Estimate, Fraction


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (0.119, "0.83 +- 0.12"),  # the examples of the Review
        (0.367, "0.8 +- 0.4"),
        (0.0354, "0.827 +- 0.035"),
        (0.0355, "0.83 +- 0.04"),
        (0.0949, "0.83 +- 0.09"),
        (0.0951, "0.83 +- 0.10"),
        (0.000996, "0.8270 +- 0.0010"),
        (0.0, "0.827"),
        (1e-16, "0.827"),
        (float("inf"), "0.827 (undetermined)"),
    ],
)
def test_an_uncertainty_decides(error, text):
    assert with_error(0.827, error) == text


@pytest.mark.parametrize(
    ("value", "error", "both"),
    [
        (-8.5787e-06, 2.5622e-06, ("-8.6e-06", "2.6e-06")),
        (1e-9, 0.1, ("0.00", "0.10")),
        (-1e-9, 0.1, ("0.00", "0.10")),
        (123456.0, 3210.0, ("1.235e+05", "0.032e+05")),
        (float("nan"), 1.0, ("nan", "")),
    ],
)
def test_columns(value, error, both):
    assert in_digits(value, error) == both


def test_everything_follows():
    assert asymmetric(4.6, 3.2, float("inf")) == "4.6 -1.4 +inf"
    assert asymmetric(0.0, 0.0, 0.0) == "0 -0 +0"
    assert str(Fraction(79, 100)) == "0.79 +- 0.04"
    assert str(Estimate(-128.229, 0.0043, "laplace")) == "-128.229 +- 0.004 (laplace)"
    assert str(Estimate(-128.229, float("nan"), "laplace")) == "-128.229 (laplace)"
