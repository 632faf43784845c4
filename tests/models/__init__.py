"""Tests of overunlearn_jax.models."""
