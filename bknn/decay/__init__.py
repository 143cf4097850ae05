"""Decay rates: what a model predicts before a detector sees it."""
