"""The thermal average of sigma v (Gondolo, Gelmini, Nucl. Phys. B 360, 145 (1991)), poles resolved.

With s = 4 m^2 (1 + r^2), u = sqrt(s)/m and x = m/T,

    <sigma v> = int ds sigma (s - 4 m^2) sqrt(s) K_1(sqrt(s)/T)/(8 m^4 T K_2(m/T)^2)
              = 8 x int dr r^2 (1 + r^2) [beta sigma] K_1(u x)/K_2(x)^2.

One rule serves all temperatures, so that the cross section is computed at its points once: panels
of Gauss and Legendre between the sorted edges

- r = 11 exp(-0.8 k) down to 1e-5 (x up to 1e9 sees r down to 3e-5);
- a -+ b sinh(y_k) about each pole a + i b in r (`annihilation.pole`): three panels out to y = 3 on
  either side, then five to half of a, however narrow it is;
- what the cross section names (`edges`): thresholds, narrow hadrons.

Within each panel points are even in arsinh((r - a)/b), which is r near the pole and ln|r - a| far
from it. Edges and points move with the parameters: else the derivative of a pole with respect to
its mass would be a difference of numbers that are M/Gamma times larger.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.custom_derivatives import SymbolicZero
from jax.typing import ArrayLike

from bknn.kinematics import known
from bknn.precision import require_x64
from bknn.relic.annihilation import Pole, Resonance, pole
from bknn.relic.bessel import coefficients, reduced

#: GeV^-2 in cm^2 times the speed of light in cm/s: <sigma v> in cm^3/s.
TO_CM3_PER_S = 3.893793721e-28 * 2.99792458e10

#: Points of a panel.
POINTS = 6

#: Largest r: at x = 2, where sqrt(s) - 2 m is 40 T.
HIGHEST = 11.0

_LADDER = np.concatenate([[0.0], HIGHEST * np.exp(-0.8 * np.arange(18.0)[::-1])])
_CORE = np.array([0.0, 1.0, 2.0, 3.0])
_OUTER = np.arange(1, 6) / 5.0

#: Energies at a time at which a cross section is computed: widths have many channels.
_ENERGIES = 32

#: Temperatures at a time: what is in memory is this times the points of the rule.
_AT_A_TIME = 8


class CrossSection(Protocol):
    """What is averaged: `annihilation.Annihilation`, `from_function`."""

    @property
    def mass(self) -> ArrayLike: ...

    @property
    def poles(self) -> tuple[Resonance, ...]: ...

    @property
    def majorana(self) -> bool: ...

    def edges(self) -> tuple[ArrayLike, ...]: ...

    def beta_sigma(self, rho: Array) -> Array: ...


class Rule(NamedTuple):
    """Points in r and what an integral over r needs there, (n,) each."""

    r2: Array  #: r^2
    weight: Array  #: dr
    beta_sigma: Array  #: GeV^-2


def _beside(there: Pole, first: bool) -> Array:
    """Return the edges about a pole, as distances from a."""
    far = jnp.maximum(jnp.arcsinh(there.a / (2.0 * there.b)), 3.0)
    outer = _OUTER if first else np.arange(1, 26) / 25.0  # points are even in the first one's y
    y = jnp.concatenate([_CORE, 3.0 + (far - 3.0) * outer])
    one_side = there.b * jnp.sinh(y)
    return jnp.concatenate([-one_side[:0:-1], one_side])


def nodes(annihilation: CrossSection, points: int = POINTS) -> Rule:
    """Return the rule for a cross section, and beta sigma at its points.

    Args:
        annihilation: the cross section.
        points: of each panel.

    Raises:
        PrecisionError: JAX runs in single precision.

    >>> from bknn.relic.annihilation import from_function
    >>> rule = nodes(from_function(lambda s: 1e-9 * jnp.ones_like(s), 1.0))
    >>> round(float(jnp.sum(rule.weight)), 9)
    11.0
    """
    require_x64()
    m = jnp.asarray(annihilation.mass, dtype=float)
    poles = [pole(resonance, m) for resonance in annihilation.poles]
    first = poles[0] if poles else Pole(jnp.zeros(()), jnp.ones(()))
    edges = [jnp.asarray(_LADDER) - first.a]
    edges += [_beside(p, p is first) + (p.a - first.a) for p in poles]
    for w in annihilation.edges():
        r2 = (jnp.atleast_1d(jnp.asarray(w)) / (2.0 * m)) ** 2 - 1.0
        edges.append(jnp.sqrt(jnp.maximum(r2, 1e-6)) - first.a)
    ends = jnp.sort(jnp.clip(jnp.concatenate(edges), -first.a, HIGHEST - first.a))
    y = jnp.arcsinh(ends / first.b)
    t, w = np.polynomial.legendre.leggauss(points)
    middle, half = (y[1:] + y[:-1]) / 2.0, (y[1:] - y[:-1]) / 2.0
    at = (middle[:, None] + half[:, None] * jnp.asarray(t)[None]).ravel()
    rho = first.b * jnp.sinh(at)
    weight = first.b * jnp.cosh(at) * (half[:, None] * jnp.asarray(w)[None]).ravel()
    return Rule((rho + first.a) ** 2, weight, _in_pieces(annihilation.beta_sigma, rho))


def _in_pieces(function: Callable[[Array], Array], x: Array) -> Array:
    """Return a function of numbers (n,), each for itself, some at a time. For derivatives what was
    computed on the way is computed anew: kept for all points of a batch it is most of the memory.

    >>> jax.jit(lambda x: _in_pieces(jnp.square, x))(jnp.arange(100.0))[-2:].tolist()
    [9604.0, 9801.0]
    """
    n = len(x)
    if known(x):  # one point, not compiled: a loop would be compiled at each call
        return function(x)
    pieces = -(-n // _ENERGIES)
    padded = jnp.concatenate([x, jnp.broadcast_to(x[-1:], (-n % pieces,))])
    some = jax.checkpoint(lambda x: function(x))  # bound methods of modules have no hash
    return jax.lax.map(some, padded.reshape(pieces, -1)).ravel()[:n]


def _kernel(above: Array, x: Array) -> tuple[Array, Array]:
    """Return K_1(u x) exp(2 x) sqrt(2 u x/pi) at u = 2 + above, and a part of its derivatives.

    Both (temperatures, points). With t = 1/(u x) the first is exp(-above x) P(t), P a polynomial;
    the second is exp(-above x) P'(t) t.
    """
    t = 1.0 / ((2.0 + above)[None] * x[:, None])
    rising = coefficients(1, 2.0, 14)
    value, slope = rising[-1] * jnp.ones_like(t), jnp.zeros_like(t)
    for c in rising[-2::-1]:
        slope = slope * t + value
        value = value * t + c
    falling = jnp.exp(-above[None] * x[:, None])
    return falling * value, falling * slope * t


@jax.custom_jvp
def _sums(above: Array, moving: Array, x: Array) -> Array:
    """Return the sums of the kernel times `moving` (points,) at x (temperatures,)."""
    return _kernel(above, x)[0] @ moving


def _sums_jvp(primals: tuple[Array, ...], tangents: tuple[Any, ...]) -> tuple[Array, Array]:
    """Derivatives written as products of matrices, whose transposes are products again: what JAX
    makes of the polynomial itself is five times as slow, and ten times so in a batch."""
    (above, moving, x), (d_above, d_moving, d_x) = primals, tangents
    kernel, slope = _kernel(above, x)
    found = kernel @ moving
    change = jnp.zeros_like(found)
    if not isinstance(d_moving, SymbolicZero):
        change += kernel @ d_moving
    if not isinstance(d_above, SymbolicZero):
        change -= (kernel * x[:, None] + slope / (2.0 + above)[None]) @ (moving * d_above)
    if not isinstance(d_x, SymbolicZero):
        change -= (kernel @ (above * moving) + slope @ moving / x) * d_x
    return found, change


_sums.defjvp(_sums_jvp, symbolic_zeros=True)


def average(rule: Rule, x: Array) -> Array:
    """Return <sigma v> in GeV^-2 of a rule at x = m/T (n,), 1 <= x.

    Of X with Xbar, both at the temperature T.
    """
    root = jnp.sqrt(1.0 + rule.r2)
    above = 2.0 * rule.r2 / (1.0 + root)  # (sqrt(s) - 2 m)/m
    moving = rule.weight * rule.r2 * root**1.5 * rule.beta_sigma
    some = jax.checkpoint(lambda x: _sums(above, moving, x))  # kernels are not kept for derivatives
    n = len(x)
    size = min(_AT_A_TIME, n)
    padded = jnp.concatenate([x, jnp.ones(-n % size)]).reshape(-1, size)
    sums = jax.lax.map(some, padded).ravel()[:n]
    return 16.0 / np.sqrt(4.0 * np.pi) * x**1.5 * sums / reduced(2, 1.0 / x) ** 2


def sigma_v(annihilation: CrossSection, x: ArrayLike, *, points: int = POINTS) -> Array:
    """Return <sigma v> in GeV^-2 at x = m/T, 1 <= x, () or (n,).

    Of X with Xbar; averaged over X and Xbar, as f_eff and indirect searches quote it for a Dirac X,
    it is half of that.

    >>> from bknn.relic.annihilation import from_function
    >>> slow = from_function(lambda s: 1e-9 / (2 * jnp.sqrt(1 - 4 / s)), 1.0)  # sigma v -> 1e-9
    >>> round(float(sigma_v(slow, 1e6)) * 1e9, 5)
    1.0
    """
    x = jnp.asarray(x, dtype=float)
    return average(nodes(annihilation, points), jnp.atleast_1d(x)).reshape(x.shape)


def to_cm3_per_s(sigma_v: ArrayLike) -> Array:
    """Return a sigma v in cm^3/s of one in GeV^-2.

    >>> round(float(to_cm3_per_s(2e-9)) * 1e26, 2)
    2.33
    """
    return jnp.asarray(sigma_v) * TO_CM3_PER_S
