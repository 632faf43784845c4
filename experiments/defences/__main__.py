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

from experiments.config import Config
from experiments.config import flags as config_flags
from experiments.controls.__main__ import DEFAULTS as OF_CONTROLS
from experiments.controls.__main__ import typed_command
from experiments.defences.cells import METHODS
from experiments.run.devices import check_devices

DEFAULTS = OF_CONTROLS | {"experiment": "defences", "workdir": "runs/defences"}

MORE = (
    "newer",
    "robustness",
    "robustness_retrained",
    "robustness_samples",
    "seconds",
    "costs",
    "digests",
)  # flags of this program, beside those that choose what is defended


def define_flags() -> None:
    """Those of a run, which methods, and what an honest request may cost."""
    from experiments.audit import SEARCH  # the cheapest that does the paper's harm

    config_flags.define_flags(DEFAULTS | SEARCH)
    flags.DEFINE_multi_enum("methods", METHODS, METHODS, "which are defended; give the flag several times")
    flags.DEFINE_bool(
        "newer",
        False,
        "ask methods that are done what they were not asked, since it came with a later version; who gets through each "
        "gate is not asked again",
    )
    flags.DEFINE_bool(
        "robustness",
        False,
        "measure robustness, calibration and knowledge near forgotten samples, too (robustness.jsonl)",
    )
    flags.DEFINE_bool("robustness_retrained", False, "with --robustness: of a retrained model, too, a training a seed")
    flags.DEFINE_integer("robustness_samples", 500, "with --robustness: test images of class A, and of others", 1)
    flags.DEFINE_bool(
        "seconds",
        False,
        "take the time that defences add to an honest deletion, too, with nothing running beside (seconds.jsonl)",
    )
    flags.DEFINE_bool("costs", False, "count what requests cost the server by method and of SISA, too (costs.jsonl)")
    flags.DEFINE_bool("digests", False, "measure what stored digests give away, too (digests.jsonl)")
    flags.DEFINE_float(
        "honest_cost",
        0.061,
        "what the honest request of an undefended first-order step costs class A of its accuracy, as a fraction",
        lower_bound=1e-3,
        upper_bound=0.9,
    )


def main(arguments: list[str]) -> None:
    """Flags to records, records to a page."""
    from experiments.audit import SEARCH

    if len(arguments) > 1:
        raise ValueError(f"unexpected arguments {arguments[1:]}: every setting is a --flag, see --help")
    config = config_flags.from_flags(flags.FLAGS, DEFAULTS | SEARCH)
    if config.service.users or config.service.facts.prepares:
        raise ValueError("this compares defences of our methods: leave out --service, --service_url and --unlearning")
    check_devices()
    from experiments.defences.page import write  # after the flags: --help and wrong flags answer at once
    from experiments.defences.victim import measure_victim
    from experiments.run.locks import alone_in
    from experiments.run.outputs import make_folders

    make_folders(config)
    folder = Path(config.run.workdir)
    command = typed_command("experiments.defences", ("methods", "honest_cost", *MORE))
    with alone_in(folder):
        for seed in config.run.seeds:
            methods, cost, newer = flags.FLAGS.methods, flags.FLAGS.honest_cost, flags.FLAGS.newer
            measure_victim(config, seed, methods, cost, folder, command, newer=newer)
            _measure_more(config, seed, folder, command)
        print(write(folder))


def _measure_more(config: Config, seed: int, folder: Path, command: str) -> None:
    """The optional parts."""
    given = flags.FLAGS
    if given.robustness:
        from experiments.defences.robust import Look, measure_robustness

        look = Look(given.robustness_samples, retrained=given.robustness_retrained)
        measure_robustness(config, seed, given.honest_cost, folder, command, look)
    if given.seconds:
        from experiments.defences.added_seconds import measure_seconds

        measure_seconds(config, seed, folder, command)
    if given.costs:
        from experiments.defences.server_costs import measure_costs

        measure_costs(config, seed, folder, command)
    if given.digests:
        from experiments.defences.stored_digests import measure_digests

        measure_digests(config, seed, folder, command)
