"""Data on numbers that a model makes: results, limits, tables; in files and in analyses."""

from __future__ import annotations

from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.interpolate import RegularGridInterpolator
from scipy.stats import norm

import bknn
from bknn import data, errors
from bknn.analysis.quantity_limits import TablesAtOnce, limit, over_width
from bknn.data import LimitTable
from bknn.questions.fit import fit_table
from bknn.questions.shared.absent import absent

pytestmark = pytest.mark.usefixtures("quick_compilation")


class Toy:
    """No decays at all: two parameters, two derived quantities."""

    name = "toy"
    description = "numbers"
    parameters = (
        bknn.Parameter("mass", 2.0, (0.0, 10.0), unit="GeV"),
        bknn.Parameter("g", 0.1, (0.0, 10.0)),
    )
    null: ClassVar = {"g": 0.0}
    derived_quantities = (bknn.DerivedQuantity("rate"), bknn.DerivedQuantity("lifetime", "ps"))

    def derived(self, params):
        g = params["g"]
        return {"rate": g**2 * params["mass"], "lifetime": 1.0 / (g**2 + 1e-3)}

    def spectrum(self, params, channel):
        raise ValueError("nothing decays")


NUMBERS = """
correlation = [[1.0, 0.5, 0.0], [0.5, 1.0, 0.0], [0.0, 0.0, 1.0]]
[[results]]
name = "rate"
quantity = "rate"
value = 0.5
uncertainty = [0.2, 0.1]
[[results]]
name = "coupling"
quantity = "g"
value = 0.3
uncertainty = 0.1
[[results]]
name = "life"
quantity = "lifetime"
upper = 8.0
level = 0.95
"""

TABLE = """
[[limits]]
name = "plane"
quantity = "rate"
against = { mass = [1.0, 2.0, 4.0], lifetime = [0.1, 10.0] }
upper = [[0.1, 0.2], [0.3, 0.2], [0.4, 0.9]]
logarithmic = ["lifetime"]
"""


@pytest.fixture
def read(tmp_path):
    def load(text: str, name: str = "my.toml"):
        (tmp_path / name).write_text(text, encoding="utf-8")
        return data.load(tmp_path / name)

    return load


# ---------------------------------------------------------------- likelihoods


def test_results_are_their_formulas(read):
    """-2 log L = p C^-1 p of the pulls, and (x/s)^2 of the limit."""
    analysis = bknn.Analysis(Toy(), read(NUMBERS))
    shape = jax.jit(lambda v: -2 * analysis.log_shape(v, analysis.data))
    inverse = np.linalg.inv([[1.0, 0.5], [0.5, 1.0]])
    for mass, g in ((2.0, 0.1), (3.0, 0.6), (1.0, 0.3)):
        rate, life = g**2 * mass, 1.0 / (g**2 + 1e-3)
        pulls = np.array([(rate - 0.5) / (0.2 if rate > 0.5 else 0.1), (g - 0.3) / 0.1])
        expected = pulls @ inverse @ pulls + (life * norm.ppf(0.975) / 8.0) ** 2
        np.testing.assert_allclose(shape(jnp.array([mass, g])), expected, rtol=1e-12)


def test_a_table_is_interpolated_and_absent_outside(read):
    """Against scipy's linear interpolation of the logarithm; the slope is that of the formula."""
    analysis = bknn.Analysis(Toy(), read(TABLE))
    shape = jax.jit(lambda v: -2 * analysis.log_shape(v, analysis.data))
    logs = np.log([[0.1, 0.2], [0.3, 0.2], [0.4, 0.9]])
    known = RegularGridInterpolator(([1.0, 2.0, 4.0], np.log([0.1, 10.0])), logs)
    for mass, g in ((1.0, 0.4), (1.7, 0.5), (3.1, 0.9), (4.0, 1.5)):
        rate, life = g**2 * mass, 1.0 / (g**2 + 1e-3)
        upper = np.exp(known((mass, np.log(life))))
        expected = (rate * norm.ppf(0.95) / upper) ** 2
        np.testing.assert_allclose(shape(jnp.array([mass, g])), expected.item(), rtol=1e-10)
    outside = jnp.array([5.0, 0.5])
    assert shape(outside) == 0.0
    assert np.isfinite(jax.grad(shape)(outside)).all()
    (said,) = absent(analysis, outside)
    assert said.startswith("'plane' says nothing here: its limits are for mass from 1 to 4 and ")
    assert absent(analysis, jnp.array([1.5, 0.5])) == []
    inside, x, h = (lambda m: shape(jnp.array([m, 0.5]))), 1.5, 1e-6
    slope = (inside(x + h) - inside(x - h)) / (2 * h)
    np.testing.assert_allclose(jax.grad(inside)(x), slope, rtol=1e-6)


