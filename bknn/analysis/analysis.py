"""A model and measurements, as one log density over named parameters.

parameters -> model -> spectrum -> response -> signal counts -> HistFactory -> log density: every
step here is a pure JAX function of the parameters. Two views of them exist: `{name: value}` for
people (nuisances that come one a bin are arrays), and one flat vector for inference.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from copy import copy
from dataclasses import replace
from functools import cache, cached_property, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jax import Array
from jax.typing import ArrayLike

from bknn import errors, prediction
from bknn.analysis import ranges
from bknn.analysis.counts import Part, Spectra
from bknn.analysis.results import Results
from bknn.analysis.signal_strength import SignalStrength
from bknn.analysis.two_stages import staged
from bknn.data import Measurement
from bknn.data.published import check_together
from bknn.likelihood.derivatives import Derivatives
from bknn.likelihood.outcomes import Outcomes
from bknn.likelihood.sparse import place, take
from bknn.likelihood.terms import auxiliary_norm, auxiliary_shape, normal_norm, normal_shape
from bknn.parameters import Parameter, of_either_sign, point, positive, real
from bknn.precision import require_x64
from bknn.priors import log_density, read
from bknn.spectrum import Spectrum, at_once

#: How a spectrum is folded: `bknn.response` says what they mean.
RESPONSES = ("smooth", "reweighting")

Parameters = Mapping[str, ArrayLike] | ArrayLike


class Data(NamedTuple):
    """What was observed, or could have been: counts and other results (bins,), auxiliary data of
    the normally (n,) and Poisson-constrained (p,) nuisances."""

    counts: Array | np.ndarray
    normal: Array | np.ndarray
    poisson: Array | np.ndarray


class Structure(NamedTuple):
    """Entries of the flat vector that act on many bins, those that act on one, and which one.

    `linear`: whether the rates are linear in a local entry and all others of its kind together.
    """

    shared: np.ndarray
    local: np.ndarray
    local_bin: np.ndarray
    linear: np.ndarray


class Analysis:
    """A model confronted with measurements.

    Args:
        model: from `bknn.models.load`, `bknn.models.from_spectrum`, or any object with `name`,
            `parameters`, `null` and `spectrum(params, channel)`.
        measurements: from `bknn.data.load`; one or several.
        response: "smooth" (efficiency density, the default) or "reweighting" (bin averages, to the
            letter of arXiv:2402.08417).
        free: names of parameters that the model keeps fixed by default and that shall float.
        priors: {name: numpyro distribution, or a text for `bknn.priors.read`}, in place of the
            model's; posteriors use them, fits do not.
        bounds: {name: (lower, upper)} of parameters and nuisances, in place of their own; sets of
            nuisances by patterns too, as in {"stat_*": (-inf, inf)}. A start outside of them moves
            to the nearer one.

    Raises:
        PrecisionError: JAX runs in single precision; call `bknn.enable_x64()` first.
        UnknownNameError: unknown parameter in `free`, `priors` or `bounds`, response, or null
            spectrum.
        ParameterError: a prior for what has a constraint, or one that lies outside of the bounds;
            bounds that hold nothing, or of what is kept.
        DataError: a measurement without the densities that a spectrum needs.

    Example:
        >>> import bknn; bknn.enable_x64()
        >>> from bknn import models
        >>> belle2 = bknn.data.load("belle2-2025")
        >>> analysis = bknn.Analysis(models.load("signal-strength"), belle2)
        >>> analysis.size
        232
        >>> round(float(analysis.log_likelihood(analysis.init)), 6)
        -127.211825
    """

    def __init__(
        self,
        model: Any,
        measurements: Measurement | Sequence[Measurement],
        *,
        response: str = "smooth",
        free: Sequence[str] = (),
        priors: Mapping[str, dist.Distribution | str] | None = None,
        bounds: Mapping[str, tuple[float, float]] | None = None,
    ) -> None:
        require_x64()
        if isinstance(measurements, Measurement):
            measurements = [measurements]
        if not measurements:
            raise errors.DataError(
                "an analysis needs at least one measurement; see bknn.data.available()."
            )
        if response not in RESPONSES:
            raise errors.unknown("response", response, RESPONSES)
        self.model = model
        self.measurements = tuple(measurements)
        self.response = response
        self._check_names()
        self.results = Results(self.measurements)
        self.results.check(model)
        #: Decays whose spectra the measurements depend on.
        self.decays: tuple[str, ...] = tuple(
            dict.fromkeys([m.decay(c) for m in self.measurements for c in m.signal])
        )
        for decay in self.decays:
            ends = [
                float(m.densities[c].edges[-1])
                for m in self.measurements
                for c in m.signal
                if m.decay(c) == decay and c in m.densities
            ]
            prediction.check(
                model, "branching_ratio", decay, end=max(ends, default=None), free=free
            )
        # A signal that can only be scaled is that of the standard model.
        self.decays = self.decays or (() if self.results.names else (_DEFAULT,))
        pdfs = [Part.compiled(m) for m in self.measurements if m.workspace]
        nuisances = getattr(model, "nuisances", None)
        needed = tuple(dict.fromkeys([*self.decays, *self.results.channels]))
        everything = (*ranges.stated(model, pdfs), *(nuisances(needed) if nuisances else ()))
        everything = of_either_sign(everything, free)
        known = {p.name: p for p in everything}
        if len(known) < len(everything):
            names = [p.name for p in everything]
            raise errors.ParameterError(
                f"model {model.name!r} has two parameters named {max(names, key=names.count)!r}; "
                "rename one."
            )
        for name in free:
            if name not in known:
                raise errors.unknown("parameter", name, known, f"model {model.name!r}")
        #: Parameters of the model that take part, in order.
        self.parameters: tuple[Parameter, ...] = tuple(
            p for p in everything if not p.fixed or p.name in free
        )
        #: Values of the parameters that do not.
        self.constants: dict[str, float] = {
            p.name: p.init for p in everything if p.fixed and p.name not in free
        }
        #: Bounds that were given in place of those of the model and the measurements.
        self.given_bounds = ranges.read(bounds or {})
        self._set_bounds()
        #: What was given in place of the model's priors.
        self.priors: dict[str, dist.Distribution | str] = dict(priors or {})
        self._set_priors(self.priors)
        uses_sm, has_new = self._contents()
        self._check_form_factors(uses_sm)
        self.parts = tuple(
            Part.build(pdf, m, response, has_new=has_new)
            for pdf, m in zip(pdfs, (m for m in self.measurements if m.workspace), strict=True)
        )
        if not any(p.responses or p.pdf.signal_strength for p in self.parts) and not self.results:
            channels = [c for m in self.measurements for c in m.channels]
            raise errors.DataError(
                f"no channel of {', '.join(channels)} has a signal (number densities, or a "
                "parameter of interest that is a normfactor), so the data say nothing about "
                f"model {model.name!r}; choose channels with a signal."
            )
        self._lay_out(uses_sm)
        self.given_bounds = ranges.spread(self.given_bounds, self.nuisances)
        for name in self.given_bounds:
            self._where(name)  # a name that nobody has gets its close matches

    def _set_bounds(self) -> None:
        """Give parameters of the model the bounds that were asked for."""
        for name in self.given_bounds:
            if name in self.constants:
                raise errors.ParameterError(
                    f"bounds for {name!r}, which model {self.model.name!r} keeps at "
                    f"{self.constants[name]:g}; let it float with free=[{name!r}], or leave the "
                    "bounds out."
                )
        given = self.given_bounds
        self.parameters = tuple(
            ranges.narrowed(p, given[p.name]) if p.name in given else p for p in self.parameters
        )

    def _set_priors(self, priors: Mapping[str, dist.Distribution | str]) -> None:
        """Give parameters of the model other priors."""
        known = {p.name: p for p in self.parameters}
        for name, prior in priors.items():
            if name in self.constants:
                raise errors.ParameterError(
                    f"a prior for {name!r}, which model {self.model.name!r} keeps at "
                    f"{self.constants[name]:g}; let it float with free=[{name!r}], or leave the "
                    "prior out."
                )
            if name not in known:
                own = [p.name for p in self.parameters if not p.nuisance]
                raise errors.unknown("parameter", name, own, f"the priors of {self.model.name!r}")
            if known[name].constraint is not None:
                raise errors.ParameterError(
                    f"a prior for {name!r}, which is {known[name].prior_text}; both together would "
                    "count it twice. Leave the prior out."
                )
            changed = replace(known[name], prior=read(prior) if isinstance(prior, str) else prior)
            known[name] = changed
            _ = changed.distribution  # here, where it is noticed if nothing is within the bounds
        self.parameters = tuple(known.values())

    def with_priors(self, priors: Mapping[str, dist.Distribution | str]) -> Analysis:
        """Return the same analysis with other priors of some of its parameters.

        Raises:
            UnknownNameError, ParameterError: as for a new analysis.
        """
        return Analysis(
            self.model,
            self.measurements,
            response=self.response,
            free=[p.name for p in self.parameters if p.fixed],
            priors={**self.priors, **priors},
            bounds=self.given_bounds,
        )

    def template(self) -> Analysis:
        """Return the analysis of the signal template of the measurements, scaled."""
        own = {p.name for p in self.parameters}
        bounds = {k: v for k, v in self.given_bounds.items() if k not in own}
        return Analysis(SignalStrength(), self.measurements, response=self.response, bounds=bounds)

    def _check_names(self) -> None:
        names = [m.name for m in self.measurements]
        if len(set(names)) != len(names):
            raise errors.DataError(
                f"measurement {max(names, key=names.count)!r} is given twice; its data would count "
                "double. Give it once, with all channels wanted, or rename one if they differ."
            )
        check_together(self.measurements)

    def _check_form_factors(self, uses_sm: bool) -> None:
        """Refuse to count the uncertainty of form factors twice."""
        own = [p.name for p in self.parameters if p.nuisance]
        for m in self.measurements:
            if uses_sm and own and m.form_factor_modifiers:
                raise errors.ParameterError(
                    f"model {self.model.name!r} has form-factor nuisances ({own[0]}, ...) and uses "
                    f"the standard-model template of {m.name!r} with its own "
                    f"({', '.join(m.form_factor_modifiers)}); the same uncertainty would count "
                    "twice. Put the standard model into the continuum of the spectrum, or leave "
                    "out the nuisances of the model."
                )

    def _contents(self) -> tuple[bool, bool]:
        """Whether the model's spectra have a standard-model part, and anything else."""
        found: list[Spectrum] = []

        def look(values: Array) -> Array:
            found.extend(self._spectrum(values, decay) for decay in self.decays)
            self.results.check_curves(self.model, lambda decay: self._spectrum(values, decay))
            return values

        jax.eval_shape(look, jnp.zeros(len(self.parameters)))
        uses_template = any(s.uses_template for s in found)
        return uses_template, any(s.continuum is not None or bool(s.lines) for s in found)

    def _spectra(self, values: Mapping[str, Any]) -> Spectra:
        """Return the spectra by the name of the decay, each made once."""
        return cache(lambda decay: self._spectrum_of(values, decay))

    def _values(self, physics: Array) -> dict[str, Any]:
        """Return the values of all parameters of the model."""
        values: dict[str, Any] = dict(self.constants)
        return values | {p.name: physics[i] for i, p in enumerate(self.parameters)}

    def _spectrum(self, physics: Array, channel: str) -> Spectrum:
        return self._spectrum_of(self._values(physics), channel)

    def _spectrum_of(self, values: Mapping[str, Any], channel: str) -> Spectrum:
        spectrum = self.model.spectrum(values, channel)
        if not isinstance(spectrum, Spectrum):
            raise errors.ParameterError(
                f"model {self.model.name!r} returned a {type(spectrum).__name__} as its spectrum "
                f"of {channel}; it must return a bknn.Spectrum."
            )
        return spectrum

    def _lay_out(self, uses_sm: bool) -> None:
        """Decide where each nuisance sits in the flat vector.

        The flat vector is [physics, nuisances of each part]. A nuisance that the model replaces
        (the signal strength, and the form factors of a template that is not used) is left out.
        """
        n = len(self.parameters)
        physics = {p.name for p in self.parameters} | set(self.constants)
        names: list[str] = []
        sets: dict[str, slice] = {}
        self.sources: list[np.ndarray] = []
        for part in self.parts:
            dropped = {part.pdf.signal_strength}
            if not uses_sm and part.responses:
                dropped |= set(part.measurement.form_factor_modifiers)
            source = np.full(part.pdf.size, -1)
            for name, where in part.pdf.slices.items():
                if name in dropped:
                    continue
                label = name
                if name in physics or name in sets:
                    label = f"{part.measurement.name}/{name}"
                size = where.stop - where.start
                start = n + len(names)
                sets[label] = slice(start, start + size)
                source[where] = np.arange(start, start + size)
                scalar = part.pdf.parameter_sets[name].scalar
                names += [label] if scalar else [f"{label}[{i}]" for i in range(size)]
            self.sources.append(source)
        #: Where each nuisance set lies in the flat vector.
        self.nuisances: dict[str, slice] = sets
        #: One name an entry of the flat vector.
        self.names: tuple[str, ...] = (*(p.name for p in self.parameters), *names)

    # Numbers of the parameters ---------------------------------------------------------------

    @property
    def size(self) -> int:
        """Length of the flat vector."""
        return len(self.names)

    @property
    def n_bins(self) -> int:
        """How many numbers were observed: bins with counts, then other results."""
        return self.outcomes.size

    @cached_property
    def outcomes(self) -> Outcomes:
        """What the numbers that were observed are, and how likely others are."""
        n_counts = sum(p.pdf.n_bins for p in self.parts)
        return Outcomes(n_counts, self.results.below, self.results.above)

    def _gathered(
        self, attribute: str, physics: Sequence[Any], shape: tuple[int, ...]
    ) -> np.ndarray:
        result = np.zeros((self.size, *shape))
        result[: len(self.parameters)] = np.reshape(physics, (-1, *shape)) if physics else 0
        for part, source in zip(self.parts, self.sources, strict=True):
            values = np.concatenate(
                [getattr(s, attribute) for s in part.pdf.parameter_sets.values()]
            )
            result[source[source >= 0]] = values[source >= 0]
        return result

    @cached_property
    def init_vector(self) -> np.ndarray:
        """Starting point (size,)."""
        result = self._gathered("init", [p.init for p in self.parameters], ())
        for where in map(self._where, self.given_bounds):
            result[where] = np.clip(result[where], *self.bounds[where].T)
        return result

    @cached_property
    def bounds(self) -> np.ndarray:
        """Lower and upper bounds (size, 2); infinite where there is none."""
        result = self._gathered("bounds", [p.bounds for p in self.parameters], (2,))
        for name, pair in self.given_bounds.items():
            result[self._where(name)] = pair
        return result

    @cached_property
    def fixed(self) -> np.ndarray:
        """Entries that the workspace declares fixed, (size,) of bool."""
        return self._gathered("fixed", [0.0] * len(self.parameters), ()).astype(bool)

    @property
    def init(self) -> dict[str, Array]:
        """Starting point {name: value}."""
        return self.unflatten(self.init_vector)

    def at(self, named: Mapping[str, ArrayLike]) -> dict[str, Any]:
        """Return all values {name: value} at a point that names some: others are at their start,
        but couplings, once one of them is named, 0 (`bknn.parameters.point`).

        Raises:
            UnknownNameError, ParameterError: a name that does not take part.
        """
        for name in named:
            if name not in self.nuisances:
                self.index(name)
        own = {p.name for p in self.parameters}
        of_model = {name: x for name, x in named.items() if name in own}
        values = {name: x for name, x in point(self.model, of_model).items() if name in own}
        return {**self.init, **values, **named}

    def positive(self, given: Container[str]) -> tuple[str, ...]:
        """Return the couplings whose sign is a convention where parameters are given that are not
        0: fits start on the positive side of them."""
        moving = [p.name for p in self.parameters if p.name not in given]
        held = [n for n, x in self.constants.items() if x != 0.0]
        known = [p.name for p in self.model.parameters if p.name in given or p.name in held]
        return positive(self.model.parameters, moving, known)

    def flatten(self, params: Parameters) -> Array:
        """Return the flat vector (size,) of `{name: value}`; a flat vector passes through.

        Raises:
            UnknownNameError: a name the analysis does not have.
            ParameterError: a missing name or a wrong shape.
        """
        if not isinstance(params, Mapping):
            vector = jnp.asarray(params, float)
            if vector.shape != (self.size,):
                raise errors.ParameterError(
                    f"the flat parameter vector has shape {vector.shape}, but the analysis has "
                    f"{self.size} parameters; for a batch use jax.vmap."
                )
            return vector
        known = [p.name for p in self.parameters] + list(self.nuisances)
        for name in params:
            if name not in known:
                raise self._unknown(name)
        parts = []
        for name in known:
            if name not in params:
                raise errors.ParameterError(
                    f"parameter {name!r} has no value; start from analysis.init, for instance "
                    "{**analysis.init, 'name': value}."
                )
            value = jnp.asarray(real(name, params[name]), float)
            size = self._extent(name)
            if value.size != size:
                raise errors.ParameterError(
                    f"parameter {name!r} has shape {value.shape}, but needs {size} value(s)."
                )
            parts.append(value.reshape(size))
        return jnp.concatenate(parts)

    def _where(self, name: str) -> slice | int:
        """Where a parameter, a set of nuisances or one of them lies in the flat vector."""
        return self.nuisances[name] if name in self.nuisances else self.index(name)

    def _extent(self, name: str) -> int:
        where = self.nuisances.get(name)
        return 1 if where is None else where.stop - where.start

    def unflatten(self, vector: ArrayLike) -> dict[str, Array]:
        """Return `{name: value}` of a flat vector (size,), or of a batch (..., size)."""
        vector = jnp.asarray(vector)
        result = {p.name: vector[..., i] for i, p in enumerate(self.parameters)}
        for name, where in self.nuisances.items():
            scalar = self.names[where.start] == name
            result[name] = vector[..., where.start] if scalar else vector[..., where]
        return result

    def index(self, name: str) -> int:
        """Position of a flat name (`mass`, `staterror[0]`) in the vector.

        Raises:
            UnknownNameError: no such name; close matches are named.
        """
        if name not in self.names:
            raise self._unknown(name)
        return self.names.index(name)

    def _unknown(self, name: str) -> errors.BknnError:
        if name in self.constants:
            return errors.ParameterError(
                f"parameter {name!r} of model {self.model.name!r} is kept at "
                f"{self.constants[name]:g}; to set it or let it float, build the analysis with "
                f"free=[{name!r}]."
            )
        if "[" in name and name in self.names:
            base = name.partition("[")[0]
            return errors.UnknownNameError(
                f"unknown parameter {name!r} in model {self.model.name!r}: it is one entry of "
                f"{base!r}, which is given as a whole."
            )
        own = [p.name for p in self.model.parameters]
        return errors.unknown(
            "parameter", name, own, f"model {self.model.name!r}", [*self.nuisances, *self.names]
        )

    def null_values(self) -> dict[str, float]:
        """Values that make the model the standard model, of the parameters that take part."""
        names = {p.name for p in self.parameters}
        return {k: v for k, v in self.model.null.items() if k in names}

    # The density -------------------------------------------------------------------------------

    @cached_property
    def data(self) -> Data:
        """The observation."""
        counts = np.concatenate([*(p.pdf.observed for p in self.parts), self.results.observed])
        return Data(counts, self.normal[1], self.poisson[1])

    @cached_property
    def normal(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Normally constrained entries of the vector, what was measured, and widths, (n,) each."""
        index = [i for i, p in enumerate(self.parameters) if p.constraint is not None]
        pairs = [p.constraint for p in self.parameters if p.constraint is not None]
        start = (
            np.array(index, int),
            np.array([c[0] for c in pairs], float),
            np.array([c[1] for c in pairs], float),
        )
        return self._constraints("normal", start)

    @cached_property
    def poisson(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Poisson-constrained entries of the vector, auxiliary counts, and rate factors, (p,)."""
        return self._constraints("poisson", (np.zeros(0, int), np.zeros(0), np.zeros(0)))

    def _constraints(
        self, kind: str, start: tuple[np.ndarray, np.ndarray, np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        columns = [[c] for c in start]
        for part, source in zip(self.parts, self.sources, strict=True):
            index, positions, widths = getattr(part.pdf, kind)
            kept = source[index] >= 0
            columns[0].append(source[index][kept])
            columns[1].append(part.pdf.auxdata[positions][kept])
            columns[2].append(widths[kept])
        index, centre, width = (np.concatenate(c) for c in columns)
        return index.astype(int), centre, width

    def spectrum(self, params: Parameters, channel: str = "B+ -> K+") -> Spectrum:
        """Return the model's spectrum of a decay channel."""
        return self._spectrum(self.flatten(params)[: len(self.parameters)], channel)

    @cached_property
    def thresholds(self) -> np.ndarray:
        """Positions of the model's parameters that say where continua begin, as masses do."""
        named = getattr(self.model, "thresholds", ())
        return np.array([i for i, p in enumerate(self.parameters) if p.name in named], int)

    def holding_thresholds(
        self,
    ) -> tuple[Callable[[Array], list[Array]], Callable[[list[Array]], Analysis]]:
        """Return the two stages of a fit in which no threshold moves.

        `before(vector)` folds the continua for the thresholds of a vector (size,), and
        `then(found)` is this analysis at vectors with those thresholds: its rates and their
        derivatives cost a few multiplications. To be used within one program.
        """
        index = self.thresholds

        def signals(held: Array, physics: Array) -> tuple[list[Array | None], Array]:
            return self._signals(physics, held)

        before, after = staged(signals, jnp.zeros(len(index)), jnp.zeros(len(self.parameters)))

        def then(found: list[Array]) -> Analysis:
            held = copy(self)
            held._signals = partial(after, found)  # type: ignore[method-assign]
            held.thresholds = self.thresholds[:0]
            return held

        return lambda vector: before(vector[index]), then

    def _signals(
        self, physics: Array, held: Array | None = None
    ) -> tuple[list[Array | None], Array]:
        """Return the signal factors of each measurement with counts, and what is expected of the
        results that are not (results,).

        With values of the thresholds' parameters in `held`, what depends on them alone is done
        without a look at the others.
        """
        values = self._values(physics)
        if held is not None:
            names = [self.names[i] for i in self.thresholds]
            values |= {name: held[k] for k, name in enumerate(names)}
        spectra = self._spectra(values)
        once = held is not None
        of_parts = [part.uses(held=once) for part in self.parts]
        of_results = self.results.uses(self.model, held=once)
        asked = [*(x for uses in of_parts for x in uses), *of_results]
        found: list[Any] = [None] * len(asked)
        for decay in dict.fromkeys(decay for decay, _ in asked):
            own = [i for i, (d, _) in enumerate(asked) if d == decay]
            answers = at_once(spectra(decay), [asked[i][1] for i in own])
            for i, answer in zip(own, answers, strict=True):
                found[i] = answer
        scales: list[Array | None] = []
        for part, uses in zip(self.parts, of_parts, strict=True):
            own_answers, found = found[: len(uses)], found[len(uses) :]
            scales.append(part.scales_of(own_answers) if uses else None)
        if not self.results:
            return scales, jnp.zeros(0)
        return scales, self.results.expected(self.model, values, found)

    def _signal_slopes(self, physics: Array) -> tuple[list[Array | None], Array]:
        """Return the derivatives of `_signals` by each parameter of the model."""
        index = self.thresholds
        if not index.size:
            return jax.jacfwd(self._signals)(physics)
        # Shapes of a continuum cost more than their sum, but are free of most parameters.
        held = physics[index]
        by_physics = jax.jacfwd(lambda x: self._signals(x, held))(physics)
        by_held = jax.jacfwd(lambda x: self._signals(physics.at[index].set(x)))(held)
        return jax.tree.map(lambda all_, own: all_.at[..., index].add(own), by_physics, by_held)

    def part_inputs(self, vector: Array) -> list[tuple[Array, Array | None]]:
        """Return each measurement's own parameter vector and signal factors."""
        return self._inputs(vector, self._signals(vector[: len(self.parameters)])[0])

    def _inputs(
        self, vector: Array, scales: Sequence[Array | None]
    ) -> list[tuple[Array, Array | None]]:
        result: list[tuple[Array, Array | None]] = []
        for part, source, own_scales in zip(self.parts, self.sources, scales, strict=True):
            own = part.own_vector(vector, source)
            if part.pdf.signal_strength is not None and not part.responses:
                # Without densities the signal strength of the workspace itself is all there is.
                start = part.pdf.slices[part.pdf.signal_strength].start
                strength = _strength(self._spectrum(vector[: len(self.parameters)], _DEFAULT))
                own = own.at[start].set(strength)
            result.append((own, own_scales))
        return result

    def rates(self, vector: Array | np.ndarray) -> Array:
        """Return the expected counts of all measurements, and what is expected of other results,
        (bins,) at the flat vector (size,)."""
        vector = jnp.asarray(vector)
        scales, expected = self._signals(vector[: len(self.parameters)])
        inputs = self._inputs(vector, scales)
        rates = [
            part.pdf.rates(own, own_scales)
            for part, (own, own_scales) in zip(self.parts, inputs, strict=True)
        ]
        if self.results:
            rates.append(expected)
        return rates[0] if len(rates) == 1 else jnp.concatenate(rates)

    def curves_inside(self, vector: Array) -> Array:
        """Return whether each limit curve says something at the flat vector (size,), (curves,) of
        bool: outside of its masses its term is absent."""
        physics = jnp.asarray(vector)[: len(self.parameters)]
        if not self.results.curves:
            return jnp.zeros(0, bool)
        return self.results.inside(cache(lambda decay: self._spectrum(physics, decay)))

    def expected_results(self, vector: Array) -> Array:
        """Return what is expected of the results that are not counts, (results,)."""
        return self._signals(vector[: len(self.parameters)])[1]

    @cached_property
    def structure(self) -> Structure:
        """Which entries of the flat vector act on many bins, and which on one only."""
        shared = [np.arange(len(self.parameters))]
        local, local_bin = [np.zeros(0, int)], [np.zeros(0, int)]
        linear = [np.zeros(0, bool)]
        first = 0
        for part, source in zip(self.parts, self.sources, strict=True):
            own = part.pdf.structure
            column = source[own.shared]
            shared.append(column[column >= 0])
            local.append(source[own.local])
            local_bin.append(first + own.local_bin)
            linear.append(own.linear)
            first += part.pdf.n_bins
        return Structure(*(np.concatenate(x) for x in (shared, local, local_bin, linear)))

    @cached_property
    def idle(self) -> np.ndarray:
        """Entries of the flat vector that act on nothing, whatever the values: their samples have
        no yields, or their shapes do not vary."""
        acting = np.concatenate([self.structure.shared, self.structure.local])
        return np.setdiff1d(np.arange(self.size), acting)

    @cached_property
    def empty_bins(self) -> np.ndarray:
        """Bins in which nothing can be expected, (bins,) of bool."""
        filled = [np.isin(np.arange(p.pdf.n_bins), p.pdf.cells.bin) for p in self.parts]
        return ~np.concatenate([*filled, np.ones(len(self.results.observed), bool)])

    def derivatives(self, vector: Array) -> tuple[Array, Array, Array]:
        """Return rates (bins,) and their derivatives by the entries in `structure`: dense columns
        (bins, shared) and one number a local entry (local,)."""
        n = len(self.parameters)
        physics = vector[:n]
        of_parts, expected = self._by_parts(vector)
        slopes, slopes_of_results = self._signal_slopes(physics)
        columns = []
        for part, source, found, slope in zip(
            self.parts, self.sources, of_parts, slopes, strict=True
        ):
            structure = part.pdf.structure
            by_physics = jnp.zeros((part.pdf.n_bins, n))
            if slope is not None:
                in_bins = (np.arange(part.pdf.n_bins)[:, None] == structure.scale_bin).astype(float)
                by_physics = (in_bins * found.scales[None, :]) @ slope
            elif part.pdf.signal_strength is not None:
                strength = jax.jacfwd(lambda x: _strength(self._spectrum(x, _DEFAULT)))(physics)
                column = np.flatnonzero(
                    structure.shared == part.pdf.slices[part.pdf.signal_strength].start
                )
                if column.size:  # a signal without yields has none
                    by_physics = found.shared[:, column] * strength[None, :]
            kept = np.flatnonzero(source[structure.shared] >= 0)
            columns.append((by_physics, take(found.shared.T, kept).T))
        if self.results:
            columns.append((slopes_of_results, jnp.zeros((len(expected), 0))))
        rates, local = _rates_and_local(of_parts, expected)
        return rates, _side_by_side(columns), local

    def local_derivatives(self, vector: Array) -> tuple[Array, Array]:
        """Return rates (bins,) and their derivatives by the local entries in `structure`
        (local,), as `derivatives` does, without the work for all others."""
        return _rates_and_local(*self._by_parts(vector))

    def _by_parts(self, vector: Array) -> tuple[list[Derivatives], Array]:
        """Return rates and derivatives of each measurement with counts at fixed signal, and what
        is expected of results (results,)."""
        factors, expected = self._signals(vector[: len(self.parameters)])
        inputs = self._inputs(vector, factors)
        found = [p.pdf.derivatives(*own) for p, own in zip(self.parts, inputs, strict=True)]
        return found, expected

    def log_density(self, vector: Array | np.ndarray, data: Data | None = None) -> Array:
        """Return the log likelihood at the flat vector (size,), constraints included."""
        data = self.data if data is None else data
        return self.log_shape(vector, data) - self.log_norm(data)

    def log_shape(self, vector: Array | np.ndarray, data: Data, *, beyond: bool = False) -> Array:
        """Return what of the log likelihood depends on the parameters (size,).

        With `beyond` empty bins add -rate where the rate is negative, too, as in pyhf, not -inf.
        """
        vector = jnp.asarray(vector)
        index, _, sigma = self.normal
        rates = self.rates(vector)
        result = self.outcomes.shape(data.counts, rates)
        if not beyond:
            result = result + self.outcomes.wall(data.counts, rates)
        result = result + normal_shape(vector, data.normal, index, sigma)
        index, _, factor = self.poisson
        if index.size:
            rates = take(vector, index) * factor
            result = result + jnp.sum(auxiliary_shape(jnp.asarray(data.poisson, float), rates))
        return result

    def log_norm(self, data: Data) -> Array | np.ndarray | float:
        """Return what is left: log Gamma functions of the counts, widths of the constraints."""
        observed, poisson = self.outcomes.norm(data.counts), auxiliary_norm(data.poisson)
        return observed + poisson.sum() + normal_norm(self.normal[2])

    def log_likelihood(self, params: Parameters, data: Data | None = None) -> Array:
        """Return the log likelihood: main and constraint terms, constants included.

        For `signal-strength` it is pyhf's log pdf of the workspace, but for negative expected
        counts, which have no likelihood: -inf is returned for empty bins, too.

        Args:
            params: `{name: value}` or the flat vector (size,).
            data: counts and auxiliary data; the observation by default.
        """
        return self._compiled(self.flatten(params), data)

    @cached_property
    def _compiled(self) -> Any:
        """`log_density`, compiled: a call from Python would else compile every operation alone."""
        return jax.jit(self.log_density)

    def log_prior(self, params: Parameters) -> Array:
        """Return the log prior density of the model's parameters (nuisances have constraints).

        It is normalised within the bounds of each parameter; a parameter without prior and bounds
        adds nothing.
        """
        vector = self.flatten(params)
        result = jnp.zeros(())
        for i, p in enumerate(self.parameters):
            distribution = p.distribution
            if p.constraint is None and distribution is not None:
                result = result + log_density(distribution, vector[i])
        return result

    def log_posterior(self, params: Parameters, data: Data | None = None) -> Array:
        """Return log likelihood + log prior, not normalised."""
        return self.log_likelihood(params, data) + self.log_prior(params)

    def expected(self, params: Parameters) -> dict[str, dict[str, Array]]:
        """Return the expected counts {channel: {sample: (bins,)}}.

        The part of the signal that is not the standard model's stands under "new signal".
        """
        result: dict[str, dict[str, Array]] = {}
        inputs = self.part_inputs(self.flatten(params))
        for part, (own, scales) in zip(self.parts, inputs, strict=True):
            result |= part.pdf.cells_by_sample(part.pdf.cell_rates(own, scales))
        return result

    def to_workspace(self, params: Parameters) -> dict[str, Any]:
        """Return pyhf JSON with the signal of these parameters put in (a dict for `json.dump`).

        The parameter of interest multiplies the whole signal, 1 is the point given. Nuisances,
        data and constraints are those of the measurement, so that at the same nuisances pyhf's log
        pdf is `log_likelihood` (but for constraints of the model's own parameters, which pyhf does
        not know). With several measurements the channels stand side by side.

        Raises:
            WorkspaceError: channels or nuisances of several measurements share names, or there are
                results that are not counts, which pyhf does not know.
        """
        if self.results:
            raise errors.WorkspaceError(
                f"{self.results.names[0]!r} is not a count, and a pyhf workspace holds nothing "
                "else; export an analysis of the measurements that count."
            )
        if len(self.parts) > 1:
            raise errors.WorkspaceError(
                "several measurements do not fit into one pyhf workspace, because their nuisances "
                "may share names; export each in an analysis of its own."
            )
        vector = self.flatten(params)
        spectra = self._spectra(self._values(vector[: len(self.parameters)]))
        return self.parts[0].to_workspace(spectra, self.sources[0])

    def describe(self) -> str:
        """Return model, parameters, priors, measurements and sources as text."""
        lines = [f"model         {self.model.name}: {self.model.description}"]
        for m in self.measurements:
            lines.append(f"measurement   {m.name}: {m.title} ({m.n_bins} bins)")
            lines += [f"              {source}" for source in m.sources]
        lines.append(f"response      {self.response}")
        own = [p for p in self.parameters if not p.nuisance]
        nuisances = self.size - len(own)
        lines.append(f"parameters    {self.size}, of which {nuisances} nuisances")
        for p in own:
            unit = f" {p.unit}" if p.unit else ""
            lines.append(
                f"  {p.name:<20} start {p.init:g}{unit}, within [{p.bounds[0]:g}, {p.bounds[1]:g}]"
                f"{unit}, {p.prior_text}" + (f"; {p.description}" if p.description else "")
            )
        for name, value in self.constants.items():
            lines.append(f"  {name:<20} fixed at {value:g}")
        if theory := [p for p in self.parameters if p.nuisance]:
            names = f"{theory[0].name} ... {theory[-1].name}"
            lines.append(f"  {names:<20} {len(theory)} of {theory[0].description}, whitened")
        return "\n".join(lines)

    def __repr__(self) -> str:
        names = ", ".join(m.name for m in self.measurements)
        return f"Analysis({self.model.name} x {names}: {self.size} parameters, {self.n_bins} bins)"


#: The decay of a signal without a density.
_DEFAULT = "B+ -> K+"


def _strength(spectrum: Spectrum) -> Array:
    return jnp.asarray(spectrum.standard_model, float)


def _rates_and_local(of_parts: list[Derivatives], expected: Array) -> tuple[Array, Array]:
    rates = jnp.concatenate([*(found.rates for found in of_parts), expected])
    return rates, jnp.concatenate([*(found.local for found in of_parts), jnp.zeros(0)])


def _side_by_side(columns: list[tuple[Array, Array]]) -> Array:
    """Stack the parts' bins; physics columns are common, nuisance columns are each part's own."""
    n_own = [own.shape[1] for _, own in columns]
    rows = []
    for i, (physics, own) in enumerate(columns):
        index = np.arange(n_own[i]) + sum(n_own[:i])
        rows.append(jnp.concatenate([physics, place(own, index, sum(n_own))], axis=1))
    return jnp.concatenate(rows)
