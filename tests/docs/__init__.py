"""Tests of the site; its own scripts lie in docs/."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "docs"))
