"""Training: AMSGrad by hand, the best weights, and the same weights again after any interruption."""

import json
import os
import random
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
from overunlearn_jax.models import Model, pure_model
from overunlearn_jax.training import TrainSettings, TrainState, fit, make_train_step, make_validation
from overunlearn_jax.types import Bounds, DatasetSpec, DivergedError, Split, Splits, Variables

CLASSES = 3
SETTINGS = TrainSettings(learning_rate=0.05, batch_size=8, epochs=8, patience=8)


def _split(seed, count, noise):
    """4x4 images of the class's pattern in noise."""
    patterns = np.random.default_rng(0).uniform(-0.5, 0.5, (CLASSES, 4, 4, 1))
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, CLASSES, count).astype(np.int32)
    images = patterns[labels] + noise * rng.normal(size=(count, 4, 4, 1))
    return Split(images.astype(np.float32), labels, np.arange(count))


def _splits(count=28, noise=0.8):
    spec = DatasetSpec("patterns", (4, 4, 1), Bounds(-8.0, 8.0), ("a", "b", "c"))
    return Splits(spec, *(_split(seed, size, noise) for seed, size in ((1, count), (2, 20), (3, 20))))


def _one_pixel_each(count):
    """Sample i lights pixel i alone: with softmax regression it moves row i of the weights and no other."""
    images = np.eye(16, dtype=np.float32)[:count].reshape(count, 4, 4, 1)
    split = Split(images, np.zeros(count, np.int32), np.arange(count))
    return Splits(DatasetSpec("pixels", (4, 4, 1), Bounds(0.0, 1.0), ("a", "b", "c")), split, split, split)


def _softmax_regression(traces=None):
    def apply(params, images):
        if traces is not None:
            traces.append(images.shape)
        return images.reshape(len(images), -1) @ params["kernel"]

    return pure_model(lambda key: {"kernel": 0.1 * jax.random.normal(key, (16, CLASSES))}, apply)


def _model_with_dropout():
    """Softmax regression with dropout of the pixels and a tracked mean: everything that a resumed run must restore."""

    def init(key):
        return Variables({"kernel": 0.1 * jax.random.normal(key, (16, CLASSES))}, {"mean": jnp.zeros(16)})

    def apply(variables, images, key):
        x, mean = images.reshape(len(images), -1), variables.state["mean"]
        if key is not None:
            mean = 0.9 * mean + 0.1 * x.mean(0)
            x = jnp.where(jax.random.bernoulli(key, 0.7, x.shape), x / 0.7, 0)
        return (x - mean) @ variables.params["kernel"], {"mean": mean}

    return Model(init, apply)


def _train(directory=None, settings=SETTINGS, seed=0, on_step=None):
    return fit(_model_with_dropout(), _splits(), settings, jax.random.key(seed), directory=directory, on_step=on_step)


def train_slowly(directory):
    """What the killed process runs."""
    _train(directory, on_step=lambda progress: time.sleep(0.02))


def _assert_same_bits(actual, expected):
    assert jax.tree.structure(actual) == jax.tree.structure(expected)
    for ours, theirs in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        assert np.asarray(ours).tobytes() == np.asarray(theirs).tobytes()


