"""Nuisances of single bins are solved for: against brute force, and through whole fits."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import optimize

import bknn
from bknn import inference, models
from bknn.analysis.analysis import Data
from bknn.inference.minimiser import fisher
from bknn.inference.minimiser.barlow_beeston import settled, settler

pytestmark = pytest.mark.usefixtures("quick_compilation")


@pytest.fixture(scope="module")
def belle2() -> bknn.Analysis:
    return bknn.Analysis(models.load("signal-strength"), bknn.data.load("belle2-2025"))


@pytest.fixture(scope="module")
def toys(belle2) -> Data:
    return inference.throw(belle2, inference.fit(belle2).vector, 300, seed=5)


def test_which_are_settled(belle2):
    """All fluctuations of simulated samples, one a sample and bin: 180 of 232."""
    local = belle2.structure.local[settled(belle2)]
    assert len(local) == 180
    assert {n.partition("[")[0] for n in np.array(belle2.names)[local]} >= {
        "ccbar_err_1_had",
        "uncorr_bkguncrt_ccbar_zoomSR_Y4S",
    }


def test_settled_nuisances_are_at_their_minimum(belle2, toys):
    """scipy minimises the same over the nuisances of one bin; factors at bounds included."""
    local = belle2.structure.local[settled(belle2)]
    bins = belle2.structure.local_bin[settled(belle2)]
    settle = jax.jit(settler(belle2))
    moving = np.ones(belle2.size, bool)
    start = belle2.init_vector * 1.0
    start[belle2.index("mu")] = 3.0
    value = jax.jit(jax.value_and_grad(lambda v, d: -belle2.log_shape(v, d)))
    # The emptiest bins, where factors reach their lower bound.
    for i, bin_ in ((0, 20), (1, 20), (2, 17), (3, 0), (4, 29)):
        data = Data(*(x[i] for x in toys))
        found = np.asarray(settle(settle(start, data, moving), data, moving))
        entries = local[bins == bin_]

        def objective(
            x: np.ndarray, entries=entries, found=found, data=data
        ) -> tuple[float, np.ndarray]:
            vector = found.copy()
            vector[entries] = x
            height, slope = value(vector, data)
            return float(height), np.asarray(slope)[entries]

        best = optimize.minimize(
            objective,
            np.full(len(entries), 1.0),
            jac=True,
            bounds=belle2.bounds[entries],
            method="L-BFGS-B",
            options={"ftol": 1e-16, "gtol": 1e-10, "maxiter": 2000},
        )
        assert objective(found[entries])[0] <= best.fun + 1e-8
        assert found[entries] == pytest.approx(best.x, abs=1e-4)


@pytest.mark.slow
def test_fixed_ones_stay(belle2, toys):
    data = Data(*(x[0] for x in toys))
    moving = np.ones(belle2.size, bool)
    entry = belle2.structure.local[settled(belle2)][3]
    moving[entry] = False
    start = belle2.init_vector * 1.0
    start[entry] = 1.7
    assert float(settler(belle2)(jnp.asarray(start), data, moving)[entry]) == 1.7


@pytest.mark.slow
def test_a_large_batch_ends_at_minima(belle2, toys):
    """More fits than LAPACK can do side by side in XLA's pool of threads (jaxlib 0.10 hangs)."""
    result = inference.fit(belle2, data=toys)
    assert result.converged.all()
    gradient = jax.jit(jax.vmap(jax.grad(lambda v, d: -belle2.log_shape(v, d))))
    slopes = np.asarray(gradient(result.vector, toys))
    lower, upper = belle2.bounds.T
    inside = (result.vector > lower) & (result.vector < upper)
    # In units of the constraints (of the uncertainty for mu) the slope vanishes.
    width = np.ones(belle2.size)
    width[belle2.normal[0]] = belle2.normal[2]
    assert np.abs(np.where(inside, slopes * width, 0.0)).max() < 1e-5
    assert (np.where(result.vector <= lower, slopes, 0.0) >= 0).all()
    # Alone and together they are the same.
    for i in (0, 137):
        alone = inference.fit(belle2, data=Data(*(x[i] for x in toys)))
        assert alone.twice_nll == pytest.approx(result.twice_nll[i], abs=1e-8)
        assert alone.params["mu"] == pytest.approx(result.params["mu"][i], abs=1e-7)


@pytest.mark.parametrize("n", [1, 2, 3, 5, 17])
def test_inverse(n):
    random = np.random.default_rng(n)
    root = random.normal(size=(4, n, n + 2))
    matrix = root @ root.swapaxes(1, 2) + np.eye(n)[None]
    assert fisher.inverse(jnp.asarray(matrix)) == pytest.approx(np.linalg.inv(matrix), rel=1e-10)
