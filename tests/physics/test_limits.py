"""Limits in which one model must become another one."""

from __future__ import annotations

import functools

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest

from bknn import inputs, models, prediction
from bknn.models.light_particles import LAMBDA

from .longhand import Decay

K, KSTAR = "B+ -> K+", "B+ -> K*+"
CHANNELS = (K, "B0 -> K0", KSTAR, "B0 -> K*0", "Bs -> phi", "Bs -> invisible")
load = functools.cache(models.load)


def point(model, **given):
    """All parameters: those that are not given 0, but for masses, Lambda and so on."""
    couplings = {c.name: 0.0 for c in getattr(model, "couplings", ())}
    return {p.name: p.init for p in model.parameters} | couplings | given


def continuum(model, channel, q2, longitudinal=False, **given):
    """dBR/dq2 of what is new."""
    spectrum = model.spectrum(point(model, **given), channel, longitudinal=longitudinal)
    return sum(np.asarray(part.density(jnp.asarray(q2))) for part in spectrum.continua[1:])


def line(model, channel, longitudinal=False, **given):
    (found,) = model.spectrum(point(model, **given), channel, longitudinal=longitudinal).lines
    return float(found.branching_ratio)


def inside(channel, n=9):
    """Some q2 all over phase space."""
    return np.linspace(0.01, 0.99, n) * Decay(channel).end


# ---------------------------------------------------------------- massless pairs are neutrinos

#: What multiplies 1/Lambda^2 (sbar g_mu P_L b)(psibar g^mu P_L psi) for three flavours in one.
_IN = inputs.STANDARD
NEUTRINOS = (
    np.sqrt(3) * LAMBDA**2 * 4 * _IN.g_fermi / np.sqrt(2) * _IN.alpha / (2 * np.pi) * _IN.ckm
)


@pytest.mark.slow
@pytest.mark.parametrize("hand", ["L", "R"])
def test_massless_pair_with_vector_couplings_is_neutrinos(hand):
    """Of either chirality: nobody sees which."""
    pair = load("fermion-pair", basis="chiral")
    vl, vr = 5.0, -2.0
    given = {"mass": 0.0, f"C_V_L{hand}": vl * NEUTRINOS, f"C_V_R{hand}": vr * NEUTRINOS}
    for channel in (K, "B0 -> K0"):
        q2 = inside(channel)
        expected = Decay(channel).k_nunu(q2, vl, vr)
        np.testing.assert_allclose(continuum(pair, channel, q2, **given), expected, rtol=1e-12)
    for channel in (KSTAR, "B0 -> K*0", "Bs -> phi"):
        q2 = inside(channel)
        for longitudinal, expected in zip(
            (True, False), Decay(channel).kstar_nunu(q2, vl, vr), strict=True
        ):
            got = continuum(pair, channel, q2, longitudinal=longitudinal, **given)
            np.testing.assert_allclose(got, expected, rtol=1e-12)


def test_massless_pair_is_the_models_of_neutrinos():
    """The same spectrum from `fermion-pair`, `wet`, `wet-rhn` and `sm`."""
    pair, wet, rhn, sm = (load(n) for n in ("fermion-pair", "wet", "wet-rhn", "sm"))
    c_sm = float(_IN.c_sm)
    # P_L P_L = (V - A)(V - A) / 4
    given = dict.fromkeys(("f_VV", "f_AA"), 0.25 * c_sm * NEUTRINOS)
    given |= dict.fromkeys(("f_VA", "f_AV"), -0.25 * c_sm * NEUTRINOS)
    for channel in (K, KSTAR):
        q2 = jnp.asarray(inside(channel))
        expected = sm.spectrum({}, channel).continuum(q2)
        got = continuum(pair, channel, q2, mass=0.0, **given)
        np.testing.assert_allclose(got, expected, rtol=1e-12)
        for model, values in (
            (wet, wet.null),
            (rhn, point(rhn, C_R=0.0)),
            # All of the standard model taken away, and put into right-handed neutrinos.
            (rhn, point(rhn, C_L=c_sm, C_R=c_sm)),
        ):
            got = model.spectrum(values, channel).continuum(q2)
            np.testing.assert_allclose(got, expected, rtol=1e-12)


