"""Figures of posteriors, and whether to believe them."""
