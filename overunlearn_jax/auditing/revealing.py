"""What a service reveals, found out in a few hundred queries: what repeats, what rounds, what is left out, how fast.

revealed = ou.probe(ou.BlackBox(spec, predict), images)
print(revealed)                       # and the search that fits: auditing.recommending.recommend(revealed, spec)
"""

import time
from typing import NamedTuple

import numpy as np

from overunlearn_jax.attacks.spaces import on_lattice
from overunlearn_jax.black_box import BlackBox
from overunlearn_jax.decimals import decimals_of

IMAGES = 8  # that everything is asked around
PIXELS = 4  # of each image, changed one at a time, for each size of a change
LEVELS = 255
CHANGES = (1e-4, 1e-3, 1 / 255, 3 / 255, 8 / 255, 25 / 255)  # of a pixel, as parts of the bounds' width
BATCHES = (1, 8, 32, 128)  # images in a call, timed


class Revealed(NamedTuple):
    """What a service was seen to answer."""

    queries: int  # that finding out took
    noise: float  # largest difference of a probability between two askings of the same images; 0: it repeats itself
    levels: int | None  # 255: it rounds pixels to 8 bits; 0: it does not; None: its answers do not tell
    decimals: int | None  # of its probabilities; None: more than 5
    answered: int  # classes that have a number of their own in an answer; 1 where it answers labels only, too
    classes: int
    labels_only: bool
    seen: tuple[float, ...]  # for each of CHANGES: the part of single changed pixels that changed an answer
    seconds: tuple[float, ...]  # for each of BATCHES: that a call took, the faster of two

    @property
    def batch_size(self) -> int:
        """Of BATCHES, the smallest that is nearly as fast an image as the fastest."""
        rates = [size / seconds for size, seconds in zip(BATCHES, self.seconds, strict=True)]
        return next(size for size, rate in zip(BATCHES, rates, strict=True) if rate >= 0.8 * max(rates))

    @property
    def rate(self) -> float:
        """Images a second in batches of `batch_size`."""
        return self.batch_size / self.seconds[BATCHES.index(self.batch_size)]

    def __str__(self) -> str:
        return "\n".join(f"* {line}" for line in self.lines)

    @property
    def lines(self) -> list[str]:
        """What was found, a sentence each."""
        pixels = {LEVELS: "rounds pixels to 8 bits", 0: "sees changes of less than an 8-bit step", None: ""}[
            self.levels
        ]
        digits = "5 decimals or more" if self.decimals is None else f"{self.decimals} decimals"
        answers = f"all {self.classes} classes" if self.answered == self.classes else f"the first {self.answered} only"
        told = next((size for size, part in zip(CHANGES, self.seen, strict=True) if part >= 0.5), None)
        visible = (
            f"a change of one pixel by {255 * told:.3g}/255" if told else f"no change up to {255 * CHANGES[-1]:.3g}/255"
        )
        return [
            "it answers labels only" if self.labels_only else f"it answers {answers}, with {digits}",
            "it repeats itself" if self.noise == 0 else f"asked twice, a probability differs by up to {self.noise:.2g}",
            f"it {pixels}" if pixels else "whether it rounds pixels its answers do not tell",
            f"in half of the cases it shows {visible}"
            if told
            else f"in half of the cases it shows {visible} of one pixel",
            f"{self.rate:,.0f} images a second in batches of {self.batch_size}, {1e3 * self.seconds[0]:.3g} ms a call",
            f"{self.queries} queries to find this out",
        ]


