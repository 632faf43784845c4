"""A run that is killed or interrupted at any moments and started again ends with the rows of an undisturbed one."""

import os
import random
import signal
import subprocess
from pathlib import Path

from experiments.campaign.ground import Ground, end_of, rows_of, start
from experiments.campaign.verdicts import ERROR_LINE, TRACE, Ended, Trial, Verdict, of_ended

SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGINT, signal.SIGTERM)
MOST = 3  # times that one run is stopped


def trial(rng: random.Random, ground: Ground, place: Path) -> Trial:
    """Stops a run up to three times, then lets it end."""
    stops, arguments = [], ground.flags(place)
    for _ in range(rng.randint(1, MOST)):
        number, after = rng.choice(SIGNALS), rng.uniform(0, ground.seconds)
        process = start(arguments, ground.environment)
        ended = stop(process, number, after)
        stops.append(f"{number.name} after {after:.2f} s")
        if ended.status == 0:  # it was faster
            break
        if ended.status is None or TRACE in ended.printed or ERROR_LINE.search(ended.printed):
            verdict = Verdict.HANG if ended.status is None else Verdict.TRACEBACK
            return Trial("kills", ", ".join(stops), verdict, ended.printed)
    ended = end_of(start(arguments, ground.environment))
    verdict = of_ended(ended)
    if verdict is Verdict.REFUSED:  # nothing was wrong with it
        verdict = Verdict.LOST
    if verdict is Verdict.UNHARMED and rows_of(place) != ground.rows:
        verdict = Verdict.WRONG
    return Trial("kills", ", ".join(stops), verdict, ended.printed)


def stop(process: "subprocess.Popen[str]", number: signal.Signals, after: float) -> Ended:
    """Sends a signal after so many seconds, unless the process has ended, and waits for its end."""
    try:
        printed = process.communicate(timeout=after)[1]
        return Ended(process.returncode, printed)
    except subprocess.TimeoutExpired:
        pass
    os.kill(process.pid, number)
    return end_of(process, longest=30)
