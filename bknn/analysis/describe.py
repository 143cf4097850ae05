"""An analysis in words."""

from __future__ import annotations

from typing import Any, Protocol

from bknn.data import Measurement
from bknn.parameters import Parameter


class Described(Protocol):
    """What the words are about."""

    @property
    def size(self) -> int: ...

    model: Any
    measurements: tuple[Measurement, ...]
    response: str
    parameters: tuple[Parameter, ...]
    constants: dict[str, float]


def describe(analysis: Described) -> str:
    """Return model, parameters, priors, measurements and sources as text."""
    lines = [f"model         {analysis.model.name}: {analysis.model.description}"]
    for m in analysis.measurements:
        lines.append(f"measurement   {m.name}: {m.title} ({m.n_bins} bins)")
        lines += [f"              {source}" for source in m.sources]
    lines.append(f"response      {analysis.response}")
    own = [p for p in analysis.parameters if not p.nuisance]
    nuisances = analysis.size - len(own)
    lines.append(f"parameters    {analysis.size}, of which {nuisances} nuisances")
    for p in own:
        unit = f" {p.unit}" if p.unit else ""
        lines.append(
            f"  {p.name:<20} start {p.init:g}{unit}, within [{p.bounds[0]:g}, {p.bounds[1]:g}]"
            f"{unit}, {p.prior_text}" + (f"; {p.description}" if p.description else "")
        )
    for name, value in analysis.constants.items():
        lines.append(f"  {name:<20} fixed at {value:g}")
    if theory := [p for p in analysis.parameters if p.nuisance]:
        names = f"{theory[0].name} ... {theory[-1].name}"
        lines.append(f"  {names:<20} {len(theory)} of {theory[0].description}, whitened")
    return "\n".join(lines)
