"""Statistical models of measurements: how likely are the counts, given the expectation."""

from bknn.likelihood.histfactory import HistFactory

__all__ = ["HistFactory"]
