"""Results can be read and drawn on a machine without jax."""

import ast
from pathlib import Path

import pytest

from overunlearn_jax import reporting

SOURCES = sorted(Path(reporting.__file__).parent.glob("*.py"))
ALLOWED_FROM_THE_PACKAGE = (
    "overunlearn_jax.reporting",
    "overunlearn_jax.attack_names",
    "overunlearn_jax.statistics.intervals",
    "overunlearn_jax.digests",
    "overunlearn_jax.files",
)
FORBIDDEN = {"jax", "jaxlib", "flax", "optax", "orbax", "chex", "absl"}


def imported(source: Path) -> list[str]:
    names = []
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            names.append(node.module or "")
    return names


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.name)
def test_reporting_imports_no_jax_and_no_other_part_of_the_package(source):
    for name in imported(source):
        assert name.partition(".")[0] not in FORBIDDEN
        assert not name.startswith("overunlearn_jax") or name.startswith(ALLOWED_FROM_THE_PACKAGE)


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.name)
def test_reporting_touches_no_global_plotting_state(source):
    assert not any("pyplot" in name for name in imported(source))
