"""The controls of a push: a longer honest step, and honest requests as people make them.

    python -m experiments.controls --data_dir=FOLDER --workdir=runs/controls --seeds=0-9

For each victim and method: every request's step, how long it is beside the honest one and where it points; what is left
of class A after it, after the honest step made as long, and after it made as short as the honest one. The rate of a
first-order step is chosen for each victim and reading on validation images: the smallest at which the honest request
costs class A --honest_cost. Records go to WORKDIR/controls.jsonl, a page to controls.md; killed, it goes on where it
was.
"""

if __name__ == "__main__":  # before all else is imported: Ctrl-C is one line from here on
    from experiments.command import start

    start("controls", "python -m experiments.controls")

from pathlib import Path

from absl import flags

from experiments import study
from experiments.controls.cells import METHODS, READINGS, chosen_cells
from experiments.run.devices import check_devices

FILE = "controls.jsonl"
DEFAULTS = study.defaults("controls")
OWN = ("methods", "readings", "honest_cost")


def define_flags() -> None:
    """Those of a run, which methods, and what an honest request may cost."""
    study.define_flags(study.with_search(DEFAULTS))
    flags.DEFINE_multi_enum("methods", METHODS, METHODS, "whose steps are looked at; give the flag several times")
    flags.DEFINE_multi_enum(
        "readings", READINGS, READINGS, "of the first-order step, which to look at; give the flag several times"
    )


def main(arguments: list[str]) -> None:
    """Flags to records, records to a page."""
    config = study.read_flags(arguments, study.with_search(DEFAULTS))
    check_devices()
    from experiments.controls.page import write  # after the flags: --help and wrong flags answer at once
    from experiments.controls.victim import measure_victim
    from experiments.run.locks import alone_in
    from experiments.run.outputs import make_folders

    make_folders(config)
    folder = Path(config.run.workdir)
    with alone_in(folder):
        for seed in config.run.seeds:
            measure_victim(
                config,
                seed,
                chosen_cells(flags.FLAGS.methods, flags.FLAGS.readings),
                flags.FLAGS.honest_cost,
                folder / FILE,
                study.typed_command("experiments.controls", OWN),
            )
        print(write(folder / FILE))
