"""Derived quantities in groups, of which those that nobody asks for cost nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from typing import Any, NamedTuple

from jax.typing import ArrayLike

from bknn import errors
from bknn.prediction.derived import DerivedQuantity


class Group(NamedTuple):
    """Derived quantities that are computed together, and only if one of them is asked for.

    Attributes:
        quantities: their declarations.
        compute: the function of the parameters {name: value} and of what a model hands its groups
            (`Grouped`) that returns {name: value} of them; what else it returns is left.
    """

    quantities: tuple[DerivedQuantity, ...]
    compute: Callable[[Mapping[str, ArrayLike], Any], Mapping[str, ArrayLike]]


class Grouped(Mapping[str, ArrayLike]):
    """Derived quantities at one point, by name; a group is computed when one of its names is first
    asked for, once for all of them.

    Args:
        groups: what is computed together.
        params: {name: value} of the parameters; a quantity with the name of one of them is left.
        at: what the model knows of this point, handed to the groups.

    >>> def relic(params, at):
    ...     print("solved")
    ...     return {"omega_h2": 0.12, "x_f": at}
    >>> slow = Group((DerivedQuantity("omega_h2"), DerivedQuantity("x_f")), relic)
    >>> fast = Group((DerivedQuantity("g2"),), lambda params, at: {"g2": params["g"] ** 2})
    >>> found = Grouped((fast, slow), {"g": 3.0}, at=20.0)
    >>> list(found), found["g2"]
    (['g2', 'omega_h2', 'x_f'], 9.0)
    >>> found["omega_h2"], found["x_f"]
    solved
    (0.12, 20.0)
    """

    def __init__(
        self, groups: Iterable[Group], params: Mapping[str, ArrayLike], at: Any = None
    ) -> None:
        self._groups = {q.name: g for g in groups for q in g.quantities if q.name not in params}
        self._compute = cache(lambda compute: compute(params, at))

    def __getitem__(self, name: str) -> ArrayLike:
        found = self._compute(self._groups[name].compute)
        if name not in found:
            raise errors.ParameterError(
                f"the group of the derived quantity {name!r} returns {', '.join(found)} and not "
                "it; let its function return {name: value} of all that the group declares."
            )
        return found[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._groups)

    def __len__(self) -> int:
        return len(self._groups)
