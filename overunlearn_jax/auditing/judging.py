"""What an audit says of the rows of a run: its claims together, and what was measured of forgetting."""

from collections.abc import Iterator, Sequence

from tabulate import tabulate

from overunlearn_jax.attack_names import HONEST, attack_name
from overunlearn_jax.auditing._honest_costs import NOTHING_LEFT, UNCHANGED, HonestCost, Row, by_variant, honest_costs
from overunlearn_jax.auditing._sureness import near_chance, small_sets
from overunlearn_jax.auditing._verdicts import Verdict, verdicts
from overunlearn_jax.reporting import Claim, Judgement, forgetting_table
from overunlearn_jax.reporting.outcomes import DESTROYED, VULNERABLE


def judge(rows: Sequence[Row], *, most: float, most_honest: float, allow_unchanged: bool = False) -> Judgement:
    """The claims of a run's rows.

    Claims on malicious requests do not apply where an honest one destroys the model, and show no safety where it
    changes nothing.

    Args:
      rows: of all seeds.
      most: how much more of a class's accuracy a malicious request may cost than an honest one.
      most_honest: the part of an accuracy that the honest request itself may cost.
      allow_unchanged: whether a service of which an honest request changes nothing may be safe.

    Raises:
      ValueError: rows without a malicious request.
    """
    honest = honest_costs(rows, most_honest)
    destroyed = {each.variant for each in honest if each.outcome == DESTROYED}
    unchanged = set() if allow_unchanged else {each.variant for each in honest if each.is_unchanged}
    others = [each._replace(void=NOTHING_LEFT) if each.variant in destroyed else each for each in verdicts(rows, most)]
    others = [each._replace(doubt=each.doubt or UNCHANGED) if each.variant in unchanged else each for each in others]
    claims: list[Claim] = [*honest, *others]
    service = str(rows[0].get("unlearning", ""))
    warnings = [*small_sets(others), *near_chance(rows), *_of_honest(honest), *_of_malicious(others), *_refused(rows)]
    return Judgement(claims, warnings, rows, service, most)


def forgetting_tables(rows: Sequence[Row]) -> Iterator[str]:
    """What was measured of forgetting as text, a table a variant."""
    for variant, own in by_variant(rows):
        if table := forgetting_table(own):
            yield f"forgetting, {variant}:\n{tabulate(table.rows, table.headers, disable_numparse=True)}"


def _of_honest(honest: Sequence[HonestCost]) -> list[str]:
    """Once for all variants of which the same is to be said."""
    variants: dict[str, list[str]] = {}
    for each in honest:
        if each.changed_nothing:
            variants.setdefault(each.changed_nothing, []).append(each.variant)
    return [
        f"WARNING: {attack_name(HONEST)}, {'all settings' if 1 < len(of) == len(honest) else '; '.join(of)}: {words}"
        for words, of in variants.items()
    ]


def _refused(rows: Sequence[Row]) -> list[str]:
    """What a service's defences did not let through, where it has some: fewer samples are forgotten than submitted."""
    parts = []
    for attack in dict.fromkeys(str(row["attack"]) for row in rows):
        own = [row for row in rows if row["attack"] == attack and row.get("refused") is not None]
        if own:
            refused, submitted = (sum(int(row[name]) for row in own) for name in ("refused", "submitted"))
            parts.append(f"{attack_name(attack)} {refused:,} of {submitted:,}")
    return [f"Samples that the service's defences refused: {', '.join(parts)}."] if parts else []


def _of_malicious(claims: Sequence[Verdict]) -> list[str]:
    """A harm that was shown and is not judged must not be overlooked."""
    unjudged: dict[str, list[str]] = {}
    for each in claims:
        if each.void and each.measured == VULNERABLE:
            name = f"{attack_name(each.request, at_start=True)} (class {each.class_name})"
            unjudged.setdefault(each.variant, []).append(name)
    return [
        f"WARNING: {variant}: these cost more than is allowed beyond an honest request, and are not judged since that "
        f"alone costs more than --max_honest_cost: {', '.join(names)}"
        for variant, names in unjudged.items()
    ]
