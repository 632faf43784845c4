"""Defences, each against attackers who know it, and what each costs honest people.

    python -m experiments.defences --data_dir=FOLDER --workdir=runs/defences --seeds=0,1,2

For each victim: who gets through each gate (gates.jsonl): honest people, their samples stored anew in seven ways, and
attackers; and what a request costs class A behind each defence, method by method (harm.jsonl). A page goes to
defences.md. Killed, it goes on where it was.
"""

if __name__ == "__main__":  # before all else is imported: Ctrl-C is one line from here on
    from experiments.command import start

    start("defences", "python -m experiments.defences")

from pathlib import Path

from absl import flags

from experiments import study
from experiments.defences.cells import METHODS
from experiments.defences.optional import flags as optional_flags
from experiments.run.devices import check_devices

DEFAULTS = study.defaults("defences")


def define_flags() -> None:
    """Those of a run, which methods, and what an honest request may cost."""
    study.define_flags(study.with_search(DEFAULTS))
    flags.DEFINE_multi_enum("methods", METHODS, METHODS, "which are defended; give the flag several times")
    flags.DEFINE_bool(
        "newer",
        False,
        "ask methods that are done what they were not asked, since it came with a later version; who gets through each "
        "gate is not asked again",
    )
    optional_flags.define_flags()


def main(arguments: list[str]) -> None:
    """Flags to records, records to a page."""
    config = study.read_flags(arguments, study.with_search(DEFAULTS))
    check_devices()
    from experiments.defences.optional.measured import measure_parts  # after: --help and wrong flags answer at once
    from experiments.defences.page import write
    from experiments.defences.victim import measure_victim
    from experiments.run.locks import alone_in
    from experiments.run.outputs import make_folders

    make_folders(config)
    folder = Path(config.run.workdir)
    command = study.typed_command("experiments.defences", ("methods", "honest_cost", "newer", *optional_flags.NAMES))
    with alone_in(folder):
        for seed in config.run.seeds:
            methods, cost, newer = flags.FLAGS.methods, flags.FLAGS.honest_cost, flags.FLAGS.newer
            measure_victim(config, seed, methods, cost, folder, command, newer=newer)
            measure_parts(flags.FLAGS, config, seed, folder, command)
        print(write(folder))
