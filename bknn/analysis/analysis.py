"""A model and measurements, as one log density over named parameters.

parameters -> model -> spectrum -> response -> signal counts -> HistFactory -> log density: every
step here is a pure JAX function of the parameters. Two views of them exist: `{name: value}` for
people (nuisances that come one a bin are arrays), and one flat vector for inference.

An `Analysis` is composed of a `Vector` (what the entries are), a `Signal` (what the model makes of
templates and results) and the `LogDensity` of both.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jax import Array
from jax.typing import ArrayLike

from bknn import errors, prediction
from bknn.analysis import floating, ranges
from bknn.analysis.counts import Part
from bknn.analysis.describe import describe
from bknn.analysis.interface import Interface
from bknn.analysis.log_density import Data, LogDensity, Structure
from bknn.analysis.results import Results, Term
from bknn.analysis.signal import DEFAULT_DECAY, Signal
from bknn.analysis.signal_strength import SignalStrength
from bknn.analysis.vector import Parameters, Vector
from bknn.answers.outline import placed
from bknn.data import Measurement
from bknn.data.published import check_together
from bknn.parameters import Parameter, point, positive
from bknn.precision import require_x64
from bknn.priors import log_density
from bknn.programs import Programs
from bknn.spectrum import Spectrum

__all__ = ["Analysis", "Data", "Parameters", "Structure"]

#: How a spectrum is folded: `bknn.response` says what they mean.
RESPONSES = ("smooth", "reweighting")


class Analysis(Interface):
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
        terms: what else there is in the likelihood besides the measurements
            (`bknn.analysis.results.Term`).

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
        terms: Sequence[Term] = (),
    ) -> None:
        require_x64()
        #: What was compiled for it.
        self.programs = Programs()
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
        self.terms = tuple(terms)
        _check_names(self.measurements)
        results = Results(self.measurements, self.terms)
        results.check(model)
        #: Decays whose spectra the measurements depend on.
        self.decays: tuple[str, ...] = _decays(model, self.measurements, free)
        # A signal that can only be scaled is that of the standard model.
        self.decays = self.decays or (() if results.names else (DEFAULT_DECAY,))
        counted = [m for m in self.measurements if m.workspace]
        pdfs = [Part.compiled(m) for m in counted]
        needed = tuple(dict.fromkeys([*self.decays, *results.channels_with(model)]))
        parameters, constants = floating.taking_part(model, pdfs, needed, free)
        given = ranges.read(bounds or {})
        parameters = floating.bounded(model, parameters, constants, given)
        #: What was given in place of the model's priors.
        self.priors: dict[str, dist.Distribution | str] = dict(priors or {})
        #: Parameters of the model that take part, in order.
        self.parameters: tuple[Parameter, ...] = floating.believed(
            model, parameters, constants, self.priors
        )
        #: Values of the parameters that do not.
        self.constants: dict[str, float] = constants
        uses_template, has_new = _contents(
            Signal(model, self.parameters, constants, (), results), self.decays
        )
        _check_form_factors(model, self.parameters, self.measurements, uses_template)
        #: The measurements with counts, under the control of the model's spectra.
        self.parts: tuple[Part, ...] = tuple(
            Part.build(pdf, m, response, has_new=has_new)
            for pdf, m in zip(pdfs, counted, strict=True)
        )
        if not any(p.responses or p.pdf.signal_strength for p in self.parts) and not results:
            channels = [c for m in self.measurements for c in m.channels]
            raise errors.DataError(
                f"no channel of {', '.join(channels)} has a signal (number densities, or a "
                "parameter of interest that is a normfactor), so the data say nothing about "
                f"model {model.name!r}; choose channels with a signal."
            )
        #: What the entries of the flat vector are.
        self.vector = Vector.of(
            model,
            self.parameters,
            constants,
            self.parts,
            uses_template=uses_template,
            bounds=given,
        )
        #: What the model makes of templates and results.
        self.signal = Signal(model, self.parameters, constants, self.parts, results)
        #: The log density of both.
        self.density = LogDensity(self.vector, self.signal)

    @property
    def channels(self) -> list[tuple[Measurement, str, slice]]:
        """What was counted where: measurement, channel, and its place among all counts."""
        return placed((p.measurement, c, n) for p in self.parts for c, n in p.pdf.channels.items())

    @property
    def bins(self) -> list[str]:
        """What each of the observed numbers belongs to: a channel, or a result by its name."""
        counts = [name for _, name, where in self.channels for _ in range(where.stop - where.start)]
        return [*counts, *self.results.names]

    @property
    def options(self) -> dict[str, Any]:
        """Keyword arguments that, with its model and measurements, make the same analysis again."""
        return {
            "response": self.response,
            "free": [p.name for p in self.parameters if p.fixed],
            "priors": self.priors,
            "bounds": self.given_bounds,
            "terms": self.terms,
        }

    def with_priors(self, priors: Mapping[str, dist.Distribution | str]) -> Analysis:
        """Return the same analysis with other priors of some of its parameters.

        Raises:
            UnknownNameError, ParameterError: as for a new analysis.
        """
        options = {**self.options, "priors": {**self.priors, **priors}}
        return Analysis(self.model, self.measurements, **options)

    def template(self) -> Analysis:
        """Return the analysis of the signal template of the measurements, scaled."""
        own = {p.name for p in self.parameters}
        bounds = {k: v for k, v in self.given_bounds.items() if k not in own}
        return Analysis(SignalStrength(), self.measurements, response=self.response, bounds=bounds)

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

    def check_points(self, points: np.ndarray) -> None:
        """Refuse flat vectors (points, size) whose values make no sense together, if the model says
        which do not (`check`).

        Raises:
            ParameterError: from the model.
        """
        if not hasattr(self.model, "check"):
            return
        names = [p.name for p in self.parameters]
        rows = np.unique(np.asarray(points)[:, : len(names)], axis=0)
        for row in rows:
            values = {**self.constants, **dict(zip(names, row.tolist(), strict=True))}
            prediction.check_point(self.model, values, remarks=False)

    def positive(self, given: Container[str]) -> tuple[str, ...]:
        """Return the couplings whose sign is a convention where parameters are given that are not
        0: fits start on the positive side of them."""
        moving = [p.name for p in self.parameters if p.name not in given]
        held = [n for n, x in self.constants.items() if x != 0.0]
        known = [p.name for p in self.model.parameters if p.name in given or p.name in held]
        return positive(self.model.parameters, moving, known)

    def null_values(self) -> dict[str, float]:
        """Values that make the model the standard model, of the parameters that take part."""
        names = {p.name for p in self.parameters}
        return {k: v for k, v in self.model.null.items() if k in names}

    def spectrum(self, params: Parameters, channel: str = "B+ -> K+") -> Spectrum:
        """Return the model's spectrum of a decay channel."""
        return self.signal.spectrum(self.density.physics(self.flatten(params)), channel)

    def log_likelihood(self, params: Parameters, data: Data | None = None) -> Array:
        """Return the log likelihood: main and constraint terms, constants included.

        For `signal-strength` it is pyhf's log pdf of the workspace, but for negative expected
        counts, which have no likelihood: -inf is returned for empty bins, too.

        Args:
            params: `{name: value}` or the flat vector (size,).
            data: counts and auxiliary data; the observation by default.
        """
        # A call from Python would else compile every operation alone.
        density = self.programs.get("log likelihood", None, lambda: self.density)
        return density(self.flatten(params), data)

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
        spectra = self.signal.spectra(self.signal.values(self.density.physics(vector)))
        return self.parts[0].to_workspace(spectra, self.sources[0])

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "programs": Programs()}

    def describe(self) -> str:
        """Return model, parameters, priors, measurements and sources as text."""
        return describe(self)

    def __repr__(self) -> str:
        names = ", ".join(m.name for m in self.measurements)
        return f"Analysis({self.model.name} x {names}: {self.size} parameters, {self.n_bins} bins)"


