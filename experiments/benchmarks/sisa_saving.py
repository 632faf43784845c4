"""How much time SISA saves: forgetting random samples beside training every shard anew, in one run.

    python -m experiments.benchmarks.sisa_saving --data_dir=FOLDER

For each size of request: the median over repeats of seconds to forget over seconds to train anew what is left, the
share of training steps that were repeated, and the share to expect. Requests of each repeat are drawn anew; compiling
counts in none of the times.
"""

if __name__ == "__main__":  # before all else is imported: Ctrl-C is one line from here on
    from experiments.command import start

    start("bench sisa_saving", "python -m experiments.benchmarks.sisa_saving")

import statistics
import time
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from absl import flags
from tabulate import tabulate

from experiments.config import Config
from experiments.victims.architectures import build_model
from overunlearn_jax import data
from overunlearn_jax.models import Model
from overunlearn_jax.types import Split
from overunlearn_jax.unlearn import without
from overunlearn_jax.unlearn.sisa import SisaSettings, expected_work_share, fit_sisa, forget


def measure(
    model: Model, train: Split, settings: SisaSettings, sizes: Sequence[int], repeats: int
) -> list[dict[str, Any]]:
    """One row for each size of request. Raises ValueError for a request that leaves no samples."""
    if max(sizes) >= len(train.labels):
        raise ValueError(f"a request of {max(sizes)} samples of {len(train.labels)}; expected fewer")
    key = jax.random.key(0)
    sisa = fit_sisa(model, train, settings, key)  # compiles, too
    rows = []
    for size in sizes:
        ratios, shares, seconds = [], [], []
        for repeat in range(repeats):
            chosen = np.random.default_rng([size, repeat]).choice(len(train.labels), size, replace=False)
            forget(model, sisa, train, chosen, settings, key)  # compiles for the batches that are left
            began = time.perf_counter()
            left, cost = forget(model, sisa, train, chosen, settings, key)
            between = time.perf_counter()
            fit_sisa(model, without(train, chosen), settings, key, assignment=left.assignment)
            anew = time.perf_counter() - between
            seconds.append((between - began, anew))
            ratios.append((between - began) / anew)
            shares.append(cost.work_share)
        forgetting, training = (statistics.median(each) for each in zip(*seconds, strict=True))
        rows.append(
            {
                "request": size,
                "seconds_to_forget": forgetting,
                "seconds_to_train_anew": training,
                "time_share": statistics.median(ratios),
                "work_share": statistics.mean(shares),
                "expected_work_share": expected_work_share(settings.shards, settings.slices, size),
            }
        )
    return rows


def define_flags() -> None:
    """The benchmark's own flags."""
    flags.DEFINE_string("data_dir", "", "folder of prepared TFDS data sets")
    flags.DEFINE_integer("samples", 10_000, "training samples to use", lower_bound=1)
    flags.DEFINE_integer("width", 8, "of the VGG", lower_bound=1)
    flags.DEFINE_integer("shards", 5, "models that are trained apart", lower_bound=1)
    flags.DEFINE_integer("slices", 4, "parts of a shard's data, each with a checkpoint", lower_bound=1)
    flags.DEFINE_integer("epochs", 1, "on each slice together with those before it", lower_bound=1)
    flags.DEFINE_integer("repeats", 3, "of each request", lower_bound=1)
    flags.DEFINE_list("requests", ["1", "4", "16", "400"], "samples to forget")


def main(arguments: list[str]) -> None:
    """Measures on real CIFAR-10 and prints a table."""
    if len(arguments) > 1:
        raise ValueError(f"unexpected arguments {arguments[1:]}")
    given = flags.FLAGS
    config = Config.of(dataset="cifar10", data_dir=given.data_dir, width=given.width, batch_norm_momentum=0.9)
    splits = data.load(config.data.dataset, data_dir=given.data_dir or None, seed=0)
    train = Split(*(part[: given.samples] for part in splits.train))
    settings = SisaSettings(shards=given.shards, slices=given.slices, epochs=given.epochs)
    sizes = tuple(map(int, given.requests))
    rows = measure(build_model(config.victim, splits.spec), train, settings, sizes, given.repeats)
    device = f"{jax.device_count()} x {jax.devices()[0].platform}"
    print(f"{len(train.labels):,} samples, {settings}, VGG of width {given.width}, {given.repeats} repeats, {device}")
    print(tabulate([row.values() for row in rows], rows[0], "github", floatfmt=".3g"))
