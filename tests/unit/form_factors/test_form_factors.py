"""Form factors: published numbers, exact relations, formulas written out again, bad input."""

from __future__ import annotations

import json

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bknn import errors
from bknn.form_factors import (
    BSZ,
    DEFAULTS,
    FormFactorSet,
    SimplifiedSeries,
    available,
    choose,
    conversions,
    hpqcd2022,
    lattice,
    load,
    read,
    sets,
)
from bknn.reading import user_files

pytestmark = pytest.mark.usefixtures("quick_compilation")

SETS = [(name, transition) for name, has in available().items() for transition in has]
POLES = {"f_plus": 5.415, "f_0": 5.630, "f_T": 5.415}


@pytest.fixture(params=SETS, ids=lambda p: f"{p[0]} {p[1]}")
def one(request) -> FormFactorSet:
    return load(*request.param)


def endpoint(one: FormFactorSet) -> float:
    return (one.series.mass_parent - one.series.mass_daughter) ** 2


def draw(one: FormFactorSet, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).multivariate_normal(one.mean, one.covariance)


def central(one: FormFactorSet, q2: np.ndarray, parameters=None) -> dict[str, np.ndarray]:
    parameters = one.mean if parameters is None else parameters
    return {name: r @ parameters for name, r in one.series.design(q2).items()}


def uncertainty(one: FormFactorSet, q2: np.ndarray) -> dict[str, np.ndarray]:
    return {
        name: np.sqrt(np.einsum("qi,ij,qj->q", r, one.covariance, r))
        for name, r in one.series.design(q2).items()
    }


# Published numbers


def test_the_sets_that_there_are():
    assert available() == {
        "bgmt-2025+lattice": ("B -> K", "B -> K*"),
        "bsz-2015": ("B -> K*", "Bs -> phi"),
        "flag-2021+hpqcd-2022": ("B -> K",),
        "grvdv-2023": ("B -> K", "B -> K*", "Bs -> phi"),
        "grvdv-2023-dispersive": ("B -> K", "B -> K*", "Bs -> phi"),
        "hpqcd-2022": ("B -> K",),
    }
    assert {t: s.name for t, s in choose().items()} == DEFAULTS


def test_hpqcd_table():
    """arXiv:2207.12468, table V: means and uncertainties of the coefficients."""
    one = load("hpqcd-2022", "B -> K")
    table = {
        "f_plus_0": (0.2545, 0.0090),
        "f_plus_1": (-0.71, 0.14),
        "f_plus_2": (0.32, 0.59),
        "f_0_1": (0.210, 0.076),
        "f_0_2": (0.02, 0.17),
        "f_T_0": (0.255, 0.018),
        "f_T_1": (-0.66, 0.23),
        "f_T_2": (0.36, 0.84),
    }
    assert one.parameter_names == tuple(table)
    mean, sigma = np.array(list(table.values())).T
    # The points behind the set are themselves averages over a few thousand samples.
    np.testing.assert_allclose((one.mean - mean) / sigma, 0.0, atol=0.05)
    np.testing.assert_allclose(np.sqrt(np.diag(one.covariance)), sigma, rtol=0.035)


def test_hpqcd_ancillary_coefficients():
    """The ancillary file's central values (as an EvtGen model quotes them), L included."""
    one = load("hpqcd-2022", "B -> K")
    ancillary = [
        *(0.2546162729845652, -0.7084710010870424, 0.3096901516968882),
        *(0.211016713841977, 0.02690776720598433),
        *(0.2549078414069112, -0.6549384905373116, 0.36265904141973127),
    ]
    scaled = np.array(ancillary) * 1.3036556717286227 / hpqcd2022.CHIRAL_LOGARITHM
    pull = (one.mean - scaled) / np.sqrt(np.diag(one.covariance))
    np.testing.assert_allclose(pull, 0.0, atol=0.02)


def test_hpqcd_form_factors():
    """Abstract and table of arXiv:2207.12468: f(0) and its uncertainty."""
    one = load("hpqcd-2022", "B -> K")
    value, sigma = central(one, np.zeros(1)), uncertainty(one, np.zeros(1))
    for name, published in {"f_plus": (0.332, 0.012), "f_T": (0.332, 0.024)}.items():
        assert float(value[name][0]) == pytest.approx(published[0], abs=5.1e-4)
        assert float(sigma[name][0]) == pytest.approx(published[1], abs=5.1e-4)


