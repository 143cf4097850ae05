"""Fits shared among several devices are those of one device.

JAX counts its devices once, when it starts, so each number of them has a process of its own: this
file is also the script that runs there.
"""

from __future__ import annotations

import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import bknn
from bknn import inference, models
from bknn.analysis.analysis import Data
from bknn.inference.fits import many
from bknn.inference.fits.fit import compiled, starting_points
from bknn.inference.minimiser.newton import CONVERGED, STALLED, Minimum
from bknn.inference.sharing import placed

#: An odd number of fits, in chunks of eight a device, the fewest that are shared.
FITS, CHUNK = 31, 8


def results() -> dict[str, np.ndarray]:
    """Return what batches of fits of the small measurement find, on the devices there are."""
    import small  # beside this file, which runs as a script here

    resonance = bknn.Analysis(models.load("resonance"), small.measurement())
    strength = bknn.Analysis(models.load("signal-strength"), small.measurement())
    truth = strength.init_vector
    toys = inference.throw(strength, truth, FITS, seed=3)
    ratios, strengths = np.linspace(2e-6, 2e-5, FITS), np.linspace(0.5, 2.0, FITS)
    found = {
        # Each from 24 starts.
        "grid": inference.fit(resonance, fixed={"branching_ratio": ratios}, chunk=24 * CHUNK),
        "toys": inference.fit(strength, data=toys, chunk=CHUNK),
        "own data, own mu": inference.fit(
            strength, data=toys, fixed={"mu": strengths}, chunk=CHUNK
        ),
    }
    arrays = {f"toys thrown: {name}": x for name, x in toys._asdict().items()}
    for label, result in found.items():
        assert np.all(result.converged), (label, result.status)
        arrays[f"{label}: twice_nll"] = result.twice_nll
        # These data say next to nothing about a mass, and so does its last digit.
        if label != "grid":
            arrays[f"{label}: vector"] = result.vector
    # What moves may differ by fit.
    starts = np.tile(truth, (FITS, 1))
    moving = np.ones_like(starts, bool)
    for k in range(FITS):
        entry = k % strength.size
        starts[k, entry] *= 1.05
        moving[k, entry] = False
    program = compiled(strength)
    held, _ = many.run(program, starts[:, None, :], strength.data, moving, chunk=CHUNK)
    assert np.all(held.outcome == CONVERGED)
    np.testing.assert_array_equal(held.vector[~moving], starts[~moving])
    arrays["one held: twice_nll"] = 2 * held.value
    return arrays


