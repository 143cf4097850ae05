"""Rates written out from papers in plain numpy, to compare models and predictions with.

Only the form factors are bknn's (tests/unit/form_factors) and the numbers of a set of
inputs. Widths and branching fractions, GeV; q2 in GeV^2, any shape.
"""

from __future__ import annotations

import numpy as np

from bknn import inputs
from bknn.form_factors import sets

TRANSITIONS = {"K+": "B -> K", "K0": "B -> K", "K*+": "B -> K*", "K*0": "B -> K*"}
TRANSITIONS["phi"] = "Bs -> phi"


class Decay:
    """A channel with its masses, lifetime and form factors at their central values."""

    def __init__(self, channel, numbers=inputs.STANDARD, form_factors=None):
        parent, daughter = channel.split(" -> ")
        transition = TRANSITIONS[daughter]
        self.m, self.k = float(numbers.masses[parent]), float(numbers.masses[daughter])
        self.lifetime = float(numbers.lifetimes[parent])
        self.mb, self.ms = float(numbers.mass_b), float(numbers.mass_s)
        self.numbers = numbers
        self.set = form_factors or sets.load(sets.DEFAULTS[transition], transition)
        self.end = (self.m - self.k) ** 2

    def f(self, q2):
        return {name: np.asarray(value) for name, value in self.set(q2).items()}

    def kallen(self, q2):
        a, b, c = self.m**2, self.k**2, q2
        return np.maximum(a**2 + b**2 + c**2 - 2 * (a * b + b * c + c * a), 0.0)

    # b -> s nu nubar: arXiv:2111.04327, eqs. (8) and (13), in the normalisation of EOS's sbnunu

    def _neutrinos(self, q2):
        n = self.numbers
        strength = 8 * (n.g_fermi * n.alpha / (2 * np.pi) * n.ckm) ** 2
        three = 3 * strength * np.sqrt(self.kallen(q2)) / (4 * np.pi * self.m) ** 3
        return self.lifetime * three

    def k_nunu(self, q2, vl, vr=0.0, sl=0.0, sr=0.0, tl=0.0):
        f, lam = self.f(q2), self.kallen(q2)
        m, k = self.m, self.k
        return self._neutrinos(q2) * (
            lam / 24 * f["f_plus"] ** 2 * abs(vl + vr) ** 2
            + q2 * (m**2 - k**2) ** 2 / (8 * (self.mb - self.ms) ** 2)
            * f["f_0"] ** 2 * abs(sl + sr) ** 2
            + 2 / 3 * q2 * lam / (m + k) ** 2 * f["f_T"] ** 2 * abs(tl) ** 2
        )  # fmt: skip

    def kstar_nunu(self, q2, vl, vr=0.0, sl=0.0, sr=0.0, tl=0.0):
        """The longitudinal part, and all of it."""
        f, lam = self.f(q2), self.kallen(q2)
        m, k = self.m, self.k
        longitudinal = (
            8 * m**2 * k**2 / 3 * f["A12"] ** 2 * abs(vl - vr) ** 2
            + q2 * lam / (8 * (self.mb + self.ms) ** 2) * f["A0"] ** 2 * abs(sr - sl) ** 2
            + 32 * q2 * m**2 * k**2 / (3 * (m + k) ** 2) * f["T23"] ** 2 * abs(tl) ** 2
        )
        transverse = (
            q2 * lam / (12 * (m + k) ** 2) * f["V"] ** 2 * abs(vl + vr) ** 2
            + q2 * (m + k) ** 2 / 12 * f["A1"] ** 2 * abs(vl - vr) ** 2
            + 4 / 3 * (lam * f["T1"] ** 2 + (m**2 - k**2) ** 2 * f["T2"] ** 2) * abs(tl) ** 2
        )
        return self._neutrinos(q2) * longitudinal, self._neutrinos(q2) * (longitudinal + transverse)

    # B -> K(*) + phi or V: arXiv:2311.14629, eqs. (3), (4), (7)-(13), with other names of couplings

    def _two_body(self, mass):
        return self.lifetime * np.sqrt(self.kallen(mass**2)) / (16 * np.pi * self.m**3)

    def k_scalar(self, mass, g_s):
        f_0 = self.f(mass**2)["f_0"]
        amplitude = g_s * (self.m**2 - self.k**2) / (self.mb - self.ms) * f_0
        return self._two_body(mass) * amplitude**2

    def kstar_scalar(self, mass, g_p):
        a_0 = self.f(mass**2)["A0"]
        return (
            self._two_body(mass) * g_p**2 * self.kallen(mass**2) * (a_0 / (self.mb + self.ms)) ** 2
        )

    def k_vector(self, mass, h_v=0.0, h_t=0.0):
        f = self.f(mass**2)
        amplitude = h_v * f["f_plus"] / mass + 2 * h_t * mass * f["f_T"] / (self.m + self.k)
        return self._two_body(mass) * self.kallen(mass**2) * amplitude**2

    def kstar_vector(self, mass, h_v=0.0, h_a=0.0, h_t=0.0, h_t5=0.0):
        """The longitudinal part, and all of it."""
        f, m, k = self.f(mass**2), self.m, self.k
        root = np.sqrt(2 * self.kallen(mass**2))
        perpendicular = root * (h_v * f["V"] / (m + k) + 2 * h_t * f["T1"])
        parallel = np.sqrt(2) * (h_a * (m + k) * f["A1"] - 2 * h_t5 * (m**2 - k**2) * f["T2"])
        zero = 8 * m * k * (h_a * f["A12"] / mass - h_t5 * mass * f["T23"] / (m + k))
        longitudinal = self._two_body(mass) * zero**2
        return longitudinal, longitudinal + self._two_body(mass) * (perpendicular**2 + parallel**2)

    # B -> K(*) + a pair: hadronic factors times functions of the pair alone, int dPhi_2 sum J J*
    # = (-g + q q / q2) transverse + (q q / q2) time; of a scalar bilinear: scalar

    def _three_body(self, q2):
        return self.lifetime * np.sqrt(self.kallen(q2)) / (32 * np.pi**2 * self.m**3)

    def k_pair(self, q2, scalar=0.0, transverse=0.0, time=0.0):
        f, m, k = self.f(q2), self.m, self.k
        return self._three_body(q2) * (
            ((m**2 - k**2) / (self.mb - self.ms) * f["f_0"]) ** 2 * scalar
            + self.kallen(q2) / q2 * f["f_plus"] ** 2 * transverse
            + ((m**2 - k**2) * f["f_0"]) ** 2 / q2 * time
        )

    def kstar_axial_pair(self, q2, scalar=0.0, transverse=0.0, time=0.0):
        """For quark currents sbar g5 b and sbar g_mu g5 b."""
        f, m, k = self.f(q2), self.m, self.k
        return self._three_body(q2) * (
            self.kallen(q2) * (f["A0"] / (self.mb + self.ms)) ** 2 * scalar
            + (64 * (m * k * f["A12"]) ** 2 / q2 + 2 * ((m + k) * f["A1"]) ** 2) * transverse
            + self.kallen(q2) * f["A0"] ** 2 / q2 * time
        )

    def kstar_vector_pair(self, q2, transverse):
        """For the quark current sbar g_mu b."""
        v = self.f(q2)["V"]
        return (
            self._three_body(q2) * 2 * self.kallen(q2) * (v / (self.m + self.k)) ** 2 * transverse
        )

    def k_tensor_pair(self, q2, electric):
        """For the quark current sbar sigma_mn b; of int dPhi_2 sum J_0i J_0j* = d_ij electric."""
        f_t = self.f(q2)["f_T"]
        hadronic = self.kallen(q2) * (f_t / (self.m + self.k)) ** 2
        return self._three_body(q2) * 4 * hadronic * electric

    def kstar_tensor_pair(self, q2, electric, magnetic):
        """The same; the magnetic part meets sbar sigma_mn g5 b, by duality."""
        f, m, k = self.f(q2), self.m, self.k
        perpendicular = 2 * self.kallen(q2) * f["T1"] ** 2 / q2
        others = 2 * (m**2 - k**2) ** 2 * f["T2"] ** 2 / q2
        others = others + 16 * (m * k * f["T23"] / (m + k)) ** 2
        return self._three_body(q2) * 4 * (perpendicular * electric + others * magnetic)
