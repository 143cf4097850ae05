"""Models with couplings: what they are made of, what they become, and what they refuse."""

from __future__ import annotations

import functools
import json
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import bknn
from bknn import errors, inputs, models
from bknn.channels import CHANNELS
from bknn.form_factors import sets
from bknn.models.theory import Theory
from bknn.models.wcxf import WilsonCoefficients

pytestmark = pytest.mark.usefixtures("quick_compilation")

K, KSTAR = "B+ -> K+", "B+ -> K*+"
Q2 = jnp.linspace(0.3, 18.5, 6)
load = functools.cache(models.load)
THEORIES = [n for n in models.available() if n not in ("signal-strength", "resonance")]
COMPLETE = ("higgs-portal", "dark-photon", "aligned-u1")
LIGHT = [n for n in THEORIES if n not in ("sm", "wet", "wet-rhn", *COMPLETE)]


def start(model, **given):
    return {p.name: p.init for p in model.parameters} | given


def spectrum(model, channel=K, **given):
    """dBR/dq2 at Q2 of all continua, and the lines."""
    found = model.spectrum(start(model, **given), channel)
    return np.sum([part.density(Q2) for part in found.continua], axis=0), found.lines


def assert_sentence(caught, *words):
    message = str(caught.value)
    assert message.endswith("."), message
    assert "\n" not in message
    assert not [w for w in words if w not in message], message


# ---------------------------------------------------------------- what is there


@pytest.mark.parametrize("name", THEORIES)
def test_what_a_model_has(name):
    bases = ("parity", "chiral") if name in LIGHT else (None,)
    for basis in bases:
        model = load(name, **({"basis": basis} if basis else {}))
        assert isinstance(model, models.Model)
        assert isinstance(model, Theory)
        assert model.name == name
        assert model.description == models.available()[name]
        names = [p.name for p in model.parameters]
        assert len(set(names)) == len(names)
        assert set(model.null) <= set(names)
        for p in model.parameters:
            assert p.bounds[0] <= p.init <= p.bounds[1]
            assert p.description
            assert all(p.bounds[0] <= s <= p.bounds[1] for s in p.starts)
        if name in LIGHT:
            floating = [p.name for p in model.parameters if not p.fixed]
            assert floating[0] == "mass"
            assert floating[-1] == "sm_normalisation"
            assert len(floating) == 3  # and one coupling, not at 0
            assert model.parameters[names.index(floating[1])].init > 0.0
    assert name in repr(load(name))


@pytest.mark.parametrize(
    ("name", "basis", "expected"),
    [
        ("wet", None, "C_VL C_VR C_SL C_SR C_TL"),
        ("scalar", "parity", "g_S g_P"),
        ("scalar", "chiral", "C_S_L C_S_R"),
        ("vector", "parity", "h_V h_A h_T h_T5"),
        ("vector", "chiral", "C_V_L C_V_R C_T_L C_T_R"),
        ("scalar-pair", "parity", "g_SS g_PS g_VV g_AV"),
        ("scalar-pair-real", "parity", "g_SS g_PS"),
        ("fermion-pair", "parity", "f_SS f_PS f_SP f_PP f_VV f_AV f_VA f_AA f_TT f_T5T"),
        ("fermion-pair-majorana", "parity", "f_SS f_PS f_SP f_PP f_VA f_AA"),
        (
            "fermion-pair",
            "chiral",
            "C_S_LL C_V_LL C_S_LR C_V_LR C_T_LL C_S_RL C_V_RL C_S_RR C_V_RR C_T_RR",
        ),
        ("vector-pair-real", "parity", "h_SS h_PS h_SF h_PF h_SD h_PD h_VE h_AE h_VA h_AA"),
        (
            "vector-pair",
            "parity",
            "h_SS h_PS h_SF h_PF h_SD h_PD h_VV h_AV h_VM h_AM h_VE h_AE h_VA h_AA h_VB h_AB "
            "h_TT h_T5T",
        ),
        (
            "gravitino-pair",
            "chiral",
            "C_S_LL C_V_LL C_S_LR C_V_LR C_T_LL C_S_RL C_V_RL C_S_RR C_V_RR C_T_RR C_U_L C_U_R",
        ),
        ("gravitino-pair-majorana", "parity", "F_SS F_PS F_SP F_PP F_VA F_AA"),
    ],
)
def test_parameters_have_the_names_of_the_formulas(name, basis, expected):
    model = load(name, **({"basis": basis} if basis else {}))
    others = {"mass", "width", "Lambda", "sm_normalisation"}
    assert [p.name for p in model.parameters if p.name not in others] == expected.split()