@pytest.fixture(scope="module")
def by_devices(tmp_path_factory: pytest.TempPathFactory) -> dict[int, dict[str, np.ndarray]]:
    """{devices: results}, each from a process of its own."""
    folder = tmp_path_factory.mktemp("devices")
    processes = {}
    for n in (1, 2):
        environment = {
            **os.environ,
            "JAX_PLATFORMS": "cpu",
            "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
            "XLA_FLAGS": f"--xla_force_host_platform_device_count={n}",
        }
        processes[n] = subprocess.Popen(
            [sys.executable, __file__, str(folder / f"{n}.npz"), str(n)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
    found = {}
    for n, process in processes.items():
        output, _ = process.communicate(timeout=400)
        assert process.returncode == 0, output
        with np.load(folder / f"{n}.npz") as arrays:
            found[n] = dict(arrays)
    return found


@pytest.mark.slow
def test_two_devices_find_what_one_finds(by_devices):
    one, two = by_devices[1], by_devices[2]
    assert list(one) == list(two)
    assert len(one) == 9
    for label in one:
        assert one[label].shape == two[label].shape
        np.testing.assert_allclose(two[label], one[label], rtol=1e-8, atol=1e-8, err_msg=label)


@pytest.mark.slow
def test_toys_are_the_same_on_two_devices(by_devices):
    for name in Data._fields:
        label = f"toys thrown: {name}"
        np.testing.assert_array_equal(by_devices[2][label], by_devices[1][label])


# How fits are dealt out shows without a fit: a stand-in that returns what it was given.


def stand_in(starts: jax.Array, data: Data, moving: jax.Array) -> Minimum:
    """-log L is the distance of the first entry from the first count."""
    value = jnp.abs(starts[:, 0] - data.counts[:, 0])
    none = jnp.zeros(len(starts), int)
    return Minimum(starts, value, value, none, none + CONVERGED)


def data_of(counts: np.ndarray) -> Data:
    return Data(counts[..., None], np.zeros((*counts.shape, 0)), np.zeros((*counts.shape, 0)))


@pytest.mark.parametrize("n", [1, 2, 3, 7, 64, 129])
@pytest.mark.parametrize("n_starts", [1, 5])
def test_every_fit_gets_its_own(n, n_starts):
    random = np.random.default_rng(n)
    starts = random.normal(size=(n, n_starts, 2))
    data = data_of(random.normal(size=n))
    done: list[int] = []
    best, minima = many.run(
        many.program(stand_in), starts, data, np.ones(2, bool), chunk=8, progress=done.append
    )
    distance = np.abs(starts[:, :, 0] - data.counts)
    np.testing.assert_array_equal(minima, distance)
    np.testing.assert_array_equal(best.value, distance.min(axis=1))
    np.testing.assert_array_equal(best.vector, starts[np.arange(n), distance.argmin(axis=1)])
    assert sum(done) == n


def test_one_data_set_for_all():
    starts = np.random.default_rng(0).normal(size=(9, 1, 2))
    best, _ = many.run(
        many.program(stand_in), starts, data_of(np.array(0.5)), np.ones(2, bool), chunk=3
    )
    np.testing.assert_array_equal(best.value, np.abs(starts[:, 0, 0] - 0.5))


def test_every_end_can_be_kept():
    starts = np.random.default_rng(1).normal(size=(7, 5, 2))
    program, moving = many.program(stand_in), np.ones(2, bool)
    found, minima = many.run(program, starts, data_of(np.zeros(7)), moving, chunk=8, every=True)
    np.testing.assert_array_equal(found.vector, starts)
    np.testing.assert_array_equal(found.value, np.abs(starts[:, :, 0]))
    np.testing.assert_array_equal(found.value, minima)


def test_few_fits_share_the_program_of_many():
    sizes = []

    def noted(starts: jax.Array, data: Data, moving: jax.Array) -> Minimum:
        sizes.append(len(starts))
        return stand_in(starts, data, moving)

    program, moving = many.program(noted), np.ones(2, bool)
    for n in (1, 2, 5, 33, many.FEW):
        many.run(program, np.zeros((n, 1, 2)), data_of(np.zeros(n)), moving)
    assert sizes == [1, many.FEW]
    many.run(program, np.zeros((1, 1, 2)), data_of(np.zeros(1)), moving, fill=many.FEW)
    many.run(program, np.zeros((500, 1, 2)), data_of(np.zeros(500)), moving, chunk=many.FEW // 2)
    assert sizes == [1, many.FEW]


def test_a_start_that_is_far_behind_is_given_up():
    """Sixteen starts of each fit on few lanes: the best arrives, those far above it need not."""
    from .. import small

    target = bknn.Analysis(models.load("resonance"), small.measurement())
    starts, moving, _ = starting_points(target, {"branching_ratio": 5e-6}, {})
    program = compiled(target)
    best, minima = many.run(program, starts, target.data, moving, chunk=8)
    ends = {"every": True, "above": np.inf}
    every, _ = many.run(program, starts, target.data, moving, chunk=8, **ends)
    assert np.isin(every.outcome, (CONVERGED, STALLED)).all()
    np.testing.assert_allclose(best.value, every.value.min(axis=1), atol=1e-9)
    given_up = minima[0] > every.value[0] + 1e-6
    assert (minima[0][given_up] > best.value + 1.0).all()


def test_each_device_has_its_share():
    n = len(jax.devices())
    assert n >= 2
    fits = 8 * n
    trees = (np.zeros((fits, 3)), data_of(np.zeros(fits)), np.ones((fits, 3), bool))
    for array in jax.tree.leaves(placed(trees, fits)):
        assert len(array.sharding.device_set) == n
        assert {shard.data.shape[0] for shard in array.addressable_shards} == {8}
    one = placed(np.zeros((fits - 1, 3)), fits - 1)
    assert len(one.sharding.device_set) == 1
