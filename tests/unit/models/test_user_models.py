"""Spectra that users write: what is wrong with one is said in a sentence, when it is made."""

from __future__ import annotations

import math
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import bknn
from bknn import errors, models
from bknn.kinematics import safe_sqrt
from bknn.spectrum import Continuum, Line, Spectrum

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


# ---------------------------------------------------------------- the protocol


class Two:
    """A particle from B+ -> K+ and B0 -> K*0, all of it longitudinal, beside neutrinos."""

    name = "two"
    description = "a line and a flat continuum in two decays"
    parameters = (
        bknn.Parameter("mass", 2.0, (0.0, 4.0)),
        bknn.Parameter("rate", 4e-6, (0.0, 1e-3)),
    )
    null: ClassVar = {"rate": 0.0}
    standard = 5e-6

    def spectrum(self, params, channel):
        end = {K: 22.0, KSTAR0: 19.0}[channel]
        flat = self.standard / end
        return Spectrum(
            continuum=Continuum(lambda q2: jnp.where(q2 < end, flat, 0.0)),
            lines=(Line(params["mass"], params["rate"]),),
        )

    def kinks(self, channel):
        return ({K: 22.0, KSTAR0: 19.0}[channel],)


class Polarised(Two):
    name = "polarised"

    def spectrum(self, params, channel, *, longitudinal=False, part="all"):
        found = super().spectrum(params, channel)
        if part == "new":
            return Spectrum(lines=found.lines)
        if longitudinal:
            half = found.continua[0].density
            return Spectrum(continuum=lambda q2: 0.5 * half(q2), lines=found.lines)
        return found


def test_a_model_reaches_every_channel_that_its_spectrum_serves():
    two = Two()
    for channel in (K, KSTAR0):
        found = bknn.predict(two, channel=channel, params={"rate": 3e-6})
        assert float(found.value) == pytest.approx(8e-6, rel=1e-10)
    # The standard model of a ratio is the model itself at its null.
    assert float(bknn.predict(two, "r_kstar", KSTAR0).value) == pytest.approx(9 / 5, rel=1e-10)
    for channel in ("B0 -> K0", "Bs -> phi", "Bs -> invisible"):
        with pytest.raises(errors.UndefinedError, match=f"'two'.*'{channel}'.*KeyError"):
            bknn.predict(two, channel=channel)
    with pytest.raises(errors.UndefinedError, match="does not take `longitudinal`"):
        bknn.predict(two, "f_l", KSTAR0)
    with pytest.raises(errors.UndefinedError, match=r"may hold the standard model.*`part`"):
        bknn.predict(two, part="new")
    # Data of both decays.
    results = tuple(
        bknn.data.Result(c, 9e-6, 1e-6, 1e-6, {c: 1.0}, observable=o)
        for c, o in ((K, "branching_ratio"), (KSTAR0, "branching_ratio"))
    )
    measured = bknn.data.Measurement("both", "two numbers", {}, results=results)
    analysis = bknn.Analysis(two, measured)
    np.testing.assert_allclose(analysis.expected_results(jnp.array([2.0, 4e-6])), 9e-6, rtol=1e-10)


def test_polarisation_and_the_new_state_by_the_protocol():
    model = Polarised()
    f_l = bknn.predict(model, "f_l", KSTAR0, {"rate": 5e-6})
    assert float(f_l.value) == pytest.approx((2.5 + 5) / 10, rel=1e-10)
    assert float(bknn.predict(model, params={"rate": 3e-6}, part="new").value) == 3e-6
    assert float(bknn.predict(model, "r_f_l", KSTAR0).value) == pytest.approx(
        (2.5 + 4) / 9 / 0.5, rel=1e-10
    )


def test_within_a_program():
    """As figures predict: all in one program."""

    @jax.jit
    def rate():
        return bknn.predict(Polarised(), "f_l", KSTAR0, {"rate": 5e-6}).value

    assert float(rate()) == pytest.approx(0.75, rel=1e-10)


def test_a_spectrum_of_ones_own_beside_the_template():
    """With a multiple of the template the rest is new; without, nobody can tell."""

    def flat(q2, rate):
        return rate / 22.0 * jnp.where(q2 < 22.0, 1.0, 0.0)

    new = models.from_spectrum(flat, {"rate": 4e-6}, standard_model=1.0)
    alone = float(bknn.predict(new, part="new").value)
    everything = float(bknn.predict(new).value)
    sm = float(bknn.predict(models.load("signal-strength")).value)
    assert everything - sm == pytest.approx(alone, rel=1e-9)
    with pytest.raises(errors.UndefinedError, match="cannot be told apart"):
        bknn.predict(models.from_spectrum(flat, {"rate": 4e-6}), part="new")
    with pytest.raises(errors.UndefinedError, match=r"'B0 -> K\*0'.*'B\+ -> K\+'"):
        bknn.predict(new, channel=KSTAR0)


def test_no_nan_comes_out():
    """What is fine at starts and bounds may still fail elsewhere."""

    def pole(q2, m):
        return 1e-6 / (m - 1.25) * jnp.ones_like(q2)

    model = models.from_spectrum(pole, {"m": (1.0, 0.0, 2.0)})
    with pytest.raises(errors.ParameterError, match="not a finite number for model 'pole'"):
        bknn.predict(model, params={"m": 1.25})
