"""A question that was asked before the answer was known: what confirms it and what refutes it stands in a file."""

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from experiments.controls.requests import FIVE_TIMES
from overunlearn_jax.attack_names import HONEST
from overunlearn_jax.statistics.intervals import Interval, mean_interval

FILE = Path(__file__).parents[1] / "results" / "controls" / "question.toml"
FEWEST = 3  # victims that an answer needs
METHOD = "first_order"


class Answer(NamedTuple):
    """What became of the question under one reading."""

    reading: str
    verdict: str  # "confirmed", "refuted" or "undecided"
    harm: Interval  # of class A beyond an honest request, a fraction
    five_times: float  # what an honest request of five times as many samples costs class A, a fraction; NaN: unknown


def answers(rows: Sequence[dict[str, Any]], question: dict[str, Any] | None = None) -> list[Answer]:
    """One for each reading that has rows of the question's model; none where nothing was measured.

    Raises ValueError for a file that is no TOML, KeyError for one that leaves something out.
    """
    asked = tomllib.loads(FILE.read_text()) if question is None else question
    own = [row for row in rows if row["model"] == asked["model"] and row["method"] == METHOD]
    found = []
    for reading in dict.fromkeys(row["reading"] for row in own):
        of = {
            (row["request"], row["seed"]): row["class_a"]
            for row in own
            if row["reading"] == reading and row["class_a"] is not None
        }
        seeds = [seed for request, seed in of if request == asked["request"] and (HONEST, seed) in of]
        if not seeds:
            continue
        harm = mean_interval([of[HONEST, seed] - of[asked["request"], seed] for seed in seeds])
        before = {row["seed"]: row["class_a_before"] for row in own}
        costs = [before[seed] - of[FIVE_TIMES, seed] for seed in seeds if (FIVE_TIMES, seed) in of]
        cost = sum(costs) / len(costs) if costs else float("nan")
        found.append(Answer(reading, _verdict(asked, harm, cost), harm, cost))
    return found


def sentence(answer: Answer, harm: str) -> str:
    """The answer as a point of a list in Markdown; `harm` is its harm as the page shows it."""
    return (
        f"* **{answer.verdict}** under {answer.reading}: a push costs class A {harm} points beyond an honest request, "
        f"{answer.harm.count} victims; an honest request of five times as many samples costs "
        f"{100 * answer.five_times:.1f} points. What decides was written down before: [question.toml](question.toml)."
    )


def _verdict(asked: dict[str, Any], harm: Interval, five_times: float) -> str:
    if harm.count < FEWEST:
        return "undecided"
    least, most = asked["confirmed"]["five_times_costs"]
    if harm.low > asked["confirmed"]["harm_above"] and least <= five_times <= most:
        return "confirmed"
    return "refuted" if harm.high < asked["refuted"]["harm_below"] else "undecided"
