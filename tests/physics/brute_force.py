"""Decay rates from the Lagrangian with numbers only: spinors, polarisation vectors, angles.

Nothing here knows a helicity amplitude or a spectral density. An amplitude is

    sum over (q, d) of c_(q, d) <M(k)| sbar G_q b |B(p)> . <pair| D_d |0>

with explicit Dirac matrices, spinors, polarisation vectors and vector-spinors for every particle;
it is squared, summed over spins and integrated over the pair's directions by a quadrature that is
exact for the low polynomials that occur.

Conventions: metric (+, -, -, -), gamma5 = i g0 g1 g2 g3, sigma^{mn} = (i/2) [g^m, g^n]. Hadronic
matrix elements carry lower Lorentz indices, dark currents upper ones, and a product of tensors is
the plain double sum. Everything is in GeV. A current is a dictionary of arrays of the shape
(directions, spin states) or (polarisations,), followed by the Lorentz indices; the polarisations
and spin states of several particles are flattened into one axis.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

Current = dict[str, np.ndarray]
Couplings = Mapping[tuple[str, str], complex | np.ndarray]

METRIC = np.diag([1.0, -1.0, -1.0, -1.0])


# --- Dirac matrices ---------------------------------------------------------------------------


def _dirac() -> np.ndarray:
    pauli = np.array([[[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]])
    gamma = np.zeros((4, 4, 4), complex)
    gamma[0] = np.diag([1, 1, -1, -1])
    gamma[1:, :2, 2:] = pauli
    gamma[1:, 2:, :2] = -pauli
    return gamma


ONE = np.eye(4)
GAMMA = _dirac()  # [mu], upper
GAMMA5 = 1j * GAMMA[0] @ GAMMA[1] @ GAMMA[2] @ GAMMA[3]
SIGMA = 0.5j * (np.einsum("mab,nbc->mnac", GAMMA, GAMMA) - np.einsum("nab,mbc->mnac", GAMMA, GAMMA))
C = 1j * GAMMA[2] @ GAMMA[0]  # C GAMMA^T C^-1 = -GAMMA
PROJECTOR = {"L": (ONE - GAMMA5) / 2, "R": (ONE + GAMMA5) / 2}

# The five bilinears of a fermion pair; the chiral ones of neutrinos.
STRUCTURES = {"S": ONE, "P": GAMMA5, "V": GAMMA, "A": GAMMA @ GAMMA5, "T": SIGMA}
CHIRAL = {g + y: STRUCTURES[g] @ PROJECTOR[y] for g in "SVT" for y in "LR"}


def _levi_civita() -> np.ndarray:
    epsilon = np.zeros((4, 4, 4, 4))
    for order in np.ndindex(4, 4, 4, 4):
        if len(set(order)) == 4:
            epsilon[order] = np.linalg.det(np.eye(4)[list(order)])
    return epsilon


EPSILON = _levi_civita()  # upper indices, EPSILON[0, 1, 2, 3] = 1
EPSILON_LOWER = -EPSILON


def lower(tensor: np.ndarray, rank: int = 1) -> np.ndarray:
    """Lower (or raise) the last `rank` indices."""
    signs = np.diag(METRIC)
    for _ in range(rank):
        tensor = tensor * signs
        signs = signs[:, None]
    return tensor


def dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Minkowski product of the last axes, both with upper indices."""
    return np.sum(a * b * np.diag(METRIC), axis=-1)


def slash(p: np.ndarray) -> np.ndarray:
    return np.einsum("...m,mab->...ab", lower(p), GAMMA)


def _sign_of_duality() -> float:
    """Return s in sigma^{mn} gamma5 = s (i/2) eps^{mnrs} sigma_{rs}, from the matrices."""
    dual = 0.5j * np.einsum("mnrs,rsab->mnab", EPSILON, np.einsum(
        "rR,sS,RSab->rsab", METRIC, METRIC, SIGMA
    ))  # fmt: skip
    for sign in (1.0, -1.0):
        if np.allclose(SIGMA @ GAMMA5, sign * dual):
            return sign
    raise AssertionError("sigma gamma5 is not dual to sigma")


