"""The training benchmark at toy size: both sides do the work that they say, on the same network."""

import jax
import numpy as np
import pytest

from experiments.benchmarks import torch_vgg, training
from overunlearn_jax.models import vgg

RNG = np.random.default_rng(0)
IMAGES = RNG.uniform(-0.5, 0.5, (12, *training.SHAPE)).astype(np.float32)
LABELS = RNG.integers(0, training.CLASSES, 12).astype(np.int32)


def test_our_sides_count_the_images_that_they_take():
    model = vgg(training.CLASSES, training.SHAPE, width=2)
    for work in (training.trainer(model, IMAGES, LABELS, 4), training.predictor(model, IMAGES, 4)):
        assert [work(units) for units in (1, 8, 11)] == [4, 8, 8]


def test_the_table_has_medians_and_the_spread_of_the_ratio():
    spread = {"median": 1234.5, "least": 1.0, "most": 2.0}
    ratio = {"median": 0.9, "least": 0.8, "most": 1.1}
    row = {"work": "training", "width": 16, "batch_size": 64, "ours": spread, "torch": spread, "ours_over_torch": ratio}
    cells = [cell.strip() for cell in training.table([row]).splitlines()[-1].split("|")]
    assert cells[1:-1] == ["training, batches of 64", "16", "1,234", "1,234", "0.90 [0.80, 1.10]"]


def test_pytorch_s_network_is_ours_and_its_sides_count_alike():
    pytest.importorskip("torch")
    ours = jax.eval_shape(vgg(training.CLASSES, training.SHAPE, width=4).init, jax.random.key(0))
    theirs = torch_vgg.vgg(4)
    assert sum(leaf.size for leaf in jax.tree.leaves(ours.params)) == sum(each.numel() for each in theirs.parameters())
    for work in (torch_vgg.trainer(4, IMAGES, LABELS, 4), torch_vgg.predictor(4, IMAGES, 4)):
        assert [work(units) for units in (1, 8, 11)] == [4, 8, 8]
