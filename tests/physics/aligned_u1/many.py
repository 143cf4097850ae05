"""bknn's functions of the top partner at many points at once."""

from __future__ import annotations

import functools

import jax
import numpy as np

from bknn.models.aligned_u1 import top_partner
from bknn.vectors.electroweak import STANDARD

from .points import M_T


@functools.cache
def _compiled(function, arguments):
    def at(ew, m_t, m_T, s_R, *more):
        return function(top_partner.from_masses(m_t, m_T, s_R), ew, *more)

    return jax.jit(jax.vmap(at, in_axes=(None, *[0] * arguments)))


def over(function, m_T, s_R, *more, m_t=M_T, ew=STANDARD, size=40):
    """function(top, ew, *more) at up to `size` points, which are always so many: compiled once."""
    arrays = np.broadcast_arrays(*(np.array(x, float) for x in (m_t, m_T, s_R, *more)))
    shape = arrays[0].shape
    found = _compiled(function, len(arrays))(ew, *(np.resize(x, size) for x in arrays))
    return jax.tree.map(lambda x: np.asarray(x)[: arrays[0].size].reshape(shape), found)
