"""Runs the optional measurements that flags ask for, on one victim."""

from pathlib import Path

from absl import flags

from experiments.config import Config
from experiments.defences.optional.added_seconds import measure_seconds
from experiments.defences.optional.robust import Look, measure_robustness
from experiments.defences.optional.server_costs import measure_costs
from experiments.defences.optional.stored_digests import measure_digests


def measure_parts(given: flags.FlagValues, config: Config, seed: int, folder: Path, command: str) -> None:
    """Adds the records of each part, to a file of its own in `folder`; those that are there are left out."""
    if given.robustness:
        look = Look(given.robustness_samples, retrained=given.robustness_retrained)
        measure_robustness(config, seed, given.honest_cost, folder, command, look)
    if given.seconds:
        measure_seconds(config, seed, folder, command)
    if given.costs:
        measure_costs(config, seed, folder, command)
    if given.digests:
        measure_digests(config, seed, folder, command)
