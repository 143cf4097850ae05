"""Decays of the heavy quark T by sums over spins, traces multiplied as numbers."""

from __future__ import annotations

import numpy as np

from .longhand import GAMMA, METRIC, P_L, P_R, slash


def momentum(parent, one, other):
    plus, minus = parent**2 - (one + other) ** 2, parent**2 - (one - other) ** 2
    return np.sqrt(plus * minus) / (2 * parent)


def two_body(m_F, m_f, boson, vertices, polarisations):
    """Gamma(F -> f boson) = p/(8 pi m_F^2) times half the sum over spins of |ubar_f V u_F|^2.

    vertices (n, 4, 4); polarisations(k): their metric (n, n), of the momentum of the boson.
    """
    p = momentum(m_F, m_f, boson)
    axis = np.array([0, 0, 0, p])
    before = np.array([m_F, 0, 0, 0])
    after, k = (
        np.array([np.hypot(p, m_f), 0, 0, 0]) + axis,
        np.array([np.hypot(p, boson), 0, 0, 0]) - axis,
    )
    barred = GAMMA[0] @ np.conj(np.swapaxes(vertices, -1, -2)) @ GAMMA[0]
    traces = np.einsum(
        "ab,mbc,cd,nda->mn",
        slash(after) + m_f * np.eye(4),
        vertices,
        slash(before) + m_F * np.eye(4),
        barred,
    )
    return p / (8 * np.pi * m_F**2) * np.sum(traces * polarisations(k)).real / 2


def to_vector(m_F, m_f, mass, left, right):
    """L = V_mu fbar g^mu (left P_L + right P_R) F."""

    def polarisations(k):
        lower = METRIC @ k
        return np.outer(lower, lower) / mass**2 - METRIC

    return two_body(m_F, m_f, mass, GAMMA @ (left * P_L + right * P_R), polarisations)


def to_scalar(m_F, m_f, mass, right, left):
    """L = h fbar (right P_R + left P_L) F."""
    return two_body(m_F, m_f, mass, (right * P_R + left * P_L)[None], lambda k: np.ones((1, 1)))


def widths(top, coupling, mass, m_phi, m_h=125.25):
    """Partial widths of T, by final state, GeV."""
    ew, (m_t, m_T) = top.ew, top.m
    hidden = coupling * top.z_prime["L"][0, 1], coupling * top.z_prime["R"][0, 1]
    return {
        "bW": to_vector(m_T, 0.0, ew.m_w, ew.g / np.sqrt(2) * top.w[1], 0.0),
        "tZ": to_vector(m_T, m_t, ew.m_z, ew.g_z / 2 * top.w[0] * top.w[1], 0.0),
        "th": to_scalar(m_T, m_t, m_h, top.higgs[0, 1], top.higgs[1, 0]),
        "tZprime": to_vector(m_T, m_t, mass, *hidden),
        "tphi": to_scalar(m_T, m_t, m_phi, top.phi[1, 0], top.phi[0, 1]),
    }
