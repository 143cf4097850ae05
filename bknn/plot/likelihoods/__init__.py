"""Figures of likelihoods: profiles, limits, toys, scenarios, projections."""