def test_hpqcd_null_spectrum_beside_the_set():
    """Two digits of the table against all of them: far below the uncertainty."""
    one = load("hpqcd-2022", "B -> K")
    q2 = np.linspace(0.0, endpoint(one), 9)
    values, sigma = central(one, q2), uncertainty(one, q2)
    for name in values:
        table = getattr(hpqcd2022, name)(q2)
        assert np.max(np.abs(values[name] - table) / sigma[name]) < 0.1
    np.testing.assert_allclose(hpqcd2022.f_plus(q2), values["f_plus"], rtol=1.5e-3)


def test_flag_and_hpqcd():
    """Mean, uncertainty and correlation that EOS's optimiser and an own fit once gave."""
    one = load("flag-2021+hpqcd-2022", "B -> K")
    mean = [0.3379744, -0.8845384, -0.1108608, 0.3742035]
    mean += [0.0787452, 0.3268882, -0.9624756, -0.2780235]
    np.testing.assert_allclose(one.mean, mean, atol=6e-8)
    sigma = np.sqrt(np.diag(one.covariance))
    reference = [0.010544, 0.098392, 0.261355, 0.079813, 0.148613, 0.021722, 0.178569, 0.380602]
    np.testing.assert_allclose(sigma, reference, atol=6e-7)
    correlation = one.covariance / np.outer(sigma, sigma)
    first = [1.0, 0.7001, 0.3785, 0.9432, 0.8480, 0.4090, 0.3308, 0.2125]
    last = [0.2125, 0.4226, 0.4527, 0.2336, 0.2354, 0.7092, 0.9145, 1.0]
    np.testing.assert_allclose(correlation[[0, -1]], [first, last], atol=6e-5)
    q2 = np.array([0.0, 5.0, 10.0, 15.0, 20.0, 22.0])
    published = {
        "f_plus": [0.33797, 0.44993, 0.63011, 0.95606, 1.67977, 2.27239],
        "f_0": [0.33797, 0.38364, 0.44637, 0.53933, 0.69559, 0.79493],
        "f_T": [0.32689, 0.44000, 0.62175, 0.94952, 1.67346, 2.26353],
    }
    for name, values in central(one, q2).items():
        np.testing.assert_allclose(values, published[name], atol=6e-6)


@pytest.mark.parametrize(
    ("name", "constraints", "chi2", "points"),
    [
        ("flag-2021+hpqcd-2022", ("flag-2021", "hpqcd-2022"), 4.840, 16),
        ("hpqcd-2022", ("hpqcd-2022",), 0.0, 8),
        ("bgmt-2025+lattice", ("bgmt-2025", "flag-2021", "hpqcd-2022"), 6.151, 30),
    ],
)
def test_stored_fits_are_fresh_fits(name, constraints, chi2, points):
    stored = load(name, "B -> K")
    fit = lattice.fit(stored.series, [lattice.load(c) for c in constraints])
    np.testing.assert_allclose(fit.mean, stored.mean, rtol=1e-9)
    np.testing.assert_allclose(fit.covariance, stored.covariance, rtol=1e-8, atol=1e-14)
    assert fit.chi2 == pytest.approx(chi2, abs=5e-4)
    assert fit.degrees_of_freedom == points - 8


def test_sum_rules_and_lattice_agree_with_the_older_analysis():
    """arXiv:2305.06301 has the same lattice results for K*, and older sum rules."""
    new, old = load("bgmt-2025+lattice", "B -> K*"), load("grvdv-2023", "B -> K*")
    q2 = np.array([0.0, 8.0, 19.0])
    for name, values in central(new, q2).items():
        np.testing.assert_allclose(values, central(old, q2)[name], rtol=0.06, err_msg=name)
    # Sum rules say little about f_plus, where the lattice is precise, and halve that of f_T.
    narrow, wide = load("bgmt-2025+lattice", "B -> K"), load("flag-2021+hpqcd-2022", "B -> K")
    where = [narrow.parameter_names.index(n) for n in ("f_plus_0", "f_T_0")]
    ratio = np.sqrt(np.diag(narrow.covariance) / np.diag(wide.covariance))[where]
    np.testing.assert_allclose(ratio, [0.83, 0.51], atol=0.01)


