"""Conventions of Wilson coefficients against wilson (WCxf), flavio and EOS.

The rates of the two programs are compared with one formula that is written here, with their form
factors and inputs: what is tested is which coefficient, of which sign and flavour, they hear.
"""

from __future__ import annotations

import json
import re
from math import pi, sqrt
from types import SimpleNamespace

import numpy as np
import pytest

from bknn import errors, models
from bknn.inputs import EOS_1_0_21, FLAVIO_2_7_1, STANDARD
from bknn.models import wcxf
from bknn.models.wcxf import WilsonCoefficients
from bknn.models.wilson_coefficients import flavio_names

wilson = pytest.importorskip("wilson")

RNG = np.random.default_rng(2207)
SMEFT = {"eft": "SMEFT", "basis": "Warsaw", "scale": 91.1876}


def random_matrix() -> np.ndarray:
    return 3 * (RNG.normal(size=(3, 3)) + 1j * RNG.normal(size=(3, 3)))


# --- the format -----------------------------------------------------------------------------------


def test_names_and_flavours_of_the_flavio_basis():
    """Our reading of every name against the formula that the basis file has for it."""
    sector = wilson.wcxf.Basis["WET", "flavio"].sectors["sbnunu"]
    assert set(sector) == set(flavio_names())
    tex = {"C_L": r"s_L \\gamma\^\\mu b_L", "C_Lp": r"s_R \\gamma\^\\mu b_R"}
    flavour = (r"\\nu_e", r"\\nu_\\mu", r"\\nu_\\tau")
    norm = r"4G_F.*sqrt\{2\}.* V_\{tb\} V_\{ts\}\^\* .*e\^2.*16\\pi\^2"
    for name, (matrix, a, b) in flavio_names().items():
        formula = rf"{norm}.*{tex[matrix]}\)\(\\bar {flavour[a]} .*\(1-\\gamma_5\) {flavour[b]}\)"
        assert re.search(formula, sector[name]["tex"]), name


def test_where_the_sector_is():
    """No b quark below m_b; and the EOS basis of WCxf has not got it (if it has: see the docs)."""
    for eft in ("WET-4", "WET-3"):
        assert "sbnunu" not in wilson.wcxf.EFT[eft].sectors
    assert "sbnunu" not in wilson.wcxf.Basis["WET", "EOS"].sectors


@pytest.mark.parametrize("ending", ["json", "yaml"])
def test_wilson_reads_what_we_write(tmp_path, ending):
    ours = WilsonCoefficients.from_matrices({"C_L": random_matrix(), "C_Lp": random_matrix()})
    ours.save(tmp_path / f"c.{ending}")
    with (tmp_path / f"c.{ending}").open() as stream:
        theirs = wilson.wcxf.WC.load(stream)
    theirs.validate()
    assert theirs.scale == 4.8
    for name, (matrix, a, b) in flavio_names().items():
        assert theirs.dict[name] == ours.matrices[matrix][a, b]
    back = wcxf.load(theirs)
    for name in ("C_L", "C_Lp"):
        np.testing.assert_array_equal(back.matrices[name], ours.matrices[name])
        # and through an object that holds a WC
        held = wcxf.load(wilson.Wilson.from_wc(theirs))
        np.testing.assert_array_equal(held.matrices[name], ours.matrices[name])


# --- running and matching -------------------------------------------------------------------------


def matching_factor(inputs) -> float:
    """|C_L| of flavio for a coefficient of 1 GeV^-2 of (sbar_L g b_L)(nubar_L g nu_L)."""
    return sqrt(2) * pi / (2 * inputs.g_fermi * inputs.alpha * inputs.ckm)


