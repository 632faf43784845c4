"""Can anyone tell what a model forgot? Models that know their training data, and unlearn half of some samples each.

    python -m experiments.u_lira --data_dir=FOLDER --workdir=runs/u_lira

Trains --models of them, all on the same data but for the audited samples of class A, of which each has another half. It
then asks each to forget that half, method by method, and judges by U-LiRA and KLOM what is left. Records go to
WORKDIR/u_lira.jsonl, a page to u_lira.md; killed, it goes on where it was.
"""

if __name__ == "__main__":  # before all else is imported: Ctrl-C is one line from here on
    from experiments.command import start

    start("u_lira", "python -m experiments.u_lira")

from pathlib import Path

from absl import flags

from experiments import study
from experiments.defences.cells import METHODS
from experiments.run.devices import check_devices

DEFAULTS = study.defaults("u_lira") | {"epochs": 40, "patience": 40, "seeds": (0,)}
OWN = ("methods", "models", "requested", "train_samples", "honest_cost")


def define_flags() -> None:
    """Those of a run, how many models, what each is trained on and forgets, and by which methods."""
    study.define_flags(DEFAULTS)
    flags.DEFINE_multi_enum("methods", METHODS, METHODS, "by which they forget; give the flag several times")
    flags.DEFINE_integer("models", 16, "each forgets another half of the audited samples; even", lower_bound=6)
    flags.DEFINE_integer("requested", 100, "samples of class A that each forgets: half of those audited", lower_bound=2)
    flags.DEFINE_integer("train_samples", 10_000, "training images of each model, drawn by seed", lower_bound=10)


def main(arguments: list[str]) -> None:
    """Flags to records, records to a page."""
    config = study.read_flags(arguments, DEFAULTS)
    if config.victim.trained:
        raise ValueError(f"--trained={config.victim.trained}: this trains models of its own: leave it out")
    if len(config.run.seeds) > 1:
        raise ValueError(f"--seeds={','.join(map(str, config.run.seeds))}: expected one, and a --workdir for each")
    check_devices()
    from experiments.run.locks import alone_in  # after the flags: --help and wrong flags answer at once
    from experiments.run.outputs import make_folders
    from experiments.u_lira.measure import FILE, Plan, measure_seed
    from experiments.u_lira.page import write

    given = flags.FLAGS
    plan = Plan(given.models, given.requested, given.train_samples, given.honest_cost)
    make_folders(config)
    folder = Path(config.run.workdir)
    with alone_in(folder):
        [seed] = config.run.seeds
        command = study.typed_command("experiments.u_lira", OWN)
        measure_seed(config, seed, plan, given.methods, folder / FILE, command)
        print(write(folder / FILE))
