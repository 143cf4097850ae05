"""The simplified likelihood: kernel, covariances, merging, each against another computation."""

from __future__ import annotations

import numpy as np
import pytest

import bknn
from bknn import errors, inference, models
from bknn.data import Density, Measurement
from bknn.derived.simplified import Background, SimplifiedLikelihood
from bknn.likelihood.histfactory import HistFactory
from bknn.likelihood.simplified import Information, constraints, eigenmodes, tangent
from bknn.response.kernel import InclusiveTagKernel
from bknn.standard_model import dbr_dq2

bknn.enable_x64()

pytestmark = pytest.mark.usefixtures("quick_compilation")

EDGES = np.array([-1.0, 4.0, 8.0, 25.0])
TRUE = np.array([0.0, 2.0, 4.0, 6.0, 10.0, 22.885])
DENSITY = np.array(
    [[6.0, 5.0, 2.0, 0.2, 0.0], [0.1, 2.0, 4.0, 6.0, 0.3], [0.0, 0.0, 0.2, 3.0, 4.0]]
)
SIGNAL = DENSITY.sum(axis=1)
ONE, TWO = np.array([300.0, 250.0, 200.0]), np.array([100.0, 150.0, 180.0])
SHIFTS = {
    "tilt": (np.array([20.0, 0.0, -15.0]), np.array([5.0, 2.0, -3.0]), 0.06 * SIGNAL),
    "bump": (np.array([0.0, 12.0, 0.0]), np.array([-4.0, 6.0, 1.0]), np.array([0.3, -0.2, 0.1])),
}
STATISTICS = np.array([6.0, 5.0, 7.0])
CONTROL = np.array([500.0, 800.0])
OBSERVED = {"CR": [530.0, 770.0], "SR": [455.0, 441.0, 380.0]}


def histosys(name, counts, shift):
    low, high = (counts - shift).tolist(), (counts + shift).tolist()
    return {"name": name, "type": "histosys", "data": {"lo_data": low, "hi_data": high}}


def made_up(norm=None) -> Measurement:
    """Everything linear in the nuisances, unless a normsys is asked for."""
    names = ("one", "two", "signal")
    samples = []
    for k, (name, counts) in enumerate(zip(names, (ONE, TWO, SIGNAL), strict=True)):
        modifiers = [histosys(n, counts, shifts[k]) for n, shifts in SHIFTS.items()]
        samples.append({"name": name, "data": counts.tolist(), "modifiers": modifiers})
    samples[1]["modifiers"].append(
        {"name": "stat", "type": "staterror", "data": STATISTICS.tolist()}
    )
    samples[2]["modifiers"].append({"name": "mu", "type": "normfactor", "data": None})
    control = [histosys("tilt", CONTROL, np.array([60.0, -40.0]))]
    if norm is not None:
        factor = {"name": "norm", "type": "normsys", "data": {"lo": 1 - norm, "hi": 1 + norm}}
        control.append(factor)
        samples[0]["modifiers"].append(factor)
    spec = {
        "version": "1.0.0",
        "channels": [
            {"name": "SR", "samples": samples},
            {
                "name": "CR",
                "samples": [{"name": "one", "data": CONTROL.tolist(), "modifiers": control}],
            },
        ],
        "observations": [{"name": c, "data": x} for c, x in OBSERVED.items()],
        "measurements": [{"name": "m", "config": {"poi": "mu", "parameters": []}}],
    }
    return Measurement(
        name="made-up",
        title="",
        workspace=spec,
        signal={"SR": "signal"},
        densities={"SR": Density(DENSITY, TRUE, np.zeros(3))},
        null_spectrum="hpqcd-2022",
        groups={"control": ("CR",)},
    )


def strength(measurement, **fixed):
    analysis = bknn.Analysis(models.load("signal-strength"), measurement)
    return inference.fit(analysis, fixed=fixed)


# The kernel ------------------------------------------------------------------------------------


