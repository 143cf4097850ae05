"""Runs: several questions on one card, answered in one folder, whatever happens in between.

`docs/runs.md` describes cards and folders.
"""
