"""Which names a class may have."""

import pytest

from overunlearn_jax.data.class_names import check_class_names


def test_names_of_any_script_pass():
    names = ("cat", "Hund", "n02056570 king penguin, Aptenodytes", "猫", "café", "a.b", "x" * 200, "🐈")
    assert check_class_names(iter(names), "mine", "Rename it.") == names


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("two\nlines", r"'two\\nlines' holds a control character"),
        ("bell\x07", r"'bell\\x07' holds a control character"),
        ("nul\x00l", r"'nul\\x00l' holds a control character"),
        ("escape\x1b[31m", r"'escape\\x1b\[31m' holds a control character"),
        ("next\x85line", r"'next\\x85line' holds a control character"),
        ("line\u2028separator", r"'line\\u2028separator' holds .* a line break"),
        ("half\ud83d", r"'half\\ud83d' holds .*half of a character"),
        ("x" * 300, r"'x{40}\.\.\.' has 300 characters, expected at most 200"),
        ("..", r"'\.\.' means a folder"),
        (".", r"'\.' means a folder"),
        ("truck/bus", "'truck/bus' holds a slash"),
        ("C:\\", "'C:.*' holds a slash"),
        ("", "'' is empty"),
        (" \t", ".* is empty"),
        (" cat", "' cat' begins or ends with a space"),
    ],
)
def test_names_that_no_page_or_path_can_hold_are_refused(name: str, message: str):
    with pytest.raises(ValueError, match=rf"^mine: the class name {message}.*\. Rename it\.$"):
        check_class_names(["ant", name], "mine", "Rename it.")
