"""The API reference is complete: every public name has a docstring, and stands on a page."""

import inspect
from pathlib import Path

import api_pages

import overunlearn_jax as ou
from overunlearn_jax.types import Split


def documented(value: object) -> list[str]:
    """What lacks a docstring: the name itself, and public methods and properties that its class defines."""
    lacking = [] if inspect.getdoc(value) else [""]
    if inspect.isclass(value):
        for name, member in vars(value).items():
            is_code = inspect.isfunction(member) or isinstance(member, property | classmethod | staticmethod)
            if not name.startswith("_") and is_code and not inspect.getdoc(getattr(value, name)):
                lacking.append(f".{name}")
    return lacking


def test_every_public_name_has_a_docstring():
    names, lacking = 0, []
    for module in api_pages.modules():
        assert module.__doc__, module.__name__
        for name in api_pages.public_names(module):
            value = getattr(module, name)
            if inspect.isclass(value) or inspect.isfunction(inspect.unwrap(value)):
                names += 1
                lacking += [f"{module.__name__}.{name}{part}" for part in documented(value)]
    assert names > 300
    assert not lacking


def test_what_lacks_a_docstring_is_found():
    class Bare:
        def method(self) -> None:
            pass

    assert documented(Bare) == ["", ".method"]


def test_every_room_has_a_page_and_every_name_of_the_face_is_linked(tmp_path: Path):
    pages = {path.stem: path.read_text() for path in api_pages.make(tmp_path)}
    folder = Path(ou.__file__).parent
    rooms = {path.stem for path in folder.iterdir() if not path.stem.startswith(("_", ".")) and path.stem != "py"}
    assert set(pages) - {"index"} == rooms
    for name in ou.__all__:
        assert name == "__version__" or f"`{name} <" in pages["index"], name
    text = "\n".join(pages.values())
    for path in folder.rglob("*.py"):
        parts = ("overunlearn_jax", *path.relative_to(folder).with_suffix("").parts)
        if not any(part.startswith("_") for part in parts):
            assert f".. automodule:: {'.'.join(parts)}\n" in text, path


def test_fields_have_their_comments():
    assert ("labels", "np.ndarray", "shape=(n,), dtype=int32") in api_pages.fields_of(Split)
    assert api_pages.fields_of(Path) == []
