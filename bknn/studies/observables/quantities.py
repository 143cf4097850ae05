"""Observables to be predicted: which, of what decay, in which range of q2."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from bknn import errors, prediction
from bknn.channels import channel as find_channel


@dataclass(frozen=True)
class Quantity:
    """An observable of a decay, or a derived quantity of a model.

    Attributes:
        observable: one of `bknn.prediction.OBSERVABLES`, or the name of a derived quantity.
        channel: one of `bknn.channels.CHANNELS`; it does not matter for a derived quantity.
        q2: a bin (lower, upper) or, for "dbr_dq2" and "f_l", a point, GeV^2; None is all.
        around: half of the width, GeV^2, of a bin around the square of the mass of the model,
            wherever the fit puts it; in place of `q2`.
        part: "all", or "new" for the new state alone, without the standard model.

    >>> str(Quantity("f_l", "B0 -> K*0", around=1.0))
    'f_l, B0 -> K*0, mass^2 -+ 1 GeV^2'
    """

    observable: str = "branching_ratio"
    channel: str = "B+ -> K+"
    q2: tuple[float, float] | float | None = None
    around: float | None = None
    part: str = "all"

    @property
    def is_derived(self) -> bool:
        """Whether it is a number that a model makes of its parameters, not one of a decay."""
        return self.observable not in prediction.OBSERVABLES

    def edges(self, params: Mapping[str, ArrayLike]) -> Any:
        """Return the bin, GeV^2: two numbers, or an array (2,); None for a point."""
        if self.is_derived:
            return None
        if self.around is not None:
            place = jnp.asarray(params["mass"]) ** 2
            return jnp.stack([jnp.maximum(place - self.around, 0.0), place + self.around])
        if self.q2 is None:
            return 0.0, np.inf
        return self.q2 if isinstance(self.q2, tuple) else None

    def check(self, model: Any) -> Quantity:
        """Return it if the model predicts it.

        Raises:
            UnknownNameError, ParameterError: as for `bknn.predict`; a bin around a mass that the
                model does not have.
        """
        q2: Any = self.q2
        if self.around is not None:
            if self.is_derived:
                raise errors.UndefinedError(
                    f"{self.observable!r} is asked for in a bin of q2, and it is no observable of "
                    "a decay; leave the bin out."
                )
            if self.q2 is not None:
                raise errors.ParameterError(
                    f"{self.observable!r} of {self.channel!r} is asked for in the bin {self.q2} "
                    "and in one around a mass; leave one of them out."
                )
            if not self.around > 0:
                raise errors.ParameterError(
                    f"a bin around a mass needs a positive half width in GeV^2, not {self.around}."
                )
            if not is_around_a_line(model, self.channel):
                raise errors.ParameterError(
                    f"model {model.name!r} has no narrow line in q2, so there is no bin around "
                    "its mass; give the bin itself."
                )
            q2 = (1.0, 2.0)
        prediction.check(model, self.observable, self.channel, q2, part=self.part)
        return self

    def defined(self, model: Any, params: Mapping[str, ArrayLike]) -> None:
        """Refuse a polarisation or a ratio where nothing decays, at values of all parameters.

        Raises:
            UndefinedError: as for `bknn.predict`.
        """
        if self.observable in ("branching_ratio", "dbr_dq2") or self.is_derived:
            return
        if self.around is None and self.part == "all":
            return  # known beforehand
        q2: Any = self.q2
        if self.around is not None:
            q2 = tuple(float(x) for x in self.edges(params))
        nuisances = model.nuisances([self.channel]) if hasattr(model, "nuisances") else ()
        known = {p.name for p in (*model.parameters, *nuisances)}
        own = {name: x for name, x in params.items() if name in known}
        prediction.predict(model, self.observable, self.channel, own, q2, part=self.part)

    @property
    def what(self) -> str:
        """The observable in words."""
        return self.observable if self.part == "all" else f"{self.observable} ({self.part})"

    @property
    def where(self) -> str:
        """The region of q2 in words."""
        if self.around is not None:
            return f"mass^2 -+ {self.around:g}"
        if self.q2 is None:
            return "all"
        if isinstance(self.q2, tuple):
            return f"{self.q2[0]:g} ... {self.q2[1]:g}"
        return f"{self.q2:g}"

    @property
    def factor(self) -> float:
        """What values are multiplied with on an axis: branching fractions are small."""
        return 1e6 if self.observable == "branching_ratio" else 1.0

    @property
    def label(self) -> str:
        """The label of an axis, as mathtext, with the unit.

        >>> Quantity("f_l", "B0 -> K*0", q2=(4.0, 5.0)).label
        '$F_L$ of $B^0 \\\\to K^{*0}$ + inv, 4 < $q^2$ < 5 GeV$^2$'
        """
        where = ""
        if self.around is not None:
            where = rf", $q^2 = m^2 \pm {self.around:g}$ GeV$^2$"
        elif isinstance(self.q2, tuple):
            where = rf", {self.q2[0]:g} < $q^2$ < {self.q2[1]:g} GeV$^2$"
        elif self.q2 is not None:
            where = rf", $q^2$ = {self.q2:g} GeV$^2$"
        decay = find_channel(self.channel).symbol
        if self.part == "new":
            decay += ", new"
        if self.observable == "branching_ratio":
            return f"BR({decay}) [$10^{{-6}}$]{where}"
        if self.observable == "dbr_dq2":
            return f"dBR/d$q^2$({decay}) [GeV$^{{-2}}$]{where}"
        symbol = {"f_l": "$F_L$", "r_f_l": r"$F_L/F_L^\mathrm{SM}$"}.get(
            self.observable, "BR / BR(SM)"
        )
        return f"{symbol} of {decay}{where}"

    def __str__(self) -> str:
        if self.is_derived:
            return self.observable
        unit = "" if self.where == "all" else " GeV^2"
        return f"{self.what}, {self.channel}, {self.where}{unit}"


def in_bins(
    model: Any,
    channel: str,
    params: Mapping[str, ArrayLike],
    bins: Sequence[Any],
    *,
    part: str = "all",
    polarised: bool = True,
) -> tuple[Array, Array]:
    """Return branching fractions in bins (n,), and those of a vector meson in helicity 0 alone.

    The same as `bknn.prediction.value`, one by one, in a smaller program: spectra are made once.

    Args:
        model, channel, params, part: as for `bknn.prediction.value`.
        bins: lower and upper edge of each, GeV^2; from 0 to infinity is all.
        polarised: whether helicity 0 is asked for; else it is the same as all.
    """

    def amounts(longitudinal: bool) -> Array:
        spectrum = prediction.spectrum_of(
            model, params, channel, longitudinal=longitudinal, part=part
        )

        def one(low: Any, high: Any) -> Array:
            found = prediction.branching_ratio(model, channel, spectrum, q2=(low, high))
            return jnp.asarray(found)

        # What is a sum of fixed shapes is integrated beforehand, where the edges are known.
        shapes = all(c.as_shapes() is not None for c in spectrum.continua)
        known = [shapes and isinstance(x, tuple) for x in bins]
        found = [one(*x) if k else None for x, k in zip(bins, known, strict=True)]
        if others := [jnp.asarray(x) for x, k in zip(bins, known, strict=True) if not k]:
            more = iter(jax.vmap(one)(*jnp.stack(others).T))
            found = [next(more) if x is None else x for x in found]
        return jnp.stack([x for x in found if x is not None])

    whole = amounts(False)
    return whole, (amounts(True) if polarised and find_channel(channel).vector else whole)


def evaluate(model: Any, quantities: Sequence[Quantity], params: Mapping[str, ArrayLike]) -> Array:
    """Return what a model predicts for quantities (n,), a pure JAX function of all its parameters.

    Bins of one channel are computed together. Where nothing decays polarisations and ratios are 0;
    `Quantity.defined` refuses them.
    """
    names = prediction.derived_quantities(model)
    derived = {q for q in quantities if q.observable in names}
    numbers = prediction.derived(model, params) if derived else {}
    found: dict[Quantity, Array] = {q: numbers[q.observable] for q in derived}
    others = [q for q in quantities if q not in derived]
    for channel, part in dict.fromkeys((q.channel, q.part) for q in others):
        own = [q for q in others if (q.channel, q.part) == (channel, part)]
        edges = {q: e for q in own if (e := q.edges(params)) is not None}
        if edges:
            bins = list(edges.values())
            polarised = any(q.observable.endswith("f_l") for q in edges)
            both = in_bins(model, channel, params, bins, part=part, polarised=polarised)
            null: tuple[Array, Array] | None = None
            if any(q.observable.startswith("r_") for q in edges):
                other, at = prediction.null_of(model, params)
                null = in_bins(other, channel, at, bins, polarised=polarised)
            for i, q in enumerate(edges):
                found[q] = observable_of(q.observable, (both[0][i], both[1][i]))
                if q.observable.startswith("r_"):
                    assert null is not None
                    below = observable_of(q.observable, (null[0][i], null[1][i]))
                    found[q] = _ratio(found[q], below)
        for q in own:
            if q not in edges:
                found[q] = prediction.value(model, q.observable, channel, params, q.q2, part=part)
    return jnp.stack([found[q] for q in quantities])


def observable_of(name: str, amounts: tuple[Array, Array]) -> Array:
    """Return a branching fraction or a polarisation from all decays and longitudinal ones."""
    whole, part = amounts
    if not name.endswith("f_l"):
        return whole
    return _ratio(part, whole)


def _ratio(above: Array, below: Array) -> Array:
    return jnp.where(below > 0.0, above / jnp.where(below > 0.0, below, 1.0), 0.0)


def is_around_a_line(model: Any, channel: str) -> bool:
    """Return whether a model has a narrow line in q2, at the square of its parameter `mass`."""
    values = {p.name: p.init for p in model.parameters}
    if "mass" not in values:
        return False
    found: list[bool] = []

    def look(x: Array) -> Array:
        found.append(bool(model.spectrum(values, channel).lines))
        return x

    jax.eval_shape(look, jnp.zeros(()))
    return found[0]
