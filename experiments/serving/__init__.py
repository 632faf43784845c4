"""The reference service over a victim of ours: what `overunlearn serve` and the demo start."""
