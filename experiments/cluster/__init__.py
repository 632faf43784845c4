"""Runs and seeds as tasks of a Dask cluster: `--scheduler=HOST:PORT`."""
