"""Training a victim: AMSGrad, the weights of the lowest validation loss, resumable after any kill.

One epoch is a Python loop over one jitted step. On a CPU, XLA runs the kernel gradient of a convolution inside
`lax.scan` on one thread: the loop is 30 times faster there, and costs nothing elsewhere.
"""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from overunlearn_jax import checkpoint
from overunlearn_jax.compiling import training_options
from overunlearn_jax.digests import DIGEST, unsealed
from overunlearn_jax.files import settings_hash, write_bytes
from overunlearn_jax.labels import check_labels
from overunlearn_jax.models import Model
from overunlearn_jax.pixels import check_pixels
from overunlearn_jax.types import Array, DivergedError, Images, Key, Labels, PyTree, Split, Splits, Variables


class TrainSettings(NamedTuple):
    """The paper's training: AMSGrad (ADAM with the maximum of past second moments), batches of 64."""

    learning_rate: float = 1e-3
    batch_size: int = 64
    epochs: int = 30
    patience: int = 5  # epochs without a lower validation loss before training stops


class TrainState(NamedTuple):
    """What one training step changes."""

    variables: Variables
    optimizer_state: PyTree
    step: Array  # shape=(), dtype=int32: folded into the key, so that a resumed run draws the same dropout


class BestSoFar(NamedTuple):
    """The lowest validation loss and its weights."""

    variables: Variables
    loss: Array  # shape=(), dtype=float32
    epoch: Array  # shape=(), dtype=int32


class Progress(NamedTuple):
    """What a progress display is told after each step; losses are NaN until known."""

    epoch: int
    epochs: int
    step: int
    steps: int
    images: int  # trained on in this step
    loss: Array  # shape=(), dtype=float32; not yet computed when it is handed over
    validation_loss: float
    validation_accuracy: float


TrainStep = Callable[[TrainState, Images, Labels, Array | np.ndarray, Key], tuple[TrainState, Array]]


def make_train_step(model: Model, optimizer: optax.GradientTransformation) -> TrainStep:
    """One jitted step `(state, images, labels, rows, key) -> (state, loss)` on the rows of resident arrays.

    Not to be called inside another `jax.jit`, see `training_options`.
    """

    def step_fn(
        state: TrainState, images: Images, labels: Labels, rows: Array | np.ndarray, key: Key
    ) -> tuple[TrainState, Array]:
        dropout_key = jax.random.fold_in(key, state.step)

        def loss_fn(params: PyTree) -> tuple[Array, PyTree]:
            variables = Variables(params, state.variables.state)
            logits, model_state = model.apply(variables, images[rows], dropout_key)
            losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels[rows])
            return losses.mean(), model_state

        (loss, model_state), gradients = jax.value_and_grad(loss_fn, has_aux=True)(state.variables.params)
        updates, optimizer_state = optimizer.update(gradients, state.optimizer_state, state.variables.params)
        params = optax.apply_updates(state.variables.params, updates)
        return TrainState(Variables(params, model_state), optimizer_state, state.step + 1), loss

    return jax.jit(step_fn, donate_argnums=0, compiler_options=training_options())


def make_validation(model: Model, split: Split, batch_size: int = 256) -> Callable[[Variables], tuple[float, float]]:
    """A function from variables to (mean cross-entropy, accuracy) on `split`."""

    @jax.jit
    def sums(variables: Variables, images: Images, labels: Labels) -> tuple[Array, Array]:
        logits, _ = model.apply(variables, images, None)
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
        return losses.sum(), (logits.argmax(-1) == labels).sum()

    def validate(variables: Variables) -> tuple[float, float]:
        parts = [
            sums(variables, split.images[start : start + batch_size], split.labels[start : start + batch_size])
            for start in range(0, len(split.labels), batch_size)
        ]
        loss, correct = np.sum(np.asarray(parts, np.float64), axis=0) / len(split.labels)
        return float(loss), float(correct)

    return validate


