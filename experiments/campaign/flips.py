"""A bit of any stored file is flipped: the run that reads it has the same rows, or says which file is damaged."""

import random
import shutil
from pathlib import Path

from experiments.campaign.ground import Ground, rows_of, run
from experiments.campaign.verdicts import Ended, Trial, Verdict, of_ended

REPORT = ("report.html", "summary.md")  # made anew where missing, of all that is stored


def trial(rng: random.Random, ground: Ground, place: Path) -> Trial:
    """Flips one bit of a finished run's files, takes away its report, or all but the cache, and starts it again."""
    shutil.copytree(ground.whole, place)
    keeps_rows = rng.random() < 0.5
    if keeps_rows:
        for name in REPORT:
            (place / "run" / name).unlink()
    else:
        shutil.rmtree(place / "run")
    damaged = rng.choice(sorted(path for path in place.rglob("*") if path.is_file() and path.stat().st_size))
    what = f"{_flip(rng, damaged)} of {damaged.relative_to(place)}, {'without report' if keeps_rows else 'cache alone'}"
    ended = run(ground.flags(place), ground.environment)
    verdict = of_ended(ended)
    if verdict is Verdict.UNHARMED and rows_of(place) != ground.rows:
        verdict = Verdict.WRONG
    if verdict is Verdict.REFUSED:
        verdict = _after_the_remedy(ground, place, damaged, ended)
    return Trial("flips", what, verdict, ended.printed)


def _flip(rng: random.Random, path: Path) -> str:
    content = bytearray(path.read_bytes())
    byte, bit = rng.randrange(len(content)), rng.randrange(8)
    content[byte] ^= 1 << bit
    path.write_bytes(content)
    return f"bit {bit} of byte {byte}"


def _after_the_remedy(ground: Ground, place: Path, damaged: Path, ended: Ended) -> Verdict:
    """An error has to name the file, or the folder that it is a part of; with that deleted all is made again."""
    for path in (damaged, *damaged.parents):
        if path == place:
            return Verdict.UNCLEAR
        if str(path) in ended.printed:
            break
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    if path.name in ("results.jsonl", "config.json"):
        shutil.rmtree(place / "run")  # of a run that cannot go on
    if run(ground.flags(place), ground.environment).status != 0:
        return Verdict.LOST
    return Verdict.REFUSED if rows_of(place) == ground.rows else Verdict.WRONG
