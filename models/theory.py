"""What the models of this package have in common: couplings in, spectra of all channels out.

A model says which invisible final states there are, with which couplings. The hadronic side, the
form factors with their uncertainties and the standard model's neutrinos are the same for all.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import cache, partial
from typing import Any, ClassVar, NamedTuple

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from bknn import errors, inputs
from bknn.channels import Channel
from bknn.channels import channel as find_channel
from bknn.decay import rate, tau_pole
from bknn.decay.densities import Densities
from bknn.decay.hadronic import (
    FormFactors,
    Wave,
    annihilation_waves,
    pseudoscalar_waves,
    vector_waves,
)
from bknn.decay.invisible import neutrinos
from bknn.form_factors import sets
from bknn.inputs import load as load_inputs
from bknn.kinematics import endpoint, known, numpy_for
from bknn.models import shapes
from bknn.parameters import Parameter
from bknn.spectrum import Continuum, Family, Line, Shapes, Spectrum

Params = Mapping[str, ArrayLike]


class Pair(NamedTuple):
    """An invisible final state of two particles.

    Attributes:
        couplings: of quark currents to its currents.
        densities: its spectral densities as a function of q2.
        threshold: the smallest q2, or None if it is 0 and nothing happens there.
        new: whether it is not the standard model's.
        invisible: the fraction that stays invisible.
    """

    couplings: rate.Couplings
    densities: Callable[[Array], Densities]
    threshold: ArrayLike | None = None
    new: bool = True
    invisible: ArrayLike = 1.0


class Particle(NamedTuple):
    """An invisible final state of one particle, of a mass and a width in GeV, of which a fraction
    stays invisible."""

    couplings: rate.Couplings
    densities: Densities
    mass: ArrayLike
    width: ArrayLike = 0.0
    invisible: ArrayLike = 1.0


def is_zero(value: ArrayLike) -> bool:
    """Return whether a value is known to be 0 without looking at traced numbers."""
    return isinstance(value, int | float) and value == 0


class Theory:
    """Base of the models that know their couplings.

    A model sets `name` and `description`, and gives `own_parameters`, `null` and `final_states`;
    `thresholds` names the parameters that decide where the continua of its pairs begin, and
    `interferes` says that new operators interfere with the standard model's.

    Args:
        form_factors: names of sets (`bknn.form_factors.sets.available()`), files with sets of one's
            own, or sets; each takes the place of the default for the transitions that it has, later
            ones that of earlier ones.
        inputs: name of a set of inputs (`bknn.inputs.INPUTS`), or a set.
        long_distance: add B -> tau nu, tau -> K(*) nu to the charged channels. Off by default:
            Belle II counts it as background.

    Raises:
        UnknownNameError: an unknown set.
    """

    name: str
    description: str
    null: Mapping[str, float]
    parameters: tuple[Parameter, ...]
    thresholds: ClassVar[tuple[str, ...]] = ()
    interferes: ClassVar[bool] = False

    def __init__(
        self,
        *,
        form_factors: Sequence[str | sets.FormFactorSet] | str | sets.FormFactorSet = (),
        inputs: str | inputs.Inputs = "standard",
        long_distance: bool = False,
    ) -> None:
        self.inputs = load_inputs(inputs)
        self.form_factors = sets.choose(form_factors)
        self.long_distance = long_distance
        self.parameters = self.own_parameters()

    def own_parameters(self) -> tuple[Parameter, ...]:
        """Return the parameters of the model, form factors aside."""
        raise NotImplementedError

    def final_states(self, params: Params) -> Sequence[Pair | Particle]:
        """Return the invisible final states; they add up without interference."""
        raise NotImplementedError

    def nuisances(self, channels: Sequence[str]) -> tuple[Parameter, ...]:
        """Return the form-factor parameters that the channels depend on: whitened, unit normal."""
        transitions = {find_channel(c).form_factors for c in channels} - {None}
        return tuple(
            Parameter(
                name,
                0.0,
                constraint=(0.0, 1.0),
                nuisance=True,
                description=f"form factors {t}, {self.form_factors[t].name}",
            )
            for t in sorted(str(t) for t in transitions)
            for name in _nuisance_names(t, len(self.form_factors[t].mean))
        )

    def spectrum(
        self, params: Params, channel: str, *, longitudinal: bool = False, part: str = "all"
    ) -> Spectrum:
        """Return the spectrum of a channel.

        Args:
            params: {name: value} of all parameters; form-factor parameters that are not there are
                at their central values.
            channel: "B+ -> K+", ...; "Bs -> invisible" is a line at the mass of the Bs.
            longitudinal: only decays with the vector meson in helicity 0.
            part: "all", or "new" for the new final states alone, without the standard model.

        Raises:
            UnknownNameError: no such channel.
            UndefinedError: what is new interferes with the standard model, or is nothing.
        """
        where = find_channel(channel)
        states = self._states(params, part)
        if where.daughter is None:
            return self._annihilation(states, where)
        smooth = [s for s in states if isinstance(s, Pair) and s.threshold is None]
        spectrum = Spectrum()
        if smooth:
            found = self._continuum(params, where, smooth, longitudinal, name=part)
            spectrum += Spectrum(continuum=found)
        for i, state in enumerate(states):
            if isinstance(state, Particle):
                spectrum += Spectrum(lines=(self._line(params, where, state, longitudinal),))
            elif state.threshold is not None:
                found = self._continuum(
                    params, where, [state], longitudinal, state.threshold, (part, i)
                )
                spectrum += Spectrum(continuum=found)
        if self.long_distance and where.parent == "B+" and part == "all":
            spectrum += Spectrum(
                continuum=lambda q2: tau_pole.dbr_dq2(
                    q2, where, self.inputs, longitudinal_only=longitudinal
                )
            )
        return spectrum

    def _states(self, params: Params, part: str) -> Sequence[Pair | Particle]:
        states = self.final_states(params)
        if part == "all":
            return states
        if self.interferes:
            raise errors.UndefinedError(
                f"the operators of model {self.name!r} interfere with the standard model, so that "
                "no part of the rate is of what is new alone; compare with the prediction of 'sm'."
            )
        new = [s for s in states if isinstance(s, Particle) or s.new]
        if not new:
            raise errors.UndefinedError(
                f"model {self.name!r} has nothing beyond the standard model; leave out `part`."
            )
        return new

    def kinks(self, channel: str) -> tuple[ArrayLike, ...]:
        """Return the q2 (GeV^2) where the spectrum of a channel is not smooth, up to the endpoint.

        (Thresholds are with the continuum that begins there.)
        """
        where = find_channel(channel)
        last = endpoint(**self._masses(where))
        if self.long_distance and where.parent == "B+":
            return (tau_pole.endpoint(where, self.inputs), last)
        return (last,)

    def standard_model(self) -> Theory:
        """Return the standard model with the same form factors and inputs, and decays through a
        tau if this model has them."""
        return StandardModel(
            form_factors=tuple(self.form_factors.values()),
            inputs=self.inputs,
            long_distance=self.long_distance,
        )

    def _masses(self, where: Channel) -> dict[str, ArrayLike]:
        assert where.daughter is not None
        masses = self.inputs.masses
        return {"mass_parent": masses[where.parent], "mass_daughter": masses[where.daughter]}

    def _form_factor_values(self, params: Params, where: Channel) -> Array:
        """Return the form-factor parameters (n,), central values if none are given."""
        chosen = self.form_factors[str(where.form_factors)]
        names = _nuisance_names(str(where.form_factors), len(chosen.mean))
        if not any(n in params for n in names):
            return jnp.asarray(chosen.mean)
        return chosen.parameters(jnp.stack([jnp.asarray(params.get(n, 0.0)) for n in names]))

    def _waves(
        self, masses: Mapping[str, ArrayLike], q2: Array, form_factors: FormFactors, vector: bool
    ) -> tuple[Wave, ...]:
        waves = vector_waves if vector else pseudoscalar_waves
        return waves(
            q2,
            form_factors,
            mass_parent=masses["mass_parent"],
            mass_daughter=masses["mass_daughter"],
            mass_b=self.inputs.mass_b,
            mass_s=self.inputs.mass_s,
        )

    def _continuum(
        self,
        params: Params,
        where: Channel,
        states: Sequence[Pair],
        longitudinal: bool,
        threshold: ArrayLike | None = None,
        name: Hashable = None,
    ) -> Continuum:
        """Return the continuum of some final states, called `name` among those of a channel."""
        numbers = {**self._masses(where), "lifetime": self.inputs.lifetimes[where.parent]}
        transition, vector = str(where.form_factors), where.vector
        form_factors = self.form_factors[transition]
        values = self._form_factor_values(params, where)

        def waves(masses: Any, q2: Array, found: FormFactors) -> tuple[Wave, ...]:
            return self._waves(masses, q2, found, vector)

        def density(numbers: Any, q2: Array) -> Array:
            masses = {key: numbers[key] for key in ("mass_parent", "mass_daughter")}
            physical = rate.inside(q2, **masses)
            q2 = numpy_for(q2, masses).where(physical, q2, 0.0)
            found = waves(masses, q2, form_factors(q2, values))
            total = sum(
                missing(
                    state.invisible,
                    rate.dgamma_dq2(
                        q2,
                        found,
                        state.couplings,
                        state.densities(q2),
                        longitudinal_only=longitudinal,
                        **masses,
                    ),
                )
                for state in states
            )
            return jnp.where(physical, numbers["lifetime"] * total, 0.0)

        @cache
        def sums() -> tuple[Array, Callable[[Any, Any], Array]]:
            return shapes.shapes(
                states,
                form_factors,
                values,
                waves,
                numbers,
                longitudinal=longitudinal,
                kept=self.__dict__.setdefault("_tables", {}).setdefault(transition, {}),
                constant=threshold is None,
            )

        def own() -> Shapes:
            weights, functions = sums()
            return Shapes(weights, partial(functions, numbers))

        fixed = known(self.inputs)
        family = Family((transition, longitudinal, name), numbers, density, sums if fixed else None)
        return Continuum(partial(density, numbers), threshold, own if fixed else None, family)

    def _line(self, params: Params, where: Channel, state: Particle, longitudinal: bool) -> Line:
        masses = self._masses(where)
        mass = jnp.asarray(state.mass, float)
        # A particle that is too heavy has no rate, but its form factors must not be asked for.
        q2 = jnp.minimum(mass**2, endpoint(**masses))
        form_factors = self.form_factors[str(where.form_factors)]
        found = form_factors(q2, self._form_factor_values(params, where))
        waves = self._waves(masses, q2, found, where.vector)
        gamma = rate.gamma_two_body(
            mass,
            waves,
            state.couplings,
            state.densities,
            longitudinal_only=longitudinal,
            **masses,
        )
        lifetime = self.inputs.lifetimes[where.parent]
        return Line(state.mass, lifetime * missing(state.invisible, gamma), state.width)

    def _annihilation(self, states: Sequence[Pair | Particle], where: Channel) -> Spectrum:
        mass = self.inputs.masses[where.parent]
        waves = annihilation_waves(
            mass_parent=mass,
            decay_constant=self.inputs.decay_constant_bs,
            mass_b=self.inputs.mass_b,
            mass_s=self.inputs.mass_s,
        )
        q2 = jnp.asarray(mass, float) ** 2
        gamma = sum(
            (
                missing(
                    state.invisible,
                    rate.gamma_annihilation(
                        waves, state.couplings, state.densities(q2), mass_parent=mass
                    ),
                )
                for state in states
                if isinstance(state, Pair)
            ),
            jnp.zeros(()),
        )
        return Spectrum(lines=(Line(mass, self.inputs.lifetimes[where.parent] * gamma),))

    def __getstate__(self) -> dict[str, Any]:
        """Everything but what is found anew when it is needed, and cannot be sent."""
        return {name: x for name, x in self.__dict__.items() if name != "_tables"}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name})"


def missing(invisible: ArrayLike, rate_: Any) -> Any:
    """Return what an experiment sees as missing energy of a rate: the fraction that stays
    invisible, where it is not all of it."""
    return rate_ if is_one(invisible) else invisible * rate_


def is_one(value: ArrayLike) -> bool:
    """Return whether a value is known to be 1 without looking at traced numbers."""
    return isinstance(value, int | float) and value == 1


def _nuisance_names(transition: str, n: int) -> list[str]:
    label = {"B -> K": "K", "B -> K*": "Kstar", "Bs -> phi": "phi"}[transition]
    return [f"ff_{label}_{i}" for i in range(n)]


def neutrino_scale(chosen: inputs.Inputs) -> Array:
    """Return 4 G_F / sqrt2 alpha / (2 pi) |V_tb V_ts*|, the scale of the neutrino operators."""
    g = jnp.asarray(chosen.g_fermi) * chosen.alpha * chosen.ckm
    return 4.0 * g / (2.0**0.5 * 2.0 * jnp.pi)


def standard_model(chosen: inputs.Inputs, scale: ArrayLike = 1.0) -> Pair:
    """Return the standard model's neutrinos, `scale` times as often.

    arXiv:1409.4557, eqs. (1)-(4): only (sbar g_mu P_L b)(nubar g^mu P_L nu), three flavours.
    """
    value = neutrino_scale(chosen) * chosen.c_sm * jnp.sqrt(3.0 * jnp.asarray(scale))
    return Pair(neutrinos.couplings({"VLL": value}), neutrinos.densities, new=False)


def normalisation(chosen: inputs.Inputs) -> Parameter:
    """Return the parameter for the rate of the standard model over its prediction."""
    return Parameter(
        "sm_normalisation",
        1.0,
        (1e-3, 2.0),
        constraint=(1.0, chosen.sm_uncertainty),
        description="SM rate over its prediction, form factors aside",
    )


class StandardModel(Theory):
    """B -> K(*) nu nubar in the standard model, short distance (arXiv:1409.4557).

    Nothing floats but what is uncertain: the form factors and `sm_normalisation`.
    """

    name = "sm"
    description = "the standard model, with form factors and inputs of one's choice"
    null: Mapping[str, float] = {"sm_normalisation": 1.0}

    def own_parameters(self) -> tuple[Parameter, ...]:
        return (normalisation(self.inputs),)

    def final_states(self, params: Params) -> Sequence[Pair | Particle]:
        return (standard_model(self.inputs, params.get("sm_normalisation", 1.0)),)