def test_bsz_2015_keeps_the_published_ratio():
    """A12_0 and A0_0 of the ancillary files, arXiv:1503.05534v2."""
    for transition, a12, a0 in (
        ("B -> K*", 0.265375, 0.369196),
        ("Bs -> phi", 0.267053, 0.421328),
    ):
        values = load("bsz-2015", transition)(0.0)
        assert float(values["A0"]) == pytest.approx(a0, rel=1e-12)
        assert float(values["A12"]) == pytest.approx(a12, rel=3e-6)


def test_dispersive_is_the_analysis_behind_grvdv():
    """Two parametrisations of one analysis, arXiv:2305.06301: values and uncertainties agree."""
    for transition in ("B -> K", "B -> K*", "Bs -> phi"):
        bsz = load("grvdv-2023", transition)
        dispersive = load("grvdv-2023-dispersive", transition)
        # Not up to the endpoint, where only one of them has the relations of vector mesons.
        q2 = np.linspace(0.0, 0.9 * endpoint(bsz), 7)
        value, again = central(bsz, q2), central(dispersive, q2)
        sigma, other = uncertainty(bsz, q2), uncertainty(dispersive, q2)
        for name in value:
            pull = np.abs(again[name] - value[name]) / sigma[name]
            assert np.max(pull) < (1.25 if transition == "B -> K" else 0.65), name
            ratio = other[name] / sigma[name]
            assert np.all((ratio > 0.65) & (ratio < 1.25)), name


# Exact relations


def test_relations_at_zero(one):
    values = {name: v[0] for name, v in central(one, np.zeros(1), draw(one)).items()}
    if one.transition == "B -> K":
        assert values["f_0"] == pytest.approx(values["f_plus"], rel=1e-14)
        return
    m, v = one.series.mass_parent, one.series.mass_daughter
    assert values["T2"] == pytest.approx(values["T1"], rel=1e-14)
    assert values["A12"] == pytest.approx(values["A0"] * (m**2 - v**2) / (8 * m * v), rel=1e-13)


@pytest.mark.parametrize("transition", ["B -> K*", "Bs -> phi"])
def test_relations_at_the_endpoint(transition):
    """There A12 and A1, T23 and T2 are one amplitude each, so A2 and T3 stay finite."""
    one = load("grvdv-2023-dispersive", transition)
    m, v, end = one.series.mass_parent, one.series.mass_daughter, endpoint(one)
    values = {name: x[0] for name, x in central(one, np.array([end]), draw(one)).items()}
    a12 = (m + v) * (m**2 - v**2 - end) / (16 * m * v**2) * values["A1"]
    t23 = (m + v) * (m**2 + 3 * v**2 - end) / (8 * m * v**2) * values["T2"]
    assert values["A12"] == pytest.approx(a12, rel=1e-12)
    assert values["T23"] == pytest.approx(t23, rel=1e-12)


def test_covariance_and_whitening(one):
    assert np.array_equal(one.covariance, one.covariance.T)
    sigma = np.sqrt(np.diag(one.covariance))
    assert np.linalg.eigvalsh(one.covariance / np.outer(sigma, sigma))[0] > 5e-5
    n = len(one.mean)
    np.testing.assert_array_equal(one.parameters(np.zeros(n)), one.mean)
    root = jax.jacfwd(one.parameters)(np.zeros(n))
    assert np.allclose(root, np.tril(root), atol=0)
    np.testing.assert_allclose(
        root @ root.T, one.covariance, rtol=1e-12, atol=1e-14 * np.max(sigma) ** 2
    )


@pytest.mark.parametrize(("name", "transition"), SETS[-2:])
def test_shapes(name, transition):
    one = load(name, transition)
    q2 = np.linspace(0.0, endpoint(one), 6)
    flat = central(one, q2)
    values = one(q2.reshape(2, 3))
    assert list(values) == list(one.series.form_factors)
    for ff, value in values.items():
        np.testing.assert_allclose(value, flat[ff].reshape(2, 3), rtol=1e-13)
    for ff, value in one(q2[4]).items():
        assert value.shape == ()
        np.testing.assert_allclose(value, flat[ff][4], rtol=1e-13)
    assert one(np.zeros((0,)))[ff].shape == (0,)


