"""What the studies refuse: flags of a run that they would ignore."""

import subprocess
import sys

import pytest

from tests.experiments import tiny

STUDIES = ("controls", "defences", "defences.contributors", "u_lira")


@pytest.mark.parametrize("study", STUDIES)
@pytest.mark.parametrize("flag", ["--unlearning=scrub", "--gates=monitor"])
def test_methods_and_gates_are_the_study_s_own(study: str, flag: str):
    done = subprocess.run(
        [sys.executable, "-m", f"experiments.{study}", flag], cwd=tiny.ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert f"error: {flag}: this study has methods and defences of its own" in done.stderr


def test_one_seed_at_a_time():
    done = subprocess.run(
        [sys.executable, "-m", "experiments.u_lira", "--seeds=0-2"], cwd=tiny.ROOT, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert "error: --seeds=0,1,2: expected one, and a --workdir for each" in done.stderr
