"""Files that are complete on disk or not there, and what long computations keep in them."""