def _metrics(directory):
    return [json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The weights and the folder of a run that nothing interrupts."""
    directory = tmp_path_factory.mktemp("undisturbed")
    return _train(directory), directory


def _amsgrad(kernel, x, labels, rate, steps):
    """AMSGrad in NumPy on the closed-form gradient of the mean cross-entropy; the second result is plain ADAM's."""
    results = []
    for keep_maximum in (True, False):
        weights, mean, square, largest = kernel.astype(np.float64), 0, 0, 0
        for step in range(1, steps + 1):
            logits = x @ weights
            p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
            gradient = x.T @ (p - np.eye(CLASSES)[labels]) / len(x)
            mean = 0.9 * mean + 0.1 * gradient
            square = 0.999 * square + 0.001 * gradient**2
            corrected = square / (1 - 0.999**step)
            largest = np.maximum(largest, corrected) if keep_maximum else corrected
            weights = weights - rate * (mean / (1 - 0.9**step)) / (np.sqrt(largest) + 1e-8)
        results.append(weights)
    return results


@pytest.mark.parametrize("epochs", [1, 8])
def test_updates_are_those_of_amsgrad(epochs):
    # batches larger than the data: one step on the whole of it each epoch
    splits = _splits(20, noise=0.3)._replace(validation=_split(1, 20, 0.3))
    model = _softmax_regression()
    # `init` draws from the first of the three keys that `fit` splits its own into
    kernel = np.asarray(model.init(jax.random.split(jax.random.key(4), 3)[0]).params["kernel"])
    trained = fit(model, splits, TrainSettings(0.05, batch_size=64, epochs=epochs), jax.random.key(4))
    x = splits.train.images.reshape(20, -1).astype(np.float64)
    expected, adam = _amsgrad(kernel, x, splits.train.labels, 0.05, epochs)
    np.testing.assert_allclose(trained.params["kernel"], expected, rtol=1e-4, atol=1e-5)
    if epochs > 1:
        assert np.abs(adam - expected).max() > 1e-3


def test_the_gradient_is_that_of_the_mean_cross_entropy():
    splits = _splits(20)
    model = _softmax_regression()
    seen = []

    class Recorder:
        def update(self, gradients, state, params):
            del params  # Unused: the gradients are what is asked for.
            jax.debug.callback(lambda kernel: seen.append(np.asarray(kernel)), gradients["kernel"])
            return jax.tree.map(jnp.zeros_like, gradients), state

    variables = model.init(jax.random.key(0))
    rows = np.array([3, 0, 7])

    def loss(kernel):
        logits = splits.train.images[rows].reshape(3, -1) @ kernel
        return -jax.nn.log_softmax(logits)[jnp.arange(3), splits.train.labels[rows]].mean()

    value, expected = jax.value_and_grad(loss)(variables.params["kernel"])
    step = make_train_step(model, Recorder())
    state, reported = step(
        TrainState(variables, (), jnp.int32(0)), splits.train.images, splits.train.labels, rows, jax.random.key(1)
    )
    jax.effects_barrier()
    assert int(state.step) == 1
    np.testing.assert_allclose(reported, value, rtol=1e-6)
    np.testing.assert_allclose(seen[0], expected, rtol=1e-5, atol=1e-7)


def test_the_weights_of_the_lowest_validation_loss_are_returned(undisturbed):
    trained, directory = undisturbed
    losses = [line["validation_loss"] for line in _metrics(directory)]
    best = int(np.argmin(losses))
    assert 0 < best < len(losses) - 1  # it falls, then rises
    loss, accuracy = make_validation(_model_with_dropout(), _splits().validation)(trained)
    assert loss == pytest.approx(losses[best], abs=1e-9)
    assert accuracy == _metrics(directory)[best]["validation_accuracy"]


@pytest.mark.parametrize("patience", [1, 3])
def test_training_stops_after_so_many_epochs_without_a_lower_loss(undisturbed, tmp_path, patience):
    losses = [line["validation_loss"] for line in _metrics(undisturbed[1])]
    stop, lowest = 0, losses[0]
    for epoch, loss in enumerate(losses):
        if loss < lowest or epoch == 0:
            stop, lowest = epoch, loss
        elif epoch - stop > patience:
            break
    _train(tmp_path, SETTINGS._replace(patience=patience))
    assert [line["validation_loss"] for line in _metrics(tmp_path)] == losses[: stop + patience + 1]
    assert stop + patience + 1 < len(losses)


def test_a_validation_loss_that_only_rises_gives_the_first_epoch_back():
    splits = _splits(noise=0.3)
    turned = splits.train._replace(labels=(splits.train.labels + 1) % CLASSES)
    turned_splits = splits._replace(validation=turned)
    settings = TrainSettings(0.05, batch_size=8, epochs=6, patience=2)
    trained = fit(_softmax_regression(), turned_splits, settings, jax.random.key(0))
    first = fit(_softmax_regression(), turned_splits, settings._replace(epochs=1), jax.random.key(0))
    _assert_same_bits(trained, first)


def test_validation_is_the_mean_over_all_samples():
    model, split = _softmax_regression(), _split(5, 20, 1.0)
    variables = model.init(jax.random.key(0))
    logits = split.images.reshape(20, -1).astype(np.float64) @ np.asarray(variables.params["kernel"], np.float64)
    log_p = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    loss, accuracy = make_validation(model, split, batch_size=8)(variables)  # batches of 8, 8 and 4
    assert loss == pytest.approx(-log_p[np.arange(20), split.labels].mean(), rel=1e-5)
    assert accuracy == np.mean(logits.argmax(-1) == split.labels)


def test_the_key_decides_the_weights(undisturbed):
    _assert_same_bits(_train(), undisturbed[0])
    other = _train(seed=1, settings=SETTINGS._replace(epochs=2))
    assert not np.allclose(other.params["kernel"], undisturbed[0].params["kernel"])


def test_metrics_and_one_checkpoint_are_kept(undisturbed):
    _, directory = undisturbed
    assert sorted(path.name for path in directory.iterdir()) == ["epoch_7", "metrics.jsonl"]
    lines = _metrics(directory)
    assert [line["epoch"] for line in lines] == list(range(8))
    assert all(
        set(line) == {"epoch", "train_loss", "validation_loss", "validation_accuracy", "digest"} for line in lines
    )
    assert lines[-1]["train_loss"] < lines[0]["train_loss"]


@pytest.mark.parametrize("epochs", [2, 6])
def test_a_resumed_run_ends_as_an_undisturbed_one(undisturbed, tmp_path, epochs):
    _train(tmp_path, SETTINGS._replace(epochs=epochs))
    _assert_same_bits(_train(tmp_path), undisturbed[0])
    assert (tmp_path / "metrics.jsonl").read_bytes() == (undisturbed[1] / "metrics.jsonl").read_bytes()


class _Killed(BaseException):
    """What stands in for a kill at a chosen line."""


def _killed(*args, **kwargs):
    raise _Killed


@pytest.mark.parametrize("moment", ["in an epoch", "before the checkpoint", "before the old checkpoint goes"])
def test_an_interruption_at_any_step_of_an_epoch_costs_that_epoch_only(undisturbed, tmp_path, monkeypatch, moment):
    steps = []

    def on_step(progress):
        steps.append((progress.epoch, progress.step))
        if steps[-1] == (4, 1):
            if moment == "in an epoch":
                raise _Killed
            if moment == "before the checkpoint":
                monkeypatch.setattr(checkpoint, "save", _killed)
            if moment == "before the old checkpoint goes":
                remove = shutil.rmtree
                monkeypatch.setattr(
                    shutil, "rmtree", lambda path, **k: _killed() if Path(path).name == "epoch_3" else remove(path, **k)
                )

    with pytest.raises(_Killed):
        _train(tmp_path, on_step=on_step)
    monkeypatch.undo()
    assert steps[-1] == ((4, 1) if moment == "in an epoch" else (4, 2))
    again = []
    resumed = _train(tmp_path, on_step=lambda progress: again.append((progress.epoch, progress.step)))
    assert again[0] == ((5, 0) if moment == "before the old checkpoint goes" else (4, 0))
    _assert_same_bits(resumed, undisturbed[0])
    assert (tmp_path / "metrics.jsonl").read_bytes() == (undisturbed[1] / "metrics.jsonl").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["epoch_7", "metrics.jsonl"]


def test_a_killed_process_starts_again_where_it_was(undisturbed, tmp_path):
    metrics = tmp_path / "metrics.jsonl"
    script = "import sys; from tests.test_training import train_slowly; train_slowly(sys.argv[1])"
    root = Path(__file__).parents[1]
    process = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], cwd=root)
    try:
        deadline = time.monotonic() + 120
        while not metrics.exists() or len(metrics.read_text().splitlines()) < 2:
            assert process.poll() is None, "training ended by itself"
            assert time.monotonic() < deadline
            time.sleep(0.005)
        time.sleep(random.uniform(0, 0.2))  # anywhere in an epoch, or in the writing of its files
        os.kill(process.pid, signal.SIGKILL)
    finally:
        process.kill()
        assert process.wait() == -signal.SIGKILL
    assert 2 <= len(_metrics(tmp_path)) < SETTINGS.epochs
    _assert_same_bits(_train(tmp_path), undisturbed[0])
    assert metrics.read_bytes() == (undisturbed[1] / "metrics.jsonl").read_bytes()


