"""Every mark stands where its number is."""

import math

import pytest

from overunlearn_jax.reporting import HarmLine
from overunlearn_jax.reporting.chart import chart_of
from overunlearn_jax.reporting.harm import OTHER, REQUESTED
from overunlearn_jax.statistics.intervals import Interval

NOTHING = Interval(math.nan, math.nan, math.nan, 0)


def line(harm: Interval, role: str = REQUESTED, in_place: str = "") -> HarmLine:
    return HarmLine("Pushing-I", "cat" if role == REQUESTED else "dog", role, harm, "plain", in_place)


def test_places_are_in_percent_of_the_range():
    chart = chart_of([line(Interval(0.6, 0.4, 0.8, 3)), line(Interval(-0.1, -0.2, 0.0, 3), OTHER)], limit=0.05)
    assert chart is not None
    # from -0.2 to 0.8, and 4 % of that at either end: -0.24 to 0.84, 1.08 wide
    assert chart.zero == pytest.approx(100 * 0.24 / 1.08, abs=0.01)
    assert chart.limit == pytest.approx(100 * 0.29 / 1.08, abs=0.01)
    cat, dog = (group.bars[0] for group in chart.groups)
    assert [group.title for group in chart.groups] == [
        "class cat, whose samples were requested",
        "class dog, another class",
    ]
    assert (cat.start, cat.mean) == (chart.zero, pytest.approx(100 * 0.84 / 1.08, abs=0.01))
    assert cat.width == pytest.approx(100 * 0.6 / 1.08, abs=0.02)
    assert (cat.low, cat.high) == pytest.approx((100 * 0.64 / 1.08, 100 * 1.04 / 1.08), abs=0.01)
    assert dog.start == dog.mean == pytest.approx(100 * 0.14 / 1.08, abs=0.01)  # to the left of 0
    assert [tick.text for tick in chart.ticks] == ["-20", "0", "20", "40", "60", "80"]
    assert chart.alt.endswith(
        "Pushing-I, class cat: 60.0 [40.0, 80.0]; Pushing-I, class dog: -10.0 [-20.0, 0.0]. Allowed: 5 points."
    )


def test_one_seed_has_a_bar_and_no_interval():
    chart = chart_of([line(Interval(0.6, math.nan, math.nan, 1))])
    assert chart is not None
    [bar] = chart.groups[0].bars
    assert (bar.text, bar.low, bar.high) == ("60.0", None, None)
    assert not chart.has_intervals
    assert (chart.limit, chart.allowed) == (None, "")


def test_what_is_not_known_has_words_in_place_of_a_bar():
    chart = chart_of(
        [
            line(NOTHING, in_place="diverged"),
            line(NOTHING),
            line(Interval(0.1, 0.0, 0.2, 2), in_place="1 of 3 diverged"),
        ]
    )
    assert chart is not None
    assert [bar.text for bar in chart.groups[0].bars] == ["diverged", "–", "10.0 [0.0, 20.0]; 1 of 3 diverged"]
    assert chart.groups[0].bars[0].mean is None


def test_no_harm_at_all_is_drawn_too():
    chart = chart_of([line(Interval(0.0, 0.0, 0.0, 3))])
    assert chart is not None
    assert 0 < chart.zero < 50
    assert chart_of([]) is None


@pytest.mark.parametrize(("high", "most"), [(0.004, 6), (0.05, 7), (0.3, 7), (1.0, 7)])
def test_ticks_are_few_and_inside(high: float, most: int):
    chart = chart_of([line(Interval(high / 2, 0.0, high, 3))])
    assert chart is not None
    assert 2 <= len(chart.ticks) <= most
    assert all(0 <= tick.place <= 100 for tick in chart.ticks)
