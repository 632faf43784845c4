"""Bits and fine differences once more, in programs as XLA compiles them for users: elsewhere it optimises none.

The tests that are marked so also run with all others. This runs them in a process without `QUICK_TO_COMPILE`.
"""

import subprocess
import sys
from pathlib import Path

from tests.conftest import compiled_for_users

ROOT = Path(__file__).parents[1]
FILES = ("tests/attacks/test_search.py", "tests/pixel_edit/test_answers.py")


def test_marked_tests():
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-m", "as_compiled_for_users", *FILES]
    done = subprocess.run(
        command, cwd=ROOT, env=compiled_for_users(), capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "8 passed" in done.stdout


def test_no_other_file_has_some():
    marked = {
        str(path.relative_to(ROOT)) for path in ROOT.glob("tests/**/test_*.py") if ".as_compiled" in path.read_text()
    }
    assert marked - {str(Path(__file__).relative_to(ROOT))} == set(FILES)
