"""From rows to one summary per setting and attack, with intervals over the seeds."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, cast

from overunlearn_jax.attack_names import ATTACK_NAMES, HONEST
from overunlearn_jax.reporting.resolution import count_test_images
from overunlearn_jax.reporting.row import SETTING_KEYS, Row
from overunlearn_jax.statistics.intervals import Interval, mean_interval, no_finer, paired_difference, within

ATTACKS = tuple(ATTACK_NAMES)  # the order of every table and figure
NORMAL = HONEST
ACCURACIES = ("overall", "class_a", "class_b")
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

    An interval whose count is 0 (all NaN) means that no seed has the number. Intervals reach to one test image on
    either side at least, and end where the number cannot go: accuracies at 0 and 1, a difference at what the class had
    after the normal request, and below at what it could gain.
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
    unpaired_seeds: int  # seeds that only one of this attack and the normal request has; not in the differences
    requested: float  # mean number of samples, as are the next four
    submitted: float
    refused: float  # of these, by defences; NaN: the service has none
    skipped: float
    failed: float
    queries: float  # mean number of images sent to the black box for the whole request
    label_agreement: float  # mean fraction; this and the next three are NaN where no seed has them
    ssim_mean: float
    l2_mean: float  # mean over seeds of the mean L2 norm of a sample's change
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
        images = {measure: count_test_images(group, measure) for measure in ACCURACIES}
        for attack, of_seed in attacks.items():
            summary.append(_summarise_attack(setting, attack, of_seed, normal, images))
    return summary


def _summarise_attack(
    setting: Setting, attack: str, of_seed: dict[int, Row], normal: dict[int, Row], images: dict[str, int | None]
) -> SummaryRow:
    rows = list(of_seed.values())
    is_normal = attack == NORMAL

    def accuracy(measure: str, suffix: str = "") -> Interval:
        return _accuracy(rows, measure + suffix, images[measure])

    def difference(measure: str) -> Interval | None:
        return None if is_normal else _normal_minus_attack(normal, of_seed, measure, images[measure])

    return SummaryRow(
        setting=setting,
        attack=attack,
        seeds=tuple(of_seed),
        overall_before=accuracy("overall", "_before"),
        class_a_before=accuracy("class_a", "_before"),
        class_b_before=accuracy("class_b", "_before"),
        overall=accuracy("overall"),
        class_a=accuracy("class_a"),
        class_b=accuracy("class_b"),
        over_unlearning_a=difference("class_a"),
        over_unlearning_b=difference("class_b"),
        unpaired_seeds=0 if is_normal else len(of_seed.keys() ^ normal.keys()),
        requested=_mean(rows, "requested"),
        submitted=_mean(rows, "submitted"),
        refused=_mean([row for row in rows if "refused" in row], "refused"),
        skipped=_mean(rows, "skipped"),
        failed=_mean(rows, "failed"),
        queries=_mean(rows, "queries"),
        label_agreement=_mean(rows, "label_agreement"),
        ssim_mean=_mean(rows, "ssim_mean"),
        l2_mean=_mean(rows, "l2_mean"),
        diverged=tuple(seed for seed, row in of_seed.items() if row.get("diverged")),
    )


def finest(images: int | None) -> float:
    """Returns what one test image is of an accuracy, as a fraction; 0 where nobody knows how many there are."""
    return 1 / images if images else 0.0


def within_possible_harm(harm: Interval, left: float) -> Interval:
    """Returns the interval of a harm, cut where a harm ends.

    A request can take what the class had `left` after the normal one, a mean over the same seeds, and no more; and it
    can spare no more than what was missing there.
    """
    return within(harm, left - 1.0, left)


def _known(rows: Sequence[Mapping[str, Any]], key: str) -> list[float]:
    return [float(row[key]) for row in rows if row[key] is not None]


def _mean(rows: Sequence[Row], key: str) -> float:
    values = _known(rows, key)
    return math.fsum(values) / len(values) if values else math.nan


def _accuracy(rows: Sequence[Row], key: str, images: int | None) -> Interval:
    values = _known(rows, key)
    return within(no_finer(mean_interval(values), finest(images)), 0.0, 1.0) if values else NO_INTERVAL


def _normal_minus_attack(
    normal: Mapping[int, Mapping[str, Any]], attacked: Mapping[int, Mapping[str, Any]], key: str, images: int | None
) -> Interval:
    pairs = [
        (normal[seed][key], attacked[seed][key])
        for seed in attacked
        if seed in normal and normal[seed][key] is not None and attacked[seed][key] is not None
    ]
    if not pairs:
        return NO_INTERVAL
    honest, others = zip(*pairs, strict=True)
    difference = no_finer(paired_difference(honest, others), finest(images))
    return within_possible_harm(difference, math.fsum(honest) / len(honest))