def simulated(kernel, q2, n, rng):
    """q2_rec of decays with explicit three-momenta and a Lorentz boost."""
    energy = (kernel.mass_b**2 + kernel.mass_k**2 - q2) / (2 * kernel.mass_b)
    kaon = np.sqrt(energy**2 - kernel.mass_k**2) * directions(n, rng)
    gamma = kernel.sqrt_s / 2 / kernel.mass_b
    velocity = np.sqrt(1 - 1 / gamma**2) * directions(n, rng)
    boosted = gamma * (energy + np.sum(velocity * kaon, axis=1))
    smeared = kernel.resolution * rng.normal(size=n)
    return kernel.sqrt_s**2 / 4 + kernel.mass_k**2 - kernel.sqrt_s * boosted + smeared


def directions(n, rng):
    vectors = rng.normal(size=(n, 3))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.mark.parametrize("resolution", [0.0, 0.4])
def test_kernel_is_what_a_simulation_gives(resolution):
    kernel = InclusiveTagKernel(resolution=resolution)
    rng, n = np.random.default_rng(3), 100_000
    edges = np.array([-3.0, 0.0, 2.0, 3.5, 4.0, 5.0, 8.0, 25.0])
    q2 = np.array([0.0, 3.0, 4.4, 15.0])
    expected = np.asarray(kernel.fractions(q2, edges))
    assert expected.shape == (4, 7)
    for value, fractions in zip(q2, expected, strict=True):
        counts = np.histogram(simulated(kernel, value, n, rng), edges)[0]
        sigma = np.sqrt(np.maximum(n * fractions * (1 - fractions), 1.0))
        assert np.max(np.abs(counts - n * fractions) / sigma) < 4.5


def test_kernel_limits_and_derivatives():
    import jax

    box, smeared = InclusiveTagKernel(), InclusiveTagKernel(resolution=0.3)
    end = (box.mass_b - box.mass_k) ** 2
    # At the endpoint the kaon rests: no width is left but the resolution.
    assert float(box.half_width(end)) == 0.0
    assert box.fractions(end, [0.0, 22.0, 25.0]).tolist() == [0.0, 1.0]
    near = [float(smeared.cumulative(23.0, end - d)) for d in (1e-6, 1e-9, 0.0)]
    np.testing.assert_allclose(near, near[-1], atol=1e-5)
    # A narrow resolution is none.
    narrow = InclusiveTagKernel(resolution=1e-5)
    np.testing.assert_allclose(narrow.fractions(5.0, EDGES), box.fractions(5.0, EDGES), atol=1e-5)
    for kernel in (box, smeared):
        slope = jax.jit(jax.jacfwd(lambda x, k=kernel: k.fractions(x, EDGES)))
        moved = jax.jit(lambda x, k=kernel: k.fractions(x, EDGES))
        for q2 in (1.0, 3.7, 9.0):
            step = (moved(q2 + 1e-6) - moved(q2 - 1e-6)) / 2e-6
            np.testing.assert_allclose(slope(q2), step, atol=1e-7)
        assert np.isfinite(slope(end)).all()


@pytest.mark.slow
def test_density_of_an_efficiency():
    kernel = InclusiveTagKernel()

    def efficiency(q2):
        return 0.1 * np.exp(-q2 / 10.0)

    density = kernel.density(efficiency, EDGES, TRUE, null=dbr_dq2, produced=4e8)
    assert density.counts.shape == (3, 5)
    q2 = np.linspace(2.0, 4.0, 20_001)
    rate = 4e8 * efficiency(q2) * np.asarray(dbr_dq2(q2))
    for i in range(3):
        brute = np.trapezoid(rate * np.asarray(kernel.fractions(q2, EDGES))[:, i], q2)
        assert density.counts[i, 1] == pytest.approx(brute, rel=1e-5, abs=1e-9)


def test_kernel_refuses():
    with pytest.raises(errors.DataError, match="not enough for two B mesons"):
        InclusiveTagKernel(sqrt_s=10.5)
    with pytest.raises(errors.DataError, match="standard deviation"):
        InclusiveTagKernel(resolution=-1.0)
    kernel, options = InclusiveTagKernel(), {"null": dbr_dq2, "produced": 1.0}
    with pytest.raises(errors.DataError, match="Divide percent"):
        kernel.density(lambda q2: 5.0 + 0 * q2, EDGES, TRUE, **options)
    with pytest.raises(errors.DataError, match="edges of q2_rec"):
        kernel.density(lambda q2: 0 * q2, EDGES[::-1], TRUE, **options)


