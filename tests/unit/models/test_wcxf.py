"""Wilson coefficients: flavour matrices, the basis of EOS, WCxf files, and what can be wrong."""

from __future__ import annotations

import json
import math
import pickle
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from bknn import errors
from bknn.inputs import HPQCD_2022
from bknn.models import wcxf
from bknn.models.wcxf import Normalisation, WilsonCoefficients

C_SM = HPQCD_2022.x_t / HPQCD_2022.sin2_theta_w
RNG = np.random.default_rng(712)


def random_matrix() -> np.ndarray:
    return RNG.normal(size=(3, 3)) + 1j * RNG.normal(size=(3, 3))


def document(basis="flavio", eft="WET", scale=4.8, **values):
    return {"eft": eft, "basis": basis, "scale": scale, "values": values or {"CL_bsnuenue": 1.0}}


def same(one: WilsonCoefficients, other: WilsonCoefficients) -> bool:
    """Bit by bit."""
    return one.scale == other.scale and all(
        np.array_equal(one.matrix(name), other.matrix(name)) for name in wcxf.OPERATORS
    )


# --- files ----------------------------------------------------------------------------------------


def test_flavio_names_carry_nu_before_nubar():
    """The tex of wet.flavio.basis.json: CL_bsnuenumu is (nubar_mu ... nu_e)."""
    read = wcxf.load(document(CL_bsnuenumu=1.0, CR_bsnutaunue={"Re": 2.0, "Im": -3.0}))
    expected = np.zeros((3, 3))
    expected[1, 0] = 1.0
    np.testing.assert_array_equal(read.matrices["C_L"], expected)
    assert read.matrices["C_Lp"][0, 2] == 2 - 3j
    assert set(read.matrices) == {"C_L", "C_Lp"}


@pytest.mark.parametrize("ending", ["json", "yaml", "yml"])
def test_flavio_file_there_and_back(tmp_path, ending):
    if ending != "json":
        pytest.importorskip("yaml")
    written = WilsonCoefficients.from_matrices(
        {"C_L": random_matrix(), "C_Lp": 1e-17 * random_matrix().real}, scale=4.3
    )
    written.save(tmp_path / f"c.{ending}")
    assert same(wcxf.load(tmp_path / f"c.{ending}"), written)
    assert same(wcxf.load(str(tmp_path / f"c.{ending}")), written)


@pytest.mark.parametrize("ending", ["json", "yaml"])
def test_eos_file_there_and_back(tmp_path, ending):
    if ending != "json":
        pytest.importorskip("yaml")
    values = {"C_VR": 0.1 - 0.7j, "C_SL": 2.0 / 3.0, "C_SR": 1j / 7, "C_TL": -8.42}
    written = WilsonCoefficients.from_eos(values)
    written.save(tmp_path / f"c.{ending}", basis="EOS")
    read = wcxf.load(tmp_path / f"c.{ending}")
    assert read.scale == 4.2
    back = read.universal_eos(HPQCD_2022)
    assert back["C_VL"] == C_SM
    assert {name: back[name] for name in values} == pytest.approx(values, rel=4e-16)
    for name in ("C_VR", "C_SL", "C_SR"):
        assert back[name] == values[name]


def test_what_a_file_holds(tmp_path):
    """Zeros are left out, real numbers are numbers, and the names are those of each program."""
    coefficients = WilsonCoefficients.from_matrices(
        {"C_L": -0.5 * np.eye(3), "C_Lp": 2j * np.eye(3)}
    )
    flavio, eos = coefficients.to_dict("flavio"), coefficients.to_dict("EOS")
    assert (flavio["eft"], flavio["basis"], flavio["scale"]) == ("WET", "flavio", 4.8)
    assert flavio["values"]["CL_bsnumunumu"] == -0.5
    assert flavio["values"]["CR_bsnutaunutau"] == {"Re": 0.0, "Im": 2.0}
    assert len(flavio["values"]) == 6
    # EOS reads 4.2 GeV only, and vector operators do not run.
    assert (eos["eft"], eos["basis"], eos["scale"]) == ("WET", "EOS", 4.2)
    assert eos["values"] == {"sbnunu::cVL": 0.5, "sbnunu::cVR": {"Re": 0.0, "Im": -2.0}}
    coefficients.save(tmp_path / "c.json", basis="EOS")
    stored = json.loads((tmp_path / "c.json").read_text("utf-8"))
    assert stored == eos
    assert stored["metadata"]["generator"].startswith("bknn ")


