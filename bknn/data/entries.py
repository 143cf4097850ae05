"""Tables of a TOML file, and checks of what stands in them."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np

from bknn import errors
from bknn.channels import CHANNELS, spelled
from bknn.errors import DataError

#: A branching fraction beyond these deserves a question; what is sought here is of order 1e-5, and
#: the weakest limit, on Bs -> phi, is 5.4e-3.
LARGEST, SMALLEST = 1e-2, 1e-9


class Table:
    """A table of the file; `where` begins every sentence about it."""

    def __init__(self, content: Any, where: str, known: Collection[str]) -> None:
        if not isinstance(content, dict):
            raise DataError(f"{where} must be a table, with some of {', '.join(known)}.")
        for key in content:
            if key not in known:
                raise errors.unknown("entry", key, known, where)
        self.content, self.where = content, where

    def __contains__(self, key: str) -> bool:
        return key in self.content

    def fail(self, message: str) -> DataError:
        return DataError(f"{self.where}: {message}")

    def require(self, key: str, what: str) -> Any:
        if key not in self.content:
            raise self.fail(f"the entry {key!r} is missing; give {what}.")
        return self.content[key]

    def only_with(self, key: str, *others: str) -> None:
        """Refuse entries that mean nothing without another one."""
        for other in others:
            if other in self.content and key not in self.content:
                raise self.fail(f"{other!r} belongs to {key!r}, which is not there.")

    # Tables within tables ------------------------------------------------------------------

    def table(self, key: str, known: Sequence[str]) -> Table | None:
        if key not in self.content:
            return None
        return Table(self.content[key], f"{self.where}, {key}", known)

    def tables(self, key: str, known: Sequence[str], label: str) -> list[Table]:
        value = self.content.get(key, [])
        if not isinstance(value, list):
            raise self.fail(f"{key!r} must be a list of tables; write [[{key}]] above each.")
        found = []
        for number, item in enumerate(value, start=1):
            name = item.get(label) if isinstance(item, dict) else None
            shown = repr(name) if isinstance(name, str) else f"number {number}"
            found.append(Table(item, f"{self.where}, [[{key}]] {shown}", known))
        return found

    # Texts and numbers ---------------------------------------------------------------------

    def text(self, key: str, what: str, default: str | None = None) -> str:
        if default is not None and key not in self.content:
            return default
        value = self.require(key, what)
        if not isinstance(value, str) or not value:
            raise self.fail(f"{key!r} must be a text, {what}, not {value!r}.")
        return value

    def flag(self, key: str) -> bool:
        value = self.content.get(key, False)
        if not isinstance(value, bool):
            raise self.fail(f"{key!r} must be true or false, not {value!r}.")
        return value

    def number(
        self,
        key: str,
        what: str,
        default: float | None = None,
        *,
        least: float = -math.inf,
        positive: bool = False,
    ) -> float:
        if default is not None and key not in self.content:
            return default
        return self._checked(self.require(key, what), key, what, least, positive)

    def numbers(self, key: str, what: str, *, infinite: bool = False) -> list[float]:
        value = self._list(key, what)
        return [
            math.inf
            if infinite and v == math.inf
            else self._checked(v, key, what, -math.inf, False)
            for v in value
        ]

    def matrix(self, key: str, what: str, size: int, each: str) -> np.ndarray:
        """Return a symmetric matrix with one row for `each`."""
        rows = self.require(key, what)
        if (
            not isinstance(rows, list)
            or len(rows) != size
            or not all(isinstance(r, list) and len(r) == size for r in rows)
        ):
            raise self.fail(
                f"{key!r} must be a list of {size} lists of {size} numbers, one {each}: {what}."
            )
        found = np.array(
            [[self._checked(v, key, what, -math.inf, False) for v in row] for row in rows]
        )
        if not np.allclose(found, found.T, rtol=1e-9, atol=0.0):
            raise self.fail(f"{key!r} is not symmetric; correct it.")
        return found

    def correlation(self, key: str, what: str, size: int, each: str) -> np.ndarray:
        """Return a correlation matrix with one row for `each`."""
        found = self.matrix(key, what, size, each)
        if not np.allclose(np.diag(found), 1.0):
            raise self.fail(f"the diagonal of {key!r} must be 1.")
        return self.positive(found)

    def positive(self, correlation: np.ndarray) -> np.ndarray:
        """Return a correlation matrix, refused if it is none."""
        np.fill_diagonal(correlation, 1.0)
        if np.abs(correlation).max() > 1.0 or np.linalg.eigvalsh(correlation)[0] <= 0.0:
            raise self.fail(
                "the covariance is none: the correlation has an eigenvalue that is not positive. "
                "Rounded published numbers do that; check them, or merge bins."
            )
        return correlation

    def pair(self, key: str, what: str) -> tuple[float, float]:
        """Return (plus, minus): an uncertainty is one number, or two."""
        return self._pair(self.require(key, what), key, what)

    def pairs(self, key: str, what: str) -> list[tuple[float, float]]:
        """Return several uncertainties, each of them one number or two."""
        return [self._pair(value, key, what) for value in self._list(key, what)]

    def _list(self, key: str, what: str) -> list[Any]:
        value = self.require(key, what)
        if not isinstance(value, list) or not value:
            raise self.fail(f"{key!r} must be a list of numbers, {what}, not {value!r}.")
        return value

    def _pair(self, value: Any, key: str, what: str) -> tuple[float, float]:
        if isinstance(value, list):
            if len(value) != 2:
                raise self.fail(f"{key!r} must be a number or [plus, minus], not {value!r}.")
            plus, minus = (self._checked(v, key, what, 0.0, False) for v in value)
            return plus, minus
        both = self._checked(value, key, what, 0.0, False)
        return both, both

    def _checked(self, value: Any, key: str, what: str, least: float, positive: bool) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.fail(f"{key!r} must be a number, {what}, not {value!r}.")
        if not math.isfinite(value):
            raise self.fail(f"{key!r} is {value}; give a finite number, {what}.")
        if value < least or (positive and value <= 0):
            bound = "above 0" if positive else f"at least {least:g}"
            raise self.fail(f"{key!r} is {value:g}, but {what} must be {bound}.")
        return float(value)

    def names(self, key: str, what: str) -> list[str]:
        """Return a list of names; one alone need not be a list."""
        value = self.require(key, what)
        value = [value] if isinstance(value, str) else value
        good = isinstance(value, list) and value
        if not good or not all(isinstance(x, str) and x.isidentifier() for x in value):
            raise self.fail(f"{key!r} must be a list of names, {what}, not {value!r}.")
        return list(value)

    def lists(self, key: str, what: str) -> dict[str, list[float]]:
        """Return a table {name = [numbers]}."""
        value = self.require(key, what)
        if not isinstance(value, dict) or not value:
            raise self.fail(f"{key!r} must be a table {what}, not {value!r}.")
        inner = Table(value, f"{self.where}, {key}", tuple(value))
        return {name: inner.numbers(name, "increasing values") for name in value}

    def texts(self, key: str, what: str) -> dict[str, str]:
        """Return a table {name = text}, empty if there is none."""
        value = self.content.get(key, {})
        if not isinstance(value, dict) or not all(isinstance(x, str) for x in value.values()):
            raise self.fail(f"{key!r} must be a table {what}, not {value!r}.")
        return dict(value)

    # What is measured ----------------------------------------------------------------------

    def quantity(self, others: Sequence[str]) -> str:
        """Return the name of a quantity of a model; `others` are entries without sense then."""
        found = self.text("quantity", "a derived quantity or a parameter of a model")
        if not found.isidentifier():
            raise self.fail(
                f"'quantity' is {found!r}, which can be the name of nothing in a model: use "
                "letters, digits and underscores, as in 'br_zprime_mumu'."
            )
        for key in others:
            if key in self.content:
                raise self.fail(
                    f"has both 'quantity', a number that a model makes, and {key!r}, which is "
                    "about a decay; leave one of them out."
                )
        return found

    def product(self, others: Sequence[str]) -> str | tuple[str, ...]:
        """Return a quantity of a model, or several whose product is meant."""
        value = self.content.get("quantity")
        if not isinstance(value, list):
            return self.quantity(others)
        names = self.names("quantity", "quantities of a model whose product is limited")
        for name in names:
            Table({**self.content, "quantity": name}, self.where, self.content).quantity(others)
        return names[0] if len(names) == 1 else tuple(names)

    def channels(self, observable: str = "branching_ratio") -> dict[str, float]:
        """Return the decay channels with their weights, by the names that models know.

        Of branching fractions, that of a KS or a KL is half of that of the K0.
        """
        what = "a decay channel, as 'B+ -> K+', or a table {channel = weight} of an average"
        value = self.require("channels", what)
        if isinstance(value, str) and value:
            value = {value: 1.0}
        if not isinstance(value, dict) or not value:
            raise self.fail(f"'channels' must be {what}, not {value!r}.")
        found: dict[str, float] = {}
        for text, weight in value.items():
            name, part = spelled(text, self.where)
            if name in found:
                raise self.fail(f"'channels' has {name!r} twice; add up the weights.")
            number = self._checked(weight, f"channels.{text}", "its weight", -math.inf, False)
            found[name] = number * (part if observable == "branching_ratio" else 1.0)
        if not any(found.values()):
            raise self.fail("'channels' has no weight but 0; leave channels out instead.")
        return found

    def observable(self) -> str:
        """Return what is measured, refused if a channel does not have it."""
        known = dict.fromkeys(x for c in CHANNELS.values() for x in c.observables)
        found = self.text("observable", "what it is", "branching_ratio")
        if found == "dbr_dq2":
            raise self.fail(
                "'dbr_dq2' is a function of q2; give the branching fraction of a bin instead."
            )
        if found not in known:
            raise errors.unknown("observable", found, known, self.where)
        for name in self.channels(found):
            if found not in CHANNELS[name].observables:
                fitting = [c.name for c in CHANNELS.values() if found in c.observables]
                raise self.fail(
                    f"{found!r} is nothing that {name!r} has; it is one of {', '.join(fitting)}."
                )
        return found

    def check_bin(self, low: float, channels: Sequence[str]) -> None:
        """Refuse a bin of q2 (GeV^2) that begins where a decay has no phase space left."""
        for name in channels:
            if CHANNELS[name].daughter is None:
                raise self.fail(f"{name!r} has one q2, the squared mass of the Bs; leave q2 out.")
            if low >= endpoint(name):
                raise self.fail(
                    f"a bin of q2 from {low:g} GeV^2 on is beyond the endpoint of {name!r}, "
                    f"{endpoint(name):.2f} GeV^2; correct it (q2 is in GeV^2)."
                )

    def check_size(self, observable: str, numbers: dict[str, float]) -> None:
        """Refuse numbers that no such observable has, and ask about those that are unlikely."""
        means_it = self.flag("unusual")
        large = max(numbers, key=lambda key: abs(numbers[key]))
        x = numbers[large]
        if observable in ("f_l", "r_f_l"):
            if not -1.0 <= x <= (2.0 if observable == "f_l" else 10.0):
                raise self.fail(
                    f"{large!r} is {x:g}, and a longitudinal fraction lies between 0 and 1; is it "
                    "a percentage?"
                )
            return
        if observable != "branching_ratio":
            return
        told = f"{large!r} {'makes' if large == 'events' else 'is'} {x:.3g}"
        if abs(x) >= 1.0:
            raise self.fail(
                f"{told}, and a branching fraction is below 1; if a factor of 1e-5 was left out, "
                "write it out, as in 1.2e-5."
            )
        if not SMALLEST <= abs(x) <= LARGEST and not means_it:
            raise self.fail(
                f"{told}, and branching fractions of these decays are of the order of 1e-5; "
                "correct it (a percentage, a factor left out or written twice?), or say "
                "unusual = true if it is meant."
            )


def endpoint(channel: str) -> float:
    """Return the largest q2 of a decay channel, GeV^2.

    >>> round(endpoint("B+ -> K+"), 2)
    22.9
    """
    from bknn.inputs import STANDARD  # which needs JAX

    c = CHANNELS[channel]
    daughter = 0.0 if c.daughter is None else STANDARD.masses[c.daughter]
    return float(STANDARD.masses[c.parent] - daughter) ** 2  # type: ignore[arg-type,operator]
