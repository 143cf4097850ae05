"""Toys: simulated data sets, fitted; what they say of coverage, goodness of fit, significance."""
