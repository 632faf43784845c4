"""The section on what stored digests give away."""

from collections.abc import Sequence

from tabulate import tabulate

from experiments.run.records import Record
from overunlearn_jax.reporting.wording import interval_text
from overunlearn_jax.statistics.intervals import Interval, mean_interval, within

HEADERS = ["Store", "Who has it knows", "Image", "Found of those trained on, %", "Of others, %", "AUC"]


def section(rows: Sequence[Record]) -> str:
    """A line for each store, what a thief knows beside it, and how the image is stored."""
    lines = []
    for key in dict.fromkeys((row["store"], row["thief_knows"], row["image"]) for row in rows):
        own = [row for row in rows if (row["store"], row["thief_knows"], row["image"]) == key]
        shares = [interval_text(_shares(own, name), 100.0) for name in ("true_positives", "false_positives")]
        lines.append([*key, *shares, interval_text(_shares(own, "auc"), digits=2)])
    lines.sort(key=lambda line: (line[0], line[1]))
    told = (
        f"A thief has the store of {rows[0]['stored']} samples and asks whether an image that they know is in it: "
        "exact digests by equality, perceptual hashes within 40 of 256 bits. An AUC of 0.50 is a coin's. Others: "
        "images of the same data set that were not trained on, stored in the same way."
    )
    table = tabulate(lines, HEADERS, tablefmt="github", disable_numparse=True)
    return f"## What a stored digest gives away\n\n{told}\n\n{table}\n"


def _shares(rows: Sequence[Record], name: str) -> Interval:
    return within(mean_interval([row[name] for row in rows]), 0.0, 1.0)
