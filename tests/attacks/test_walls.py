"""Who may import whom, read off the source: nothing is imported here."""

import ast
import pathlib

import pytest

import overunlearn_jax

PACKAGE = pathlib.Path(overunlearn_jax.__file__).parent
EVERY = sorted(PACKAGE.rglob("*.py"))


def _files(*parts):
    """The files of a part of the package; a folder that is there has to hold some."""
    files = []
    for part in parts:
        path = PACKAGE / part
        found = sorted(path.rglob("*.py")) if path.is_dir() else [path] * path.exists()
        assert found or not path.is_dir(), f"{path} is empty"
        files += found
    return files


def _imports(source):
    """Every dotted name that a source may import: `from a import b` counts as a and as a.b."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "a relative import: this test reads absolute ones only"
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def _forbidden(source, modules):
    return {name for name in _imports(source) for module in modules if f"{name}.".startswith(f"{module}.")}


def _mentions(source, words):
    """Names and attributes of a source that are one of `words`, wherever they were imported from."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        named = {ast.Name: "id", ast.Attribute: "attr", ast.alias: "name"}.get(type(node))
        if named and getattr(node, named) in words:
            found.add(getattr(node, named))
    return found


@pytest.mark.parametrize(
    ("source", "modules", "expected"),
    [
        ("import flax.linen as nn", ["flax"], {"flax.linen"}),
        ("from overunlearn_jax import models", ["overunlearn_jax.models"], {"overunlearn_jax.models"}),
        ("def f():\n    from absl import flags", ["absl.flags"], {"absl.flags"}),
        ("import flaxen", ["flax"], set()),
    ],
)
def test_the_reader_of_imports_sees_them(source, modules, expected):
    assert _forbidden(source, modules) == expected


@pytest.mark.parametrize("source", ["jax.grad(f)", "from jax import grad", "grad(f)", "jax.lax.cond(x, jax.grad, y)"])
def test_the_reader_of_names_sees_them(source):
    assert _mentions(source, {"grad"}) == {"grad"}


@pytest.mark.parametrize(
    ("parts", "rooms"),
    [
        (("attacks",), ("models", "unlearn", "services", "auditing", "evaluation", "training", "robustness")),
        (("black_box.py", "batching.py", "probing.py"), ("models", "unlearn", "services", "attacks", "evaluation")),
        (("pixel_edit",), ("models", "unlearn", "attacks", "black_box", "training")),
        (("unlearn",), ("attacks", "black_box", "services", "auditing")),
        (("services",), ("attacks", "auditing")),
        (("evaluation.py", "stealth", "statistics", "reporting"), ("attacks", "unlearn", "services", "auditing")),
        (("forgetting",), ("attacks", "unlearn", "services", "auditing")),
        (("defences",), ("attacks", "black_box", "auditing", "server")),
        (("robustness",), ("attacks", "black_box", "unlearn", "services", "auditing", "defences", "server")),
    ],
)
def test_rooms_that_know_nothing_of_each_other(parts, rooms):
    modules = [f"overunlearn_jax.{room}" for room in rooms]
    files = _files(*parts)
    assert files
    assert {path.name: bad for path in files if (bad := _forbidden(path.read_text(), modules))} == {}


def test_attacks_take_no_gradient():
    white_box = {"grad", "value_and_grad", "vjp", "jvp", "linearize", "hessian", "jacobian", "jacfwd", "jacrev"}
    files = _files("attacks")
    assert {path.name: bad for path in files if (bad := _mentions(path.read_text(), white_box))} == {}


def test_reporting_runs_without_jax():
    files = _files("reporting")
    assert files
    modules = ["jax", "jaxlib", "flax", "optax", "chex"]
    assert {path.name: bad for path in files if (bad := _forbidden(path.read_text(), modules))} == {}


def test_only_models_import_flax():
    files = [path for path in EVERY if PACKAGE / "models" not in path.parents]
    assert len(files) > 10
    assert {path.name: bad for path in files if (bad := _forbidden(path.read_text(), ["flax"]))} == {}
    assert any(_forbidden(path.read_text(), ["flax"]) for path in _files("models"))


def test_nobody_prints_or_reads_flags():
    assert {path.name: bad for path in EVERY if (bad := _forbidden(path.read_text(), ["absl.flags", "absl.app"]))} == {}
    assert {path.name: bad for path in EVERY if (bad := _mentions(path.read_text(), {"print", "FLAGS"}))} == {}
