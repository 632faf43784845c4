"""What pages say of the controls of a push, by width and at the paper's own, is what the records say."""

from pathlib import Path

import pytest

from experiments.controls import question
from experiments.controls.page import interval, number, points
from experiments.controls.requests import FIVE_TIMES
from experiments.controls.widths import by_width
from experiments.controls.widths_figure import Width
from experiments.run.records import Record, read_records
from overunlearn_jax.attack_names import HONEST

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "experiments" / "results" / "controls"
PUSH, WIDE = "pushing_1", 128


def page(name: str) -> str:
    return " ".join((ROOT / "docs" / name).read_text().split())


def wide_rows() -> list[Record]:
    return [row for path in sorted(FOLDER.glob("width_128*/controls.jsonl")) for row in read_records(path)]


@pytest.fixture(scope="module")
def rows() -> list[Record]:
    return read_records(FOLDER / "controls.jsonl")


@pytest.fixture(scope="module")
def wide() -> dict[str, Width]:
    return {each.reading: each for each in by_width(wide_rows())}


class Of:
    """One request under one reading of the first-order step."""

    def __init__(self, rows: list[Record], reading: str, request: str = PUSH):
        self.rows = [row for row in rows if (row["method"], row.get("reading")) == ("first_order", reading)]
        self.own = [row for row in self.rows if row.get("request") == request]

    def of(self, value) -> str:
        return points(interval(self.rows, self.own, value))

    @property
    def times(self) -> str:
        return number(interval(self.rows, self.own, lambda row, honest: row["times_honest"]))

    @property
    def times_alone(self) -> str:
        return self.times.split(" ")[0]


def beyond_longer(row: Record, honest: Record) -> float:
    return row["class_a_of_longer_honest"] - row["class_a"]


def test_a_longer_honest_step(rows: list[Record], wide: dict[str, Width]):
    text, push = page("defences.md"), Of(rows, "corrected")
    cosine = number(interval(push.rows, push.own, lambda row, honest: row["cosine"])).split(" ")[0]
    assert len(push.own) == 10
    assert f"over ten victims, Pushing-I changes the weights {push.times} times as much as an honest request" in text
    assert f"in nearly the same direction (cosine {cosine})." in text
    shortened = push.of(lambda row, honest: honest["class_a"] - row["class_a_shortened"])
    harm = push.of(lambda row, honest: honest["class_a"] - row["class_a"])
    told = f"Of the {harm} points that it costs beyond the honest request it costs {push.of(beyond_longer)} beyond"
    assert f"{told} an honest step of that length; shortened to the honest length, {shortened}." in text
    told = f"it is an honest step made {push.times} times as long: shortened to the honest length it costs {shortened}"
    assert f"{told} points beyond the honest request" in page("paper.md")
    assert max(float(Of(rows, reading).times_alone) for reading in ("authors_code", "equation")) < 1.1
    own = wide["corrected"]
    told = f"the step is {number(own.times)} times as long, and of {points(own.harm).split(' ')[0]} points"
    assert f"{told} {points(own.beyond_longer)} are left beyond an honest step of that length." in text


def test_another_direction(rows: list[Record], wide: dict[str, Width]):
    text = page("defences.md")
    authors, equation = Of(rows, "authors_code"), Of(rows, "equation")
    assert f"the step is {authors.times_alone} times as long and still costs {authors.of(beyond_longer)} points" in text
    assert f"under `equation` {equation.of(beyond_longer)};" in text
    left = [points(wide[reading].beyond_longer) for reading in ("authors_code", "equation")]
    assert f"at the paper's width {left[0]} and {left[1]}, of three victims that differ widely." in text
    assert {wide[reading].harm.count for reading in wide} == {3}


def test_requests_of_honest_people_differ(rows: list[Record]):
    text = page("defences.md")
    five, near, wrong = (
        Of(rows, "corrected", request).times_alone for request in (FIVE_TIMES, "lowest_margin", "unfiltered")
    )
    assert f"five times as many samples make a step {five} times as long, samples near the boundary" in text
    assert f"the boundary one {near} times as long, samples taken as they come, right or wrong, {wrong}." in text


def test_sharp_edges(rows: list[Record], wide: dict[str, Width]):
    text = page("sharp_edges.md")
    unfiltered = Of(rows, "corrected", "unfiltered").of(lambda row, honest: honest["class_a"] - row["class_a"])
    assert f"one that takes samples right or wrong costs {unfiltered} points more under `corrected`." in text
    shorter = Of(rows, "authors_code", "twice").times_alone
    assert f"twice as many honest samples made a *shorter* step ({shorter} times)." in text
    narrow = {each.reading: each.harm.mean for each in by_width(rows)}
    times = [wide[reading].harm.mean / narrow[reading] for reading in narrow]
    assert "at equal honest cost two to four times as much at 128 as at 16, on the mean of three" in text
    assert 2 < min(times) < max(times) < 4.5


def test_the_paper_s_own_width(wide: dict[str, Width]):
    text = page("paper.md")
    authors, corrected = wide["authors_code"], wide["corrected"]
    assert f"{points(corrected.harm)} points under `corrected`, {points(authors.harm)} under the authors' code" in text
    found = {row["seed"]: row for row in wide_rows() if (row["reading"], row["request"]) == ("authors_code", PUSH)}
    honest = {row["seed"]: row for row in wide_rows() if (row["reading"], row["request"]) == ("authors_code", HONEST)}
    harms = [f"{100 * (honest[seed]['class_a'] - found[seed]['class_a']):.1f}" for seed in (0, 1, 3)]
    assert f"the single victims lose {harms[0]}, {harms[1]} and {harms[2]}, and the paper's 52.2;" in text
    assert f"at which the whole model is lost ({100 * honest[3]['overall']:.1f} % of the test images right," in text
    assert f"images right, but {100 * honest[3]['class_a']:.0f} % of the airplanes)" in text
    assert 100 * honest[3]["overall"] < 11 < 70 < 100 * min(honest[seed]["overall"] for seed in (0, 1))
    told = [f"{100 * each.five_times.mean:.0f}" for each in (authors, corrected)]
    assert f"five times as many samples costs {told[0]} and {told[1]} points there" in text
    verdicts = {each.verdict for each in question.answers(wide_rows())}
    assert verdicts == {"undecided"}
    assert "whether width is the whole reason, stays undecided" in text
