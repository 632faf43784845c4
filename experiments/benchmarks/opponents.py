"""What a user would pick instead: the time until the same images have crossed the boundary.

* the paper's loop: one image at a time, 257 whole images a step, its step jitted
* ZooAttack of the Adversarial Robustness Toolbox on the same victim, jitted, behind its black-box classifier. It would
  go on after the crossing; here its time is taken when its iterate has crossed, and it is stopped.
"""

import statistics
import time
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.benchmarks.subjects import Subject
from overunlearn_jax.attacks import Status, Zoo, ZooSettings, ZooState, push, start, zoo
from overunlearn_jax.batching import apply_predict
from overunlearn_jax.black_box import BlackBox
from overunlearn_jax.probing import whole_answers
from overunlearn_jax.types import PredictFn

MAX_STEPS = 1000
ART_MAX_STEPS = 300
ART_CONSTANTS = (1e-3, 1.0, 10.0, 1000.0)  # its c, tried on a few images; the fastest is kept
ART_PILOTS = 4


def measure(subject: Subject, samples: int, repeats: int) -> dict[str, Any]:
    """Seconds to push `samples` images by each of the three, the first two in turn."""
    if len(subject.images) < samples:
        raise ValueError(f"{samples} samples, but the victim predicts only {len(subject.images)} images rightly")
    images, labels = subject.images[:samples], subject.labels[:samples]
    for warm in (_ours, _paper_loop):
        warm(subject, images[:1], labels[:1])
    ours, loop = [], []
    for _ in range(repeats):
        ours.append(_ours(subject, images, labels))
        loop.append(_paper_loop(subject, images, labels))
    row: dict[str, Any] = {
        "victim": subject.name,
        "trained": subject.trained,
        "samples": samples,
        "ours": _median(ours),
        "paper_loop": _median(loop),
        "paper_loop_over_ours": statistics.median(b["seconds"] / a["seconds"] for a, b in zip(ours, loop, strict=True)),
    }
    try:
        art = _art(subject, images, labels)
    except ImportError as error:
        return row | {"art": f"not measured ({error}): pip install 'overunlearn_jax[benchmarks]'"}
    return row | {"art": art, "art_over_ours": art["seconds"] / row["ours"]["seconds"]}


def _median(measured: list[dict[str, float]]) -> dict[str, float]:
    return {name: statistics.median(each[name] for each in measured) for name in measured[0]}


def _ours(subject: Subject, images: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    service = BlackBox(subject.spec, subject.predict)
    began = time.perf_counter()
    settings = ZooSettings(subject.spec.bounds, max_steps=MAX_STEPS)
    result = push(service, images, labels, settings, jax.random.key(0), devices=jax.local_devices()[:1])
    seconds = time.perf_counter() - began
    return {
        "seconds": seconds,
        "crossed": int(result.crossed.sum()),
        "mean_steps": float(result.steps.mean()),
        "mean_l2": float(result.l2_outside[result.crossed].mean()),
    }


@partial(jax.jit, static_argnums=0)
def _step(engine: Zoo, predict: PredictFn, state: ZooState) -> ZooState:
    probes = jax.vmap(engine.ask)(state)
    return jax.vmap(engine.tell)(state, probes, whole_answers(predict, probes))


def _paper_loop(subject: Subject, images: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    engine = zoo(ZooSettings(subject.spec.bounds, max_steps=MAX_STEPS))
    began = time.perf_counter()
    states = []
    for index, (image, label) in enumerate(zip(images, labels, strict=True)):
        state = start(engine, jax.random.key(0), np.array([index]), image[None], label[None], label[None], 10)
        while state.status[0] == Status.RUNNING:
            state = _step(engine, subject.predict, state)
        states.append(jax.device_get((state.status, state.step, state.outside)))
    seconds = time.perf_counter() - began
    status, steps, outside = (np.concatenate(parts) for parts in zip(*states, strict=True))
    crossed = status == Status.CROSSED
    return {
        "seconds": seconds,
        "crossed": int(crossed.sum()),
        "mean_steps": float(steps.mean()),
        "mean_l2": float(np.sqrt(((outside - images)[crossed] ** 2).sum((1, 2, 3))).mean()),
    }


class _CrossedError(Exception):
    """Ends an ART attack whose iterate is predicted as another class."""


def _art(subject: Subject, images: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    pilots = {}
    for constant in ART_CONSTANTS:
        _art_once(subject, images[:1], labels[:1], constant)  # compiles
        pilots[constant] = _art_once(subject, images[:ART_PILOTS], labels[:ART_PILOTS], constant)
    best = min(pilots, key=lambda constant: (-pilots[constant]["crossed"], pilots[constant]["seconds"]))
    return _art_once(subject, images, labels, best) | {"initial_const": best, "max_iter": ART_MAX_STEPS}


def _art_once(subject: Subject, images: np.ndarray, labels: np.ndarray, constant: float) -> dict[str, Any]:
    from art.attacks.evasion import ZooAttack
    from art.estimators.classification import BlackBoxClassifierNeuralNetwork

    label, steps, last = 0, 0, images[0]

    def predict(batch: np.ndarray) -> np.ndarray:
        nonlocal steps, last
        answers = np.asarray(apply_predict(subject.predict, jnp.asarray(batch, jnp.float32)))
        assert len(batch) in (1, 256)
        if len(batch) == 1:  # the iterate; its probes come 256 at a time
            steps, last = steps + 1, batch[0]
            if answers[0].argmax() != label:
                raise _CrossedError
        return answers

    classifier = BlackBoxClassifierNeuralNetwork(
        predict, subject.spec.image_shape, 10, channels_first=False, clip_values=tuple(subject.spec.bounds)
    )
    attack = ZooAttack(
        classifier,
        max_iter=ART_MAX_STEPS,
        initial_const=constant,
        use_resize=False,
        use_importance=False,
        nb_parallel=128,
        batch_size=256,  # of the classifier's calls; with 1 the probes would be sent one at a time
        verbose=False,
    )
    np.random.seed(0)  # the only generator that it knows
    distances, all_steps = [], []
    began = time.perf_counter()
    for image, right in zip(images, labels, strict=True):
        label, steps = int(right), 0
        try:
            attack.generate(image[None], np.eye(10, dtype=np.float32)[[right]])
        except _CrossedError:
            distances.append(float(np.linalg.norm(last - image)))
        all_steps.append(steps)
    return {
        "seconds": time.perf_counter() - began,
        "crossed": len(distances),
        "mean_steps": statistics.mean(all_steps),
        "mean_l2": statistics.mean(distances) if distances else None,
    }
