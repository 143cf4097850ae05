"""Spectra for several uses, each continuum evaluated once.

Continua are the largest part of a compiled program. Evaluated at the q2 of all uses together, each
is there once; and those of one family, as of K+ and K0, are there once for all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from bknn.spectrum import Continuum, Shapes, Spectrum

_T = TypeVar("_T")


def at_once(asked: Sequence[tuple[Spectrum, Callable[[Spectrum], _T]]]) -> list[_T]:
    """Return what several uses make of their spectra.

    Each use is called twice: to hear at which q2 it needs the continua, which must not depend on
    their values, and with the values.

    Args:
        asked: spectra, of one model at one point, and a pure function of each; a spectrum that is
            used several times is the same object each time.

    >>> parabola = Spectrum(continuum=lambda q2: q2**2)
    >>> uses = [lambda s, x=x: s.continuum(np.array([x])) for x in (1.0, 2.0)]
    >>> [float(found[0]) for found in at_once([(parabola, use) for use in uses])]
    [1.0, 4.0]
    """
    questions = {id(spectrum): [_Questions(c) for c in spectrum.continua] for spectrum, _ in asked}
    every = [own for several in questions.values() for own in several]
    if len(asked) < 2 or not every:
        return [use(spectrum) for spectrum, use in asked]
    for spectrum, use in asked:
        use(_with(spectrum, [own.heard() for own in questions[id(spectrum)]]))
    families: dict[Any, list[_Questions]] = {}
    for own in every:
        family = own.continuum.family
        families.setdefault(own if family is None else family.name, []).append(own)
    for relatives in families.values():
        _answer_densities(relatives)
        _answer_shapes(relatives)
    return [
        use(_with(spectrum, [own.answered() for own in questions[id(spectrum)]]))
        for spectrum, use in asked
    ]


def _with(spectrum: Spectrum, continua: Sequence[Continuum]) -> Spectrum:
    """Return a spectrum with other continua."""
    rest = Spectrum(spectrum.standard_model, lines=spectrum.lines)
    return sum((Spectrum(continuum=c) for c in continua), rest)


class _Questions:
    """At which q2 a continuum is needed, as densities and as shapes, and what it is there."""

    def __init__(self, continuum: Continuum) -> None:
        self.continuum = continuum
        self.density: list[Any] = []
        self.shapes: list[Any] = []
        self.weights: Any = None
        self._densities: Iterator[Array] = iter(())
        self._functions: Iterator[Array] = iter(())

    def heard(self) -> Continuum:
        """Return a continuum that takes note of q2."""

        def density(q2: Any) -> Any:
            self.density.append(q2)
            return jnp.zeros(jnp.shape(q2))

        def shapes(q2: Any) -> Any:
            self.shapes.append(q2)
            return jnp.zeros((1, *jnp.shape(q2)))

        return self._replaced(density, lambda: Shapes(jnp.zeros(1), shapes))

    def answers(self, densities: Sequence[Array] = (), functions: Sequence[Array] = ()) -> None:
        """Take the values at the q2 that were heard, in that order."""
        if densities:
            self._densities = iter(densities)
        if functions:
            self._functions = iter(functions)

    def answered(self) -> Continuum:
        """Return a continuum that knows its values at these q2."""
        return self._replaced(
            lambda _: next(self._densities),
            lambda: Shapes(self.weights, lambda _: next(self._functions)),
        )

    def _replaced(self, density: Callable[[Any], Array], shapes: Callable[[], Shapes]) -> Continuum:
        own = self.continuum
        # Shapes without a threshold are constants, found once already.
        constant = own.shapes is None or own.threshold is None
        return Continuum(density, own.threshold, own.shapes if constant else shapes)


def _answer_densities(relatives: Sequence[_Questions]) -> None:
    """Evaluate the densities of a family."""
    first = relatives[0].continuum
    family = first.family
    function = (lambda _, q2: first.density(q2)) if family is None else family.density
    for own, found in _evaluated(function, relatives, [own.density for own in relatives]):
        own.answers(densities=found)


def _answer_shapes(relatives: Sequence[_Questions]) -> None:
    """Evaluate the shapes of a family."""
    asked = [own.shapes for own in relatives]
    if not any(asked):
        return
    first = relatives[0].continuum
    family = first.family
    if family is None or family.shapes is None:
        assert first.shapes is not None
        shapes = first.shapes()
        weights, function = shapes.weights, lambda _, q2: shapes.functions(q2)
    else:
        weights, function = family.shapes()
    for own, found in _evaluated(function, relatives, asked):
        own.weights = weights
        own.answers(functions=found)


def _evaluated(
    function: Callable[[Any, Any], Array],
    relatives: Sequence[_Questions],
    asked: Sequence[Sequence[Any]],
) -> Iterator[tuple[_Questions, list[Array]]]:
    """Yield what was asked and what a function of numbers and q2 is there; q2 that are constants of
    the program apart, as what depends on q2 alone is then computed once for a whole batch."""
    found: list[list[Any]] = [[None] * len(several) for several in asked]
    for traced in (False, True):
        numpy: Any = jnp if traced else np  # NumPy's remain constants within a trace
        which = [
            [i for i, x in enumerate(several) if isinstance(x, jax.core.Tracer) == traced]
            for several in asked
        ]
        members = [(k, i) for k, own in enumerate(which) for i in own]
        if not members:
            continue
        flat = [numpy.reshape(asked[k][i], -1) for k, i in members]
        lengths = [len(x) for x in flat]
        numbers = [_numbers(relatives[k]) for k, _ in members]
        values = function(_at_each(numbers, lengths), numpy.concatenate(flat))
        ends = np.cumsum(lengths)
        for (k, i), end, length in zip(members, ends, lengths, strict=True):
            shape = (*values.shape[:-1], *jnp.shape(asked[k][i]))
            found[k][i] = jnp.reshape(values[..., end - length : end], shape)
    yield from zip(relatives, found, strict=True)


def _numbers(own: _Questions) -> Any:
    return () if own.continuum.family is None else own.continuum.family.numbers


def _at_each(numbers: Sequence[Any], lengths: Sequence[int]) -> Any:
    """Return the numbers of several at each of their q2; as they are if they are all the same."""

    def one(*values: Any) -> Any:
        if all(x is values[0] or (is_number(x) and x == values[0]) for x in values):
            return values[0]
        numpy: Any = np if all(map(is_number, values)) else jnp
        return numpy.concatenate([numpy.full(n, x) for x, n in zip(values, lengths, strict=True)])

    def is_number(x: Any) -> bool:
        return not isinstance(x, jax.core.Tracer)

    return jax.tree.map(one, *numbers)
