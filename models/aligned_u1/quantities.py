"""The derived quantities of the aligned U(1)' beside those of every model with a light vector."""

from __future__ import annotations

import math

from bknn.models.aligned_u1 import pair_production
from bknn.prediction import DerivedQuantity

#: The point itself: masses, mixing and couplings.
LAGRANGIAN = (
    DerivedQuantity("m_t", "GeV", "mass of the top quark", "$m_t$"),
    DerivedQuantity("m_T", "GeV", "mass of the top partner", "$m_T$"),
    DerivedQuantity("s_R", "", "sine of the right-handed mixing", "$s_R$", (0.0, 1.0)),
    DerivedQuantity("s_L", "", "sine of the left-handed mixing", "$s_L$", (0.0, 1.0)),
    DerivedQuantity("G", "", "g~ q'", "$G$", (0.0, math.inf)),
    DerivedQuantity("y_t", "", "Yukawa coupling of t'", "$y_t'$", (0.0, math.inf)),
    DerivedQuantity("y_T", "", "Yukawa coupling of t', T', Phi", "$y_T$", (0.0, math.inf)),
    DerivedQuantity("M_T", "GeV", "mass of T' without mixing", "$M_{T'}$"),
    DerivedQuantity("v_tilde", "GeV", "M_Z'/G", r"$\tilde v$", (0.0, math.inf)),
    DerivedQuantity("g_X", "", "coupling to X, r_X G", "$g_X$", (0.0, math.inf)),
    DerivedQuantity("lambda_phi", "", "m_phi^2/(2 v~^2)", r"$\lambda_\phi$", (0.0, math.inf)),
    DerivedQuantity("C_V_L", "", "(sbar g_m P_L b) Z'^m", "$C_V^L$"),
    DerivedQuantity("dipole", "GeV^-2", "D, of m_b V_tb V_ts* G D sbar i sigma q P_R b", "$D$"),
    DerivedQuantity("delta_Z", "", "mass mixing with the Z", r"$\delta_Z$"),
    DerivedQuantity("eps_A", "", "kinetic mixing with the photon", r"$\epsilon_A$"),
    DerivedQuantity("eps_Z", "", "kinetic mixing with the Z", r"$\epsilon_Z$"),
    DerivedQuantity("kappa_t", "", "t t h over the SM's, cos^2(theta_L)", r"$\kappa_t$"),
)
#: Beside loops of the standard model.
OBLIQUE = (
    DerivedQuantity("delta_S", "", "oblique parameter", r"$\Delta S$"),
    DerivedQuantity("delta_T", "", "oblique parameter", r"$\Delta T$"),
)
#: The top partner's decays, and its pairs at the LHC.
DECAYS_OF_T = (
    *(
        DerivedQuantity(
            f"width_T_{n}", "GeV", f"Gamma(T -> {s})", rf"$\Gamma(T \to {m})$", (0.0, math.inf)
        )
        for n, s, m in (
            ("bW", "b W", "bW"),
            ("tZ", "t Z", "tZ"),
            ("th", "t h", "th"),
            ("tZprime", "t Z'", "tZ'"),
            ("tphi", "t phi", r"t\phi"),
        )
    ),
    *(
        DerivedQuantity(f"br_T_{n}", "", f"BR(T -> {s})", bounds=(0.0, 1.0))
        for n, s in (
            ("bW", "b W"),
            ("tZ", "t Z"),
            ("th", "t h"),
            ("invisible", "t + invisible"),
        )
    ),
    *(DerivedQuantity(n, "", text) for n, text in pair_production.QUANTITIES.items()),
)