def test_wet_is_that_of_the_papers():
    """All coefficients at once, the longitudinal part too, with the inputs of EOS."""
    wet = load("wet", inputs="eos-1.0.21")
    c = {"C_VL": 7.0, "C_VR": -2.0, "C_SL": 3.0, "C_SR": 1.5, "C_TL": 4.0}
    for channel in CHANNELS[:5]:
        decay, q2 = Decay(channel, inputs.EOS_1_0_21), inside(channel)
        spectra = [
            wet.spectrum(c, channel, longitudinal=longitudinal).continuum(jnp.asarray(q2))
            for longitudinal in (True, False)
        ]
        if "K*" in channel or "phi" in channel:
            expected = decay.kstar_nunu(q2, *c.values())
        else:
            expected = (decay.k_nunu(q2, *c.values()),) * 2  # a kaon is longitudinal
        np.testing.assert_allclose(spectra, expected, rtol=1e-12)


def test_two_chiralities_of_massless_neutrinos_do_not_interfere():
    rhn, q2 = load("wet-rhn"), jnp.asarray(inside(KSTAR))
    zero = load("wet-rhn").spectrum(point(rhn, C_R=0.0, C_L=float(_IN.c_sm)), KSTAR).continuum(q2)
    np.testing.assert_allclose(zero, 0.0, atol=1e-30)

    def rate(**given):
        values = point(rhn, **{"C_R": 0.0, "C_L": float(_IN.c_sm), **given})
        return np.asarray(rhn.spectrum(values, KSTAR).continuum(q2))

    parts = ({"C_Lp": 3.0}, {"C_R": 2.0, "C_Rp": 1.0}, {"C_SLL": 4.0}, {"C_SLR": 3.0})
    parts += ({"C_TLL": 2.0}, {"C_TRR": 1.0})
    together = {k: v for part in parts for k, v in part.items()}
    np.testing.assert_allclose(rate(**together), sum(rate(**p) for p in parts), rtol=1e-12)


def test_lepton_number_violation_with_two_equal_fields():
    """A Majorana mass eigenstate, or two antineutrinos: the rate of `wet`'s C_SL, C_SR, C_TL."""
    wet, q2 = load("wet"), jnp.asarray(inside(K))
    violating = load(
        "wet-rhn",
        wilson_coefficients=models.wcxf.WilsonCoefficients.from_eos({"C_SL": 2.0, "C_TL": 1.5}),
    )
    for channel in (K, KSTAR):
        got = sum(
            part.density(q2)
            for part in violating.spectrum(point(violating, C_R=0.0), channel).continua
        )
        values = {**wet.null, "C_SL": 2.0, "C_TL": 1.5}
        expected = wet.spectrum(values, channel).continuum(q2)
        np.testing.assert_allclose(got, expected, rtol=1e-12)


# ---------------------------------------------------------------- a heavy mediator on its shell

