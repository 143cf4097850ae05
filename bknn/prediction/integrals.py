"""Spectra of a model, integrated over q2."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.scipy.special import ndtr
from jax.typing import ArrayLike

from bknn import standard_model
from bknn.channels import Channel
from bknn.inputs import HPQCD_2022, STANDARD
from bknn.kinematics import known, numpy_for
from bknn.response.breit_wigner import bin_fractions, breit_wigner
from bknn.spectrum import Shapes, Spectrum

Q2 = ArrayLike | tuple[float, float] | None

#: The decay of the measurements' own templates, and of spectra that know no other.
TEMPLATE = "B+ -> K+"

#: Gauss-Legendre nodes of an integral over q2, after the square roots at its ends are taken out.
_NODES = 64


def amount(
    model: Any,
    spectrum: Spectrum,
    q2: Q2,
    where: Channel,
    resolution: float = 0.0,
    held: bool = False,
) -> Array:
    """Return the branching fraction in a bin (a, b), or in all."""
    low, high = (0.0, jnp.inf) if q2 is None else q2  # type: ignore[misc]
    total = jnp.zeros(())
    if where.daughter is not None:
        edges = pieces(model, where)
        for part in spectrum.continua:
            start = jnp.maximum(low, 0.0 if part.threshold is None else part.threshold)
            if known(low, high, edges) and (found := part.as_shapes(held)) is not None:
                if part.threshold is None:
                    start = np.maximum(low, 0.0)
                total = total + _integral_of_shapes(found, start, high, edges)
            else:
                total = total + _integral(part.density, start, high, edges)
        if spectrum.uses_template:
            null = _integral(standard_model.dbr_dq2, jnp.maximum(low, 0.0), high, edges)
            total = total + spectrum.standard_model * null
    for line in spectrum.lines:
        mass = jnp.asarray(line.mass, float)
        if q2 is None:
            fraction = jnp.ones(())
        elif line.known_narrow and resolution > 0.0:
            upper, lower = (ndtr((edge - mass**2) / resolution) for edge in (high, low))
            fraction = upper - lower
        elif line.known_narrow:
            fraction = jnp.where((mass**2 >= low) & (mass**2 < high), 1.0, 0.0)
        else:
            first, last = jnp.asarray(low, float), jnp.asarray(high, float)
            # A width takes nothing out of all of phase space; an infinite edge has no slope.
            everything = (first <= 0.0) & jnp.isinf(last)
            edges_of_bin = jnp.stack([first, jnp.where(everything, 1.0 + first, last)])
            inside = bin_fractions(edges_of_bin, mass, line.width)[0]
            fraction = jnp.where(everything, 1.0, inside)
        total = total + line.branching_ratio * fraction
    return total


def pieces(model: Any, where: Channel) -> tuple[ArrayLike, ...]:
    """Return the q2 where spectra have kinks, the last one the endpoint of phase space."""
    if hasattr(model, "kinks"):
        return tuple(model.kinks(where.name))
    return (end_of(where),)


def end_of(where: Channel) -> float:
    """Return the largest q2 of a channel, GeV^2, for models that do not say."""
    if where.name == TEMPLATE:
        masses = [HPQCD_2022.mass_b, HPQCD_2022.mass_k]
    else:
        masses = [STANDARD.masses[m] for m in (where.parent, where.daughter) if m is not None]
    parent, daughter = (*np.asarray(masses, float), 0.0)[:2]
    return float((parent - daughter) ** 2)


def _integral(
    density: Callable[[Array], Array],
    low: ArrayLike,
    high: ArrayLike,
    kinks: Sequence[ArrayLike],
) -> Array:
    """Integrate over q2 from low to high, piece by piece; 0 if there is nothing between."""
    nodes, weights = _quadrature(low, high, kinks, jnp)
    return density(nodes) @ weights


def _integral_of_shapes(
    shapes: Shapes, low: ArrayLike, high: ArrayLike, kinks: Sequence[ArrayLike]
) -> Array:
    """Return the same of a sum of shapes; fixed ones are integrated when the program is traced."""
    nodes, weights = _quadrature(low, high, kinks, numpy_for(low))
    return shapes.weights @ (shapes.functions(nodes) @ weights)


def _quadrature(
    low: ArrayLike, high: ArrayLike, kinks: Sequence[ArrayLike], numbers: Any
) -> tuple[Any, Any]:
    """Return nodes and weights (n,) of the integral from low to high, computed by numpy or
    jax.numpy.

    With q2 = a + (b - a) (1 - cos(pi u)) / 2 a square root at either end is smooth in u.
    """
    x, w = np.polynomial.legendre.leggauss(_NODES)
    u, w = 0.5 * (x + 1.0), 0.5 * w
    nodes, weights = [], []
    for kink in kinks:
        a, b = numbers.minimum(low, kink), numbers.minimum(high, kink)
        width = numbers.maximum(b - a, 0.0)
        nodes.append(a + width * 0.5 * (1.0 - np.cos(np.pi * u)))
        weights.append(width * (0.5 * np.pi * np.sin(np.pi * u) * w))
        low = numbers.maximum(low, kink)
    return numbers.concatenate(nodes), numbers.concatenate(weights)


def density(spectrum: Spectrum, q2: Array) -> Array:
    """Return dBR/dq2 at points, Breit-Wigner lines included, narrow ones not."""
    flat = q2.reshape(-1)
    total = jnp.zeros_like(flat)
    for part in spectrum.continua:
        total = total + part.density(flat)
    if spectrum.uses_template:
        total = total + spectrum.standard_model * standard_model.dbr_dq2(flat)
    for line in spectrum.lines:
        if not line.known_narrow:
            mass, width = jnp.asarray(line.mass, float), jnp.asarray(line.width, float)
            total = total + line.branching_ratio * breit_wigner(flat, mass, width)
    return total.reshape(q2.shape)
