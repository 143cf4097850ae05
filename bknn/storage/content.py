"""A digest of what anything holds: numbers, arrays, tables, objects, and functions with all that
they use.

Two things have the same digest if nothing that a computation could see of them differs. Functions
and classes of a user count by their code and by the values that it refers to; those of libraries by
their name and version, but for what bknn computes with, whose versions are compared elsewhere.
"""

from __future__ import annotations

import copyreg
import dis
import functools
import hashlib
import importlib.util
import os
import sys
import sysconfig
import types
import uuid
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

#: Digits of a digest: 64 bits, for accidents and not for forgers.
_DIGITS = 16

#: Where Python is, and how folders of what was installed are called, wherever they are.
_STANDARD = tuple(sysconfig.get_path(name) for name in ("stdlib", "platstdlib"))
_INSTALLED = {"site-packages", "dist-packages"}

#: Of a class: what Python itself puts there, and what is for people.
_OF_PYTHON = {
    *("__dict__", "__weakref__", "__module__", "__doc__", "__annotations__", "__qualname__"),
    *("__dataclass_fields__", "__dataclass_params__", "__match_args__", "__slots__", "_abc_impl"),
    *("__annotate__", "__annotate_func__", "__annotations_cache__", "__abstractmethods__"),
    *(
        "__slotnames__",
        "__firstlineno__",
        "__static_attributes__",
        "__parameters__",
        "__orig_bases__",
    ),
}


def digest(x: Any) -> str:
    """Return what tells the content of anything from others, 16 hexadecimal digits.

    Numbers of the same value are the same, whether written as 2 or 2.0; arrays have a type and a
    shape, too. The order of a table does not matter. What cannot be looked into (a lock, an open
    file) is like nothing else, not even like itself in another process.

    >>> digest({"a": 1, "b": [2.0]}) == digest({"b": [2], "a": 1.0})
    True
    >>> digest(lambda x: 2 * x) == digest(lambda x: 3 * x)
    False
    """
    return _Walk()(x).hex()[:_DIGITS]


class _Walk:
    """One way through what an object holds, and everything that this holds."""

    def __init__(self) -> None:
        #: What was seen, with its digest; it is kept alive, so that its number stays its own.
        self._seen: dict[int, tuple[Any, bytes]] = {}
        self._open: dict[int, str] = {}

    def __call__(self, x: Any) -> bytes:
        if x is None or isinstance(x, bool | int | float | complex | str | bytes):
            return _sum(_scalar(x))
        if isinstance(x, np.generic) and not isinstance(x.item(), np.generic):
            return self(x.item())
        if id(x) in self._open:  # a circle
            return _sum(f"again {self._open[id(x)]}")
        if id(x) not in self._seen:
            self._open[id(x)] = _name(x)
            try:
                self._seen[id(x)] = x, self._new(x)
            finally:
                del self._open[id(x)]
        return self._seen[id(x)][1]

    def _new(self, x: Any) -> bytes:
        if isinstance(x, type):
            return self._class(x)
        if isinstance(x, types.ModuleType):
            return _module(x)
        if isinstance(x, types.FunctionType):
            return self._function(x)
        if isinstance(x, types.MethodType):
            return self._all("method", x.__func__, x.__self__)
        if isinstance(x, types.CodeType):
            return self._code(x)
        if isinstance(x, np.ndarray) or (hasattr(x, "__array__") and hasattr(x, "dtype")):
            return self._array(np.asarray(x))
        if isinstance(x, Mapping):
            items = sorted(self(k) + self(v) for k, v in x.items())
            return _sum(b"table" + b"".join(items))
        if type(x) in (list, tuple):
            return self._all("list", *x)
        if isinstance(x, set | frozenset):
            return _sum(b"set" + b"".join(sorted(map(self, x))))
        if isinstance(x, property):
            return self._all("property", x.fget, x.fset)
        if isinstance(x, functools.cached_property):
            return self._all("property", x.func)  # it has a lock
        if isinstance(x, staticmethod | classmethod):
            return self._all(type(x).__name__, x.__func__)
        if isinstance(x, functools.partial):
            return self._all("partial", x.func, x.args, x.keywords)
        return self._object(x)

    def _all(self, kind: str, *parts: Any) -> bytes:
        return _sum(kind.encode() + b"".join(map(self, parts)))

    def _array(self, x: np.ndarray) -> bytes:
        if x.dtype.hasobject:
            return self._all(f"objects {x.shape}", *x.ravel())
        return _sum(f"array {x.dtype.str} {x.shape}".encode() + np.ascontiguousarray(x).tobytes())

    def _function(self, x: types.FunctionType) -> bytes:
        cells = [_cell(cell) for cell in x.__closure__ or ()]
        given = (x.__defaults__, x.__kwdefaults__, cells)
        if _library_file(x.__code__.co_filename):
            # One that a library made of what it was given is not told by its name alone.
            return self._all("function", _name(x), *(given if "<locals>" in _name(x) else ()))
        used = _used(x.__globals__, *_names(x.__code__))
        return self._all("function", x.__code__, *given, used)

    def _code(self, x: types.CodeType) -> bytes:
        """Of the instructions and their constants; not where they stand."""
        names = (x.co_names, x.co_varnames, x.co_freevars, x.co_cellvars)
        numbers = (x.co_argcount, x.co_posonlyargcount, x.co_kwonlyargcount, x.co_flags)
        return self._all(
            "code", x.co_code, getattr(x, "co_exceptiontable", b""), names, numbers, x.co_consts
        )

    def _class(self, x: type) -> bytes:
        if _library_class(x):
            return _sum(_name(x))
        own = {k: v for k, v in vars(x).items() if k not in _OF_PYTHON and not _is_slot(v)}
        return self._all("class", x.__qualname__, x.__bases__, own)

    def _object(self, x: Any) -> bytes:
        inner = getattr(x, "__wrapped__", None)
        if callable(inner):  # by `jax.jit`, say
            if isinstance(inner, types.FunctionType) and _library_file(inner.__code__.co_filename):
                return self._all("wrapped", _name(type(x)), inner)
            held = {k: v for k, v in vars(x).items() if k not in functools.WRAPPER_ASSIGNMENTS}
            return self._all("wrapped", _name(type(x)), {**held, "__wrapped__": inner})
        name = getattr(x, "__qualname__", None)
        if callable(x) and name and _found(getattr(x, "__module__", None), name) is x:
            return _sum(_name(x))  # of a library
        state = state_of(x)
        if state is None:
            return _sum(f"unknown {_name(type(x))} {uuid.uuid4()}")
        return self._all("object", type(x), state)


