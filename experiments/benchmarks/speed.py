"""Attack queries a second over plain forward passes of the same victim at whichever batch size is fastest."""

import statistics
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.benchmarks.subjects import Subject
from experiments.benchmarks.timing import Work, rates, ratio
from overunlearn_jax.attacks import ZooSettings, run_fused, start, zoo
from overunlearn_jax.batching import apply_predict
from overunlearn_jax.black_box import BlackBox
from overunlearn_jax.pixel_edit import saving

BATCHES = (64, 128, 256, 512, 1024)
QUERIES_PER_STEP = 257  # of the paper's search


def measure(subject: Subject, slots: int, seconds: float, repeats: int) -> dict[str, Any]:
    """Both ways of answering probes, and the plain pass at its best batch size, in turn."""
    larger = () if jax.default_backend() == "cpu" else (2048, 4096, slots * QUERIES_PER_STEP)
    plain = {batch: partial(_plain, subject, batch) for batch in (*BATCHES, *larger)}
    best = max(plain, key=lambda batch: max(rates({"": plain[batch]}, batch, seconds / 8, 2)[""]))
    attacks = {name: partial(_attack, subject, slots, edits) for name, edits in (("whole", False), ("edits", True))}
    per_step = slots * QUERIES_PER_STEP
    sides: dict[str, Work] = {"plain": plain[best], **attacks}
    found = rates(sides, max(per_step, best), seconds, repeats)
    medians = {name: statistics.median(values) for name, values in found.items()}
    return {
        "victim": subject.name,
        "trained": subject.trained,
        "slots": slots,
        "plain_best_batch": best,
        "plain_images_per_second": medians["plain"],
        "whole_queries_per_second": medians["whole"],
        "edits_queries_per_second": medians["edits"],
        "whole_over_plain": ratio(found["whole"], found["plain"]),
        "edits_over_plain": ratio(found["edits"], found["plain"]),
        "operations_saved": saving(subject.predict, subject.spec.image_shape, 1),
    }


def _settings(subject: Subject) -> ZooSettings:
    """Steps that move no pixel and no stall: a search that goes on until its budget is spent."""
    return ZooSettings(subject.spec.bounds, targeted=True, max_steps=10**6, step_size=1e-30, stall_ratio=2.0)


def _attack(subject: Subject, slots: int, edits: bool, queries: int) -> int:
    settings = _settings(subject)
    rows = np.resize(np.arange(len(subject.images)), slots)
    labels = subject.labels[rows]
    state = _start(zoo(settings), subject.images[rows], labels, (labels + 1) % 10)
    service = BlackBox(subject.spec, subject.predict, budget=queries, pixel_edits=edits)
    jax.block_until_ready(run_fused(zoo(settings), service, state, slots))
    return service.queries


@partial(jax.jit, static_argnums=0)
def _start(engine: Any, images: jax.Array, labels: jax.Array, targets: jax.Array) -> Any:
    state = start(engine, jax.random.key(0), jnp.arange(len(labels)), images, labels, targets, 10)
    return jax.tree.map(jnp.copy, state)


def _plain(subject: Subject, batch: int, images: int) -> int:
    pixels = _pixels(subject, batch)
    calls = -(-images // batch)
    for _ in range(calls):
        answer = apply_predict(subject.predict, pixels)
    jax.block_until_ready(answer)
    return calls * batch


def _pixels(subject: Subject, batch: int) -> jax.Array:
    return jnp.asarray(np.resize(subject.images[:64], (batch, *subject.spec.image_shape)))
