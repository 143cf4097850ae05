"""Derivatives: against finite differences of ours, and against pyhf on JAX."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import bknn

from .reference import Reference, pyhf, pyhf_speaks_softly
from .workspaces import belle2_workspace, generate_case


def finite_differences(
    log_prob: Callable[[jax.Array], jax.Array], point: np.ndarray, steps: np.ndarray
) -> np.ndarray:
    """Central differences over five points, (parameters,); error of order steps**4."""
    moves = np.concatenate([k * np.diag(steps) for k in (-2.0, -1.0, 1.0, 2.0)])
    values = np.asarray(jax.jit(jax.vmap(log_prob))(point + moves)).reshape(4, -1)
    return (values[0] - 8.0 * values[1] + 8.0 * values[2] - values[3]) / (12.0 * steps)


def away_from_joints(point: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """Interpolations have joints at -1, 0 and 1, across which differences say nothing."""
    joints = np.array([-1.0, 0.0, 1.0])
    near = np.abs(point[:, None] - joints).min(axis=1) < 3.0 * steps
    return np.where(near, point + 10.0 * steps, point)


def pyhf_derivatives(reference: Reference, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Gradients (points, n) and Hessians (points, n, n) of the log pdf from pyhf on JAX."""
    with pyhf_speaks_softly(), jax.numpy_rank_promotion("allow"):
        pyhf.set_backend("jax", precision="64b")

        def log_prob(parameters: jax.Array) -> jax.Array:
            return reference.model.logpdf(parameters, reference.data)[0]

        gradient = jax.jit(jax.grad(log_prob))
        second = jax.jit(jax.hessian(log_prob))
        gradients = np.stack([np.asarray(gradient(jnp.asarray(point))) for point in points])
        hessians = np.stack([np.asarray(second(jnp.asarray(point))) for point in points])
        pyhf.set_backend("numpy")
    return gradients, hessians


def assert_same_derivatives(pdf: bknn.HistFactory, reference: Reference, points: Any) -> None:
    """To 1e-10 of the natural scale of each entry, sqrt(H_ii H_jj)."""
    gradients, hessians = pyhf_derivatives(reference, points)
    ours = np.asarray(jax.jit(jax.vmap(jax.grad(pdf.log_prob)))(points))
    our_hessians = np.asarray(jax.jit(jax.vmap(jax.hessian(pdf.log_prob)))(points))
    assert np.isfinite(hessians).all()
    scale = np.sqrt(np.abs(np.einsum("pii->pi", hessians))) + 1.0
    assert np.max(np.abs(ours - gradients) / (scale + np.abs(gradients))) < 1e-10
    difference = np.abs(our_hessians - hessians) / (scale[:, :, None] * scale[:, None, :])
    assert np.max(difference) < 1e-10
    np.testing.assert_allclose(our_hessians, our_hessians.swapaxes(1, 2), rtol=1e-9, atol=1e-9)


def random_points(reference: Reference, rng: np.random.Generator, count: int) -> np.ndarray:
    """Half a standard deviation around the centre: no rate is negative there."""
    steps = np.minimum(reference.widths, 0.5) * rng.normal(size=(count, len(reference.init)))
    return reference.init + 0.5 * steps


def test_belle2_gradient_against_finite_differences() -> None:
    workspace = belle2_workspace()
    pdf, reference = bknn.HistFactory.from_workspace(workspace), Reference(workspace)
    rng = np.random.default_rng(4)
    steps = 1e-3 * np.minimum(reference.widths, 1.0)
    gradient = jax.jit(jax.grad(pdf.log_prob))
    for point in random_points(reference, rng, 3):
        point = away_from_joints(point, steps)
        expected = finite_differences(pdf.log_prob, point, steps)
        # the differences are good to 1e-8: larger steps lose to steps**4, smaller ones to the
        # rounding of a log pdf of -130; per standard deviation the gradient reaches 100
        error = np.abs(np.asarray(gradient(point)) - expected) * reference.widths
        assert error.max() < 3e-8


@pytest.mark.slow
def test_belle2_gradient_and_hessian_against_pyhf() -> None:
    workspace = belle2_workspace()
    pdf, reference = bknn.HistFactory.from_workspace(workspace), Reference(workspace)
    rng = np.random.default_rng(5)
    points = np.concatenate([reference.init[None], random_points(reference, rng, 3)])
    assert_same_derivatives(pdf, reference, points)


# a few that between them have every modifier type
SEEDS = (3, 8, 11, 12)


def generated(seed: int) -> tuple[bknn.HistFactory, Reference]:
    case = generate_case(Random(seed))
    how = {"measurement": case.measurement, "interpolation": case.interpolation}
    pdf = bknn.HistFactory.from_workspace(case.workspace, **how)
    return pdf, Reference(case.workspace, **how)


def test_the_generated_ones_have_everything() -> None:
    kinds = {
        modifier["type"]
        for seed in SEEDS
        for channel in generate_case(Random(seed)).workspace["channels"]
        for sample in channel["samples"]
        for modifier in sample["modifiers"]
    }
    assert len(kinds) == 7


@pytest.mark.usefixtures("quick_compilation")
@pytest.mark.parametrize("seed", SEEDS)
def test_generated_gradient_against_finite_differences(seed: int) -> None:
    pdf, reference = generated(seed)
    steps = 1e-3 * np.minimum(reference.widths, 1.0)
    (point,) = random_points(reference, np.random.default_rng(seed), 1)
    point = away_from_joints(point, steps)
    ours = np.asarray(jax.jit(jax.grad(pdf.log_prob))(point))
    expected = finite_differences(pdf.log_prob, point, steps)
    assert np.isfinite(expected).all()
    np.testing.assert_allclose(ours, expected, rtol=1e-7, atol=1e-7 * np.abs(expected).max())


@pytest.mark.usefixtures("quick_compilation")
@pytest.mark.parametrize(
    "seed", [pytest.param(s, marks=[pytest.mark.slow] * (s != 3)) for s in SEEDS]
)
def test_generated_gradient_and_hessian_against_pyhf(seed: int) -> None:
    pdf, reference = generated(seed)
    points = random_points(reference, np.random.default_rng(seed), 2)
    assert_same_derivatives(pdf, reference, points)


@pytest.mark.parametrize(
    "alpha", [0.0, *(pytest.param(a, marks=pytest.mark.slow) for a in (-1.0, 1.0))]
)
@pytest.mark.parametrize("histosys", ["code0", "code4p"])
@pytest.mark.parametrize("normsys", ["code1", "code4"])
def test_derivatives_at_the_joints_are_numbers(alpha: float, normsys: str, histosys: str) -> None:
    """A fit starts at alpha = 0 exactly."""
    pdf = bknn.HistFactory.from_workspace(
        belle2_workspace(),
        channels=["sgn1_had"],  # the hadronic tag has asymmetric variations
        interpolation={"normsys": normsys, "histosys": histosys},
    )
    init = np.asarray(pdf.flatten(pdf.init))
    point = np.where(init == 0.0, alpha, init)
    value, gradient = jax.jit(jax.value_and_grad(pdf.log_prob))(point)
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()
    assert np.isfinite(jax.jit(jax.hessian(pdf.log_prob))(point)).all()