def test_batches_of_parameters():
    one = load("grvdv-2023", "B -> K")
    q2 = np.linspace(0.0, 22.0, 5)
    batch = np.stack([draw(one, seed) for seed in range(3)])
    values = jax.jit(jax.vmap(lambda p: one(q2, p)))(batch)
    for i, parameters in enumerate(batch):
        for name, value in one(q2, parameters).items():
            np.testing.assert_allclose(values[name][i], value, rtol=1e-13)


def test_a_set_is_a_constant():
    """It goes through jit as an argument, compares and hashes by its numbers."""
    one, same = load("hpqcd-2022", "B -> K"), sets._load.__wrapped__("hpqcd-2022", "B -> K")
    assert one == same
    assert hash(one) == hash(same)
    assert one != load("grvdv-2023", "B -> K")
    assert not jax.tree.leaves(one)
    assert float(eqx.filter_jit(lambda s, q2: s(q2)["f_0"])(one, 0.0)) == float(one(0.0)["f_0"])


def test_gradients(one):
    """Finite at q2 = 0 and at the endpoint, and right."""
    end, parameters = endpoint(one), draw(one)
    q2 = np.array([0.0, 0.4 * end, end])
    step = 1e-4
    slope = jax.jit(lambda x: jax.jvp(lambda y: one(y, parameters), (x,), (jnp.ones(3),))[1])
    above, below = one.series.design(q2 + step), one.series.design(q2 - step)
    for name, value in slope(q2).items():
        numerical = (above[name] - below[name]) @ parameters / (2 * step)
        np.testing.assert_allclose(value, numerical, rtol=1e-6)


def test_reverse_mode():
    one = load("grvdv-2023-dispersive", "B -> K")
    q2 = jnp.array([0.0, endpoint(one)])
    slopes = jax.jit(jax.grad(lambda x, p: jnp.sum(one(x, p)["f_0"]), (0, 1)))(q2, draw(one))
    assert all(np.isfinite(s).all() for s in slopes)
    np.testing.assert_allclose(slopes[1], one.series.design(q2)["f_0"].sum(0), rtol=1e-12)


# The formulas, written out again


def z(q2, t_plus, t_zero):
    a, b = np.sqrt(t_plus - q2 + 0j), np.sqrt(t_plus - t_zero)
    return (a - b) / (a + b)


def test_bsz_written_out():
    one = load("grvdv-2023", "B -> K*")
    p = dict(zip(one.parameter_names, draw(one), strict=True))
    q2 = np.linspace(-1.0, 19.0, 11)
    m, v = 5.279, 0.896
    t_plus, t_minus = (m + v) ** 2, (m - v) ** 2
    t_zero = t_plus * (1 - np.sqrt(1 - t_minus / t_plus))
    x = (z(q2, t_plus, t_zero) - z(0.0, t_plus, t_zero)).real
    p["A12_0"] = p["A0_0"] * (m**2 - v**2) / (8 * m * v)
    p["T2_0"] = p["T1_0"]
    poles = {"A0": 5.366, "V": 5.415, "T1": 5.415}
    values = one(q2, np.array([p[name] for name in one.parameter_names]))
    for name, value in values.items():
        series = p[f"{name}_0"] + p[f"{name}_1"] * x + p[f"{name}_2"] * x**2
        np.testing.assert_allclose(
            value, series / (1 - q2 / poles.get(name, 5.829) ** 2), rtol=1e-13
        )


def test_bcl_is_the_function_of_the_null_spectrum():
    one = load("hpqcd-2022", "B -> K")
    q2, p = np.linspace(0.0, 22.8, 7), draw(one)
    values = one(q2, p)
    np.testing.assert_allclose(
        values["f_plus"], hpqcd2022.f_plus(q2, coefficients=p[:3]), rtol=1e-13
    )
    np.testing.assert_allclose(
        values["f_0"], hpqcd2022.f_0(q2, coefficients=p[[0, 3, 4]]), rtol=1e-13
    )
    np.testing.assert_allclose(values["f_T"], hpqcd2022.f_T(q2, coefficients=p[5:]), rtol=1e-13)


