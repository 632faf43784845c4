"""How fast victims are trained and asked, beside the same network in PyTorch on the same CPU.

    python -m experiments.benchmarks.training --out=FILE.json

Images and weights are random: speed depends on neither. Both sides are warm, run in this process and take turns, so
that a busy machine slows both; every ratio is taken within a turn. Needs PyTorch (the extra `torch`).
"""

if __name__ == "__main__":  # before all else is imported: Ctrl-C is one line from here on
    from experiments.command import start

    start("bench training", "python -m experiments.benchmarks.training")

import json
import os
import platform
import statistics
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from absl import flags
from tabulate import tabulate

from experiments.benchmarks import torch_vgg
from experiments.benchmarks.timing import Work, rates
from overunlearn_jax.models import Model, predict_fn, vgg
from overunlearn_jax.reporting import command_line
from overunlearn_jax.training import TrainState, make_train_step

IMAGES, SHAPE, CLASSES = 2048, (32, 32, 3), 10
COLUMNS = ("work", "VGG-3 width", "ours, images/s", "PyTorch, images/s", "ours over PyTorch")


def measure(width: int, batch_sizes: dict[str, int], seconds: float, repeats: int) -> list[dict[str, Any]]:
    """Images a second of training and of predicting at one width, one row each.

    Args:
      width: of the convolutions of a VGG-3.
      batch_sizes: images a step, for "training" and "prediction"; what is not named is not measured.
      seconds: of each measurement.
      repeats: measurements of each side.

    Raises ImportError, naming the extra, where PyTorch is absent.
    """
    rng = np.random.default_rng(0)
    images = rng.uniform(-0.5, 0.5, (IMAGES, *SHAPE)).astype(np.float32)
    labels = rng.integers(0, CLASSES, IMAGES).astype(np.int32)
    model = vgg(CLASSES, SHAPE, width=width)
    rows = []
    for name, batch_size in batch_sizes.items():
        if name == "training":
            sides = {
                "ours": trainer(model, images, labels, batch_size),
                "torch": torch_vgg.trainer(width, images, labels, batch_size),
            }
        else:
            sides = {
                "ours": predictor(model, images, batch_size),
                "torch": torch_vgg.predictor(width, images, batch_size),
            }
        found = rates(sides, batch_size, seconds, repeats)
        ratios = [ours / theirs for ours, theirs in zip(found["ours"], found["torch"], strict=True)]
        spreads = {side: _spread(values) for side, values in (*found.items(), ("ours_over_torch", ratios))}
        rows.append({"work": name, "width": width, "batch_size": batch_size, **spreads})
    return rows


def trainer(model: Model, images: np.ndarray, labels: np.ndarray, batch_size: int) -> Work:
    """Trains on about so many images, in batches, by the step of `training.fit`."""
    optimizer = optax.amsgrad(1e-3)
    step = make_train_step(model, optimizer)
    variables = jax.jit(model.init)(jax.random.key(0))
    state = TrainState(variables, optimizer.init(variables.params), jnp.int32(0))
    x, y, key = jnp.asarray(images), jnp.asarray(labels), jax.random.key(1)

    def work(units: int) -> int:
        nonlocal state
        steps = max(1, units // batch_size)
        for number in range(steps):
            rows = np.arange(number * batch_size, (number + 1) * batch_size) % len(labels)
            state, loss = step(state, x, y, rows, key)
        loss.block_until_ready()
        return steps * batch_size

    return work


def predictor(model: Model, images: np.ndarray, batch_size: int) -> Work:
    """Predicts probabilities of about so many images, in batches, as an evaluation does."""
    predict = jax.jit(predict_fn(model, jax.jit(model.init)(jax.random.key(0))))

    def work(units: int) -> int:
        steps = max(1, units // batch_size)
        for step in range(steps):
            start = step * batch_size % (len(images) - batch_size + 1)
            answer = predict(images[start : start + batch_size])
        answer.block_until_ready()
        return steps * batch_size

    return work


def table(rows: list[dict[str, Any]]) -> str:
    """The rows in Markdown: medians, and the least and most of all repeats."""
    lines = []
    for row in rows:
        ours, torch = (f"{row[side]['median']:,.0f}" for side in ("ours", "torch"))
        ratio = row["ours_over_torch"]
        name = f"{row['work']}, batches of {row['batch_size']}"
        lines.append((name, row["width"], ours, torch, "{median:.2f} [{least:.2f}, {most:.2f}]".format(**ratio)))
    return tabulate(lines, COLUMNS, "github", disable_numparse=True)


def _spread(values: list[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "least": min(values), "most": max(values)}


def define_flags() -> None:
    """The benchmark's own flags."""
    flags.DEFINE_list("widths", ["16", "32", "128"], "of the VGG-3")
    flags.DEFINE_integer("batch_size", 64, "images a training step", lower_bound=1, upper_bound=IMAGES)
    flags.DEFINE_integer("prediction_batch", 128, "images a forward pass", lower_bound=1, upper_bound=IMAGES)
    flags.DEFINE_float("seconds", 4, "of each measurement")
    flags.DEFINE_integer("repeats", 7, "measurements of each side", lower_bound=1)
    flags.DEFINE_string("out", "", "JSON file to write")


def main(arguments: list[str]) -> None:
    """Every row is written as soon as it is measured; the table is printed at the end."""
    if len(arguments) > 1:
        raise ValueError(f"unexpected arguments {arguments[1:]}")
    flag = flags.FLAGS
    torch_vgg.check_installed()
    result: dict[str, Any] = {
        "command": command_line(),
        "device": f"{len(jax.devices())} x {jax.devices()[0].device_kind}, {os.cpu_count()} cores",
        "python": platform.python_version(),
        "jax": jax.__version__,
        "torch": version("torch"),
        "malloc": {name: value for name, value in os.environ.items() if name.startswith("MALLOC_")},  # see allocator
        "rows": [],
    }
    batch_sizes = {"training": flag.batch_size, "prediction": flag.prediction_batch}
    for width in map(int, flag.widths):
        result["rows"] += measure(width, batch_sizes, flag.seconds, flag.repeats)
        print(table(result["rows"][-2:]), flush=True)
        if flag.out:
            Path(flag.out).write_text(json.dumps(result, indent=2) + "\n")
    print(f"\n{table(result['rows'])}")