def test_names_of_eos_parameters():
    """EOS's parameters are real and imaginary parts."""
    parts = document("EOS", scale=4.2, **{"sbnunu::Re{cSL}": 1.5, "sbnunu::Im{cSL}": -2.0})
    whole = document("EOS", scale=4.2, **{"sbnunu::cSL": {"Re": 1.5, "Im": -2.0}})
    assert same(wcxf.load(parts), wcxf.load(whole))
    np.testing.assert_array_equal(wcxf.load(parts).matrices["C_LNV_SL"], (-1.5 + 2.0j) * np.eye(3))


def test_numbers_as_text(tmp_path):
    """YAML 1.1 reads 1e-3, without a point, as text."""
    pytest.importorskip("yaml")
    (tmp_path / "c.yaml").write_text(
        "eft: WET\nbasis: flavio\nscale: 4.8\nvalues:\n  CL_bsnuenue: 1e-3\n"
        "  CL_bsnumunumu:\n    Re: 2e0\n    Im: -1e-1\n"
    )
    np.testing.assert_array_equal(
        wcxf.load(tmp_path / "c.yaml").matrices["C_L"], np.diag([1e-3, 2 - 0.1j, 0])
    )


def test_objects_of_other_programs():
    """`WC` of wilson has the four attributes; `Wilson` and flavio's class hold one as `.wc`."""
    held = SimpleNamespace(**document(CL_bsnuenue=np.complex128(1 + 2j)))
    for given in (held, SimpleNamespace(wc=held)):
        assert wcxf.load(given).matrices["C_L"][0, 0] == 1 + 2j
    read = wcxf.load(held)
    assert wcxf.load(read) is read


def test_other_sectors_are_named():
    read = wcxf.load(document(CL_bsnuenue=1.0, C9_bsmumu=-1.0, CL_bdnuenue=3.0))
    assert read.ignored == ("C9_bsmumu", "CL_bdnuenue")
    assert list(read.to_dict()["values"]) == ["CL_bsnuenue"]


def test_no_values_is_the_standard_model():
    read = wcxf.load({**document(), "values": {}})
    assert read.matrices == {}
    assert read.universal_eos(HPQCD_2022, real=True) == {
        "C_VL": C_SM,
        "C_VR": 0.0,
        "C_SL": 0.0,
        "C_SR": 0.0,
        "C_TL": 0.0,
    }


# --- the basis of EOS -----------------------------------------------------------------------------


def test_eos_has_the_other_sign_and_the_standard_model():
    """H = -N (alpha/4pi) C (1-g5) here and +N (alpha/2pi) C P_L in EOS."""
    c = WilsonCoefficients.from_eos({"C_VL": C_SM + 2.0, "C_VR": 1.0}, HPQCD_2022)
    np.testing.assert_allclose(c.matrices["C_L"], -2.0 * np.eye(3), rtol=1e-15)
    np.testing.assert_array_equal(c.matrices["C_Lp"], -np.eye(3))
    assert c.universal_eos(HPQCD_2022, real=True)["C_VL"] == pytest.approx(C_SM + 2.0, rel=1e-15)


def test_tensor_is_antisymmetric_with_the_norm_of_three_flavours():
    c = WilsonCoefficients.from_eos({"C_TL": 3.0 + 4.0j}).matrices["C_LNV_TL"]
    np.testing.assert_array_equal(c, -c.T)
    assert (np.abs(c) ** 2).sum() == pytest.approx(3 * 25.0, rel=1e-15)
    s = WilsonCoefficients.from_eos({"C_SL": 3.0 + 4.0j}).matrices["C_LNV_SL"]
    assert (np.abs(s) ** 2).sum() == pytest.approx(3 * 25.0, rel=1e-15)


@pytest.mark.parametrize(
    ("matrices", "words"),
    [
        ({"C_L": np.diag([1, 1, 2])}, ["C_L differs between flavours", "[tau, tau]"]),
        ({"C_Lp": np.ones((3, 3))}, ["C_Lp differs between flavours"]),
        ({"C_LNV_SR": np.diag([0, 1, 0])}, ["C_LNV_SR differs"]),
        ({"C_LNV_TL": [[0, 1, 0], [-1, 0, 0], [0, 0, 0]]}, ["C_LNV_TL differs"]),
        ({"C_R": np.eye(3)}, ["C_R is (sbar g_mu P_L b)(nubar_a g^mu (1+g5) nu_b)"]),
        ({"C_SRR": np.eye(3), "C_L": np.diag([1, 0, 0])}, ["C_SRR is", "C_L differs"]),
    ],
)
def test_what_eos_cannot_hold(matrices, words):
    c = WilsonCoefficients.from_matrices(matrices, scale=4.2)
    for ask in (lambda: c.universal_eos(HPQCD_2022), lambda: c.to_dict("EOS")):
        with pytest.raises(errors.ParameterError) as raised:
            ask()
        message = sentence(raised)
        assert all(word in message for word in words), message