def test_order_of_a_series():
    """A vanishing last coefficient of BSZ is one order less."""
    q2 = np.linspace(0.0, 22.0, 5)
    three = BSZ("B -> K", 5.279, 0.492, POLES)
    two = BSZ("B -> K", 5.279, 0.492, POLES, order=2)
    assert two.parameter_names == ("f_plus_0", "f_plus_1", "f_0_1", "f_T_0", "f_T_1")
    values = three(q2, [0.3, -0.9, 0.0, 0.4, 0.0, 0.3, -0.8, 0.0])
    for name, value in two(q2, [0.3, -0.9, 0.4, 0.3, -0.8]).items():
        np.testing.assert_allclose(value, values[name], rtol=1e-14)


def test_orthonormal_on_the_arc():
    series = load("grvdv-2023-dispersive", "B -> K*").series
    for name, t_plus in (("V", 30.261001), ("A1", 31.764496)):
        alpha = np.angle(z((5.279 + 0.896) ** 2, t_plus, 11.5))
        x, w = np.polynomial.legendre.leggauss(40)
        points = np.exp(1j * alpha * x)[:, None] ** np.arange(3)
        p = points @ series._polynomials(name).T
        inner = np.einsum("t,ti,tj->ij", alpha * w, p, p.conj())
        np.testing.assert_allclose(inner, np.eye(3), atol=1e-13)


def reference(transition: str, poles, parameters, **how) -> dict:
    series = SimplifiedSeries(transition=transition, poles=poles, order=2, **how)
    return series(np.array([-1.0, 1.0, 4.0, 25.0]), parameters)


# Columns: q2 = -1, 1, 4, 25 GeV^2; from the unit tests of the simplified series in EOS, where they
# come from an implementation by one of the authors.
def test_simplified_series_against_a_table_for_k():
    values = reference(
        "B -> K",
        {"f_plus": 5.416, "f_0": 5.711, "f_T": 5.416},
        [0.01, -0.02, 0.05, 0.03, -0.04],
        mass_parent=5.279,
        mass_daughter=0.492,
        thresholds=dict.fromkeys(POLES, (5.279 + 0.492) ** 2),
        t_zero=14.703305673,
        multiplicity=2,
    )
    table = {
        "f_0": [0.0916481, 0.0876659, 0.081212, -0.0220068],
        "f_plus": [0.0855434, 0.0941634, 0.110051, 1.12023],
        "f_T": [0.119334, 0.131088, 0.15294, 1.65961],
    }
    for name, published in table.items():
        np.testing.assert_allclose(values[name], published, rtol=2e-5)


def test_simplified_series_against_a_table_for_k_star():
    t_vector, t_axial = 30.261001, 31.764496
    values = reference(
        "B -> K*",
        {"A0": 5.367, **dict.fromkeys(("V", "T1"), 5.416)}
        | dict.fromkeys(("A1", "A12", "T2", "T23"), 5.750),
        # A0_0, A0_1, A1_1, A12_1, V_0, V_1, T1_0, T1_1, T2_1, T23_1
        [0.03, -0.04, 0.05, -0.06, 0.01, -0.02, 0.07, -0.08, 0.09, -0.10],
        mass_parent=5.279,
        mass_daughter=0.896,
        thresholds=dict.fromkeys(("V", "T1"), t_vector)
        | dict.fromkeys(("A0", "A1", "A12", "T2", "T23"), t_axial),
        t_zero=11.271194912,
        multiplicity=2,
    )
    table = {
        "V": [0.057080, 0.061331, 0.068976, 0.397226],
        "A0": [0.197014, 0.212504, 0.2407, 1.80208],
        "A1": [0.360964, 0.355625, 0.347392, 0.276115],
        "A12": [0.143508, 0.149035, 0.157662, 0.252678],
        "T1": [0.479676, 0.503824, 0.546488, 2.092917],
        "T2": [0.502260, 0.480413, 0.447007, 0.161138],
        "T23": [0.345526, 0.356229, 0.373785, 0.641210],
    }
    for name, published in table.items():
        np.testing.assert_allclose(values[name], published, rtol=2e-5)


