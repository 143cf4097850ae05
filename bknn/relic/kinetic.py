"""Abundance of X without the assumption that it has the temperature of the plasma.

Near a narrow pole couplings are small, elastic scattering on the plasma is slow, and X cools on its
own while it still annihilates. Two moments of its Boltzmann equation are then solved for (coupled
equations of arXiv:1706.07433, eqs. 19 and 20; arXiv:2103.01944): the yield Y and the temperature
T_X = <p^2/3E>, which is the paper's y = m T_X/s^(2/3). With x = m/T, theta = ln(T_X/T),
j = 1 + (1/3) d ln h/d ln T, H' = H/j, lambda = sqrt(pi/45) M_Pl m g_*^(1/2)/x, halved for a Dirac
X, and averages <>_X at T_X, <>_T at T,

    d ln Y/d ln x  = lambda (Y_eq^2 <sigma v>_T/Y - Y <sigma v>_X),
    d theta/d ln x = 1 - j (2 - R) + (gamma/H') (exp(-theta) - 1)
                     + lambda Y (<sigma v>_X - <sigma v>_2,X)
                     + lambda Y_eq^2/Y (exp(-theta) <sigma v>_2,T - <sigma v>_T).

R = <p^4/E^3>_X/(3 T_X) is the relativistic part of the cooling (`moments`), gamma the rate of
elastic scattering (`scattering`). X is taken to be a gas of Maxwell and Boltzmann at T_X, which
scattering of X on Xbar through the pole sees to where Z' decays to X Xbar; the full distribution is
not solved for.

Steps in ln x are those of Alexander's implicit rule of third order (SIAM J. Numer. Anal. 14, 1006
(1977)), stable at any stiffness, in ln Y and theta; stages are solved by Newton's method.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from bknn.relic import degrees as tables
from bknn.relic.bessel import reduced
from bknn.relic.boltzmann import PLANCK_MASS, TODAY, abundance
from bknn.relic.degrees import Degrees
from bknn.relic.moments import averages, relativistic
from bknn.relic.thermal_average import CrossSection, nodes

#: x where X is in equilibrium, and where the integration ends.
START, END = 2.0, 1e9

#: m/T_X between which averages are tabulated; beyond, those of the ends are taken.
HOTTEST, COLDEST = 1.25, 1e12

_LEAST = 1e-250

#: Alexander's rule.
_G = 0.43586652150845899942
_B1, _B2 = -(6 * _G**2 - 16 * _G + 1) / 4, (6 * _G**2 - 20 * _G + 5) / 4
_FRACTIONS = np.array([_G, (1 + _G) / 2, 1.0])
_LOWER = np.array([[0.0, 0.0, 0.0], [(1 - _G) / 2, 0.0, 0.0], [_B1, _B2, 0.0]])

_ITERATIONS, _TOLERANCE = 40, 1e-9


class Elastic(Protocol):
    """What keeps X at the temperature of the plasma: `scattering.Scattering`."""

    def rate(self, temperature: Array, mass: ArrayLike) -> Array: ...


class Kinetic(eqx.Module):
    """The abundance of X with a temperature of its own.

    Attributes:
        omega_h2: Omega h^2 of X and Xbar.
        ratio: of that to Omega h^2 of X at the temperature of the plasma (`boltzmann.abundance`).
        yield_today: Y at the end.
        x_kinetic: x where gamma = H for the last time; 0 where gamma < H throughout.
        x_departure: x where T_X differs from T by a tenth for the first time.
        converged: whether the equations of all steps are solved.
        x, Y, temperature: of the steps (n,): m/T, the yield, T_X/T.
    """

    omega_h2: Array
    ratio: Array
    yield_today: Array
    x_kinetic: Array
    x_departure: Array
    converged: Array
    x: Array
    Y: Array
    temperature: Array


def grid(steps: int) -> Any:
    """Return ln x of the ends of steps, (steps + 1,), closest between x = 8 and 100.

    >>> ends = grid(400)
    >>> int(np.exp(ends[-1]) + 0.5), bool(np.all(np.diff(ends) > 0))
    (1000000000, True)
    """
    from scipy.special import expit

    at = np.linspace(np.log(START), np.log(END), 4001)
    density = 0.12 + expit(4.0 * (at - np.log(8.0))) * expit(2.0 * (np.log(100.0) - at))
    counted = np.concatenate([[0.0], np.cumsum((density[1:] + density[:-1]) / 2.0)])
    return np.interp(np.linspace(0.0, counted[-1], steps + 1), counted, at)


class _Cubics(NamedTuple):
    """Functions of ln x as cubics between even points.

    Values and slopes, (points, 2, functions).
    """

    rows: Array
    first: float
    spacing: float

    def __call__(self, ln_x: Array) -> Array:
        """Return them at ln x, any shape, (..., functions); outside, the values of the ends."""
        at = jnp.clip((ln_x - self.first) / self.spacing, 0.0, len(self.rows) - 1.0)
        i = jnp.clip(jnp.floor(at).astype(int), 0, len(self.rows) - 2)
        u = (at - i)[..., None]
        left, right = self.rows[i], self.rows[i + 1]
        f0, d0, d1 = left[..., 0, :], left[..., 1, :], right[..., 1, :]
        rise = right[..., 0, :] - f0
        return f0 + u * (d0 + u * (3 * rise - 2 * d0 - d1 + u * (d0 + d1 - 2 * rise)))


def _even(first: float, last: float, spacing: float) -> Any:
    """Return points such that `_cubics` of values there is good from the first to the last."""
    return first + spacing * np.arange(-2.0, np.ceil((last - first) / spacing) + 3.0)


def _cubics(values: Array, points: Any) -> _Cubics:
    """Return cubics through values (n, functions) at even points (n,), slopes of fourth order."""
    rise = values[1:] - values[:-1]
    slope = (7.0 * (rise[2:-1] + rise[1:-2]) - rise[3:] - rise[:-3]) / 12.0
    rows = jnp.stack([values[2:-2], slope], axis=1)
    return _Cubics(rows, float(points[2]), float(points[1] - points[0]))


def _gas(annihilation: CrossSection) -> _Cubics:
    """Return ln <sigma v>, ln <sigma v>_2/<sigma v> and R."""
    ln_x = _even(np.log(HOTTEST), np.log(COLDEST), 0.1)
    x = np.exp(ln_x)
    found = jnp.log(jnp.maximum(averages(nodes(annihilation), jnp.asarray(x)), _LEAST))
    values = [found[:, 0], found[:, 1] - found[:, 0], relativistic(x)]
    return _cubics(jnp.stack(values, axis=1), ln_x)


class _Plasma(NamedTuple):
    """What the equations need of the plasma at x, all of one shape."""

    ln_x: Array
    ln_lambda: Array
    ln_made: Array  #: ln(lambda Y_eq^2 <sigma v>_T)
    rho: Array  #: <sigma v>_2/<sigma v> at T
    j: Array
    elastic: Array  #: gamma/H'
    ln_yield: Array  #: ln Y_eq


def _plasma(
    annihilation: CrossSection, scattering: Elastic, degrees: Degrees, at: _Cubics, ln_x: Any
) -> _Plasma:
    m, majorana = jnp.asarray(annihilation.mass, dtype=float), annihilation.majorana
    ln_x = jnp.asarray(ln_x)
    x = jnp.exp(ln_x)
    T = m / x
    numbers = degrees.held(T)
    j = numbers.sqrt_g * jnp.sqrt(numbers.energy) / numbers.entropy
    hubble = np.sqrt(8.0 * np.pi**3 / 90.0) * jnp.sqrt(numbers.energy) * T**2 / PLANCK_MASS
    speed = np.sqrt(np.pi / 45.0) * PLANCK_MASS * m * numbers.sqrt_g / x
    ln_lambda = jnp.log(speed if majorana else speed / 2.0)
    states = 2.0 if majorana else 4.0
    light = 45.0 * states / (4.0 * np.pi**4) * np.sqrt(np.pi / 2.0)
    ln_yield = jnp.log(light * x**1.5 * reduced(2, 1.0 / x) / numbers.entropy) - x
    ln_sigma, ln_rho, _ = jnp.moveaxis(at(ln_x), -1, 0)
    points = _even(np.log(START), np.log(1e7), 0.05)
    rates = scattering.rate(m * np.exp(-points), m)
    gamma = jnp.exp(_cubics(jnp.log(jnp.maximum(rates, _LEAST))[:, None], points)(ln_x)[..., 0])
    elastic = gamma / hubble * j
    ln_made = ln_lambda + 2.0 * ln_yield + ln_sigma
    return _Plasma(ln_x, ln_lambda, ln_made, jnp.exp(ln_rho), j, elastic, ln_yield)


def _slopes(z: Array, here: _Plasma, at: _Cubics) -> Array:
    """Return the derivatives of ln Y and theta with respect to ln x."""
    w, theta = z
    ln_sigma, ln_rho, R = at(here.ln_x - theta)
    lost = jnp.exp(here.ln_lambda + ln_sigma + w)
    made = jnp.exp(here.ln_made - w)
    colder = jnp.exp(-theta)
    heating = 1.0 - here.j * (2.0 - R) + here.elastic * (colder - 1.0)
    heating += lost * (1.0 - jnp.exp(ln_rho)) + made * (colder * here.rho - 1.0)
    return jnp.stack([made - lost, heating])


def _solve(jacobian: Array, right: Array) -> Array:
    (a, b), (c, d) = jacobian
    return jnp.stack([d * right[0] - b * right[1], a * right[1] - c * right[0]]) / (a * d - b * c)


def _stage(base: Array, guess: Array, h: Array, here: _Plasma, at: _Cubics) -> tuple[Array, Any]:
    """Return z with z = base + h slopes(z), and the size of the last step of the search for it.

    The search is not differentiated; a last step of it with the parameters free is, which is the
    implicit function theorem.
    """

    def residual(z: Array, base: Array, here: _Plasma, at: _Cubics) -> Array:
        return z - base - h * _slopes(z, here, at)

    fixed = jax.lax.stop_gradient((base, here, at))

    def go_on(state: tuple[Array, Array, Array]) -> Array:
        return (state[1] > _TOLERANCE) & (state[2] < _ITERATIONS)

    def step(state: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        z, _, count = state
        move = _solve(jax.jacfwd(residual)(z, *fixed), residual(z, *fixed))
        move = jnp.clip(move, -1.5, 1.5)
        return z - move, jnp.max(jnp.abs(move)), count + 1

    start = (jax.lax.stop_gradient(guess), jnp.array(jnp.inf), jnp.array(0))
    z, size, _ = jax.lax.while_loop(go_on, step, start)
    jacobian = jax.jacfwd(residual)(z, *fixed)
    return z - _solve(jacobian, residual(z, base, here, at)), size


def abundance_kinetic(
    annihilation: CrossSection,
    scattering: Elastic,
    degrees: Degrees | str = tables.TABLES[0],
    *,
    steps: int = 400,
) -> Kinetic:
    """Return the abundance of X, whose temperature is solved for.

    Args:
        annihilation: the cross section of X Xbar (`annihilation.Annihilation`, `from_function`).
        scattering: elastic scattering of X on the plasma (`scattering.Scattering`).
        degrees: degrees of freedom, or the name of a table of them. Outside of a table its ends are
            held.
        steps: in ln x, from 2 to 1e9.

    Raises:
        UnknownNameError: there is no table of that name.

    >>> from bknn.relic.annihilation import from_function
    >>> from bknn.relic.scattering import Scattering, standard_model
    >>> slow = from_function(lambda s: 2e-9 / jnp.sqrt(1 - 4 / s), 1.0)
    >>> inert = Scattering(2.1, 0.0, 0.0, standard_model(np.zeros(12), np.zeros(12)))
    >>> found = eqx.filter_jit(abundance_kinetic)(slow, inert)
    >>> bool(found.converged), round(float(found.temperature[-1] * found.x[-1]))
    (True, 10)
    """
    star = tables.degrees(degrees) if isinstance(degrees, str) else degrees
    standard = abundance(annihilation, star).omega_h2
    at = _gas(annihilation)
    ends = grid(steps)
    h = np.diff(ends)
    inside = _plasma(
        annihilation, scattering, star, at, ends[:-1, None] + h[:, None] * _FRACTIONS[None]
    )
    first = _plasma(annihilation, scattering, star, at, ends[:1])

    def advance(state: tuple[Array, Array], given: tuple[Array, _Plasma]) -> Any:
        z, slope = state
        h, here = given

        def stage(state: tuple[Array, Array, Array], given: Any) -> Any:
            _, slope, slopes = state
            i, lower, now = given
            base = z + h * (lower @ slopes)
            found, size = _stage(base, base + h * _G * slope, h * _G, now, at)
            slope = (found - base) / (h * _G)
            return (found, slope, slopes.at[i].set(slope)), size

        stages = np.arange(3), jnp.asarray(_LOWER), here
        (z, slope, _), sizes = jax.lax.scan(stage, (z, slope, jnp.zeros((3, 2))), stages)
        return (z, slope), (z, jnp.max(sizes))

    z0 = jnp.stack([first.ln_yield[0], jnp.zeros(())])
    (z, _), (path, sizes) = jax.lax.scan(advance, (z0, jnp.zeros(2)), (jnp.asarray(h), inside))
    x = jnp.asarray(np.exp(ends[1:]))
    rate = inside.elastic[:, -1] / inside.j[:, -1]
    Y = jnp.exp(z[0])
    omega_h2 = TODAY * jnp.asarray(annihilation.mass) * Y
    return Kinetic(
        omega_h2=omega_h2,
        ratio=omega_h2 / standard,
        yield_today=Y,
        x_kinetic=jnp.max(jnp.where(rate > 1.0, x, 0.0)),
        x_departure=jnp.min(jnp.where(jnp.abs(jnp.expm1(path[:, 1])) > 0.1, x, END)),
        converged=jnp.all(sizes < 1e-6),
        x=x,
        Y=jnp.exp(path[:, 0]),
        temperature=jnp.exp(path[:, 1]),
    )