DUALITY = _sign_of_duality()


def dual(tensor: np.ndarray) -> np.ndarray:
    """From <sigma_{mn}> to <sigma_{mn} gamma5>; last two indices, lower in and lower out."""
    return DUALITY * 0.5j * np.einsum("mnrs,...rs->...mn", EPSILON_LOWER, lower(tensor, 2))


# --- States -----------------------------------------------------------------------------------


def boost(p: np.ndarray, mass: float) -> np.ndarray:
    """The rotation-free boost that takes (mass, 0) to p."""
    p = np.asarray(p, float)
    matrix = np.zeros((*p.shape, 4))
    energy, space = p[..., 0], p[..., 1:]
    matrix[..., 0, 0] = energy / mass
    matrix[..., 0, 1:] = matrix[..., 1:, 0] = space / mass
    outer = space[..., :, None] * space[..., None, :]
    matrix[..., 1:, 1:] = np.eye(3) + outer / (mass * (energy + mass))[..., None, None]
    return matrix


def u_spinors(p: np.ndarray, mass: float) -> np.ndarray:
    """u(p, s), two boosted rest-frame spinors; (..., 2, 4)."""
    up = slash(p) + mass * ONE
    root = np.sqrt(p[..., 0] + mass)
    return np.swapaxes(up[..., :, :2], -1, -2) / root[..., None, None]


def conjugate(psi: np.ndarray) -> np.ndarray:
    """psi -> C psibar^T: from u(p, s) to v(p, s), with this phase for Dirac and Majorana."""
    return np.einsum("ab,...b->...a", C @ GAMMA[0].T, psi.conj())


def v_spinors(p: np.ndarray, mass: float) -> np.ndarray:
    return conjugate(u_spinors(p, mass))


def bar(psi: np.ndarray) -> np.ndarray:
    return psi.conj() @ GAMMA[0]


# Spin projection +1, 0, -1 on the z axis in the rest frame.
_REST = np.array([[0, -1, -1j, 0], [0, 0, 0, np.sqrt(2)], [0, 1, -1j, 0]]) / np.sqrt(2)


def polarisations(p: np.ndarray, mass: float) -> np.ndarray:
    """Three polarisation vectors (upper index) of a massive vector; (..., 3, 4)."""
    return np.einsum("...mn,sn->...sm", boost(p, mass), _REST)


# <1 m; 1/2 s | 3/2 l>, [l, m, s]
_CLEBSCH = np.zeros((4, 3, 2))
_CLEBSCH[0, 0, 0] = _CLEBSCH[3, 2, 1] = 1.0
_CLEBSCH[1, 0, 1] = _CLEBSCH[2, 2, 0] = np.sqrt(1 / 3)
_CLEBSCH[1, 1, 0] = _CLEBSCH[2, 1, 1] = np.sqrt(2 / 3)


def vector_spinors(p: np.ndarray, mass: float) -> np.ndarray:
    """u^mu(p, l) of a spin-3/2 particle: polarisation times spinor; (..., 4, 4 mu, 4)."""
    return np.einsum(
        "lms,...mi,...sa->...lia", _CLEBSCH, polarisations(p, mass), u_spinors(p, mass)
    )


def helicity_vectors(k: np.ndarray, mass: float) -> np.ndarray:
    """Longitudinal first, then two transverse ones, for the momentum k in this frame; (3, 4)."""
    space = np.linalg.norm(k[1:])
    direction = k[1:] / space if space > 0 else np.array([0.0, 0.0, 1.0])
    other = np.eye(3)[np.argmin(np.abs(direction))]
    first = np.cross(direction, other)
    first /= np.linalg.norm(first)
    second = np.cross(direction, first)
    right, left = (first + 1j * second) / np.sqrt(2), (first - 1j * second) / np.sqrt(2)
    return np.array(
        [[space / mass, *(k[0] / mass * direction)], [0, *right], [0, *left]], dtype=complex
    )