def test_a_damaged_checkpoint_is_named(tmp_path):
    _train(tmp_path, SETTINGS._replace(epochs=1))
    os.truncate(tmp_path / "epoch_0" / "_METADATA", 20)
    with pytest.raises(checkpoint.CheckpointError, match=r"epoch_0.*delete that folder"):
        _train(tmp_path)


def test_epochs_after_the_first_are_not_traced_again():
    counts = []
    for epochs in (1, 4):
        traces = []
        fit(_softmax_regression(traces), _splits(), SETTINGS._replace(epochs=epochs), jax.random.key(0))
        counts.append(len(traces))
    assert counts[0] == counts[1] > 0, counts


def test_each_step_is_told():
    seen = []
    splits = _splits(10)
    settings = TrainSettings(batch_size=4, epochs=2)
    fit(_softmax_regression(), splits, settings, jax.random.key(0), on_step=seen.append)
    places = [(p.epoch, p.epochs, p.step, p.steps, p.images) for p in seen]
    assert places == [(0, 2, 0, 2, 4), (0, 2, 1, 2, 4), (1, 2, 0, 2, 4), (1, 2, 1, 2, 4)]
    assert all(np.isfinite(p.loss) for p in seen)
    assert [bool(np.isnan(p.validation_loss)) for p in seen] == [True, True, False, False]
    assert [bool(np.isnan(p.validation_accuracy)) for p in seen] == [True, True, False, False]


