"""The abundance of X from its freeze-out: the Boltzmann equation for the number of X.

With Y = n/s of X and Xbar together (of X alone if it is its own antiparticle) and x = m/T,

    dY/dx = -lambda (Y^2 - Y_eq^2)/x^2,   lambda = sqrt(pi/45) M_Pl m sqrt_g k <sigma v>,

k being 1/2 for a Dirac X, of which half are antiparticles, and 1 for a Majorana X;
Y_eq = 45 g x^2 K_2(x)/(4 pi^4 h_eff), g = 4 and 2. X has the temperature of the plasma throughout.
Y starts in equilibrium at x = 1.

It is a Riccati equation: Y = p/q of a linear one. From a point in x to the next,

    (p, q) -> exp[(fall/2, source), (sink, -fall/2)] (p, q),   p/q = Y/Y_eq,

where Y_eq falls by exp(-fall); source and sink are such that to first order in lambda the step is
exact, however fast Y_eq falls and lambda changes. This follows the equilibrium without a condition
on the step, and has no equation to solve; steps of 0.4 in x leave errors of some 1e-6 in Y. From
x = 100 on, where Y_eq is nothing, 1/Y grows by the integral of lambda/x^2, to x = 1e9: near a pole
annihilation goes on late. `docs/relic.md` has what diffrax costs for the same.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import NDArray

from bknn.relic import degrees as tables
from bknn.relic.annihilation import Resonance
from bknn.relic.bessel import k1e, k2e
from bknn.relic.degrees import Degrees
from bknn.relic.thermal_average import POINTS, TO_CM3_PER_S, CrossSection, average, nodes

Floats = NDArray[np.float64]

#: Planck's mass, GeV (CODATA 2018).
PLANCK_MASS = 1.220890e19

#: Omega h^2 over m Y, 1/GeV: entropy over critical density, 2889.6 cm^-3 (2.725 K, 43/11 degrees of
#: freedom) over 1.0537e-5 GeV/cm^3, the number of micrOMEGAs. With 2.7255 K it is 0.06 % more.
TODAY = 2.742e8

#: (M^2 - 4 m^2)/(4 m^2) below which kinetic equilibrium is doubtful. The usual 0.1 is too little:
#: with small couplings the abundance changes most from 0.1 to 0.4 (docs/relic_kinetic.md).
LATE_POLE = 0.5

#: Y over Y_eq at which X is said to freeze out, as in micrOMEGAs.
FROZEN = 2.5

#: x at the ends of the steps, and where annihilation is over.
START, SWITCH, END = 1.0, 100.0, 1e9

#: Step in x up to 60, where Y leaves equilibrium, and beyond.
_STEP, _FINE, _LATER = 0.4, 60.0, 2.0

#: Panels of the rule in ln x after the steps, and points of each.
#: As far as T of the heaviest X passes steps of g_*, panels are narrower.
_NARROW, _WIDE, _LAST_STEP, _POINTS = 16, 5, 1e5, 8


class Relic(eqx.Module):
    """What is left of X.

    Attributes:
        omega_h2: abundance today, X and Xbar together.
        x_freeze_out: m/T at which Y is 2.5 Y_eq.
        yield_today: Y today.
        epsilon: (M^2 - 4 m^2)/(4 m^2) of the pole: negative below the threshold, infinite without
            a pole.
        sigma_v_x20, sigma_v_today: <sigma v> in cm^3/s at x = 20 and 1e8, averaged over X and Xbar:
            of a Dirac X half of that of X Xbar.
        coupled: annihilations of an X in a Hubble time at x = 3 in equilibrium; below 1, X does
            not freeze out after that.
        late: part of 1/Y that is made from x = 1e8 to 1e9: not small where annihilation goes on.
        mass: of X, GeV.
        degrees: which degrees of freedom were used.
    """

    omega_h2: Array
    x_freeze_out: Array
    yield_today: Array
    epsilon: Array
    sigma_v_x20: Array
    sigma_v_today: Array
    coupled: Array
    late: Array
    mass: Array
    degrees: str = eqx.field(static=True)


class Grid(NamedTuple):
    """Where things are evaluated: constants."""

    steps: Floats  #: x at the ends of steps
    middle: Floats  #: matrix from values at the ends of steps to those between them
    late: Floats  #: x after the last step
    weights: Floats  #: of these, in x


@cache
def grid(refine: int = 1) -> Grid:
    """Return the points in x, `refine` times as many as usual."""
    first = np.linspace(START, _FINE, 1 + refine * round((_FINE - START) / _STEP))
    then = np.linspace(_FINE, SWITCH, 1 + refine * round((SWITCH - _FINE) / _LATER))
    steps = np.concatenate([first, then[1:]])
    middle = np.zeros((len(steps) - 1, len(steps)))
    for i, x in enumerate((steps[1:] + steps[:-1]) / 2):  # cubics through four ends
        near = np.clip(i - 1, 0, len(steps) - 4) + np.arange(4)
        for j in near:
            others = steps[near[near != j]]
            middle[i, j] = np.prod((x - others) / (steps[j] - others))
    early = np.linspace(np.log(SWITCH), np.log(_LAST_STEP), 1 + refine * _NARROW)
    edges = np.append(early, np.linspace(early[-1], np.log(END), 1 + refine * _WIDE)[1:])
    t, w = np.polynomial.legendre.leggauss(_POINTS)
    half = np.diff(edges)[:, None] / 2
    late = np.exp((edges[1:] + edges[:-1])[:, None] / 2 + half * t)
    return Grid(steps, middle, late.ravel(), (half * w * late).ravel())


class History(NamedTuple):
    """X at the ends of steps and after them.

    `rate` is lambda/x^2, so that dY/dx = -rate (Y^2 - Y_eq^2).
    """

    ln_equilibrium: Array  #: of Y_eq at the ends of steps
    rate: Array  #: there
    late_rate: Array  #: at the later points
    sigma_v: Array  #: of X Xbar at x = 20 and 1e8, GeV^-2
    excess: Array  #: ln Y/Y_eq at the ends of steps


def history(
    annihilation: CrossSection, degrees: Degrees, *, points: int = POINTS, refine: int = 1
) -> History:
    """Return what happens to X while it freezes out; arguments as of `abundance`."""
    at, m = grid(refine), jnp.asarray(annihilation.mass, dtype=float)
    n, late = len(at.steps), len(at.late)
    x = np.concatenate([at.steps, at.late, [20.0, 1e8]])
    sigma_v = jnp.maximum(average(nodes(annihilation, points), jnp.asarray(x)), 1e-100)
    numbers = degrees.held(m / x[: n + late])
    share = 1.0 if annihilation.majorana else 0.5
    size = np.sqrt(np.pi / 45.0) * PLANCK_MASS * share * m
    rate = size * numbers.sqrt_g * sigma_v[:-2] / x[:-2] ** 2
    states = 2.0 if annihilation.majorana else 4.0
    statistics = 45.0 * states / (4.0 * np.pi**4) * at.steps**2 * k2e(at.steps)
    ln_equilibrium = jnp.asarray(np.log(statistics) - at.steps) - jnp.log(numbers.entropy[:n])
    excess = _excess(at, ln_equilibrium, rate[:n])
    return History(ln_equilibrium, rate[:n], rate[n:], sigma_v[-2:], excess)


def _excess(at: Grid, ln_equilibrium: Array, rate: Array) -> Array:
    """Return ln Y/Y_eq at the ends of steps."""
    h, ln_rate = jnp.asarray(np.diff(at.steps)), jnp.log(rate)
    fall = -jnp.diff(ln_equilibrium)
    ln_both = ln_rate + 2.0 * ln_equilibrium
    middle = jnp.asarray(at.middle)

    def integral(ln_f: Array) -> tuple[Array, Array]:
        """Return the integral over each step, and the geometric mean at its ends."""
        mean = jnp.exp((ln_f[1:] + ln_f[:-1]) / 2.0)
        bend = jnp.expm1(middle @ ln_f - (ln_f[1:] + ln_f[:-1]) / 2.0)
        rise = jnp.diff(ln_f)
        return mean * h * (_sinhc(rise / 2.0) + bend * _bump(rise)), mean

    half = (ln_equilibrium[1:] + ln_equilibrium[:-1]) / 2.0
    source = integral(ln_both)[0] * jnp.exp(-half) / _sinhc(fall / 2.0)
    sink = integral(ln_rate)[0] * jnp.exp(half) / _sinhc(fall / 2.0)
    root = jnp.sqrt(fall**2 / 4.0 + source * sink)
    turn = jnp.tanh(root)
    # root - (fall/2) turn, the difference of nearly equal numbers where X annihilates no more
    tiny = jnp.exp(-2.0 * root)
    rest = source * sink / (root + fall / 2.0) + fall * tiny / (1.0 + tiny)

    def step(w: Array, this: tuple[Array, ...]) -> tuple[Array, Array]:
        source, sink, grow, rest = this
        w = (w * grow + source) / (w * sink + rest)
        return w, w

    each = source * turn, sink * turn, root + fall / 2.0 * turn, rest
    _, w = jax.lax.scan(step, jnp.ones(()), each)
    return jnp.log(jnp.concatenate([jnp.ones(1), w]))


def _sinhc(z: Array) -> Array:
    """Return sinh(z)/z."""
    small = jnp.abs(z) < 1e-2
    safe = jnp.where(small, 1.0, z)
    return jnp.where(small, 1.0 + z**2 / 6.0 * (1.0 + z**2 / 20.0), jnp.sinh(safe) / safe)


def _bump(z: Array) -> Array:
    """Return the integral of 4 s (1 - s) exp(z (s - 1/2)) from 0 to 1."""
    small = jnp.abs(z) < 0.3
    y = jnp.where(small, 1.0, z) / 2.0
    series = 2.0 / 3.0 * (1.0 + z**2 / 40.0 + z**4 / 4480.0)
    return jnp.where(small, series, 2.0 * (y * jnp.cosh(y) - jnp.sinh(y)) / y**3)


def _crossing(at: Grid, rising: Array, level: float) -> Array:
    """Return the x at which a function at the ends of steps first exceeds a level.

    A cubic in the function through four points; of one that never does, the last end.
    """
    n = len(at.steps)
    i = jnp.argmax(jnp.append(rising[1:-1] > level, True))  # between ends i and i + 1
    near = jnp.clip(i - 1, 0, n - 4) + jnp.arange(4)
    # Inversely, with the logarithm's slope kept away from 0 in equilibrium.
    f, x = rising[near], jnp.asarray(at.steps)[near]
    found = jnp.zeros(())
    for j in range(4):
        others = [k for k in range(4) if k != j]
        weight = jnp.prod(jnp.stack([(level - f[k]) / (f[j] - f[k]) for k in others]))
        found += weight * x[j]
    return found


def abundance(
    annihilation: CrossSection,
    degrees: Degrees | str = tables.TABLES[0],
    *,
    points: int = POINTS,
    refine: int = 1,
) -> Relic:
    """Return what is left of X, a pure JAX function of everything in the cross section.

    Args:
        annihilation: `annihilation.Annihilation`, or what `annihilation.from_function` returns.
        degrees: degrees of freedom, or the name of a table of them. Outside of a table its ends are
            held; `remarks` says so.
        points: of each panel of the thermal average.
        refine: how many times finer than usual the steps are.

    Raises:
        UnknownNameError: there is no table of that name.

    >>> from bknn.relic.annihilation import from_function
    >>> X = from_function(lambda s: 2e-9 / (2 * jnp.sqrt(1 - 4e4 / s)), 100.0)
    >>> found = abundance(X)
    >>> round(float(found.omega_h2), 2), round(float(found.x_freeze_out))
    (0.22, 24)
    """
    g = tables.degrees(degrees) if isinstance(degrees, str) else degrees
    m = jnp.asarray(annihilation.mass, dtype=float)
    at = grid(refine)
    past = history(annihilation, g, points=points, refine=refine)
    switch = jnp.exp(-past.excess[-1] - past.ln_equilibrium[-1])  # 1/Y there
    parts = past.late_rate * at.weights
    inverse = switch + jnp.sum(parts)
    late = jnp.sum(jnp.where(jnp.asarray(at.late) > 1e8, parts, 0.0)) / inverse
    per_time = jnp.log(past.rate * at.steps) + past.ln_equilibrium
    share = 1.0 if annihilation.majorana else 0.5
    averaged = share * past.sigma_v * TO_CM3_PER_S
    return Relic(
        omega_h2=TODAY * m / inverse,
        x_freeze_out=_crossing(at, past.excess, float(np.log(FROZEN))),
        yield_today=1.0 / inverse,
        epsilon=_epsilon(annihilation.poles, m),
        sigma_v_x20=averaged[0],
        sigma_v_today=averaged[1],
        coupled=jnp.exp(jnp.interp(3.0, at.steps, per_time)),
        late=late,
        mass=m,
        degrees=g.name,
    )


def _epsilon(poles: tuple[Resonance, ...], mass: Array) -> Array:
    if not poles:
        return jnp.full((), jnp.inf)
    M = jnp.asarray(poles[0].mass, dtype=float)
    return (M - 2.0 * mass) * (M + 2.0 * mass) / (4.0 * mass**2)


class Approximation(NamedTuple):
    """What the freeze-out approximation gives."""

    omega_h2: Array
    x_freeze_out: Array


def approximate(
    annihilation: CrossSection, degrees: Degrees | str = tables.TABLES[0], *, points: int = POINTS
) -> Approximation:
    """Return the freeze-out approximation, for comparison.

    X is in equilibrium until Y would be 2.5 Y_eq, where with delta = 1.5
    delta (delta + 2)/(delta + 1) lambda Y_eq/x^2 is -d ln Y_eq/dx (Gondolo, Gelmini, Nucl. Phys. B
    360, 145 (1991), section 5), and annihilates alone after that.

    >>> from bknn.relic.annihilation import from_function
    >>> X = from_function(lambda s: 2e-9 / (2 * jnp.sqrt(1 - 4e4 / s)), 100.0)
    >>> round(float(approximate(X).omega_h2 / abundance(X).omega_h2), 2)
    1.0
    """
    g = tables.degrees(degrees) if isinstance(degrees, str) else degrees
    m, at = jnp.asarray(annihilation.mass, dtype=float), grid()
    past = history(annihilation, g, points=points)
    delta = FROZEN - 1.0
    falling = k1e(at.steps) / k2e(at.steps)  # -d ln Y_eq/dx, but for h_eff
    balance = jnp.log(falling) - past.ln_equilibrium - jnp.log(past.rate)
    x = _crossing(at, balance, float(np.log(delta * (delta + 2.0) / (delta + 1.0))))
    ends = jnp.asarray(at.steps)
    low = jnp.maximum(ends[:-1], x)  # trapezia, the first one cut
    part = jnp.clip((ends[1:] - low) / jnp.diff(ends), 0.0, 1.0)
    mean = (past.rate[1:] * (2.0 - part) + past.rate[:-1] * part) / 2.0
    after = jnp.sum(mean * part * jnp.diff(ends)) + jnp.sum(past.late_rate * at.weights)
    inverse = after + jnp.exp(-jnp.interp(x, ends, past.ln_equilibrium)) / FROZEN
    return Approximation(TODAY * m / inverse, x)


def remarks(found: Relic) -> tuple[str, ...]:
    """Return what to know of a result before it is believed, a sentence each; none is well.

    Args:
        found: of one point, its numbers known.

    >>> from bknn.relic.annihilation import from_function
    >>> weak = from_function(lambda s: 1e-16 / jnp.sqrt(1 - 4 / s), 1.0)
    >>> remarks(abundance(weak))[0][:45]
    'X freezes out at m/T = 5.55, below 15: Boltzm'
    """
    x, epsilon, m = float(found.x_freeze_out), float(found.epsilon), float(found.mass)
    said = []
    if (coupled := float(found.coupled)) < 1.0:
        said.append(
            f"X does not freeze out above m/T = 3: there it annihilates {coupled:.2g} times in a "
            "Hubble time. It was relativistic when it did, or never in equilibrium; its abundance "
            "depends on what is not known here, and this number is none."
        )
    elif x < 15.0:
        said.append(
            f"X freezes out at m/T = {x:.3g}, below 15: Boltzmann's statistics, and that it starts "
            f"in equilibrium at {START:g}, make the abundance uncertain by per cents."
        )
    if -1e-3 < epsilon < LATE_POLE:
        said.append(
            f"the pole is near the threshold (epsilon = {epsilon:.2g}, below {LATE_POLE:g}): X may "
            "lose the temperature of the plasma while it annihilates, and the abundance may be off "
            "by a factor of up to some ten; `bknn.relic.kinetic` solves for the temperature of X "
            "too."
        )
    if (late := float(found.late)) > 1e-3:
        said.append(
            f"X still annihilates at m/T = {END:g}, where the solution ends ({100 * late:.2g} % of "
            "1/Y is of the last decade): the abundance is an upper bound."
        )
    lowest, highest = tables.degrees(found.degrees).range()
    if m / START > highest:
        said.append(
            f"temperatures reach {m / START:.3g} GeV, and the table {found.degrees} ends at "
            f"{highest:.3g} GeV: its last entries are held."
        )
    if m / x < lowest:
        said.append(
            f"X freezes out at {m / x:.3g} GeV, and the table {found.degrees} begins at "
            f"{lowest:.3g} GeV: its first entries are held."
        )
    return tuple(said)
