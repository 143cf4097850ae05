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

The equations are solved in ln Y and theta by implicit steps in ln x (`implicit`).
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from bknn.kinematics import known
from bknn.relic import degrees as tables
from bknn.relic.bessel import reduced
from bknn.relic.boltzmann import PLANCK_MASS, TODAY, abundance
from bknn.relic.degrees import Degrees
from bknn.relic.implicit import FRACTIONS, Pair, solve
from bknn.relic.moments import averages, relativistic
from bknn.relic.scattering import SPACING, Scattering
from bknn.relic.thermal_average import CrossSection, nodes

#: x where X is in equilibrium, and where the integration ends.
START, END = 2.0, 1e9

#: m/T_X between which averages are tabulated; beyond, those of the ends are taken.
HOTTEST, COLDEST = 1.25, 1e12

#: Nothing, in GeV or GeV^-2, for a logarithm; the square of its inverse is still a number.
_LEAST = 1e-150


class Elastic(Protocol):
    """What keeps X at the temperature of the plasma: `scattering.Scattering`, or one's own.

    `rate` is gamma in GeV at temperatures in GeV, (n,), of X of a mass in GeV.
    """

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

    Coefficients, constant first, (intervals, 4, functions).
    """

    rows: Array
    first: float
    spacing: float

    def __call__(self, ln_x: Array) -> Array:
        """Return them at ln x, any shape, (..., functions); outside, the values of the ends."""
        at = jnp.clip((ln_x - self.first) / self.spacing, 0.0, float(len(self.rows)))
        i = jnp.clip(jnp.floor(at).astype(int), 0, len(self.rows) - 1)
        u, c = (at - i)[..., None], self.rows[i]
        return c[..., 0, :] + u * (c[..., 1, :] + u * (c[..., 2, :] + u * c[..., 3, :]))


def _even(first: float, last: float, spacing: float) -> Any:
    """Return points such that `_cubics` of values there is good from the first to the last."""
    return first + spacing * np.arange(-2.0, np.ceil((last - first) / spacing) + 3.0)


def _cubics(values: Array, points: Any) -> _Cubics:
    """Return cubics through values (n, functions) at even points (n,), slopes of fourth order."""
    rise = values[1:] - values[:-1]
    slope = (7.0 * (rise[2:-1] + rise[1:-2]) - rise[3:] - rise[:-3]) / 12.0
    rise, left, right = rise[2:-2], slope[:-1], slope[1:]
    rows = values[2:-3], left, 3.0 * rise - 2.0 * left - right, left + right - 2.0 * rise
    return _Cubics(jnp.stack(rows, axis=1), float(points[2]), float(points[1] - points[0]))


def _dense(ln_x: Any) -> Any:
    """Return that in which averages are tabulated in even steps: these are x^0.1 steps in ln x.

    Near x = 20 averages over a pole fall to those beside it within a few per cent of x.
    """
    return -10.0 * np.exp(-0.1 * ln_x) if known(ln_x) else -10.0 * jnp.exp(-0.1 * ln_x)


def _gas(annihilation: CrossSection) -> _Cubics:
    """Return ln <sigma v>, ln <sigma v>_2/<sigma v> and R, of `_dense`."""
    points = _even(_dense(np.log(HOTTEST)), _dense(np.log(COLDEST)), 0.05)
    x = (-points / 10.0) ** -10.0
    found = jnp.log(jnp.maximum(averages(nodes(annihilation), jnp.asarray(x)), _LEAST))
    values = [found[:, 0], found[:, 1] - found[:, 0], relativistic(x)]
    return _cubics(jnp.stack(values, axis=1), points)


def _gamma(scattering: Elastic, m: Array, ln_x: Array) -> Array:
    """Return the rate of scattering, GeV, from a table of it; one's own may have narrow steps."""

    def between(rates: Array, points: Any) -> Array:
        return jnp.exp(_cubics(jnp.log(jnp.maximum(rates, _LEAST)), points)(ln_x))

    coldest = np.log(1e7)
    if isinstance(scattering, Scattering) and type(scattering).rate is Scattering.rate:
        points = _even(np.log(START), coldest, SPACING)
        parts = scattering.parts(m * np.exp(-points[0]), m, len(points))
        return jnp.sum(between(parts, points) * scattering.there(m * jnp.exp(-ln_x)), axis=-1)
    points = _even(np.log(START), coldest, 0.05)
    return between(scattering.rate(m * np.exp(-points), m)[:, None], points)[..., 0]