def probe(black_box: BlackBox, images: np.ndarray | None = None) -> Revealed:
    """Asks a few hundred queries and says what the service reveals.

    Args:
      black_box: the service; what is asked counts towards its budget.
      images: shape (n, h, w, c), real ones, of which the first 8 are used; None: random pixels, which services are
        often surer about than they are about pictures.

    Raises:
      ValueError: as `BlackBox.query` does.
      QueryBudgetExceededError: the budget is smaller than that.
    """
    spec, before = black_box.spec, black_box.queries
    lower, upper = spec.bounds
    draws = np.random.default_rng(0)
    if images is None:
        images = draws.uniform(lower, upper, (IMAGES, *spec.image_shape)).astype(np.float32)
    start = on_lattice(np.asarray(images[:IMAGES], np.float32), spec.bounds, LEVELS)
    inwards = np.where(start > (lower + upper) / 2, -1, 1) * np.float32(upper - lower)
    first, second = black_box.query(start), black_box.query(start)
    noise = float(np.abs(first - second).max())
    moved = [np.clip(start + part / LEVELS * inwards, lower, upper).astype(np.float32) for part in (0.3, 0.7, 1.0)]
    less, more, level = (black_box.query(each) for each in moved)
    answers, seen = [first, second, less, more, level], []
    for change in CHANGES:
        probes = np.repeat(start, PIXELS, axis=0).reshape(len(start), PIXELS, -1)
        places = np.stack([draws.choice(probes.shape[-1], min(PIXELS, probes.shape[-1]), False) for _ in start])
        for index in range(places.shape[1]):
            rows = np.arange(len(start)), index, places[:, index]
            probes[rows] += change * inwards.reshape(len(start), -1)[rows[0], rows[2]]
        got = black_box.query(np.clip(probes, lower, upper).reshape(-1, *spec.image_shape))
        differ = np.abs(got.reshape(len(start), PIXELS, -1) - first[:, None]).max(-1)
        seen.append(float((differ > 1.5 * noise).mean()))
        answers.append(got)
    return read(np.concatenate(answers), noise, (first, less, more, level), tuple(seen))._replace(
        seconds=_timed(black_box, start), queries=black_box.queries - before
    )


def read(answers: np.ndarray, noise: float, lattice: tuple[np.ndarray, ...], seen: tuple[float, ...]) -> Revealed:
    """What answers say; asks nothing.

    Args:
      answers: shape (n, k), all of them.
      noise: largest difference between two askings.
      lattice: answers (m, k) to images on the 8-bit lattice, and to the same with all pixels moved by 0.3, by 0.7 and
        by one of its steps.
      seen: as `Revealed.seen`.
    """
    classes = answers.shape[-1]
    one_hot = bool(((answers == 0) | (answers == 1)).all())
    lowest = answers.min(-1, keepdims=True)
    tied = (answers == lowest).sum(-1)
    shared = int(np.median(tied))
    # What top-k leaves out has one number that is no rounded one: it differs from row to row, and is not 0.
    listed = not one_hot and classes > 2 and shared >= 2 and (tied == shared).mean() > 0.9 and (lowest > 0).mean() > 0.5
    listed = listed and decimals_of(lowest) is None
    numbers = answers[answers > lowest] if listed else answers
    return Revealed(
        queries=0,
        noise=noise,
        levels=_levels(noise, *lattice),
        decimals=0 if one_hot else decimals_of(numbers),
        answered=1 if one_hot else classes - shared if listed else classes,
        classes=classes,
        labels_only=one_hot,
        seen=seen,
        seconds=(1.0,) * len(BATCHES),
    )


def _levels(noise: float, start: np.ndarray, less: np.ndarray, more: np.ndarray, level: np.ndarray) -> int | None:
    """255 where 0.3 of a step is nothing and 0.7 is a whole one; None where a whole step is nothing, too."""

    def same(one: np.ndarray, other: np.ndarray) -> bool:
        return bool(np.abs(one - other).max() <= 1.5 * noise)

    if same(start, level):
        return None
    return LEVELS if same(start, less) and same(more, level) else 0


def _timed(black_box: BlackBox, images: np.ndarray) -> tuple[float, ...]:
    """Seconds of a call for each of BATCHES, the faster of two, as far as the black box sends so many at a time."""
    seconds = []
    for size in BATCHES:
        batch, taken = np.resize(images, (size, *images.shape[1:])), []
        for _ in range(2 if size < BATCHES[-1] else 1):
            began = time.perf_counter()
            black_box.query(batch)
            taken.append(time.perf_counter() - began)
        seconds.append(max(min(taken), 1e-9))
    return tuple(seconds)
