"""Runs of the toolkit: flags, flagfiles, pipeline, benchmarks; the only place that knows every part."""
