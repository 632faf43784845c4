import os
import subprocess
import sys

import numpy as np
import pytest

from overunlearn_jax.data import digest, load
from overunlearn_jax.types import Bounds, DatasetSpec, Split, Splits


@pytest.fixture
def splits() -> Splits:
    def split(size: int, first_id: int) -> Split:
        images = np.linspace(-0.5, 0.5, size * 6, dtype=np.float32).reshape(size, 2, 3, 1)
        return Split(images, np.arange(size, dtype=np.int32) % 2, np.arange(first_id, first_id + size))

    return Splits(DatasetSpec("mine", (2, 3, 1), Bounds(-0.5, 0.5), ("a", "b")), split(8, 0), split(2, 8), split(3, 0))


def test_digest_is_16_hexadecimal_digits_and_repeats(splits: Splits):
    assert len(digest(splits)) == 16
    int(digest(splits), 16)
    assert digest(splits) == digest(splits._replace(train=Split(*(array.copy() for array in splits.train))))


@pytest.mark.parametrize("part", ["train", "validation", "test"])
@pytest.mark.parametrize("field", ["images", "labels", "ids"])
def test_one_changed_value_changes_the_digest(splits: Splits, part: str, field: str):
    before = digest(splits)
    array = getattr(getattr(splits, part), field)
    array[-1] += 1 if field != "images" else np.float32(1 / 255)
    assert digest(splits) != before


def test_spec_shape_and_order_count(splits: Splits):
    images = splits.train.images
    others = [
        splits._replace(spec=splits.spec._replace(class_names=("a", "c"))),
        splits._replace(train=splits.train._replace(images=images.reshape(8, 3, 2, 1))),
        splits._replace(train=splits.train._replace(images=images.view(np.int32))),
        splits._replace(train=Split(*(array[::-1] for array in splits.train))),
        splits._replace(validation=splits.test, test=splits.validation),
    ]
    assert len({digest(other) for other in [splits, *others]}) == 6


def test_digest_reads_values_not_memory_layout(splits: Splits):
    images = splits.train.images
    for same in (np.asfortranarray(images), images.astype(">f4"), np.repeat(images, 2, axis=0)[::2]):
        assert digest(splits._replace(train=splits.train._replace(images=same))) == digest(splits)


def test_digest_is_the_same_in_another_process():
    code = "from overunlearn_jax.data import *; print(digest(load('digits', seed=4)))"
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "PYTHONHASHSEED": "1"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, check=True)
    assert done.stdout.strip() == digest(load("digits", seed=4)) != digest(load("digits", seed=5))
