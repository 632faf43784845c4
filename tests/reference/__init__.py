"""Slow, obvious versions to compare the package with."""
