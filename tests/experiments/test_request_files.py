"""Requests as files: every class has a folder of its own, inside the request's, whatever it is called."""

from pathlib import Path

import numpy as np
import pytest

from experiments.requests.request_files import folder_names, save_request
from overunlearn_jax.types import Bounds, DatasetSpec, UnlearningRequest


def test_a_sample_that_comes_again_has_a_file_for_each_time(tmp_path: Path):
    images = np.zeros((3, 2, 2, 1), np.float32)
    labels, ids = np.zeros(3, np.int32), np.array([7, 7, 7])
    request = UnlearningRequest(images, labels, images, labels, ids, "repeated", np.ones(3, np.int64))
    save_request(tmp_path, "mine", request, DatasetSpec("two", (2, 2, 1), Bounds(-0.5, 0.5), ("ant", "bee")))
    assert {path.name for path in tmp_path.rglob("*.png")} == {"7.png", "7_2.png", "7_3.png"}


def test_plain_names_are_the_folders():
    names = ["ant", "Hund", "n02056570 king penguin, Aptenodytes", "猫", "a.b"]
    assert folder_names(names) == names


@pytest.mark.parametrize(
    "names",
    [
        ["ant", ".."],
        ["ant", "."],
        ["a/b", "a_b"],
        ["../../evil", "ant"],
        ["Cat", "cat"],  # one folder on macOS and on Windows
        ["caf\u00e9", "cafe\u0301"],  # one name, written in two ways
        ["cat", "cat."],
        ["cat", "cat "],
        ["a:b", "a?b"],
        ["line\nbreak", "line break"],
        ["half\ud83d", "half\ud83e"],
        ["nul\0l", "nul"],
        ["x" * 300 + "a", "x" * 300 + "b"],
        ["猫" * 100 + "a", "猫" * 100 + "b"],
        ["0_a", "a\n", "\na"],
        ["", " "],
        [".hidden", "hidden"],
    ],
)
def test_every_class_keeps_its_own_images_inside_the_request(tmp_path: Path, names: list[str]):
    count = len(names)
    images = np.linspace(-0.5, 0.5, count * 4, dtype=np.float32).reshape(count, 2, 2, 1)
    labels, ids = np.arange(count, dtype=np.int32), np.full(count, 7)
    request = UnlearningRequest(images, labels, images, labels, ids, "normal", np.zeros(count, np.int64))
    save_request(tmp_path, "mine", request, DatasetSpec("odd", (2, 2, 1), Bounds(-0.5, 0.5), tuple(names)))
    written = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*.png"))
    assert len(written) == count
    assert {path.parts[:2] for path in written} == {("requests", "mine")}
    assert {len(path.parts) for path in written} == {4}
    assert len({str(path).casefold() for path in written}) == count
    for path in written:
        assert len(path.parts[2].encode()) <= 120