def test_an_epoch_goes_once_through_the_shuffled_samples_in_whole_batches():
    model, splits = _softmax_regression(), _one_pixel_each(10)
    start = model.init(jax.random.split(jax.random.key(0), 3)[0]).params["kernel"]

    def moved(epochs):
        trained = fit(model, splits, TrainSettings(batch_size=4, epochs=epochs), jax.random.key(0))
        return set(np.flatnonzero(np.any(np.asarray(trained.params["kernel"]) != np.asarray(start), axis=-1)))

    assert len(moved(1)) == 8  # two batches of 4; the rest of the shuffled epoch is left out
    assert moved(1) != set(range(8))
    assert moved(8) == set(range(10))


@pytest.mark.parametrize("rate", [1e38, float("nan")])
def test_a_loss_that_is_no_number_is_refused(tmp_path, rate):
    with pytest.raises(DivergedError, match=r"epoch 1: training diverged with learning rate"):
        fit(_softmax_regression(), _splits(), TrainSettings(rate, 8, 3), jax.random.key(0), directory=tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["epochs", "batch_size", "patience"])
def test_settings_that_train_nothing_are_refused(name):
    with pytest.raises(ValueError, match=f"{name} is 0; expected at least 1"):
        fit(_softmax_regression(), _splits(), TrainSettings()._replace(**{name: 0}), jax.random.key(0))


def test_a_model_for_another_number_of_classes_is_refused():
    model = pure_model(
        lambda key: {"kernel": jnp.zeros((16, 7))}, lambda params, x: x.reshape(-1, 16) @ params["kernel"]
    )
    with pytest.raises(ValueError, match=f"7.*expected.*{CLASSES}"):
        fit(model, _splits(), TrainSettings(), jax.random.key(0))


@pytest.mark.parametrize(
    ("part", "change", "message"),
    [
        (
            "train",
            lambda split: {"labels": np.eye(CLASSES)[split.labels]},
            r"the training labels .*labels\.argmax\(1\)",
        ),
        ("train", lambda split: {"labels": split.labels + 1}, "the training labels lie in 1 .* subtract 1"),
        ("train", lambda split: {"images": split.images.astype(np.uint8)}, "the training images have dtype uint8"),
        ("validation", lambda split: {"labels": split.labels.astype(float)}, r"the validation labels .*astype"),
    ],
)
def test_data_that_cannot_be_trained_on_say_why(part, change, message):
    splits, model = _splits(), _softmax_regression()
    split = getattr(splits, part)
    with pytest.raises(ValueError, match=message):
        fit(model, splits._replace(**{part: split._replace(**change(split))}), SETTINGS, jax.random.key(0))


def test_arrays_of_the_caller_survive_training():
    kernel = jnp.ones((16, CLASSES))
    model = pure_model(lambda key: {"kernel": kernel}, lambda params, images: images.reshape(-1, 16) @ params["kernel"])
    fit(model, _splits(), SETTINGS._replace(epochs=1), jax.random.key(0))
    np.testing.assert_array_equal(kernel, np.ones((16, CLASSES)))


def test_two_parameters_may_start_as_one_array():
    def init(key):
        kernel = 0.1 * jax.random.normal(key, (16, CLASSES))
        return {"first": kernel, "second": kernel}

    def apply(params, images):
        return images.reshape(len(images), -1) @ (params["first"] + params["second"])

    trained = fit(pure_model(init, apply), _splits(), SETTINGS._replace(epochs=1), jax.random.key(0))
    np.testing.assert_array_equal(trained.params["first"], trained.params["second"])