@pytest.mark.parametrize(
    ("name", "matrix", "sign", "entries"),
    [
        ("lq1_1223", "C_L", 1, [(0, 1)]),
        ("lq3_3323", "C_L", -1, [(2, 2)]),
        ("ld_1323", "C_Lp", 1, [(0, 2)]),
        ("phiq1_23", "C_L", 1, [(0, 0), (1, 1), (2, 2)]),
        ("phiq3_23", "C_L", 1, [(0, 0), (1, 1), (2, 2)]),
        ("phid_23", "C_Lp", 1, [(0, 0), (1, 1), (2, 2)]),
    ],
)
def test_tree_level_matching(name, matrix, sign, entries):
    """arXiv:1409.4557: C_L from lq1 - lq3 and the Z (phiq1 + phiq3), C_Lp from ld and phid.

    V_tb V_ts* is negative, but for a phase of 19 mrad; down quarks are in their mass basis.
    """
    c = wcxf.from_smeft({name: 1e-8}, SMEFT["scale"], inputs=STANDARD)
    assert set(c.matrices) == {matrix}
    expected = np.zeros((3, 3), complex)
    for place in entries:
        expected[place] = -sign * matching_factor(STANDARD) * 1e-8 * np.exp(0.018728j)
    np.testing.assert_allclose(c.matrices[matrix], expected, rtol=1e-5, atol=1e-9)
    # Without inputs they are wilson's: alpha = 1/127.9, |V_tb V_ts*| = 0.04134.
    theirs = wcxf.from_smeft({name: 1e-8}, SMEFT["scale"]).matrices[matrix]
    point = wilson.Wilson({name: 1e-8}, **SMEFT).match_run(4.8, "WET", "flavio", ("sbnunu",))
    for flavio_name, (_, a, b) in flavio_names().items():
        if flavio_name.startswith("CL" if matrix == "C_L" else "CR"):
            assert theirs[a, b] == point[flavio_name]


def test_running_from_the_scale_of_new_physics():
    """A few per cent, from electroweak and top loops; QCD does not touch the vector currents."""
    low = wcxf.from_smeft({"lq1_2223": 1e-9}, SMEFT["scale"], inputs=STANDARD)
    high = wcxf.from_smeft({"lq1_2223": 1e-9}, 5000.0, inputs=STANDARD)
    ratio = high.matrices["C_L"][1, 1] / low.matrices["C_L"][1, 1]
    assert 1.01 < ratio.real < 1.05
    assert abs(ratio.imag) < 1e-3


def test_running_in_the_weak_effective_theory():
    content = {
        "eft": "WET",
        "basis": "flavio",
        "scale": 91.0,
        "values": {"CL_bsnuenumu": 2.0, "C9_bsmumu": 1.0},
    }
    c = wcxf.run(content, inputs=STANDARD)
    assert c.scale == 4.8
    assert c.matrices["C_L"][1, 0] == pytest.approx(2.0, rel=1e-12)
    same = wcxf.run(c, 4.2)
    assert same.scale == 4.2
    np.testing.assert_allclose(same.matrices["C_L"], c.matrices["C_L"], rtol=1e-12)
    eos = {"eft": "WET", "basis": "EOS", "scale": 80.0, "values": {"sbnunu::cVR": 1.5}}
    np.testing.assert_allclose(wcxf.run(eos).matrices["C_Lp"], -1.5 * np.eye(3), rtol=1e-12)


def test_another_basis():
    """JMS has coefficients in GeV^-2: the inputs decide what C_L is."""
    content = {"eft": "WET", "basis": "JMS", "scale": 4.8, "values": {"VnudLL_2323": 1e-9}}
    with pytest.raises(errors.DataError, match=r"wcxf\.run"):
        wcxf.load(content)
    c = wcxf.run(content, inputs=STANDARD).matrices["C_L"]
    assert abs(c[1, 2]) == pytest.approx(1e-9 * matching_factor(STANDARD), rel=1e-9)
    assert np.count_nonzero(c) == 1


#: {basis: name of a coefficient of nubar_mu nu_mu, |C_L| that 1e-9 of it is for STANDARD}
BASES = {
    "JMS": ("VnudLL_2223", 1e-9 * matching_factor(STANDARD)),
    "FlavorKit": ("FVLL_2322", 1e-9 * matching_factor(STANDARD)),
    # 4 G_F/sqrt2 nu1 (sbar g_m P_L b)(nubar g^m nu), whatever G_F is
    "Bern": ("nu1sbmumu", 1e-9 * 2 * pi / (STANDARD.alpha * STANDARD.ckm)),
}


@pytest.mark.parametrize("basis", BASES)
@pytest.mark.parametrize("scale", [4.8, 91.1876])
def test_a_model_takes_files_of_other_bases_and_scales(basis, scale, tmp_path):
    """Vector currents do not run, so that it is the same at every scale, but for QED."""
    name, expected = BASES[basis]
    path = tmp_path / "c.json"
    content = {"eft": "WET", "basis": basis, "scale": scale, "values": {name: 1e-9}}
    path.write_text(json.dumps(content))
    model = models.load("wet-rhn", wilson_coefficients=path)
    assert set(model.background) == {"C_L"}
    c = model.background["C_L"]
    # wilson's own G_F is that of the muon with another number of digits.
    assert abs(c[1, 1]) == pytest.approx(expected, rel=1e-5)
    assert np.count_nonzero(c) == 1
    assert model.notes == ()
    content["values"] = {}
    path.write_text(json.dumps(content))
    model = models.load("wet", wilson_coefficients=path)
    assert model.given["C_VL"] == pytest.approx(float(STANDARD.c_sm))
    assert "c.json has no coefficient of b -> s nu nubar" in model.notes[0]


