"""Which names a class may have: checked once, where a user's own files are read, since pages and paths hold them."""

import unicodedata
from collections.abc import Iterable

LONGEST = 200  # characters
_UNPRINTABLE = ("Cc", "Cs", "Zl", "Zp")  # Unicode's control characters, lone surrogates, line and paragraph separators


def check_class_names(names: Iterable[str], where: str, advice: str) -> tuple[str, ...]:
    """The names as they are.

    Args:
      names: of the classes.
      where: they come from, to begin an error with.
      advice: how the user changes one.

    Raises:
      ValueError: a name that is empty or blank, longer than `LONGEST`, `.` or `..`, has a slash or a backslash, a
        control character, a line break or half of a surrogate pair, or begins or ends with a space. The message names
        the first such class.
    """
    names = tuple(names)
    for name in names:
        if why := _why_not(name):
            shown = repr(name if len(name) <= LONGEST else f"{name[:40]}...")
            raise ValueError(f"{where}: the class name {shown} {why}. {advice}")
    return names


def _why_not(name: str) -> str:
    """What is wrong with a name; empty where nothing is."""
    if not name.strip():
        return "is empty"
    if len(name) > LONGEST:
        return f"has {len(name)} characters, expected at most {LONGEST}"
    if name in (".", ".."):
        return "means a folder to every file system"
    if "/" in name or "\\" in name:
        return "holds a slash, which separates folders in a path"
    if any(unicodedata.category(character) in _UNPRINTABLE for character in name):
        return "holds a control character, a line break or half of a character, which no page can show"
    if name != name.strip():
        return "begins or ends with a space"
    return ""
