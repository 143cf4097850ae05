"""How fast X exchanges momentum with the plasma: the rate gamma(T) of elastic scattering.

X f -> X f by a vector Z' in the t-channel, f and its antiparticle, and pions and kaons of spin 0.
With X at rest, omega and k the energy and the momentum of f, tau = -t, s = m^2 + 2 m omega + m_f^2,

    gamma(T) = 1/(48 pi^3 g_X m^3 T) int d omega  n(omega) [1 -+ n(omega)]
               1/8 int_0^(4 k_cm^2) d tau  tau sum |M|^2(s, tau),    k_cm^2 = m^2 k^2/s

(arXiv:1706.07433, eqs. 6 and 7, the derivative by parts undone): n of Fermi and Dirac or of Bose
and Einstein, g_X = 2, the sum over all spins, colours, f and fbar. It is what one finds from
<Delta p^2> = 3 gamma m T per time of X at rest: T_X relaxes at the rate gamma, momentum at gamma/2.
The recoil of X in s and k_cm is no detail: at T = m/20 electrons have 0.43, pions 0.27 of the rate
that they would have with X infinitely heavy. What the motion of X adds is left out: 16 to 23 % at
T = m/20, 6 to 9 % at m/100, from gamma = <(Delta E)^2>/(2 T^2 d<E>/dT) per time.

With pp' = m^2 + tau/2, kk' = m_f^2 + tau/2, S = s - m^2 - m_f^2 = 2 m omega and U = tau - S, a
current gamma^mu (gamma^mu gamma5) of X has c_X = tau/2 (2 m^2 + tau/2), one of f c_f = tau/2
(2 m_f^2 + tau/2), and

    sum |M|^2 = (16 g_X^2 g_f^2/(M^2 + tau)^2) [(S^2 + U^2)/2 - 2 c_f pp' - 2 c_X kk' + 4 c_X c_f]

for each of the four pairs of currents; vector times axial is odd under f -> fbar and drops out. Two
axial currents also exchange the longitudinal part, 64 m^2 m_f^2 tau (2/M^2 + tau/M^4). A particle
of spin 0 has 4 g_X^2 g_f^2/(M^2 + tau)^2 [(S - U)^2/2 - (4 m_f^2 + tau) c_X].
"""

from __future__ import annotations

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

#: Temperature of the crossover of QCD, GeV (HotQCD, arXiv:1812.08235), and its width in ln T.
TRANSITION, CROSSOVER = 0.1565, 0.1

#: Points in energy (Gauss and Laguerre) and in momentum transfer (Gauss and Legendre).
ENERGIES, TRANSFERS = 16, 6

#: Steps in ln T of a table of rates, and in the logarithm of kinetic energies there; the largest
#: and the number of these over T.
SPACING, _HOT, _KINETIC = 0.25, 36.0, 31

#: Masses, GeV, of e, mu, tau, three neutrinos, u, d, s, c, b, t (quarks: MSbar; PDG 2024).
_MASSES = np.array(
    [0.000511, 0.10566, 1.77693, 0, 0, 0, 0.00216, 0.0047, 0.0935, 1.273, 4.183, 172.57]
)
_U, _D, _S = 6, 7, 8

#: pi+, K+, K0: masses in GeV and squared radii over 6 in GeV^-2 (PDG 2024: 0.659, 0.560 fm).
_MESONS = np.array([0.13957, 0.49368, 0.49761])
_RADII = np.array([0.659, 0.560, 0.0]) ** 2 / 6.0 / 0.1973269804**2


class Partners(NamedTuple):
    """Particles of the plasma that X scatters on, each with its antiparticle; (n,) each."""

    mass: Array  #: GeV
    g_v: Array  #: couplings of fbar gamma^mu (g_V - g_A gamma5) f; of spin 0 the charge
    g_a: Array
    copies: Array  #: colours
    scalar: Array  #: whether of spin 0
    size: Array  #: GeV^-2: a form factor 1/(1 + size tau)
    phase: Array  #: 1: above the crossover of QCD alone, -1: below it alone, 0: always


