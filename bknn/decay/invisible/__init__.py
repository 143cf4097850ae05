"""What may be invisible: spectral densities, one file per final state."""
