"""flavio 2.7.1 as the oracle for B -> K(*) nu nubar with neutrinos of any two flavours.

H = -(4 G_F / sqrt 2) (alpha / 4 pi) V_tb V_ts* sum C_{L,R} (sbar g P_{L,R} b)(nubar g (1 - g5) nu),
where flavio adds C_L^SM = -X_t / s_w^2 (brought from m_Z to 4.8 GeV with alpha) to the coefficients
of equal flavours. No scalar or tensor operators, no right-handed neutrinos.

Its form factors expand in z(q2) of the neutral mesons, for B+ too.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from functools import cache
from typing import Any

import pytest

SCALE = 4.8  # GeV, flavio's for b -> s nu nubar
DECAYS = {"B+ -> K+": "B+->K", "B0 -> K0": "B0->K", "B+ -> K*+": "B+->K*", "B0 -> K*0": "B0->K*"}
#: By transition: its name in flavio, the meson in z(q2), poles {form factor: name in flavio}.
TRANSITIONS = {
    "B -> K": ("B->K", "K0", {"f_plus": "m+", "f_0": "m0", "f_T": "m+"}),
    "B -> K*": (
        "B->K*",
        "K*0",
        {"A0": "m0", "V": "m1-", "T1": "m1-"} | dict.fromkeys(("A1", "A12", "T2", "T23"), "m1+"),
    ),
}


@cache
def peer() -> Any:
    """Return flavio; its import reads hundreds of measurements, and not every worker needs them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("flavio")


def central_values() -> dict[str, float]:
    """Return flavio's parameters {name: value}."""
    return dict(peer().default_parameters.get_central_all())


def inputs() -> dict[str, Any]:
    """Return all numbers that the rates depend on, the form factors apart; GeV and GeV^-1."""
    peer()
    from flavio.physics import ckm
    from flavio.physics.bdecays.wilsoncoefficients import CL_SM
    from flavio.physics.running import running

    values = central_values()
    mesons = ("B+", "B0", "Bs", "K+", "K0", "K*+", "K*0", "phi")
    return {
        "g_fermi": values["GF"],
        "alpha": running.get_alpha(values, SCALE)["alpha_e"],
        "ckm": float(abs(ckm.xi("t", "bs")(values))),
        "c_l": CL_SM(values, SCALE),
        "masses": {meson: values[f"m_{meson}"] for meson in mesons},
        "lifetimes": {meson: values[f"tau_{meson}"] for meson in mesons[:3]},
    }


def form_factor_masses(transition: str) -> tuple[float, float, dict[str, float]]:
    """Return the masses of parent and daughter in z(q2), and of the poles, of flavio's series."""
    values = central_values()
    process, daughter, poles = TRANSITIONS[transition]
    return (
        values["m_B0"],
        values[f"m_{daughter}"],
        {name: values[f"{process} BCL {pole}"] for name, pole in poles.items()},
    )


def form_factor_parameter(transition: str, name: str) -> float:
    """Return a parameter of flavio's default form factors, named as in bknn, "f_plus_0"."""
    form_factor, order = name.rsplit("_", 1)
    theirs = {"f_plus": "f+", "f_0": "f0", "f_T": "fT"}.get(form_factor, form_factor)
    return float(central_values()[f"{TRANSITIONS[transition][0]} BSZ a{order}_{theirs}"])


def prediction(
    observable: str, channel: str, q2: float, coefficients: Mapping[str, complex]
) -> float:
    """Return "dBR/dq2" (GeV^-2, nine pairs of neutrinos) or "FL" for {"CL_bsnuenumu": ...}."""
    known = peer().WilsonCoefficients()
    known.set_initial(dict(coefficients), SCALE)
    return float(peer().np_prediction(f"{observable}({DECAYS[channel]}nunu)", known, q2=q2))