@pytest.mark.parametrize("name", THEORIES)
def test_null_is_the_standard_model(name):
    model, sm = load(name), load("sm")
    for channel in (K, KSTAR):
        got, lines = spectrum(model, channel, **model.null)
        np.testing.assert_allclose(got, spectrum(sm, channel)[0], rtol=1e-12)
        assert [float(line.branching_ratio) for line in lines] == [0.0] * len(lines)
    same = model.standard_model()
    np.testing.assert_array_equal(spectrum(same)[0], spectrum(sm)[0])


def test_nuisances_are_those_of_the_transitions():
    model = load("wet")
    k, kstar = (tuple(p.name for p in model.nuisances([c])) for c in (K, KSTAR))
    assert k == tuple(f"ff_K_{i}" for i in range(8))
    assert kstar == tuple(f"ff_Kstar_{i}" for i in range(19))
    assert model.nuisances(["B0 -> K0", K]) == model.nuisances([K])
    both = model.nuisances(["B0 -> K*0", K])
    assert tuple(p.name for p in both) == (*k, *kstar)
    assert [p.name for p in model.nuisances(["Bs -> phi"])][-1] == "ff_phi_18"
    assert model.nuisances(["Bs -> invisible"]) == ()
    for p in both:
        assert p.constraint == (0.0, 1.0)
        assert p.nuisance
        assert not p.fixed
        assert p.init == 0.0
    assert "B -> K, flag-2021+hpqcd-2022" in both[0].description
    # Another set has another number of them.
    other = load("wet", form_factors="hpqcd-2022").nuisances([K])
    assert len(other) == len(sets.load("hpqcd-2022", "B -> K").mean)


def test_whitened_form_factors():
    """One of them moves the parameters of the set by a column of the Cholesky factor."""
    model, chosen = load("sm"), sets.load("grvdv-2023", "B -> K*")
    shift = np.linalg.cholesky(chosen.covariance)[:, 3] * 0.7
    shifted = sets.FormFactorSet("shifted", chosen.series, chosen.mean + shift, chosen.covariance)
    expected = spectrum(models.load("sm", form_factors=shifted), KSTAR)[0]
    got = model.spectrum(start(model, ff_Kstar_3=0.7), KSTAR).continuum(Q2)
    np.testing.assert_allclose(got, expected, rtol=1e-12)


def test_options_are_taken():
    default = spectrum(load("sm"))[0]
    for options in ({"form_factors": "hpqcd-2022"}, {"inputs": "eos-1.0.21"}):
        assert (np.abs(spectrum(load("sm", **options))[0] / default - 1) > 1e-4).all()
    chosen = load("sm", form_factors=("bsz-2015", "hpqcd-2022")).form_factors
    assert {t: s.name for t, s in chosen.items()} == {
        "B -> K": "hpqcd-2022",
        "B -> K*": "bsz-2015",
        "Bs -> phi": "bsz-2015",
    }
    one = sets.load("grvdv-2023", "B -> K")
    assert load("sm", form_factors=one).form_factors["B -> K"] is one
    assert models.load("sm", inputs=inputs.EOS_1_0_21).inputs is inputs.EOS_1_0_21
    with_tau = load("sm", long_distance=True)
    assert (spectrum(with_tau)[0] > default).all()
    np.testing.assert_array_equal(
        spectrum(with_tau, "B0 -> K0")[0], spectrum(load("sm"), "B0 -> K0")[0]
    )
    with_width = load("vector").spectrum(start(load("vector"), width=0.2), K).lines
    assert [float(line.width) for line in with_width] == [0.2]