KINDS = """
[[limits]]
name = "product"
quantity = ["rate", "lifetime"]
against = { lifetime = [1.0, 3.0, 9.0] }
upper = [0.5, 2.0, inf]
logarithmic = ["lifetime"]
held = { lifetime = "below" }
level = 0.95

[[limits]]
name = "square root"
quantity = "rate"
against = { mass = [0.0, 10.0] }
upper = [2.0, 2.0]
scale = 0.5
power = 2

[[limits]]
name = "lower"
quantity = "mass"
lower = 1.5
power = 2

[[limits]]
name = "prompt"
quantity = "rate"
upper = 3.0
only = { lifetime = [0.0, 1.0] }

[[limits]]
name = "theory"
quantity = "g"
bound = 0.8

[[results]]
name = "interval"
quantity = "mass"
interval = [1.0, 4.0]
value = 2.0
level = 0.95
"""


def test_each_kind_is_its_formula(read):
    """A product against a held axis, numbers to a power, a lower limit, a bound of theory, and an
    interval: worked out by hand, and the slope by finite differences."""
    analysis = bknn.Analysis(Toy(), read(KINDS))
    shape = jax.jit(lambda v: -2 * analysis.log_shape(v, analysis.data))
    z90, z95 = norm.ppf(0.95), norm.ppf(0.975)
    for mass, g in ((2.5, 0.7), (1.2, 0.81), (2.0, 1.5)):
        rate, life = g**2 * mass, 1.0 / (g**2 + 1e-3)
        upper = 0.5 * 4.0 ** (np.log(max(life, 1.0)) / np.log(3.0))
        expected = [
            (z95 * rate * life / upper) ** 2,
            (z90 * rate / 1.0) ** 2,
            (z90 * 2.25 / mass) ** 2,
            (z90 * rate / 3.0) ** 2 * (life < 1.0),
            (max(g / 0.8 - 1.0, 0.0) / 0.01) ** 2,
            (z95 * (mass - 2.0) / (2.0 if mass > 2.0 else 1.0)) ** 2,
        ]
        np.testing.assert_allclose(shape(jnp.array([mass, g])), sum(expected))
    point, h = np.array([2.5, 0.7]), 1e-6
    slopes = [(shape(point + h * e) - shape(point - h * e)) / (2 * h) for e in np.eye(2)]
    np.testing.assert_allclose(jax.grad(shape)(jnp.array(point)), slopes, rtol=1e-6)


def test_between_points_without_a_limit_nothing_is_said(read):
    """Not even at half of the way; at a point with a limit there still is one."""
    analysis = bknn.Analysis(Toy(), read(KINDS).select("product"))
    shape = jax.jit(lambda v: -2 * analysis.log_shape(v, analysis.data))
    said = []
    for life in (0.5, 2.9999, 3.0001, 9.1):
        vector = jnp.array([2.0, np.sqrt(1.0 / life - 1e-3)])
        assert np.isfinite(jax.grad(shape)(vector)).all()
        assert (shape(vector) > 0.0) == (life < 3.0)
        said += absent(analysis, vector)
    assert len(said) == 2
    assert said[0] == "'product' says nothing here: its limits are for lifetime up to 9, with gaps."
    shown = read(KINDS).summary()
    assert "theory" in shown
    assert "everywhere" in shown


def test_what_a_model_derives_is_computed_once(read):
    """For all results and limits together, as models may need a while."""
    calls = []

    class Slow(Toy):
        def derived(self, params):
            calls.append(params)
            return super().derived(params)

    analysis = bknn.Analysis(Slow(), [read(NUMBERS), read(TABLE, "b.toml"), read(KINDS, "c.toml")])
    for function, most in ((analysis.expected_results, 1), (analysis.curves_inside, 1)):
        calls.clear()
        jax.eval_shape(function, jnp.array([2.0, 0.5]))
        assert len(calls) == most


def test_a_fit_with_nothing_but_quantities(read):
    """Two numbers, two parameters: both are met."""
    text = NUMBERS.partition('[[results]]\nname = "life"')[0].partition("\n[[")
    two = "correlation = [[1.0, 0.5], [0.5, 1.0]]\n[[" + text[2]
    far = '[[limits]]\nname = "far"\nquantity = "rate"\nupper = 1e9\n'
    far += '[[limits]]\nname = "beyond"\nquantity = "g"\nbound = 9.0\n'
    best = bknn.inference.fit(bknn.Analysis(Toy(), read(two + far)))
    assert best.converged
    np.testing.assert_allclose(best.vector, [0.5 / 0.09, 0.3], rtol=1e-6)
    said = [" ".join(line.split()) for line in fit_table(best, best).split("\n")]
    assert any(line.startswith("far limit (90 %) 5e-10 of it") for line in said)
    assert any(line.startswith("beyond bound of theory kept") for line in said)


