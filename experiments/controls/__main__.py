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

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from absl import flags

from experiments.config import flags as config_flags
from experiments.config.fields import as_typed
from experiments.controls.cells import METHODS, READINGS, chosen_cells
from experiments.run.devices import check_devices

FILE = "controls.jsonl"
DEFAULTS: dict[str, Any] = {
    "experiment": "controls",
    "workdir": "runs/controls",
    "dataset": "cifar10",
    "class_a": "airplane",
    "class_b": "cat",
    "fractions": (0.1,),
    "blending_ratio": 0.3,
    "width": 16,
    "batch_norm_momentum": 0.99,
    "epochs": 20,
    "patience": 4,
}


def define_flags() -> None:
    """Those of a run, which methods, and what an honest request may cost."""
    from experiments.audit import SEARCH  # the cheapest that does the paper's harm

    config_flags.define_flags(DEFAULTS | SEARCH)
    flags.DEFINE_multi_enum("methods", METHODS, METHODS, "whose steps are looked at; give the flag several times")
    flags.DEFINE_multi_enum(
        "readings", READINGS, READINGS, "of the first-order step, which to look at; give the flag several times"
    )
    flags.DEFINE_float(
        "honest_cost",
        0.061,
        "what the honest request of a first-order step costs class A of its accuracy, as a fraction; the paper's costs "
        "6.1 points",
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
        raise ValueError("the controls look at steps of weights: leave out --service, --service_url and --unlearning")
    if config.defences.gates:
        raise ValueError(
            f"--gates={config.defences.gates}: the controls look at the steps of methods alone: leave it out"
        )
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
                typed_command("experiments.controls"),
            )
        print(write(folder / FILE))


def typed_command(module: str, own: Sequence[str] = ("methods", "readings", "honest_cost")) -> str:
    """What was typed, as it can be typed elsewhere: without the places of data and files.

    `own` are flags of this program beside those of a run.
    """
    from experiments.run.outputs import PLACES

    given = {name: as_typed(value) for name, value in config_flags.given(flags.FLAGS).items() if name not in PLACES}
    typed = [f"--{name}={value}" for name, value in given.items()]
    for name in own:
        if flags.FLAGS[name].present:
            value = flags.FLAGS[name].value
            typed += [f"--{name}={each}" for each in (value if isinstance(value, list) else [value])]
    return shlex.join(["python", "-m", module, *typed])