@pytest.mark.parametrize("name", THEORIES)
def test_a_zero_is_a_zero(name):
    """Known when the program is compiled, or only when it runs; with both signs."""
    model = load(name)
    params = start(model)
    shown = {n: jnp.asarray(x) for n, x in params.items() if not math.copysign(1.0, x) < 0}
    for channel in (KSTAR, "Bs -> invisible"):
        one, other = (model.spectrum(p, channel) for p in (params, shown))
        for a, b in zip(one.lines, other.lines, strict=True):
            assert float(a.branching_ratio) == pytest.approx(float(b.branching_ratio), rel=1e-12)
        values = [sum(part.density(Q2) for part in s.continua) for s in (one, other)]
        np.testing.assert_allclose(*values, rtol=1e-10, atol=1e-30)


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("sm", {"sm_normalisation": 1.3}),
        ("wet", {"C_VR": -2.0, "C_SR": 1.0}),
        pytest.param(
            "wet-rhn",
            {"C_Lp_emu": 3.0, "C_SLL": 2.0, "C_TRR_taue": 4.0},
            marks=pytest.mark.slow,
        ),
    ],
)
def test_shapes_are_the_spectrum(name, given):
    """What fits use in place of the function of q2: form factors squared, with weights."""
    model = load(name)
    for channel, label, longitudinal in ((K, "K", False), (KSTAR, "Kstar", name == "wet")):
        params = start(model, **given) | {f"ff_{label}_0": 0.5, f"ff_{label}_5": -1.0}
        (part,) = model.spectrum(params, channel, longitudinal=longitudinal).continua
        assert part.threshold is None
        shapes = part.as_shapes()
        got = np.asarray(shapes.weights) @ shapes.functions(np.asarray(Q2))
        np.testing.assert_allclose(got, part.density(Q2), rtol=1e-11)


@pytest.mark.parametrize(
    ("name", "given"),
    [
        pytest.param(
            "fermion-pair",
            {"f_VV": 1.0, "f_AA": -2.0, "f_TT": 0.5, "f_T5T": 1.5, "f_SP": 3.0},
            marks=pytest.mark.slow,
        ),
        ("vector-pair", {"h_SS": 1e-5, "h_AE": 2.0, "h_VB": 1.0, "h_AA": -1.0, "h_TT": 1e-4}),
        ("gravitino-pair", {"F_VA": 0.1, "F_AA": 0.2, "F_PS": -0.3, "F_TU": 0.1}),
        pytest.param(
            "wet-rhn",
            {"mass_N": 0.8, "C_Lp_emu": 3.0, "C_SLL": 2.0, "C_TRR_taue": 4.0},
            marks=pytest.mark.slow,
        ),
    ],
)
def test_shapes_that_know_a_mass_are_the_spectrum(name, given):
    model = load(name)
    for channel, label, longitudinal in ((K, "K", False), (KSTAR, "Kstar", True)):
        params = start(model, **({"mass": 0.7} if name != "wet-rhn" else {})) | given
        params |= {f"ff_{label}_0": 0.5, f"ff_{label}_5": -1.0}
        found = model.spectrum(params, channel, longitudinal=longitudinal).continua
        for part in found[1:]:
            assert part.as_shapes() is None  # worth it only where it is done once for many
            shapes = part.as_shapes(held=True)
            got = shapes.weights @ shapes.functions(np.asarray(Q2))
            np.testing.assert_allclose(got, part.density(Q2), rtol=1e-11)
            traced = jax.jit(shapes.functions)(Q2)
            np.testing.assert_allclose(traced, shapes.functions(np.asarray(Q2)), rtol=1e-11)


