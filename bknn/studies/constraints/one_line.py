"""Counts as a function of one line: a table of fits in place of a fit at every point.

At low energies many models are the standard model and one particle X. What they do to counts are
then three numbers, the mass of X, its width, and the rate of B -> K X with X not seen, however many
parameters there are. -2 log L, with everything else fitted, is a smooth function of these three: it
is found on a few nodes and interpolated.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from bknn.analysis.analysis import Analysis
from bknn.data import Measurement
from bknn.inference.fits.fit import fit
from bknn.inference.pieces import Progress
from bknn.models.complete.matching import Matching
from bknn.models.resonance import Resonance
from bknn.models.theory import Particle, Theory
from bknn.parameters import Parameter
from bknn.spectrum import Line, Spectrum

#: -2 log L above its lowest value, up to which the table has nodes.
HIGH = 60.0

#: Nodes along the rate, and along the width where it matters.
RATES, WIDTHS = 28, 5

#: A change of -2 log L by a width, or by an uncertain rate, that does not matter.
SMALL = 2e-3


#: Relative rates that differ by more are not the same.
UNLIKE = 0.02


class Lines(NamedTuple):
    """What a model is for counts at several points: mass and width in GeV, rate of the first decay,
    and the relative uncertainty of the rate by what the fits do not know, (n,) each."""

    mass: np.ndarray
    width: np.ndarray
    rate: np.ndarray
    spread: np.ndarray


class Found(NamedTuple):
    """-2 log L of several points (n,), the lowest for rates between theirs, whether they have a
    higher rate than the one where it is lowest (n,), how far interpolation and fits differ between
    the nodes, and how many fits there were and failed."""

    twice_nll: np.ndarray
    lowest: float
    above: np.ndarray
    error: float
    fits: int
    failed: int


class OneLine:
    """SM + a line whose mass, rate and width are parameters, as a theory at low energies has it.

    Form factors and the standard model are those of the theory; so are the ratios of the rates of
    different decays, and how form factors change them.

    Args:
        theory: with one particle beside the standard model.
        values: of its parameters, where these ratios are taken.
        decay: whose branching fraction is the parameter `rate`, at central form factors.
        masses: the lowest and the highest.
    """

    name = "one-line"
    description = "SM + a line"
    null: Mapping[str, float] = {"rate": 0.0}

    def __init__(
        self, theory: Any, values: Mapping[str, float], decay: str, masses: tuple[float, float]
    ) -> None:
        self.theory, self.values, self.decay = theory, dict(values), decay
        low, high = masses
        self.parameters = (
            Parameter("rate", 1e-6, (0.0, 1.0)),
            Parameter("mass", low, (low, max(high, low + 1e-3)), fixed=True),
            Parameter("width", 0.0, (0.0, 1e3), fixed=True),
            *(p for p in theory.parameters if p.constraint is not None),
        )

    def nuisances(self, channels: Sequence[str]) -> tuple[Parameter, ...]:
        """Return the form-factor parameters of the theory."""
        own = getattr(self.theory, "nuisances", None)
        return tuple(own(channels)) if own else ()

    def spectrum(self, params: Mapping[str, ArrayLike], channel: str) -> Spectrum:
        """Return the spectrum of a channel."""
        central: dict[str, Any] = {**self.values, "mass": params["mass"]}
        own = {k: v for k, v in params.items() if k not in ("rate", "width")}
        found = self.theory.spectrum({**central, **own}, channel)
        (line,) = found.lines
        (first,) = self.theory.spectrum(central, self.decay).lines
        unit = jnp.asarray(first.branching_ratio)
        ratio = jnp.where(unit > 0.0, line.branching_ratio / jnp.where(unit > 0.0, unit, 1.0), 0.0)
        new = Line(params["mass"], params["rate"] * ratio, params["width"])
        return Spectrum(found.standard_model, lines=(new,), continuum=found.continuum)

    def multiples(
        self, masses: np.ndarray, nuisances: Mapping[str, float], decays: Sequence[str]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the logarithms of the rates of decays over that of the first, (masses, decays),
        and their changes by one standard deviation of nuisances, (masses, nuisances, decays)."""
        centre = {p.name: p.constraint[0] for p in self.parameters if p.constraint}
        names, n = list(nuisances), len(nuisances)
        steps = np.concatenate([np.zeros((1, n)), np.eye(n), -np.eye(n)]) * list(nuisances.values())

        def logs(mass: Array, step: Array) -> Array:
            moved = {name: centre.get(name, 0.0) + step[i] for i, name in enumerate(names)}
            params = {"mass": mass, "rate": 1.0, "width": 0.0, **moved}
            lines = [self.spectrum(params, decay).lines[0] for decay in decays]
            return jnp.log(jnp.stack([jnp.asarray(line.branching_ratio) for line in lines]))

        found = jax.jit(jax.vmap(lambda m: jax.vmap(lambda s: logs(m, s))(steps)))(masses)
        values = np.nan_to_num(np.asarray(found))
        ratios = values[:, 0] - values[:, 0, :1]
        return ratios, (values[:, 1 : n + 1] - values[:, n + 1 :]) / 2.0


