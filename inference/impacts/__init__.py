"""Where the uncertainty of a parameter comes from."""
