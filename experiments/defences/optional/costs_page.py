"""The section on what requests cost the server."""

from collections.abc import Callable, Sequence

import numpy as np
from tabulate import tabulate

from experiments.run.records import Record
from overunlearn_jax.attack_names import HONEST, attack_name
from overunlearn_jax.statistics.intervals import Interval, mean_interval

COPIES = {"copies": "One sample, as often"}


def section(rows: Sequence[Record]) -> str:
    """Two tables: methods that act on a request, and SISA."""
    plain = [row for row in rows if "slices_again" not in row]
    sisa = [row for row in rows if "slices_again" in row]
    parts = ["## What a request costs the server", ""]
    if plain:
        parts += ["Beyond an honest request: of as many samples, the same method. Means over victims.", ""]
        parts += [method_table(plain), ""]
    if sisa:
        parts += [sisa_sentence(sisa), "", sisa_table(sisa), ""]
    return "\n".join(parts)


def method_table(rows: Sequence[Record]) -> str:
    """A line for each method and request."""
    honest = {(row["seed"], row["method"]): row for row in rows if row["request"] == HONEST}
    headers = ["Method", "Request", "Gradients", "Beyond honest, %", "Seconds", "Times an honest one's"]
    lines = []
    for method, request in dict.fromkeys((row["method"], row["request"]) for row in rows):
        own = [row for row in rows if (row["method"], row["request"]) == (method, request)]
        counted = [row for row in own if row["gradient_evaluations"] is not None]
        pairs = [(row, honest[row["seed"], method]) for row in own if (row["seed"], method) in honest]
        beyond = [
            row["gradient_evaluations"] / other["gradient_evaluations"] - 1
            for row, other in pairs
            if row["gradient_evaluations"] is not None and other["gradient_evaluations"]
        ]
        lines.append(
            [
                method,
                COPIES.get(request) or attack_name(request, at_start=True),
                _told(counted, lambda row: row["gradient_evaluations"], "{:,.0f}"),
                _interval(beyond, "{:.1f}", 100.0),
                _told(own, lambda row: row["seconds"], "{:.2f}"),
                _interval([row["seconds"] / other["seconds"] for row, other in pairs], "{:.2f}"),
            ]
        )
    return tabulate(lines, headers, tablefmt="github", disable_numparse=True)


def sisa_sentence(rows: Sequence[Record]) -> str:
    """How much more chosen samples cost than random ones, where it is most."""
    found = []
    for samples, at_once in dict.fromkeys((row["samples"], row["at_once"]) for row in rows):
        own = {
            who: [row["work_share"] for row in rows
                  if (row["samples"], row["at_once"], row["request"]) == (samples, at_once, who)]
            for who in ("chosen", "random")
        }  # fmt: skip
        if own["chosen"] and own["random"]:
            found.append((np.mean(own["chosen"]) / np.mean(own["random"]), samples, at_once, np.mean(own["chosen"])))
    times, samples, at_once, share = max(found)
    how = "in one request" if at_once else "one after the other"
    return (
        f"SISA: an attacker who knows the shards and chooses {samples} of their samples, {how}, makes the server train "
        f"{share:.2f} times all of it again, {times:.1f} times what as many random ones do."
    )


def sisa_table(rows: Sequence[Record]) -> str:
    """A line for each number of samples, way to choose and way to ask."""
    headers = ["Samples", "Chosen", "Asked", "Slice trainings again", "Of", "Work, of all", "Expected of random ones"]
    lines = []
    for key in dict.fromkeys((row["samples"], row["request"], row["at_once"]) for row in rows):
        own = [row for row in rows if (row["samples"], row["request"], row["at_once"]) == key]
        lines.append(
            [
                key[0],
                "by the assignment" if key[1] == "chosen" else "at random",
                "at once" if key[2] else "one by one",
                _told(own, lambda row: row["slices_again"], "{:.1f}"),
                own[0]["shards"] * own[0]["slices"],
                _told(own, lambda row: row["work_share"], "{:.3f}"),
                f"{own[0]['expected_at_once']:.3f}" if key[1:] == ("random", True) else "–",
            ]
        )
    return tabulate(lines, headers, tablefmt="github", disable_numparse=True)


def _told(rows: Sequence[Record], value: Callable[[Record], float], form: str) -> str:
    return _interval([value(row) for row in rows], form)


def _interval(values: Sequence[float], form: str, unit: float = 1.0) -> str:
    if not values:
        return "–"
    found: Interval = mean_interval([unit * value for value in values])
    text = form.format(found.mean)
    return text if np.isnan(found.low) else f"{text} [{form.format(found.low)}, {form.format(found.high)}]"
