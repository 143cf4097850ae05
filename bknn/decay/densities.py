"""What the invisible side of a decay hands over: spectral densities, sorted by spin.

Everything about an invisible final state that a rate can see, once its phase space is integrated
over, is a few functions of q2, one for each pair of currents that make states of the same spin.
"""

from __future__ import annotations

from typing import NamedTuple

from jax import Array


class Densities(NamedTuple):
    """The spectral densities of one invisible final state, at some values of q2.

    A density is the sum over spins, integrated over two-body phase space, of the product of two
    matrix elements D = <final state| current |0>, in the rest frame of the invisible state:

        int dPhi_2 sum_spins D_c D_c'*,

    with dPhi_2 normalised to 1/(8 pi) for two massless particles. A current without index has
    spin 0. Of a vector current the time component has spin 0 and the space components spin 1,
    where the density is what multiplies delta_ij. A tensor current has an electric part, -i times
    its components 0i (key "T.E"), and a magnetic one, eps_ijk D^jk / 2 (key "T.B"). The -i is there
    because <sigma_0i> = -i <g_i> for a static quark: hadronic amplitudes and densities are real.

    They come scaled, so that a massless final state is as smooth as a massive one: amplitudes
    of time components and of spin 1 are divided by sqrt(q2). The hadronic amplitudes that they
    meet are multiplied by it.

    Attributes:
        spin0: densities keyed by the unordered pair of currents, written once; a pair that is
            not there does not interfere. Each is real and has the shape of q2.
        spin1: the same for spin 1.

    >>> import jax.numpy as jnp
    >>> from bknn.decay.invisible import scalar_pair
    >>> densities = scalar_pair.densities(jnp.array([1.0, 4.0]), 0.5)
    >>> sorted(densities.spin0), sorted(densities.spin1)
    ([('S', 'S')], [('V', 'V')])
    >>> densities.spin0["S", "S"].shape
    (2,)
    """

    spin0: dict[tuple[str, str], Array]
    spin1: dict[tuple[str, str], Array]
