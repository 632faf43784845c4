"""Services of a user's own, a framework a file: what `--service=experiments.services.pytorch:Service` audits."""
