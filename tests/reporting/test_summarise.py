"""Summaries against numbers worked out by hand."""

import math
import random

import pytest

from overunlearn_jax.reporting import groups, summarise
from overunlearn_jax.reporting._summarise import Setting
from overunlearn_jax.reporting.row import SETTING_KEYS
from tests.reporting.example_rows import example_row, three_seeds


def test_the_fields_of_a_setting_are_the_setting_keys():
    assert Setting._fields == SETTING_KEYS


def test_over_unlearning_is_paired_over_seeds():
    normal, pushed = summarise(three_seeds())
    assert (normal.attack, pushed.attack) == ("normal", "pushing_1")
    assert normal.seeds == pushed.seeds == (0, 1, 2)
    # the differences 0.4, 0.5, 0.6 have the interval 0.5 +- 0.2484138
    assert pushed.over_unlearning_a is not None
    assert pushed.over_unlearning_a.mean == pytest.approx(0.5)
    assert pushed.over_unlearning_a.low == pytest.approx(0.5 - 0.2484138)
    assert pushed.over_unlearning_a.high == pytest.approx(0.5 + 0.2484138)
    assert pushed.over_unlearning_b is not None
    assert pushed.over_unlearning_b[:3] == pytest.approx((0.0, -0.01, 0.01))  # 70 and 69 %: 100 test images
    assert pushed.unpaired_seeds == 0
    assert normal.over_unlearning_a is normal.over_unlearning_b is None


def test_accuracies_and_means():
    normal, pushed = summarise(three_seeds())
    assert normal.class_a.mean == pytest.approx(0.82)
    assert normal.class_a.high - 0.82 == pytest.approx(0.02 * 2.4841377)
    assert normal.class_a_before[:3] == pytest.approx((0.9, 0.89, 0.91))  # three seeds agree: one image of 100
    assert pushed.class_a.mean == pytest.approx(0.32)
    assert (pushed.requested, pushed.submitted, pushed.skipped, pushed.failed) == (400, 390, 8, 2)
    assert pushed.queries == 1001
    assert pushed.l2_mean == pytest.approx(0.21)
    assert pushed.ssim_mean == pytest.approx(0.97)


def test_one_seed_has_a_difference_and_no_interval():
    _, pushed = summarise([example_row("normal", class_a=0.8), example_row("pushing_1", class_a=0.3)])
    assert pushed.over_unlearning_a is not None
    assert pushed.over_unlearning_a.mean == pytest.approx(0.5)
    assert math.isnan(pushed.over_unlearning_a.low)


def test_seeds_without_a_partner_are_left_out_and_counted():
    rows = [row for row in three_seeds() if (row["attack"], row["seed"]) != ("normal", 1)]
    rows.append(example_row("normal", 7))
    normal, pushed = summarise(rows)
    assert normal.seeds == (0, 2, 7)
    assert pushed.unpaired_seeds == 2  # seed 1 has no normal row, seed 7 no pushed one
    assert pushed.over_unlearning_a is not None
    assert pushed.over_unlearning_a.count == 2
    assert pushed.over_unlearning_a.mean == pytest.approx(0.5)
    assert pushed.class_a.count == 3


def test_without_a_normal_row_nothing_is_compared():
    (pushed,) = summarise([example_row("pushing_1")])
    assert pushed.over_unlearning_a is not None
    assert pushed.over_unlearning_a.count == 0
    assert pushed.unpaired_seeds == 1


def test_missing_numbers_are_left_out():
    rows = three_seeds()
    for row in rows:
        if row["attack"] == "pushing_1":
            row |= {"l2_mean": None, "l2_max": None}
            if row["seed"] == 1:
                row["class_a"] = None
    _, pushed = summarise(rows)
    assert math.isnan(pushed.l2_mean)
    assert pushed.class_a.count == 2
    assert pushed.over_unlearning_a is not None
    assert pushed.over_unlearning_a.count == 2


def test_the_order_of_attacks_and_seeds_does_not_depend_on_the_rows():
    names = ["normal", "noise", "blending", "pushing_1", "pushing_2"]
    rows = [example_row(name, seed) for name in names for seed in range(3)]
    random.Random(0).shuffle(rows)
    summary = summarise(rows)
    assert [row.attack for row in summary] == names
    assert all(row.seeds == (0, 1, 2) for row in summary)


@pytest.mark.parametrize("key", SETTING_KEYS)
def test_rows_are_compared_only_within_their_setting(key):
    other = 0.25 if isinstance(example_row()[key], float) else "other"
    rows = [example_row("normal"), example_row("pushing_1", **{key: other})]
    assert len(groups(rows)) == 2
    _, pushed = summarise(rows)
    assert pushed.over_unlearning_a is not None
    assert pushed.over_unlearning_a.count == 0


def test_a_seed_that_would_count_twice_is_refused():
    rows = [example_row("noise", 3, cell="first"), example_row("noise", 3, cell="second")]
    with pytest.raises(ValueError, match="'first' and 'second' have the same setting"):
        summarise(rows)


def test_intervals_end_where_a_number_does():
    honest, pushed = [0.97, 1.0, 0.97], [0.0, 0.0, 0.03]
    rows = [example_row("normal", seed, class_a=value) for seed, value in enumerate(honest)]
    rows += [example_row("pushing_1", seed, class_a=value) for seed, value in enumerate(pushed)]
    rows += [example_row("noise", seed, class_a=1.0) for seed in range(3)]
    normal, noise, attacked = summarise(rows)
    left = sum(honest) / 3
    assert normal.class_a.high == 1.0  # by Student-t 1.02
    assert attacked.class_a.low == 0.0
    assert attacked.over_unlearning_a is not None
    assert attacked.over_unlearning_a.mean == pytest.approx(0.97)
    assert attacked.over_unlearning_a.high == pytest.approx(left)  # all that the class had
    assert noise.over_unlearning_a is not None
    assert noise.over_unlearning_a.low == pytest.approx(left - 1)  # all that it lacked


def test_no_interval_is_finer_than_one_test_image():
    rows = [example_row(attack, seed, class_a=0.5) for attack in ("normal", "noise") for seed in range(3)]
    normal, noise = summarise(rows)
    assert normal.class_a[:3] == pytest.approx((0.5, 0.49, 0.51))
    assert noise.over_unlearning_a is not None
    assert noise.over_unlearning_a[:3] == pytest.approx((0.0, -0.01, 0.01))
