"""Form factors against EOS 1.0.21 and flavio 2.7.1: their numbers, and their functions of ours."""

from __future__ import annotations

import importlib.resources
import importlib.util
import json
import re
from pathlib import Path

import numpy as np
import pytest

from bknn.form_factors import conversions, lattice, load

eos = pytest.importorskip("eos")
yaml = pytest.importorskip("yaml")

EOS_TRANSITION = {"B -> K": "B->K", "B -> K*": "B->K^*", "Bs -> phi": "B_s->phi"}
EOS_PARAMETER = {"f_plus": "f+", "f_0": "f0", "f_T": "fT"}
EOS_FUNCTION = {
    **{"f_plus": "f_+", "f_0": "f_0", "f_T": "f_T"},
    **{"A0": "A_0", "A1": "A_1", "A12": "A_12", "V": "V", "T1": "T_1", "T2": "T_2", "T23": "T_23"},
}
FILES = {"B -> K": "B-to-P", "B -> K*": "B-to-V", "Bs -> phi": "Bs-to-V"}
TRANSITIONS = tuple(EOS_TRANSITION)


def parameter(name: str) -> tuple[str, str]:
    """Return "f+", "1" for "f_0_1"."""
    form_factor, k = name.rsplit("_", 1)
    return EOS_PARAMETER.get(form_factor, form_factor), k


def points(one) -> np.ndarray:
    end = (one.series.mass_parent - one.series.mass_daughter) ** 2
    return np.array([0.0, 1e-3, 3.0, 0.5 * end, 0.999 * end])


def draws(one) -> list[np.ndarray]:
    rng = np.random.default_rng(3)
    return [one.mean, *rng.multivariate_normal(one.mean, one.covariance, size=3)]


def constraint(transition: str, name: str) -> dict:
    data = importlib.resources.files("_eos_data") / "constraints" / "theoretical"
    file = data / f"{FILES[transition]}-form-factors.yaml"
    return yaml.load(file.read_text(), Loader=yaml.CSafeLoader)[name]


def flavio_data() -> Path:
    """Of flavio without its import, which takes seconds."""
    spec = importlib.util.find_spec("flavio")
    if spec is None:
        pytest.skip("flavio is not installed")
    return Path(spec.origin).parent / "physics" / "data"


def agree_with_eos(one, parametrisation: str, names: list[str], scale=1.0, **settings) -> None:
    """Set EOS's parameters to ours times scale, compare all form factors at all points."""
    process = EOS_TRANSITION[one.transition]
    p, k = eos.Parameters(), eos.Kinematics(q2=0.0)
    for name, value in settings.items():
        p[name].set(value)
    options = eos.Options(**{"form-factors": parametrisation})
    functions = {
        name: eos.Observable.make(f"{process}::{EOS_FUNCTION[name]}(q2)", p, k, options)
        for name in one.series.form_factors
    }
    q2 = points(one)
    for drawn in draws(one):
        for name, value in zip(names, scale * drawn, strict=True):
            p[name].set(value)
        ours = one(q2, drawn)
        for i, x in enumerate(q2):
            k["q2"].set(x)
            for name, function in functions.items():
                assert float(ours[name][i]) == pytest.approx(function.evaluate(), rel=1e-12), name


@pytest.mark.parametrize(
    ("name", "transition"),
    [("flag-2021+hpqcd-2022", "B -> K"), *(("grvdv-2023", t) for t in TRANSITIONS)],
)
def test_bsz_of_eos(name, transition):
    one = load(name, transition)
    process = EOS_TRANSITION[transition]
    names = ["::alpha^{}_{}@BSZ2015".format(*parameter(n)) for n in one.parameter_names]
    agree_with_eos(one, "BSZ2015", [process + n for n in names])


