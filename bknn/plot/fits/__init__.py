"""Figures of one fit: counts per bin, the spectrum, nuisances and their impacts."""