# ---------------------------------------------------------------- all tables at once

QUANTITIES = ("a", "b", "c", "d")


@st.composite
def tables(draw: st.DrawFn) -> LimitTable:
    """A table of any kind: axes and conditions, logarithms, ends that are held, gaps."""
    axes = {}
    for name in draw(st.lists(st.sampled_from(QUANTITIES[:2]), max_size=2, unique=True)):
        nodes = draw(st.lists(st.integers(1, 9), min_size=3, max_size=3, unique=True))
        axes[name] = tuple(float(x) for x in sorted(nodes))
    size = int(np.prod([len(x) for x in axes.values()]))
    limits = st.sampled_from((0.1, 0.5, 2.0, 7.0) if not axes else (0.1, 0.5, 2.0, 7.0, np.inf))
    upper = draw(st.lists(limits, min_size=size, max_size=size))
    held = {
        x: draw(st.sampled_from(("below", "above", "both"))) for x in axes if draw(st.booleans())
    }
    return LimitTable(
        "generated",
        tuple(draw(st.lists(st.sampled_from(QUANTITIES), min_size=1, max_size=3))),
        axes,
        (0.3, *upper[1:]),
        logarithmic=tuple(x for x in axes if draw(st.booleans())),
        held=held,
        kind=draw(st.sampled_from(("upper", "lower", "bound"))),
        only={"c": (2.0, 5.0)} if draw(st.booleans()) else {},
    )


@given(
    st.lists(tables(), min_size=6, max_size=6),
    st.lists(st.one_of(st.integers(0, 10), st.floats(0.1, 9.9)), min_size=4, max_size=4),
)
@settings(max_examples=5)
def test_tables_at_once_are_those_one_by_one(several: list[LimitTable], numbers: list[float]):
    """At their nodes, between and beyond them; where they say nothing, neither does the other."""
    values = {name: float(x) for name, x in zip(QUANTITIES, numbers, strict=True)}
    at_once = TablesAtOnce(several)
    logs, inside = at_once.limit(values)
    one_by_one = [limit(table, values) for table in several]
    assert inside.tolist() == [bool(there) for _, there in one_by_one]
    np.testing.assert_allclose(np.exp(logs), [at for at, _ in one_by_one], rtol=1e-12)
    np.testing.assert_allclose(
        at_once.over_width(values), [over_width(t, values) for t in several], rtol=1e-12
    )


def test_tables_at_once_have_the_same_slopes():
    """A table of each kind, with and without axes, where all of them say something."""
    many = (
        LimitTable("0", ("a", "b"), {}, (2.0,)),
        LimitTable("1", "a", {"b": (1.0, 3.0, 4.0)}, (1.0, 0.5, 0.2), kind="lower"),
        LimitTable("2", "a", {"b": (2.0, 5.0)}, (0.5, 0.6), kind="bound", rise=0.05),
        LimitTable(
            "3",
            ("a", "d"),
            {"b": (1.0, 3.0), "c": (0.5, 9.0)},
            (0.1, 0.2, 0.3, 0.9),
            logarithmic=("c",),
            held={"b": "above"},
        ),
    )
    values = {"a": 1.5, "b": 3.5, "c": 4.0, "d": -2.0}

    def one_by_one(v):
        return jnp.stack([over_width(table, v) for table in many])

    at_once = TablesAtOnce(many).over_width
    found, known = jax.jit(lambda v: (jax.jacrev(at_once)(v), jax.jacrev(one_by_one)(v)))(values)
    for name in values:
        np.testing.assert_allclose(found[name], known[name], rtol=1e-12)


# ---------------------------------------------------------------- files


def test_tables_from_files(read, tmp_path):
    (tmp_path / "grid.csv").write_text(
        "mass,lifetime,upper\n1,10,0.2\n1,0.1,0.1\n2,0.1,0.3\n2,10,0.2\n"
    )
    text = '[[limits]]\nname = "plane"\nquantity = "rate"\nagainst = ["mass", "lifetime"]\n'
    (found,) = read(text + 'file = "grid.csv"\n').curves
    assert found == LimitTable(
        "plane", "rate", {"mass": (1.0, 2.0), "lifetime": (0.1, 10.0)}, (0.1, 0.2, 0.3, 0.2)
    )
    assert found.scaled(2.0).upper == (0.2, 0.4, 0.6, 0.4)
    upper, inside = limit(found, {"mass": 1.0, "lifetime": 0.1})
    assert inside
    np.testing.assert_allclose(upper, 0.1)
    (tmp_path / "grid.csv").write_text("mass,lifetime,upper\n1,10,0.2\n1,0.1,\n2,0.1,3\n2,10,2\n")
    (gaps,) = read(text + 'file = "grid.csv"\n').curves
    assert gaps.upper == (np.inf, 0.2, 3.0, 2.0)
    assert gaps.extremes == (0.2, 3.0)


