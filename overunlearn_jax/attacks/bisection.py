"""Between the last image inside and the first one outside: halving their distance to the boundary (equation 3)."""

import numpy as np

from overunlearn_jax.attacks.pushing import PushResult
from overunlearn_jax.attacks.spaces import on_lattice
from overunlearn_jax.attacks.zoo_state import Status
from overunlearn_jax.black_box import BlackBox


def bisect(
    black_box: BlackBox,
    originals: np.ndarray,
    labels: np.ndarray,
    result: PushResult,
    *,
    steps: int,
    levels: int = 0,
    targets: np.ndarray | None = None,
) -> PushResult:
    """Moves both images of every crossed sample towards each other, half of the way in each step.

    One query a sample and step. After k steps the two lie 2**-k as far apart as before, on the line between them:
    the epsilon of equation (3). A middle that is predicted as neither the label nor, in a targeted push, the target
    ends that sample's halving. Samples that have not crossed stay as they are.

    Args:
      black_box: the victim that the samples were pushed with.
      originals: shape (n, h, w, c), the images before the push.
      labels: shape (n,), the classes that they left.
      result: what `push` returned for them.
      steps: halvings, 0 or more.
      levels: of the lattice that images lie on, see `ZooSettings`; a sample whose middle
        is one of its ends is halved no more.
      targets: shape (n,), the classes that they were pushed to; None for an untargeted push.

    Returns:
      The result with new images, distances, probabilities and queries; `steps` still counts those of the search.

    Raises:
      QueryBudgetExceededError: the budget is smaller than `steps` queries for every crossed sample; none is sent.

    References:
      Hu et al., NDSS 2024, equation (3).
    """
    if steps < 0:
        raise ValueError(f"steps is {steps}; expected the number of halvings, 0 or more")
    rows = np.flatnonzero(result.status == Status.CROSSED)
    black_box.check_budget(steps * len(rows))
    result = PushResult(*(array.copy() for array in result))
    for _ in range(steps):
        if len(rows) == 0:
            break
        inside, outside = result.inside[rows], result.outside[rows]
        middle = on_lattice((inside + outside) / 2, black_box.spec.bounds, levels)
        if levels:
            between = (middle != inside).any((1, 2, 3)) & (middle != outside).any((1, 2, 3))
            rows, middle = rows[between], middle[between]
            if len(rows) == 0:
                break
        probabilities = black_box.query(middle)
        result.queries[rows] += 1
        predicted = probabilities.argmax(-1)
        within = predicted == labels[rows]
        beyond = ~within if targets is None else predicted == targets[rows]
        for side, image, distance, answer in (
            (within, result.inside, result.l2_inside, result.inside_probabilities),
            (beyond, result.outside, result.l2_outside, result.outside_probabilities),
        ):
            image[rows[side]] = middle[side]
            distance[rows[side]] = np.sqrt(((middle[side] - originals[rows[side]]) ** 2).sum((1, 2, 3)))
            answer[rows[side]] = probabilities[side]
        rows = rows[within | beyond]
    return result
