"""Trained victims on disk: found again by all that decides their weights."""
