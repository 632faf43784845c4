"""Public functions that take or return arrays say so in a form that a reference page can set.

A function counts if a parameter of it is an array, or images, labels or probabilities. Its docstring has to have an
`Args` section that names every such parameter with its shape, and, where the function raises an error by itself, a
`Raises` section, in every room.
"""

import ast
import doctest
import importlib
import inspect
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import api_pages
import pytest

ARRAYS = ("Array", "ndarray", "Images", "Labels", "Probabilities")
SECTION = re.compile(r"^(Args|Returns|Raises|References|Examples|Attributes):$", re.MULTILINE)


class Public(NamedTuple):
    """A public function, as its source has it."""

    name: str
    room: str
    arrays: tuple[str, ...]  # parameters
    raises: bool
    doc: str


def _is_array(annotation: ast.expr | None) -> bool:
    text = "" if annotation is None else ast.unparse(annotation)
    return bool(re.search(rf"\b({'|'.join(ARRAYS)})\b", text)) and "Callable" not in text


def functions() -> Iterator[Public]:
    """Every public function of the package and every public method of its public classes that takes arrays."""
    for module in api_pages.modules():
        for name in api_pages.public_names(module):
            value = inspect.unwrap(getattr(module, name))
            members = [value] if inspect.isfunction(value) else []
            if inspect.isclass(value) and not getattr(value, "_is_protocol", False):
                own = {key: each for key, each in vars(value).items() if not key.startswith("_")}
                members = [each for each in own.values() if inspect.isfunction(each)]
            for each in members:
                found = _read(each, module.__name__)
                if found is not None and found.arrays:
                    yield found


def _read(function: object, module: str) -> Public | None:
    (tree,) = ast.parse(textwrap.dedent(inspect.getsource(function))).body  # type: ignore[arg-type]
    if not isinstance(tree, ast.FunctionDef):
        return None  # a lambda with a name
    parameters = [*tree.args.posonlyargs, *tree.args.args, *tree.args.kwonlyargs]
    arrays = tuple(each.arg for each in parameters if _is_array(each.annotation))
    raises = any(isinstance(node, ast.Raise) and node.exc is not None for node in ast.walk(tree))
    room = module.split(".")[1] if "." in module else ""
    return Public(f"{module}.{function.__qualname__}", room, arrays, raises, inspect.getdoc(function) or "")  # type: ignore[attr-defined]


def sections(doc: str) -> dict[str, str]:
    """The sections of a docstring, by name."""
    parts = SECTION.split(doc)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def lacking(each: Public) -> list[str]:
    """What a reader of its docstring is not told."""
    found = sections(each.doc)
    parts = [] if "Args" in found else ["Args"]
    for name in each.arrays:
        told = re.search(
            rf"^ +(?:\w+, )*{name}(?:, \w+)*: (.*?)(?=^  \w[\w, ]*:|\Z)", found.get("Args", ""), re.M | re.S
        )
        if not told or not re.search(r"shape|\([\w, *.]*\)|scalar|`\w*Split`", told[1]):
            parts.append(f"shape of {name}")
    if each.raises and "Raises" not in found:
        parts.append("Raises")
    return parts


FUNCTIONS = [*functions()]
ROOMS = sorted({each.room for each in FUNCTIONS})  # "": the names of the package itself


@pytest.mark.parametrize("room", ROOMS)
def test_all_of_a_room(room: str):
    of_room = [each for each in FUNCTIONS if each.room == room]
    assert of_room
    assert not {each.name: lacking(each) for each in of_room if lacking(each)}


def test_share_of_every_room(capsys: pytest.CaptureFixture[str]):
    with capsys.disabled():
        for room in ROOMS:
            of_room = [each for each in FUNCTIONS if each.room == room]
            whole = sum(not lacking(each) for each in of_room)
            print(f"docstrings of functions that take arrays, {room}: {whole} of {len(of_room)}")
    assert {"attacks", "unlearn"} <= set(ROOMS)


def test_what_is_lacking_is_found():
    doc = "Does it.\n\nArgs:\n  images: shape=(n, h, w, c).\n  labels: the labels.\n"
    assert lacking(Public("f", "", ("images", "labels"), True, doc)) == ["shape of labels", "Raises"]
    assert lacking(Public("f", "", ("images",), False, doc)) == []
    assert lacking(Public("f", "", ("images",), False, "Does it.")) == ["Args", "shape of images"]


def test_no_error_stands_in_a_running_sentence():
    told = [each.name for each in FUNCTIONS if re.search(r"^Raises \w", each.doc, re.MULTILINE)]
    assert not told


def test_every_example_gives_what_it_says():
    attempted = 0
    root = Path(api_pages.__file__).parents[1]
    for path in root.glob("overunlearn_jax/**/*.py"):
        if ">>>" in path.read_text():
            parts = path.relative_to(root).with_suffix("").parts
            found = doctest.testmod(importlib.import_module(".".join(parts).removesuffix(".__init__")))
            assert found.failed == 0, path
            attempted += found.attempted
    assert attempted > 50


def test_the_package_is_looked_at():
    assert len(FUNCTIONS) > 60
