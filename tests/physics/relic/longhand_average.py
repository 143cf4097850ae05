"""The thermal average <sigma v> of X and Xbar (Gondolo and Gelmini, 1991), three times.

    <sigma v> = int ds sigma(s) (s - 4 m^2) sqrt(s) K_1(sqrt(s)/T)/(8 m^4 T K_2(m/T)^2)

- `Average`: many panels, geometric about the threshold and about the pole, for any temperature;
- `by_digits`: adaptive, in mpmath, at one temperature;
- `two_momenta`: as it is defined, over both momenta with Maxwell-Boltzmann weights.

Widths down to 1e-12 of the mass ask for one care: the distance to the pole is a variable of its own
and never the difference of two numbers. `python -m tests.physics.relic.longhand_average` writes
numbers/average.csv (some minutes, the digits).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import mpmath as mp
import numpy as np
from scipy.special import kve

NUMBERS = Path(__file__).parent / "numbers"


@dataclass(frozen=True)
class Resonance:
    """X Xbar -> Z'* -> all that `visible` counts.

    visible: width in GeV of a vector of mass sqrt(s) with the couplings of the Z' to what is seen;
        if it is a number, that times sqrt(s).
    """

    m: float
    M: float = 2.1
    width: float = 1e-3
    g_v: float = 0.1
    g_a: float = 0.0
    visible: float | Callable = 1e-9

    def sigma_flux(self, root, k, delta):
        """sigma sqrt(s (s - 4 m^2)) at sqrt(s) = root = 2 m + k = M + delta."""
        pole = (delta * (2 * self.M + delta)) ** 2 + (self.M * self.width) ** 2
        seen = self.visible(root) if callable(self.visible) else self.visible * root
        mass2 = (2 * self.m / root) ** 2
        beta2 = k * (root + 2 * self.m) / root**2
        at_X = self.g_v**2 * (1 + mass2 / 2) + self.g_a**2 * beta2
        return at_X * root**3 * seen / pole


def scaled_bessel(n, z):
    """K_n(z) e^z; scipy's gives up near 1e9, where two terms of the series are exact."""
    large = np.maximum(z, 1e5)
    series = 1 + (4 * n**2 - 1) / (8 * large) * (1 + (4 * n**2 - 9) / (16 * large))
    return np.where(z > 1e5, np.sqrt(np.pi / (2 * large)) * series, kve(n, np.minimum(z, 1e5)))