def state_of(x: Any) -> Any:
    """Return what an object holds besides its class, None if it cannot be looked into.

    What a property found and keeps (`cached_property`) is left out.
    """
    kind = type(x)
    if _library_class(kind) and hasattr(kind, "gather_pytree_data_fields"):
        # A distribution of numpyro: what else it has is found and kept.
        fields = {*kind.gather_pytree_data_fields(), *kind.gather_pytree_aux_fields()}
        return {name: getattr(x, name, None) for name in fields}
    if _library_class(kind) and callable(getattr(kind, "tree_flatten", None)):
        return x.tree_flatten()
    if getattr(kind, "__getstate__", None) is not getattr(object, "__getstate__", None):
        told: Any = x.__getstate__()
        if not isinstance(told, Mapping):
            return told
        return {k: v for k, v in told.items() if not _is_kept(kind, str(k))}
    methods: tuple[Any, ...] = (kind.__reduce_ex__, kind.__reduce__)
    if methods != (object.__reduce_ex__, object.__reduce__) or kind in copyreg.dispatch_table:
        return _reduced(x)
    slots = [
        name
        for base in kind.__mro__
        for name in _listed(vars(base).get("__slots__", ()))
        if name not in ("__dict__", "__weakref__")
    ]
    held = {k: v for k, v in getattr(x, "__dict__", {}).items() if not _is_kept(kind, k)}
    found = {name: getattr(x, name) for name in slots if hasattr(x, name)} | held
    if isinstance(x, list | tuple):  # with names, say
        return [found, *x]
    # A plain object() has nothing; one that is written in C may have what nobody sees.
    declared = any("__slots__" in vars(base) for base in kind.__mro__)
    return found if hasattr(x, "__dict__") or declared or kind is object else None


def _reduced(x: Any) -> Any:
    """Return how an object says that it can be made again."""
    try:
        found = copyreg.dispatch_table.get(type(x), lambda y: y.__reduce_ex__(4))(x)
        if isinstance(found, str):
            return found
        return [*found[:3], *(list(more) for more in found[3:5] if more is not None)]
    except Exception:  # it cannot
        return None


def _is_kept(kind: type, name: str) -> bool:
    """Return whether an attribute is what a property found and keeps (`cached_property`)."""
    found = getattr(kind, name, None)
    plain = isinstance(found, types.FunctionType)
    return hasattr(type(found), "__get__") and not hasattr(type(found), "__set__") and not plain


def _is_slot(x: Any) -> bool:
    return isinstance(x, types.MemberDescriptorType | types.GetSetDescriptorType)


def _listed(names: Any) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else tuple(names)


