"""A prediction: a value, its uncertainty, and what of."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np
from jax import Array

from bknn.answers.answer import Answer, Shown
from bknn.answers.digits import span, with_error
from bknn.kinematics import known

#: Points that are printed.
_SHOWN = 10


@jax.tree_util.register_dataclass
@dataclass(frozen=True, eq=False, repr=False)
class Prediction(Answer):
    """A prediction and its uncertainty (one standard deviation).

    The uncertainty is that of the form factors and of the other constrained parameters of the
    model, propagated linearly; parameters of the model that are free are taken as given.

    Attributes:
        value, uncertainty: a number, or arrays of the shape of `q2`.
        observable, channel: which; a derived quantity has no channel.
        q2: GeV^2: a bin, points, or None for all of phase space.
        part: "all", or "new" for the new state alone.
        unit: of a derived quantity.

    >>> import numpy as np
    >>> print(Prediction(np.array(4.92e-6), np.array(0.34e-6), "branching_ratio", "B+ -> K+"))
    branching_ratio, B+ -> K+: (4.92 +- 0.34)e-06
    """

    value: Array
    uncertainty: Array
    observable: str = field(default="", metadata={"static": True})
    channel: str = field(default="", metadata={"static": True})
    q2: Any = None
    part: str = field(default="all", metadata={"static": True})
    unit: str = field(default="", metadata={"static": True})

    def __iter__(self) -> Iterator[Array]:
        """Value and uncertainty, one after the other."""
        return iter((self.value, self.uncertainty))

    def dimensions(self) -> dict[str, tuple[str, ...]]:
        points = tuple(f"point_{i}" if i else "point" for i in range(np.ndim(self.value)))
        return dict.fromkeys(("value", "uncertainty", "q2"), points)

    def field_units(self) -> dict[str, str]:
        unit = {"dbr_dq2": "GeV^-2"}.get(self.observable, self.unit)
        return {"value": unit, "uncertainty": unit, "q2": "GeV^2"}

    @property
    def converged(self) -> np.ndarray:
        """Whether there is a number, of the shape of `value`."""
        return np.isfinite(self.value) & np.isfinite(self.uncertainty)

    @property
    def status(self) -> str:
        """How many numbers there are, in a sentence."""
        bad = int(np.sum(~self.converged))
        return f"{bad} of {self.converged.size} values are no numbers." if bad else "computed."

    def columns(self) -> dict[str, np.ndarray]:
        """One row a point."""
        value, uncertainty = (np.atleast_1d(x) for x in (self.value, self.uncertainty))
        points = isinstance(self.q2, tuple) or self.q2 is None
        along = {} if points else {"q2": np.broadcast_to(self.q2, value.shape).reshape(-1)}
        return {**along, "value": value.reshape(-1), "uncertainty": uncertainty.reshape(-1)}

    def shown(self) -> Shown:
        if not known(self.value, self.uncertainty):
            return Shown(f"{self._what}: traced by JAX")
        unit = self.field_units()["value"]
        if np.ndim(self.value) == 0:
            return Shown(f"{self._what}: {with_error(self.value, self.uncertainty, unit)}")
        rows = self.columns()
        q2 = rows.pop("q2", np.full(len(rows["value"]), np.nan))
        texts = [
            (f"{x:.4g}", with_error(value, error, unit))
            for x, value, error in zip(q2, rows["value"], rows["uncertainty"], strict=True)
        ]
        if len(texts) > _SHOWN:
            texts = [*texts[: _SHOWN // 2], ("...", ""), *texts[-_SHOWN // 2 :]]
        return Shown(self._what, ("q2 [GeV^2]", "value"), texts)

    @property
    def _what(self) -> str:
        words = [self.observable, self.channel]
        if isinstance(self.q2, tuple):
            low, high = self.q2
            words.append(f"q2 in {span(low, high, 'GeV^2')}")
        elif self.q2 is not None and np.ndim(self.q2) == 0:
            words.append(f"q2 = {self.q2:.4g} GeV^2")
        return ", ".join([*filter(None, words), *(["new part"] if self.part == "new" else [])])
