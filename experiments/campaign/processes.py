"""Two or three processes on one workdir, or on one cache: one does the work, the others wait or are told who does."""

import random
import time
from pathlib import Path

from experiments.campaign.ground import Ground, end_of, rows_of, start
from experiments.campaign.verdicts import Trial, Verdict, of_ended


def trial(rng: random.Random, ground: Ground, place: Path) -> Trial:
    """Starts them within a second or all over the run, in one workdir or each in its own; then once more alone."""
    count, one_workdir = rng.randint(2, 3), rng.random() < 0.5
    within = rng.choice((0.5, ground.seconds))
    places = [place if one_workdir else place / f"of_{number}" for number in range(count)]
    started, what = [], f"{count} processes, {'one workdir' if one_workdir else 'one cache'}, within {within:.1f} s"
    for each in places:
        cache = str(place / "cache")
        started.append(start(ground.flags(each, cache_dir=cache), ground.environment))
        time.sleep(rng.uniform(0, within / (count - 1)))
    for process in started:
        ended = end_of(process)
        verdict = of_ended(ended)
        if verdict.is_defect or (verdict is Verdict.REFUSED and not one_workdir):
            return Trial("processes", what, Verdict.LOST if verdict is Verdict.REFUSED else verdict, ended.printed)
    for each in dict.fromkeys(places):
        ended = end_of(start(ground.flags(each, cache_dir=str(place / "cache")), ground.environment))
        if ended.status != 0:
            return Trial("processes", what, Verdict.LOST, ended.printed)
        if rows_of(each) != ground.rows:
            return Trial("processes", what, Verdict.WRONG, ended.printed)
    return Trial("processes", what, Verdict.UNHARMED)
