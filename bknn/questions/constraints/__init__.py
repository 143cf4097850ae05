"""Questions about what single data sets exclude: planes of a model, and its dark matter."""
