"""The best fit of a likelihood, and of many side by side."""
