"""How much a posterior depends on its priors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bknn.inference.posteriors.posterior import Posterior
from bknn.inference.posteriors.reweight import Reweighted


@dataclass(frozen=True, eq=False)
class Studied:
    """The posterior with one choice of priors.

    Attributes:
        posterior: with these priors, or, with `weights`, with those of the card.
        weights: of its draws; None if chains were run with these priors.
        why: chains had to be run; empty if they had not.
    """

    posterior: Posterior
    weights: Reweighted | None = None
    why: str = ""

    def summary(self, name: str) -> dict[str, Any]:
        """Return mean, median and highest-density intervals of a parameter."""
        found = (self.weights or self.posterior).summary(name)
        return {key: found[key] for key in ("mean", "median", "hdi_68", "hdi_95")}