@pytest.mark.parametrize("transition", TRANSITIONS)
def test_simplified_series_of_eos(transition):
    """EOS 1.0.21 does not split the bounds of spin 1 over three helicities, although the posterior
    that it quotes comes from split ones (with it, f_plus(0) of B -> K is 0.553): its outer
    functions for spin 1, and so its parameters, are smaller than ours by sqrt(3).
    """
    one = load("grvdv-2023-dispersive", transition)
    process = EOS_TRANSITION[transition]
    names = ["::a^{}_{}@BFW2010".format(*parameter(n)) for n in one.parameter_names]
    spin_0 = [n.startswith(("f_0", "A0")) for n in one.parameter_names]
    thresholds = {"tp": 30.261001} if transition == "B -> K" else {}
    thresholds = thresholds or {"tp_v": 30.261001, "tp_a": 31.764496}
    agree_with_eos(
        one,
        "BFW2010",
        [process + n for n in names],
        np.where(spin_0, 1.0, 3.0**-0.5),
        **{f"{process}::{name}@BFW2010": value for name, value in thresholds.items()},
    )


@pytest.mark.parametrize("transition", TRANSITIONS)
def test_numbers_of_the_dispersive_sets(transition):
    one = load("grvdv-2023-dispersive", transition)
    process = EOS_TRANSITION[transition]
    theirs = constraint(transition, f"{process}::FormFactors[parametric,BFW]@GRvDV:2023A")
    names = [process + "::a^{}_{}@BFW2010".format(*parameter(n)) for n in one.parameter_names]
    assert names == theirs["observables"]
    np.testing.assert_array_equal(one.mean, theirs["means"])
    np.testing.assert_array_equal(one.covariance, theirs["covariance"])


@pytest.mark.parametrize("name", ["flag-2021", "hpqcd-2022"])
def test_numbers_of_the_lattice(name):
    ours = lattice.load(name)
    theirs = constraint("B -> K", f"B->K::f_0+f_++f_T@{name.upper().replace('-', ':')}A")
    functions = [f"B->K::{EOS_FUNCTION[n]}(q2)" for n in ours.form_factors]
    assert functions == theirs["observables"]
    assert ours.q2.tolist() == [k["q2"] for k in theirs["kinematics"]]
    assert ours.mean.tolist() == theirs["means"]
    if "covariance" in theirs:
        np.testing.assert_array_equal(ours.covariance, theirs["covariance"])
    else:
        sigma = theirs["sigma-stat-hi"]
        np.testing.assert_allclose(
            ours.covariance, np.outer(sigma, sigma) * theirs["correlations"], rtol=1e-15
        )


def points_of_eos(name: str, transition: str) -> lattice.Constraint:
    """A constraint of EOS, or its part of one transition."""
    theirs = constraint(transition, name)
    process = EOS_TRANSITION[transition] + "::"
    own = [i for i, o in enumerate(theirs["observables"]) if o.startswith(process)]
    ours = {f"{process}{f}(q2)": n for n, f in EOS_FUNCTION.items()}
    return lattice.Constraint(
        name,
        transition,
        "",
        tuple(ours[theirs["observables"][i]] for i in own),
        np.array([theirs["kinematics"][i]["q2"] for i in own]),
        np.array(theirs["means"])[own],
        np.array(theirs["covariance"])[np.ix_(own, own)],
    )


def test_sum_rules_and_lattice_of_k_star():
    stored = load("bgmt-2025+lattice", "B -> K*")
    lattices = ("V+A_0+A_1+A_12", "T_1+T_2+T_23")
    points = [points_of_eos(f"B->K^*::{x}@HLMW:2015A", "B -> K*") for x in lattices]
    fit = lattice.fit(stored.series, [lattice.load("bgmt-2025-kstar"), *points])
    np.testing.assert_allclose(fit.mean, stored.mean, rtol=1e-7)
    np.testing.assert_allclose(fit.covariance, stored.covariance, rtol=1e-6, atol=1e-12)
    assert (round(fit.chi2, 2), fit.degrees_of_freedom) == (48.90, 98)