def test_complex_where_real_is_needed():
    c = WilsonCoefficients.from_eos({"C_VR": 1j, "C_SL": 1.0})
    with pytest.raises(errors.ParameterError, match="C_VR is complex, but real"):
        c.universal_eos(HPQCD_2022, real=True)
    assert c.universal_eos(HPQCD_2022)["C_VR"] == 1j


def test_eos_needs_the_standard_model():
    with pytest.raises(errors.ParameterError, match="pass `inputs`"):
        WilsonCoefficients.from_eos({"C_VL": 7.0})
    with pytest.raises(errors.UnknownNameError, match=r"did you mean .*'C_VL'"):
        WilsonCoefficients.from_eos({"C_V": 7.0}, HPQCD_2022)


def test_rescaled_keeps_the_amplitude():
    c = WilsonCoefficients.from_matrices({"C_L": random_matrix(), "C_R": random_matrix()})
    old, new = Normalisation(1.1663787e-5, 1 / 133, 0.0412), HPQCD_2022
    other = c.rescaled(old, new)
    for name in ("C_L", "C_R"):
        np.testing.assert_allclose(
            other.matrices[name] * new.g_fermi * new.alpha * new.ckm,
            c.matrices[name] * math.prod(old),
            rtol=1e-14,
        )


# --- matrices -------------------------------------------------------------------------------------


def test_matrices():
    c = WilsonCoefficients.from_matrices({"C_R": np.eye(3, dtype=int), "C_L": np.zeros((3, 3))})
    assert set(c.matrices) == {"C_R"}
    assert c.matrices["C_R"].dtype == np.complex128
    assert not c.matrix("C_L").any()
    with pytest.raises(ValueError, match="read-only"):
        c.matrices["C_R"][0, 0] = 2.0
    with pytest.raises(errors.UnknownNameError):
        c.matrix("C_LL")
    assert same(pickle.loads(pickle.dumps(c)), c)
    assert repr(c) == "WilsonCoefficients(scale=4.8, C_R[e, e]=1, C_R[mu, mu]=1, C_R[tau, tau]=1)"


@pytest.mark.parametrize(
    ("matrices", "words"),
    [
        ({"C_L": 1.0}, ["C_L has shape ()", "3 x 3", "np.eye(3)"]),
        ({"C_R": np.eye(2)}, ["C_R has shape (2, 2)"]),
        ({"C_R": [[1, 2, 3], [1, 2], [1]]}, ["C_R is not a matrix of numbers"]),
        ({"C_L": np.diag([1, np.nan, 1])}, ["C_L[mu, mu] is", "nan"]),
        ({"C_Lp": np.full((3, 3), np.inf)}, ["C_Lp[e, e]", "inf"]),
        ({"C_LNV_SL": [[0, 1, 0], [0, 0, 0], [0, 0, 0]]}, ["symmetric", "(C + C^T)/2"]),
        ({"C_LNV_TL": np.eye(3)}, ["antisymmetric", "(C - C^T)/2"]),
        ({"C_LP": np.eye(3)}, ["unknown Wilson coefficient 'C_LP'", "'C_Lp'"]),
    ],
)
def test_bad_matrices(matrices, words):
    with pytest.raises(errors.BknnError) as raised:
        WilsonCoefficients.from_matrices(matrices)
    message = sentence(raised)
    assert all(word in message for word in words), message


@pytest.mark.parametrize("scale", [91.1876, 1.0, 4.8j, math.nan, "b", True])
def test_bad_scale(scale):
    with pytest.raises(errors.BknnError, match="scale"):
        WilsonCoefficients.from_matrices({}, scale=scale)


# --- what is wrong with a file --------------------------------------------------------------------


def sentence(raised: pytest.ExceptionInfo) -> str:
    message = str(raised.value)
    assert message.endswith(".")
    assert "\n" not in message
    return message


