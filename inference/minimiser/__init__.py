"""The minimiser: compiled once for measurements, told of a model by its signal near a point."""
