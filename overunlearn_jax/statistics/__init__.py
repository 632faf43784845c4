"""Intervals over seeds, and how many seeds a question needs."""
