"""From rows to one summary per setting and attack, with intervals over the seeds."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, cast

from overunlearn_jax.reporting.row import SETTING_KEYS, Row
from overunlearn_jax.statistics.intervals import Interval, mean_interval, paired_difference

ATTACKS = ("normal", "noise", "blending", "pushing_1", "pushing_2")  # the order of every table and figure
NORMAL = "normal"
NO_INTERVAL = Interval(math.nan, math.nan, math.nan, 0)  # no seed has the number


class Setting(NamedTuple):
    """What the rows of one group share: everything but seed and attack. Fields are `rows.SETTING_KEYS`."""

    experiment: str
    dataset: str
    dataset_note: str
    model: str
    unlearning: str
    fidelity: str
    tau: float | None
    scope: str
    goal: str
    request_labels: str
    class_a_name: str
    class_b_name: str
    fraction: float  # part of class A's training samples that is requested


class SummaryRow(NamedTuple):
    """One attack in one setting. Accuracies are fractions; so are differences, normal minus this attack.

    An interval whose count is 0 (all NaN) means that no seed has the number.
    """

    setting: Setting
    attack: str
    seeds: tuple[int, ...]  # sorted
    overall_before: Interval
    class_a_before: Interval
    class_b_before: Interval
    overall: Interval
    class_a: Interval
    class_b: Interval
    over_unlearning_a: Interval | None  # type I, paired over seeds; None for the normal request itself
    over_unlearning_b: Interval | None  # type II
    overall_difference: Interval | None
    unpaired_seeds: int  # seeds that only one of this attack and the normal request has; not in the differences
    requested: float  # mean number of samples, as are the next three
    submitted: float
    skipped: float
    failed: float
    queries: float  # mean number of images sent to the black box for the whole request
    label_agreement: float  # mean fraction; this and the next three are NaN where no seed has them
    ssim_mean: float
    l2_mean: float  # mean over seeds of the mean L2 norm of a sample's change
    l2_max: float  # largest over all seeds
    diverged: tuple[int, ...]  # seeds whose unlearning diverged, sorted: nothing after it is measured


def groups(rows: Sequence[Mapping[str, Any]]) -> dict[Setting, list[Row]]:
    """Returns the rows that may be compared with each other by their setting, in order of appearance."""
    result: dict[Setting, list[Row]] = {}
    for row in rows:
        setting = Setting(*(row[key] for key in SETTING_KEYS))
        result.setdefault(setting, []).append(cast(Row, dict(row)))
    return result


def by_attack(rows: Sequence[Mapping[str, Any]]) -> dict[str, dict[int, Row]]:
    """Returns one group's rows by attack, in the order of `ATTACKS` (others after them), then by seed.

    Raises:
      ValueError: if two rows of the group have the same attack and seed: their mean would count a seed twice.
    """
    found: dict[str, dict[int, Row]] = {}
    for row in rows:
        of_attack = found.setdefault(row["attack"], {})
        if row["seed"] in of_attack:
            raise ValueError(
                f"cells {of_attack[row['seed']]['cell']!r} and {row['cell']!r} have the same setting, attack "
                f"{row['attack']!r} and seed {row['seed']}. If they differ in something that is no setting "
                "(such as a blending ratio), put it into 'experiment'; otherwise remove one of the two rows."
            )
        of_attack[row["seed"]] = cast(Row, dict(row))
    known = [attack for attack in ATTACKS if attack in found]
    others = [attack for attack in found if attack not in ATTACKS]
    return {attack: dict(sorted(found[attack].items())) for attack in known + others}


def summarise(rows: Sequence[Mapping[str, Any]]) -> list[SummaryRow]:
    """Returns one summary per group and attack.

    Groups come in order of appearance, attacks in the order of `ATTACKS`. Intervals are 95 %
    Student-t intervals over seeds; one seed has a mean and no interval.

    Raises:
      ValueError: if two rows have the same setting, attack and seed.
    """
    summary = []
    for setting, group in groups(rows).items():
        attacks = by_attack(group)
        normal = attacks.get(NORMAL, {})
        for attack, of_seed in attacks.items():
            summary.append(_summarise_attack(setting, attack, of_seed, normal))
    return summary


def _summarise_attack(setting: Setting, attack: str, of_seed: dict[int, Row], normal: dict[int, Row]) -> SummaryRow:
    rows = list(of_seed.values())
    is_normal = attack == NORMAL

    def difference(key: str) -> Interval | None:
        return None if is_normal else _normal_minus_attack(normal, of_seed, key)

    return SummaryRow(
        setting=setting,
        attack=attack,
        seeds=tuple(of_seed),
        overall_before=_interval(rows, "overall_before"),
        class_a_before=_interval(rows, "class_a_before"),
        class_b_before=_interval(rows, "class_b_before"),
        overall=_interval(rows, "overall"),
        class_a=_interval(rows, "class_a"),
        class_b=_interval(rows, "class_b"),
        over_unlearning_a=difference("class_a"),
        over_unlearning_b=difference("class_b"),
        overall_difference=difference("overall"),
        unpaired_seeds=0 if is_normal else len(of_seed.keys() ^ normal.keys()),
        requested=_mean(rows, "requested"),
        submitted=_mean(rows, "submitted"),
        skipped=_mean(rows, "skipped"),
        failed=_mean(rows, "failed"),
        queries=_mean(rows, "queries"),
        label_agreement=_mean(rows, "label_agreement"),
        ssim_mean=_mean(rows, "ssim_mean"),
        l2_mean=_mean(rows, "l2_mean"),
        l2_max=max(_known(rows, "l2_max"), default=math.nan),
        diverged=tuple(seed for seed, row in of_seed.items() if row.get("diverged")),
    )


def _known(rows: Sequence[Mapping[str, Any]], key: str) -> list[float]:
    return [float(row[key]) for row in rows if row[key] is not None]


def _mean(rows: Sequence[Row], key: str) -> float:
    values = _known(rows, key)
    return math.fsum(values) / len(values) if values else math.nan


def _interval(rows: Sequence[Row], key: str) -> Interval:
    values = _known(rows, key)
    return mean_interval(values) if values else NO_INTERVAL


def _normal_minus_attack(
    normal: Mapping[int, Mapping[str, Any]], attacked: Mapping[int, Mapping[str, Any]], key: str
) -> Interval:
    pairs = [
        (normal[seed][key], attacked[seed][key])
        for seed in attacked
        if seed in normal and normal[seed][key] is not None and attacked[seed][key] is not None
    ]
    if not pairs:
        return NO_INTERVAL
    return paired_difference([first for first, _ in pairs], [second for _, second in pairs])