def standard_model(g_v: ArrayLike, g_a: ArrayLike) -> Partners:
    """Return the particles of the standard model that X scatters on.

    Quarks above the crossover of QCD, charged pions and kaons below it, leptons always. W, Z and
    the Higgs boson are left out.

    Args:
        g_v, g_a: couplings (12,) of e, mu, tau, nu_e, nu_mu, nu_tau, u, d, s, c, b, t.

    >>> photon = np.array([-1, -1, -1, 0, 0, 0, 2/3, -1/3, -1/3, 2/3, -1/3, 2/3])
    >>> some = standard_model(photon, 0 * photon)
    >>> some.g_v[12:].round(6).tolist()  # pi+, K+, K0
    [1.0, 1.0, 0.0]
    """
    v, a = jnp.asarray(g_v, dtype=float), jnp.asarray(g_a, dtype=float)
    mesons = jnp.stack([v[_U] - v[_D], v[_U] - v[_S], v[_D] - v[_S]])
    return Partners(
        mass=jnp.asarray(np.concatenate([_MASSES, _MESONS])),
        g_v=jnp.concatenate([v, mesons]),
        g_a=jnp.concatenate([a, jnp.zeros(3)]),
        copies=jnp.asarray([1.0] * 6 + [3.0] * 6 + [1.0] * 3),
        scalar=jnp.asarray([False] * 12 + [True] * 3),
        size=jnp.asarray(np.concatenate([np.zeros(12), _RADII])),
        phase=jnp.asarray([0.0] * 6 + [1.0] * 6 + [-1.0] * 3),
    )


