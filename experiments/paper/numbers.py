"""The numbers that the paper and its slides print, with the place where each stands, in numbers.json.

Percent for accuracies, points for drops, test images for counts, as printed. Its "unclear" part lists what the paper
leaves open or contradicts itself in.
"""

import functools
import json
from pathlib import Path
from typing import Any


@functools.cache
def _cells() -> list[dict[str, Any]]:
    return list(json.loads(Path(__file__).with_name("numbers.json").read_text())["cells"])


def printed(exhibit: str, **keys: Any) -> float | None:
    """The number in a table or figure at the place that `keys` say, such as dataset="cifar10"; None where none stands.

    Raises ValueError where several different numbers stand there: the keys do not say which.
    """
    found = {
        float(cell["value"])
        for cell in _cells()
        if cell["id"] == exhibit and all(cell.get(key) == value for key, value in keys.items())
    }
    if len(found) > 1:
        raise ValueError(f"{exhibit} prints {sorted(found)} at {keys}: say which one is meant")
    return found.pop() if found else None
