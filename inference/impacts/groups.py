"""Groups of nuisances: which belong together, and what they contribute."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

import numpy as np

from bknn import errors
from bknn.analysis.analysis import Analysis, Data

SIMULATED, NORMALISATIONS, SHAPES, THEORY = _DEFAULT = (
    "simulated samples", "normalisations", "shapes", "theory",
)  # fmt: skip

#: The counts, among the groups.
STATISTICAL = "statistical"


#: Nuisances that no pattern of the user's takes.
OTHER = "other"


def grouped(
    analysis: Analysis,
    vector: np.ndarray,
    rates: np.ndarray,
    derivative: Data,
    members: Mapping[str, np.ndarray],
) -> dict[str, float]:
    """Return {group: uncertainty} from the data of its members, which fluctuate as expected."""
    variances = np.zeros(analysis.size + analysis.n_bins)
    index, _, sigma = analysis.normal
    variances[index] = (derivative.normal * sigma) ** 2
    index, _, factor = analysis.poisson
    variances[index] = derivative.poisson**2 * vector[index] * factor
    variances[analysis.size :] = derivative.counts**2 * analysis.data_distribution.spread(rates)
    return {label: float(np.sqrt(variances[own].sum())) for label, own in members.items()}


def together(groups: Mapping[str, float]) -> float:
    return float(np.sqrt(sum(x**2 for x in groups.values())))


def members_of(
    analysis: Analysis, constrained: np.ndarray, groups: Mapping[str, Sequence[str]] | None
) -> dict[str, np.ndarray]:
    """Return {group: positions in [parameters, counts]} of what fluctuates."""
    labels = kinds(analysis) if groups is None else matched(analysis, constrained, groups)
    members = {STATISTICAL: analysis.size + np.arange(analysis.n_bins)}
    for label in (*(groups or _DEFAULT), OTHER):
        own = [j for j in np.flatnonzero(constrained) if labels[j] == label]
        # A group of the user's is reported even if others took all that it matches.
        if own or (groups and label in groups):
            members[label] = np.array(own, int)
    return members


def kinds(analysis: Analysis) -> list[str]:
    """Return the default group of each parameter."""
    labels = [SHAPES] * analysis.size
    labels[: len(analysis.parameters)] = [THEORY] * len(analysis.parameters)
    for j in analysis.structure.local:
        labels[j] = SIMULATED
    for part, source in zip(analysis.parts, analysis.sources, strict=True):
        cells = part.pdf.cells
        shifting = {*cells.shift_parameters.tolist(), *cells.bend_parameters.tolist()}
        factors = {*cells.scalar_parameters.tolist(), *cells.normsys_parameters.tolist()}
        for j in factors - shifting:
            if source[j] >= 0:
                labels[source[j]] = NORMALISATIONS
        for name in part.measurement.form_factor_modifiers:
            for j in source[part.pdf.slices[name]]:
                if j >= 0:
                    labels[j] = THEORY
    return labels


def matched(
    analysis: Analysis, constrained: np.ndarray, groups: Mapping[str, Sequence[str]]
) -> list[str]:
    """Return the group of each parameter by the user's patterns."""
    if STATISTICAL in groups:
        raise errors.ParameterError(
            f"the group {STATISTICAL!r} is that of the counts; give nuisances another label."
        )
    labels = [OTHER] * analysis.size
    taken = np.zeros(analysis.size, bool)
    for label, patterns in groups.items():
        for pattern in [patterns] if isinstance(patterns, str) else patterns:
            hits = np.array([matches(name, pattern) for name in analysis.names])
            if not hits.any():
                names = [n for n, c in zip(analysis.names, constrained, strict=True) if c]
                raise errors.unknown("nuisance", pattern, names, f"group {label!r}")
            if not (hits & constrained).any():
                raise errors.ParameterError(
                    f"group {label!r}: {pattern!r} has no constraint, so no datum of its own that "
                    f"could fluctuate; what the counts know of it is in {STATISTICAL!r}."
                )
            for j in np.flatnonzero(hits & ~taken):
                labels[j] = label
            taken |= hits
    return labels


def matches(name: str, pattern: str) -> bool:
    """Whether a flat name, or the set it belongs to, fits a pattern."""
    base = name.partition("[")[0]
    return name == pattern or fnmatchcase(name, pattern) or fnmatchcase(base, pattern)