@pytest.mark.parametrize(
    "content",
    [
        {**SMEFT, "values": {"lq1_9923": 1.0}},
        {**SMEFT, "basis": "Moscow", "values": {}},
    ],
)
def test_what_wilson_does_not_take(content):
    with pytest.raises(errors.DataError, match="is not what the package wilson can run"):
        wcxf.run(content)


# --- rates ----------------------------------------------------------------------------------------


def kallen(a: float, b: float, c: float) -> float:
    return a * a + b * b + c * c - 2 * (a * b + b * c + c * a)


def dbr_dq2(q2, c: WilsonCoefficients, inputs, f_plus, f_0=0.0, f_t=0.0) -> float:
    """B+ -> K+ nu nubar in GeV^-2: physics as in arXiv:1409.4557 and 2111.04327, our operators.

    A vector operator with (1-g5) has rate |C|^2 for each pair of flavours; a scalar or tensor one
    of two identical kinds of field has both orders, each half of the time: twice that of a pair.
    """
    m_b, m_k = inputs.masses["B+"], inputs.masses["K+"]
    size = kallen(m_b**2, m_k**2, q2)
    vector = c.matrix("C_L") + c.matrix("C_Lp") - inputs.c_sm * np.eye(3)
    scalar = c.matrix("C_LNV_SL") + c.matrix("C_LNV_SR")
    tensor = c.matrix("C_LNV_TL")

    def total(matrix):
        return (np.abs(matrix) ** 2).sum()

    norm = (inputs.g_fermi * inputs.alpha * inputs.ckm) ** 2 / (768 * pi**5 * m_b**3)
    amplitudes = (
        size * f_plus**2 * total(vector)
        + 2
        * 1.5
        * q2
        * (m_b**2 - m_k**2) ** 2
        * (f_0 / (inputs.mass_b - inputs.mass_s)) ** 2
        * total(scalar)
        + 2 * 8 * q2 * size * (f_t / (m_b + m_k)) ** 2 * total(tensor)
    )
    return inputs.lifetimes["B+"] * norm * sqrt(size) * amplitudes


POINTS = {
    "standard model": {},
    "C_L, universal": {"C_L": (-2.3 + 0.7j) * np.eye(3)},
    "C_Lp, universal": {"C_Lp": 3.1 * np.eye(3)},
    "both": {"C_L": 1.5 * np.eye(3), "C_Lp": (-4.0 + 2j) * np.eye(3)},
    "flavours": {"C_L": random_matrix(), "C_Lp": random_matrix()},
}


@pytest.mark.parametrize("point", POINTS)
def test_flavio(point):
    """C_L is flavio's CL, C_Lp its CR, with alpha at its scale of 4.8 GeV."""
    flavio = pytest.importorskip("flavio")
    ours = WilsonCoefficients.from_matrices(POINTS[point])
    theirs = flavio.WilsonCoefficients()
    content = ours.to_dict("flavio")
    if content["values"]:
        theirs.set_initial_wcxf(wilson.wcxf.WC(**content))
        assert np.array_equal(wcxf.load(theirs).matrix("C_L"), ours.matrix("C_L"))
    parameters = flavio.default_parameters.get_central_all()
    name = "B->K form factor"
    for q2 in (0.5, 11.0, 22.0):
        f_plus = flavio.classes.AuxiliaryQuantity[name].prediction(parameters, None, q2=q2)["f+"]
        expected = dbr_dq2(q2, ours, FLAVIO_2_7_1, f_plus)
        rate = flavio.np_prediction("dBR/dq2(B+->Knunu)", theirs, q2)
        assert rate == pytest.approx(expected, rel=1e-8)


EOS_POINTS = {
    **{name: point for name, point in POINTS.items() if name != "flavours"},
    "scalar": {"C_LNV_SL": 2.0 * np.eye(3), "C_LNV_SR": (0.5 - 1j) * np.eye(3)},
}


def eos_observable(name: str, coefficients: dict[str, complex], q2: float) -> float:
    eos = pytest.importorskip("eos")
    parameters = eos.Parameters.Defaults()
    for key, value in coefficients.items():
        parameters[f"sbnunu::Re{{c{key[2:]}}}"].set(value.real)
        parameters[f"sbnunu::Im{{c{key[2:]}}}"].set(value.imag)
    options = eos.Options(**{"form-factors": "BSZ2015", "model": "WET"})
    return eos.Observable.make(name, parameters, eos.Kinematics(q2=q2), options).evaluate()


