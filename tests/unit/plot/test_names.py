"""Names from other people's files are text: in HTML, in terminals and in figures."""

from __future__ import annotations

import json

import numpy as np
import pytest

import bknn
from bknn import inference, models, plot
from bknn.tables import visible

from .. import small

pytestmark = pytest.mark.usefixtures("quick_compilation")

#: What HTML, mathtext, LaTeX, a terminal or a format string would take for more than text.
NAMES = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    r"$\frac{a$",
    "$x_{",
    r"\input{/etc/passwd}",
    "{0.__class__} %s %(x)s",
    "a & b_c^d # ~ \x1b[31m\x07",
    "K$^+$ -> \N{GREEK SMALL LETTER PI}",
)


#: What has them: the measurement, channels, a sample and nuisances.
OLD = ("small", "SR", "background", "norm_b", "shape_b", "side", "ff", "CR")


@pytest.fixture(scope="module")
def result():
    """A fit of the small measurement with such names."""
    new = dict(zip(OLD, NAMES, strict=True))
    text = json.dumps(small.workspace())
    for old, name in new.items():
        text = text.replace(json.dumps(old), json.dumps(name))
    measurement = small.measurement(
        name=new["small"],
        title=new["small"],
        workspace=json.loads(text),
        signal={new["SR"]: "signal"},
        densities={new["SR"]: small.measurement().densities["SR"]},
        form_factor_modifiers=(new["ff"],),
        groups={},
    )
    analysis = bknn.Analysis(models.load("signal-strength"), measurement)
    return inference.fit(analysis)


def test_html_has_no_markup_of_theirs(result):
    found = result._repr_html_()
    assert "<script" not in found
    assert "<img" not in found
    assert "&lt;script&gt;" in found


def test_terminals_show_them_and_do_not_obey(result, tmp_path):
    assert NAMES[0] in str(result)
    assert "\x1b" not in str(result) + visible("a\x1b[31m")
    assert set(NAMES[3:5]) <= set(result.target.names)
    again = bknn.load(result.save(tmp_path / "fit.nc"), result.target)
    assert str(again) == str(result)


def test_figures_draw_them(result, tmp_path):
    for draw in (plot.bins, plot.nuisances):
        paths = plot.save(draw(result), tmp_path / draw.__name__)
        assert all(path.stat().st_size > 0 for path in np.ravel(paths))