# --- Hadronic matrix elements -----------------------------------------------------------------


def pseudoscalar_elements(
    p: np.ndarray, k: np.ndarray, form_factors: Mapping[str, float], mb: float, ms: float
) -> Current:
    """<K(k)| sbar G b |B(p)>, by quark current; one "polarisation"."""
    q = p - k
    q2, mB2, mK2 = dot(q, q), dot(p, p), dot(k, k)
    mB, mK = np.sqrt(mB2), np.sqrt(mK2)
    part = (mB2 - mK2) / q2 * q
    vector = form_factors["f_plus"] * (p + k - part) + form_factors["f_0"] * part
    # sigma^{mn} q_n = a (p^m k^n - p^n k^m) q_n: one structure, so one contraction fixes a.
    target = 1j * form_factors["f_T"] / (mB + mK) * (q2 * (p + k) - (mB2 - mK2) * q)
    structure = np.outer(p, k) - np.outer(k, p)
    contraction = structure @ lower(q)
    largest = np.argmax(np.abs(contraction))
    tensor = target[largest] / contraction[largest] * structure
    tensor = lower(tensor, 2)
    return {
        "S": np.array([form_factors["f_0"] * (mB2 - mK2) / (mb - ms)], complex),
        "P": np.zeros(1, complex),
        "V": lower(vector)[None].astype(complex),
        "A": np.zeros((1, 4), complex),
        "T": tensor[None],
        "T5": dual(tensor)[None],
    }


def a2_and_t3(form_factors: Mapping[str, float], mB: float, mV: float, q2: float) -> tuple:
    """A2 and T3 from A12 and T23 (arXiv:1310.3722)."""
    kallen = ((mB + mV) ** 2 - q2) * ((mB - mV) ** 2 - q2)
    a2 = (
        (mB + mV) ** 2 * (mB**2 - mV**2 - q2) * form_factors["A1"]
        - 16 * mB * mV**2 * (mB + mV) * form_factors["A12"]
    ) / kallen
    t3 = (
        (mB**2 - mV**2) * (mB**2 + 3 * mV**2 - q2) * form_factors["T2"]
        - 8 * mB * mV**2 * (mB - mV) * form_factors["T23"]
    ) / kallen
    return a2, t3