def theory_of(model: Any) -> Any:
    """Return the theory that a model is at low energies."""
    return model.low if isinstance(model, Matching) else model


def at_low_energies(model: Any, values: Mapping[str, ArrayLike]) -> Mapping[str, ArrayLike]:
    """Return the values of the parameters of that theory, a pure function of those of the model."""
    if not isinstance(model, Matching):
        return values
    low = model.low
    known = {p.name: p.init for p in low.parameters}
    mine = {p.name: values[p.name] for p in low.parameters if p.name in values and p.constraint}
    return {**known, **low.null, **model.match(values).effective, **mine}


def suffices(model: Any, measurement: Measurement, held: Sequence[str]) -> bool:
    """Return whether a line is all that a model adds to a measurement.

    Args:
        model: any.
        measurement: with counts.
        held: names of parameters that move, or are held.
    """
    if measurement.results or measurement.curves:
        return False
    low = theory_of(model)
    if any(p.name in held for p in low.parameters if p.constraint is not None):
        return False
    if isinstance(low, Resonance):
        return True
    if (
        not isinstance(low, Theory)
        or low.interferes
        or "mass" not in {p.name: p for p in low.parameters}
    ):
        return False
    states = low.final_states({p.name: p.init for p in low.parameters})
    new = [s for s in states if isinstance(s, Particle) or s.new]
    return len(new) == 1 and isinstance(new[0], Particle)


def twice_nll_of(
    model: OneLine, measurement: Measurement, lines: Lines, progress: Progress | None = None
) -> Found:
    """Return -2 log L of a measurement at lines, minimised over the nuisances of counts and theory.

    Nodes of the rate are the squares of even steps, from 0 to where -2 log L is `HIGH`; above it
    goes on as a straight line. Between nodes it is a cubic spline. The masses are those of the
    lines. Widths matter little: those of the lines near the lowest -2 log L decide how many nodes
    there are. What else is uncertain about the rate (hadronic widths in the probability that X is
    not seen) is one more nuisance, minimised over at each line.

    Args:
        model: whose masses cover those of the lines.
        measurement: counts.
        lines: where; `rate` is that of the model's first decay.
        progress: is called with the number of fits that have been done.
    """
    analysis = Analysis(model, measurement, free=["mass", "width"])
    masses, which = np.unique(lines.mass, return_inverse=True)
    fits = [0, 0]

    def fitted(mass: Any, rate: Any, width: Any) -> np.ndarray:
        shape = np.broadcast_shapes(np.shape(mass), np.shape(rate), np.shape(width))
        at = {"mass": mass, "rate": rate, "width": width}
        at = {k: np.broadcast_to(np.asarray(x, float), shape).ravel() for k, x in at.items()}
        found = fit(analysis, fixed=at, progress=progress)
        good = np.asarray(found.converged)
        fits[0] += good.size
        fits[1] += int((~good).sum())
        return np.asarray(found.twice_nll).reshape(shape)

    largest = min(float(lines.rate.max()) * (1.0 + 4.0 * float(lines.spread.max())), 1.0)
    if not largest > 0.0:
        nothing = fitted(masses, np.zeros(len(masses)), 0.0)
        return Found(nothing[which], float(nothing.min()), lines.rate > 0.0, 0.0, *fits)
    coarse = np.r_[0.0, np.geomspace(1e-6, 1.0, 15) * largest]
    heights = fitted(masses[:, None], coarse, 0.0)
    fits[1] = 0  # the highest rates need not be fitted well
    high = heights > np.nanmin(heights, axis=1, keepdims=True) + HIGH
    beyond = high & (np.arange(len(coarse)) > np.nanargmin(heights, axis=1)[:, None])
    end = np.where(beyond.any(axis=1), coarse[beyond.argmax(axis=1)], largest)
    u = np.linspace(0.0, 1.0, RATES)
    rates = end[:, None] * u**2
    narrow = fitted(masses[:, None], rates, 0.0)
    table = Table(u, end, np.zeros(1), narrow[:, :, None])
    lowest = narrow.min()
    near = table(which, lines.rate, np.zeros(len(which))) < lowest + HIGH
    if widest := float(lines.width[near].max(initial=0.0)):
        wide = fitted(masses[:, None], rates, widest)
        matters = np.abs(wide - narrow)[narrow < lowest + HIGH].max() > SMALL
        inner = np.linspace(0.0, 1.0, WIDTHS)[1:-1] if matters else np.zeros(0)
        between = [fitted(masses[:, None], rates, widest * s**2) for s in inner]
        nodes = np.r_[0.0, inner, 1.0]
        table = Table(u, end, nodes, np.stack([narrow, *between, wide], axis=2), widest)
    # Halfway between the nodes, at one mass.
    i, middle = len(masses) // 2, (u[1:] + u[:-1]) / 2
    w = widest * float(np.mean(table.widths[:2])) ** 2
    exact = fitted(masses[i], end[i] * middle**2, w)
    mine = table(np.full(len(middle), i), end[i] * middle**2, np.full(len(middle), w))
    seen = exact < exact.min() + HIGH / 2
    error = float(np.abs(mine - exact)[seen].max())

    def at(rate: np.ndarray) -> np.ndarray:
        return table(which, rate, lines.width)

    found = _over_spread(at, lines)
    fine = np.linspace(0.0, 1.0, 2001) ** 2
    along = [x * fine for x in end]
    levels = [table(np.full(2001, k), rate, np.zeros(2001)) for k, rate in enumerate(along)]
    least = np.array([rate[x.argmin()] for rate, x in zip(along, levels, strict=True)])
    best = [x[rate <= largest].min() for rate, x in zip(along, levels, strict=True)]
    return Found(found, float(min(found.min(), *best)), lines.rate > least[which], error, *fits)


