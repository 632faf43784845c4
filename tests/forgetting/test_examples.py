"""The examples in the docstrings, run; and whom the package knows."""

import ast
import doctest
import importlib
import pathlib

import pytest

import overunlearn_jax.forgetting

FILES = sorted(pathlib.Path(overunlearn_jax.forgetting.__file__).parent.glob("*.py"))


@pytest.mark.parametrize("name", ["_membership", "shadows", "lira", "distances", "margins", "unlearned_shadows"])
def test_examples_print_what_they_say(name):
    result = doctest.testmod(importlib.import_module(f"overunlearn_jax.forgetting.{name}"))
    assert result.attempted > 0
    assert result.failed == 0


def test_it_knows_nothing_of_attacks_nor_of_how_a_model_was_unlearned():
    assert len(FILES) >= 5
    for path in FILES:
        modules = {node.module for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)}
        assert not [name for name in modules if name.startswith(("overunlearn_jax.attacks", "overunlearn_jax.unlearn"))]
