"""How many test images an accuracy is of."""

import math

import pytest

from overunlearn_jax.reporting.resolution import count_test_images, smallest_denominator
from tests.reporting.example_rows import example_row


@pytest.mark.parametrize(
    ("values", "denominator"),
    [
        ([0.5, 0.25], 4),
        ([36 / 37, 1.0], 37),
        ([34 / 35, 30 / 35], 35),
        ([7 / 9999, 5001 / 9999], 9999),
        ([1.0, 0.0], 1),
        ([], None),
        ([math.pi / 4], None),
        ([1 / 99_991, 1 / 99_989], None),  # of more images than can be told from rounding
    ],
)
def test_the_least_number_of_images_that_fits(values: list[float], denominator: int | None):
    assert smallest_denominator(values) == denominator


def test_images_are_counted_where_rows_tell_and_else_worked_out():
    rows = [example_row("normal", 0, class_b_before=0.7, class_b=0.65), example_row("noise", 0, class_b=0.5)]
    assert count_test_images(rows, "class_a") == 100  # 90 + 6 + 4
    assert count_test_images(rows, "class_b") == 20  # 70, 65 and 50 %
    assert count_test_images(rows, "overall") == 50  # 80 and 78 %
    told = [row | {"class_b_test_images": 40} for row in rows]
    assert count_test_images([rows[0], told[1]], "class_b") == 40


def test_each_seed_has_test_images_of_its_own():
    rows = [
        example_row("normal", 0, class_b_before=1.0, class_b=0.5),
        example_row("normal", 1, class_b_before=0.2, class_b=0.4),
    ]
    assert count_test_images(rows, "class_b") == 5  # not 10
    assert count_test_images([], "class_b") is None
    assert count_test_images([], "class_a") is None
    nothing = [example_row("normal", 0, class_b_before=None, class_b=None, class_a_predicted_before=[0, 0, 0])]
    assert count_test_images(nothing, "class_b") is None
    assert count_test_images(nothing, "class_a") is None
