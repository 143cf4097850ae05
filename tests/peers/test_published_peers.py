"""Published measurements beside peers: pyhf reads their counts, flavio has the same numbers."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

import bknn
from bknn import data
from bknn.data.limits import limit_to_normal

pyhf = pytest.importorskip("pyhf")


def test_pyhf_reads_counting_experiments():
    workspace = data.load("babar-2013").workspace
    model = pyhf.Workspace(workspace).model()
    pdf = bknn.HistFactory.from_workspace(workspace)
    observed = pyhf.Workspace(workspace).data(model)
    assert list(pdf.parameter_names) == model.config.par_names
    np.testing.assert_allclose(
        np.concatenate([np.atleast_2d(b) for b in pdf.bounds.values()]),
        np.array(model.config.suggested_bounds()),
    )
    random = np.random.default_rng(1)
    for _ in range(20):
        low, high = np.array(model.config.suggested_bounds()).T
        point = random.uniform(np.maximum(low, -3.0), np.minimum(high, 3.0))
        assert float(pdf.log_prob(point)) == pytest.approx(
            float(model.logpdf(point, observed)[0]), rel=1e-10
        )


def _flavio() -> dict[str, dict[str, dict[str, float]]]:
    """Return {measurement: {decay: entries}} of flavio's list of measurements."""
    spec = find_spec("flavio")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("flavio is not installed")
    folder = Path(spec.submodule_search_locations[0])
    text = (folder / "data" / "measurements.yml").read_text(encoding="utf-8")
    found: dict[str, dict[str, dict[str, float]]] = {}
    for name in ("BaBar B->Knunu had 2013", "Belle B->hnunu SL 2017"):
        block = re.split(r"^\S", text.split(f"\n{name}:\n")[1], maxsplit=1, flags=re.M)[0]
        found[name] = {
            decay: {key: float(x) for key, x in re.findall(r"(\w+): ([-\d.e]+)$", body, re.M)}
            for decay, body in re.findall(
                r"^    (BR\(.*?\)):\n((?:      .*\n?)*)", block, flags=re.M
            )
        }
    return found


BABAR = {
    "BR(B+->Knunu)": ["K+"],
    "BR(B0->Knunu)": ["K0"],
    "BR(B+->K*nunu)": ["K*+[K+pi0]", "K*+[KSpi+]"],
    "BR(B0->K*nunu)": ["K*0[K+pi-]", "K*0[KSpi0]"],
}
BELLE = {
    "BR(B+->Knunu)": "BR(B+ -> K+)",
    "BR(B0->Knunu)": "BR(B0 -> KS)",
    "BR(B+->K*nunu)": "BR(B+ -> K*+)",
    "BR(B0->K*nunu)": "BR(B0 -> K*0)",
}


def test_flavio_has_the_same_counts():
    theirs = _flavio()["BaBar B->Knunu had 2013"]
    ours = data.load("babar-2013")
    for decay, channels in BABAR.items():
        counts = sum(float(ours.observed[c][0]) for c in channels)
        background = sum(
            s["data"][0]
            for c in ours.workspace["channels"]
            if c["name"] in channels
            for s in c["samples"]
            if s["name"] != "signal"
        )
        assert counts == theirs[decay]["counts_total"]
        # Two modes of K*+ have backgrounds of 1.3 and 0.8, but of 2.0 together.
        assert background == pytest.approx(theirs[decay]["counts_background"], abs=0.05)


def test_flavio_has_the_same_yields_and_limits():
    theirs = _flavio()["Belle B->hnunu SL 2017"]
    efficiencies = {"B+->K": 2.16e-3, "B0->K": 0.91e-3, "B+->K*": 0.57e-3, "B0->K*": 0.51e-3}
    ours = {r.name: r for r in data.load("belle-2017").results}
    for decay, name in BELLE.items():
        entry, result = theirs[decay], ours[name]
        scale = 772e6 * efficiencies[decay[3:-5]]
        assert result.value * scale == pytest.approx(entry["counts_signal"])
        # Their total is the square of the statistical uncertainty, without digits.
        statistical = (result.below * scale) ** 2 - entry["background_std"] ** 2
        assert statistical == pytest.approx(entry["counts_total"], abs=0.51)
        (weight,) = result.channels.values()
        x, width = result.value, result.above
        again = limit_to_normal(weight * entry["limit"], value=x)[1]
        assert again == pytest.approx(width)
