"""The standard model with a free rate: the fit that Belle II published."""

from __future__ import annotations

from collections.abc import Mapping

from jax import Array

from bknn.parameters import Parameter
from bknn.spectrum import Spectrum


class SignalStrength:
    """B -> K nu nubar in the shape of the standard model, `mu` times as often.

    `mu` multiplies the measurement's own template, with its form-factor uncertainties; mu = 1 is
    the short-distance branching fraction 4.97e-6 (arXiv:2311.14647, section II). Bounds, start and
    fixing of the parameter of interest that a workspace states hold for `mu`; where it states none
    `mu` may go from -10 to 50, never beyond where an expected count would be negative.
    """

    name = "signal-strength"
    description = "SM shape times mu, as in arXiv:2311.14647"
    parameters = (Parameter("mu", 1.0, (-10.0, 50.0), description="signal strength, 1 in the SM"),)
    null: Mapping[str, float] = {"mu": 1.0}
    #: The parameter that stands for the parameter of interest of a workspace.
    signal_strength = "mu"

    def spectrum(self, params: Mapping[str, Array], channel: str) -> Spectrum:
        return Spectrum(standard_model=params["mu"])
