"""From a source to `Splits`: pixels scaled to [-0.5, 0.5], a fixed test part, train / validation by seed."""

import numpy as np

from overunlearn_jax.data.source import Part, Source, check_source
from overunlearn_jax.types import Bounds, DatasetSpec, Split, Splits

BOUNDS = Bounds(-0.5, 0.5)
TRAIN_FRACTION = 0.8  # of the training part; the rest validates
HELD_OUT_FRACTION = 0.2  # of each class, where a source has no test part
_HELD_OUT_SEED = 0  # fixed: the test part must not depend on the seed of a run


def make_splits(source: Source, *, seed: int, max_test: int | None = None) -> Splits:
    """Scales and splits a source.

    Args:
      source: what a reader returned; checked here.
      seed: decides which training images validate. The test part does not depend on it.
      max_test: where given, the test part is cut to at most this many images; see `balanced_positions`.

    Returns:
      `Splits` in `Bounds(-0.5, 0.5)`: train is a random 80 % of the training part (rounded to the nearest
      whole number), validation the rest, both in shuffled order. Ids are positions in the source's own part;
      where the test part was held out, test ids are positions in that same single part.

    Raises:
      ValueError: the arrays of the source are not a usable data set, or are too few to split.
    """
    check_source(source)
    train_positions = np.arange(len(source.train.labels))
    if source.test is None:
        test_positions = held_out_positions(source.train.labels)
        train_positions = np.setdiff1d(train_positions, test_positions)
        test = source.train
    else:
        test_positions = np.arange(len(source.test.labels))
        test = source.test
    if max_test is not None:
        test_positions = test_positions[balanced_positions(test.labels[test_positions], max_test)]

    shuffled = np.random.default_rng(seed).permutation(train_positions)
    num_train = round(TRAIN_FRACTION * len(shuffled))
    parts = (
        (source.train, shuffled[:num_train]),
        (source.train, shuffled[num_train:]),
        (test, test_positions),
    )
    sizes = [len(positions) for _, positions in parts]
    if 0 in sizes:
        raise ValueError(
            f"{source.origin}: {len(source.train.labels)} training images give {sizes[0]} to train, "
            f"{sizes[1]} to validate and {sizes[2]} to test, expected at least one of each. Add images."
        )
    spec = DatasetSpec(source.name, _shape_of(source.train), BOUNDS, source.class_names)
    return Splits(spec, *(_split(part, positions) for part, positions in parts))


def held_out_positions(labels: np.ndarray) -> np.ndarray:
    """The fixed rule for a test part where a source has none: 20 % of each class, rounded.

    Within a class they are the first of a permutation by `numpy.random.default_rng(0)`, one generator for all
    classes in the order of their labels, so every call on the same labels gives the same answer.

    Args:
      labels: shape=(n,), any integer dtype.

    Returns:
      Sorted positions, shape=(m,), dtype=int64. A class of one or two images gives none.
    """
    rng = np.random.default_rng(_HELD_OUT_SEED)
    chosen = [np.empty(0, dtype=np.int64)]
    for label in np.unique(labels):
        shuffled = rng.permutation(np.flatnonzero(labels == label))
        chosen.append(shuffled[: round(HELD_OUT_FRACTION * len(shuffled))])
    return np.sort(np.concatenate(chosen))


def balanced_positions(labels: np.ndarray, max_size: int) -> np.ndarray:
    """The fixed rule for a smaller test part: the first `max_size // k` samples of each of the k classes.

    Args:
      labels: shape=(n,), any integer dtype.
      max_size: upper limit of the answer's length. Labels no longer than this are kept whole.

    Returns:
      Sorted positions, shape=(m,), m <= max_size, dtype=int64.
    """
    if len(labels) <= max_size:
        return np.arange(len(labels))
    classes = np.unique(labels)
    each = max_size // len(classes)
    return np.sort(np.concatenate([np.flatnonzero(labels == label)[:each] for label in classes]))


def _shape_of(part: Part) -> tuple[int, int, int]:
    _, height, width, channels = part.images.shape
    return height, width, channels


def _split(part: Part, positions: np.ndarray) -> Split:
    images = part.images[positions].astype(np.float32)
    if part.images.dtype == np.uint8:
        images /= 255
    images -= 0.5
    return Split(images, part.labels[positions].astype(np.int32), positions.astype(np.int64))
