"""Seeds as on the command line: numbers and ranges, 0-2,7."""

import re
from collections.abc import Sequence

MOST_SEED = 2**32 - 1  # JAX makes a key of a seed's lower 32 bits alone
MOST_IN_A_RANGE = 10_000
_RANGE = re.compile(r"(\d+)-(\d+)")


def parse_seeds(typed: Sequence[str]) -> tuple[int, ...]:
    """The seeds that `--seeds` names: each item a number, or a range that holds both its ends.

    Raises ValueError, with what was typed, for anything else, for a range that runs backwards or is longer
    than 10,000, and for a seed that is given twice.
    """
    text, seeds = f"--seeds={','.join(typed)}", list[int]()
    for item in typed:
        range_ = _RANGE.fullmatch(item)
        try:
            first, last = map(int, range_.groups()) if range_ else (int(item), int(item))
        except ValueError as error:
            raise ValueError(f"{text}: expected int values, comma-separated, or ranges as in 0-4") from error
        if last < first:
            raise ValueError(f"--seeds={item}: a range goes from the smaller seed to the larger: {last}-{first}")
        if last - first >= MOST_IN_A_RANGE:
            raise ValueError(f"--seeds={item}: {last - first + 1:,} seeds, expected at most {MOST_IN_A_RANGE:,}")
        if last > MOST_SEED:
            raise ValueError(
                f"--seeds={item}: expected a number from 0 to {MOST_SEED}: to JAX {last} is the same seed as "
                f"{last % (MOST_SEED + 1)}"
            )
        seeds += range(first, last + 1)
    if len(set(seeds)) != len(seeds):
        raise ValueError(f"{text}: a value is given twice, {next(seed for seed in seeds if seeds.count(seed) > 1)}")
    return tuple(seeds)


def seeds_as_typed(seeds: Sequence[int]) -> str:
    """Seeds as short as they can be typed: three or more in a row are a range."""
    words: list[str] = []
    start = 0
    for end in range(1, len(seeds) + 1):
        if end < len(seeds) and seeds[end] == seeds[end - 1] + 1:
            continue
        row = seeds[start:end]
        words += [f"{row[0]}-{row[-1]}"] if len(row) > 2 else map(str, row)
        start = end
    return ",".join(words)