@pytest.mark.parametrize(
    ("name", "transition", "theirs"),
    [
        ("bgmt-2025", "B -> K", "B_(s)->K::FormFactorsLCSR@BGMT:2025A"),
        ("bgmt-2025-kstar", "B -> K*", "B_(s)->K^*::FormFactorsLCSR@BGMT:2025A"),
    ],
)
def test_numbers_of_the_sum_rules(name, transition, theirs):
    try:
        peer = points_of_eos(theirs, transition)
    except KeyError:
        pytest.skip("EOS has these sum rules from version 1.1 on")
    ours = lattice.load(name)
    assert ours.form_factors == peer.form_factors
    assert ours.q2.tolist() == peer.q2.tolist()
    assert ours.mean.tolist() == peer.mean.tolist()
    np.testing.assert_allclose(ours.covariance, peer.covariance, rtol=1e-12)


def test_lattice_fit_is_the_posterior_of_eos():
    """-2 log L of EOS's two constraints is a paraboloid: ours, everywhere."""
    one = load("flag-2021+hpqcd-2022", "B -> K")
    names = ["B->K::alpha^{}_{}@BSZ2015".format(*parameter(n)) for n in one.parameter_names]
    analysis = eos.Analysis(
        priors=[{"parameter": n, "min": -9.0, "max": 9.0, "type": "uniform"} for n in names],
        likelihood=["B->K::f_0+f_++f_T@FLAG:2021A", "B->K::f_0+f_++f_T@HPQCD:2022A"],
    )

    def twice_nll(values: np.ndarray) -> float:
        for name, value in zip(names, values, strict=True):
            analysis.parameters[name].set(value)
        return -2.0 * analysis._log_likelihood.evaluate()

    least = twice_nll(one.mean)
    for drawn in draws(one)[1:]:
        distance = drawn - one.mean
        expected = distance @ np.linalg.solve(one.covariance, distance)
        assert twice_nll(drawn) - least == pytest.approx(expected, rel=1e-7)


@pytest.mark.parametrize("transition", TRANSITIONS)
def test_numbers_of_grvdv(transition):
    one = load("grvdv-2023", transition)
    process = EOS_TRANSITION[transition]
    text = (flavio_data() / "arXiv-2305-06301v1" / "BSZ-parameters-N2.yaml").read_text()
    theirs = yaml.load(text, Loader=yaml.CSafeLoader)
    theirs = theirs[f"{process}::FormFactors[parametric,BSZ]@GRvDV:2023A"]
    names = [process + "::alpha^{}_{}@BSZ2015".format(*parameter(n)) for n in one.parameter_names]
    assert names == theirs["observables"]
    np.testing.assert_array_equal(one.mean, theirs["means"])
    np.testing.assert_array_equal(one.covariance, theirs["covariance"])


@pytest.mark.parametrize(("transition", "file"), [("B -> K*", "BKstar"), ("Bs -> phi", "Bsphi")])
def test_numbers_of_bsz(transition, file):
    one = load("bsz-2015", transition)
    path = flavio_data() / "arXiv-1503-05534v2" / f"{file}_LCSR-Lattice.json"
    theirs = json.loads(path.read_text())
    names = [re.fullmatch(r"(.*)_(\d)", n).groups() for n in one.parameter_names]
    for i, (a, k) in enumerate(names):
        assert one.mean[i] == theirs["central"][a][f"a{k}"]
        for j, (b, m) in enumerate(names):
            assert one.covariance[i, j] == theirs["covariance"][a + b][f"a{k}a{m}"]
    # What the set does not have is what relations give.
    assert theirs["correlation"]["A0A12"]["a0a0"] == 1.0
    assert theirs["correlation"]["T1T2"]["a0a0"] == 1.0


@pytest.fixture(scope="module")
def flavio():
    return pytest.importorskip("flavio")


def flavio_parameters(one, drawn: np.ndarray, process: str, masses: dict, kind: str) -> dict:
    numbers = {}
    for name, value in zip(one.parameter_names, drawn, strict=True):
        form_factor, k = parameter(name)
        numbers[f"{process} {kind} a{k}_{form_factor}"] = value
    return {**numbers, **masses}


