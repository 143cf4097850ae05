"""Public points of the aligned U(1)': m_t = 163 GeV, M_Z' = 2.1 GeV, |V_tb V_ts*| = 0.04185.

Computed by others from a derivation of their own; six digits were printed.
"""

from __future__ import annotations

import numpy as np

M_T, M_ZPRIME, CKM = 163.0, 2.1, 0.04185

#: (m_T, s_R): C_L/(V_tb V_ts* G)
VECTOR_COUPLING = {
    (600.0, 0.05): 1.84501e-5,
    (1000.0, 0.3): 1.01127e-3,
    (3000.0, 0.8): 1.71688e-2,
    (10000.0, 0.05): 6.07613e-5,
    (50000.0, 0.3): 3.04112e-3,
}

_TABLE = """
m_T           1500         3000         10000        10000        1000
s_R           0.1          0.3          0.3          0.077        0.8
G             0.003        0.0003       0.000153818  0.00239      1e-05
scale         1500         3000         10000        1.22089e+19  91.1876
m_phi         1000         1000         1000         1000         100
s_L           0.0109208    0.0170845    0.00512605   0.00125884   0.212376
y_T           0.299449     0.181264     0.310673     1.23899      0.00512471
v_tilde       700          7000         13652.5      878.661      210000
vector        0.000134287  0.00162119   0.00223529   0.000144215  0.0112594
C_L           1.68598e-08  2.03541e-08  1.43892e-08  1.44246e-08  4.71206e-09
dipole        2.85696e-10  2.75143e-09  2.83239e-09  1.86594e-10  1.62991e-08
delta_Z      -4.07077e-06 -5.35804e-06 -4.2453e-06  -4.31596e-06 -8.07944e-07
eps_A         3.44553e-07  4.0345e-07   2.91509e-07  0.000849428 -1.81378e-07
eps_Z        -1.17288e-07 -1.56797e-07 -1.2714e-07  -0.000465782  1.16426e-07
bW            0.132085     2.58615      8.6228       0.520022     14.7992
tZ            0.0643968    1.29486      4.35351      0.262557     6.58587
th            0.0689268    1.30717      4.31566      0.260274     7.7358
tZprime       0.662424     0.446524     4.36872      75.8974      5.68963e-05
tphi          0.19674      0.351642     4.28085      74.3857      3.94737e-05
kappa_t       0.999881     0.999708     0.999974     0.999998     0.954897
T             0.000885425  0.00303077   0.000406421  2.43547e-05  0.328506
S             2.53747e-05  0.000103462  1.59879e-05  9.64234e-07  0.00541881
"""
#: {quantity: (5,)}
POINTS = {
    name: np.array(row, float) for name, *row in (line.split() for line in _TABLE.split("\n")[1:-1])
}

#: Points drawn at random for comparisons, (20,): m_T from little above m_t to 100 TeV.
_draw = np.random.default_rng(20).uniform(size=(2, 20))
RANDOM = {"m_T": M_T * np.exp(np.log(1.02) + 6.4 * _draw[0]), "s_R": 0.02 + 0.96 * _draw[1]}

#: m_T and s_R, (36,): from nearly equal masses to 1e7 GeV.
_masses = [*(M_T * (1 + np.geomspace(1e-6, 1e-1, 6))), 300.0, 1e3, 1e4, 1e5, 1e6, 1e7]
TO_DIGITS = tuple(x.ravel() for x in np.meshgrid(_masses, [1e-3, 0.3, 0.9]))
