"""Spectra that users write: what is wrong with one is said in a sentence, when it is made."""

from __future__ import annotations

import math
from typing import ClassVar

import jax.numpy as jnp
import numpy as np
import pytest

import bknn
from bknn import errors, models
from bknn.kinematics import safe_sqrt
from bknn.spectrum import Spectrum

pytestmark = pytest.mark.usefixtures("quick_compilation")

K, KSTAR0 = "B+ -> K+", "B0 -> K*0"


def branch(q2, m, a):
    if m > 1:
        return a * q2
    return a * jnp.ones_like(q2)


#: {name: function of q2, a mass and a rate that is wrong, and words of the sentence}
WRONG = {
    "a square root below a threshold": (
        lambda q2, m, a: a * jnp.sqrt(1 - 4 * m**2 / q2),
        ("is not a number at q2 = 0.1139 GeV^2 and 16 others", "m = 0.7", "safe_sqrt"),
    ),
    "its derivative": (
        lambda q2, m, a: a * jnp.where(q2 > 4 * m**2, jnp.sqrt(1 - 4 * m**2 / q2), 0.0),
        ("derivative with respect to 'm'", "q2 = 0.1139 GeV^2", "safe_sqrt"),
    ),
    "a pole at a bound": (
        lambda q2, m, a: a * q2 / m,
        ("is infinite at q2", "m = 0,", "narrow the bounds"),
    ),
    "complex": (lambda q2, m, a: a * (q2 + 1j), ("complex numbers", "jnp.abs(amplitude)**2")),
    "scalar": (lambda q2, m, a: a * m, ("single number", "jnp.ones_like(q2)")),
    "shape": (lambda q2, m, a: a * q2[None, :], ("(1, 200)", "(200,)", "one number for each")),
    "nothing": (lambda q2, m, a: None, ("NoneType", "an array of the shape of q2")),
    "branch": (branch, ("Python branch", "jnp.where(condition, a, b)", "`if m > 1:`")),
    "mask": (lambda q2, m, a: a * q2[q2 > m], ("by a condition", "jnp.where(condition, a, b)")),
    "math of a parameter": (
        lambda q2, m, a: a * math.sqrt(m) * q2,
        ("Python numbers", "math.sqrt", "jnp.sqrt"),
    ),
    "math of q2": (lambda q2, m, a: a * math.sqrt(q2), ("math.sqrt", "jnp.sqrt")),
    "numpy": (lambda q2, m, a: a * np.sqrt(q2), ("numpy", "jnp.sqrt in place of np.sqrt")),
    "numpy.where": (lambda q2, m, a: np.where(q2 > m, a, 0.0), ("numpy", "jax.numpy")),
    "its own error": (lambda q2, m, a: {}["coupling"] * q2, ("raises KeyError: 'coupling'",)),
}


def made(fn):
    """By `from_spectrum`, and by the protocol."""

    class Own:
        name = "mine"
        description = "a function of one's own"
        parameters = (bknn.Parameter("m", 0.7, (0.0, 2.0)), bknn.Parameter("a", 1e-6))
        null: ClassVar = {"a": 0.0}

        def spectrum(self, params, channel):
            return Spectrum(1.0, lambda q2: fn(q2, **params))

    return Own()


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_with_a_spectrum(case):
    fn, words = WRONG[case]
    result = bknn.data.Result("BR", 1e-5, 1e-6, 1e-6, {K: 1.0})
    measured = bknn.data.Measurement("one", "one number", {}, results=(result,))
    for make in (
        lambda: models.from_spectrum(fn, {"m": (0.7, 0.0, 2.0), "a": 1e-6}, name="mine"),
        lambda: bknn.predict(made(fn)),
        lambda: bknn.Analysis(made(fn), measured),
    ):
        with pytest.raises(errors.ParameterError) as caught:
            make()
        message = str(caught.value)
        assert message.startswith("model 'mine': its dB/dq2 of 'B+ -> K+'"), message
        assert "q2" in message
        assert message.endswith(".")
        assert not [w for w in words if w not in message], message


def test_what_is_right():
    def pair(q2, m, a):
        return a * safe_sqrt(1 - 4 * m**2 / q2)

    assert models.from_spectrum(pair, {"m": (0.7, 0.0, 2.0), "a": 1e-6}).name == "pair"
