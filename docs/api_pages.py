"""The API reference: a page for each room of the package, made from what the rooms show and from their docstrings."""

import ast
import importlib
import inspect
import pkgutil
import textwrap
import tokenize
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from types import ModuleType
from typing import Any

from copies import write

import overunlearn_jax

PACKAGE = "overunlearn_jax"


def make(folder: Path) -> list[Path]:
    """Writes index.rst and a page for each room; returns them."""
    of_package = rooms()
    pages = [write(folder / f"{room}.rst", _page(room, modules)) for room, modules in of_package.items()]
    listed = "\n".join(f"   {room}" for room in of_package)
    shown = "\n".join(f"* {_reference(name)}" for name in overunlearn_jax.__all__ if name != "__version__")
    here = "\n".join(
        _directive(overunlearn_jax, name)
        for name in overunlearn_jax.__all__
        if name != "__version__" and _home(name) == PACKAGE
    )
    front = (
        f"{_title('API reference', '=')}\nMade from docstrings. `overunlearn_jax.types` has every name that crosses a "
        f"wall: read it first.\n\nMost scripts need these, as in ``import {PACKAGE} as ou``:\n\n{shown}\n\n{here}\n"
        f"{_title('Rooms', '-')}\n.. toctree::\n   :maxdepth: 1\n\n{listed}\n"
    )
    return [write(folder / "index.rst", front), *pages]


def public_names(module: ModuleType) -> Iterator[str]:
    """Functions, classes and constants that a module defines, and those of private modules that a package shows."""
    listed = getattr(module, "__all__", None)
    for name in listed if listed is not None else vars(module):
        value = getattr(module, name)
        if name.startswith("_") or inspect.ismodule(value):
            continue
        origin = (
            getattr(value, "__module__", None) if callable(value) and not isinstance(value, type(list[int])) else None
        )
        if origin == module.__name__ or (hasattr(module, "__path__") and _is_private(origin)):
            yield name


def modules() -> Iterator[ModuleType]:
    """Every module of the package that has no underscore before its name, packages before what they hold."""
    yield overunlearn_jax
    for found in pkgutil.walk_packages(overunlearn_jax.__path__, f"{PACKAGE}."):
        if not _is_private(found.name):
            yield importlib.import_module(found.name)


def _is_private(module: str | None) -> bool:
    return bool(module) and module.startswith(PACKAGE) and any(part.startswith("_") for part in module.split("."))


def rooms() -> dict[str, list[ModuleType]]:
    """Packages by name; the modules that lie beside them are rooms of their own, but those without public names."""
    found: dict[str, list[ModuleType]] = {"types": []}
    for module in modules():
        if module is not overunlearn_jax:
            found.setdefault(module.__name__.split(".")[1], []).append(module)
    return found


def _page(room: str, of_room: list[ModuleType]) -> str:
    parts = [_title(f"{PACKAGE}.{room}", "=")]
    for module in of_room:
        if module.__name__ != f"{PACKAGE}.{room}":
            parts.append(_title(module.__name__.removeprefix(f"{PACKAGE}."), "-"))
        parts.append(f".. automodule:: {module.__name__}\n")
        if hasattr(module, "__path__"):  # a package: what it shows of its private modules
            parts += [
                f".. autodata:: {module.__name__}.{name}\n" if not _is_code(module, name) else _directive(module, name)
                for name in public_names(module)
            ]
        else:
            parts[-1] += "   :members:\n"
    return "\n".join(parts)


def _is_code(module: ModuleType, name: str) -> bool:
    value = getattr(module, name)
    return inspect.isfunction(inspect.unwrap(value)) or inspect.isclass(value)


def _directive(module: ModuleType, name: str) -> str:
    value = getattr(module, name)
    if inspect.isclass(value):
        return f".. autoclass:: {module.__name__}.{name}\n   :members:\n"
    return f".. autofunction:: {module.__name__}.{name}\n"


def _reference(name: str) -> str:
    value = getattr(overunlearn_jax, name)
    role = "class" if inspect.isclass(value) else "func"
    return f":{role}:`{name} <{_home(name)}.{value.__name__}>`"


def _home(name: str) -> str:
    """The module on whose page a name of the package's face stands; the package's own, where no room shows it."""
    home = getattr(overunlearn_jax, name).__module__
    while _is_private(home):  # the package around it may show it
        home = home.rpartition(".")[0]
        if name not in getattr(importlib.import_module(home), "__all__", ()):
            return PACKAGE
    return home


def _title(text: str, line: str) -> str:
    return f"{text}\n{line * len(text)}\n"


def fields_of(value: type) -> list[tuple[str, str, str]]:
    """Name, type and comment of each field that a class declares: the shapes stand in these comments."""
    try:
        source = textwrap.dedent(inspect.getsource(value))
    except (OSError, TypeError):
        return []
    comments = {
        token.start[0]: token.string.lstrip("# ")
        for token in tokenize.generate_tokens(StringIO(source).readline)
        if token.type == tokenize.COMMENT
    }
    (tree,) = ast.parse(source).body
    if not isinstance(tree, ast.ClassDef):
        return []
    found = []
    for line in tree.body:
        if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name) and not line.target.id.startswith("_"):
            default = f" = {ast.unparse(line.value)}" if line.value is not None else ""
            found.append((line.target.id, ast.unparse(line.annotation) + default, comments.get(line.end_lineno, "")))
    return found


def _has_fields(value: Any) -> bool:
    return inspect.isclass(value) and (hasattr(value, "_fields") or hasattr(value, "__dataclass_fields__"))


def add_fields(app: Any, what: str, name: str, value: Any, options: Any, lines: list[str]) -> None:
    """Sphinx calls it with each docstring: the fields of a class are written below it."""
    del app, what, name, options  # Unused: Sphinx gives them.
    if _has_fields(value) and (fields := fields_of(value)):
        lines += ["", "**Fields**", ""]
        for each, kind, comment in fields:
            lines.append(f"* ``{each}: {kind}``" + (f" – {_escape(comment)}" if comment else ""))
        lines.append("")


def set_code(app: Any, what: str, name: str, value: Any, options: Any, lines: list[str]) -> None:
    """Sphinx calls it with each docstring: indented blocks of a module's are code and tables, and set as they stand."""
    del app, name, value, options  # Unused: Sphinx gives them.
    if what != "module":
        return
    text, inside = list(lines), False
    lines.clear()
    for before, line in zip(["", *text], text, strict=False):
        if line.startswith("    ") and not before and not inside:
            lines += ["::", ""]
            inside = True
        elif line and not line.startswith("    "):
            inside = False
        lines.append(line)


def _escape(comment: str) -> str:
    """A comment is no reStructuredText."""
    return comment.replace("*", r"\*").replace("|", r"\|").replace("_ ", r"\_ ")


def skip_fields(app: Any, what: str, name: str, value: Any, skip: bool, options: Any) -> bool | None:
    """Sphinx asks whether to leave out a member: a field of a NamedTuple says only its number."""
    del app, what, skip, options  # Unused: Sphinx gives them.
    return True if type(value).__name__ == "_tuplegetter" or name == "__init__" else None
