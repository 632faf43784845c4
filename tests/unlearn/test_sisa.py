"""SISA: forgetting is training without the forgotten samples, bit for bit, and leaves the other shards alone."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from overunlearn_jax import checkpoint
from overunlearn_jax.models import Model
from overunlearn_jax.training import TrainSettings, fit
from overunlearn_jax.types import DatasetSpec, DivergedError, Split, Splits, Variables
from overunlearn_jax.unlearn.matching import without
from overunlearn_jax.unlearn.sisa import Assignment, SisaSettings, assign, fit_sisa, forget, slices
from tests.unlearn.small_model import BOUNDS, CLASSES, IMAGE_SHAPE, assert_same_tree, request

SETTINGS = SisaSettings(shards=3, slices=2, epochs=2, learning_rate=0.05, batch_size=4)
KEY = jax.random.key(5)


def _model(traces=None):
    """Random weights, dropout and a tracked mean: everything that must come out the same again."""

    def init(key):
        return Variables({"head_logits": 0.1 * jax.random.normal(key, (9, CLASSES))}, {"mean": jnp.zeros(9)})

    def apply(variables, images, key):
        x, mean = images.reshape(len(images), -1), variables.state["mean"]
        if key is not None:
            if traces is not None:
                traces.append(images.shape)
            mean = 0.9 * mean + 0.1 * x.mean(0)
            x = jnp.where(jax.random.bernoulli(key, 0.7, x.shape), x / 0.7, 0)
        return (x - mean) @ variables.params["head_logits"], {"mean": mean}

    return Model(init, apply)


def _split(seed, count):
    return Split(*request(seed, count), np.arange(count))


MODEL, TRAIN = _model(), _split(0, 60)


def train_slowly(directory):
    """What the killed process runs."""
    fit_sisa(MODEL, TRAIN, SETTINGS, KEY, directory=directory, on_step=lambda progress: time.sleep(0.05))


@pytest.fixture(scope="module")
def sisa():
    return fit_sisa(MODEL, TRAIN, SETTINGS, KEY)


def _in(sisa, shard, number):
    """Rows in one slice of one shard."""
    return np.flatnonzero((sisa.assignment.shard == shard) & (sisa.assignment.slice == number))


def _without(assignment, rows):
    return Assignment(*(np.delete(part, rows) for part in assignment))


def _differ(first, second):
    return any(not np.array_equal(a, b) for a, b in zip(*map(jax.tree.leaves, (first, second)), strict=True))


def test_the_assignment_is_balanced_random_and_of_the_key():
    settings = SETTINGS._replace(shards=4, slices=2)
    place = assign(KEY, 50, settings)
    assert place.shard.dtype == place.slice.dtype == np.int32
    sizes = np.zeros((4, 2), int)
    np.add.at(sizes, place, 1)
    assert sizes.sum() == 50
    assert set(sizes.ravel()) == {6, 7}
    assert np.ptp(sizes.sum(1)) <= 1
    for first, again in zip(place, assign(KEY, 50, settings), strict=True):
        np.testing.assert_array_equal(first, again)
    assert not np.array_equal(place.shard, assign(jax.random.key(6), 50, settings).shard)
    # a sample is in every place equally often: 8 places, 400 keys, 50 expected in each (chi-square, 0.1 %)
    drawn = [assign(jax.random.key(seed), 16, settings) for seed in range(400)]
    counts = np.bincount([place.shard[7] * 2 + place.slice[7] for place in drawn], minlength=8)
    assert ((counts - 50) ** 2 / 50).sum() < 24.3


def test_slices_are_trained_one_after_the_other_on_all_samples_so_far(sisa):
    seen = []
    again = fit_sisa(MODEL, TRAIN, SETTINGS, KEY, on_step=seen.append)
    assert_same_tree(again.checkpoints, sisa.checkpoints)
    expected = [
        (shard, number, epoch, step, steps, 4)
        for shard in range(3)
        for number, steps in ((0, 2), (1, 5))  # 10 samples, then 20
        for epoch in range(2)
        for step in range(steps)
    ]
    assert [progress[:-1] for progress in seen] == expected
    assert all(np.isfinite(progress.loss) for progress in seen)
    weights = [checkpoints.params["head_logits"] for shard in sisa.checkpoints for checkpoints in shard]
    assert all(not np.array_equal(a, b) for i, a in enumerate(weights) for b in weights[:i])


def test_every_slice_has_an_order_dropout_and_every_shard_first_weights_of_its_own(monkeypatch):
    optimizer, _ = slices._training(MODEL, 0.1)
    steps, starts = [], []

    def record(state, images, labels, rows, key):
        if int(state.step) == 0:
            starts.append(np.asarray(state.variables.params["head_logits"]))
        steps.append((images[rows].tobytes(), jax.random.key_data(key).tobytes()))
        return state._replace(step=state.step + 1), jnp.float32(0)

    monkeypatch.setattr(slices, "_training", lambda model, rate: (optimizer, record))
    settings = SETTINGS._replace(shards=2, slices=3, batch_size=1)
    same = Split(np.repeat(TRAIN.images[:6], 2, 0), np.repeat(TRAIN.labels[:6], 2), np.arange(12))
    place = Assignment(
        np.tile([0, 1], 6), np.zeros(12, np.int32)
    )  # two shards of the same data, all in the first slice
    fit_sisa(MODEL, same, settings, KEY, assignment=place)
    epochs = [steps[start : start + 6] for start in range(0, len(steps), 6)]
    assert len(epochs) == 2 * 3 * 2
    assert all({images for images, _ in epoch} == {image.tobytes() for image in TRAIN.images[:6]} for epoch in epochs)
    assert len({tuple(images for images, _ in epoch) for epoch in epochs}) == 12  # 720 orders to draw from
    assert len({key for epoch in epochs for _, key in epoch}) == 6
    assert len({start.tobytes() for start in starts}) == 2


def test_one_shard_and_one_slice_is_plain_training():
    # `fit` returns the last weights where each epoch lowers the loss of what it validates on
    settings = SisaSettings(shards=1, slices=1, epochs=4, learning_rate=0.01, batch_size=8)
    sisa = fit_sisa(MODEL, TRAIN, settings, KEY)
    key = jax.random.fold_in(jax.random.fold_in(jax.random.split(KEY)[1], 0), 0)
    splits = Splits(DatasetSpec("noise", IMAGE_SHAPE, BOUNDS, tuple("abcd")), TRAIN, TRAIN, TRAIN)
    losses = []
    plain = fit(
        MODEL,
        splits,
        TrainSettings(0.01, 8, 4, 4),
        key,
        on_step=lambda progress: losses.append(progress.validation_loss),
    )
    assert (np.diff([loss for loss in dict.fromkeys(losses) if np.isfinite(loss)]) < 0).all()
    assert_same_tree(sisa.checkpoints[0][0], plain)


REQUESTS = {
    "one sample of a last slice": lambda sisa: _in(sisa, 1, 1)[:1],
    "one sample of a first slice": lambda sisa: _in(sisa, 2, 0)[3:4],
    "two shards": lambda sisa: np.concatenate([_in(sisa, 2, 1)[2:5], _in(sisa, 0, 0)[:2]]),
    "a whole slice": lambda sisa: _in(sisa, 1, 0),
    "all but one sample of a shard": lambda sisa: np.concatenate([_in(sisa, 0, 0), _in(sisa, 0, 1)[1:]]),
    "every shard": lambda sisa: np.arange(0, 60, 4),
}
SLICES_REDONE = dict(zip(REQUESTS, (1, 2, 3, 2, 2, 6), strict=True))


@pytest.mark.parametrize("name", REQUESTS)
def test_forgetting_is_training_without_the_samples_bit_for_bit(sisa, name):
    rows = REQUESTS[name](sisa)
    left, cost = forget(MODEL, sisa, TRAIN, rows, SETTINGS, KEY)
    scratch = fit_sisa(MODEL, without(TRAIN, rows), SETTINGS, KEY, assignment=_without(sisa.assignment, rows))
    assert_same_tree(left, scratch)
    assert cost.slices == SLICES_REDONE[name]
    touched = sisa.assignment.shard[rows]
    for shard in range(3):
        if shard not in touched:
            assert_same_tree(left.checkpoints[shard], sisa.checkpoints[shard])
            continue
        first = sisa.assignment.slice[rows[touched == shard]].min()
        assert_same_tree(left.checkpoints[shard][:first], sisa.checkpoints[shard][:first])
        for number in range(first, 2):
            assert _differ(left.checkpoints[shard][number], sisa.checkpoints[shard][number])


def test_the_forgotten_samples_are_not_even_read(sisa):
    rows = REQUESTS["two shards"](sisa)
    images = TRAIN.images.copy()
    images[rows] = np.nan
    left, _ = forget(MODEL, sisa, TRAIN, rows, SETTINGS, KEY)
    assert_same_tree(forget(MODEL, sisa, TRAIN._replace(images=images), rows, SETTINGS, KEY)[0], left)


def test_request_after_request_is_as_one_request(sisa):
    first, second = _in(sisa, 0, 1)[:2], np.concatenate([_in(sisa, 0, 0)[:1], _in(sisa, 2, 1)[:3]])
    once, _ = forget(MODEL, sisa, TRAIN, np.concatenate([first, second]), SETTINGS, KEY)
    one, _ = forget(MODEL, sisa, TRAIN, first, SETTINGS, KEY)
    moved = np.searchsorted(np.delete(np.arange(60), first), second)  # where they are in what is left
    two, _ = forget(MODEL, one, without(TRAIN, first), moved, SETTINGS, KEY)
    assert_same_tree(two, once)


def test_the_service_that_forgets_is_left_as_it_was(sisa):
    before = jax.tree.map(np.copy, sisa)
    forget(MODEL, sisa, TRAIN, REQUESTS["every shard"](sisa), SETTINGS, KEY)
    assert_same_tree(sisa, before)


def test_the_cost_is_that_of_the_steps_taken(sisa):
    seen = []
    rows = REQUESTS["two shards"](sisa)
    _, cost = forget(MODEL, sisa, TRAIN, rows, SETTINGS, KEY, on_step=seen.append)
    assert cost.images == sum(progress.images for progress in seen) > 0
    seen.clear()
    fit_sisa(
        MODEL,
        without(TRAIN, rows),
        SETTINGS,
        KEY,
        assignment=_without(sisa.assignment, rows),
        on_step=seen.append,
    )
    assert cost.all_images == sum(progress.images for progress in seen)
    assert cost.work_share == cost.images / cost.all_images < 1


def test_slices_of_any_length_are_not_traced_again():
    traces = []
    model = _model(traces)
    sisa = fit_sisa(model, _split(0, 61), SETTINGS, KEY)
    assert len(traces) == 1
    forget(model, sisa, _split(0, 61), np.array([3, 20, 21]), SETTINGS, KEY)
    fit_sisa(model, _split(1, 47), SETTINGS, jax.random.key(1))
    assert len(traces) == 1
    fit_sisa(model, _split(1, 8), SETTINGS, KEY)  # 1 or 2 samples in a slice: a batch of 1, 2 or 3 for each such length
    assert {shape[0] for shape in traces[1:]} == {1, 2, 3}
    assert len(traces) == 4


def _checkpoints(directory):
    return {path: path.stat().st_mtime_ns for path in directory.glob("*/shard_*/*")}


class _Killed(BaseException):
    """What stands in for a kill at a chosen line."""


@pytest.mark.parametrize("moment", ["in a slice", "in a checkpoint"])
def test_interrupted_training_goes_on_with_the_slice(sisa, tmp_path, monkeypatch, moment):
    def on_step(progress):
        if progress[:4] == (1, 1, 0, 0):
            if moment == "in a slice":
                raise _Killed
            monkeypatch.setattr(os, "replace", _raise)  # the rename that completes a checkpoint

    replace = os.replace

    def _raise(*paths):
        if Path(paths[1]).name == "digests.json":
            return replace(*paths)
        # a kill leaves the half-written folder, an exception would remove it
        shutil.copytree(Path(paths[0]).parent, Path(paths[0]).parent.with_name(".slice_1_left.half"))
        raise _Killed

    with pytest.raises(_Killed):
        fit_sisa(MODEL, TRAIN, SETTINGS, KEY, directory=tmp_path, on_step=on_step)
    monkeypatch.undo()
    assert len(_checkpoints(tmp_path)) == (3 if moment == "in a slice" else 4)
    seen = []
    resumed = fit_sisa(MODEL, TRAIN, SETTINGS, KEY, directory=tmp_path, on_step=seen.append)
    assert seen[0][:4] == (1, 1, 0, 0)
    assert_same_tree(resumed, sisa)
    assert len(_checkpoints(tmp_path)) == 6
    seen.clear()
    assert_same_tree(fit_sisa(MODEL, TRAIN, SETTINGS, KEY, directory=tmp_path, on_step=seen.append), sisa)
    assert not seen


def test_a_killed_process_starts_again_where_it_was(sisa, tmp_path):
    script = "import sys; from tests.unlearn.test_sisa import train_slowly; train_slowly(sys.argv[1])"
    process = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], cwd=Path(__file__).parents[2])
    try:
        deadline = time.monotonic() + 120
        while not any(not path.name.startswith(".") for path in tmp_path.glob("*/shard_*/*")):
            assert process.poll() is None, "training ended by itself"
            assert time.monotonic() < deadline
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
    finally:
        process.kill()
        assert process.wait() == -signal.SIGKILL
    assert 1 <= len(_checkpoints(tmp_path)) < 6
    assert_same_tree(fit_sisa(MODEL, TRAIN, SETTINGS, KEY, directory=tmp_path), sisa)


def test_forgotten_samples_leave_the_disk_before_training_and_a_kill_loses_one_slice(sisa, tmp_path):
    fit_sisa(MODEL, TRAIN, SETTINGS, KEY, directory=tmp_path)
    before = _checkpoints(tmp_path)
    rows = REQUESTS["two shards"](sisa)  # shard 2 from slice 1 on, shard 0 from slice 0 on
    kept = []

    def on_step(progress):
        kept.append(_checkpoints(tmp_path))
        if progress.shard == 2:
            raise _Killed

    arguments = (MODEL, sisa, TRAIN, rows, SETTINGS, KEY)
    with pytest.raises(_Killed):
        forget(*arguments, directory=tmp_path, on_step=on_step)
    assert kept[0].items() < before.items()
    assert sorted(path.name[:7] for path in kept[0]) == ["slice_0", "slice_0", "slice_1"]
    seen = []
    resumed, cost = forget(*arguments, directory=tmp_path, on_step=seen.append)
    assert {progress[:2] for progress in seen} == {(2, 1)}
    undisturbed, same_cost = forget(*arguments)
    assert_same_tree(resumed, undisturbed)
    assert cost == same_cost
    after = _checkpoints(tmp_path)
    assert len(after) == 6
    assert kept[0].items() < after.items()


def test_other_data_keys_and_settings_have_checkpoints_of_their_own(sisa, tmp_path):
    fit_sisa(MODEL, TRAIN, SETTINGS, KEY, directory=tmp_path)
    relabelled = TRAIN._replace(labels=(TRAIN.labels + 1) % CLASSES)
    for train, settings, key in (
        (relabelled, SETTINGS, KEY),
        (TRAIN, SETTINGS, jax.random.key(6)),
        (TRAIN, SETTINGS._replace(epochs=1), KEY),
    ):
        alone = fit_sisa(MODEL, train, settings, key)
        assert_same_tree(fit_sisa(MODEL, train, settings, key, directory=tmp_path), alone)
        assert _differ(alone.checkpoints, sisa.checkpoints)


def test_a_damaged_checkpoint_is_named(tmp_path):
    fit_sisa(MODEL, TRAIN, SETTINGS, KEY, directory=tmp_path)
    (path,) = tmp_path.glob("*/shard_1/slice_0_*")
    os.truncate(path / "_METADATA", 20)
    with pytest.raises(checkpoint.CheckpointError, match=r"slice_0_.*delete that folder"):
        fit_sisa(MODEL, TRAIN, SETTINGS, KEY, directory=tmp_path)


@pytest.mark.parametrize("name", ["shards", "slices", "epochs", "batch_size"])
def test_settings_below_one_are_refused(sisa, name):
    settings = SETTINGS._replace(**{name: 0})
    for call in (
        lambda: assign(KEY, 60, settings),
        lambda: fit_sisa(MODEL, TRAIN, settings, KEY, assignment=sisa.assignment),
        lambda: forget(MODEL, sisa, TRAIN, np.array([1]), settings, KEY),
    ):
        with pytest.raises(ValueError, match=f"{name} is 0; expected at least 1"):
            call()


def test_training_that_cannot_work_says_why(sisa):
    with pytest.raises(ValueError, match="5 samples for 3 shards of 2 slices; expected at least 6"):
        fit_sisa(MODEL, _split(0, 5), SETTINGS, KEY)
    with pytest.raises(ValueError, match="the assignment is for 60 samples, the split has 59"):
        fit_sisa(MODEL, without(TRAIN, np.array([0])), SETTINGS, KEY, assignment=sisa.assignment)
    with pytest.raises(ValueError, match="beyond 2 shards of 2 slices"):
        fit_sisa(MODEL, TRAIN, SETTINGS._replace(shards=2), KEY, assignment=sisa.assignment)
    with pytest.raises(ValueError, match=rf"expected 0 \.\.\. {CLASSES - 1}"):
        fit_sisa(MODEL, TRAIN._replace(labels=TRAIN.labels + 1), SETTINGS, KEY)
    with pytest.raises(DivergedError, match=r"smaller learning_rate than 3e\+38"):
        fit_sisa(MODEL, TRAIN, SETTINGS._replace(learning_rate=3e38), KEY)


@pytest.mark.parametrize("rate", [-0.01, 0.0, float("nan"), float("inf")])
def test_a_learning_rate_that_is_none_is_refused_before_anything_is_trained(rate):
    with pytest.raises(ValueError, match=f"learning_rate is {rate}; expected a finite number above 0"):
        fit_sisa(MODEL, TRAIN, SETTINGS._replace(learning_rate=rate), KEY)


def test_requests_that_cannot_be_forgotten_say_why(sisa):
    for rows, settings, split, message in (
        (np.zeros(0, int), SETTINGS, TRAIN, "nothing to forget"),
        (np.array([-1, 3]), SETTINGS, TRAIN, "leave out the -1"),
        (np.array([60]), SETTINGS, TRAIN, r"expected a vector of integers in 0 \.\.\. 59"),
        (np.array([3]), SETTINGS._replace(slices=3), TRAIN, "3 shards of 2 slices, the settings 3 of 3"),
        (np.array([3]), SETTINGS, without(TRAIN, np.array([0])), r"for 60 samples.*without\(split, rows\)"),
        (np.flatnonzero(sisa.assignment.shard == 1), SETTINGS, TRAIN, r"nothing would be left of shards \[1\]"),
    ):
        with pytest.raises(ValueError, match=message):
            forget(MODEL, sisa, split, rows, settings, KEY)