# Covariances -----------------------------------------------------------------------------------


def test_eigenmodes():
    rng = np.random.default_rng(0)
    root = rng.normal(size=(4, 4))
    covariance, scale = root @ root.T, np.array([1.0, 2.0, 3.0, 0.5])
    vectors, values = eigenmodes(covariance, scale, 0.0)
    again = (vectors * values) @ vectors.T * np.outer(scale, scale)
    np.testing.assert_allclose(again, covariance, rtol=1e-10)
    assert len(eigenmodes(covariance, scale, values[1])[1]) == 2
    with pytest.raises(errors.DataError, match="negative eigenvalue"):
        eigenmodes(np.diag([1.0, -1.0]), np.ones(2), 0.0)
    with pytest.raises(errors.DataError, match="not symmetric"):
        eigenmodes(np.array([[1.0, 0.5], [0.0, 1.0]]), np.ones(2), 0.0)
    with pytest.raises(errors.DataError, match="shape"):
        eigenmodes(np.ones((2, 3)), np.ones(2), 0.0)


def test_covariance_is_that_of_sampled_nuisances():
    simple = SimplifiedLikelihood.from_measurement(made_up(), at="nominal", smallest=0.0)
    rng, n = np.random.default_rng(1), 400_000
    a, b, *gamma = rng.normal(size=(5, n))
    shifts = [a[:, None] * SHIFTS["tilt"][k] + b[:, None] * SHIFTS["bump"][k] for k in range(3)]
    # pyhf: staterror factors have the relative uncertainty of the sample's nominal counts.
    two = (TWO + shifts[1]) * (1 + np.array(gamma).T * STATISTICS / TWO)
    sampled = np.cov((ONE + shifts[0] + two).T)
    # Channels are in alphabetical order: CR, SR.
    found = simple.covariance()[2:, 2:]
    np.testing.assert_allclose(found, sampled, rtol=0.02, atol=0.6)
    np.testing.assert_allclose(simple.covariance("signal")[2:, 2:], np.cov(shifts[2].T), rtol=0.02)
    assert simple.channels == {"CR": 2, "SR": 3}
    with pytest.raises(errors.UnknownNameError, match="unknown sample"):
        simple.covariance("three")


def test_tangent_against_finite_differences():
    pdf = HistFactory.from_workspace(made_up(norm=0.3).workspace)
    known = constraints(pdf)
    point = known.centre + 0.2
    samples = np.array(pdf.cells.sample)
    found = tangent(pdf, point, known, samples)
    step = 1e-6
    for k in range(pdf.size):
        move = step * np.eye(pdf.size)[k]
        change = (pdf.rates(point + move) - pdf.rates(point - move)) / (2 * step)
        slope = sum(x[:, k] for x in found.slopes.values())
        np.testing.assert_allclose(slope, change, rtol=1e-6, atol=1e-6)
    touch = sum(found.centre.values()) + sum(found.slopes.values()) @ (point - known.centre)
    np.testing.assert_allclose(touch, pdf.rates(point), rtol=1e-12)


def linear():
    """The made-up measurement without its product of statistics and shifts."""
    full = made_up()
    modifiers = full.workspace["channels"][0]["samples"][1]["modifiers"]
    modifiers[:] = [m for m in modifiers if m["type"] != "histosys"]
    return full


