"""Faults against whole runs, for as long as you like; what was tried and what became of it, in numbers.

    python -m experiments.campaign --minutes=5 --seed=0

Defects are printed as they are found, and their folders are kept in --workdir, with every trial in trials.jsonl. Exit
status 0: no defect. 1: there are some.
"""

if __name__ == "__main__":  # before all else is imported: Ctrl-C is one line from here on
    from experiments.command import start

    start("campaign", "python -m experiments.campaign")

import json
import random
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count, islice
from pathlib import Path

from absl import flags
from tqdm import tqdm

from experiments.campaign import flips, inputs, kills, processes
from experiments.campaign.ground import Ground, prepare
from experiments.campaign.verdicts import Trial, Verdict
from overunlearn_jax.files import write_json

Fault = Callable[[random.Random, Ground, Path], Trial | list[Trial]]
FAULTS: dict[str, Fault] = {
    "kills": kills.trial,
    "processes": processes.trial,
    "flips": flips.trial,
    "command_lines": inputs.command_lines,
    "data_files": inputs.data_files,
    "user_functions": inputs.user_functions,
}


def campaign(
    faults: Sequence[str],
    ground: Ground,
    folder: Path,
    seed: int,
    minutes: float,
    at_once: int,
    most: int | None = None,
) -> Iterator[tuple[Path, Trial]]:
    """Trials of the faults in turn until the time is over, or `most` are done: each with the place of its files."""
    until = time.monotonic() + 60 * minutes
    numbers = iter(count() if most is None else range(most))

    def attempt(number: int) -> list[tuple[Path, Trial]]:
        if time.monotonic() >= until:
            return []
        name = faults[number % len(faults)]
        place = folder / f"{number:05d}_{name}"
        shutil.rmtree(place, ignore_errors=True)
        made = FAULTS[name](random.Random(f"{seed} {number}"), ground, place)
        trials = [made] if isinstance(made, Trial) else made
        if not any(trial.verdict.is_defect for trial in trials):
            shutil.rmtree(place, ignore_errors=True)
        return [(place, trial) for trial in trials]

    with ThreadPoolExecutor(at_once) as pool:
        while time.monotonic() < until and (some := list(islice(numbers, at_once * 4))):
            for made in pool.map(attempt, some):
                yield from made


def counts(trials: Sequence[Trial]) -> dict[str, dict[str, int]]:
    """How many trials of each kind had which verdict; a verdict that none had is 0."""
    return {
        kind: {
            "tried": sum(trial.kind == kind for trial in trials),
            **{str(verdict): Counter((t.kind, t.verdict) for t in trials)[kind, verdict] for verdict in Verdict},
        }
        for kind in sorted({trial.kind for trial in trials})
    }


def main(arguments: list[str]) -> int:
    """Flags to a campaign, a campaign to numbers: 1 where there are defects."""
    if len(arguments) > 1:
        raise ValueError(f"unexpected arguments {arguments[1:]}: every setting is a --flag, see --help")
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # started in the background: trials would inherit that
        signal.signal(signal.SIGINT, signal.default_int_handler)
    values, folder = flags.FLAGS, Path(flags.FLAGS.workdir)
    folder.mkdir(parents=True, exist_ok=True)
    trials: list[Trial] = []
    began = time.monotonic()
    with open(folder / "trials.jsonl", "a") as kept, tqdm(unit="trial") as bar:
        ground = prepare(folder / "ground")
        for place, trial in campaign(values.faults, ground, folder, values.seed, values.minutes, values.at_once):
            trials.append(trial)
            kept.write(json.dumps({**trial._asdict(), "place": str(place)}) + "\n")
            kept.flush()
            bar.update()
            if trial.verdict.is_defect:
                told = trial.detail.strip().splitlines()[-1:] or [""]
                tqdm.write(f"{trial.verdict}: {trial.kind}: {trial.what}\n    {told[0][:300]}\n    {place}")
            bar.set_postfix_str(f"{sum(each.verdict.is_defect for each in trials)} defects")
    result = {"seed": values.seed, "minutes": round((time.monotonic() - began) / 60, 1), "counts": counts(trials)}
    print(json.dumps(result, indent=1))
    if values.out:
        write_json(values.out, result)
    return int(any(trial.verdict.is_defect for trial in trials))


def define_flags() -> None:
    """How long, what, and where."""
    flags.DEFINE_float("minutes", 5.0, "after which no new trial begins", lower_bound=0.0)
    flags.DEFINE_integer("seed", 0, "of all random choices", lower_bound=0)
    flags.DEFINE_multi_enum(
        "faults", list(FAULTS), list(FAULTS), "kinds of faults, in turn; give the flag several times"
    )
    flags.DEFINE_integer("at_once", 2, "trials that run side by side", lower_bound=1)
    flags.DEFINE_string("workdir", "runs/campaign", "folder of the trials")
    flags.DEFINE_string("out", "", "file that gets the counts, as JSON; empty: none")
