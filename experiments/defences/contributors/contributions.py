"""What attackers hand in to be trained on, and what they ask to delete afterwards: every word of it is true."""

from typing import NamedTuple

import numpy as np

from overunlearn_jax.data import candidates, take
from overunlearn_jax.stealth.pixels import from_8_bits, to_8_bits
from overunlearn_jax.types import Bounds, Images, Request, Split, Splits
from overunlearn_jax.unlearn.matching import without

MOST_HELD = 0.5  # of a class: the paper's bound on what one user has


class Camouflage(NamedTuple):
    """How poison is hidden (Di et al., Hidden Poison, NeurIPS 2023), here against all of class A."""

    held: float = 0.5  # fraction of class A's training images that the attacker has
    poison_copies: int = 1  # of each, under class B's label
    camouflage_copies: int = 1  # of each, under class A's own label
    noise: float = 2 / 255  # standard deviation that tells the copies apart, in the units of the pixels


class Contribution(NamedTuple):
    """A training set with an attacker's samples in it."""

    train: Split
    deleted: Split  # what is asked to be deleted: samples of `train`, pixel for pixel

    @property
    def request(self) -> Request:
        """As it is submitted."""
        return Request(self.deleted.images, self.deleted.labels)


def subset(splits: Splits, count: int, seed: int) -> Splits:
    """`count` training samples and a quarter as many for validation, drawn by seed; the test part is whole.

    0: all. Raises ValueError for more samples than there are.
    """
    if count == 0:
        return splits
    have = len(splits.train.labels)
    if not 0 < count <= have:
        raise ValueError(
            f"--train_samples={count}: expected 1 ... {have}, the training samples there are, or 0 for all"
        )
    draws = np.random.default_rng([seed, 11])
    train, validation = (
        take(part, np.sort(draws.permutation(len(part.labels))[:number]))
        for part, number in ((splits.train, count), (splits.validation, max(1, count // 4)))
    )
    return splits._replace(train=train, validation=validation)


def pushed_in_place(train: Split, ids: np.ndarray, images: Images) -> Contribution:
    """The samples `ids` (m,) were handed in as these images (m, h, w, c), pushed ones, under their own labels.

    Raises ValueError for ids that `train` does not have.
    """
    rows = rows_of(train, ids)
    changed = train.images.copy()
    changed[rows] = images
    handed_in = train._replace(images=changed)
    return Contribution(handed_in, take(handed_in, rows))


def camouflaged(
    train: Split, class_a: int, class_b: int, how: Camouflage, bounds: Bounds, seed: int
) -> tuple[Contribution, Split]:
    """Class A's images under class B's label, hidden by the same images under the right one.

    Args:
      train: what honest people hand in, the attacker's images with their right labels among them.
      class_a: whose accuracy is attacked.
      class_b: what its images are to be taken for.
      how: numbers of copies, and the noise that tells them apart.
      bounds: of the pixels; copies are 8-bit files.
      seed: of the attacker's images, as `candidates` orders them, and of the noise.

    Returns:
      The contribution, in which the attacker's images stand as poison and as camouflage instead, and of which the
      camouflage is to be deleted; and the attacker's images as an honest person has them.

    Raises ValueError for more than half of the class, in images or in samples under its label; fewer than one copy; and
    noise that leaves camouflage equal to poison.
    """
    if not 0 < how.held <= MOST_HELD:
        raise ValueError(f"held is {how.held}; expected a fraction of class A above 0, at most {MOST_HELD}")
    if min(how.poison_copies, how.camouflage_copies) < 1 or not how.noise > 0:
        raise ValueError(f"{how}; expected one copy of each kind at least, and noise above 0")
    order = candidates(train, class_a, seed)
    own = order[: max(1, round(how.held * len(order)))]
    labelled_a, honest_a = how.camouflage_copies * len(own), len(order) - len(own)
    if labelled_a > honest_a:
        raise ValueError(
            f"{labelled_a} samples of camouflage beside {honest_a} honest ones of class A: the attacker holds at most "
            "half of the class; make fewer copies, or hold fewer images"
        )
    mine, draws = take(train, own), np.random.default_rng([seed, 12])

    def copies(count: int, *, exact: bool) -> np.ndarray:
        """The images `count` times; `exact`: the first time without noise."""
        parts = []
        for number in range(count):
            noise = draws.normal(scale=how.noise, size=mine.images.shape) * (not exact or number > 0)
            parts.append(from_8_bits(to_8_bits(np.clip(mine.images + noise, *bounds), bounds), bounds))
        return np.concatenate(parts).astype(np.float32)

    poison, hiding = copies(how.poison_copies, exact=True), copies(how.camouflage_copies, exact=False)
    if (hiding[: len(own)] == poison[: len(own)]).all(axis=(1, 2, 3)).any():
        raise ValueError(f"noise is {how.noise}: some camouflage is the poison, pixel for pixel; give more noise")
    first = int(train.ids.max()) + 1
    handed_in = Split(
        np.concatenate([poison, hiding]),
        np.repeat([class_b, class_a], [len(poison), len(hiding)]).astype(train.labels.dtype),
        np.arange(first, first + len(poison) + len(hiding)),
    )
    rest = without(train, own)
    whole = Split(*(np.concatenate(both) for both in zip(rest, handed_in, strict=True)))
    return Contribution(whole, take(handed_in, np.arange(len(poison), len(handed_in.ids)))), mine


def ordinary(train: Split, class_a: int, not_ids: np.ndarray, count: int, seed: int) -> Split:
    """As many samples of class A that are other people's, in the order of `candidates`; all there are, if fewer."""
    order = candidates(train, class_a, seed)
    return take(train, order[~np.isin(train.ids[order], not_ids)][:count])


def rows_of(train: Split, ids: np.ndarray) -> np.ndarray:
    """Positions (m,) of the samples `ids` (m,). Raises ValueError for ids that are not there."""
    order = np.argsort(train.ids, kind="stable")
    places = order[np.minimum(np.searchsorted(train.ids, ids, sorter=order), len(order) - 1)]
    if (train.ids[places] != ids).any():
        raise ValueError(f"samples {ids[train.ids[places] != ids][:5].tolist()} are not among the training samples")
    return places
