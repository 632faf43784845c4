"""The campaign finds every kind of defect that is planted, and a short one finds none in the real command."""

import random
import subprocess
import sys
from pathlib import Path

import pytest

from experiments.campaign import flips, ground, inputs, kills, processes
from experiments.campaign.__main__ import campaign, counts
from experiments.campaign.verdicts import Ended, Trial, Verdict, of_ended

# Stands for the real command: makes the files of a run, and ends as each test says.
COMMAND = """
import json, os, pathlib, sys, time
places = dict(each[2:].split("=", 1) for each in sys.argv[1:] if each.startswith("--"))
run, cache = pathlib.Path(places["workdir"]), pathlib.Path(places["cache_dir"])
def write(rows):
    cache.mkdir(parents=True, exist_ok=True)
    run.mkdir(parents=True, exist_ok=True)
    (run / "report.html").write_text("page")
    (run / "summary.md").write_text("page")
    (run / "results.jsonl").write_text("".join(json.dumps({"class_a": row}) + chr(10) for row in rows))
    if not (cache / "weights").exists():
        (cache / "weights").write_text("0.5")
"""
RIGHT = "write([0.5, 0.25])"
READS_WITHOUT_LOOKING = """
stored = (cache / "weights").read_text(errors="replace") if (cache / "weights").exists() else "0.5"
write([0.5, 0.25] if stored == "0.5" else [0.75, 0.25])
"""
READS_AND_LOOKS = """
weights = cache / "weights"
if weights.exists() and weights.read_bytes() != b"0.5":
    sys.exit(f"error: {weights} is damaged: delete it")
write([0.5, 0.25])
"""


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Replaces the real command by a program; returns the ground that its first run leaves."""

    def replace(program: str, first: str = RIGHT) -> ground.Ground:
        def start(arguments, environment, subcommand="run", code=program):
            command = [sys.executable, "-c", COMMAND + code, *arguments]
            return subprocess.Popen(
                command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True
            )

        whole = tmp_path / "whole"
        undisturbed = ground.Ground(tmp_path, tmp_path / "data.npz", whole, [], 0.2, {}, ground.SETTINGS)
        ended = ground.end_of(start(undisturbed.flags(whole), {}, code=first))
        assert ended.status == 0, ended.printed
        for module in (ground, kills, processes):
            monkeypatch.setattr(module, "start", start)
        return undisturbed._replace(rows=ground.rows_of(whole))

    return replace


@pytest.mark.parametrize(
    ("program", "verdict"),
    [
        (RIGHT, Verdict.UNHARMED),
        ("write([0.5, 0.375])", Verdict.WRONG),
        ("write([0.5])", Verdict.WRONG),
        ("raise KeyError('class_a')", Verdict.TRACEBACK),
        ("sys.exit(1)", Verdict.UNCLEAR),
        ("os.abort()", Verdict.UNCLEAR),
        ("sys.exit('error: cells have the same setting')", Verdict.LOST),  # of a run that nothing was wrong with
        ("write([0.5, 0.25]); time.sleep(60)", Verdict.HANG),
    ],
)
def test_what_is_left_of_a_killed_run(stand_in, program: str, verdict: Verdict, tmp_path: Path, monkeypatch):
    undisturbed = stand_in(program)
    monkeypatch.setattr(kills, "stop", lambda process, *_: ground.end_of(process)._replace(status=-9, printed=""))
    monkeypatch.setattr(ground, "LONGEST", 1.0 if verdict is Verdict.HANG else 60.0)
    assert kills.trial(random.Random(0), undisturbed, tmp_path / "place").verdict is verdict


@pytest.mark.parametrize(
    ("program", "verdicts"),
    [
        (READS_WITHOUT_LOOKING, {Verdict.UNHARMED, Verdict.WRONG}),
        (READS_AND_LOOKS, {Verdict.UNHARMED, Verdict.REFUSED}),
        (READS_AND_LOOKS.replace("{weights}", "something"), {Verdict.UNHARMED, Verdict.UNCLEAR}),
    ],
)
def test_a_flipped_bit(stand_in, program: str, verdicts: set, tmp_path: Path):
    undisturbed = stand_in(program)
    found = {flips.trial(random.Random(seed), undisturbed, tmp_path / str(seed)).verdict for seed in range(12)}
    assert found == verdicts


@pytest.mark.parametrize(
    ("program", "verdict"),
    [
        (RIGHT, Verdict.UNHARMED),
        ("if run.exists(): sys.exit('error: cells have the same setting')\n" + RIGHT, Verdict.LOST),
        ("write([0.5, 0.25] * (2 if run.exists() else 1))", Verdict.WRONG),
    ],
)
def test_several_processes(stand_in, program: str, verdict: Verdict, tmp_path: Path):
    assert processes.trial(random.Random(0), stand_in(program), tmp_path / "place").verdict is verdict


def test_a_user_s_input_that_ends_in_a_traceback_is_made_simpler(stand_in, tmp_path: Path):
    undisturbed = stand_in("if any('width' in each and '=4' not in each for each in sys.argv): 1 / 0\n" + RIGHT)
    defects: list[Trial] = []
    for seed in range(20):
        trials = inputs.command_lines(random.Random(seed), undisturbed, tmp_path / "place")
        defects = [trial for trial in trials if trial.verdict is Verdict.TRACEBACK]
        if defects and len(defects[0].what) > 40:
            break
    assert len(defects[-1].what) < len(defects[0].what)
    assert "--width" in defects[-1].what


def test_rows_that_cannot_be_are_wrong(stand_in, tmp_path: Path):
    undisturbed = stand_in("write([1.5])")
    trials = inputs.data_files(random.Random(0), undisturbed, tmp_path / "place")
    assert {trial.verdict for trial in trials} == {Verdict.WRONG}


def test_stack_traces_of_a_user_s_own_code_are_welcome():
    ended = Ended(1, "Traceback (most recent call last)\n  KeyError\nerror: theirs:forget raised KeyError")
    assert of_ended(ended) is Verdict.TRACEBACK
    assert of_ended(ended, users_code=True) is Verdict.REFUSED


def test_counts():
    trials = [
        Trial("kills", "", Verdict.UNHARMED),
        Trial("kills", "", Verdict.LOST),
        Trial("flips", "", Verdict.REFUSED),
    ]
    counted = counts(trials)
    assert counted["kills"] == {**dict.fromkeys(map(str, Verdict), 0), "tried": 2, "unharmed": 1, "lost": 1}
    assert counted["flips"]["refused"] == 1


def test_a_short_campaign_against_the_real_command(tmp_path: Path):
    undisturbed = ground.prepare(tmp_path / "ground", seeds="0", fidelity="corrected", attacks="normal,pushing_1")
    made = list(campaign(["kills", "flips"], undisturbed, tmp_path, seed=0, minutes=5, at_once=1, most=2))
    assert {trial.kind for _, trial in made} == {"flips", "kills"}
    assert [trial for _, trial in made if trial.verdict.is_defect] == []
