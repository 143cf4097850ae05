"""The profile likelihood: on grids, as intervals of single parameters, as contours of two."""