def test_background_and_signal_vary_together():
    simple = SimplifiedLikelihood.from_measurement(linear(), at="nominal", smallest=0.0)
    modes = [np.concatenate([m.shifts["background"], m.shifts["signal"]]) for m in simple.modes]
    expected = np.zeros((10, 10))
    for name, shifts in SHIFTS.items():
        control = np.array([60.0, -40.0]) if name == "tilt" else np.zeros(2)
        column = np.concatenate([control, shifts[0], np.zeros(2), shifts[2]])
        expected += np.outer(column, column)
    expected[2:5, 2:5] += np.diag(STATISTICS**2)
    np.testing.assert_allclose(np.transpose(modes) @ modes, expected, rtol=1e-9, atol=1e-9)
    apart = SimplifiedLikelihood.from_measurement(
        linear(), at="nominal", smallest=0.0, correlated=False
    )
    for sample in ("background", "signal"):
        np.testing.assert_allclose(
            apart.covariance(sample), simple.covariance(sample), rtol=1e-9, atol=1e-9
        )
    assert all(len(m.shifts) == 1 for m in apart.modes)
    # Two samples in the stack move as their sum does.
    names = {"first": ["one"], "second": ["two"]}
    stack = SimplifiedLikelihood.from_measurement(
        linear(), at="nominal", smallest=0.0, samples=names
    )
    np.testing.assert_allclose(stack.covariance(), simple.covariance(), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(sum(stack.backgrounds.values()), simple.backgrounds["background"])


@pytest.mark.slow
def test_what_is_linear_stays_what_it_is():
    """Same best fit, uncertainty and profile, with other nuisances."""
    full = linear()
    simple = SimplifiedLikelihood.from_measurement(full, at="nominal", smallest=0.0)
    grid = np.array([0.0, 1.0, 4.0])
    one, other = strength(full), strength(simple.measurement("simple"))
    assert float(other.params["mu"]) == pytest.approx(float(one.params["mu"]), rel=1e-7)
    sigma = float(one.uncertainties["mu"])
    assert float(other.uncertainties["mu"]) == pytest.approx(sigma, rel=1e-6)
    rise = [
        np.asarray(strength(m, mu=grid).twice_nll) for m in (full, simple.measurement("simple"))
    ]
    np.testing.assert_allclose(
        rise[1] - float(other.twice_nll), rise[0] - float(one.twice_nll), atol=1e-7
    )


def test_where_expected_counts_vanish():
    """Bins r0 = mu + 0.5 + 0.4 h, which is empty, and r1 = mu/2 + 3 + 0.6 h."""
    background, strength = np.array([0.5, 3.0]), {"name": "mu", "type": "normfactor", "data": None}
    moved = [histosys("h", background, np.array([0.4, 0.6]))]
    spec = {
        "version": "1.0.0",
        "channels": [
            {
                "name": "SR",
                "samples": [
                    {"name": "s", "data": [1.0, 0.5], "modifiers": [strength]},
                    {"name": "b", "data": background.tolist(), "modifiers": moved},
                ],
            }
        ],
        "observations": [{"name": "SR", "data": [0, 3]}],
        "measurements": [{"name": "m", "config": {"poi": "mu", "parameters": []}}],
    }
    pdf = HistFactory.from_workspace(spec)
    signal = np.array([sample == "s" for sample in pdf.cells.sample])
    every, one = np.ones(2, bool), np.zeros(2, int)
    known = Information(pdf, every, (), signal, one).knowledge(constraints(pdf))
    # At the edge mu = -0.5 - 0.4 h.
    h = np.linspace(-2, 2, 400_001)
    r1 = 2.75 + 0.4 * h
    expected = h[np.argmin(r1 - 3 * np.log(r1) + h**2 / 2)]
    where = pdf.slices["h"].start
    assert known.centre[where] == pytest.approx(expected, abs=2e-5)
    r1 = 2.75 + 0.4 * expected
    assert 1 / known.covariance[where, where] == pytest.approx(1 + 3 * 0.4**2 / r1**2, rel=1e-4)
    # Without a signal to follow, what the edge leaves of a nuisance is half a normal density.
    spec["channels"][0]["samples"][1]["data"] = [0.1, 3.0]
    moved[0]["data"] = {"lo_data": [-0.4, 3.0], "hi_data": [0.6, 3.0]}
    pdf = HistFactory.from_workspace(spec)
    part = Information(pdf, every, (), np.zeros(len(signal), bool), one - 1)
    fixed = constraints(pdf)
    fixed.centre[pdf.slices["mu"]] = 0.0
    with pytest.raises(errors.FitError, match=r"SR bin 0 .* is -0\.15 at the best"):
        part.knowledge(fixed)


@pytest.mark.slow
def test_controls_are_worth_what_they_count():
    """One control bin of n counts that is k percent of a nuisance: 1 + n k^2 in closed form."""
    spec = made_up(norm=0.3).workspace
    spec["channels"][1]["samples"][0]["modifiers"].pop(0)  # CR has the norm only
    spec["observations"][0]["data"] = [650.0, 1040.0]  # exactly one sigma up
    pdf = HistFactory.from_workspace(spec)
    counted = np.array([c == "CR" for c, n in pdf.channels.items() for _ in range(n)])
    cells = np.zeros(len(pdf.cells.bin), bool)
    part = Information(pdf, counted, (), cells, np.full(pdf.n_bins, -1))
    known, where = part.knowledge(constraints(pdf)), pdf.slices["norm"].start
    alpha = known.centre[where]
    assert 0.9 < alpha < 1.0
    rates = [
        np.asarray(pdf.rates(known.centre + d * np.eye(pdf.size)[where]))[counted]
        for d in (-1e-3, 0.0, 1e-3)
    ]
    n = np.array([650.0, 1040.0])
    value = [
        np.sum(r - n * np.log(r)) + (alpha + d) ** 2 / 2
        for r, d in zip(rates, (-1e-3, 0, 1e-3), strict=True)
    ]
    assert (value[2] - value[0]) / 2e-3 == pytest.approx(0.0, abs=2e-3)
    curvature = (value[2] - 2 * value[1] + value[0]) / 1e-6
    assert known.covariance[where, where] == pytest.approx(1 / curvature, rel=1e-4)
    # What the control region does not touch is as before.
    tilt = pdf.slices["tilt"].start
    assert known.covariance[tilt, tilt] == pytest.approx(1.0, rel=1e-9)


@pytest.mark.slow
def test_folding_controls_in_changes_little():
    full = made_up(norm=0.2)
    simple = SimplifiedLikelihood.from_measurement(full, controls=["control"], smallest=0.0)
    assert simple.channels == {"SR": 3}
    found, expected = strength(simple.measurement("s")), strength(full)
    assert float(found.params["mu"]) == pytest.approx(float(expected.params["mu"]), abs=0.05)
    sigma = float(expected.uncertainties["mu"])
    assert float(found.uncertainties["mu"]) == pytest.approx(sigma, rel=0.02)


@pytest.mark.slow
def test_merging():
    """Counts, signal and density add up; the shares tell what each bin told of the nuisances."""
    full = made_up(norm=0.2)
    merge = {"low": [{"SR": [0, 1]}, {"SR": [2]}]}
    simple = SimplifiedLikelihood.from_measurement(
        full, merge=merge, controls=["CR"], edges={"low": [-1.0, 8.0, 25.0]}, at="nominal"
    )
    assert simple.observed.tolist() == [896.0, 380.0]
    np.testing.assert_allclose(simple.densities["low"].counts.sum(axis=1), simple.signal)
    m = simple.measurement("merged")
    assert m.n_bins == 2
    assert m.decay("low") == "B+ -> K+"
    assert m.metadata["labels"]["axes"]["low"][0]["edges"] == [-1.0, 8.0, 25.0]
    assert simple.measurement("merged").sha256 == m.sha256 != ""
    assert repr(simple).startswith("SimplifiedLikelihood(2 bins, ")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"at": "here"}, "unknown point"),
        ({"controls": ["XR"]}, "unknown channel"),
        ({"merge": {"x": [{"SR": [0, 3]}]}}, "bins 0 to 2"),
        ({"merge": {"x": [{"SR": [0, 1]}]}}, "is used 0 times"),
        ({"merge": {"x": [{"SR": [0, 1]}, {"SR": [1, 2]}]}}, "is used 2 times"),
        ({"samples": {"signal": ["one"]}}, "cannot be named"),
        ({"samples": {"a": ["three"]}}, "unknown sample"),
        ({"samples": {"a": ["one"], "b": ["one"]}}, "count it once"),
        ({"at": "nominal", "edges": {"SR": [0.0, 1.0]}}, "one edge more"),
    ],
)
def test_refuses(options, words):
    with pytest.raises(errors.BknnError, match=words):
        SimplifiedLikelihood.from_measurement(made_up(), **options)


