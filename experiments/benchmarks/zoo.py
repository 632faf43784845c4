"""How fast the attack is, beside the victim's own forward pass and beside what a user would pick instead.

    python -m experiments.benchmarks.zoo --data_dir=PREPARED_TFDS_FOLDER --out=FILE.json

Parts: `speed` (queries a second over plain forward passes), `exactness` (probes from cached activations against whole
passes), `opponents` (time to push the same images), `memory` (few and many samples). Without --data_dir images and
weights are random, and `opponents` is left out. Sides are warm and measured in turn; medians and ratios are printed.
"""

if __name__ == "__main__":  # before all else is imported: Ctrl-C is one line from here on
    from experiments.command import start

    start("bench zoo", "python -m experiments.benchmarks.zoo")

import json
import os
import platform
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
from absl import flags

from experiments.benchmarks import exactness, memory, opponents, speed
from experiments.benchmarks.subjects import Subject, subject
from overunlearn_jax.attacks import default_slots
from overunlearn_jax.reporting import command_line

PARTS = ("speed", "exactness", "opponents", "memory")


def main(arguments: list[str]) -> None:
    """One row for each part and victim, printed and written as soon as it is measured."""
    if len(arguments) > 1:
        raise ValueError(f"unexpected arguments {arguments[1:]}")
    flag = flags.FLAGS
    device = f"{len(jax.devices())} x {jax.devices()[0].device_kind}, {os.cpu_count()} cores"
    result: dict[str, Any] = {
        "command": command_line(),
        "device": device,
        "python": platform.python_version(),
        "jax": jax.__version__,
        "rows": [],
    }
    for part, row in rows(flag):
        result["rows"].append({"part": part, **row})
        print(json.dumps(result["rows"][-1], indent=2), flush=True)
        if flag.out:
            Path(flag.out).write_text(json.dumps(result, indent=2) + "\n")


def rows(flag: flags.FlagValues) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every row that the flags ask for."""
    slots = flag.slots or default_slots(speed.QUERIES_PER_STEP)
    for index, kind in enumerate(flag.victims):
        victim: Subject = subject(kind, flag.data_dir, flag.cache_dir, brief=index > 0)
        if "speed" in flag.parts:
            yield "speed", speed.measure(victim, slots, flag.seconds, flag.repeats)
        if "exactness" in flag.parts:
            yield "exactness", exactness.measure(victim)
        if "opponents" in flag.parts and flag.data_dir and index == 0:
            yield "opponents", opponents.measure(victim, flag.samples, flag.repeats)
    if "memory" in flag.parts:
        yield "memory", memory.measure()


def define_flags() -> None:
    """The benchmark's own flags."""
    flags.DEFINE_list("victims", ["vgg:32", "vgg:128", "resnet:64"], "the first is trained as in cifar10_cpu.cfg")
    flags.DEFINE_multi_enum("parts", list(PARTS), PARTS, "what is measured")
    flags.DEFINE_string("data_dir", "", "where TFDS's cifar10 lies; empty: random images and weights")
    flags.DEFINE_string("cache_dir", "runs/cache", "trained victims")
    flags.DEFINE_integer("slots", 0, "samples probed in one call; 0: as push does", lower_bound=0)
    flags.DEFINE_float("seconds", 4, "of each measurement of speed")
    flags.DEFINE_integer("repeats", 5, "measurements of each side", lower_bound=1)
    flags.DEFINE_integer("samples", 64, "images that the opponents push", lower_bound=1)
    flags.DEFINE_string("out", "", "JSON file to write")
