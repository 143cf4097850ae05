"""The response: from a spectrum dBR/dq2 to expected signal counts in the fit bins.

A release in the form of joint number densities (expected counts per fit bin and true-q2 bin,
for one null spectrum) is turned into an efficiency density, which folds any other spectrum:

>>> import bknn
>>> bknn.enable_x64()
>>> from bknn.standard_model import dbr_dq2
>>> from bknn.response import Response
>>> from bknn.spectrum import Line, Spectrum
>>> edges = np.linspace(0.0, 22.885, 101)
>>> density = np.full((1, 100), 0.1)  # one fit bin, 0.1 counts from each true-q2 bin
>>> response = Response.from_density(density, edges, null=dbr_dq2)
>>> round(float(response.fold(Spectrum(standard_model=1.0))[0]), 6)
10.0
>>> response.fold(Spectrum(lines=(Line(mass=2.1, branching_ratio=9.2e-6),))).shape
(1,)

How it is done, what it costs, and the reweighting mode: `docs/response.md`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from bknn.errors import DataError, ParameterError, PrecisionError, unknown
from bknn.response import reweighting, smooth
from bknn.response.breit_wigner import breit_wigner
from bknn.spectrum import Continuum, Line, Shapes, Spectrum

__all__ = ["Response", "breit_wigner"]

_MODES = ("smooth", "reweighting")
#: How far a density may be from the template it belongs to: an event or two in a bin.
_TEMPLATE_TOLERANCE = 1e-3


class Response(eqx.Module):
    """Folds spectra with the joint number densities of some fit bins.

    Build it with `from_density`. Fit bins of several channels with the same true-q2 edges can be
    stacked into one response, which folds them all at once. It is a pytree of constants: `jit`,
    `vmap` and differentiate what you compute with it.

    Attributes:
        mode: "smooth" or "reweighting".
        template: counts of the null spectrum, unmatched included, shape (fit bins,).
        unmatched: counts without a true q2, shape (fit bins,).
        kernel: the efficiency per unit of branching ratio.
    """

    mode: str = eqx.field(static=True)
    template: Array
    unmatched: Array
    kernel: smooth.SmoothEfficiency | reweighting.BinAverages

    @classmethod
    def from_density(
        cls,
        density: ArrayLike,
        edges: ArrayLike,
        unmatched: ArrayLike | None = None,
        *,
        null: Callable[[Array], Array],
        mode: str = "smooth",
        template: ArrayLike | None = None,
    ) -> Response:
        """Build the response from expected counts per (fit bin, true-q2 bin).

        Args:
            density: counts, shape (fit bins, n).
            edges: true-q2 bin edges in GeV^2, shape (n + 1,), increasing, from 0 or above.
            unmatched: counts of candidates without a true q2, shape (fit bins,), default 0.
            null: dBR/dq2 (GeV^-2) of the spectrum that the counts were made with, a function of
                an array of q2.
            mode: "smooth", the efficiency density interpolated with exact bin integrals, or
                "reweighting", arXiv:2402.08417.
            template: counts of the null spectrum in the likelihood, shape (fit bins,). A release
                can differ from it by an event; then each row of the density (unmatched
                included) is scaled to its template, as redist does by multiplying a ratio on
                the sample. A difference above a per mille is an error.

        Raises:
            DataError: a density that cannot be one, with the bin named.
            UnknownNameError: another mode.
            PrecisionError: JAX runs in single precision.
        """
        if not jax.config.jax_enable_x64:  # type: ignore[attr-defined]
            raise PrecisionError(
                "the response needs double precision, because its bin integrals are to be exact; "
                "call bknn.enable_x64() before anything is computed."
            )
        if mode not in _MODES:
            raise unknown("response mode", mode, _MODES)
        counts, edges, unmatched = _checked(density, edges, unmatched)
        counts, unmatched = _scaled_to_template(counts, unmatched, template)

        def null_at(nodes: np.ndarray) -> np.ndarray:
            return _null_at(null, nodes, edges, counts)

        kernel: smooth.SmoothEfficiency | reweighting.BinAverages
        if mode == "smooth":
            kernel = smooth.SmoothEfficiency.build(counts, unmatched, edges, null_at)
        else:
            kernel = reweighting.BinAverages.build(counts, edges, null_at)
        return cls(
            mode=mode,
            template=jnp.asarray(counts.sum(axis=1) + unmatched),
            unmatched=jnp.asarray(unmatched),
            kernel=kernel,
        )

    def fold(self, spectrum: Spectrum) -> Array:
        """Return the expected counts of the whole spectrum, shape (fit bins,)."""
        return self.fold_standard_model(spectrum.standard_model) + self.fold_new(spectrum)

    def fold_standard_model(self, scale: ArrayLike) -> Array:
        """Return the expected counts of `scale` times the null spectrum, shape (fit bins,).

        In the smooth mode that is the template, scaled. In the reweighting mode the unmatched
        counts keep their weight of 1 whatever the scale, as in arXiv:2402.08417 with a cutoff.
        """
        scale = _scalar("the standard_model part of the Spectrum", scale)
        if self.mode == "smooth":
            return scale * self.template
        return scale * (self.template - self.unmatched) + self.unmatched

    def fold_new(self, spectrum: Spectrum, *, held: bool = False) -> Array:
        """Return the expected counts of the lines and the continuum, shape (fit bins,).

        The standard_model part of the spectrum does not enter. In the smooth mode unmatched
        counts follow the branching ratio that lies on the true-q2 grid; in the reweighting mode
        they belong to `fold_standard_model`.

        Args:
            spectrum: what is folded.
            held: fold the shapes of a continuum with a threshold, not their sum: more work, but
                work that does not depend on their weights.
        """
        counts = jnp.zeros_like(self.template)
        if spectrum.continuum is not None:
            counts = counts + self._fold_continua(spectrum.continua, held)
        for line in spectrum.lines:
            counts = counts + self._fold_line(line)
        return counts

    def efficiency(self, q2: ArrayLike) -> Array:
        """Return expected counts per unit of branching ratio produced at q2.

        Args:
            q2: GeV^2, any shape.

        Returns:
            Shape q2.shape + (fit bins,), 0 off the true-q2 grid. In the smooth mode it includes
            the unmatched counts, spread evenly over the null branching ratio; in the reweighting
            mode it is the average of the bin, without them.
        """
        return self.kernel(jnp.asarray(q2, dtype=float))

    def _fold_continua(self, continua: tuple[Continuum, ...], held: bool) -> Array:
        """Fold them together: all densities are added before the efficiency is."""
        kernel, at_nodes, apart = self.kernel, [], []
        for part in continua:
            found = None if isinstance(self.template, jax.core.Tracer) else part.as_shapes(held)
            if found is not None:
                apart.append(found.weights @ self._fold_shapes(found, part.threshold))
                continue
            density = _values(part.density, kernel.nodes)
            if part.threshold is not None and isinstance(kernel, smooth.SmoothEfficiency):
                start = kernel.starts.start(_threshold(part.threshold))
                # A second call: the first one is at fixed q2, so that what depends on q2 alone
                # (phase space of the meson, form factors) is computed once for a whole batch.
                at_start = _values(part.density, start.nodes.reshape(-1))
                at_start = at_start.reshape(start.nodes.shape)
                density, counts = kernel.from_threshold(start, density, at_start)
                apart.append(counts)
            at_nodes.append(density)
        if at_nodes:
            apart.append(kernel.continuum(sum(at_nodes[1:], at_nodes[0])))
        return sum(apart[1:], apart[0])

    def _fold_shapes(self, shapes: Shapes, threshold: ArrayLike | None) -> Any:
        """Return the counts of each shape (n, fit bins), without a threshold constants of the
        compiled program."""
        kernel = self.kernel
        densities = shapes.functions(np.asarray(kernel.nodes))
        if threshold is None or not isinstance(kernel, smooth.SmoothEfficiency):
            return kernel.continuum(densities)
        start = kernel.starts.start(_threshold(threshold))
        at_start = shapes.functions(start.nodes.reshape(-1)).reshape(-1, *start.nodes.shape)
        split = jax.vmap(kernel.from_threshold, in_axes=(None, 0, 0))
        rest, counts = split(start, densities, at_start)
        return counts + kernel.continuum(rest)

    def _fold_line(self, line: Line) -> Array:
        mass = _scalar("the mass of a Line", line.mass)
        branching_ratio = _scalar("the branching_ratio of a Line", line.branching_ratio)
        if line.known_narrow:
            return branching_ratio * self.kernel.narrow(mass)
        width = _scalar("the width of a Line", line.width)
        return branching_ratio * self.kernel.breit_wigner(mass, width)


def _values(density: Callable[[Array], Array], q2: Array) -> Array:
    values = jnp.asarray(density(q2))
    if values.shape != q2.shape:
        raise ParameterError(
            f"the continuum of a Spectrum got q2 with shape {q2.shape} and returned "
            f"shape {values.shape}; it must return dBR/dq2 for each q2, "
            "and one spectrum at a time (jax.vmap does many)."
        )
    return values


def _threshold(value: ArrayLike) -> Array:
    return _scalar("the threshold of a Continuum", value)


def _scalar(what: str, value: ArrayLike) -> Array:
    array = jnp.asarray(value, dtype=float)
    if array.shape != ():
        raise ParameterError(
            f"{what} has shape {array.shape}, but a response folds one spectrum at a time; "
            "use jax.vmap over the batch."
        )
    return array


def _checked(
    density: ArrayLike, edges: ArrayLike, unmatched: ArrayLike | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    counts, edges = _array("the density", density), _array("the true-q2 edges", edges)
    if edges.ndim != 1 or edges.size < 2:
        raise DataError(
            f"the true-q2 edges have shape {edges.shape}; give a list of at least two, in GeV^2."
        )
    _no_bad("the true-q2 edges", edges, negative_is_bad=False)
    steps = np.diff(edges)
    if np.any(steps <= 0.0):
        first = int(np.argmax(steps <= 0.0))
        raise DataError(
            f"the true-q2 edges do not increase: edge {first} is {edges[first]:g} and edge "
            f"{first + 1} is {edges[first + 1]:g} GeV^2 ({int(np.sum(steps <= 0.0))} such steps). "
            "Sort the edges together with the columns of the density."
        )
    if edges[0] < 0.0:
        raise DataError(
            f"the true-q2 edges begin at {edges[0]:g} GeV^2, but the squared mass of the "
            "invisible system cannot be negative. If the first column is a sentinel for "
            "candidates without a true q2, pass it as `unmatched` and drop its edge."
        )
    if counts.ndim != 2 or counts.shape[1] != edges.size - 1 or counts.shape[0] == 0:
        raise DataError(
            f"the density has shape {counts.shape}, but {edges.size} true-q2 edges ask for "
            f"(fit bins, {edges.size - 1}): one row per fit bin, one column per true-q2 bin."
        )
    rows = counts.shape[0]
    unmatched = np.zeros(rows) if unmatched is None else _array("the unmatched counts", unmatched)
    if unmatched.shape != (rows,):
        raise DataError(
            f"the unmatched counts have shape {unmatched.shape}, but the density has {rows} rows; "
            "give one number per fit bin."
        )
    _no_bad("the density", counts, places=("fit bin", "true-q2 bin"))
    _no_bad("the unmatched counts", unmatched, places=("fit bin",))
    return counts, edges, unmatched


def _array(what: str, values: ArrayLike) -> np.ndarray:
    try:
        return np.array(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(
            f"{what} cannot be read as a table of numbers ({error}); "
            "every row needs the same length and every entry a number."
        ) from None


def _no_bad(
    what: str,
    values: np.ndarray,
    *,
    places: tuple[str, ...] = ("entry",),
    negative_is_bad: bool = True,
) -> None:
    for bad, kind in (
        (~np.isfinite(values), "not finite"),
        ((values < 0.0) if negative_is_bad else np.zeros(values.shape, dtype=bool), "negative"),
    ):
        if np.any(bad):
            first = np.argwhere(bad)[0]
            where = ", ".join(f"{p} {int(i)}" for p, i in zip(places, first, strict=True))
            raise DataError(
                f"{int(np.sum(bad))} of {values.size} entries of {what} are {kind}, the first at "
                f"{where} (counted from 0): {values[tuple(first)]}. Expected counts are finite and "
                "not negative, so the table is damaged or misread."
            )


def _scaled_to_template(
    counts: np.ndarray, unmatched: np.ndarray, template: ArrayLike | None
) -> tuple[np.ndarray, np.ndarray]:
    if template is None:
        return counts, unmatched
    target = _array("the template", template)
    total = counts.sum(axis=1) + unmatched
    if target.shape != total.shape:
        raise DataError(
            f"the template has shape {target.shape}, but the density has {total.size} rows; "
            "give one number per fit bin."
        )
    _no_bad("the template", target, places=("fit bin",))
    off = np.abs(total - target) > _TEMPLATE_TOLERANCE * target
    if np.any(off):
        row = int(np.argmax(off))
        raise DataError(
            f"{int(off.sum())} of {total.size} rows of the density do not add up to the template, "
            f"the first at fit bin {row} (counted from 0): {total[row]:g} instead of "
            f"{target[row]:g}. Density and likelihood belong to different releases, or the rows "
            "are in another order."
        )
    scale = np.where(total > 0.0, target / np.where(total > 0.0, total, 1.0), 1.0)
    return counts * scale[:, None], unmatched * scale


def _null_at(
    null: Callable[[Array], Array], nodes: np.ndarray, edges: np.ndarray, counts: np.ndarray
) -> np.ndarray:
    """Return the null spectrum at the nodes, after a look at it."""
    values = np.asarray(null(jnp.asarray(nodes)), dtype=np.float64)
    if values.shape != nodes.shape:
        raise DataError(
            f"the null spectrum got q2 with shape {nodes.shape} and returned shape "
            f"{values.shape}; it must return dBR/dq2 for each q2."
        )
    bad = ~(np.isfinite(values) & (values >= 0.0))
    if np.any(bad):
        j, k = np.argwhere(bad)[0]
        raise DataError(
            f"the null spectrum is {values[j, k]} at q2 = {nodes[j, k]:.6g} GeV^2 (one of "
            f"{int(bad.sum())} such points); a branching ratio is finite and not negative."
        )
    vanishing = (values.sum(axis=1) == 0.0) & np.any(counts > 0.0, axis=0)
    if np.any(vanishing):
        j = int(np.argmax(vanishing))
        i = int(np.argmax(counts[:, j] > 0.0))
        raise DataError(
            f"the null spectrum vanishes in {int(vanishing.sum())} true-q2 bins that have counts, "
            f"the first at true-q2 bin {j} [{edges[j]:g}, {edges[j + 1]:g}] GeV^2 (fit bin {i}: "
            f"{counts[i, j]:g}; counted from 0). An efficiency is not defined there: is it the "
            "spectrum that the density was made with, and are the edges in GeV^2?"
        )
    return values
