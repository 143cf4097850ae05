"""A model and measurements, as one log density of a flat vector."""
