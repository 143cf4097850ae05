"""Packages that show names from the modules inside them, and load each when it is first used.

What is not used is not imported: JAX takes a second, and all of `bknn.inference` another.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any


class Face(ModuleType):
    """A package whose `__all__` may have names that are still to be loaded."""

    _places: Mapping[str, str]

    def __getattr__(self, name: str) -> Any:
        package = self.__name__
        if name in self._places:
            found = getattr(import_module(f"{package}.{self._places[name]}"), name)
            vars(self)[name] = found
            return found
        if not name.startswith("_") and find_spec(f"{package}.{name}"):
            return import_module(f"{package}.{name}")
        raise AttributeError(f"module {package!r} has no attribute {name!r}", name=name, obj=self)

    def __setattr__(self, name: str, value: Any) -> None:
        # Importing `bknn.studies.compare` would put that module where the function `compare` is.
        if not (name in self._places and isinstance(value, ModuleType)):
            super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        return sorted(self.__all__)


def show(package: str, places: Mapping[str, str]) -> None:
    """Let a package show names that are loaded when they are first used.

    A type checker cannot follow: the package imports them once more, under `if TYPE_CHECKING`.

    Args:
        package: its `__name__`.
        places: {module within it: its names, with spaces between them}.

    >>> import bknn.inference
    >>> bknn.inference.Limit.__module__
    'bknn.inference.limits.limit'
    """
    module = sys.modules[package]
    vars(module)["_places"] = {name: at for at, names in places.items() for name in names.split()}
    module.__class__ = Face


def load(package: str) -> None:
    """Load everything that a package shows."""
    module = import_module(package)
    for name in dir(module):
        getattr(module, name)