def tensor_contractions(
    p: np.ndarray, k: np.ndarray, eps: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The structures of T1 in q^n <sigma_{mn}> and of T2, T3 in q^n <sigma_{mn} gamma5>.

    Lower index, one row a polarisation; eps (polarisations, 4) is already conjugated.
    """
    q = p - k
    q2, difference = dot(q, q), dot(p, p) - dot(k, k)
    eq = dot(eps, q)[:, None]
    one = -2.0 * DUALITY * np.einsum("mnrs,en,r,s->em", EPSILON_LOWER, eps, p, k)
    two = 1j * (eq * (p + k) - difference * eps)
    three = 1j * eq * (q2 / difference * (p + k) - q)
    return one, lower(two), lower(three)


def vector_elements(
    p: np.ndarray,
    k: np.ndarray,
    eps: np.ndarray,
    form_factors: Mapping[str, float],
    mb: float,
    ms: float,
) -> Current:
    """<K*(k, eps)| sbar G b |B(p)>, by quark current; eps (polarisations, 4), not conjugated.

    Definitions of arXiv:1310.3722. The signs of V and T1 against the others follow
    from the sign of the Levi-Civita tensor, which is checked with a static b quark.
    """
    eps = eps.conj()
    q = p - k
    q2, mB2, mV2 = dot(q, q), dot(p, p), dot(k, k)
    mB, mV = np.sqrt(mB2), np.sqrt(mV2)
    a2, t3 = a2_and_t3(form_factors, mB, mV, q2)
    eq = dot(eps, q)[:, None]

    vector = 2j * form_factors["V"] / (mB + mV) * DUALITY * np.einsum(
        "mnrs,en,r,s->em", EPSILON_LOWER, eps, p, k
    )  # fmt: skip
    axial = (
        2 * mV * form_factors["A0"] * eq / q2 * q
        + (mB + mV) * form_factors["A1"] * (eps - eq / q2 * q)
        - a2 * eq / (mB + mV) * (p + k - (mB2 - mV2) / q2 * q)
    )
    axial = lower(axial)

    # sigma_{mn}: three structures, fixed by its contraction with q and that of its dual.
    total = np.einsum("mnrs,er,s->emn", EPSILON_LOWER, eps, p + k)
    transfer = np.einsum("mnrs,er,s->emn", EPSILON_LOWER, eps, q)
    momenta = np.einsum("mnrs,r,s->mn", EPSILON_LOWER, p, k)[None] * dot(eps, q)[:, None, None]
    structures = np.array([total, transfer, momenta])
    one, two, three = tensor_contractions(p, k, eps)
    wanted = np.concatenate(
        [(form_factors["T1"] * one).ravel(), (form_factors["T2"] * two + t3 * three).ravel()]
    )
    have = np.array(
        [np.concatenate([(x @ q).ravel(), (dual(x) @ q).ravel()]) for x in structures]
    ).T
    size = np.linalg.norm(have, axis=0)
    solution, _, rank, _ = np.linalg.lstsq(have / size, wanted, rcond=None)
    if rank != 3 or not np.allclose(have / size @ solution, wanted, rtol=1e-9):
        raise AssertionError("the tensor form factors do not fix the tensor matrix element")
    tensor = np.einsum("x,xemn->emn", solution / size, structures)
    return {
        "S": np.zeros(len(eps), complex),
        "P": -np.einsum("em,m->e", axial, q) / (mb + ms),  # i d_m (sbar g^m g5 b)
        "V": vector,
        "A": axial,
        "T": tensor,
        "T5": dual(tensor),
    }


def annihilation_elements(p: np.ndarray, decay_constant: float, mb: float, ms: float) -> Current:
    """<0| sbar G b |Bs(p)>, by quark current; one "polarisation"."""
    return {
        "S": np.zeros(1, complex),
        "P": np.array([-1j * decay_constant * dot(p, p) / (mb + ms)]),
        "V": np.zeros((1, 4), complex),
        "A": 1j * decay_constant * lower(p)[None],
        "T": np.zeros((1, 4, 4), complex),
        "T5": np.zeros((1, 4, 4), complex),
    }


def chiral_elements(elements: Current) -> Current:
    """From sbar G b to sbar G P_X b, X = L, R: "SL", "SR", "VL", "VR", "TL", "TR"."""
    with_gamma5 = {"S": "P", "V": "A", "T": "T5"}
    return {
        g + x: (elements[g] + sign * elements[with_gamma5[g]]) / 2
        for g in "SVT"
        for x, sign in (("L", -1), ("R", 1))
    }


# --- Invisible currents -----------------------------------------------------------------------


def bilinear(left: np.ndarray, matrix: np.ndarray, right: np.ndarray) -> np.ndarray:
    """left(p1) G right(p2) for all spins and a G with any Lorentz indices.

    left, right (directions, spins, 4); answer (directions, spins, spins, Lorentz indices).
    """
    flat = matrix.reshape(-1, 4, 4)
    result = np.einsum("nia,xab,njb->nijx", left, flat, right, optimize=True)
    return result.reshape(*result.shape[:3], *matrix.shape[:-2])


def _spins(current: Current) -> Current:
    """Flatten the two spin axes behind the directions."""
    return {
        d: x.reshape(x.shape[0], x.shape[1] * x.shape[2], *x.shape[3:]) for d, x in current.items()
    }


def _exchanged(current: Current) -> Current:
    return {d: np.swapaxes(x, 1, 2) for d, x in current.items()}


def scalar_particle(q: np.ndarray) -> Current:
    return {"S": np.ones((1, 1))}


def vector_particle(q: np.ndarray) -> Current:
    eps = polarisations(q, np.sqrt(dot(q, q))).conj()
    outer = np.einsum("m,en->emn", q, eps)
    return {"V": eps[None], "F": 1j * (outer - np.swapaxes(outer, 1, 2))[None]}


Pair = Callable[[np.ndarray, np.ndarray, float, float], Current]


def fermion_pair(
    p1: np.ndarray,
    p2: np.ndarray,
    m1: float,
    m2: float,
    structures: Mapping[str, np.ndarray] = STRUCTURES,
) -> Current:
    """psibar_1 G psi_2: particle 1 and antiparticle 2 (spin axes apart)."""
    left, right = bar(u_spinors(p1, m1)), v_spinors(p2, m2)
    return {d: bilinear(left, matrix, right) for d, matrix in structures.items()}


def neutrino_pair(p1: np.ndarray, p2: np.ndarray, m1: float, m2: float) -> Current:
    """nubar_1 G P_Y nu_2."""
    return fermion_pair(p1, p2, m1, m2, CHIRAL)


def antineutrino_pair(p1: np.ndarray, p2: np.ndarray, m1: float, m2: float) -> Current:
    """nubar^c_1 G P_L nu_2: two antineutrinos, nubar^c = -nu^T C^-1."""
    left, right = -v_spinors(p1, m1), v_spinors(p2, m2)
    return {
        d: bilinear(left, np.linalg.inv(C) @ CHIRAL[d], right) for d in CHIRAL if d.endswith("L")
    }


def two_neutrinos(p1: np.ndarray, p2: np.ndarray, m1: float, m2: float) -> Current:
    """nubar_1 G P_R nu^c_2: two neutrinos, nu^c = C nubar^T."""
    left, right = bar(u_spinors(p1, m1)), bar(u_spinors(p2, m2))
    return {d: bilinear(left, CHIRAL[d] @ C, right) for d in CHIRAL if d.endswith("R")}


def gravitino_pair(p1: np.ndarray, p2: np.ndarray, m1: float, m2: float) -> Current:
    """Psibar_r G Psi^r of spin 3/2, and "U", i (Psibar^m Psi^n - Psibar^n Psi^m)."""
    first, second = vector_spinors(p1, m1), conjugate(vector_spinors(p2, m2))
    current: dict = {}
    for r, sign in enumerate(np.diag(METRIC)):
        left, right = bar(first[..., r, :]), second[..., r, :]
        for d, matrix in STRUCTURES.items():
            current[d] = current.get(d, 0.0) + sign * bilinear(left, matrix, right)
    product = np.einsum("nima,njra->nijmr", bar(first), second)
    return current | {"U": 1j * (product - np.swapaxes(product, -1, -2))}


def scalar_pair(p1: np.ndarray, p2: np.ndarray, m1: float, m2: float) -> Current:
    """phi^+ creates the particle of p1, phi the antiparticle of p2; a derivative is +i p."""
    one = np.ones((len(p1), 1, 1))
    return {"S": one, "V": 1j * (1j * p2 - 1j * p1)[:, None, None, :] * one[..., None]}


def vector_pair(p1: np.ndarray, p2: np.ndarray, m1: float, m2: float) -> Current:
    """V^+ creates the particle of p1, V the antiparticle of p2."""
    e1 = polarisations(p1, m1).conj()[:, :, None, :] + np.zeros((1, 1, 3, 1))
    e2 = polarisations(p2, m2).conj()[:, None, :, :] + np.zeros((1, 3, 1, 1))
    p1, p2 = p1[:, None, None, :], p2[:, None, None, :]
    q = p1 + p2

    def outer(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return a[..., :, None] * b[..., None, :]

    f1 = 1j * (outer(p1, e1) - outer(e1, p1))
    f2 = 1j * (outer(p2, e2) - outer(e2, p2))
    epsilon = -EPSILON  # upper indices, eps^{0123} = -1
    f2_dual = 0.5 * np.einsum("mnrs,...rs->...mn", epsilon, lower(f2, 2))

    def curl(derivative: np.ndarray) -> np.ndarray:
        """eps^{mnrs} d_n V^+_r V_s for a given derivative."""
        lowered = (lower(x) for x in (derivative, e1, e2))
        return np.einsum("mnrs,...n,...r,...s->...m", epsilon, *lowered, optimize=True)

    product = dot(e1, e2)
    forth, back = dot(q, e1)[..., None] * e2, dot(q, e2)[..., None] * e1
    return {
        "S": product,
        "F": 0.5 * np.sum(f1 * lower(f2, 2), axis=(-2, -1)),
        "D": 0.5 * np.sum(f1 * lower(f2_dual, 2), axis=(-2, -1)),
        "V": 1j * product[..., None] * (1j * p2 - 1j * p1),
        "M": back - forth,  # i d_n (V^{+n} V^m - V^{+m} V^n)
        "E": back + forth,  # -i d_n (V^{+n} V^m + V^{+m} V^n)
        "A": 1j * curl(1j * p2 - 1j * p1),  # i eps^{mnrs} [V^+_r d_n V_s - (d_n V^+_r) V_s]
        "B": curl(1j * q),  # eps^{mnrs} d_n (V^+_r V_s)
        "T": 1j * (outer(e1, e2) - outer(e2, e1)),  # i (V^{+m} V^n - V^{+n} V^m)
    }


def distinct(pair: Pair) -> Pair:
    """A particle and its antiparticle, or two different particles."""
    return lambda p1, p2, m1, m2: _spins(pair(p1, p2, m1, m2))


def identical(pair: Pair, statistics: int) -> Pair:
    """Two equal, self-conjugate particles: both ways to contract; statistics +1 or -1.

    The factor 1/2 of their phase space is not in here, see `directions`.
    """

    def both(p1: np.ndarray, p2: np.ndarray, m1: float, m2: float) -> Current:
        if m1 != m2:
            raise AssertionError("identical particles have one mass")
        direct, exchanged = pair(p1, p2, m1, m2), _exchanged(pair(p2, p1, m2, m1))
        return _spins({d: x + statistics * exchanged[d] for d, x in direct.items()})

    return both


def flavoured(pair: Pair, statistics: int) -> Pair:
    """Two self-conjugate particles of flavours a, b, and an operator with a matrix c[a, b].

    The field of flavour a in the operator meets particle 1 with c[a, b] ("S" ...) and, the other
    way round, particle 2 with c[b, a] ("S exchanged" ...). The factor 1/2 for counting (a, b) and
    (b, a), or for equal flavours, is that of `directions(twins=True)`.
    """

    def both(p1: np.ndarray, p2: np.ndarray, m1: float, m2: float) -> Current:
        exchanged = _spins(_exchanged(pair(p2, p1, m2, m1)))
        current = _spins(pair(p1, p2, m1, m2))
        return current | {f"{d} exchanged": statistics * x for d, x in exchanged.items()}

    return both


def both_orders(couplings: Couplings) -> Couplings:
    """Couplings for `flavoured`; the last two axes are the flavours."""
    turned = {(q, f"{d} exchanged"): np.swapaxes(c, -1, -2) for (q, d), c in couplings.items()}
    return dict(couplings) | turned


# --- Phase space ------------------------------------------------------------------------------


def momentum(total: float, m1: float, m2: float) -> float:
    """Momentum of either daughter in the rest frame of a two-body decay."""
    factors = (total - m1 - m2) * (total + m1 + m2) * (total - m1 + m2) * (total + m1 - m2)
    return float(np.sqrt(factors) / (2 * total))


def directions(
    q2: float, m1: float, m2: float, *, twins: bool = False, polar: int = 6, azimuthal: int = 11
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Momenta p1, p2 in the rest frame of the pair and the weights of dPhi_2.

    Gauss-Legendre in cos theta, equal steps in phi: exact for polynomials of degree 10 in the
    momenta. The weights sum to 1/(8 pi) for massless particles, half of it for `twins`.
    """
    total = np.sqrt(q2)
    size = momentum(total, m1, m2)
    cosine, weight = np.polynomial.legendre.leggauss(polar)
    phi = 0.3 + 2 * np.pi * np.arange(azimuthal) / azimuthal
    cosine, phi = (x.ravel() for x in np.meshgrid(cosine, phi, indexing="ij"))
    sine = np.sqrt(1 - cosine**2)
    unit = np.stack([sine * np.cos(phi), sine * np.sin(phi), cosine], axis=-1)
    p1 = np.concatenate([np.full((len(unit), 1), np.hypot(size, m1)), size * unit], axis=-1)
    p2 = np.concatenate([np.full((len(unit), 1), np.hypot(size, m2)), -size * unit], axis=-1)
    weights = np.repeat(weight, azimuthal) * 2 * np.pi / azimuthal
    weights *= size / (16 * np.pi**2 * total)
    return p1, p2, weights / 2 if twins else weights


# --- Squared amplitudes and rates -------------------------------------------------------------

_CONTRACTIONS = {0: "e,ns->nes", 1: "em,nsm->nes", 2: "emk,nsmk->nes"}


def squared_amplitude(
    hadronic: Current, dark: Current, couplings: Couplings, weights: np.ndarray
) -> np.ndarray:
    """|sum of c <G_q> . D_d|^2, summed over spins and directions; (polarisations,).

    A coupling may have further axes (flavours of equal mass): their squares are summed.
    """
    total: np.ndarray | float = 0.0
    for (quark, d), coupling in couplings.items():
        rank = hadronic[quark].ndim - 1
        product = np.einsum(_CONTRACTIONS[rank], hadronic[quark], dark[d], optimize=True)
        total = total + np.multiply.outer(product, coupling)
    squared = (np.abs(total) ** 2).reshape(len(weights), len(hadronic["S"]), -1)
    return np.einsum("n,nes->e", weights, squared)


def at_rest(mass: float) -> np.ndarray:
    return np.array([mass, 0.0, 0.0, 0.0])


def daughter(
    mB: float, m: float, q2: float, direction: tuple = (0.36, -0.48, 0.8)
) -> tuple[np.ndarray, np.ndarray]:
    """Momenta of the B meson at rest and of its daughter of mass m along a unit direction."""
    size = momentum(mB, m, np.sqrt(q2))
    return at_rest(mB), np.array([np.hypot(size, m), *(size * np.array(direction))])


Elements = Callable[[np.ndarray, np.ndarray], Current]
Rate = Callable[[Couplings], np.ndarray]


def dgamma_dq2(
    elements: Elements,
    dark: Pair,
    *,
    q2: float,
    mB: float,
    m: float,
    m1: float,
    m2: float,
    twins: bool = False,
    direction: tuple = (0.36, -0.48, 0.8),
) -> Rate:
    """dGamma/dq2 of B -> M(k) pair, by polarisation of M, as a function of the couplings.

    The rest frame of the B meson; elements(p, k) are those of M.
    """
    p, k = daughter(mB, m, q2, direction)
    p1, p2, weights = directions(q2, m1, m2, twins=twins)
    matrix = boost(p - k, np.sqrt(q2))
    hadronic, current = elements(p, k), dark(p1 @ matrix.T, p2 @ matrix.T, m1, m2)
    phase_space = momentum(mB, m, np.sqrt(q2)) / (4 * np.pi * mB)
    factor = phase_space / (2 * np.pi) / (2 * mB)
    return lambda couplings: factor * squared_amplitude(hadronic, current, couplings, weights)


def gamma_two_body(
    elements: Elements,
    dark: Callable[[np.ndarray], Current],
    *,
    mB: float,
    m: float,
    mass: float,
) -> Rate:
    """Gamma(B -> M X) by polarisation of M, for one invisible particle X."""
    p, k = daughter(mB, m, mass**2)
    hadronic, current = elements(p, k), dark(p - k)
    factor = momentum(mB, m, mass) / (4 * np.pi * mB) / (2 * mB)
    return lambda couplings: factor * squared_amplitude(hadronic, current, couplings, np.ones(1))


def gamma_annihilation(
    decay_constant: float,
    dark: Pair,
    *,
    mB: float,
    mb: float,
    ms: float,
    m1: float,
    m2: float,
    twins: bool = False,
) -> Rate:
    """Gamma(Bs -> pair); one "polarisation"."""
    p1, p2, weights = directions(mB**2, m1, m2, twins=twins)
    hadronic = annihilation_elements(at_rest(mB), decay_constant, mb, ms)
    current = dark(p1, p2, m1, m2)
    return lambda couplings: squared_amplitude(hadronic, current, couplings, weights) / (2 * mB)


# --- Spectral densities -----------------------------------------------------------------------


def components(current: Current) -> tuple[Current, Current]:
    """Split rest-frame currents by spin: scalars and time components; space components.

    A tensor T has the electric part T.E, D^{0i}, and the magnetic T.B, (1/2) eps_{ijk} D^{jk}.
    """
    spin0: Current = {}
    spin1: Current = {}
    for d, x in current.items():
        if x.ndim == 2:
            spin0[d] = x
        elif x.ndim == 3:
            spin0[d], spin1[d] = x[..., 0], x[..., 1:]
        else:
            spin1[f"{d}.E"] = x[..., 0, 1:]
            spin1[f"{d}.B"] = np.einsum(
                "ijk,...jk->...i", EPSILON[0, 1:, 1:, 1:] / 2, x[..., 1:, 1:]
            )
    return spin0, spin1


Densities = dict[tuple[str, str], complex]


def spectral_densities(current: Current, weights: np.ndarray) -> tuple[Densities, Densities]:
    """int dPhi_2 sum over spins of D_c D_c'^* in the rest frame, by spin, unscaled.

    For all ordered pairs of currents. What must be there by rotations is checked: spin 0 does not
    interfere with spin 1, and the density of spin 1 is delta_ij Pi, of which Pi is returned.
    """
    spin0, spin1 = components(current)
    scalars = np.stack(list(spin0.values()))
    vectors = np.stack(list(spin1.values())) if spin1 else np.zeros((0, *scalars.shape[1:], 3))
    scalar = np.einsum("n,cns,dns->cd", weights, scalars, scalars.conj(), optimize=True)
    mixed = np.einsum("n,cns,dnsi->cdi", weights, scalars, vectors.conj(), optimize=True)
    tensor = np.einsum("n,cnsi,dnsj->cdij", weights, vectors, vectors.conj(), optimize=True)
    value = np.einsum("cdii->cd", tensor) / 3
    size = max(np.abs(scalar).max(), np.abs(value).max(initial=0.0))
    np.testing.assert_allclose(mixed, 0.0, atol=1e-12 * size)
    np.testing.assert_allclose(tensor, np.multiply.outer(value, np.eye(3)), atol=1e-12 * size)
    return (
        {(c, d): scalar[i, j] for i, c in enumerate(spin0) for j, d in enumerate(spin0)},
        {(c, d): value[i, j] for i, c in enumerate(spin1) for j, d in enumerate(spin1)},
    )