# ---------------------------------------------------------------- flavours, and WCxf


def test_flavour_matrices_are_filled_by_name():
    """From the parameters, from a file in the flavio basis, and from matrices: one spectrum."""
    read = {"eft": "WET", "basis": "flavio", "scale": 4.8}
    read["values"] = {"CL_bsnuenumu": 2.0, "CR_bsnutaunutau": -3.0}
    rhn = load("wet-rhn")
    by_name = spectrum(rhn, KSTAR, C_R=0.0, C_L_mue=2.0, C_Lp_tautau=-3.0)[0]
    from_file = spectrum(models.load("wet-rhn", wilson_coefficients=read), KSTAR, C_R=0.0)[0]
    np.testing.assert_allclose(by_name, from_file, rtol=1e-12)
    matrix = np.zeros((3, 3))
    matrix[1, 0] = 2.0
    made = WilsonCoefficients.from_matrices({"C_L": matrix, "C_Lp": np.diag([0, 0, -3.0])})
    model = models.load("wet-rhn", wilson_coefficients=made)
    np.testing.assert_allclose(by_name, spectrum(model, KSTAR, C_R=0.0)[0], rtol=1e-12)
    # The unit matrix is three entries, and they add up with those of the file.
    unit = spectrum(rhn, KSTAR, C_R=0.0, C_L=1.5)[0]
    entries = {f"C_L_{a}{a}": 1.5 for a in ("e", "mu", "tau")}
    np.testing.assert_allclose(spectrum(rhn, KSTAR, C_R=0.0, **entries)[0], unit, rtol=1e-12)
    background = {**read, "values": {f"CL_bsnu{a}nu{a}": 1.0 for a in ("e", "mu", "tau")}}
    model = models.load("wet-rhn", wilson_coefficients=background)
    np.testing.assert_allclose(spectrum(model, KSTAR, C_R=0.0, C_L=0.5)[0], unit, rtol=1e-12)


def test_interference_is_with_diagonal_entries_only():
    """And with the real part of what is added to the standard model."""
    rhn, sm = load("wet-rhn"), spectrum(load("sm"))[0]

    def change(**given):
        return spectrum(rhn, C_R=0.0, **given)[0] - sm

    for a, b in (("e", "mu"), ("tau", "e")):
        np.testing.assert_allclose(change(**{f"C_L_{a}{b}": 2.0}), change(**{f"C_L_{b}{a}": -2.0}))
    plus, minus = change(C_L_mumu=2.0), change(C_L_mumu=-2.0)
    square = change(C_L_emu=2.0)
    np.testing.assert_allclose(plus + minus, 2 * square, rtol=1e-9)
    assert (plus < 0).all()  # the standard model's coefficient is negative in this convention
    imaginary = WilsonCoefficients.from_matrices({"C_L": np.diag([0, 2j, 0])})
    model = models.load("wet-rhn", wilson_coefficients=imaginary)
    np.testing.assert_allclose(spectrum(model, C_R=0.0)[0] - sm, square, rtol=1e-9)


def test_coefficients_that_the_fit_starts_from(tmp_path):
    """`wet` and its file, there and back."""
    given = {"C_VL": 9.0, "C_VR": -1.0, "C_SL": 3.0, "C_SR": 0.5, "C_TL": 2.0}
    numbers = inputs.STANDARD
    WilsonCoefficients.from_eos(given, numbers).save(tmp_path / "c.json", "EOS")
    model = models.load("wet", wilson_coefficients=tmp_path / "c.json")
    assert {p.name: p.init for p in model.parameters} == pytest.approx(given, rel=1e-12)
    assert model.null["C_VL"] == pytest.approx(float(numbers.c_sm))
    # The same physics as flavour matrices.
    rhn = models.load("wet-rhn", wilson_coefficients=tmp_path / "c.json")
    for channel in (K, KSTAR):
        got = spectrum(rhn, channel, C_R=0.0)[0]
        np.testing.assert_allclose(got, spectrum(model, channel)[0], rtol=1e-12)


