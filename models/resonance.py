"""A light invisible particle X from B+ -> K+ X, on top of the standard model."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import numpyro.distributions as dist
from jax import Array

from bknn.inputs import HPQCD_2022
from bknn.parameters import Parameter
from bknn.spectrum import Line, Spectrum

#: The heaviest X for which the simulation behind the public likelihood has candidates, GeV.
ENDPOINT: float = HPQCD_2022.mass_b - HPQCD_2022.mass_k  # type: ignore[assignment,operator]

#: |V_ts V_tb|^2 to 4.4% and |C_L|^2 to 2.3% (arXiv:2602.09666, section III).
SM_UNCERTAINTY = math.hypot(0.044, 0.023)

#: The prior of the branching fraction is uniform up to here, twice what Belle II finds for
#: everything invisible together, 2.3e-5 (arXiv:2311.14647); fits go further.
LARGEST = 5e-5


class Resonance:
    """SM + B+ -> K+ X with X invisible: `mass`, `branching_ratio`, `width` (arXiv:2602.09666).

    The standard model keeps its template and form-factor uncertainties and has a normalisation
    constrained to 5%, `sm_normalisation`. X is a narrow line at q2 = mass^2; with a `width` (fixed
    at 0 unless freed or set) a Breit-Wigner, eq. (3) there. No interference.
    """

    name = "resonance"
    description = "SM + B+ -> K+ X, X invisible: mass, branching fraction, width"
    parameters = (
        Parameter(
            "mass",
            2.1,
            (0.0, ENDPOINT),
            starts=tuple(float(m) for m in np.linspace(0.1, 4.7, 24)),
            unit="GeV",
            description="m_X, at most m_B - m_K",
        ),
        Parameter(
            "branching_ratio",
            5e-6,
            (0.0, 1e-3),
            prior=dist.Uniform(0.0, LARGEST),
            description="BR(B+ -> K+ X) times the probability that X stays invisible",
            coupling="X",
        ),
        Parameter("width", 0.0, (0.0, 5.0), fixed=True, unit="GeV", description="total width"),
        Parameter(
            "sm_normalisation",
            1.0,
            (0.0, 2.0),
            constraint=(1.0, SM_UNCERTAINTY),
            description="SM rate over its prediction",
        ),
    )
    null: Mapping[str, float] = {"branching_ratio": 0.0, "mass": 2.1, "width": 0.0}

    def spectrum(self, params: Mapping[str, Array], channel: str) -> Spectrum:
        line = Line(params["mass"], params["branching_ratio"], params["width"])
        return Spectrum(standard_model=params["sm_normalisation"], lines=(line,))
