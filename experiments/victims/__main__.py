"""Trains the victims of a run and attacks nothing: a run with the same flags and --cache_dir then finds them.

    python -m experiments.victims --flagfile=experiments/flagfiles/victims_paper.cfg --data_dir=FOLDER

One line for each seed as it ends. Killed, it goes on from the last whole epoch when the same command is started again.
"""

if __name__ == "__main__":  # before all else is imported: Ctrl-C is one line from here on
    from experiments.command import start

    start("victims", "python -m experiments.victims")

import json
import time
from pathlib import Path

from absl import flags

from experiments.config import Config
from experiments.config import flags as config_flags
from experiments.run.devices import check_devices

define_flags = config_flags.define_flags


def main(arguments: list[str]) -> None:
    """Flags to config, config to one victim a seed."""
    if len(arguments) > 1:
        raise ValueError(f"unexpected arguments {arguments[1:]}: every setting is a --flag, see --help")
    config = config_flags.from_flags(flags.FLAGS)
    if config.victim.trained or config.service.users or config.service.facts.prepares:
        raise ValueError(
            "this command trains single models: leave out --trained, --service, and methods that train a victim of "
            "their own"
        )
    check_devices()
    from experiments.run.outputs import make_folders  # after the flags: --help and wrong flags answer at once

    make_folders(config, ["cache_dir"])
    for seed in config.run.seeds:
        print(train(config, seed), flush=True)


def train(config: Config, seed: int) -> str:
    """Trains the victim of one seed, or finds it, and says in a line what it is."""
    from experiments.requests.settings import load_splits  # after the flags: --help and wrong flags answer at once
    from experiments.run.keys import seed_keys
    from experiments.victims.cache import train_or_find
    from overunlearn_jax.evaluation import evaluate

    splits = load_splits(config, seed)
    began = time.perf_counter()
    victim = train_or_find(config.victim, config.service, config.run, splits, seed, seed_keys(seed).train)
    seconds = time.perf_counter() - began
    metrics = Path(config.run.cache_dir) / "victims" / victim.trained_as / "epochs" / "metrics.jsonl"
    epochs = json.loads(metrics.read_bytes().splitlines()[-1])["epoch"] + 1
    validation, test = (
        evaluate(victim.service.predict, part, splits.spec.num_classes).overall
        for part in (splits.validation, splits.test)
    )
    return (
        f"seed {seed}: {victim.trained_as} with the weights {victim.name}, {epochs} epochs, accuracy {validation:.2%} "
        f"(validation), {test:.2%} (test), {seconds:.0f} s in this run"
    )
