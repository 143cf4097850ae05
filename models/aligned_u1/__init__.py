"""The minimal aligned U(1)': a top partner, a dark scalar and their Z' (arXiv:1704.06005)."""
