"""Impacts against pyhf: every parameter held up and down, all others fitted by minuit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import bknn
from bknn import models
from bknn.inference.impacts.impacts import impacts
from bknn.inference.impacts.result import COLUMNS

from .reference import pyhf, pyhf_speaks_softly
from .workspaces import one_channel

pytest.importorskip("iminuit")

#: Of the uncertainty of mu; what minuit leaves.
TOLERANCE = 1e-3


def workspace() -> dict[str, Any]:
    """Four bins, every kind of constraint, and a normalisation without one."""
    result = one_channel(
        {
            "signal": (
                [3.0, 9.0, 14.0, 6.0],
                [
                    ("normfactor", "mu", None),
                    ("normsys", "efficiency", {"lo": 0.92, "hi": 1.07}),
                    ("staterror", "stat", [0.6, 1.0, 1.3, 0.9]),
                ],
            ),
            "background": (
                [120.0, 80.0, 45.0, 30.0],
                [
                    ("normfactor", "rate", None),
                    (
                        "histosys",
                        "slope",
                        {"lo_data": [126, 82, 43.5, 27.0], "hi_data": [115, 79, 47.0, 32.5]},
                    ),
                    ("staterror", "stat", [4.0, 3.0, 2.5, 2.0]),
                ],
            ),
            "other": (
                [20.0, 15.0, 10.0, 12.0],
                [
                    ("shapesys", "side", [4.0, 3.0, 2.0, 4.0]),
                    ("normsys", "scale", {"lo": 0.8, "hi": 1.25}),
                ],
            ),
        },
        [150.0, 113.0, 76.0, 55.0],
    )
    result["measurements"][0]["config"]["poi"] = "mu"
    return result


@pytest.mark.slow
def test_refits_against_pyhf() -> None:
    spec = workspace()
    analysis = bknn.Analysis(
        models.load("signal-strength"), bknn.Measurement("four-bins", "four bins", spec)
    )
    found = impacts(analysis, "mu")
    assert not found.remarks
    sigma = found.hessian

    with pyhf_speaks_softly():
        pyhf.set_backend("numpy", pyhf.optimize.minuit_optimizer(tolerance=1e-4, strategy=1))
        model = pyhf.Model({"channels": spec["channels"]}, poi_name="mu", validate=False)
        data = spec["observations"][0]["data"] + model.config.auxdata
        position = {}
        for name, entry in model.config.par_map.items():
            where = range(entry["slice"].start, entry["slice"].stop)
            scalar = entry["paramset"].is_scalar
            position |= {name if scalar else f"{name}[{k}]": j for k, j in enumerate(where)}
        assert set(position) == set(analysis.names)
        best = pyhf.infer.mle.fit(data, model)
        assert best[position["mu"]] == pytest.approx(found.value, abs=TOLERANCE * sigma)

        checked = 0
        for name in found.names:
            row, j = found[name], position[name]
            theirs = analysis.index(name)
            centre = found.result.vector[theirs]
            width = {"post": found.result.uncertainty_vector[theirs]}
            width["pre"] = width["post"] / row["constraint"]
            for kind, size in width.items():
                for way, sign in (("up", 1.0), ("down", -1.0)):
                    if np.isnan(size):
                        continue
                    start, fixed = list(best), model.config.suggested_fixed()
                    start[j], fixed[j] = centre + sign * size, True
                    shifted = pyhf.infer.mle.fit(data, model, start, fixed_params=fixed)
                    shift = shifted[position["mu"]] - best[position["mu"]]
                    assert row[f"{kind}_{way}"] == pytest.approx(shift, abs=TOLERANCE * sigma)
                    checked += 1
    # Twelve parameters besides mu, one of them free.
    assert checked == 12 * 4 - 2
    assert set(found.table[0]) == {"name", *COLUMNS}
