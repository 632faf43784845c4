"""What a user would pick instead: the time until the same images have crossed the boundary.

* the paper's loop, one image at a time, 257 whole images a step, its step jitted, beside the very same search as `push`
  runs it
* ZooAttack of the Adversarial Robustness Toolbox beside `push` with fewer queries (SEGA, one-sided), twice: at
  whichever setting the toolbox is fastest with, however far it strides, and at its fastest setting of those that
  end about as near to the originals as the fewer queries do on a few images. Distances are in the rows: ours have to
  be no larger. Images that it gives up on are left out of its seconds for each crossing.
"""

import statistics
import time
from functools import partial
from typing import Any

import jax
import numpy as np

from experiments.benchmarks import art_attack
from experiments.benchmarks.subjects import Subject
from overunlearn_jax.attacks import Status, Zoo, ZooSettings, ZooState, push, start, zoo
from overunlearn_jax.black_box import BlackBox
from overunlearn_jax.probing import whole_answers
from overunlearn_jax.types import PredictFn

MAX_STEPS = 1000
AS_NEAR = 1.1  # times our mean distance: what still counts as near


def measure(subject: Subject, samples: int, repeats: int) -> dict[str, Any]:
    """Seconds to push `samples` images by each; `repeats` in turn, the toolbox once between ours."""
    if len(subject.images) < samples:
        raise ValueError(f"{samples} samples, but the victim predicts only {len(subject.images)} images rightly")
    paper = ZooSettings(subject.spec.bounds, max_steps=MAX_STEPS)
    for warm in (_ours, _paper_loop):
        warm(subject, 1, paper)
    ours, loop = [], []
    for _ in range(repeats):
        ours.append(_ours(subject, samples, paper))
        loop.append(_paper_loop(subject, samples, paper))
    return {
        "victim": subject.name,
        "trained": subject.trained,
        "samples": samples,
        "ours": _median(ours),
        "paper_loop": _median(loop),
        "paper_loop_over_ours": statistics.median(b["seconds"] / a["seconds"] for a, b in zip(ours, loop, strict=True)),
        "art": _beside_art(subject, samples, repeats, paper),
    }


def _beside_art(subject: Subject, samples: int, repeats: int, paper: ZooSettings) -> dict[str, Any] | str:
    fewer = paper._replace(solver="sega", space="box", one_sided=True, difference=1e-2)
    near, far = fewer._replace(step_size=0.02), fewer._replace(step_size=0.12, coordinates=64)
    try:
        pilots = art_attack.pilots(subject)
    except ImportError as error:
        return f"not measured ({error}): pip install -e '.[benchmarks]'"
    most = max(outcome["crossed"] for outcome in pilots.values())
    fastest = min(
        (setting for setting, outcome in pilots.items() if outcome["crossed"] == most),
        key=lambda setting: pilots[setting]["seconds"],
    )
    distance = _ours(subject, art_attack.PILOTS, near)["mean_l2"]
    as_near = [each for each, outcome in pilots.items() if (outcome["mean_l2"] or np.inf) <= AS_NEAR * distance]
    nearest = min(
        as_near or pilots,
        key=lambda each: (-pilots[each]["crossed"], pilots[each]["seconds"] if as_near else pilots[each]["mean_l2"]),
    )
    return {
        "pilots": list(pilots.values()),
        "at_its_fastest": _beside(subject, samples, repeats, far, fastest),
        "as_near_as_ours": _beside(subject, samples, repeats, near, nearest),
    }


def _beside(
    subject: Subject, samples: int, repeats: int, settings: ZooSettings, setting: art_attack.Setting
) -> dict[str, Any]:
    _ours(subject, samples, settings)  # compiles
    ours = [_ours(subject, samples, settings) for _ in range(repeats)]
    theirs = art_attack.attack(subject, samples, setting)
    ours += [_ours(subject, samples, settings) for _ in range(repeats)]
    median = _median(ours)
    crossing = (theirs["seconds"] - theirs["seconds_of_failures"]) / theirs["crossed"]
    ratio = crossing / (median["seconds"] / median["crossed"])
    return {"ours": median, "art": theirs, "art_over_ours_a_crossing": ratio}


def _median(measured: list[dict[str, float]]) -> dict[str, float]:
    return {name: statistics.median(each[name] for each in measured) for name in measured[0]}


def _ours(subject: Subject, samples: int, settings: ZooSettings) -> dict[str, float]:
    images, labels = subject.images[:samples], subject.labels[:samples]
    service = BlackBox(subject.spec, subject.predict)
    began = time.perf_counter()
    result = push(service, images, labels, settings, jax.random.key(0), devices=jax.local_devices()[:1])
    seconds = time.perf_counter() - began
    return _described(seconds, images, result.crossed, result.steps, result.outside)


@partial(jax.jit, static_argnums=0)
def _step(engine: Zoo, predict: PredictFn, state: ZooState) -> ZooState:
    probes = jax.vmap(engine.ask)(state)
    return jax.vmap(engine.tell)(state, probes, whole_answers(predict, probes))


def _paper_loop(subject: Subject, samples: int, settings: ZooSettings) -> dict[str, float]:
    images, labels = subject.images[:samples], subject.labels[:samples]
    engine = zoo(settings)
    began = time.perf_counter()
    states = []
    for index, (image, label) in enumerate(zip(images, labels, strict=True)):
        state = start(engine, jax.random.key(0), np.array([index]), image[None], label[None], label[None], 10)
        while state.status[0] == Status.RUNNING:
            state = _step(engine, subject.predict, state)
        states.append(jax.device_get((state.status, state.step, state.outside)))
    seconds = time.perf_counter() - began
    status, steps, outside = (np.concatenate(parts) for parts in zip(*states, strict=True))
    return _described(seconds, images, status == Status.CROSSED, steps, outside)


def _described(
    seconds: float, images: np.ndarray, crossed: np.ndarray, steps: np.ndarray, outside: np.ndarray
) -> dict[str, float]:
    distances = np.sqrt(((outside - images)[crossed] ** 2).sum((1, 2, 3)))
    return {
        "seconds": seconds,
        "crossed": int(crossed.sum()),
        "mean_steps": float(steps.mean()),
        "mean_l2": float(distances.mean()) if len(distances) else float("nan"),
    }
