"""The controls by hand: rates, requests, lengths and what the page says of them."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.config.service import FIDELITIES
from experiments.controls import page, question
from experiments.controls.cells import LEFT_OUT, chosen_cells
from experiments.controls.measure import as_record, measured_steps
from experiments.controls.other_task import OTHER_TASK, blended_with_digits, digits, with_other_task
from experiments.controls.rates import GRID, CostError, rate_at_cost
from experiments.controls.requests import _lowest_margins
from experiments.controls.victim import measure_victim
from experiments.run.records import append_records, read_records
from overunlearn_jax.attack_names import ATTACKS, HONEST
from overunlearn_jax.models import pure_model
from overunlearn_jax.types import Bounds, DatasetSpec, Request, Split, Variables
from tests.experiments.running import MakeConfig


def test_the_rate_is_where_the_cost_is_reached():
    calls: list[float] = []

    def cost_at(rate: float) -> float:
        calls.append(rate)
        return min(0.9, 300 * rate)

    assert rate_at_cost(cost_at, 0.061) == pytest.approx(0.061 / 300, rel=1e-4)
    assert cost_at(rate_at_cost(cost_at, 0.061)) >= 0.061
    assert rate_at_cost(lambda rate: float(rate > 1e-9), 0.5) < 1e-7  # costs as much at every rate of the grid
    with pytest.raises(CostError, match=r"no rate up to 0\.1 costs 6\.1%; the most is 4\.0%, at 0\.001"):
        rate_at_cost(lambda rate: 0.04 if rate == GRID[40] else -rate, 0.061)
    for cost in (0.0, 1.0, float("nan")):
        with pytest.raises(ValueError, match="expected a fraction of accuracy"):
            rate_at_cost(cost_at, cost)


def test_samples_nearest_to_the_boundary_are_right_ones():
    answers = np.array([[0.9, 0.1], [0.4, 0.6], [0.55, 0.45], [0.7, 0.3]])  # of samples of class 0
    assert _lowest_margins(answers, np.zeros(4, int)).tolist() == [2, 3, 0]


# One pixel x, two classes, logits (w x, 0): class 0 is predicted where w x > 0.
MODEL = pure_model(
    lambda key: {"w": jnp.ones(1)},
    lambda params, images: jnp.stack([params["w"] * images.reshape(-1), jnp.zeros(len(images))], -1),
)
TEST = Split(np.array([0.5, 0.4, -0.3, -0.2], np.float32).reshape(4, 1, 1, 1), np.array([0, 0, 1, 1]), np.arange(4))


def test_what_is_measured_of_a_longer_honest_step():
    before = MODEL.init(jax.random.key(0))

    def moved(change: float) -> Variables:
        return before._replace(params={"w": before.params["w"] + change})

    after = {"normal": moved(-0.25), "pushing_1": moved(-1.5), "blending": moved(0.5), "noise": moved(float("nan"))}
    found = {each.request: each for each in measured_steps(MODEL, before, after, TEST, 0, 2)}
    assert found["normal"][1:] == (0.25, 1.0, pytest.approx(1.0), 1.0, 1.0, 1.0, 1.0, 1.0, 1.0)
    push = found["pushing_1"]
    assert (push.length, push.times_honest, push.cosine) == (1.5, 6.0, pytest.approx(1.0))
    assert (push.class_a, push.overall) == (0.0, 0.0)  # w is -0.5: everything is turned round
    assert (push.class_a_of_longer_honest, push.overall_of_longer_honest) == (0.0, 0.0)  # it is the same step
    assert (push.class_a_shortened, push.overall_shortened) == (1.0, 1.0)
    other = found["blending"]
    assert (other.times_honest, other.cosine) == (2.0, pytest.approx(-1.0))
    assert (other.class_a, other.class_a_of_longer_honest) == (1.0, 1.0)  # w is 1.5, and 0.5
    broken = as_record(found["noise"])
    assert broken["class_a"] is broken["length"] is None


def test_an_honest_request_that_moves_nothing_is_an_error():
    before = MODEL.init(jax.random.key(0))
    with pytest.raises(ValueError, match="does not move the model"):
        measured_steps(MODEL, before, {"normal": before}, TEST, 0, 2)


def row(seed: int, request: str, **values: float | None) -> dict:
    shared = {
        "seed": seed,
        "model": "VGG-3 width 16",
        "method": "first_order",
        "reading": "corrected",
        "rate": 1e-4,
        "class_a_before": 0.9,
        "commit": "abc",
        "cpu": "a CPU",
        "command": "python x.py",
    }
    own = {"times_honest": 1.0, "cosine": 1.0, "class_a": 0.8, "class_a_of_longer_honest": 0.8}
    return {**shared, **own, "class_a_shortened": 0.8, "overall": 0.7, "request": request, **values}


ROWS = [
    each
    for seed, more in enumerate((0.0, 0.02, 0.04))
    for each in (
        row(seed, "normal"),
        row(seed, "pushing_1", times_honest=4, class_a=0.2 + more, class_a_of_longer_honest=0.21 + more),
        row(seed, "unfiltered", class_a=None if seed else 0.5),
    )
]


def test_the_page_says_the_finding_first():
    text = page.markdown(ROWS)
    first = text.split("##")[0]
    assert "Pushing-I costs class A 58.0 [53.0, 63.0] points beyond an honest request" in first
    assert "4.00 [4.00, 4.00] times as long" in first
    assert "Beyond an honest step of that length it costs 1.0 [1.0, 1.0] points" in first
    assert "made as short as the honest step, 0.0 [0.0, 0.0]." in first
    assert "Class A before: 90.0 [90.0, 90.0] %. 3 victims" in text
    assert "| honest, right or wrong" in text
    assert "50.0 " in next(line for line in text.splitlines() if "right or wrong" in line)  # of the one that has it


def test_the_page_says_what_it_was_made_with(tmp_path: Path):
    path = tmp_path / "controls.jsonl"
    append_records(path, ROWS)
    text = page.write(path).read_text()
    assert text == page.markdown(ROWS)
    assert "Victims: VGG-3 width 16, seeds 0, 1, 2." in text
    assert "Made at commit abc on a CPU by `python x.py`." in text
    why = {"seed": 3, "method": "first_order", "reading": "equation", LEFT_OUT: "no rate"}
    assert text.replace("\n##", "\n* Seed 3 is left out of first_order, equation: no rate\n\n##", 1) == page.markdown(
        [*ROWS, why]
    )
    for nothing in ([], [why]):
        path.write_text("")
        append_records(path, nothing)
        with pytest.raises(ValueError, match="has no record"):
            page.write(path)


def test_a_victim_is_measured_once_and_records_of_other_settings_are_not_mixed(config: MakeConfig, tmp_path: Path):
    path, settings = tmp_path / "controls.jsonl", config()
    cells = chosen_cells(["first_order", "scrub"], FIDELITIES[:2])[:2]
    assert [(each.method, each.reading) for each in cells] == [("first_order", each) for each in FIDELITIES[:2]]
    cells = chosen_cells(["first_order"], FIDELITIES)
    measure_victim(settings, 0, cells, 0.05, path, "x")
    everything = read_records(path)
    assert {each["reading"] for each in everything} == {*FIDELITIES}
    assert all("no rate up to" in each[LEFT_OUT] for each in everything if LEFT_OUT in each)
    records = [each for each in everything if LEFT_OUT not in each]
    assert records
    own = {each["request"]: each for each in records if each["reading"] == records[0]["reading"]}
    there = {*ATTACKS, "unfiltered", "lowest_margin", "half", "twice", OTHER_TASK}  # no "five_times": too few samples
    assert own.keys() == there
    assert own["normal"]["times_honest"] == 1
    assert own["normal"]["cosine"] == pytest.approx(1)
    assert own["normal"]["class_a_of_longer_honest"] == own["normal"]["class_a"]
    assert own["normal"]["class_a"] < own["normal"]["class_a_before"]
    measure_victim(settings, 0, cells, 0.05, path, "x")  # all is there
    assert read_records(path) == everything
    with pytest.raises(ValueError, match="holds records of other settings: give another --workdir"):
        measure_victim(settings, 0, cells, 0.06, path, "x")


@pytest.mark.parametrize(
    ("harms", "five_times", "verdict"),
    [
        ((0.55, 0.56, 0.57), 0.15, "confirmed"),
        ((0.55, 0.56, 0.57), 0.25, "undecided"),  # of an honest request that costs too much
        ((0.49, 0.56, 0.57), 0.15, "undecided"),  # the interval reaches below
        ((0.30, 0.31, 0.32), 0.15, "refuted"),
        ((0.55, 0.56), 0.15, "undecided"),  # of two victims
    ],
)
def test_a_question_asked_beforehand(harms: tuple[float, ...], five_times: float, verdict: str):
    rows = []
    for seed, harm in enumerate(harms):
        own = [
            row(seed, "normal"),
            row(seed, "pushing_1", class_a=0.8 - harm),
            row(seed, "five_times", class_a=0.9 - five_times),
        ]
        rows += [each | {"model": "VGG-3 width 128"} for each in own]
    [answer] = question.answers([*rows, *ROWS])
    assert (answer.verdict, answer.harm.count) == (verdict, len(harms))
    assert answer.five_times == pytest.approx(five_times)
    assert f"* **{verdict}** under corrected" in page.markdown(rows)
    assert question.answers(ROWS) == []  # of another network


def test_another_task_is_blended_in_as_bright_as_the_service_s_own_images():
    spec = DatasetSpec("photos", (32, 24, 3), Bounds(-1.0, 3.0), ("a", "b"))
    found = digits(spec, 400)  # more than there are
    assert found.shape == (400, 32, 24, 3)
    assert found.dtype == np.float32
    assert (found.min(), found.max()) == (-1.0, 3.0)
    assert (found == found[..., :1]).all()  # gray
    first = np.flatnonzero((found == found[0]).all((1, 2, 3)))
    assert len(first) == 4  # the same digit again, at its distance
    assert len(set(np.diff(first))) == 1

    honest = Request(np.full((4, 32, 24, 3), -1.0, np.float32), np.zeros(4, np.int32))
    asked: list[np.ndarray] = []

    def answers(images: np.ndarray) -> np.ndarray:
        asked.append(images)
        return np.eye(2)[[0, 1, 1, 0]]

    request = blended_with_digits(honest, spec, 0.25, answers)
    np.testing.assert_allclose(request.images, 0.75 * honest.images + 0.25 * found[:4], rtol=1e-6)
    assert asked[0] is request.images
    assert request.labels.tolist() == [0, 1, 1, 0]


def test_digits_have_no_other_task_and_other_data_has():
    honest = Request(np.zeros((2, 16, 16, 1), np.float32), np.zeros(2, np.int32))
    for name, has in (("digits", False), ("photos", True)):
        spec = DatasetSpec(name, (16, 16, 1), Bounds(-0.5, 0.5), ("a", "b"))
        found = with_other_task({HONEST: honest}, spec, 0.25, lambda images: np.eye(2)[[0, 1]])
        assert (OTHER_TASK in found) == has
        assert found[HONEST] is honest
