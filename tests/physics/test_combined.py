"""All data together: the likelihood is that of each, what they share counted once."""

import numpy as np
import pytest

import bknn
from bknn import models

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("quick_compilation")]

NAMES = ("belle2-2025", "babar-2013", "belle-2017", "aleph-bs-invisible")
POINT = {"mass": 0.52, "g_SS": 6e-4, "g_PS": 1e-3}


@pytest.fixture(scope="module")
def model():
    return models.load("scalar-pair", floats=["g_SS", "g_PS"])


def test_together_is_the_sum(model):
    """Form factors and the normalisation are one parameter for all, with one constraint."""
    together = bknn.Analysis(model, [bknn.data.load(name) for name in NAMES])
    vector = np.array(together.init_vector)
    random = np.random.default_rng(1)
    for i, name in enumerate(together.names):
        if name in POINT:
            vector[i] = POINT[name]
        elif name.startswith("ff_"):
            vector[i] = 0.5 * random.standard_normal()
    values = {name: np.asarray(x) for name, x in together.unflatten(vector).items()}
    total, shared = 0.0, {}
    for name in NAMES:
        alone = bknn.Analysis(model, bknn.data.load(name))
        known = [p.name for p in alone.parameters] + list(alone.nuisances)
        own = alone.flatten({k: values.get(f"{name}/{k}", values.get(k)) for k in known})
        total += float(alone.log_likelihood(own))
        for i, p in enumerate(alone.parameters):
            if p.constraint is not None:
                mean, width = p.constraint
                term = -0.5 * ((float(own[i]) - mean) / width) ** 2
                shared[p.name] = term - np.log(np.sqrt(2 * np.pi) * width)
                total -= shared[p.name]
    assert float(together.log_likelihood(vector)) == pytest.approx(
        total + sum(shared.values()), abs=1e-9
    )


@pytest.mark.parametrize(
    ("mode", "channel", "efficiency"),
    [
        ("K+", "B+ -> K+", 43.8e-5),
        ("K0", "B0 -> K0", 10.3e-5),
        ("K*+[K+pi0]", "B+ -> K*+", 4.9e-5),
        ("K*0[K+pi-]", "B0 -> K*0", 12.2e-5),
    ],
)
def test_counts_of_babar_by_hand(model, mode, channel, efficiency):
    """arXiv:1303.7465, table IV: 471e6 mesons times the efficiency of all decays of the standard
    model times the branching fraction in the window, which has so much less of the spectrum."""
    analysis = bknn.Analysis(model, bknn.data.load("babar-2013"))
    start = {name: np.asarray(x) for name, x in analysis.init.items()}
    found = analysis.expected({**start, **{k: np.asarray(x) for k, x in POINT.items()}})
    window, point = (0.0, 0.3 * 5.279**2), {**POINT, "sm_normalisation": 1.0}

    def fraction(model, **options):
        return float(bknn.predict(model, "branching_ratio", channel, **options).value)

    standard = models.load("sm")
    of_all = fraction(standard) / fraction(standard, q2=window)
    expected = 471e6 * efficiency * fraction(model, params=point, q2=window) * of_all
    signal = sum(float(np.sum(x)) for k, x in found[mode].items() if "signal" in k)
    # The edge of the window is smeared there, and sharp here.
    assert signal == pytest.approx(expected, rel=3e-3)
