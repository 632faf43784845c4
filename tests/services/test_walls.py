"""No code outside services/, unlearn/ and the suites compares a method's name: it reads the method's facts.

Suites name the methods that they run, and flags have defaults: a dictionary key, a default or an argument is no
comparison.
"""

import ast
from pathlib import Path

import pytest

import experiments
import overunlearn_jax
from overunlearn_jax.unlearn.facts import METHOD_FACTS

PACKAGE = Path(overunlearn_jax.__file__).parent
SOURCES = sorted([*PACKAGE.rglob("*.py"), *Path(experiments.__file__).parent.rglob("*.py")])
SUITES = Path(experiments.__file__).parent
AT_HOME = (PACKAGE / "services", PACKAGE / "unlearn", SUITES / "paper", SUITES / "methods")


def compared_methods(source: str) -> list[str]:
    """Names of methods that stand in a comparison, a `match` case or a membership test."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Compare):
            inside = [each for side in (node.left, *node.comparators) for each in ast.walk(side)]
        elif isinstance(node, ast.MatchValue):
            inside = [*ast.walk(node.value)]
        else:
            continue
        found += [each.value for each in inside if isinstance(each, ast.Constant) and each.value in METHOD_FACTS]
    return found


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ('if config.unlearning == "sisa": pass', ["sisa"]),
        ('x = name not in ("retrain", "sisa")', ["retrain", "sisa"]),
        ('match name:\n    case "first_order": pass', ["first_order"]),
        ('LADDERS = {"sisa": 1}; f(unlearning="scrub")', []),
        ('x = method == "normal"', []),
    ],
)
def test_the_test_sees_comparisons_and_no_tables(source: str, expected: list[str]):
    assert compared_methods(source) == expected


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE.parent)))
def test_no_method_s_name_is_compared_outside_its_home(path: Path):
    if not any(path.is_relative_to(home) for home in AT_HOME):
        assert compared_methods(path.read_text(encoding="utf-8")) == []