def fit(
    model: Model,
    splits: Splits,
    settings: TrainSettings,
    key: Key,
    *,
    directory: str | Path | None = None,
    on_step: Callable[[Progress], None] | None = None,
) -> Variables:
    """Trains `model` and returns the weights of the lowest validation loss.

    With a `directory`, every finished epoch is kept there (one Orbax checkpoint, replaced by the next) together with
    `metrics.jsonl` (one line an epoch). Called again after a kill, training goes on from the last complete epoch and
    ends with the same weights as an undisturbed run. A directory belongs to one model, data set, key and settings:
    that is the caller's to keep. Raises checkpoint.CheckpointError for a damaged checkpoint, ValueError for settings
    below their least value, for 8-bit images and for labels that are no class numbers, and DivergedError for a
    validation loss that is not finite.
    """
    for name in ("batch_size", "epochs", "patience"):
        if getattr(settings, name) < 1:
            raise ValueError(f"{name} is {getattr(settings, name)}; expected at least 1")
    for name, split in (("training", splits.train), ("validation", splits.validation)):
        check_pixels(f"the {name} images", split.images)
        check_labels(f"the {name} labels", split.labels, len(split.images), splits.spec.num_classes)
    init_key, order_key, dropout_key = jax.random.split(key, 3)
    variables = jax.tree.map(jnp.copy, model.init(init_key))  # a step donates its state: not the caller's own arrays
    answer, _ = jax.eval_shape(lambda images: model.apply(variables, images, None), splits.train.images[:1])
    if answer.shape != (1, splits.spec.num_classes):
        raise ValueError(
            f"the model answers logits of shape {answer.shape} to one image; expected {(1, splits.spec.num_classes)}: "
            f"one for each class of {splits.spec.name}"
        )
    optimizer = optax.amsgrad(settings.learning_rate)
    train_step = make_train_step(model, optimizer)
    validate = make_validation(model, splits.validation)

    state = TrainState(variables, optimizer.init(variables.params), jnp.int32(0))
    best = BestSoFar(jax.tree.map(jnp.copy, variables), jnp.float32(jnp.inf), jnp.int32(-1))
    log = _EpochLog(directory)
    first_epoch, (state, best) = log.resume((state, best))

    images, labels = jnp.asarray(splits.train.images), jnp.asarray(splits.train.labels)
    batch_size = min(settings.batch_size, len(labels))
    steps = len(labels) // batch_size  # the shuffled rest of an epoch is left out: shapes stay static
    validation = (float("nan"), float("nan"))
    for epoch in range(first_epoch, settings.epochs):
        if epoch - int(best.epoch) > settings.patience:
            break
        order = np.asarray(jax.random.permutation(jax.random.fold_in(order_key, epoch), len(labels)))
        losses = []
        for step in range(steps):
            rows = order[step * batch_size : (step + 1) * batch_size]
            state, loss = train_step(state, images, labels, rows, dropout_key)
            losses.append(loss)
            if on_step:
                on_step(Progress(epoch, settings.epochs, step, steps, batch_size, loss, *validation))
        validation = validate(state.variables)
        if not np.isfinite(validation[0]):
            raise DivergedError(
                f"the validation loss became {validation[0]} in epoch {epoch + 1}: training diverged with learning "
                f"rate {settings.learning_rate}; take a smaller one"
            )
        if validation[0] < best.loss:
            best = BestSoFar(jax.tree.map(jnp.copy, state.variables), jnp.float32(validation[0]), jnp.int32(epoch))
        train_loss = float(np.mean(jax.device_get(losses)))
        log.write(epoch, (state, best), (train_loss, *validation))
    return best.variables


class _EpochLog:
    """The files of one training run: `epoch_<n>` (a checkpoint) and `metrics.jsonl`; nothing without a directory."""

    def __init__(self, directory: str | Path | None):
        self.directory = Path(directory) if directory is not None else None
        if self.directory:
            self.directory.mkdir(parents=True, exist_ok=True)
            for unfinished in self.directory.glob(".epoch_*"):  # a kill left it
                shutil.rmtree(unfinished)

    def _checkpoints(self) -> list[tuple[int, Path]]:
        assert self.directory is not None
        found = [path for path in self.directory.glob("epoch_*") if path.name[6:].isdecimal()]
        return sorted((int(path.name[6:]), path) for path in found)

    def resume(self, like: PyTree) -> tuple[int, PyTree]:
        """The epoch to start with and the state to start from."""
        if not self.directory or not self._checkpoints():
            return 0, like
        self._metrics()
        epoch, path = self._checkpoints()[-1]
        return epoch + 1, checkpoint.load(path, like)

    def _metrics(self) -> list[dict[str, float]]:
        """The lines of metrics.jsonl, one an epoch. Raises CheckpointError for one that is not as it was written."""
        assert self.directory is not None
        path = self.directory / "metrics.jsonl"
        try:
            return [unsealed(json.loads(line)) for line in path.read_bytes().splitlines()] if path.exists() else []
        except (ValueError, AttributeError) as error:  # the latter: JSON, and no object
            raise checkpoint.CheckpointError(
                f"{path} is damaged ({error}): delete that file and start the same command again; nothing is computed "
                "with it, and it begins anew"
            ) from error

    def write(self, epoch: int, tree: PyTree, metrics: tuple[float, float, float]) -> None:
        """Metrics first, checkpoint second, old checkpoints last: a kill in between repeats the epoch."""
        if not self.directory:
            return
        lines = [each for each in self._metrics() if each["epoch"] < epoch]
        names = ("train_loss", "validation_loss", "validation_accuracy")
        lines.append({"epoch": epoch, **dict(zip(names, metrics, strict=True))})
        text = "".join(f"{json.dumps({**line, DIGEST: settings_hash(line)})}\n" for line in lines)
        write_bytes(self.directory / "metrics.jsonl", text.encode())
        checkpoint.save(self.directory / f"epoch_{epoch}", tree)
        for old, old_path in self._checkpoints():
            if old < epoch:
                shutil.rmtree(old_path)