def _over_spread(at: Callable[[np.ndarray], np.ndarray], lines: Lines) -> np.ndarray:
    """Return the lowest of -2 log L and the square of a unit normal nuisance that multiplies rates
    by exp(spread x nuisance)."""
    found = at(lines.rate)
    if lines.spread.max() < SMALL:
        return found
    for z in np.linspace(-4.0, 4.0, 161):
        found = np.minimum(found, at(lines.rate * np.exp(lines.spread * z)) + z**2)
    return found


class Table:
    """-2 log L on nodes, and between them.

    Args:
        u: nodes of the root of the rate over the last one.
        end: that last rate, of each mass.
        widths: nodes of the root of the width over the last one.
        heights: (masses, u, widths).
        widest: the last width; narrower and wider lines are as those at the ends.
    """

    def __init__(
        self,
        u: np.ndarray,
        end: np.ndarray,
        widths: np.ndarray,
        heights: np.ndarray,
        widest: float = 0.0,
    ) -> None:
        from scipy.interpolate import RectBivariateSpline  # takes a third of a second

        self.end, self.widths, self.widest = end, widths, widest
        # Two nodes of the width are a straight line in it, one is a constant.
        self._power = 1 if len(widths) > 2 else 2
        nodes = widths if len(widths) > 1 else np.array([0.0, 1.0])
        ky = min(3, len(nodes) - 1)
        filled = np.broadcast_to(heights, (*heights.shape[:2], len(nodes)))
        self._splines = [RectBivariateSpline(u, nodes, x, kx=3, ky=ky) for x in filled]

    def __call__(self, which: np.ndarray, rate: np.ndarray, width: np.ndarray) -> np.ndarray:
        """Return it at rates and widths (n,) of the masses of these numbers (n,)."""
        u = np.sqrt(np.maximum(rate, 0.0) / self.end[which])
        share = np.clip(width / self.widest, 0.0, 1.0) if self.widest else np.zeros(len(rate))
        s = share ** (self._power / 2)
        result = np.empty(len(rate))
        for k, spline in enumerate(self._splines):
            own = which == k
            x, y = np.minimum(u[own], 1.0), s[own]
            slope = spline.ev(np.ones_like(x), y, dx=1) / 2.0  # with respect to rate/end
            rise = np.maximum(u[own] ** 2 - 1.0, 0.0) * np.maximum(slope, 0.0)
            result[own] = spline.ev(x, y) + rise
        return result
