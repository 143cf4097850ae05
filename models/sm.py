"""The standard model, from form factors and inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bknn.models.theory import Pair, Params, Particle, Theory, normalisation, standard_model
from bknn.parameters import Parameter


class StandardModel(Theory):
    """B -> K(*) nu nubar in the standard model, short distance (arXiv:1409.4557).

    Nothing floats but what is uncertain: the form factors and `sm_normalisation`.
    """

    name = "sm"
    description = "the standard model, with form factors and inputs of one's choice"
    null: Mapping[str, float] = {"sm_normalisation": 1.0}

    def own_parameters(self) -> tuple[Parameter, ...]:
        return (normalisation(self.inputs),)

    def final_states(self, params: Params) -> Sequence[Pair | Particle]:
        return (standard_model(self.inputs, params.get("sm_normalisation", 1.0)),)
