"""The examples in the docstrings of bounds, monitor, budgets and the defended service run as written."""

import doctest
import importlib

import pytest


@pytest.mark.parametrize("name", ["bounds", "honest_steps", "honest_requests", "budgets", "monitor"])
def test_examples(name):
    found = doctest.testmod(importlib.import_module(f"overunlearn_jax.defences.{name}"))
    assert found.attempted > 0
    assert found.failed == 0
