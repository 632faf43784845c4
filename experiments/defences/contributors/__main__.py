"""Attackers whose crafted samples are trained on first, and then deleted.

    python -m experiments.defences.contributors --data_dir=FOLDER --workdir=runs/contributors --seeds=0-2

Two of them, each beside honest twins: pushed samples that are handed in, trained on and deleted, by a first-order step
and by retraining; and poison under camouflage, of which the camouflage is deleted exactly. Eight trainings a seed.
Records go to WORKDIR/contributors.jsonl, a page to contributors.md; killed, it goes on where it was.
"""

if __name__ == "__main__":  # before all else is imported: Ctrl-C is one line from here on
    from experiments.command import start

    start("contributors", "python -m experiments.defences.contributors")

from pathlib import Path

from absl import flags

from experiments import study
from experiments.run.devices import check_devices

FILE = "contributors.jsonl"
DEFAULTS = study.defaults("contributors") | {"epochs": 12}
OWN = ("train_samples", "honest_cost", "held", "poison_copies", "camouflage_copies", "noise")


def define_flags() -> None:
    """Those of a run, how much is trained on, and what the attacker has."""
    study.define_flags(study.with_search(DEFAULTS))
    flags.DEFINE_integer("train_samples", 10_000, "training images, drawn by seed; 0: all", lower_bound=0)
    flags.DEFINE_multi_float(
        "held", [0.5], "fraction of class A's images that the camouflaged attacker has; 0.5 at most"
    )
    flags.DEFINE_integer("poison_copies", 1, "of each image under class B's label", lower_bound=1)
    flags.DEFINE_integer("camouflage_copies", 1, "of each image under class A's label", lower_bound=1)
    flags.DEFINE_float("noise", 2 / 255, "standard deviation of what tells copies apart, pixels in a range of 1")


def main(arguments: list[str]) -> None:
    """Flags to records, records to a page."""
    config = study.read_flags(arguments, study.with_search(DEFAULTS))
    if config.victim.trained:
        raise ValueError(f"--trained={config.victim.trained}: this trains services of its own: leave it out")
    check_devices()
    from experiments.defences.contributors.contributions import Camouflage  # after the flags, as in other suites
    from experiments.defences.contributors.measure import Plan, measure_seed
    from experiments.defences.contributors.page import write
    from experiments.run.locks import alone_in
    from experiments.run.outputs import make_folders

    given = flags.FLAGS
    camouflages = tuple(
        Camouflage(held, given.poison_copies, given.camouflage_copies, given.noise) for held in given.held
    )
    plan = Plan(given.train_samples, given.honest_cost, camouflages)
    make_folders(config)
    folder = Path(config.run.workdir)
    command = study.typed_command("experiments.defences.contributors", OWN)
    with alone_in(folder):
        for seed in config.run.seeds:
            measure_seed(config, seed, plan, folder / FILE, command)
        print(write(folder / FILE))