def test_conversions():
    """Definitions of A12 and T23, arXiv:1503.05534, with the Kallen function multiplied out."""
    m, v = 5.279, 0.896
    q2 = np.linspace(0.0, 18.0, 5)
    a1, a2, t2, t3 = 0.3 + 0.01 * q2, 0.25 + 0.02 * q2, 0.3 + 0.01 * q2, 0.2 + 0.01 * q2
    k = m**4 + v**4 + q2**2 - 2 * (m**2 * v**2 + m**2 * q2 + v**2 * q2)
    a12 = ((m + v) ** 2 * (m**2 - v**2 - q2) * a1 - k * a2) / (16 * m * v**2 * (m + v))
    t23 = ((m**2 - v**2) * (m**2 + 3 * v**2 - q2) * t2 - k * t3) / (8 * m * v**2 * (m - v))
    at = {"parent": m, "daughter": v}
    np.testing.assert_allclose(conversions.a12(q2, a1, a2, **at), a12, rtol=1e-12)
    np.testing.assert_allclose(conversions.t23(q2, t2, t3, **at), t23, rtol=1e-12)
    np.testing.assert_allclose(conversions.a2(q2, a1, a12, **at), a2, rtol=1e-11)
    np.testing.assert_allclose(conversions.t3(q2, t2, t23, **at), t3, rtol=1e-11)


# Fits


def test_fit_of_a_constraint_that_is_the_truth():
    """Errors nothing but rounding: the parameters come back, of any series."""
    series = load("grvdv-2023-dispersive", "B -> K").series
    truth = np.array([0.01, -0.15, -0.01, -0.2, 0.1, 0.08, -0.3, -0.1])
    q2 = np.array([0.0, 10.0, 20.0] * 3)
    names = ("f_plus",) * 3 + ("f_0",) * 3 + ("f_T",) * 3
    values = series(q2, truth)
    mean = np.array([values[name][i] for i, name in enumerate(names)])
    made = lattice.Constraint("x", "B -> K", "", names, q2, mean, 1e-4 * np.eye(9))
    fit = lattice.fit(series, [made])
    np.testing.assert_allclose(fit.mean, truth, rtol=1e-7)
    assert fit.degrees_of_freedom == 1
    assert fit.chi2 < 1e-15


def test_fit_against_normal_equations():
    one = load("flag-2021+hpqcd-2022", "B -> K")
    constraint = lattice.load("flag-2021")
    a = lattice._design(one.series, constraint)
    inverse = np.linalg.inv(constraint.covariance)
    fit = lattice.fit(one.series, [constraint])
    expected = np.linalg.solve(a.T @ inverse @ a, a.T @ inverse @ constraint.mean)
    np.testing.assert_allclose(fit.mean, expected, rtol=1e-6)
    np.testing.assert_allclose(a @ fit.mean, constraint.mean, rtol=1e-9)  # 8 points, 8 parameters


def test_fits_that_cannot_be():
    points = lattice.load("flag-2021")
    with pytest.raises(errors.ParameterError, match=r"8 points.* do not determine the 11 "):
        lattice.fit(BSZ("B -> K", 5.279, 0.492, POLES, order=4), [points])
    with pytest.raises(errors.ParameterError, match=r"for B -> K, the series for B -> K\*"):
        lattice.fit(load("bsz-2015", "B -> K*").series, [points])
    with pytest.raises(errors.ParameterError, match="at least one constraint"):
        lattice.fit(load("hpqcd-2022", "B -> K").series, [])
    with pytest.raises(errors.UnknownNameError, match="'flag-2022'; did you mean 'flag-2021'"):
        lattice.load("flag-2022")


# Bad input


def test_unknown_names():
    with pytest.raises(
        errors.UnknownNameError, match="set 'hpqcd-2023'; did you mean 'hpqcd-2022'"
    ):
        load("hpqcd-2023", "B -> K")
    with pytest.raises(errors.UnknownNameError, match=r"unknown transition 'B -> k'.*'B -> K'"):
        load("hpqcd-2022", "B -> k")
    with pytest.raises(errors.UnknownNameError, match="nothing for Bs -> phi; take one of: bsz-20"):
        load("hpqcd-2022", "Bs -> phi")
    with pytest.raises(errors.UnknownNameError, match="form-factor set 'bzs-2015'; did you mean"):
        choose(["grvdv-2023", "bzs-2015"])
    with pytest.raises(errors.UnknownNameError, match=r"unknown transition 'B -> rho'"):
        BSZ("B -> rho", 5.279, 0.775, {})