@pytest.mark.parametrize("point", [*EOS_POINTS, "tensor"])
def test_eos(point):
    """C(EOS) = -C(here), the standard model inside; scalars and the tensor violate lepton number.

    The matrices of the tensor are those that `from_eos` chooses for one C_TL.
    """
    if point == "tensor":
        ours = WilsonCoefficients.from_eos({"C_TL": 3.0 - 1j, "C_VR": 1.0})
    else:
        ours = WilsonCoefficients.from_matrices(EOS_POINTS[point], scale=4.2)
    theirs = ours.universal_eos(EOS_1_0_21)
    for q2 in (0.5, 11.0, 22.0):
        f_plus, f_0, f_t = (eos_observable(f"B->K::f_{i}(q2)", {}, q2) for i in ("+", "0", "T"))
        expected = dbr_dq2(q2, ours, EOS_1_0_21, f_plus, f_0, f_t)
        rate = eos_observable("B->Knunu::dBR/dq2", theirs, q2)
        assert rate == pytest.approx(expected, rel=1e-7)


def test_one_physics_in_flavio_and_eos():
    """The ratio to the standard model, where form factors cancel, at the same C_SM.

    B -> K* separates C_L - C_Lp: each program's rate is a |C_L + C_Lp|^2 + b |C_L - C_Lp|^2 with
    its own a, b; found at two points they give the third.
    """
    flavio = pytest.importorskip("flavio")
    c_sm = FLAVIO_2_7_1.c_sm
    q2 = 8.0

    def in_flavio(observable, coefficients):
        point = flavio.WilsonCoefficients()
        point.set_initial_wcxf(wilson.wcxf.WC(**coefficients.to_dict("flavio")))
        return flavio.np_prediction(observable, point, q2)

    def in_eos(observable, coefficients):
        return eos_observable(observable, coefficients.universal_eos(FLAVIO_2_7_1), q2)

    def universal(left, right):
        return WilsonCoefficients.from_matrices(
            {"C_L": left * np.eye(3), "C_Lp": right * np.eye(3)}
        )

    tiny = universal(1e-12, 0)
    left, right = -2.0 + 1.0j, 3.5 - 0.5j
    new = universal(left, right)
    k = in_flavio("dBR/dq2(B+->Knunu)", new) / in_flavio("dBR/dq2(B+->Knunu)", tiny)
    assert k == pytest.approx(abs(left + right - c_sm) ** 2 / c_sm**2, rel=1e-8)
    name = "B->Knunu::dBR/dq2"
    assert in_eos(name, new) / in_eos(name, tiny) == pytest.approx(k, rel=1e-8)

    plus, minus = universal(c_sm / 2, c_sm / 2), universal(c_sm / 2, -c_sm / 2)
    for ask, name in ((in_flavio, "dBR/dq2(B0->K*nunu)"), (in_eos, "B->K^*nunu::dBR/dq2")):
        # C_L + C_Lp vanishes at `plus`, C_L - C_Lp at `minus`; the other is c_sm
        b, a = ask(name, plus) / c_sm**2, ask(name, minus) / c_sm**2
        expected = a * abs(left - c_sm + right) ** 2 + b * abs(left - c_sm - right) ** 2
        assert ask(name, new) == pytest.approx(expected, rel=1e-8)
        assert b > 2 * a  # most of K* is axial


def test_eos_takes_our_file():
    """`eos.Parameters.FromWCxf` adds what a WCxf object holds to the standard model."""
    eos = pytest.importorskip("eos")
    values = {"C_VL": 9.0 + 1j, "C_VR": -1.0, "C_SL": 0.5j, "C_SR": 2.0, "C_TL": 8.42}
    ours = WilsonCoefficients.from_eos(values, EOS_1_0_21)
    # not through wilson.Wilson, which does not let the names pass
    held = SimpleNamespace(wc=wilson.wcxf.WC(**ours.to_dict("EOS")))
    parameters = eos.Parameters.FromWCxf(held)
    for name, value in values.items():
        assert parameters[f"sbnunu::Re{{c{name[2:]}}}"].evaluate() == pytest.approx(
            complex(value).real, rel=1e-14, abs=1e-14
        )
        assert parameters[f"sbnunu::Im{{c{name[2:]}}}"].evaluate() == pytest.approx(
            complex(value).imag, rel=1e-14, abs=1e-14
        )
    with pytest.raises(AssertionError, match="sbnunu::cVL"):
        wilson.Wilson(held.wc.dict, scale=4.2, eft="WET", basis="EOS")
