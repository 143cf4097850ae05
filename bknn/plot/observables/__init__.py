"""Figures of predicted observables."""
