"""Trains the victims of a run and attacks nothing: a run with the same flags and --cache_dir then finds them.

    python -m experiments.victims --flagfile=experiments/flagfiles/victims_paper.cfg --data_dir=FOLDER
    python -m experiments.victims --flagfile=... --data_dir=FOLDER --keep=experiments/results/victims

Weights in experiments/results/victims, where --keep puts them, are found and not trained again, by every run. One
line for each seed as it ends. Killed, it goes on from the last whole epoch when the same command is started again.
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
from overunlearn_jax.services.service import HasWeights


def define_flags() -> None:
    """Those of a run, and where weights are kept."""
    config_flags.define_flags()
    flags.DEFINE_string(
        "keep",
        "",
        "folder that gets the trained weights as NAME.npz, and NAME.json beside it; empty: --cache_dir alone",
    )


def main(arguments: list[str]) -> None:
    """Flags to config, config to one victim a seed."""
    if len(arguments) > 1:
        raise ValueError(f"unexpected arguments {arguments[1:]}: every setting is a --flag, see --help")
    config = config_flags.from_flags(flags.FLAGS, needs_classes=False)
    if config.victim.trained or config.service.users or config.service.facts.prepares:
        raise ValueError(
            "this command trains single models: leave out --trained, --service, and methods that train a victim of "
            "their own"
        )
    check_devices()
    from experiments.run.outputs import make_folders  # after the flags: --help and wrong flags answer at once

    make_folders(config, ["cache_dir"])
    for seed in config.run.seeds:
        print(train(config, seed, flags.FLAGS.keep), flush=True)


def train(config: Config, seed: int, keep: str = "") -> str:
    """Trains the victim of one seed, or finds it, keeps its weights where asked, and says in a line what it is."""
    from experiments.requests.settings import load_splits  # after the flags: --help and wrong flags answer at once
    from experiments.run.keys import seed_keys
    from experiments.victims import kept
    from experiments.victims.cache import settings_of, train_or_find
    from overunlearn_jax.evaluation import evaluate

    splits = load_splits(config, seed)
    began = time.perf_counter()
    victim = train_or_find(config.victim, config.service, config.run, splits, seed, seed_keys(seed).train)
    seconds = time.perf_counter() - began
    metrics = Path(config.run.cache_dir) / "victims" / victim.trained_as / "epochs" / "metrics.jsonl"
    epochs = json.loads(metrics.read_bytes().splitlines()[-1])["epoch"] + 1 if metrics.exists() else None
    validation, test = (
        evaluate(victim.service.predict, part, splits.spec.num_classes).overall
        for part in (splits.validation, splits.test)
    )
    if keep:
        facts = {"epochs": epochs, "validation_accuracy": validation, "test_accuracy": test}
        assert isinstance(victim.service, HasWeights)  # trained here
        kept.keep(Path(keep), settings_of(config.victim, splits, seed), victim.service.variables, facts)
    trained = "weights that were kept" if epochs is None else f"{epochs} epochs"
    return (
        f"seed {seed}: {victim.trained_as} with the weights {victim.name}, {trained}, accuracy {validation:.2%} "
        f"(validation), {test:.2%} (test), {seconds:.0f} s in this run"
    )
