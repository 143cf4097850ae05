"""Relic abundance and annihilation of a dark fermion X through a vector, 10 MeV to 1 TeV.

    bessel             K_1 and K_2, scaled
    degrees            relativistic degrees of freedom, of three tables
    annihilation       cross sections of X Xbar
    thermal_average    <sigma v>, poles resolved at any width
    boltzmann          the abundance, and the freeze-out approximation
    kinetic            the abundance of X with a temperature of its own
    implicit           two stiff equations, with derivatives
    scattering         how fast that follows the plasma
    moments            what it needs besides <sigma v>
    detection          annihilation today and at recombination
    energy_deposition  f_eff of final states

It knows neither vectors nor models: a model hands it functions and numbers. Units: GeV; cross
sections in GeV^-2.
"""

from bknn.relic.annihilation import Annihilation, Resonance, from_function
from bknn.relic.boltzmann import Relic, abundance, approximate, remarks
from bknn.relic.degrees import TABLES, Degrees
from bknn.relic.kinetic import Kinetic, abundance_kinetic
from bknn.relic.scattering import Partners, Scattering, standard_model
from bknn.relic.thermal_average import sigma_v, to_cm3_per_s

__all__ = [
    "TABLES",
    "Annihilation",
    "Degrees",
    "Kinetic",
    "Partners",
    "Relic",
    "Resonance",
    "Scattering",
    "abundance",
    "abundance_kinetic",
    "approximate",
    "from_function",
    "remarks",
    "sigma_v",
    "standard_model",
    "to_cm3_per_s",
]


def __dir__() -> list[str]:
    return __all__
