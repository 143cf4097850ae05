"""Abundance of dark matter that freezes out, and what becomes of it."""
