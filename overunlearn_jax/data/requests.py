"""Which samples of a class an unlearning request asks to forget."""

import difflib

import numpy as np

from overunlearn_jax.types import DatasetSpec, Split

_SHOWN = 20  # class names in an error message


def candidates(split: Split, class_index: int, seed: int) -> np.ndarray:
    """The samples of one class in an order that only `seed` decides.

    A request of n samples takes the first n, so a smaller request is always part of a larger one.

    Args:
      split: where to look.
      class_index: the label of the class.
      seed: not negative.

    Returns:
      Positions within `split`, each sample of the class once: shape=(m,), dtype=int64.

    Raises:
      ValueError: no sample of the class in `split`, or a negative seed.
    """
    if seed < 0:
        raise ValueError(f"seed is {seed}, expected an integer >= 0.")
    positions = np.flatnonzero(split.labels == class_index)
    _check_not_empty(len(positions), split, class_index)
    return np.random.default_rng(seed).permutation(positions).astype(np.int64)


def request_size(split: Split, class_index: int, fraction: float) -> int:
    """How many samples `fraction` of a class are: rounded as Python rounds (halves to even), at least 1.

    Args:
      split: where to count.
      class_index: the label of the class.
      fraction: above 0, at most 1.

    Raises:
      ValueError: `fraction` outside (0, 1], or no sample of the class in `split`.
    """
    if not 0 < fraction <= 1:
        raise ValueError(
            f"fraction is {fraction}, expected a number above 0 and at most 1: the share of the class to "
            "forget. For 5 % write 0.05."
        )
    count = int(np.count_nonzero(split.labels == class_index))
    _check_not_empty(count, split, class_index)
    return max(1, round(fraction * count))


def take(split: Split, positions: np.ndarray) -> Split:
    """The samples at `positions`, in that order, as a copy.

    Args:
      split: where to take them from.
      positions: shape=(m,), any integer dtype, 0 <= position < n. A position may occur more than once.

    Returns:
      A `Split` of m samples; ids go with their samples.

    Raises:
      ValueError: positions are not a 1-d array of integers, or one of them lies outside the split.
    """
    positions = np.asarray(positions)
    if positions.ndim != 1 or (positions.dtype.kind not in "iu" and positions.size):
        raise ValueError(
            f"positions have dtype {positions.dtype} and shape {positions.shape}, expected a 1-d array of "
            "integers. For a mask use np.flatnonzero(mask)."
        )
    count = len(split.labels)
    if positions.size and (positions.min() < 0 or positions.max() >= count):
        raise ValueError(
            f"positions range from {positions.min()} to {positions.max()}, expected 0..{count - 1}: "
            "positions within this split, not ids."
        )
    positions = positions.astype(np.int64)
    return Split(split.images[positions], split.labels[positions], split.ids[positions])


def class_index(spec: DatasetSpec, name_or_index: str) -> int:
    """The label of a class, from its name or from the label written as a decimal number.

    A name wins over a number, and an exact name over one that differs in upper and lower case.

    Raises:
      ValueError: nothing or more than one class fits; the message lists the class names.
    """
    text = name_or_index.strip()
    names = spec.class_names
    if text in names:
        return names.index(text)
    folded = [name.casefold() for name in names]
    fitting = [label for label, name in enumerate(folded) if name == text.casefold()]
    if len(fitting) == 1:
        return fitting[0]
    if not fitting and text.isdecimal() and int(text) < len(names):
        return int(text)
    close = difflib.get_close_matches(text.casefold(), folded, n=3)
    meant = [names[label] for label in fitting] or [names[folded.index(name)] for name in close]
    shown = ", ".join(f"{label} {name}" for label, name in enumerate(names[:_SHOWN]))
    raise ValueError(
        f"{spec.name} has no class {name_or_index!r}, expected a class name or a number 0..{len(names) - 1}."
        + (f" Did you mean {' or '.join(repr(name) for name in meant)}?" if meant else "")
        + f" Classes: {shown}"
        + (f" and {len(names) - _SHOWN} more." if len(names) > _SHOWN else ".")
    )


def _check_not_empty(count: int, split: Split, label: int) -> None:
    if count == 0:
        present = np.unique(split.labels)
        raise ValueError(
            f"class {label} has no sample among the {len(split.labels)} of this split, expected at least "
            "one. Classes with samples: "
            f"{present[:_SHOWN].tolist()}{' and more' if len(present) > _SHOWN else ''}. Choose one of these."
        )