class _Plasma(NamedTuple):
    """What the equations need of the plasma at x, all of one shape."""

    ln_x: Array
    ln_lambda: Array
    ln_made: Array  #: ln(lambda Y_eq^2 <sigma v>_T)
    rho: Array  #: <sigma v>_2/<sigma v> at T
    j: Array
    elastic: Array  #: gamma/H'


def _ln_equilibrium(ln_x: Array, entropy: Array, majorana: bool) -> Array:
    """Return ln Y_eq."""
    states, x = 2.0 if majorana else 4.0, jnp.exp(ln_x)
    light = 45.0 * states / (4.0 * np.pi**4) * np.sqrt(np.pi / 2.0)
    return jnp.log(light * x**1.5 * reduced(2, 1.0 / x) / entropy) - x


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
    ln_yield = _ln_equilibrium(ln_x, numbers.entropy, majorana)
    ln_sigma, ln_rho, _ = jnp.moveaxis(at(_dense(ln_x)), -1, 0)
    elastic = _gamma(scattering, m, ln_x) / hubble * j
    ln_made = ln_lambda + 2.0 * ln_yield + ln_sigma
    return _Plasma(ln_x, ln_lambda, ln_made, jnp.exp(ln_rho), j, elastic)


def _slopes(z: Pair, here: _Plasma, at: _Cubics) -> Pair:
    """Return the derivatives of ln Y and theta with respect to ln x."""
    w, theta = z
    ln_sigma, ln_rho, R = jnp.moveaxis(at(_dense(here.ln_x - theta)), -1, 0)
    lost = jnp.exp(here.ln_lambda + ln_sigma + w)
    made = jnp.exp(here.ln_made - w)
    colder = jnp.exp(-theta)
    heating = 1.0 - here.j * (2.0 - R) + here.elastic * (colder - 1.0)
    heating += lost * (1.0 - jnp.exp(ln_rho)) + made * (colder * here.rho - 1.0)
    return made - lost, heating


def abundance_kinetic(
    annihilation: CrossSection,
    scattering: Elastic,
    degrees: Degrees | str = tables.TABLES[0],
    *,
    steps: int = 400,
) -> Kinetic:
    """Return the abundance of X, whose temperature is solved for.

    First and second derivatives of all but `x_kinetic` and `x_departure` are those of the solution.

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
    stages = ends[:-1, None] + h[:, None] * FRACTIONS[None]
    inside = _plasma(annihilation, scattering, star, at, stages)
    m = jnp.asarray(annihilation.mass, dtype=float)
    entropy = star.held(m / START).entropy
    start = _ln_equilibrium(jnp.log(START), entropy, annihilation.majorana), jnp.zeros(())
    (ln_Y, theta), converged = solve(_slopes, start, jnp.asarray(h), inside, at)
    ln_Y, theta = ln_Y[:, -1], theta[:, -1]
    x = jnp.asarray(np.exp(ends[1:]))
    rate = inside.elastic[:, -1] / inside.j[:, -1]
    Y = jnp.exp(ln_Y[-1])
    omega_h2 = TODAY * m * Y
    return Kinetic(
        omega_h2=omega_h2,
        ratio=omega_h2 / standard,
        yield_today=Y,
        x_kinetic=jnp.max(jnp.where(rate > 1.0, x, 0.0)),
        x_departure=jnp.min(jnp.where(jnp.abs(jnp.expm1(theta)) > 0.1, x, END)),
        converged=converged,
        x=x,
        Y=jnp.exp(ln_Y),
        temperature=jnp.exp(theta),
    )
