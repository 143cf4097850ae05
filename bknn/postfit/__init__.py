"""What a fit says of the counts: expectations per bin, with uncertainties, and their parts."""
