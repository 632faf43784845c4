"""How much of the victim's speed the attack keeps: ZOO queries a second over plain jitted forward passes.

    python -m experiments.benchmarks.zoo --width=16,32

The plain side is the same victim's jitted forward pass at whichever batch size is fastest. Both sides are warm and
alternate within one run; medians and the ratio are printed and, with --out, written as JSON. Only speed is measured:
the victim has random weights, and the search takes steps of no length, so that it never ends early.
"""

import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from absl import app, flags

from overunlearn_jax.attacks import ZooSettings, run_fused, start, zoo
from overunlearn_jax.black_box import BlackBox
from overunlearn_jax.models import predict_fn, vgg
from overunlearn_jax.types import Bounds, DatasetSpec

IMAGE_SHAPE = (32, 32, 3)
BATCHES = (64, 128, 257, 514, 1028, 4112, 8224)


def main(arguments: list[str]) -> None:
    """One row for each width."""
    if len(arguments) > 1:
        raise app.UsageError(f"unexpected arguments {arguments[1:]}")
    flag = flags.FLAGS
    rows = [measure(int(width), flag.samples, flag.steps, flag.repeats, flag.slots) for width in flag.width]
    device = f"{jax.devices()[0].device_kind}, {jax.default_backend()}"
    result = {"device": device, "jax": jax.__version__, "rows": rows}
    print(json.dumps(result, indent=2))
    if flag.out:
        Path(flag.out).write_text(json.dumps(result, indent=2) + "\n")


def measure(width: int, samples: int, steps: int, repeats: int, slots: int) -> dict[str, float]:
    """Both sides for VGG-3 of one width, `repeats` times in turn."""
    model = vgg(10, IMAGE_SHAPE, width=width)
    predict = predict_fn(model, model.init(jax.random.key(0)))
    spec = DatasetSpec("random", IMAGE_SHAPE, Bounds(-0.5, 0.5), tuple("abcdefghij"))
    images = jax.random.uniform(jax.random.key(1), (max(BATCHES), *IMAGE_SHAPE), minval=-0.5, maxval=0.5)
    black_box = BlackBox(spec, predict)
    labels = black_box.query(np.asarray(images[:samples])).argmax(-1)
    # Steps of no length and no stall: every sample takes every step.
    settings = ZooSettings(spec.bounds, targeted=True, max_steps=steps, step_size=0.0, stall_ratio=2.0)
    engine = zoo(settings)

    def attack() -> int:
        targets = (labels + 1) % 10
        state = start(engine, jax.random.key(2), jnp.arange(samples), images[:samples], labels, targets, 10)
        state = run_fused(engine, black_box, state, slots)
        return int(state.queries.sum())

    forward = jax.jit(lambda predict, batch: predict(batch))
    pieces = {batch: images[:batch] for batch in BATCHES}

    def plain(batch: int) -> int:
        calls = max(1, samples * steps * settings.queries_per_step // batch // 4)
        for _ in range(calls):
            answer = forward(predict, pieces[batch])
        jax.block_until_ready(answer)
        return calls * batch

    _rate(attack)
    best = max(BATCHES, key=lambda batch: max(_rate(lambda: plain(batch)) for _ in range(2)))
    attack_rates, plain_rates = [], []
    for _ in range(repeats):
        attack_rates.append(_rate(attack))
        plain_rates.append(_rate(lambda: plain(best)))
    return {
        "width": width,
        "slots": slots,
        "attack_queries_per_second": statistics.median(attack_rates),
        "plain_images_per_second": statistics.median(plain_rates),
        "plain_best_batch": best,
        "ratio": statistics.median(a / b for a, b in zip(attack_rates, plain_rates, strict=True)),
    }


def _rate(work: Callable[[], int]) -> float:
    began = time.perf_counter()
    return work() / (time.perf_counter() - began)


if __name__ == "__main__":
    flags.DEFINE_list("width", ["16", "32"], "filters of VGG-3, one row each")
    flags.DEFINE_integer("samples", 4, "samples attacked")
    flags.DEFINE_integer("steps", 20, "steps a sample")
    flags.DEFINE_integer("repeats", 5, "measurements of each side")
    flags.DEFINE_integer("slots", 1, "samples probed in one call")
    flags.DEFINE_string("out", "", "JSON file to write")
    app.run(main)