class Average:
    """<sigma v>(x) in GeV^-2.

    Panels reach from kinetic energies of 1e-12 m to 75 temperatures at `x_min`; at each edge the
    next one is 10^(1/per_decade) times further from the threshold, or from the pole.
    """

    def __init__(self, process, x_min=2.0, per_decade=3, nodes=16, breaks=()):
        self.m, m, at = process.m, process.m, process.M - 2 * process.m
        top = 75 * m / x_min
        steps = 10 ** np.arange(-1, 40, 1 / per_decade)
        edges = [(k, k - at) for k in np.append(steps * 1e-11 * m, top) if k <= top]
        edges += [(b - 2 * m, b - process.M) for b in breaks if 0 < b - 2 * m < top]
        around = [0.0, *(process.width * steps), *(-process.width * steps)]
        edges += [(at + d, d) for d in around if 0 < at + d < top]
        k, delta = np.array(sorted(edges)).T
        length = np.where(np.abs(delta[1:]) < k[1:], np.diff(delta), np.diff(k))
        t, w = np.polynomial.legendre.leggauss(nodes)
        t, w = (t + 1) / 2, w / 2
        first = k[0] * t**2  # sigma may go like 1/sqrt(k): k = u^2 in the panel at threshold
        self.k = np.concatenate([first, (k[:-1, None] + length[:, None] * t).ravel()])
        distance = np.concatenate([first - at, (delta[:-1, None] + length[:, None] * t).ravel()])
        weight = np.concatenate([2 * k[0] * t * w, (length[:, None] * w).ravel()])
        self.root = 2 * m + self.k
        # sigma (s - 4 m^2) sqrt(s) ds = [sigma flux] sqrt(s - 4 m^2) 2 sqrt(s) d sqrt(s)
        speed = np.sqrt(self.k * (self.root + 2 * m))
        self.weight = (
            weight * 2 * self.root * speed * process.sigma_flux(self.root, self.k, distance)
        )

    def __call__(self, x):
        if np.size(x) > 100:  # memory
            return np.concatenate([self(part) for part in np.array_split(x, np.size(x) // 50)])
        T = self.m / np.asarray(x, float)[..., None]
        thermal = (
            np.exp(-self.k / T)
            * scaled_bessel(1, self.root / T)
            / scaled_bessel(2, self.m / T) ** 2
        )
        return np.sum(self.weight * thermal / T, -1) / (8 * self.m**4)


def by_digits(process, x, digits=20):
    """The same by mpmath's adaptive rule, over the square root of the kinetic energy."""
    with mp.workdps(digits):
        m, M, width = mp.mpf(process.m), mp.mpf(process.M), mp.mpf(process.width)
        T = m / mp.mpf(x)
        at = M - 2 * m

        def integrand(u):
            k = u * u
            root = 2 * m + k
            beta2 = k * (root + 2 * m) / root**2
            at_X = process.g_v**2 * (1 + 2 * m**2 / root**2) + process.g_a**2 * beta2
            pole = ((k - at) * (root + M)) ** 2 + (M * width) ** 2
            seen = process.visible * root
            flux = at_X * root**3 * seen / pole
            return flux * u * mp.sqrt(root + 2 * m) * mp.besselk(1, root / T) * 4 * root * u

        steps = [mp.mpf(10) ** (n / mp.mpf(3)) for n in range(-30, 45)]
        edges = {T * s for s in steps if 1e-7 < s < 60}
        for s in steps:
            if s > 0.4 and width * s < 60 * max(T, width):
                edges |= {at - width * s, at + width * s, width * s}
        edges |= {at, 60 * T}
        edges = [mp.mpf(0), *sorted(e for e in edges if 0 < e <= 60 * T)]
        total = mp.quad(
            integrand, [mp.sqrt(e) for e in edges], method="gauss-legendre", maxdegree=4
        )
        return float(total / (8 * m**4 * T * mp.besselk(2, m / T) ** 2))


def two_momenta(process, x, energies=160, inner=48, reach=7.0, moment=False):
    """int d^3p d^3k e^{-(E + E')/T} sigma v_Moller over the same without sigma v, in E, E' and s.

    d^3p d^3k = 8 pi^2 p E dE k E' dE' d(cos), sigma v_Moller E E' = sigma sqrt(s (s - 4 m^2))/2 and
    s = 2 m^2 + 2 E E' - 2 p k cos: for each pair of energies an integral over s, through the pole
    by s - M^2 = M Gamma tan(angle). Good for wide resonances. moment: times p^2/(3 E T).
    """
    m, T = process.m, process.m / x
    t, w = np.polynomial.legendre.leggauss(energies)
    u, w = reach * (t + 1) / 2, w * reach / 2  # E - m = T u^2
    E, weight = m + T * u**2, w * 2 * u * T * np.exp(-(u**2))
    p = np.sqrt(E**2 - m**2)
    norm = np.sum(weight * p * E) ** 2
    t, w = np.polynomial.legendre.leggauss(inner)
    narrow = process.M * process.width
    total = 0.0
    for E_1, p_1, w_1 in zip(E, p, weight, strict=True):
        middle, half = 2 * m**2 + 2 * E_1 * E, 2 * p_1 * p
        low, high = (np.arctan((middle + a * half - process.M**2) / narrow) for a in (-1, 1))
        angle = low[:, None] + (high - low)[:, None] * (t + 1) / 2
        root = np.sqrt(np.maximum(process.M**2 + narrow * np.tan(angle), 4 * m**2))
        flux = process.sigma_flux(root, root - 2 * m, root - process.M)
        over_s = np.sum(w * flux / 2 * narrow / np.cos(angle) ** 2, -1) * (high - low) / 2
        extra = p_1**2 / (3 * E_1 * T) if moment else 1.0
        total += w_1 * extra * np.sum(weight * over_s) / 4  # p k d(cos)/2 = ds/4
    return total / norm


def narrow(process, x):
    """The limit Gamma -> 0: a delta function, pole above threshold."""
    m, M = process.m, process.M
    T, delta = m / np.asarray(x, float), M - 2 * m
    flux = process.sigma_flux(M, delta, 0.0) * (M * process.width) * np.pi  # int ds over the pole
    thermal = np.exp(-delta / T) * scaled_bessel(1, M / T) / scaled_bessel(2, m / T) ** 2
    return flux * np.sqrt(delta * (M + 2 * m)) * thermal / (8 * m**4 * T)


WIDTHS = (0.1, 1e-3, 1e-6, 1e-10, 1e-12)
MASSES = (0.3, 0.45, 0.499, 0.49999, 0.5, 0.500001, 0.51, 0.8)  # over M
X = (3.0, 10.0, 20.0, 100.0, 1e3, 1e4, 1e6)
#: where mpmath was asked, too: m/M, Gamma/M, x
DIGITS = (
    (0.45, 0.1, 20.0),
    (0.45, 1e-3, 20.0),
    (0.499, 1e-6, 100.0),
    (0.45, 1e-10, 20.0),
    (0.49999, 1e-12, 1e4),
    (0.5, 1e-6, 20.0),
    (0.5, 1e-12, 1e6),
    (0.500001, 1e-10, 1e3),
    (0.8, 1e-3, 3.0),
)


def write():
    lines = ["# python -m tests.physics.relic.longhand_average", "m_over_M,width_over_M,x,sigma_v"]
    for r in MASSES:
        for width in WIDTHS:
            average = Average(Resonance(m=r * 2.1, width=width * 2.1))
            lines += [f"{r},{width},{x:g},{average(x):.11e}" for x in X]
    (NUMBERS / "average.csv").write_text("\n".join(lines) + "\n")
    lines = ["# python -m tests.physics.relic.longhand_average", "m_over_M,width_over_M,x,sigma_v"]
    for r, width, x in DIGITS:
        lines.append(
            f"{r},{width},{x:g},{by_digits(Resonance(m=r * 2.1, width=width * 2.1), x):.11e}"
        )
        print(lines[-1], flush=True)
    (NUMBERS / "average_digits.csv").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    write()