#: Width of the mediator over the coupling squared, in a pair of mass m: arXiv:2311.14629 and
#: textbooks. x = M^2 / m^2.
MASS, LIGHT, COUPLING = 2.1, 0.6, 1e-4
BETA = np.sqrt(1 - 4 * LIGHT**2 / MASS**2)
X = (MASS / LIGHT) ** 2
MEDIATORS = {
    # model, its couplings on sbar, sbar g5 | of the mediator, width / coupling^2, dimension
    "V -> psi psibar": (
        ("fermion-pair", "f_VV", "f_AV", 2),
        MASS * BETA * (1 + 2 / X) / (12 * np.pi),
    ),
    "V -> phi phi*": (
        ("scalar-pair", "g_VV", "g_AV", 2),
        MASS * BETA**3 / (48 * np.pi),
    ),
    "phi -> psi psibar": (
        ("fermion-pair", "f_SS", "f_PS", 2),
        MASS * BETA**3 / (8 * np.pi),
    ),
    "phi -> psi g5 psibar": (
        ("fermion-pair", "f_SP", "f_PP", 2),
        MASS * BETA / (8 * np.pi),
    ),
    "phi -> phi phi*": (
        ("scalar-pair", "g_SS", "g_PS", 1),
        BETA / (16 * np.pi * MASS),
    ),
    "phi -> V V*": (
        ("vector-pair", "h_SS", "h_PS", 1),
        BETA * (X**2 / 4 - X + 3) / (16 * np.pi * MASS),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MEDIATORS)
def test_heavy_mediator_is_a_line(name):
    """B -> K(*) + pair through a narrow V or phi is B -> K(*) V times BR(V -> pair) = 1.

    The pair of the contact interaction with the propagator put in by hand: conserved currents, so
    that the longitudinal part of the propagator does nothing.
    """
    (pair, even, odd, dimension), width = MEDIATORS[name]
    width = width * COUPLING**2
    one, coupling = ("vector", ("h_V", "h_A")) if name[0] == "V" else ("scalar", ("g_S", "g_P"))
    # Over the line with q2 = M^2 + M Gamma tan(theta); beyond 1e4 widths there is 1e-4 left.
    x, w = np.polynomial.legendre.leggauss(16)
    theta = np.arctan(1e4) * x
    q2 = MASS**2 + MASS * width * np.tan(theta)
    strength = 1e-8
    for channel, contact, direct in zip((K, KSTAR), (even, odd), coupling, strict=True):
        for longitudinal in (False, True):
            given = {"mass": LIGHT, contact: strength * COUPLING * LAMBDA**dimension}
            density = continuum(load(pair), channel, q2, longitudinal, **given)
            # |1 / (q2 - M^2 + i M Gamma)|^2 dq2 = dtheta / (M Gamma)
            total = np.arctan(1e4) * np.sum(w * density) / (MASS * width)
            expected = line(load(one), channel, longitudinal, mass=MASS, **{direct: strength})
            assert total / (2 * np.arctan(1e4) / np.pi) == pytest.approx(expected, rel=1e-6)


# ---------------------------------------------------------------- a light longitudinal V


@pytest.mark.parametrize("mass", [1e-3, 1e-2])
def test_longitudinal_v_is_a_goldstone_boson(mass):
    """V_mu = d_mu phi / m: couplings to the divergences of the quark currents, over m.

    It holds because form factors are related at q2 = 0. With the masses that the form factors were
    fitted with it is exact; the real K*+ is lighter than theirs, which costs 1%.
    """
    h = 1e-8
    g_s, g_p = (h * (_IN.mass_b + sign * _IN.mass_s) / mass for sign in (-1, 1))
    for channel, one, other, real in (
        (K, {"h_V": h}, {"g_S": g_s}, 1e-6),
        (KSTAR, {"h_A": h}, {"g_P": g_p}, 0.011),
        ("Bs -> phi", {"h_A": h}, {"g_P": g_p}, 2e-3),
    ):
        parent, daughter = channel.split(" -> ")
        series = Decay(channel).set.series
        masses = {parent: series.mass_parent, daughter: series.mass_daughter}
        theirs = eqx.tree_at(lambda i: i.masses, _IN, {**_IN.masses, **masses})
        for numbers, tolerance in ((theirs, 2 * mass**2), (_IN, 2 * mass**2 + real)):
            got = line(models.load("vector", inputs=numbers), channel, mass=mass, **one)
            expected = line(models.load("scalar", inputs=numbers), channel, mass=mass, **other)
            assert got == pytest.approx(expected, rel=tolerance)


def test_conserved_couplings_stay_finite():
    """h_V to a K*, and dipoles: a light V is a dark photon, which a kaon alone cannot recoil from.

    The width into K* gamma, alpha G_F^2 m_B^3 m_b^2 |V C_7 T1(0)|^2 (1 - m_K*^2/m_B^2)^3/(32 pi^4)
    (as in hep-ph/0106067), comes from h_T = h_T5 = G_F / sqrt2 V C_7 e m_b / (8 pi^2) here, that is
    m_B^3 (h_T^2 + h_T5^2) T1(0)^2 (1 - m_K*^2/m_B^2)^3 / (2 pi).
    """
    vector, decay, h = load("vector"), Decay(KSTAR), 1e-9
    t1, room = float(decay.f(0.0)["T1"]), 1 - (decay.k / decay.m) ** 2
    photon = decay.lifetime * decay.m**3 * room**3 * (h * t1) ** 2 / (2 * np.pi)
    for name in ("h_T", "h_T5"):
        assert line(vector, KSTAR, mass=1e-3, **{name: h}) == pytest.approx(photon, rel=1e-6)
        assert line(vector, KSTAR, True, mass=1e-3, **{name: h}) < 1e-6 * photon
        # It is longitudinal for a kaon, and vanishes with its mass.
        small, large = (line(vector, K, mass=m, h_T=h) for m in (1e-3, 1e-2))
        assert 100 * small == pytest.approx(large, rel=1e-4)
    rates = [line(vector, KSTAR, mass=m, h_V=h) for m in (1e-3, 1e-2)]
    assert rates[0] == pytest.approx(rates[1], rel=1e-4)


# ---------------------------------------------------------------- one's own antiparticle

TWINS = {
    "scalar-pair": "scalar-pair-real",
    "fermion-pair": "fermion-pair-majorana",
    "vector-pair": "vector-pair-real",
    "gravitino-pair": "gravitino-pair-majorana",
}


@pytest.mark.parametrize("name", TWINS)
def test_twice_if_the_particle_is_its_own_antiparticle(name):
    """Twice the amplitude on half of the phase space, for the currents that are left."""
    one, other = load(name), load(TWINS[name])
    left = [c.name for c in other.couplings]
    assert set(left) < {c.name for c in one.couplings}
    random = np.random.default_rng(3)
    given = {c.name: random.normal() * c.limit / 1e3 for c in other.couplings}
    for channel in (K, KSTAR):
        q2 = inside(channel)
        np.testing.assert_allclose(
            continuum(other, channel, q2, mass=0.4, **given),
            2 * continuum(one, channel, q2, mass=0.4, **given),
            rtol=1e-12,
        )
    both = [line(m, "Bs -> invisible", mass=0.4, **given) for m in (one, other)]
    assert both[1] == pytest.approx(2 * both[0], rel=1e-12)


def test_massless_majorana_is_left_handed():
    """A massless Majorana field and a left-handed Dirac field are two names of one thing, but for
    the sum over helicities: P_L picks the same states of either."""
    one, other = (load(n, basis="chiral") for n in ("fermion-pair", "fermion-pair-majorana"))
    given = {"mass": 0.0, "C_V_LL": 3.0, "C_V_RL": 1.0}
    for channel in (K, KSTAR):
        q2 = inside(channel)
        np.testing.assert_allclose(
            continuum(other, channel, q2, **given), continuum(one, channel, q2, **given), rtol=1e-12
        )


# ---------------------------------------------------------------- axion-like particles


@pytest.mark.parametrize("mass", [0.0, 0.5, 2.0, 4.0])
def test_axion_like_particle(mass):
    """L = d_mu a / (2 f) sbar g^mu (g_V + g_A g5) b: rates of arXiv:2311.14629, section 2."""
    f, g_v, g_a = 1e8, 0.7, 0.4
    scalar = load("scalar")
    given = {
        "mass": mass,
        "g_S": g_v * (_IN.mass_b - _IN.mass_s) / (2 * f),
        "g_P": g_a * (_IN.mass_b + _IN.mass_s) / (2 * f),
    }
    for channel, g, name, power in ((K, g_v, "f_0", 1), ("B0 -> K*0", g_a, "A0", 3)):
        d = Decay(channel)
        form_factor = float(d.f(mass**2)[name])
        root = np.sqrt(d.kallen(mass**2)) / d.m**2
        mesons = (1 - d.k**2 / d.m**2) ** 2 if channel == K else 1.0
        gamma = g**2 * d.m**3 / (64 * np.pi * f**2) * mesons * root**power * form_factor**2
        assert line(scalar, channel, **given) == pytest.approx(d.lifetime * gamma, rel=1e-12)
        assert line(scalar, channel, True, **given) == pytest.approx(d.lifetime * gamma, rel=1e-12)


def test_axion_like_particle_that_belle2_likes():
    """BR = (8.8 +- 2.5)e-6 at 2 GeV is 2 f / |g_V| = 3.1 +1.0 -0.5 10^8 GeV there (their abstract
    rounds and combines), the same form factors to some per cent."""
    g_s = (_IN.mass_b - _IN.mass_s) / 3.1e8
    branching_ratio = line(load("scalar"), K, mass=2.0, g_S=g_s)
    assert branching_ratio == pytest.approx(8.8e-6, abs=2.5e-6)


# ---------------------------------------------------------------- two bases

LIGHT_MODELS = ("scalar", "vector", *TWINS, *TWINS.values())


@pytest.mark.parametrize("name", LIGHT_MODELS)
def test_chiral_and_parity_basis(name):
    """The same spectra, and there and back; Lambda is where it is by default."""
    parity, chiral = load(name), load(name, basis="chiral")
    random = np.random.default_rng(5)
    given = {c.name: random.normal() * c.limit / 1e3 for c in chiral.couplings}
    translated = chiral.convert(given, "parity")
    assert set(translated) == {c.name for c in parity.couplings}
    assert parity.convert(translated, "chiral") == pytest.approx(given, rel=1e-6)
    assert chiral.convert(given, "chiral") == pytest.approx(given, rel=1e-6)
    for channel in (K, KSTAR):
        for longitudinal in (False, True):
            values = []
            for model, couplings in ((chiral, given), (parity, translated)):
                new = {"mass": 0.4, **couplings}
                if name in ("scalar", "vector"):
                    values.append(line(model, channel, longitudinal, **new))
                else:
                    values.append(continuum(model, channel, inside(channel), longitudinal, **new))
            np.testing.assert_allclose(*values, rtol=1e-9)


def test_chiral_couplings_written_out():
    """arXiv:2403.13887: sums and differences, and v/sqrt2 where a Higgs field is needed."""
    v = 246.22 / np.sqrt(2)
    found = load("scalar", basis="chiral").convert({"C_S_L": 1.0, "C_S_R": 3.0}, "parity")
    assert found == pytest.approx({"g_S": 2 * v, "g_P": v}, rel=1e-5)
    found = load("vector").convert({"h_V": 2.0, "h_A": 1.0, "h_T": v}, "chiral")
    assert found == pytest.approx(
        {"C_V_L": 1.0, "C_V_R": 3.0, "C_T_L": 1.0, "C_T_R": 1.0}, rel=1e-5
    )
    pair = load("fermion-pair", basis="chiral")
    found = pair.convert({"C_V_LR": 4.0, "C_S_LL": 4.0 * LAMBDA / v}, "parity")
    expected = {"f_VV": 1.0, "f_VA": 1.0, "f_AV": -1.0, "f_AA": -1.0}
    expected |= {"f_SS": 1.0, "f_SP": -1.0, "f_PS": -1.0, "f_PP": 1.0, "f_TT": 0.0, "f_T5T": 0.0}
    assert found == pytest.approx(expected, rel=1e-5, abs=1e-9)


# ---------------------------------------------------------------- small masses


@pytest.mark.parametrize(
    ("name", "couplings"),
    [
        ("scalar-pair", {"g_SS": 1e-3, "g_VV": 2.0, "g_PS": 1e-3, "g_AV": 1.0}),
        ("fermion-pair", {"f_VV": 1.0, "f_AA": 1.0, "f_VA": 0.5, "f_SS": 1.0, "f_TT": 1.0}),
        ("fermion-pair-majorana", {"f_VA": 1.0, "f_AA": 1.0, "f_SP": 1.0, "f_PP": 0.5}),
        ("vector-pair", {"h_SF": 1e3, "h_PF": 1e3, "h_SD": 2e3}),
    ],
)
def test_massless_limit_is_continuous(name, couplings):
    model = load(name)
    for channel in (K, KSTAR):
        q2 = inside(channel)
        at = [continuum(model, channel, q2, mass=m, **couplings) for m in (0.0, 1e-5, 1e-3)]
        np.testing.assert_allclose(at[1], at[0], rtol=2e-4)
        np.testing.assert_allclose(at[2], at[0], rtol=2e-2)
        assert (at[0] > 0).all()


def test_massless_limit_of_heavy_neutrinos():
    """Both masses of a pair, and one of them."""
    rhn, q2 = load("wet-rhn"), jnp.asarray(inside(KSTAR))
    given = {"C_R": 3.0, "C_Rp": 1.0, "C_Lp": 2.0, "C_SLL": 2.0, "C_SLR": 1.0}
    given |= {"C_TLL_emu": 2.0, "C_TRR": 1.0}
    for channel in (K, KSTAR):

        def rate(mass, channel=channel):
            spectrum = rhn.spectrum(point(rhn, mass_N=mass, **given), channel)
            return sum(np.asarray(part.density(q2)) for part in spectrum.continua)

        np.testing.assert_allclose(rate(1e-6), rate(0.0), rtol=1e-5)
        np.testing.assert_allclose(rate(1e-3), rate(0.0), rtol=2e-2)


def test_ratios_of_a_pair_are_those_of_neutrinos():
    """Through `predict`: a massless pair as strong as the neutrinos doubles all of them."""
    pair = load("fermion-pair", basis="chiral")
    given = point(pair, mass=0.0, C_V_LR=float(_IN.c_sm) * NEUTRINOS)
    for observable, channel, expected in (
        ("r_k", "B0 -> K0", 2.0),
        ("r_kstar", "B0 -> K*0", 2.0),
        ("r_f_l", "Bs -> phi", 1.0),
    ):
        got = prediction.value(pair, observable, channel, given)
        assert float(got) == pytest.approx(expected, rel=1e-9)
