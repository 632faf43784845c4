"""Honest people: samples of the attacked class that are not the attacker's, as they were trained on and stored anew."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from overunlearn_jax.data import take
from overunlearn_jax.defences.re_encoding import RE_ENCODINGS, re_encoded
from overunlearn_jax.types import DatasetSpec, Request, Split

CALIBRATION = 200  # samples of each way to store an image
JUDGED = 400  # samples of class A that the price is measured on, at most
AS_TRAINED, WRONG = "as trained on", "as trained on, predicted wrongly"


class People(NamedTuple):
    """Whom gates are calibrated on, and whom they are judged by: no sample is in both, and none is the attacker's."""

    calibration: Split  # of all classes, stored in every way
    judged: Mapping[str, Request]  # of class A, by how they arrive; WRONG are a group beside them, not a way to arrive


def honest_people(
    train: Split, spec: DatasetSpec, class_a: int, attackers: np.ndarray, wrong: np.ndarray, seed: int
) -> People:
    """Draws them.

    Args:
      train: what the model was trained on.
      spec: of the data set.
      class_a: of the requests.
      attackers: ids of the attacker's samples.
      wrong: shape=(n,), dtype=bool: which training samples the model predicts wrongly.
      seed: of the draws.

    Raises ValueError where class A has no sample beside the attacker's.
    """
    draws = np.random.default_rng([seed, 7])
    free = np.flatnonzero(~np.isin(train.ids, attackers))
    of_a = draws.permutation(free[train.labels[free] == class_a])
    judged_rows = of_a[: min(JUDGED, len(of_a) // 2)]
    if len(judged_rows) == 0:
        raise ValueError(
            f"class {class_a} has no training samples beside the attacker's: there is nobody to compare with"
        )
    rest = draws.permutation(np.setdiff1d(free, judged_rows))[:CALIBRATION]
    judged, held = take(train, judged_rows), take(train, rest)
    misses = of_a[wrong[of_a] & ~np.isin(of_a, rest)][:JUDGED]
    ways = {AS_TRAINED: judged.images} | {how: re_encoded(judged.images, spec.bounds, how) for how in RE_ENCODINGS}
    stored = [held.images, *(re_encoded(held.images, spec.bounds, how) for how in RE_ENCODINGS)]
    calibration = Split(np.concatenate(stored), np.tile(held.labels, len(stored)), np.tile(held.ids, len(stored)))
    people = {name: Request(images, judged.labels) for name, images in ways.items()}
    if len(misses):
        people[WRONG] = Request(train.images[misses], train.labels[misses])
    return People(calibration, people)
