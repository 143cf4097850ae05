"""Decays of a light vector particle, 1 MeV to 10 GeV, whatever it couples to.

    couplings   what it couples to: vector and axial couplings to fermions of the standard model and
                to dark ones; made from charges and mixings, or by name
    charges     a user's file of couplings
    mixing      couplings and masses from the kinetic and mass matrices of (A, Z, Z'), exactly
    electroweak the electroweak numbers that mixings need
    widths      partial widths, branching fractions, lifetime
    hadrons     R of each hadronic channel and current, as one table: meson by meson below 2 GeV, R
                data above
    axial       what axial couplings to light quarks make of it
    resonances  masses that are refused: at narrow charmonia and bottomonia
    invisible   the probability that nothing of it is seen in a detector
    over_mass   all of this over the mass: a table, a file, a figure
    searches    what searches for dark photons say of it
    low_energy  magnetic moments, parity violation in atoms, scattering on nucleons

Rooms above import what they need from these files; `docs/vectors.md` is the account of it.
"""