class Scattering(eqx.Module):
    """Elastic scattering of X on the plasma.

    Attributes:
        mediator: mass of the Z', GeV.
        g_v, g_a: couplings of X to it.
        partners: what it scatters on, with their couplings.
        transition: temperature in GeV above which there are quarks instead of hadrons.
        longitudinal: whether two axial currents exchange the longitudinal part.
    """

    mediator: ArrayLike
    g_v: ArrayLike
    g_a: ArrayLike
    partners: Partners
    transition: ArrayLike = TRANSITION
    longitudinal: bool = eqx.field(static=True, default=True)

    def rate(self, temperature: ArrayLike, mass: ArrayLike) -> Array:
        """Return gamma in GeV at temperatures of the plasma in GeV, any shape; mass of X in GeV.

        >>> photon = np.array([-1, -1, -1, 0, 0, 0, 2/3, -1/3, -1/3, 2/3, -1/3, 2/3])
        >>> X = Scattering(2.1, 0.3, 0.0, standard_model(1e-4 * photon, 0 * photon))
        >>> cold = X.rate(jnp.array([0.002, 0.004]), 1.0)
        >>> round(float(jnp.log2(cold[1] / cold[0])))  # gamma ~ T^6: relativistic electrons
        6
        """
        T = jnp.asarray(temperature, dtype=float)
        each = jax.vmap(lambda t: self.each(t, mass))(jnp.ravel(T))
        return jnp.sum(each, axis=-1).reshape(T.shape)

    def parts(self, hottest: ArrayLike, mass: ArrayLike, n: int) -> Array:
        """Return gamma in GeV at temperatures hottest exp(-SPACING i), (n, 3): of partners that are
        there always, above, below the crossover of QCD, `there` to be multiplied with.

        Smooth functions, of which few temperatures suffice. What a partner of one energy does is
        the same at all of them: energies are even in the logarithm, as temperatures are.

        Args:
            hottest, mass: the highest temperature, the mass of X, GeV.
            n: number of temperatures.

        >>> photon = np.array([-1, -1, -1, 0, 0, 0, 2/3, -1/3, -1/3, 2/3, -1/3, 2/3])
        >>> X = Scattering(2.1, 0.3, 0.0, standard_model(1e-4 * photon, 0 * photon))
        >>> parts, T = X.parts(0.2, 1.0, 9), 0.2 * jnp.exp(-8 * SPACING)
        >>> round(float(jnp.sum(parts[8] * X.there(T)) / X.rate(T, 1.0)), 5)
        1.0
        """
        m, top = jnp.asarray(mass, dtype=float), jnp.asarray(hottest, dtype=float)
        t = _HOT * np.exp(-SPACING * np.arange(_KINETIC))
        kinetic = top * _HOT * np.exp(-SPACING * np.arange(n + _KINETIC - 1))
        T = top * np.exp(-SPACING * np.arange(n))

        window = np.arange(n)[:, None] + np.arange(_KINETIC)[None]

        def one(f: Partners) -> Array:
            transfer = self._transfer(f, f.mass + kinetic, _recoil(f, kinetic, m), m)
            rare = jnp.exp(-f.mass / T)
            fall = rare[:, None] * np.exp(-t)[None]
            statistics = jnp.where(f.scalar, 1.0 - fall, 1.0 + fall) ** -2
            integral = (statistics * transfer[window]) @ (SPACING * t * np.exp(-t))
            return 2.0 * f.copies * rare * integral / (96.0 * np.pi**3 * m**3)

        classes = self.partners.phase[:, None] == np.array([[0.0, 1.0, -1.0]])
        return jax.vmap(one)(self.partners).T @ classes.astype(float)

    def there(self, temperature: ArrayLike) -> Array:
        """Return how much there is, at temperatures of any shape, of `parts`: (..., 3)."""
        above = jnp.log(jnp.asarray(temperature) / self.transition) / CROSSOVER
        shares = jnp.ones_like(above), jax.nn.sigmoid(above), jax.nn.sigmoid(-above)
        return jnp.stack(shares, axis=-1)

    def each(self, temperature: ArrayLike, mass: ArrayLike) -> Array:
        """Return the parts of gamma of the partners (n,) at one temperature, GeV."""
        T, m = jnp.asarray(temperature, dtype=float), jnp.asarray(mass, dtype=float)
        return jax.vmap(lambda partner: self._one(partner, T, m))(self.partners)

    def _one(self, f: Partners, T: Array, m: Array) -> Array:
        """Return the part of one partner."""
        t, weight = np.polynomial.laguerre.laggauss(ENERGIES)
        fall = -t - f.mass / T
        statistics = jnp.where(f.scalar, -jnp.expm1(fall), 1.0 + jnp.exp(fall)) ** -2
        omega = f.mass + T * t
        transfer = self._transfer(f, omega, _recoil(f, T * t, m), m)
        integral = jnp.sum(weight * statistics * transfer)
        here = jax.nn.sigmoid(f.phase * jnp.log(T / self.transition) / CROSSOVER)
        both = 2.0 * f.copies * jnp.where(f.phase == 0.0, 1.0, here)  # f and fbar
        return both * jnp.exp(-f.mass / T) * integral / (96.0 * np.pi**3 * m**3)

    def _transfer(self, f: Partners, omega: Array, k2_cm: Array, m: Array) -> Array:
        """Return 1/8 int d tau tau sum |M|^2 for f alone, GeV^4, at energies (n,).

        Points are even in ln(M^2 + tau), so that a light mediator does no harm.
        """
        M2 = jnp.asarray(self.mediator, dtype=float) ** 2
        v, weight = np.polynomial.legendre.leggauss(TRANSFERS)
        far = jnp.log1p(4.0 * k2_cm / M2)[:, None]
        tau = M2 * jnp.expm1(far * ((v + 1.0) / 2.0)[None])
        m2, mf2, half = m**2, f.mass**2, tau / 2.0
        S = 2.0 * m * omega[:, None]
        U = tau - S

        def currents(c_x: Array, c_f: Array) -> Array:
            crossed = 2.0 * c_f * (m2 + half) + 2.0 * c_x * (mf2 + half)
            return 16.0 * ((S**2 + U**2) / 2.0 - crossed + 4.0 * c_x * c_f)

        x = (jnp.asarray(self.g_v) ** 2, half), (jnp.asarray(self.g_a) ** 2, 2.0 * m2 + half)
        y = (f.g_v**2, half), (f.g_a**2, 2.0 * mf2 + half)
        fermion = sum((g * h * currents(c, d) for g, c in x for h, d in y), jnp.zeros(()))
        if self.longitudinal:
            fermion += x[1][0] * y[1][0] * 64.0 * m2 * mf2 * tau * (2.0 / M2 + tau / M2**2)
        spinless = 2.0 * (x[0][0] + x[1][0]) * (S - U) ** 2
        spinless -= 4.0 * (x[0][0] * x[0][1] + x[1][0] * x[1][1]) * (4.0 * mf2 + tau)
        squared = jnp.where(f.scalar, spinless * y[0][0], fermion)
        squared /= ((M2 + tau) * (1.0 + f.size * tau)) ** 2
        return jnp.sum(far / 2.0 * weight[None] * (M2 + tau) * tau * squared, axis=-1) / 8.0


def _recoil(f: Partners, kinetic: Array, m: Array) -> Array:
    """Return k_cm^2 in GeV^2 of kinetic energies (n,) of a partner, GeV."""
    k2 = kinetic * (kinetic + 2.0 * f.mass)
    return m**2 * k2 / (m**2 + 2.0 * m * (kinetic + f.mass) + f.mass**2)
