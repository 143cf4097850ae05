"""Measurements made of others: simplified, projected to more data, in finer bins."""
