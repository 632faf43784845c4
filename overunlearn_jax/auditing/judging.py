"""What an audit says of the rows of a run: its claims together, and what was measured of forgetting."""

from collections.abc import Iterator, Sequence

from tabulate import tabulate

from overunlearn_jax.auditing._honest_costs import Row, by_variant, honest_costs
from overunlearn_jax.auditing._verdicts import verdicts
from overunlearn_jax.reporting import Claim, Judgement, forgetting_table


def judge(rows: Sequence[Row], *, most: float, most_honest: float) -> Judgement:
    """The claims of a run's rows.

    Args:
      rows: of all seeds.
      most: how much more of a class's accuracy a malicious request may cost than an honest one.
      most_honest: the part of an accuracy that the honest request itself may cost.

    Raises ValueError for rows without a malicious request.
    """
    honest = honest_costs(rows, most_honest)
    claims: list[Claim] = [*honest, *verdicts(rows, most)]
    return Judgement(claims, [warning for each in honest if (warning := each.warning)])


def forgetting_tables(rows: Sequence[Row]) -> Iterator[str]:
    """What was measured of forgetting as text, a table a variant."""
    for variant, own in by_variant(rows):
        if table := forgetting_table(own):
            yield f"forgetting, {variant}:\n{tabulate(table.rows, table.headers, disable_numparse=True)}"
