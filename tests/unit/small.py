"""A measurement small enough to be worked out by hand, with every kind of constraint.

Two channels: SR with a signal and its density in true q2, CR without. `twice_nll` is the likelihood
of its workspace, written anew in NumPy and SciPy from arXiv:1102.0302 and pyhf's documentation.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy.special import gammaln

import bknn
from bknn.data import Density

EDGES = np.array([0.0, 4.0, 8.0, 12.0, 16.0, 22.885])
UNMATCHED = np.array([0.5, 0.0, 0.25])
COUNTS = np.array([[9.0, 4.0, 2.0, 0.5, 0.0], [2.0, 5.0, 6.0, 2.0, 0.5], [0.5, 1.0, 3.0, 4.0, 2.0]])
SIGNAL = COUNTS.sum(axis=1) + UNMATCHED
FORM_FACTOR = (SIGNAL * [0.9, 1.0, 1.15], SIGNAL * [1.1, 1.02, 0.9])
BACKGROUND = np.array([60.0, 40.0, 30.0])
SHAPE = (np.array([56.0, 40.5, 32.0]), np.array([65.0, 39.0, 29.0]))
NORM = (0.9, 1.15)
SIDEBAND = np.array([12.0, 10.0, 9.0])
STATISTICS = (np.array([0.8, 0.6, 0.5]), np.array([3.0, 2.0, 2.5]))
CONTROL = np.array([200.0, 150.0])
OBSERVED = np.array([215.0, 148.0]), np.array([84.0, 58.0, 41.0])  # CR, SR: in pyhf's order

MU = {"name": "mu", "type": "normfactor", "data": None}
RATE = {"name": "k_b", "type": "normfactor", "data": None}


def _shape(name: str, variations: tuple[np.ndarray, np.ndarray]) -> dict[str, Any]:
    low, high = (v.tolist() for v in variations)
    return {"name": name, "type": "histosys", "data": {"lo_data": low, "hi_data": high}}


def workspace() -> dict[str, Any]:
    """A fresh copy of the pyhf workspace."""
    scale = {"name": "norm_b", "type": "normsys", "data": {"lo": NORM[0], "hi": NORM[1]}}
    stat = [
        {"name": "stat_SR", "type": "staterror", "data": errors.tolist()} for errors in STATISTICS
    ]
    return {
        "channels": [
            {
                "name": "SR",
                "samples": [
                    {
                        "name": "signal",
                        "data": SIGNAL.tolist(),
                        "modifiers": [dict(MU), _shape("ff", FORM_FACTOR), stat[0]],
                    },
                    {
                        "name": "background",
                        "data": BACKGROUND.tolist(),
                        "modifiers": [
                            dict(RATE),
                            scale,
                            _shape("shape_b", SHAPE),
                            {"name": "side", "type": "shapesys", "data": SIDEBAND.tolist()},
                            stat[1],
                        ],
                    },
                ],
            },
            {
                "name": "CR",
                "samples": [
                    {"name": "background", "data": CONTROL.tolist(), "modifiers": [dict(RATE)]}
                ],
            },
        ],
        "observations": [
            {"name": "SR", "data": OBSERVED[1].tolist()},
            {"name": "CR", "data": OBSERVED[0].tolist()},
        ],
        "measurements": [{"name": "fit", "config": {"poi": "mu", "parameters": []}}],
        "version": "1.0.0",
    }


def measurement(**changes: Any) -> bknn.Measurement:
    """The workspace with the response of its signal."""
    content: dict[str, Any] = {
        "name": "small",
        "title": "a small measurement",
        "workspace": workspace(),
        "signal": {"SR": "signal"},
        "densities": {"SR": Density(COUNTS, EDGES, UNMATCHED)},
        "null_spectrum": "hpqcd-2022",
        "form_factor_modifiers": ("ff",),
        "groups": {"tagged": ("SR",), "both": ("SR", "CR")},
        "sha256": "0" * 64,
    }
    return bknn.Measurement(**{**content, **changes})


def code4(alpha: float, low: float, high: float) -> float:
    """Normalisation factor: exponential beyond one sigma, a polynomial of degree 6 within."""
    if abs(alpha) >= 1:
        return float(high**alpha if alpha > 0 else low**-alpha)
    # Values and two derivatives agree at -1 and 1.
    powers = np.arange(1, 7)
    rows, values = [], []
    for x, f, slope in ((1.0, high, np.log(high)), (-1.0, low, -np.log(low))):
        rows += [x**powers, powers * x ** (powers - 1), powers * (powers - 1) * x ** (powers - 2)]
        values += [f - 1, f * slope, f * slope**2]
    return float(1 + np.linalg.solve(np.array(rows, float), values) @ alpha**powers)


def code4p(
    alpha: float, nominal: np.ndarray, variations: tuple[np.ndarray, np.ndarray]
) -> np.ndarray:
    """Shift of the yields: linear beyond one sigma, a polynomial of degree 6 within."""
    low, high = variations
    if abs(alpha) >= 1:
        return alpha * (high - nominal) if alpha > 0 else alpha * (nominal - low)
    symmetric, rest = (high - low) / 2, (high + low - 2 * nominal) / 16
    return alpha * symmetric + rest * alpha**2 * (15 + alpha**2 * (3 * alpha**2 - 10))


def expected(p: Mapping[str, Any]) -> np.ndarray:
    """Expected counts (5,) of CR and SR at {name: value or array}."""
    gamma = np.asarray(p["stat_SR"])
    signal = p["mu"] * gamma * (SIGNAL + code4p(float(p["ff"]), SIGNAL, FORM_FACTOR))
    background = BACKGROUND + code4p(float(p["shape_b"]), BACKGROUND, SHAPE)
    background = background * p["k_b"] * code4(float(p["norm_b"]), *NORM)
    return np.concatenate([p["k_b"] * CONTROL, signal + background * p["side"] * gamma])


def twice_nll(p: Mapping[str, Any], counts: np.ndarray | None = None) -> float:
    """-2 log pdf of the workspace at {name: value or array}, constraints included."""
    counts = np.concatenate(OBSERVED) if counts is None else np.asarray(counts, float)
    rates = expected(p)
    if (rates[counts > 0] <= 0).any():
        return np.inf
    log = np.where(counts > 0, counts * np.log(np.where(counts > 0, rates, 1)), 0.0)
    result = np.sum(log - rates - gammaln(counts + 1))
    aux = (BACKGROUND / SIDEBAND) ** 2
    rates = aux * p["side"]
    result += np.sum(aux * np.log(rates) - rates - gammaln(aux + 1))
    sigma = np.hypot(*STATISTICS) / (SIGNAL + BACKGROUND)
    result += np.sum(-0.5 * ((1 - p["stat_SR"]) / sigma) ** 2 - np.log(sigma))
    result += -0.5 * sum(float(p[name]) ** 2 for name in ("ff", "shape_b", "norm_b"))
    return float(-2 * (result - 0.5 * (3 + 3) * np.log(2 * np.pi)))


def with_counts(signal_region: list[float], control_region: list[float] | None = None) -> Any:
    """The measurement with other counts observed."""
    spec = workspace()
    spec["observations"][0]["data"] = list(signal_region)
    if control_region is not None:
        spec["observations"][1]["data"] = list(control_region)
    return measurement(workspace=spec)


def one_bin(counts: float = 12.0) -> bknn.Measurement:
    """One bin, a signal of 4 on a background of 8, nothing else."""
    spec = {
        "channels": [
            {
                "name": "only",
                "samples": [
                    {"name": "signal", "data": [4.0], "modifiers": [dict(MU)]},
                    {"name": "background", "data": [8.0], "modifiers": []},
                ],
            }
        ],
        "observations": [{"name": "only", "data": [counts]}],
        "measurements": [{"name": "fit", "config": {"poi": "mu", "parameters": []}}],
        "version": "1.0.0",
    }
    density = Density(np.array([[3.0, 1.0]]), np.array([0.0, 10.0, 22.885]), np.zeros(1))
    return bknn.Measurement(
        "one-bin",
        "one bin",
        spec,
        signal={"only": "signal"},
        densities={"only": density},
        null_spectrum="hpqcd-2022",
    )
