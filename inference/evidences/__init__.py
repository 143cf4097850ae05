"""Evidences of models, and hypotheses side by side."""