BAD = {
    "SMEFT": (document("Warsaw", "SMEFT", 1e3, lq1_2223=1e-9), ["'SMEFT'", "wcxf.run("]),
    "WET-4": (document(eft="WET-4", scale=2.0), ["'WET-4'", "no b quark"]),
    "WET-3": (document(eft="WET-3"), ["'WET-3'", "no b quark"]),
    "theory": (document(eft="HEFT"), ["'HEFT'", "SMEFT"]),
    "basis": (document("JMS", VnudLL_1123=1.0), ["'JMS'", "flavio and EOS", "wcxf.run("]),
    "scale": (document(scale=91.1876), ["91.1876 GeV", "far from m_b", "4.8 GeV", "wcxf.run("]),
    "low scale": (document(scale=2), ["2 GeV", "far from m_b"]),
    "no scale": (document(scale=-4.8), ["-4.8", "positive"]),
    "complex scale": (document(scale=4.8j), ["4.8j", "positive"]),
    "text scale": (document(scale="mb"), ["scale is 'mb'", "not a number"]),
    "name": (document(CL_bsnueenue=1.0), ["unknown flavio coefficient", "'CL_bsnuenue'"]),
    "name of EOS": (
        document("EOS", scale=4.2, **{"sbnunu::cTR": 1.0}),
        ["unknown EOS coefficient", "'sbnunu::cTL'"],
    ),
    "NaN": (document(CL_bsnuenue=math.nan), ["CL_bsnuenue", "nan", "finite"]),
    "infinite": (document(CL_bsnuenue={"Re": 1, "Im": math.inf}), ["CL_bsnuenue", "finite"]),
    "too large": (document(CL_bsnuenue=10**400), ["CL_bsnuenue", "not a number"]),
    "text": (document(CL_bsnuenue="one"), ["CL_bsnuenue is 'one'", "not a number"]),
    "yes or no": (document(CL_bsnuenue=True), ["CL_bsnuenue is True", "not a number"]),
    "list": (document(CL_bsnuenue=[1, 2]), ["CL_bsnuenue", "not a number"]),
    "keys": (document(CL_bsnuenue={"re": 1}), ["CL_bsnuenue", '{"Re": ..., "Im": ...}']),
    "complex part": (
        document("EOS", scale=4.2, **{"sbnunu::Re{cVL}": {"Re": 1.0, "Im": 1.0}}),
        ["sbnunu::Re{cVL}", "1+1j is complex"],
    ),
    "twice": (
        document("EOS", scale=4.2, **{"sbnunu::Re{cVL}": 1.0, "sbnunu::cVL": 1.0}),
        ["sbnunu::Re{cVL}", "same coefficient"],
    ),
    "keys of the file": ({"basis": "flavio", "values": {}}, ["no eft, scale"]),
    "values": ({**document(), "values": [1.0]}, ["`values` must be a mapping"]),
    "no such thing": (3, ["the int is not in WCxf"]),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_content(case):
    content, words = BAD[case]
    with pytest.raises(errors.BknnError) as raised:
        wcxf.load(content)
    message = sentence(raised)
    assert all(word in message for word in words), message


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("c.json", None, ["c.json: no such file"]),
        ("c.json", "eft: WET", ["c.json: not JSON", ".yaml"]),
        ("c.json", "[1, 2]", ["does not hold a mapping"]),
        ("c.json", json.dumps(document(scale=2.0)), ["c.json is at 2 GeV"]),
        ("c.json", '{"eft": "WET"}', ["c.json is not in WCxf", "basis, scale, values"]),
        ("c.json", json.dumps(document(CL_bsnuenue=math.nan)), ["c.json: CL_bsnuenue is nan"]),
        ("c.yaml", "a: [1", ["c.yaml: not YAML"]),
        ("c.yaml", "just text", ["does not hold a mapping"]),
    ],
)
def test_bad_files(tmp_path, name, text, words):
    if name.endswith("yaml"):
        pytest.importorskip("yaml")
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(errors.DataError) as raised:
        wcxf.load(tmp_path / name)
    message = str(raised.value)
    assert "\n" not in message
    assert all(word in message for word in words), message