@pytest.mark.parametrize(
    ("name", "content", "kind", "words"),
    [
        ("wet-rhn", {"eft": "WET-3"}, errors.DataError, ("'WET-3'", "no b quark")),
        ("wet", {"scale": -160.0}, errors.DataError, ("-160", "positive")),
        ("wet-rhn", {"values": {"CL_bsnuenux": 1.0}}, errors.UnknownNameError, ("CL_bsnuenux",)),
        ("wet", {"values": {"CL_bsnuenue": 1.0}}, errors.ParameterError, ("flavours", "[e, e]")),
        (
            "wet",
            {"basis": "EOS", "values": {"sbnunu::cVL": {"Re": 6.0, "Im": 1.0}}},
            errors.ParameterError,
            ("C_VL is complex", "real"),
        ),
        (
            "wet",
            {"C_R": np.eye(3)},
            errors.ParameterError,
            ("C_R is", "left-handed neutrinos"),
        ),
        ("wet-rhn", {"C_L": np.eye(2)}, errors.ParameterError, ("(2, 2)", "3 x 3")),
        ("wet-rhn", {"C_LL": np.eye(3)}, errors.UnknownNameError, ("'C_LL'", "'C_L'")),
        ("wet-rhn", {"C_L": np.full((3, 3), np.nan)}, errors.ParameterError, ("C_L[e, e]", "nan")),
    ],
)
def test_coefficients_that_are_refused(tmp_path, name, content, kind, words):
    """Files and matrices, on their way into a model."""

    def make():
        if any(key.startswith("C_") for key in content):
            return WilsonCoefficients.from_matrices(content)
        whole = {"eft": "WET", "basis": "flavio", "scale": 4.8, "values": {"CL_bsnuenue": 1.0}}
        path = tmp_path / "c.json"
        path.write_text(json.dumps(whole | content))
        return path

    with pytest.raises(kind) as caught:
        models.load(name, wilson_coefficients=make())
    assert_sentence(caught, *words)


def test_heavy_right_handed_neutrinos():
    """They go away where they are too heavy: two of them, or one with a light one."""
    rhn, sm = load("wet-rhn"), spectrum(load("sm"))[0]
    two = spectrum(rhn, C_R=4.0, mass_N=3.0)[0]
    np.testing.assert_allclose(two, sm, rtol=1e-12)
    one = spectrum(rhn, C_R=4.0, C_SLL=4.0, mass_N=3.0)[0]
    np.testing.assert_allclose(one[Q2 < 9.0], sm[Q2 < 9.0], rtol=1e-12)
    assert (one[Q2 > 9.0] > sm[Q2 > 9.0]).all()
    none = spectrum(rhn, C_R=4.0, C_SLL=4.0, mass_N=9.9)[0]
    np.testing.assert_allclose(none, sm, rtol=1e-12)


# ---------------------------------------------------------------- couplings


@pytest.mark.parametrize("name", [n for n in LIGHT if n not in ("scalar", "vector")])
def test_lambda_divides_couplings(name):
    """Coupling over Lambda^n, with n the dimension of the invisible operator."""
    model = load(name)
    (floating,) = [c for c in model.couplings if c.floats]
    sm = spectrum(load("sm"))[0]
    scaled = {"Lambda": 500.0, floating.name: floating.start * (500.0 / 1e4) ** floating.dimension}
    one, other = spectrum(model)[0] - sm, spectrum(model, **scaled)[0] - sm
    np.testing.assert_allclose(other, one, rtol=1e-9, atol=1e-25)
    assert (one > 0).any()


