"""What services answer in place of a probability for every class: labels, the top few, other names of classes.

The black box wants a probability for every image and class. A service that answers the best five says of the others
that each is below the last of them, and that together they have what is left: they are given equal parts of it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from overunlearn_jax.black_box import BadAnswerError

BELOW = 1 - 1e-6  # times the last answered score: what is not answered stays below it, in float32, too


def as_probabilities(raw: Any, count: int, class_names: Sequence[str]) -> np.ndarray:
    """What a service answered as an array (n, k), dtype float64; its numbers are left as they are.

    Args:
      raw: an array or nested lists (n, k) of numbers; labels (n,) or (n, 1), whole numbers or names; or for each image
        its labels and scores: a list of `{"label": ..., "score": ...}`, or a `{name: score}`.
      count: n, images that were sent.
      class_names: of the k classes.

    Raises:
      BadAnswerError: something else.
    """
    listed = raw.tolist() if isinstance(raw, np.ndarray) else raw
    if not isinstance(listed, list) or len(listed) != count:
        got = f"a list of {len(listed)}" if isinstance(listed, list) else f"a {type(listed).__name__}"
        raise BadAnswerError(f"the service answered {got} to {count} images; expected one answer for each image")
    first = listed[0]
    if isinstance(first, Mapping):
        return spread_top_k([_pairs(each) for each in listed], class_names)
    if isinstance(first, list) and first and isinstance(first[0], Mapping):
        return spread_top_k([[_labelled(one) for one in each] for each in listed], class_names)
    flat = [each[0] if isinstance(each, list) and len(each) == 1 else each for each in listed]
    if all(isinstance(each, str) or (isinstance(each, int) and not isinstance(each, bool)) for each in flat):
        return np.eye(len(class_names))[[label_of(each, class_names) for each in flat]]
    try:
        numbers = np.array(listed, np.float64)
    except (ValueError, TypeError) as error:
        raise BadAnswerError(
            f"the service answered something else than numbers or labels: {str(listed)[:80]}"
        ) from error
    return numbers


def spread_top_k(answers: Sequence[Sequence[tuple[str | int, float]]], class_names: Sequence[str]) -> np.ndarray:
    """Labels with scores, any number of them an image, as probabilities (n, k), dtype float64.

    Classes that are not answered share what is left of 1 in equal parts, each below the last answered score.

    Raises:
      BadAnswerError: a label that is no class or stands twice, a negative score, and an image without any.

    Examples:
      >>> spread_top_k([[("b", 0.75), ("a", 0.125)]], "abcd").tolist()
      [[0.125, 0.75, 0.0625, 0.0625]]
    """
    classes = len(class_names)
    spread = np.zeros((len(answers), classes))
    for row, pairs in zip(spread, answers, strict=True):
        if not pairs:
            raise BadAnswerError("the service answered no label to an image; expected one or more, with scores")
        labels = [label_of(label, class_names) for label, _ in pairs]
        scores = np.array([float(score) for _, score in pairs])
        if len(set(labels)) != len(labels) or not (scores >= 0).all():
            raise BadAnswerError(
                f"the service answered {list(pairs)!r:.200}; expected each label once, scores of 0 or more"
            )
        missing = classes - len(labels)
        if missing:
            row[:] = min(max(0.0, 1 - scores.sum()) / missing, scores.min() * BELOW)
        row[labels] = scores
    return spread


def label_of(answered: str | int, class_names: Sequence[str]) -> int:
    """The class that a service calls so: its name, its number, or LABEL_number as Hugging Face models have it.

    Raises:
      BadAnswerError: where there is none.
    """
    names = [str(name) for name in class_names]
    text = str(answered)
    if text in names:
        return names.index(text)
    number = text.removeprefix("LABEL_").removeprefix("class_")
    if number.isdecimal() and int(number) < len(names):
        return int(number)
    raise BadAnswerError(
        f"the service answered label {text[:60]!r}; expected a class of the data, {', '.join(names)[:160]}, or a number"
    )


def _pairs(answer: Mapping[str, Any]) -> list[tuple[str | int, float]]:
    if "label" in answer:
        return [_labelled(answer)]
    return [(name, _score(score)) for name, score in answer.items()]


def _labelled(answer: Mapping[str, Any]) -> tuple[str | int, float]:
    if not isinstance(answer, Mapping) or "label" not in answer or "score" not in answer:
        raise BadAnswerError(f"the service answered {str(answer)[:120]}; expected a label and a score")
    return answer["label"], _score(answer["score"])


def _score(score: Any) -> float:
    if isinstance(score, bool) or not isinstance(score, int | float):
        raise BadAnswerError(f"the service answered the score {str(score)[:60]!r}; expected a number")
    return float(score)
