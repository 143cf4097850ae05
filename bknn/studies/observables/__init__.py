"""Observables that a fit or a posterior predicts, with their uncertainties."""