def test_signs_of_all_couplings_at_once_do_not_matter():
    random = np.random.default_rng(1)
    for name in ("vector", "fermion-pair"):
        model = load(name)
        given = {c.name: random.normal() * c.limit / 1e3 for c in model.couplings}
        turned = {n: -x for n, x in given.items()}
        for channel in (K, KSTAR):
            one, other = (model.spectrum(start(model, **g), channel) for g in (given, turned))
            for a, b in zip(one.lines, other.lines, strict=True):
                assert float(a.branching_ratio) == float(b.branching_ratio) > 0.0
            for a, b in zip(one.continua, other.continua, strict=True):
                np.testing.assert_allclose(a.density(Q2), b.density(Q2), rtol=1e-12)


def test_parity_chooses_the_meson():
    """sbar b and sbar g_mu b make kaons, their partners with g5 do not; K* take both vectors."""
    for name, even, odd in (
        ("scalar", "g_S", "g_P"),
        ("scalar-pair", "g_SS", "g_PS"),
        ("scalar-pair", "g_VV", "g_AV"),
        ("fermion-pair", "f_SP", "f_PP"),
        ("fermion-pair", "f_VA", "f_AA"),
        ("vector-pair", "h_SD", "h_PD"),
        ("gravitino-pair", "F_SS", "F_PS"),
    ):
        model = load(name)
        size = {c.name: c.limit / 1e3 for c in model.couplings}

        def strength(channel, coupling, model=model, size=size):
            given = dict.fromkeys(size, 0.0) | {coupling: size[coupling], "mass": 0.4}
            found = model.spectrum(start(model, **given), channel)
            new = sum(jnp.sum(part.density(Q2)) for part in found.continua[1:])
            return float(new + sum(line.branching_ratio for line in found.lines))

        assert strength(K, even) > 0.0
        assert strength(K, odd) == 0.0
        assert strength(KSTAR, odd) > 0.0
        if even[2] == "V":
            assert strength(KSTAR, even) > 0.0
        else:
            assert strength(KSTAR, even) == 0.0


def test_what_becomes_of_a_bs():
    """Two neutrinos without a mass cannot; a pair can, from P and from the divergence of A."""
    assert float(load("sm").spectrum({}, "Bs -> invisible").lines[0].branching_ratio) == 0.0
    numbers, mass, pair = inputs.STANDARD, 0.6, load("fermion-pair")
    m, f = numbers.masses["Bs"], numbers.decay_constant_bs
    beta = math.sqrt(1 - 4 * mass**2 / m**2)
    off = {"f_VV": 0.0, "mass": mass}

    def rate(**given):
        found = pair.spectrum(start(pair, **off | given), "Bs -> invisible")
        assert found.continuum is None
        assert float(found.lines[0].mass) == m
        return float(found.lines[0].branching_ratio) / numbers.lifetimes["Bs"]

    # f_AA: f^2 m_Bs m^2 beta / (2 pi Lambda^4), as of pi -> l nu with two equal masses
    assert rate(f_AA=1.0) == pytest.approx(
        f**2 * m * mass**2 * beta / (2 * math.pi * 1e16), rel=1e-12
    )
    pseudoscalar = f * m**2 / (numbers.mass_b + numbers.mass_s)
    assert rate(f_PP=1.0) == pytest.approx(
        pseudoscalar**2 * m * beta / (8 * math.pi * 1e16), rel=1e-12
    )
    assert rate(f_PS=1.0) == pytest.approx(
        pseudoscalar**2 * m * beta**3 / (8 * math.pi * 1e16), rel=1e-12
    )
    assert rate(f_VV=1.0, f_SS=1.0, f_TT=1.0, f_AV=1.0) == 0.0
    # A and P interfere: (f m 2 mass c_A -+ pseudoscalar m c_P)^2
    one, other = rate(f_AA=1.0, f_PP=0.3), rate(f_AA=1.0, f_PP=-0.3)
    assert one + other == pytest.approx(2 * (rate(f_AA=1.0) + rate(f_PP=0.3)), rel=1e-12)
    assert min(one, other) == pytest.approx(
        (math.sqrt(rate(f_AA=1.0)) - math.sqrt(rate(f_PP=0.3))) ** 2, rel=1e-9
    )
    # |g_PS| < 1.65e-3 for BR < 5.6e-4 (arXiv:2310.13043) at 0.52 GeV and 10 TeV
    scalar = load("scalar-pair")
    given = start(scalar, g_SS=0.0, g_PS=1.65e-3, mass=0.52)
    (line,) = scalar.spectrum(given, "Bs -> invisible").lines
    assert float(line.branching_ratio) == pytest.approx(5.6e-4, rel=0.02)


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("name", "options", "kind", "words"),
    [
        ("vectr", {}, errors.UnknownNameError, ("'vectr'", "'vector'")),
        ("vector", {"basis": "chiral-"}, errors.UnknownNameError, ("'chiral-'", "'chiral'")),
        ("wet", {"basis": "chiral"}, errors.ParameterError, ("'wet'", "'basis'", "inputs")),
        ("sm", {"form_factors": "hpqcd"}, errors.UnknownNameError, ("'hpqcd'", "hpqcd-2022")),
        ("sm", {"inputs": "eos"}, errors.UnknownNameError, ("'eos'", "eos-1.0.21")),
        (
            "vector",
            {"wilson_coefficients": "c.json"},
            errors.ParameterError,
            ("'vector'", "'wilson_coefficients'", "basis"),
        ),
        ("resonance", {"inputs": "standard"}, errors.ParameterError, ("no options",)),
        ("wet", {"wilson_coefficients": "no/such.json"}, errors.DataError, ("no/such.json",)),
    ],
)
def test_options_that_are_refused(name, options, kind, words):
    with pytest.raises(kind) as caught:
        models.load(name, **options)
    assert_sentence(caught, *words)


