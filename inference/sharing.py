"""Programs of fits side by side: shared among devices, and compiled well or fast."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from bknn.programs import prepare, quickly

#: Fewer fits a device are not worth the sharing.
_WORTH = 8


#: This many calls for one fit are worth a program that is compiled well.
_OFTEN = 2000


class Shared:
    """A compiled function of trees of arrays, most of them with the fits as leading axis.

    For one fit it is compiled fast rather than well, as most programs for one run a few times only.

    Args:
        function: of arrays.
        compiled: compiles it: `jax.jit`, or what has its arguments.
    """

    def __init__(
        self, function: Callable[..., Any], compiled: Callable[..., Callable[..., Any]] = jax.jit
    ) -> None:
        self._well = compiled(function)
        self._fast = compiled(function, compiler_options=quickly())
        self._calls = itertools.count()

    def __call__(self, *arguments: Any) -> Any:
        return self._for(arguments)(*arguments)

    def ahead(self, *arguments: Any) -> None:
        """Compile for arguments of such shapes."""
        prepare(self._for(arguments), arguments)

    def _for(self, arguments: tuple[Any, ...]) -> Callable[..., Any]:
        # The first vectors have the fits as leading axis.
        n = next(x.shape[0] for x in jax.tree.leaves(arguments) if len(np.shape(x)) == 2)
        return self._fast if n == 1 and next(self._calls) < _OFTEN else self._well


class OneByOne:
    """A compiled function of rows, called for one row after the other, and once for rows that are
    the same: for what takes so long that rows side by side gain nothing.

    Args:
        function: of what is known of the rows and of vectors (n, size), a tree of arrays (n, ...).
        known: of as many rows as there will be; the vectors alone tell rows apart.
    """

    def __init__(self, function: Callable[[Any, Any], Any], known: Any) -> None:
        self._function, self._known = function, known
        self._found: dict[bytes, Any] = {}

    def __call__(self, vectors: Any) -> Any:
        vectors = np.asarray(vectors)
        keys = [row.tobytes() for row in vectors]
        found: dict[bytes, Any] = {}
        for i, key in enumerate(keys):
            if key not in found:
                found[key] = self._found[key] if key in self._found else self._row(i, vectors)
        self._found = found
        return jax.tree.map(lambda *x: np.concatenate(x), *(found[key] for key in keys))

    def _row(self, i: int, vectors: np.ndarray) -> Any:
        known = jax.tree.map(lambda x: x[i : i + 1], self._known)
        return jax.device_get(self._function(known, vectors[i : i + 1]))


def placed(tree: Any, fits: int) -> Any:
    """Put arrays on the devices there are: what has so many fits as leading axis in equal shares,
    the rest whole; all on one device where a share would be small."""
    devices = np.array(jax.devices())
    if len(devices) == 1 or fits % len(devices) or fits < _WORTH * len(devices):
        return jax.device_put(tree)
    mesh = Mesh(devices, ("fits",))
    whole, shares = NamedSharding(mesh, P()), NamedSharding(mesh, P("fits"))
    at = jax.tree.map(lambda x: shares if np.shape(x)[:1] == (fits,) else whole, tree)
    return jax.device_put(tree, at)
