"""Scenarios side by side and regions of couplings, on one made-up branching fraction each."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.stats import chi2

import bknn
from bknn import inference, models, plot, studies
from bknn.data import Measurement, Result
from bknn.models.scenarios import SCENARIOS, VIABLE, scenario
from bknn.questions.regions import regions_json, regions_table
from bknn.questions.scenarios import scenarios_json, scenarios_table

pytestmark = pytest.mark.usefixtures("quick_compilation")

K, KSTAR = "B+ -> K+", "B0 -> K*0"


def measured(name: str, channel: str, value: float, width: float) -> Measurement:
    result = Result(f"BR({channel})", value, width, width, {channel: 1.0})
    return Measurement(name, "made up", {}, results=(result,))


def test_every_scenario_is_one_of_its_model():
    for s in SCENARIOS.values():
        names = {p.name for p in models.load(s.model).parameters}
        assert {s.even, s.odd or s.even} <= names
        assert ("mass" in names) == s.mass
    assert set(VIABLE) <= set(SCENARIOS)
    with pytest.raises(bknn.errors.UnknownNameError, match="vector-V"):
        scenario("vector-v")


def test_scenarios_are_all_couplings_of_light_particles():
    """B -> K sees the first of each and not the second; no coupling is left out or comes twice."""
    by_model: dict[str, list] = {}
    for s in SCENARIOS.values():
        if s.mass:
            by_model.setdefault(s.model, []).append(s)
    assert set(by_model) == {"scalar", "vector"} | {
        f"{x}-pair" for x in ("scalar", "fermion", "vector", "gravitino")
    }
    for name, found in by_model.items():
        model = models.load(name)
        listed = [c for s in found for c in (s.even, s.odd) if c]
        assert sorted(listed) == sorted(c.name for c in model.couplings)

        def into_kaons(coupling, model=model):
            given = {p.name: p.init for p in model.parameters} | {"mass": 1.3}
            given |= {c.name: float(c.name == coupling) * c.start for c in model.couplings}
            new = model.spectrum(given, K)
            return sum(float(x.density(np.array(9.0))) for x in new.continua[1:]) + sum(
                float(x.branching_ratio) for x in new.lines
            )

        for s in found:
            assert into_kaons(s.even) > 0.0
            assert s.odd is None or into_kaons(s.odd) == 0.0


def test_many_scenarios_have_a_panel_for_each_final_state():
    """What `plot.scenarios` draws of made-up curves."""
    mass = np.linspace(0.1, 2.3, 5)

    def fake(s):
        curve = SimpleNamespace(axes=(mass,)) if s.mass else None
        best = SimpleNamespace(params={"mass": 0.3})
        return SimpleNamespace(scenario=s, curve=curve, deltas=-1.0 / mass, delta=-10.0, best=best)

    class Found:
        measurements = (measured("excess", K, 1.2e-5, 1e-6),)
        fits = {name: fake(s) for name, s in SCENARIOS.items()}  # noqa: RUF012

        def __getitem__(self, name):
            return self.fits[name]

    axes = plot.scenarios(Found()).axes
    assert len(axes) == 4
    labels = [text.get_text() for ax in axes for text in ax.get_legend().get_texts()]
    assert {label.partition(" (as ")[0] for label in labels} == {
        s.label for s in SCENARIOS.values()
    }
    # All curves are the same here: the legend says so, and none hides the others.
    assert r"$V$, $h_V$ (as $\phi$, $g_S$)" in labels
    few = plot.scenarios(Found(), names=("scalar", "vector-V", "vector-T")).axes[0]
    curves = [line for line in few.lines if len(line.get_xdata()) > 2]
    # They go through the best mass, which is not on the grid.
    assert all([0.3, -10.0] in line.get_xydata().tolist() for line in curves)
    assert len({line.get_linestyle() + str(line._dash_pattern) for line in curves}) == 3
    assert len(plot.scenarios(Found(), names=VIABLE).axes) == 1


def test_scenarios_that_look_alike_are_so_called():
    """What `plot.luminosity` draws where a vector is as good as a scalar, at every luminosity."""
    z = np.zeros((2, 4, 4))
    z[:, 1:, 0], z[:, 1, 2:], z[:, 2:, 1] = 5.0, 1.5, 4.0
    found = SimpleNamespace(
        names=("sm", "sm-rescaled", "scalar", "vector-V"),
        measurements=(measured("excess", K, 1.2e-5, 1e-6),),
        luminosities=np.array([1.0, 50.0]),
        z=z * np.array([1.0, 2.0])[:, None, None],
        expected=(),
        systematics="all",
    )
    (legend,) = plot.luminosity(found).legends
    labels = [text.get_text() for text in legend.get_texts()]
    assert [label.partition(" (as ")[2] for label in labels] == ["", "", "", r"$\phi$, $g_S$)"]
    found.z[:, 1, 3] = 2.0  # told apart if the standard model rescaled is true
    (legend,) = plot.luminosity(found).legends
    assert not any(" (as " in text.get_text() for text in legend.get_texts())


@pytest.mark.slow
def test_scenarios_take_up_an_excess(tmp_path):
    """One branching fraction above the standard model: any scenario explains all of it, and what it
    gains is how far the standard model, with the uncertainty that it has, is from the data."""
    value, width = 1.2e-5, 1e-6
    excess = measured("excess", K, value, width)
    found = studies.scenarios(excess, ["scalar"], masses=3)
    fit = found["scalar"]
    model = bknn.models.load("scalar")
    sm = bknn.predict(model, "branching_ratio", K, {"g_S": 0.0})
    normalisation = next(p for p in model.parameters if p.name == "sm_normalisation")
    error = np.hypot(float(sm.uncertainty), 0.0)
    assert normalisation.constraint is not None
    # Rates are bilinear in normalisation and form factors, so that this is first order.
    expected = -((value - float(sm.value)) ** 2) / (width**2 + error**2)
    assert fit.delta == pytest.approx(expected, rel=0.02)
    assert np.ptp(fit.deltas) < 1e-6  # whatever its mass
    assert fit.significance == pytest.approx(np.sqrt(-fit.delta))

    content = scenarios_json(found, settings={})
    json.dumps(content, allow_nan=False)
    assert content["scenarios"]["scalar"]["delta"] == pytest.approx(fit.delta)
    assert "scalar" in scenarios_table(found)
    back = bknn.load(found.save(tmp_path / "scenarios.nc"))
    np.testing.assert_array_equal(back["scalar"].deltas, fit.deltas)
    assert len(plot.scenarios(back).axes[0].lines) > 2
    with pytest.raises(bknn.errors.ParameterError, match="sm-rescaled"):
        found.viable  # noqa: B018


@pytest.mark.slow
def test_contour_of_two_branching_fractions():
    """BR(K+) = a + b g_S^2 and BR(K*0) = a' + b' g_P^2, so that chi2 is known on the contour."""
    data = [measured("kaon", K, 1.2e-5, 2e-6), measured("kstar", KSTAR, 2.5e-5, 5e-6)]
    model = models.load("scalar")

    def slope(channel, coupling):
        at = [
            float(bknn.predict(model, "branching_ratio", channel, {"g_S": 0.0, coupling: g}).value)
            for g in (0.0, 1e-8)
        ]
        return at[0], (at[1] - at[0]) / 1e-16

    (a, b), (a_star, b_star) = slope(K, "g_S"), slope(KSTAR, "g_P")
    ends = np.sqrt((2.2e-5 - a) / b), np.sqrt((5e-5 - a_star) / b_star)
    grid = {name: np.linspace(0.0, end, 9) for name, end in zip(("g_S", "g_P"), ends, strict=True)}
    held = {p.name: p.init for p in model.nuisances([K, KSTAR])} | {"sm_normalisation": 1.0}
    fixed = {"mass": 2.1, **held}

    both = bknn.Analysis(model, data, free=["g_P"])
    found = inference.contours(both, grid, sigmas=[1], fixed=fixed)
    x, y = np.concatenate(found.lines[1]).T
    heights = ((a + b * x**2 - 1.2e-5) / 2e-6) ** 2
    heights += ((a_star + b_star * y**2 - 2.5e-5) / 5e-6) ** 2
    np.testing.assert_allclose(heights, chi2.ppf(0.6826894921370859, 2), rtol=1e-4)


@pytest.mark.slow
def test_regions_by_data_set():
    """Each data set alone allows a band; the combined region is within both."""
    data = [measured("kaon", K, 1.2e-5, 2e-6), measured("kstar", KSTAR, 2.5e-5, 5e-6)]
    grid = {"g_S": np.linspace(0.0, 2.4e-8, 9), "g_P": np.linspace(0.0, 1e-7, 9)}
    found = studies.coupling_regions(
        models.load("scalar"), data, grid, fixed={"mass": 2.1}, sigmas=[1]
    )
    assert list(found.contours) == ["kaon", "kstar", "combined"]
    combined = np.concatenate(found["combined"].lines[1])
    kaon = np.concatenate(found["kaon"].lines[1])
    assert kaon[:, 0].min() < combined[:, 0].min() < combined[:, 0].max() < kaon[:, 0].max() * 1.01
    json.dumps(regions_json(found, settings={}), allow_nan=False)
    assert "combined" in regions_table(found)
    axes = plot.coupling_regions(found).axes[0]
    assert axes.get_legend() is not None
    # No rate knows the signs of g_S and g_P.
    np.testing.assert_allclose([*axes.get_xlim(), *axes.get_ylim()], [-24, 24, -100, 100])


@pytest.mark.parametrize(
    ("name", "over", "fixed", "signs"),
    [
        (
            "scalar",
            {"g_S": 2e-8, "g_P": 1e-7},
            {"mass": 2.1},
            {(1, 1), (-1, -1), (1, -1), (-1, 1)},
        ),
        # These interfere with each other,
        ("wet-rhn", {"C_R": 20.0, "C_Rp": 10.0}, {}, {(1, 1), (-1, -1)}),
        # and these with the standard model, too.
        ("wet-rhn", {"C_L": 20.0, "C_Lp": 10.0}, {"C_R": 0.0}, {(1, 1)}),
    ],
)
def test_regions_are_mirrored_only_where_signs_do_not_matter(name, over, fixed, signs):
    data = [measured("kaon", K, 1.2e-5, 2e-6), measured("kstar", KSTAR, 2.5e-5, 5e-6)]
    model = models.load(name)
    fixed_too = [p.name for p in model.parameters if p.fixed and p.name in over]
    target = bknn.Analysis(model, data, free=fixed_too)
    axes = tuple(np.array([0.0, end]) for end in over.values())
    plane = SimpleNamespace(profile=SimpleNamespace(target=target, axes=axes))
    found = studies.Regions(tuple(over), fixed, {"all": plane})
    assert set(found.signs) == signs


@pytest.mark.slow
def test_commands(tmp_path, capsys):
    """Both commands on a file of one's own."""
    from bknn.cli import main

    file = tmp_path / "mine.toml"
    file.write_text(
        'name = "mine"\ntitle = "made up"\n[[sources]]\ntitle = "nobody"\n'
        '[[results]]\nname = "K"\nchannels = "B+ -> K+"\nvalue = 1.2e-5\nuncertainty = 2e-6\n'
        '[[results]]\nname = "Kstar"\nchannels = "B0 -> K*0"\nvalue = 2e-5\nuncertainty = 5e-6\n'
    )
    out = tmp_path / "scenarios"
    command = f"scenarios scalar vector-T sm-rescaled --odd --points 4 --data {file} --out {out}"
    assert main(command.split()) == 0
    assert "local sigma" in capsys.readouterr().out
    assert {p.name for p in out.iterdir()} == {
        *("result.json", "scenarios.nc", "scenarios.pdf", "scenarios.png")
    }
    out = tmp_path / "regions"
    command = (
        f"regions scalar --over g_S=0:2.4e-8:7 g_P=0:1e-7:7 --fix mass=2.1 --data {file} "
        f"--out {out} --no-figures"
    )
    assert main(command.split()) == 0
    assert json.loads((out / "result.json").read_text())["parameters"] == ["g_S", "g_P"]