@pytest.mark.parametrize("name", ["wet", "wet-rhn", "vector", "fermion-pair"])
def test_complex_values(name):
    """Parameters are real; what is complex has a way in through `wilson_coefficients`."""
    model = load(name)
    for p in model.parameters[:8]:
        given = start(model, **{p.name: 1.0 + 2.0j})
        with pytest.raises(errors.ParameterError) as caught:
            bknn.predict(model, params=given)
        assert_sentence(caught, f"{p.name!r}", "complex", "real")


def test_unknown_channel():
    with pytest.raises(errors.UnknownNameError) as caught:
        load("sm").spectrum({}, "B+ -> pi+")
    assert_sentence(caught, "'B+ -> pi+'", "'B+ -> K+'")
    assert len(CHANNELS) == 6


def test_conversions_that_cannot_be():
    model = load("vector")
    for given, basis, words in (
        ({"h_V": 1.0}, "cartesian", ("'cartesian'", "chiral", "parity")),
        ({"C_V_L": 1.0}, "parity", ("'C_V_L'", "h_V")),
    ):
        with pytest.raises(errors.UnknownNameError) as caught:
            model.convert(given, basis)
        assert_sentence(caught, *words)


@pytest.mark.slow
def test_inputs_can_be_differentiated():
    """A model of traced inputs: the rate goes like the squares of G_F, alpha, V_tb V_ts."""

    def rate(numbers):
        return jnp.sum(models.load("sm", inputs=numbers).spectrum({}, K).continuum(Q2))

    gradient = jax.grad(rate)(jax.tree.map(jnp.asarray, inputs.STANDARD))
    value = float(rate(inputs.STANDARD))
    for name, power in (("g_fermi", 2), ("alpha", 2), ("ckm", 2), ("x_t", 2), ("sin2_theta_w", -2)):
        expected = power * value / float(getattr(inputs.STANDARD, name))
        assert float(getattr(gradient, name)) == pytest.approx(expected, rel=1e-12)
    lifetime = float(inputs.STANDARD.lifetimes["B+"])
    assert float(gradient.lifetimes["B+"]) == pytest.approx(value / lifetime, rel=1e-12)