@pytest.mark.parametrize(
    ("name", "transition"), [("bsz-2015", "B -> K*"), ("bsz-2015", "Bs -> phi")]
)
def test_bsz_of_flavio_for_vector_mesons(flavio, name, transition):
    from flavio.physics.bdecays.formfactors.b_v import bsz

    one = load(name, transition)
    process = transition.replace(" ", "")
    parent, daughter = {"B->K*": ("m_B0", "m_K*0"), "Bs->phi": ("m_Bs", "m_phi")}[process]
    poles = dict(one.series.poles)
    masses = {
        parent: one.series.mass_parent,
        daughter: one.series.mass_daughter,
        **{f"{process} BCL m0": poles["A0"], f"{process} BCL m1-": poles["V"]},
        f"{process} BCL m1+": poles["A1"],
    }
    theirs = {"m_B0": 5.27966, "m_K*0": 0.89555, "m_Bs": 5.36692, "m_phi": 1.019461}
    theirs |= {f"{process} BCL m0": 5.367, f"{process} BCL m1-": 5.415}
    theirs |= {f"{process} BCL m1+": 5.830}
    for drawn in draws(one):
        ours = one(points(one), drawn)
        for i, q2 in enumerate(points(one)):
            numbers = flavio_parameters(one, drawn, process, masses, "BSZ")
            for key, value in bsz.ff(process, float(q2), numbers, n=3).items():
                assert float(ours[key][i]) == pytest.approx(value, rel=1e-12), key
            # With its own masses and poles, flavio differs by less than a per cent.
            numbers = flavio_parameters(one, one.mean, process, theirs, "BSZ")
            for key, value in bsz.ff(process, float(q2), numbers, n=3).items():
                central = float(one(q2)[key])
                assert central == pytest.approx(value, rel=1e-2), key


def test_flavio_for_pseudoscalar_mesons(flavio):
    from flavio.physics.bdecays.formfactors.b_p import bcl, bsz

    for name, module, kind, more in (
        ("grvdv-2023", bsz, "BSZ", {}),
        ("hpqcd-2022", bcl, "BCL", {"t0": 0}),
    ):
        one = load(name, "B -> K")
        poles = dict(one.series.poles)
        masses = {
            "m_B0": one.series.mass_parent,
            "m_K0": one.series.mass_daughter,
            "B->K BCL m+": poles["f_plus"],
            "B->K BCL m0": poles["f_0"],
            "B->K BCL chL": getattr(one.series, "chiral_logarithm", 1.0),
        }
        for drawn in draws(one):
            numbers = flavio_parameters(one, drawn, "B->K", masses, kind)
            ours = one(points(one), drawn)
            for i, q2 in enumerate(points(one)):
                theirs = module.ff("B->K", float(q2), numbers, n=3, **more)
                for key, flavio_key in EOS_PARAMETER.items():
                    assert float(ours[key][i]) == pytest.approx(theirs[flavio_key], rel=1e-12)


def test_a2_and_t3_of_eos():
    one = load("grvdv-2023", "B -> K*")
    p, k = eos.Parameters(), eos.Kinematics(q2=7.0)
    for name, value in zip(one.parameter_names, one.mean, strict=True):
        p["B->K^*::alpha^{}_{}@BSZ2015".format(*parameter(name))].set(value)
    options = eos.Options(**{"form-factors": "BSZ2015"})
    values = one(7.0)
    at = {"parent": one.series.mass_parent, "daughter": one.series.mass_daughter}
    a2 = conversions.a2(7.0, values["A1"], values["A12"], **at)
    t3 = conversions.t3(7.0, values["T2"], values["T23"], **at)
    for ours, name in ((a2, "A_2"), (t3, "T_3")):
        theirs = eos.Observable.make(f"B->K^*::{name}(q2)", p, k, options).evaluate()
        assert float(ours) == pytest.approx(theirs, rel=1e-11)