def test_refuses_free_backgrounds():
    full = made_up()
    full.workspace["channels"][1]["samples"][0]["modifiers"].append(
        {"name": "free", "type": "normfactor", "data": None}
    )
    with pytest.raises(errors.WorkspaceError, match=r"no constraint \(free\)"):
        SimplifiedLikelihood.from_measurement(full)


# From an efficiency ----------------------------------------------------------------------------


@pytest.mark.slow
def test_from_efficiency():
    statistics = np.diag([25.0, 16.0, 9.0])
    correlated = 0.01 * np.array([[1.0, 0.5, 0.2], [0.5, 1.0, 0.5], [0.2, 0.5, 1.0]])
    simple = SimplifiedLikelihood.from_efficiency(
        lambda q2: 0.05 * np.exp(-q2 / 12.0),
        EDGES,
        [455.0, 441.0, 380.0],
        {"one": Background(ONE, statistics, 0.1), "two": Background(TWO)},
        produced=4e8,
        signal_covariance=correlated,
        form_factor_covariance=4 * correlated,
        smallest=0.0,
    )
    np.testing.assert_allclose(
        simple.covariance("one"), statistics + 0.01 * np.outer(ONE, ONE), rtol=1e-9
    )
    square = np.outer(simple.signal, simple.signal)
    np.testing.assert_allclose(simple.covariance("signal"), 5 * correlated * square, rtol=1e-9)
    assert simple.norms == {"one": 0.1}
    assert len(simple.form_factor_modes) == 3
    m = simple.measurement("efficiency")
    values = {p: 0.0 for p in HistFactory.from_workspace(m.workspace).parameter_sets}
    pdf = HistFactory.from_workspace(m.workspace)
    shifted = values | {"mu": 2.0, "norm_one": 1.0, "shape_one_1": -1.5, "form_factor_1": 0.7}
    shifts = {mode.name: mode.shifts for mode in simple.modes}
    expected = (
        2.0 * (simple.signal + 0.7 * shifts["form_factor_1"]["signal"])
        + 1.1 * (ONE - 1.5 * shifts["shape_one_1"]["one"])
        + TWO
    )
    np.testing.assert_allclose(pdf.expected(shifted)["q2_rec"], expected, rtol=1e-12)
    # A new signal does without the form factors of the template.
    resonance = bknn.Analysis(models.load("resonance"), m)
    at = {**resonance.init, "mass": 2.0, "branching_ratio": 1e-5}
    counts = [
        np.asarray(resonance.rates(resonance.flatten(at | {"form_factor_1": x}))) for x in (0, 1)
    ]
    np.testing.assert_allclose(
        counts[1] - counts[0], shifts["form_factor_1"]["signal"], rtol=1e-9, atol=1e-12
    )
    efficiency = 0.05 * np.exp(-4.0 / 12.0)
    line = counts[0] - ONE - TWO - simple.signal
    fractions = np.asarray(InclusiveTagKernel().fractions(4.0, EDGES))
    np.testing.assert_allclose(line, 4e8 * 1e-5 * efficiency * fractions, rtol=2e-3, atol=0.2)


def test_from_efficiency_refuses():
    options = {"produced": 1.0}
    with pytest.raises(errors.DataError, match="one edge more"):
        SimplifiedLikelihood.from_efficiency(lambda q: 0 * q, EDGES, [1.0], {}, **options)
    with pytest.raises(errors.DataError, match="background 'b'"):
        SimplifiedLikelihood.from_efficiency(
            lambda q: 0 * q, EDGES, [1.0, 1.0, 1.0], {"b": Background([1.0])}, **options
        )
    with pytest.raises(errors.UnknownNameError, match="null spectrum"):
        SimplifiedLikelihood.from_efficiency(
            lambda q: 0 * q, EDGES, [1.0] * 3, {}, null_spectrum="flat", **options
        )