def _used(space: Mapping[str, Any], here: set[str], names: set[str]) -> dict[str, Any]:
    """Return what of a module is referred to, and of the user's modules in it.

    Args:
        space: what the module holds.
        here: names that are looked for in it.
        names: those that may follow a dot.
    """
    found: dict[str, Any] = {}
    for name in sorted(here):
        x = space.get(name, sys.modules.get(name))
        if isinstance(x, types.ModuleType) and not _in_library(x.__name__):
            found[name] = _used(vars(x), names & set(vars(x)) - {name}, names)
        elif name in space:
            found[name] = x
    return found


def _names(code: types.CodeType) -> tuple[set[str], set[str]]:
    """Return the names that a function and those inside of it look for in their module, or import,
    and all names, those that follow a dot included."""
    here = {str(x.argval) for x in dis.get_instructions(code) if x.opname in _LOOKS}
    names = set(code.co_names)
    for inner in code.co_consts:
        if isinstance(inner, types.CodeType):
            here, names = (a | b for a, b in zip((here, names), _names(inner), strict=True))
    return here, names


_LOOKS = {"LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS", "IMPORT_NAME"}


def _cell(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # it is empty
        return "empty"


@functools.cache
def _library_file(file: str) -> bool:
    """Return whether a file is of bknn, of Python, or installed; <stdin> and the like are not."""
    parts = Path(file).parts
    return (
        file.startswith((*_STANDARD, *_own_folders()))
        or not _INSTALLED.isdisjoint(parts)
        or file.startswith("<frozen ")
    )


@functools.cache
def _own_folders() -> tuple[str, ...]:
    folders = []
    for name in ("bknn", "bknn.models", "bknn.inference"):
        found = importlib.util.find_spec(name)
        folders += list((found and found.submodule_search_locations) or ())
    return tuple(f"{Path(folder)}{os.sep}" for folder in folders)


def _in_library(module: str) -> bool:
    """Return whether a module is of bknn, of Python, or installed."""
    if module == "__main__" or module not in sys.modules:
        return False
    file = getattr(sys.modules[module], "__file__", None)
    return file is None or _library_file(file)


def _library_class(x: type) -> bool:
    """Return whether a class is of a library, whatever module it says that it is of: what a user
    writes in a shell, or has executed, may say anything."""
    if _found(x.__module__, x.__qualname__) is x:
        return True
    if x.__module__ == "builtins":
        return not x.__flags__ & (1 << 9)  # Py_TPFLAGS_HEAPTYPE: it is made in C
    code = [f.__code__ for f in vars(x).values() if isinstance(f, types.FunctionType)]
    return _in_library(x.__module__) and all(_library_file(c.co_filename) for c in code)


def _found(module: Any, name: str) -> Any:
    """Return what a library has under a name, None if it is no library or has nothing."""
    if not isinstance(module, str) or not _in_library(module):
        return None
    found: Any = sys.modules[module]
    for part in name.split("."):
        found = getattr(found, part, None)
    return found


def _module(x: types.ModuleType) -> bytes:
    if _in_library(x.__name__):
        return _sum(x.__name__)
    try:
        return _sum(x.__name__.encode() + Path(str(x.__file__)).read_bytes())
    except OSError:
        return _sum(f"{x.__name__} {uuid.uuid4()}")


def _name(x: Any) -> str:
    kind = x if isinstance(getattr(x, "__qualname__", None), str) else type(x)
    module = str(getattr(kind, "__module__", ""))
    return f"{module}.{kind.__qualname__}{_version(module.partition('.')[0])}"


@functools.cache
def _version(package: str) -> str:
    """Return the version of an installed package that nobody compares elsewhere."""
    found = sys.modules.get(package)
    file = getattr(found, "__file__", None) or ""
    if package in _COMPARED or _INSTALLED.isdisjoint(Path(file).parts):
        return ""
    try:
        return f" {metadata.version(package)}"
    except metadata.PackageNotFoundError:  # it is not installed under this name
        return f" {getattr(found, '__version__', '')}"


#: What bknn itself computes with: another version is told, and goes on.
_COMPARED = {"bknn", "jax", "jaxlib", "numpy", "scipy", "optax", "numpyro", "equinox"}


def _scalar(x: Any) -> bytes:
    if isinstance(x, bool) or x is None:
        return repr(x).encode()
    if isinstance(x, float) and x.is_integer() and (x or str(x) == "0.0"):
        x = int(x)
    if isinstance(x, int | float | complex):
        return f"number {x!r}".encode()
    return b"text " + x.encode("utf-8", "surrogatepass") if isinstance(x, str) else b"bytes " + x


def _sum(content: str | bytes) -> bytes:
    return hashlib.sha256(content.encode() if isinstance(content, str) else content).digest()