def _check_names(measurements: Sequence[Measurement]) -> None:
    names = [m.name for m in measurements]
    if len(set(names)) != len(names):
        raise errors.DataError(
            f"measurement {max(names, key=names.count)!r} is given twice; its data would count "
            "double. Give it once, with all channels wanted, or rename one if they differ."
        )
    check_together(measurements)


def _decays(
    model: Any, measurements: Sequence[Measurement], free: Sequence[str]
) -> tuple[str, ...]:
    """Return the decays that channels with counts look for, refused if a model has none of them."""
    decays = tuple(dict.fromkeys([m.decay(c) for m in measurements for c in m.signal]))
    for decay in decays:
        ends = [
            float(m.densities[c].edges[-1])
            for m in measurements
            for c in m.signal
            if m.decay(c) == decay and c in m.densities
        ]
        prediction.check(model, "branching_ratio", decay, end=max(ends, default=None), free=free)
    return decays


def _contents(signal: Signal, decays: Sequence[str]) -> tuple[bool, bool]:
    """Whether the model's spectra have a standard-model part, and anything else."""
    found: list[Spectrum] = []

    def look(physics: Array) -> Array:
        found.extend(signal.spectrum(physics, decay) for decay in decays)
        signal.results.check_curves(signal.model, lambda decay: signal.spectrum(physics, decay))
        return physics

    jax.eval_shape(look, jnp.zeros(len(signal.parameters)))
    uses_template = any(s.uses_template for s in found)
    return uses_template, any(s.continuum is not None or bool(s.lines) for s in found)


def _check_form_factors(
    model: Any,
    parameters: Sequence[Parameter],
    measurements: Sequence[Measurement],
    uses_template: bool,
) -> None:
    """Refuse to count the uncertainty of form factors twice."""
    own = [p.name for p in parameters if p.nuisance]
    for m in measurements:
        if uses_template and own and m.form_factor_modifiers:
            raise errors.ParameterError(
                f"model {model.name!r} has form-factor nuisances ({own[0]}, ...) and uses "
                f"the standard-model template of {m.name!r} with its own "
                f"({', '.join(m.form_factor_modifiers)}); the same uncertainty would count "
                "twice. Put the standard model into the continuum of the spectrum, or leave "
                "out the nuisances of the model."
            )
