"""EOS 1.0.21 as the oracle for B -> K(*) nu nubar: what it needs to be told, and what it answers.

EOS takes one set of coefficients for three diagonal neutrino flavours, real and imaginary parts:
H = (4 G_F / sqrt 2) (alpha / 2 pi) V_tb V_ts* sum_i C_i O_i, `sbnunu::...{cVL}` and so on.

Two things EOS 1.0.21 does not do, and how it is asked nevertheless:

- `B->Knunu` is always B+ -> K+. For B0 -> K0 its masses and its lifetime are replaced.
- `F_L` has the axial-vector part alone in its numerator. The transverse rate is the rate without
  A_0, A_12 and T_23, so that 1 - (rate without them) / (rate) is the complete F_L (`f_l`); what EOS
  calls F_L is `f_l_as_published`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cache
from typing import Any

import pytest


@cache
def peer() -> Any:
    """Return EOS; its import takes seconds, and not every worker needs it."""
    return pytest.importorskip("eos")


COEFFICIENTS = {"C_VL": "cVL", "C_VR": "cVR", "C_SL": "cSL", "C_SR": "cSR", "C_TL": "cTL"}

#: EOS's names of the decay, of its mesons in the default observable, and of its form factors.
DECAYS = {
    "B+ -> K+": ("B->Knunu", {}, "B->K"),
    "B0 -> K0": ("B->Knunu", {}, "B->K"),
    "B+ -> K*+": ("B->K^*nunu", {"q": "u"}, "B->K^*"),
    "B0 -> K*0": ("B->K^*nunu", {"q": "d"}, "B->K^*"),
    "Bs -> phi": ("B_s->phinunu", {}, "B_s->phi"),
}
MESONS = {"B+": "B_u", "B0": "B_d", "Bs": "B_s"}
MESONS |= {"K+": "K_u", "K0": "K_d", "K*+": "K_u^*", "K*0": "K_d^*", "phi": "phi"}

#: In z(q2) of the form factors.
SERIES_MESONS = {"B->K": ("B_d", "K_d"), "B->K^*": ("B_d", "K_d^*"), "B_s->phi": ("B_s", "phi")}
#: Free parameters of the form factors, in EOS's order; two of K* are tied to others at q2 = 0.
PSEUDOSCALAR = ("f+_0", "f+_1", "f+_2", "f0_1", "f0_2", "fT_0", "fT_1", "fT_2")
VECTOR = (
    *("A0_0", "A0_1", "A0_2", "A1_0", "A1_1", "A1_2", "A12_1", "A12_2", "V_0", "V_1", "V_2"),
    *("T1_0", "T1_1", "T1_2", "T2_1", "T2_2", "T23_0", "T23_1", "T23_2"),
)
FORM_FACTORS = {
    "f_plus": "f_+", "f_0": "f_0", "f_T": "f_T", "V": "V", "A0": "A_0", "A1": "A_1",
    "A12": "A_12", "T1": "T_1", "T2": "T_2", "T23": "T_23",
}  # fmt: skip


def inputs() -> dict[str, Any]:
    """Return all numbers that the rates depend on, the form factors apart; GeV and GeV^-1.

    The quark masses are MS-bar at `sbnunu::mu`, as EOS's own running gives them.
    """
    parameters = peer().Parameters.Defaults()
    value = lambda name: float(parameters[name].evaluate())  # noqa: E731
    model = peer().Model.make("WET", parameters, peer().Options())
    scale = value("sbnunu::mu")
    return {
        "g_fermi": value("WET::G_Fermi"),
        "alpha": value("QED::alpha_e(m_b)"),
        "ckm": value("CKM::abs(V_tb)") * value("CKM::abs(V_ts)"),
        "scale": scale,
        "c_vl": value("sbnunu::Re{cVL}"),
        "mass_b_quark": model.m_b_msbar(scale),
        "mass_s_quark": model.m_s_msbar(scale),
        "masses": {ours: value(f"mass::{theirs}") for ours, theirs in MESONS.items()},
        "lifetimes": {
            ours: value(f"life_time::{MESONS[ours]}") / value("QM::hbar")
            for ours in ("B+", "B0", "Bs")
        },
    }


class Decay:
    """One decay in EOS, with form factors in the parametrisation of Bharucha, Straub, Zwicky.

    Args:
        channel: as in bknn, "B0 -> K*0".
        form_factors: the free parameters by EOS's names; its own central values by default.
        masses: of parent and daughter in z(q2); EOS's own by default.
    """

    def __init__(
        self,
        channel: str,
        form_factors: Mapping[str, float] | None = None,
        masses: tuple[float, float] | None = None,
    ) -> None:
        decay, options, process = DECAYS[channel]
        self.names = PSEUDOSCALAR if decay == "B->Knunu" else VECTOR
        self.process, self._parameters = process, peer().Parameters.Defaults()
        if channel == "B0 -> K0":
            for kind, ours, theirs in (
                ("mass", "B_u", "B_d"), ("mass", "K_u", "K_d"), ("life_time", "B_u", "B_d")
            ):  # fmt: skip
                self._parameters[f"{kind}::{ours}"].set(
                    self._parameters[f"{kind}::{theirs}"].evaluate()
                )
        if masses is not None:
            for meson, mass in zip(SERIES_MESONS[process], masses, strict=True):
                self._parameters[f"mass::{meson}@BSZ2015"].set(mass)
        self._kinematics = peer().Kinematics(q2=1.0)
        self._options = peer().Options({"model": "WET", "form-factors": "BSZ2015", **options})
        self._rate = self._observable(f"{decay}::dBR/dq2")
        if decay != "B->Knunu":
            self._f_l = self._observable(f"{decay}::F_L(q2)")
        if form_factors is not None:
            self._set(form_factors)

    def _observable(self, name: str) -> Any:
        return peer().Observable.make(name, self._parameters, self._kinematics, self._options)

    def _set(self, form_factors: Mapping[str, float]) -> None:
        for name, value in form_factors.items():
            self._parameters[f"{self.process}::alpha^{name}@BSZ2015"].set(float(value))

    def _at(self, q2: float, coefficients: Mapping[str, complex]) -> None:
        self._kinematics["q2"].set(float(q2))
        for ours, theirs in COEFFICIENTS.items():
            value = complex(coefficients.get(ours, 0.0))
            self._parameters[f"sbnunu::Re{{{theirs}}}"].set(value.real)
            self._parameters[f"sbnunu::Im{{{theirs}}}"].set(value.imag)

    @property
    def form_factor_parameters(self) -> dict[str, float]:
        """The free parameters as they are."""
        return {
            name: float(self._parameters[f"{self.process}::alpha^{name}@BSZ2015"].evaluate())
            for name in self.names
        }

    def form_factors(self, q2: float) -> dict[str, float]:
        """Return the form factors at q2, named as in bknn."""
        own = ("f_plus", "f_0", "f_T") if len(self.names) == 8 else tuple(FORM_FACTORS)[3:]
        self._kinematics["q2"].set(float(q2))
        return {
            name: float(self._observable(f"{self.process}::{FORM_FACTORS[name]}(q2)").evaluate())
            for name in own
        }

    def dbr_dq2(self, q2: float, coefficients: Mapping[str, complex]) -> float:
        """Return dB/dq2 in GeV^-2, three neutrinos."""
        self._at(q2, coefficients)
        return float(self._rate.evaluate())

    def f_l_as_published(self, q2: float, coefficients: Mapping[str, complex]) -> float:
        """Return what EOS calls F_L(q2)."""
        self._at(q2, coefficients)
        return float(self._f_l.evaluate())

    def f_l(self, q2: float, coefficients: Mapping[str, complex]) -> float:
        """Return the longitudinal fraction, scalar and tensor operators included."""
        whole = self.dbr_dq2(q2, coefficients)
        before = self.form_factor_parameters
        try:
            # A_12(0) is tied to A_0(0).
            longitudinal = [n for n in self.names if n.startswith(("A0_", "A12_", "T23_"))]
            self._set(dict.fromkeys(longitudinal, 0.0))
            transverse = self.dbr_dq2(q2, coefficients)
        finally:
            self._set(before)
        return 1.0 - transverse / whole


def endpoint(channel: str) -> float:
    """Return the largest q2 of a decay with EOS's masses."""
    masses = inputs()["masses"]
    parent, daughter = channel.split(" -> ")
    return math.pow(masses[parent] - masses[daughter], 2)
