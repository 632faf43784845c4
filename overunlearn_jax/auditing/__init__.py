"""Audits: rows in, claims out."""
