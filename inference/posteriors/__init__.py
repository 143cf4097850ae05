"""Posteriors: their draws and grids, what they predict, and whether to believe them."""
