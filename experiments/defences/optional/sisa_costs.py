"""What samples cost SISA when they are chosen by whoever knows, or finds out, in which shard and slice they are.

A request goes back to the first slice that holds one of its samples, in every shard that holds one. Its guarantee of
cost is for requests that do not depend on the assignment.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from overunlearn_jax.unlearn.sisa import Assignment, SisaSettings, expected_work_share
from overunlearn_jax.unlearn.sisa.cost import Redone, first_touched, redone

RANDOM_DRAWS = 20


def costliest_rows(assignment: Assignment, rows: np.ndarray, count: int) -> np.ndarray:
    """Of `rows` (m,) those `count` that make SISA train the most again: first slices first, one of every shard in turn.

    >>> place = Assignment(np.array([0, 0, 1, 1], np.int32), np.array([0, 1, 1, 0], np.int32))
    >>> costliest_rows(place, np.arange(4), 2).tolist()
    [0, 3]
    """
    shard, number = assignment.shard[rows], assignment.slice[rows]
    turn = np.zeros(len(rows), np.int64)  # how many of the same shard and slice come before
    for cell in {*zip(shard.tolist(), number.tolist(), strict=True)}:
        own = np.flatnonzero((shard == cell[0]) & (number == cell[1]))
        turn[own] = np.arange(len(own))
    return rows[np.lexsort((shard, turn, number))][:count]


def cost_of(assignment: Assignment, rows: np.ndarray, settings: SisaSettings, *, at_once: bool) -> Redone:
    """What deleting `rows` (m,) trains again, in one request or in m, one after the other.

    What training all anew would cost is that of the samples left in the end. Raises ValueError for no rows.
    """
    if len(rows) == 0:
        raise ValueError("no rows are given: there is nothing to delete")
    shard, costs = assignment.shard.copy(), []
    for group in [rows] if at_once else rows[:, None]:
        before = assignment._replace(shard=shard.copy())
        first = first_touched(before, group, settings)
        shard[group] = -1
        costs.append(redone(assignment._replace(shard=shard.copy()), first, settings))
    return costs[-1]._replace(slices=sum(each.slices for each in costs), images=sum(each.images for each in costs))


def sisa_records(
    assignment: Assignment, rows: np.ndarray, settings: SisaSettings, seed: int
) -> Iterator[dict[str, Any]]:
    """Chosen and random ones of the attacker's samples `rows`: one, as many as shards, and all of a request.

    Random choices are means over 20 draws.
    """
    draws = np.random.default_rng([seed, 13])
    for count in sorted({min(number, len(rows)) for number in (1, settings.shards, len(rows) // 5 or 1)}):
        picks = {
            "chosen": [costliest_rows(assignment, rows, count)],
            "random": [draws.choice(rows, count, replace=False) for _ in range(RANDOM_DRAWS)],
        }
        for who, sets in picks.items():
            for at_once in (True, False):
                costs = [cost_of(assignment, each, settings, at_once=at_once) for each in sets]
                yield {
                    "method": "sisa",
                    "request": who,
                    "at_once": at_once,
                    "samples": count,
                    "shards": settings.shards,
                    "slices": settings.slices,
                    "slices_again": float(np.mean([each.slices for each in costs])),
                    "gradient_evaluations": float(np.mean([each.images for each in costs])),
                    "work_share": float(np.mean([each.work_share for each in costs])),
                    "expected_at_once": expected_work_share(settings.shards, settings.slices, count),
                    "seconds": None,
                }
