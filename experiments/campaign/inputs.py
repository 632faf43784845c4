"""Whatever is typed, stored or written by users: the command ends well, or with an error in a line."""

import contextlib
import hashlib
import json
import random
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np

from experiments.campaign.ground import Ground, rows_of, run
from experiments.campaign.strategies import changed_flags, data_arrays, unlearning_functions
from experiments.campaign.verdicts import TRACE, Ended, Trial, Verdict, of_ended

AT_ONCE = 5  # examples of one trial: Hypothesis makes simple ones first, and leaves out what it had


class _DefectError(Exception):
    """An example that Hypothesis then makes simpler."""


def command_lines(rng: random.Random, ground: Ground, place: Path) -> list[Trial]:
    """`overunlearn run` and `audit` with up to four flags of any value."""

    def attempt(changes: dict[str, str]) -> Trial:
        folder = place / _named(changes)
        subcommand = "audit" if len(changes) % 2 else "run"
        arguments = ground.flags(folder, cache_dir=str(_cache(ground)), **changes)
        ended = run(arguments, ground.environment, subcommand)
        typed = " ".join(shlex.quote(f"--{name}={value}") for name, value in changes.items())
        return _judged("command lines", f"{subcommand} {typed}", ended, folder, judges=subcommand == "audit")

    return _tried(rng, changed_flags(), attempt)


def data_files(rng: random.Random, ground: Ground, place: Path) -> list[Trial]:
    """`overunlearn run` with a data set of any shape, type, range and labels; some files are cut or overwritten."""
    place.mkdir(parents=True, exist_ok=True)

    def attempt(arrays: dict[str, Any]) -> Trial:
        path = place / f"{rng.getrandbits(60):015x}.npz"
        np.savez(path, **arrays)
        content = bytearray(path.read_bytes())
        harm = rng.choice(("whole", "whole", "whole", "cut", "overwritten"))
        if harm == "cut":
            path.write_bytes(content[: rng.randrange(len(content))])
        elif harm == "overwritten":
            where = rng.randrange(len(content))
            content[where : where + 64] = rng.randbytes(64)
            path.write_bytes(content)
        folder = path.with_suffix("")
        ended = run(ground.flags(folder, dataset=str(path), seeds="0"), ground.environment)
        told = ", ".join(f"{name} {value.dtype}{list(value.shape)}" for name, value in arrays.items())
        return _judged("data files", f"{harm}: {told}", ended, folder)

    return _tried(rng, data_arrays(), attempt)


def user_functions(rng: random.Random, ground: Ground, place: Path) -> list[Trial]:
    """`overunlearn run --unlearning=my:forget` with a function that does anything."""
    place.mkdir(parents=True, exist_ok=True)

    def attempt(source: str) -> Trial:
        module = f"their_{hashlib.blake2b(source.encode(), digest_size=6).hexdigest()}"
        (place / f"{module}.py").write_text(source)
        folder = place / module
        environment = {**ground.environment, "PYTHONPATH": f"{place}:{ground.environment['PYTHONPATH']}"}
        changes = {"unlearning": f"{module}:forget", "cache_dir": str(_cache(ground)), "seeds": "0"}
        arguments = [each for each in ground.flags(folder, **changes) if not each.startswith(_OF_OURS)]
        ended = run(arguments, environment)
        return _judged("user functions", source, ended, folder, users_code=True)

    return _tried(rng, unlearning_functions(), attempt)


_OF_OURS = ("--taus=", "--fidelity=")  # settings of a method of ours


def _tried(rng: random.Random, strategy: Any, attempt: Callable[[Any], Trial]) -> list[Trial]:
    """What became of a few examples; of a defect, the simplest example that still has one comes last."""
    trials: list[Trial] = []

    @hypothesis.seed(rng.getrandbits(64))
    @hypothesis.settings(
        max_examples=AT_ONCE,
        deadline=None,
        database=None,
        phases=(hypothesis.Phase.generate, hypothesis.Phase.shrink),
        suppress_health_check=list(hypothesis.HealthCheck),
        report_multiple_bugs=False,
    )
    @hypothesis.given(strategy)
    def each(example: Any) -> None:
        if sum(trial.verdict.is_defect for trial in trials) >= AT_ONCE:  # simple enough
            return
        trials.append(attempt(example))
        if trials[-1].verdict.is_defect:
            raise _DefectError

    with contextlib.suppress(_DefectError, hypothesis.errors.Flaky):
        each()
    return trials


def _judged(
    kind: str, what: str, ended: Ended, folder: Path, *, judges: bool = False, users_code: bool = False
) -> Trial:
    """`judges`: the command is an audit, which ends with 1 where it has a verdict that is not SAFE."""
    if judges and ended.status == 1:
        ended = Ended(0, ended.printed)
    verdict = of_ended(ended, users_code=users_code)
    if users_code and TRACE in ended.printed and ended.status == 0:
        verdict = Verdict.TRACEBACK
    if verdict is Verdict.UNHARMED and not all(_is_possible(row) for row in rows_of(folder)):
        verdict = Verdict.WRONG
    return Trial(kind, what, verdict, ended.printed)


def _is_possible(row: dict[str, Any]) -> bool:
    """Whether the accuracies of a row are fractions, or told to be missing."""
    values = [value for name, value in row.items() if name.startswith(("class_a", "class_b", "overall"))]
    numbers = [value for value in values if isinstance(value, float)]
    return all(0 <= value <= 1 for value in numbers)


def _cache(ground: Ground) -> Path:
    return ground.folder / "inputs" / "cache"


def _named(changes: dict[str, str]) -> str:
    return hashlib.blake2b(json.dumps(changes, sort_keys=True).encode(), digest_size=6).hexdigest()
