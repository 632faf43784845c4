"""Two processes never write one workdir or train one victim: the second is told who runs, or waits."""

import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from experiments import pipeline
from experiments.run.locks import OccupiedError, alone_in, one_at_a_time
from experiments.victims import cache
from tests.experiments import tiny
from tests.experiments.running import MakeConfig, refuse, rows_of, victim_of

HOLDS = """
import sys, time
from pathlib import Path
from experiments.run.locks import alone_in
with alone_in(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_the_second_run_in_a_workdir_is_told_who_runs_and_a_killed_one_holds_nothing(tmp_path: Path):
    command = [sys.executable, "-c", HOLDS, str(tmp_path)]
    with subprocess.Popen(command, cwd=tiny.ROOT, stdout=subprocess.PIPE, env=tiny.environment()) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        message = rf"process {process.pid} on .*, since 20.* runs there"
        with pytest.raises(OccupiedError, match=message), alone_in(tmp_path):
            pass
        process.send_signal(signal.SIGKILL)
    with alone_in(tmp_path):
        pass
    assert not (tmp_path / "run.json").exists()


@pytest.mark.usefixtures("no_figures")
def test_a_run_takes_its_workdir_and_leaves_it(config: MakeConfig):
    settings = config(attacks=("normal",))
    with alone_in(Path(settings.run.workdir)), pytest.raises(OccupiedError, match="its rows are kept"):
        pipeline.run(settings)
    pipeline.run(settings)
    assert len(rows_of(settings)) == 1


def test_whoever_comes_second_waits_and_finds_what_the_first_made(
    config: MakeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    settings = config(cache_dir=str(tmp_path / "cache"))
    splits, key = pipeline.load_splits(settings, 0), pipeline.seed_keys(0).train
    made = victim_of(settings, splits, 0, key)
    folder = tmp_path / "cache" / "victims" / made.trained_as
    best, aside = folder / "best", folder / "aside"
    best.rename(aside)  # as if it were not trained yet
    entered, leave = threading.Event(), threading.Event()

    def first() -> None:
        with one_at_a_time(folder, "first"):
            entered.set()
            leave.wait(30)
            aside.rename(best)

    thread = threading.Thread(target=first)
    thread.start()
    assert entered.wait(30)
    threading.Timer(0.3, leave.set).start()
    monkeypatch.setattr(cache, "fit", refuse)
    assert victim_of(settings, splits, 0, key).name == made.name
    thread.join()
    assert "victim, seed 0: process" in capsys.readouterr().err
