"""Tests of overunlearn_jax.unlearn."""
