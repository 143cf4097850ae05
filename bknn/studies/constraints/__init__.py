"""What single data sets say of the points of a model: planes of exclusions, and dark matter."""
