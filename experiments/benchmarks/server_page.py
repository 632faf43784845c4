"""The page of the reference service's measurements, from what `server_load` and `server_faults` wrote.

    python -m experiments.benchmarks.server_page --results=experiments/results

Reads server_load.json and server_faults.json in that folder and writes server.md there.
"""

import json
from pathlib import Path
from typing import Any

from absl import app, flags
from tabulate import tabulate

from experiments.benchmarks.server_faults import WRONG
from overunlearn_jax.files import write_bytes


def markdown(load: dict[str, Any], faults: dict[str, Any]) -> str:
    """What was found first, then the table and the counts."""
    rows = load["rows"]
    alone = rows[0]
    fastest = max(rows, key=lambda row: row["images_a_second"])
    wrong = sum(faults[name] for name in WRONG)
    mib = [load[f"memory_{when}"] / 2**20 for when in ("before", "after")]
    share = fastest["images_a_second"] / fastest["in_process_images_a_second"]
    lines = [
        "# The reference service, killed and under load",
        "",
        f"* **Killed {faults['kills']} times under load it lost {faults['lost']} and did {faults['twice']} twice** of "
        f"{faults['deletions_acknowledged']:,} acknowledged deletions; {faults['interrupted_and_done_again']} were "
        f"interrupted and done again, {faults['sent_again']} sent again with the key that they had. "
        f"{faults['wrong_weights']} versions differ in a bit from the same deletions done one after the other, and "
        f"{faults['wrong_answers']} versions gave an answer that is not theirs, bit for bit, in "
        f"{faults['predictions']:,} predictions. All counts that have to be 0 add up to {wrong}. A start took "
        f"{faults['seconds_to_start']:.1f} s.",
        f"* **Over HTTP it answers {fastest['images_a_second']:,.0f} images a second**, {share:.0%} of what this "
        f"process asks of the same model in the same batches of {fastest['batch']}. In requests of one image it is "
        f"{alone['images_a_second']:,.0f}, {alone['p50_ms']:.1f} ms each: a request's own cost, not the model, is what "
        "bounds it.",
        f"* **While it forgets it goes on answering**: with one deletion after the other half of those requests are "
        f"answered within {alone['deleting_p50_ms']:.1f} ms in place of {alone['p50_ms']:.1f}, and 99 of 100 within "
        f"{alone['deleting_p99_ms']:.1f} in place of {alone['p99_ms']:.1f}.",
        f"* **{load['requests']:,} requests change its memory by {mib[1] - mib[0]:.1f} MiB**: {mib[0]:.1f} before, "
        f"{mib[1]:.1f} after.",
        "",
        "Clients and service share two cores, so a service of its own is faster than this. One run of each; digits, "
        "width 8 for the kills.",
        "",
        "```",
        "python -m experiments.benchmarks.server_load --requests=100000 --out=server_load.json",
        f"python -m experiments.benchmarks.server_faults --kills={faults['kills']} --out=server_faults.json",
        "```",
        "",
        tabulate([_cells(row) for row in rows], HEADERS, tablefmt="github", disable_numparse=True),
    ]
    return "\n".join(lines) + "\n"


HEADERS = [
    "Batch", "In flight", "Images/s in process", "Images/s over HTTP", "p50, ms", "p99, ms", "Images/s while deleting",
    "p50, ms", "p99, ms", "Deletions",
]  # fmt: skip


def _cells(row: dict[str, Any]) -> list[str]:
    rates = [f"{row[name]:,.0f}" for name in ("in_process_images_a_second", "images_a_second")]
    quiet, busy = ([f"{row[f'{when}{name}_ms']:.1f}" for name in ("p50", "p99")] for when in ("", "deleting_"))
    return [
        str(row["batch"]),
        str(row["in_flight"]),
        *rates,
        *quiet,
        f"{row['deleting_images_a_second']:,.0f}",
        *busy,
        str(row["deletions"]),
    ]


def main(arguments: list[str]) -> None:
    """Numbers to a page."""
    if len(arguments) > 1:
        raise app.UsageError(f"unexpected arguments {arguments[1:]}")
    folder = Path(flags.FLAGS.results)
    load, faults = (json.loads((folder / f"server_{name}.json").read_text()) for name in ("load", "faults"))
    print(write_bytes(folder / "server.md", markdown(load, faults).encode()))


if __name__ == "__main__":
    flags.DEFINE_string("results", "experiments/results", "folder of server_load.json and server_faults.json")
    app.run(main)