def test_they_are_shown(read):
    shown = read(NUMBERS + TABLE).summary()
    assert "mass from 1 to 4 and lifetime from 0.1 to 10" in shown
    assert "0.5 -0.1 +0.2" in shown
    assert read(NUMBERS + TABLE).select("plane").n_bins == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("upper = [0.1]", r"\[\[limits\]\] 'a': limits 'a' have 1 numbers where the axes have 2"),
        ("upper = [0.1, -0.1]", "must be positive"),
        ('upper = [0.1, 0.2]\nlogarithmic = ["g"]', "'g' is called logarithmic and is no axis"),
        ('upper = [0.1, 0.2]\nchannels = "B+ -> K+"', "both 'quantity', .* and 'channels'"),
        ("upper = [0.1, 0.2]\nmass = [1, 2]", "both 'quantity'.* and 'mass'"),
        ("upper = [inf, inf]", "'a' have no limit at any point"),
        ("upper = [nan, 0.1]", "'upper' is nan; give a finite number"),
        ("upper = [0.1, 0.2]\nlower = [0.1, 0.2]", "both 'upper' and 'lower'"),
        ("bound = [0.1, 0.2]\nlevel = 0.9", "'bound' is one of theory and has no 'level'"),
        ('upper = [0.1, 0.2]\nheld = { g = "below" }', "'g' is called held and is no axis"),
        ('upper = [0.1, 0.2]\nheld = { mass = "left" }', "'mass' is held 'left'; choose below"),
        ("upper = [0.1, 0.2]\nheld = 1", "'held' must be a table"),
        ("upper = [0.1, 0.2]\nscale = -1", "'scale' is -1"),
        ("upper = [0.1, 0.2]\nonly = { g = [2, 1] }", r"only for 'g' in \[2.0, 1.0\]"),
    ],
)
def test_limits_that_are_none(read, text, words):
    head = '[[limits]]\nname = "a"\nquantity = "rate"\nagainst = { mass = [1.0, 2.0] }\n'
    with pytest.raises(errors.DataError, match=words):
        read(head + text)


@pytest.mark.parametrize(
    ("axes", "words"),
    [
        ({k: (1.0, 2.0) for k in "abc"}, "against 3 quantities"),
        ({"m": (2.0, 1.0)}, "increase"),
        ({"m": (1.0, 2.0), "t": (0.0, 1.0)}, "'t' is logarithmic and has the value 0"),
    ],
)
def test_axes_that_are_none(axes, words):
    with pytest.raises(errors.DataError, match=words):
        LimitTable("a", "x", axes, (0.1,) * 4, logarithmic=("t",) if "t" in axes else ())


def test_results_that_are_none(read):
    with pytest.raises(errors.DataError, match="'quantity' is 'BR -> mu', which can be the name"):
        read('[[results]]\nname = "a"\nquantity = "BR -> mu"\nvalue = 1.0\nuncertainty = 0.1')
    with pytest.raises(errors.DataError, match=r"both 'quantity', .* and 'q2'"):
        read('[[results]]\nname = "a"\nquantity = "x"\nq2 = [0, 1]\nvalue = 1.0\nuncertainty = 1')


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("interval = [1.0, 2.0, 3.0]", r"'interval' must be \[low, high\]"),
        ("interval = [2.0, 1.0]", "is no interval"),
        ("interval = [1.0, 2.0]\nvalue = 3.0", "the value 3 is not inside of its interval"),
        ("interval = [1.0, 2.0]\nuncertainty = 0.1", "both an uncertainty and an 'interval'"),
        ("interval = [1.0, 2.0]\nexpected = 0.1", "both 'interval' and 'expected'"),
    ],
)
def test_intervals_that_are_none(read, text, words):
    with pytest.raises(errors.DataError, match=words):
        read(f'[[results]]\nname = "a"\nquantity = "x"\n{text}')


def test_products_that_are_none(read):
    with pytest.raises(errors.DataError, match="'quantity' must be a list of names"):
        read('[[limits]]\nname = "a"\nquantity = ["BR -> mu", "x"]\nupper = 1.0')


def test_a_model_without_the_quantity(read):
    """Named: what is needed, where it stands, which model, what it has, what to do."""
    text = '[[results]]\nname = "a"\nquantity = "omega_h2"\nvalue = 0.12\nuncertainty = 0.01'
    with pytest.raises(
        errors.ParameterError,
        match=r"result 'a' of .*my\.toml needs the quantity 'omega_h2', which model 'toy' does not "
        r"have \(its derived quantities are rate, lifetime\); leave these data out",
    ):
        bknn.Analysis(Toy(), read(text))