def test_choose():
    mine = FormFactorSet("mine", BSZ("B -> K", 5.279, 0.492, POLES), np.zeros(8), np.eye(8))
    chosen = choose(["grvdv-2023-dispersive", mine, "bsz-2015"])
    assert {t: s.name for t, s in chosen.items()} == {
        "B -> K": "mine",
        "B -> K*": "bsz-2015",
        "Bs -> phi": "bsz-2015",
    }
    assert choose(mine)["B -> K"] is mine


def test_numbers_that_make_no_set():
    series = BSZ("B -> K", 5.279, 0.492, POLES)
    with pytest.raises(errors.ParameterError, match=r"'x', B -> K: .*\(7,\) and \(8, 8\).*8 param"):
        FormFactorSet("x", series, np.zeros(7), np.eye(8))
    with pytest.raises(errors.ParameterError, match="not finite"):
        FormFactorSet("x", series, np.full(8, np.nan), np.eye(8))
    with pytest.raises(errors.ParameterError, match="not symmetric"):
        FormFactorSet("x", series, np.zeros(8), np.eye(8) + np.diag(np.full(7, 0.1), 1))
    with pytest.raises(errors.ParameterError, match="not positive definite"):
        FormFactorSet("x", series, np.zeros(8), np.eye(8) - 0.2 * np.ones((8, 8)))
    with pytest.raises(errors.ParameterError, match=r"8 parameters \(f_plus_0.*is \(2, 8\); use"):
        load("grvdv-2023", "B -> K")(1.0, np.zeros((2, 8)))
    with pytest.raises(errors.ParameterError, match=r"poles .* for f_plus; needed are exactly"):
        BSZ("B -> K", 5.279, 0.492, {"f_plus": 5.4})
    with pytest.raises(errors.ParameterError, match=r"thresholds .* for nothing; needed are"):
        SimplifiedSeries("B -> K", 5.279, 0.492, POLES, thresholds={}, t_zero=14.7, multiplicity=2)


def text(**changes: str) -> str:
    entries = {
        "name": '"mine"',
        "transition": '"B -> K"',
        "source": '"me"',
        "parameters": json.dumps(list(BSZ("B -> K", 5.279, 0.492, POLES).parameter_names)),
        "mean": json.dumps([0.3] * 8),
        "uncertainty": json.dumps([0.1] * 8),
        "correlation": json.dumps(np.eye(8).tolist()),
        "parametrisation": '{ name = "bsz", mass_parent = 5.279, mass_daughter = 0.492, '
        "poles = { f_plus = 5.415, f_0 = 5.63, f_T = 5.415 } }",
        **changes,
    }
    return "\n".join(f"{key} = {value}" for key, value in entries.items() if value)


def test_own_file(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(text())
    mine = read(path)
    assert (mine.name, mine.transition, mine.source) == ("mine", "B -> K", "me")
    np.testing.assert_allclose(mine.covariance, 0.01 * np.eye(8))
    assert float(mine(0.0)["f_0"]) == 0.3


@pytest.mark.parametrize(
    ("changes", "error", "match"),
    [
        ({"name": ""}, errors.DataError, "'name' is missing"),
        ({"mean": "[0.1"}, errors.DataError, "a syntax error of TOML"),
        ({"parameters": '["a"]'}, errors.DataError, "parameters are a, but .* has f_plus_0"),
        ({"transition": '"B -> L"'}, errors.UnknownNameError, "'B -> L'; did you mean 'B -> K'"),
        ({"parametrisation": '{ name = "bzs" }'}, errors.UnknownNameError, "did you mean 'bsz'"),
        ({"parametrisation": '{ name = "bsz" }'}, errors.DataError, "mass_parent"),
        ({"mean": "[0.1]"}, errors.ParameterError, r"shapes \(1,\) and \(8, 8\)"),
    ],
)
def test_bad_files(tmp_path, changes, error, match):
    path = tmp_path / "mine.toml"
    path.write_text(text(**changes))
    with pytest.raises(error, match=match):
        read(path)


def test_no_file(tmp_path):
    with pytest.raises(errors.DataError, match="no such file"):
        read(tmp_path / "nothing.toml")


def test_every_file_says_where_it_comes_from():
    files = sorted(sets._DATA.rglob("*.toml"))
    assert len(files) == len(SETS) + len(lattice.available())
    for file in files:
        table = user_files.read_toml(file)
        assert "arXiv:" in table["source"], file
        assert "file" in table or "constraints" in table, file
        assert table["name"] in (file.stem, file.parent.name)