def test_what_a_file_cannot_hold(tmp_path):
    c = WilsonCoefficients.from_matrices({"C_R": np.eye(3), "C_LNV_SL": np.eye(3)})
    with pytest.raises(errors.ParameterError, match="would lose C_R, C_LNV_SL"):
        c.save(tmp_path / "c.json")
    with pytest.raises(errors.UnknownNameError, match="did you mean 'flavio'"):
        c.to_dict("Flavio")
    scalar = WilsonCoefficients.from_matrices({"C_LNV_SL": np.eye(3)})
    with pytest.raises(errors.ParameterError, match=r"at 4\.8 GeV.*at 4\.2 GeV.*run under QCD"):
        scalar.save(tmp_path / "c.json", basis="EOS")
    with pytest.raises(errors.ParameterError, match="91 GeV"):
        WilsonCoefficients.from_matrices({}).save(tmp_path / "c.json", scale=91)
    with pytest.raises(errors.DataError, match="JSON or YAML"):
        WilsonCoefficients.from_matrices({}).save(tmp_path / "c.txt")
    assert list(tmp_path.iterdir()) == []


def test_packages_that_are_missing(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "wilson", None)
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(errors.DataError, match=r'pip install "bknn\[wilson\]"') as raised:
        wcxf.from_smeft({"lq1_2223": 1e-9}, 1e3)
    sentence(raised)
    (tmp_path / "c.yaml").write_text("eft: WET")
    with pytest.raises(errors.DataError, match='pip install "pyyaml"') as raised:
        wcxf.load(tmp_path / "c.yaml")
    sentence(raised)


def test_run_refuses_before_it_needs_wilson(monkeypatch):
    monkeypatch.setitem(sys.modules, "wilson", None)
    with pytest.raises(errors.DataError, match="no b quark"):
        wcxf.run(document(eft="WET-3", scale=2.0))
    with pytest.raises(errors.ParameterError, match="1000 GeV"):
        wcxf.run(document(), scale=1000.0)
    with pytest.raises(errors.ParameterError, match="would lose C_LNV_SL"):
        wcxf.run(document("EOS", scale=80.0, **{"sbnunu::cSL": 1.0}))


# --- files of other sectors, bases and scales -----------------------------------------------------


@pytest.mark.parametrize(
    ("content", "ignored"),
    [
        (document(C9_bsmumu=1.0, C10_bsee=1.0), ("C9_bsmumu", "C10_bsee")),
        (document("EOS", scale=4.2, **{"cbenue::cVL": 1.0}), ("cbenue::cVL",)),
        ({**document(), "values": {}}, ()),
        (document(CL_bsnuenue=0.0), ()),
    ],
)
def test_a_file_of_other_sectors_is_the_standard_model(content, ignored):
    found = wcxf.load(content)
    assert (dict(found.matrices), found.ignored) == ({}, ignored)
    assert "no coefficient of b -> s nu nubar" in found.note
    assert "standard model" in found.note
    assert not wcxf.load(document(CL_bsnuenue=1.0)).note


def test_rounding_is_no_phase():
    """Imaginary parts, and differences between flavours, of the size of rounding."""
    values = {f"CL_bsnu{a}nu{a}": {"Re": 1.0, "Im": 1e-13} for a in ("e", "mu", "tau")}
    values["CL_bsnuenue"] = {"Re": 1.0 + 1e-12, "Im": -1e-14}
    c_vl = wcxf.load(document(**values)).universal_eos(HPQCD_2022, real=True)["C_VL"]
    assert c_vl == pytest.approx(HPQCD_2022.x_t / HPQCD_2022.sin2_theta_w - 1.0, rel=1e-11)
    part = {"sbnunu::Re{cVR}": {"Re": 2.0, "Im": 1e-15}}
    found = wcxf.load(document("EOS", scale=4.2, **part))
    assert found.universal_eos(HPQCD_2022, real=True)["C_VR"] == 2.0


def test_messages_name_the_file_and_its_coefficients(tmp_path):
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(document(CL_bsnuenue=1.0, CR_bsnuenumu={"Re": 0.0, "Im": 1.0})))
    with pytest.raises(errors.ParameterError) as raised:
        wcxf.load(path).universal_eos(HPQCD_2022, real=True)
    assert "mine.json (CL_bsnuenue, CR_bsnuenumu)" in sentence(raised)
    values = {f"CR_bsnu{a}nu{a}": {"Re": 0.0, "Im": 1.0} for a in ("e", "mu", "tau")}
    path.write_text(json.dumps(document(**values)))
    with pytest.raises(errors.ParameterError) as raised:
        wcxf.load(path).universal_eos(HPQCD_2022, real=True)
    message = sentence(raised)
    assert "mine.json (CR_bsnuenue, CR_bsnumunumu, CR_bsnutaunutau): C_VR is complex" in message
