"""The section on how long a defence makes a deletion."""

from collections.abc import Sequence
from itertools import product
from statistics import fmean

from tabulate import tabulate

from experiments.defences.optional.added_seconds import LATER, UNDEFENDED
from experiments.run.records import Record, joined, seeds_of


def section(rows: Sequence[Record]) -> str:
    """A line for each method: the undefended deletion, then what each defence adds to the first and to later ones."""
    methods, defences = ([*dict.fromkeys(row[name] for row in rows)] for name in ("method", "defence"))
    by_case = {
        case: [row for row in rows if (row["method"], row["defence"]) == case] for case in product(methods, defences)
    }
    added = [name for name in defences if name != UNDEFENDED]

    def of(method: str, defence: str, when: str) -> float:
        return fmean(row[when] for row in by_case[method, defence])

    def cell(method: str, defence: str, plain: float) -> str:
        if not by_case[method, defence]:
            return "-"
        first, later = (of(method, defence, when) - plain for when in ("seconds_first", "seconds_later"))
        return f"{of(method, defence, 'seconds_prepared'):.1f}, {first:.2f} / {later:.2f}"

    lines = []
    for method in methods:
        plain = of(method, UNDEFENDED, "seconds_later")
        lines.append([method, f"{plain:.2f}", *(cell(method, name, plain) for name in added)])
    told = (
        f"Seconds of an undefended deletion of {joined(rows, 'samples')} honest samples; then what each defence takes "
        "once, before anything is asked, and what it adds to the first deletion of a size / to later ones of that "
        "size, which are compared with the same honest deletions. A method has no number in the column of a bound that "
        "it cannot have. A cap on a monitor is one comparison more. The time of a sample at a gate is above. Wall "
        f"times with nothing running beside, defences in turns, of later deletions the fastest of {LATER}; what is "
        f"below zero is the machine's own unrest. Victims of seeds {seeds_of(rows)}, at commit "
        f"{joined(rows, 'commit')} on {joined(rows, 'device')}."
    )
    table = tabulate(lines, ["Method", "Undefended", *added], tablefmt="github", disable_numparse=True)
    return f"## How long a defence makes a deletion\n\n{told}\n\n{table}\n"
