"""What models with light new particles have in common: couplings of quark currents to theirs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jax import Array

from bknn import errors
from bknn.decay import rate
from bknn.models.theory import (
    Pair,
    Params,
    Particle,
    Theory,
    is_zero,
    normalisation,
    standard_model,
)
from bknn.parameters import Parameter, real

#: Vacuum expectation value of the Higgs field, (sqrt2 G_F)^(-1/2), GeV.
HIGGS_VEV = 246.21965

#: Reference scale of operators of dimension 5 and more, GeV (as in arXiv:2403.13887).
LAMBDA = 1e4

#: Priors of couplings are uniform up to this many times their start, where the branching fraction
#: is about what the data leave to new particles: rates up to 25 times that. Fits go further.
PRIOR_REACH = 5.0

#: Where rates diverge with the mass of a longitudinal particle, priors of the mass begin here, GeV:
#: over the decades below no one range of a coupling makes sense.
LIGHTEST = 0.1


@dataclass(frozen=True)
class Coupling:
    """A coupling constant of a model.

    Attributes:
        name: of the parameter.
        terms: {(quark current, invisible current): factor}.
        start, limit: start of fits, largest value.
        floats: whether it floats unless told otherwise.
        starts: how many starts a floating one has, each a tenth of the one before: a fit that
            begins far too high may end at 0, where a square has no slope.
        dimension: powers of 1/Lambda that come with it.
        unit: for tables.
    """

    name: str
    terms: Mapping[tuple[str, str], float]
    start: float
    limit: float
    floats: bool = False
    dimension: int = 0
    unit: str = ""
    starts: int = 1

    @property
    def parameter(self) -> Parameter:
        """A floating one is not negative, as rates depend on it by its square, until there is
        another one (`of_either_sign`). A fixed one is 0, and starts on both sides of it when it is
        freed: at 0 a square has no slope."""
        reach = min(PRIOR_REACH * self.start, self.limit)
        return Parameter(
            self.name,
            self.start if self.floats else 0.0,
            (0.0 if self.floats else -self.limit, self.limit),
            prior=dist.Uniform(-reach, reach),
            starts=self._starts,
            fixed=not self.floats,
            unit=self.unit,
            description=self.text,
            coupling="new",
        )

    @property
    def _starts(self) -> tuple[float, ...]:
        if not self.floats:
            return self.start, -self.start
        return tuple(self.start * 10.0**-k for k in range(self.starts)) if self.starts > 1 else ()

    @property
    def text(self) -> str:
        """The terms of the Lagrangian in words."""
        quarks = " + ".join(f"({_QUARK_CURRENTS[q]}) x {d}" for q, d in self.terms)
        return quarks + {0: "", 1: ", over Lambda"}.get(
            self.dimension, f", over Lambda^{self.dimension}"
        )


_QUARK_CURRENTS = {
    "S": "sbar b",
    "P": "sbar g5 b",
    "V": "sbar g_m b",
    "A": "sbar g_m g5 b",
    "T": "sbar sigma_mn b",
    "T5": "sbar sigma_mn g5 b",
}


#: {basis: its couplings}
CouplingsByBasis = Mapping[str, tuple[Coupling, ...]]


def add_up(couplings: Sequence[Coupling], params: Params) -> dict[tuple[str, str], Array]:
    """Return the couplings of currents that the parameters make, powers of Lambda included.

    What is the Python number 0 (a parameter that nobody freed or set) is left out: the program
    that JAX compiles does not know of it.
    """
    total: dict[tuple[str, str], Array] = {}
    for c in couplings:
        if is_zero(params[c.name]):
            continue
        value = jnp.asarray(real(c.name, params[c.name]))
        if c.dimension:
            value = value / jnp.asarray(params["Lambda"]) ** c.dimension
        for pair, factor in c.terms.items():
            total[pair] = total.get(pair, 0.0) + factor * value
    return total


class LightParticles(Theory):
    """Base of the models with light new particles next to the standard model's neutrinos.

    A model gives `couplings_by_basis`, `new_states`, and `mass_parameter`.

    Args:
        basis: "parity" (g_S, g_P, ...) or "chiral" (C_S_L, C_S_R, ...).
        floats: names of the couplings that float, in place of the model's choice.
        others: as for `Theory`.
    """

    couplings_by_basis: ClassVar[CouplingsByBasis]
    #: Starts of a coupling that `floats` names, each a tenth of the one before.
    decades: ClassVar[int] = 2

    def __init__(self, *, basis: str = "parity", floats: Sequence[str] = (), **others: Any) -> None:
        if basis not in self.couplings_by_basis:
            raise errors.unknown("basis", basis, self.couplings_by_basis, f"model {self.name!r}")
        self.basis = basis
        self.couplings = self.couplings_by_basis[basis]
        for name in floats:
            if name not in {c.name for c in self.couplings}:
                known = [c.name for c in self.couplings]
                raise errors.unknown("coupling", name, known, f"model {self.name!r}")
        if floats:
            self.couplings = tuple(
                replace(c, floats=c.name in floats, starts=self.decades) for c in self.couplings
            )
        super().__init__(**others)

    def mass_parameters(self) -> tuple[Parameter, ...]:
        """Return the parameters of the new particles but for their couplings."""
        raise NotImplementedError

    def new_states(self, couplings: rate.Couplings, params: Params) -> Sequence[Pair | Particle]:
        """Return the final states with new particles."""
        raise NotImplementedError

    def own_parameters(self) -> tuple[Parameter, ...]:
        cutoff: tuple[Parameter, ...] = ()
        if any(c.dimension for c in self.couplings):
            text = "scale that divides the couplings"
            cutoff = (
                Parameter("Lambda", LAMBDA, (1.0, 1e19), fixed=True, unit="GeV", description=text),
            )
        return (
            *self.mass_parameters(),
            *(c.parameter for c in self.couplings),
            *cutoff,
            normalisation(self.inputs),
        )

    @property
    def null(self) -> Mapping[str, float]:  # type: ignore[override]
        """No new particles; the normalisation of the standard model stays free."""
        off = {c.name: 0.0 for c in self.couplings}
        return off | {p.name: p.init for p in self.mass_parameters()}

    def final_states(self, params: Params) -> Sequence[Pair | Particle]:
        known = standard_model(self.inputs, params["sm_normalisation"])
        return (known, *self.new_states(add_up(self.couplings, params), params))

    def convert(
        self, params: Mapping[str, float], basis: str, *, scale: float = LAMBDA
    ) -> dict[str, float]:
        """Return the values of the couplings in another basis.

        Args:
            params: values of couplings in the basis of this model; those that are not there are 0.
            basis: "parity" or "chiral".
            scale: Lambda in GeV, where the couplings of the two bases have other powers of it.

        Raises:
            UnknownNameError: a coupling or a basis that the model does not have.
        """
        if basis not in self.couplings_by_basis:
            raise errors.unknown("basis", basis, self.couplings_by_basis, f"model {self.name!r}")
        names = [c.name for c in self.couplings]
        for name in params:
            if name not in names:
                raise errors.unknown("coupling", name, names, f"model {self.name!r}")
        return convert(self.couplings, params, self.couplings_by_basis[basis], scale)


def convert(
    couplings: Sequence[Coupling],
    params: Mapping[str, float],
    others: Sequence[Coupling],
    scale: float = LAMBDA,
) -> dict[str, float]:
    """Return the values of other couplings that make the same Lagrangian at Lambda = scale."""
    pairs = sorted({pair for c in (*couplings, *others) for pair in c.terms})

    def matrix(of: Sequence[Coupling]) -> np.ndarray:
        return np.array([[c.terms.get(p, 0.0) / scale**c.dimension for c in of] for p in pairs])

    wanted = matrix(couplings) @ np.array([float(params.get(c.name, 0.0)) for c in couplings])
    equations = matrix(others)
    # Each coupling in units of its start, each equation in units of what it then holds: none drowns
    # in the rounding of another.
    unit = np.array([c.start for c in others])
    size = np.abs(equations * unit[None, :]).max(axis=1)
    scaled = equations * unit[None, :] / size[:, None]
    found, *_ = np.linalg.lstsq(scaled, wanted / size, rcond=None)
    return {c.name: float(x) for c, x in zip(others, found * unit, strict=True)}


def light_mass(
    limit: float,
    start: float,
    starts: Sequence[float],
    least: float = 0.0,
    lightest: float | None = None,
) -> Parameter:
    """Return the mass of a new particle. Beyond `limit` there is no rate, which is no error.

    Its prior is uniform from `lightest`, by default `least`, the lower bound of fits.
    """
    return Parameter(
        "mass",
        start,
        (least, 10.0),
        prior=dist.Uniform(least if lightest is None else lightest, limit),
        starts=tuple(starts),
        unit="GeV",
        description=f"of the invisible particle; above {limit:.2f} GeV there is no B -> K",
    )
