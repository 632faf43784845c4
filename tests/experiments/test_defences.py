"""The suite of defences by hand: people, attackers, what is remembered, sums over victims, and a whole tiny victim."""

from contextlib import contextmanager
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.controls import rates
from experiments.defences import attackers, false_alarms, gates, page, scene
from experiments.defences.attackers import Attack, against_a_monitor, in_parts, repeated, retreating
from experiments.defences.false_alarms import BESIDE, alarm_record, alarms, in_company
from experiments.defences.gates import GateAt
from experiments.defences.method_bounds import CAP, CLIP, share_changed
from experiments.defences.people import AS_TRAINED, WRONG, People, honest_people
from experiments.defences.remembered import RememberedService, remembered
from experiments.defences.rows import gate_records
from experiments.defences.slowly import ask_slowly
from experiments.defences.summary import harms
from experiments.defences.victim import PART, measure_victim
from experiments.run.records import append_records, read_records
from overunlearn_jax.attack_names import HONEST
from overunlearn_jax.defences.defended import defended
from overunlearn_jax.defences.gate import Decision, View
from overunlearn_jax.defences.honest_steps import StepBound
from overunlearn_jax.defences.monitor import Monitor
from overunlearn_jax.models import predict_fn, pure_model
from overunlearn_jax.services.service import After, Deletion
from overunlearn_jax.types import Bounds, DatasetSpec, Request, Split, Variables
from tests.experiments.running import MakeConfig

SPEC = DatasetSpec("pixels", (4, 4, 1), Bounds(-0.5, 0.5), ("a", "b"))
DRAWS = np.random.default_rng(0)
TRAIN = Split(
    DRAWS.uniform(-0.5, 0.5, (60, 4, 4, 1)).astype(np.float32), np.arange(60, dtype=np.int32) % 2, np.arange(60) + 100
)


def test_nobody_is_calibrated_on_and_judged_by_and_the_attacker_is_neither():
    attackers_ids = TRAIN.ids[:10]
    wrong = np.arange(60) % 6 == 0
    people = honest_people(TRAIN, SPEC, 0, attackers_ids, wrong, seed=3)
    judged = people.judged[AS_TRAINED]
    assert (judged.labels == 0).all()
    assert len(judged.labels) == 12  # half of the 25 that are class a and not the attacker's
    ids = {image.tobytes(): number for number, image in zip(TRAIN.ids, TRAIN.images, strict=True)}
    of_judged = {ids[np.asarray(image).tobytes()] for image in judged.images}
    assert not of_judged & set(attackers_ids)
    assert not of_judged & set(people.calibration.ids)
    assert not set(people.calibration.ids) & set(attackers_ids)
    misses = {ids[np.asarray(image).tobytes()] for image in people.judged[WRONG].images}
    assert misses == set(TRAIN.ids[wrong & (TRAIN.labels == 0)]) - set(attackers_ids) - set(people.calibration.ids)
    assert misses
    assert len(people.judged) == 9
    with pytest.raises(ValueError, match="nobody to compare with"):
        honest_people(TRAIN, SPEC, 0, TRAIN.ids, wrong, seed=3)


def test_an_area_under_the_curve_is_against_honest_samples_as_they_arrive():
    def brightness(request, view):
        scores = np.asarray(request.images).mean((1, 2, 3))
        return Decision("bright", scores <= 0.5, scores, 0.5, "")

    def grey(*levels):
        return Request(np.float32(levels).reshape(-1, 1, 1, 1), np.zeros(len(levels), np.int32))

    people = People(TRAIN, {AS_TRAINED: grey(0.1, 0.2), "png": grey(0.1, 0.4), WRONG: grey(0.9, 0.9)})
    push = Attack("pushing_1", [grey(0.3, 0.8)], adaptive=False)
    gate, view = GateAt("bright", None, brightness), View(SPEC, lambda images: images)
    *honest, pushed = gate_records(gate, view, people, [push], 0.0)
    assert [(row["name"], row["accepted"]) for row in honest] == [(AS_TRAINED, 2), ("png", 2), (WRONG, 0)]
    assert pushed["auc"] == pytest.approx(7 / 8)  # of eight pairs the attacker's is the brighter one in seven


REQUESTS = {
    HONEST: Request(np.zeros((8, 1, 1, 1), np.float32), np.zeros(8, np.int32)),
    "pushing_1": Request(np.full((8, 1, 1, 1), 0.4, np.float32), np.zeros(8, np.int32)),
    "pushing_2": Request(np.full((8, 1, 1, 1), 0.5, np.float32), np.zeros(8, np.int32)),
    attackers.CHOSEN: Request(np.full((8, 1, 1, 1), 0.1, np.float32), np.zeros(8, np.int32)),
}


def test_attackers_who_know():
    one, two = retreating(lambda images: images.reshape(-1) <= 0.25, REQUESTS)
    assert one.adaptive
    np.testing.assert_allclose(one.requests[0].images, 0.25, atol=0.4 / 2**attackers.RETREAT_STEPS)
    np.testing.assert_allclose(two.requests[0].images, 0.25, atol=0.5 / 2**attackers.RETREAT_STEPS)
    chosen, *mixed = against_a_monitor(REQUESTS)
    assert chosen.requests == [REQUESTS[attackers.CHOSEN]]
    assert [int((np.asarray(each.requests[0].images) > 0).sum()) for each in mixed] == [1, 2, 4]
    parts = in_parts(Attack("pushing_1", [REQUESTS["pushing_1"]], adaptive=False), 3)
    assert [len(each.labels) for each in parts.requests] == [3, 3, 2]
    assert parts.name == "pushing_1 in 3 requests"


def test_the_sample_that_is_repeated_is_the_one_with_the_least_of_its_label():
    images = np.array([0.1, 0.3, 0.2], np.float32).reshape(3, 1, 1, 1)
    requests = {name: Request(images, np.zeros(3, np.int32)) for name in (attackers.CHOSEN, "pushing_1")}

    def answers(asked: np.ndarray) -> np.ndarray:
        return np.stack([1 - asked.reshape(-1), asked.reshape(-1)], -1)

    *again, single = repeated(requests, answers)
    assert single.adaptive
    [once] = single.requests
    assert (once.images.item(), once.labels.tolist()) == (np.float32(0.3), [0])
    for attack in again:
        assert not attack.adaptive
        [request] = attack.requests
        np.testing.assert_array_equal(request.images, np.full((3, 1, 1, 1), 0.3, np.float32))
        assert request.labels.tolist() == [0, 0, 0]


# One pixel x, two classes, logits (w x, 0); forgetting n samples takes n hundredths from w.
MODEL = pure_model(
    lambda key: {"w": jnp.ones(1)},
    lambda params, images: jnp.stack([params["w"] * images.reshape(-1), jnp.zeros(len(images))], -1),
)
TEST = Split(np.array([0.5, 0.4, -0.3, -0.2], np.float32).reshape(4, 1, 1, 1), np.array([0, 0, 1, 1]), np.arange(4))


class Shrinking:
    """A service with weights that counts its deletions; bright samples take ten times as much."""

    spec = DatasetSpec("one pixel", (1, 1, 1), Bounds(-0.5, 0.5), ("a", "b"))

    def __init__(self, variables: Variables):
        self.model, self.variables, self.calls = MODEL, variables, 0

    @property
    def predict(self):
        return predict_fn(MODEL, self.variables)

    @contextmanager
    def after(self, requests, key):
        self.calls += 1
        taken = sum(0.01 * (1 + 9 * (np.asarray(each.images) > 0.3)).sum() for each in requests)
        left = Variables({"w": self.variables.params["w"] - taken})
        yield After(Deletion(0.0), predict_fn(MODEL, left), left)


def test_the_same_question_is_asked_once():
    behind = Shrinking(MODEL.init(jax.random.key(0)))
    service = RememberedService(behind)
    for key in (jax.random.key(1), jax.random.key(1), jax.random.key(2)):
        with service.after([REQUESTS[HONEST]], key) as left:
            assert float(left.variables.params["w"][0]) == pytest.approx(0.92)
    assert behind.calls == 2  # another key is another question
    with service.after([REQUESTS["pushing_1"]], jax.random.key(1)) as left:
        assert float(left.variables.params["w"][0]) == pytest.approx(0.2)
    asked = []

    def gate(request, view):
        asked.append(len(request.labels))
        return Decision("all", np.ones(len(request.labels), bool), np.zeros(len(request.labels)), 1.0, "")

    once = remembered(gate)
    view = View(Shrinking.spec, service.predict)
    for request in (REQUESTS[HONEST], REQUESTS["pushing_1"], REQUESTS[HONEST]):
        once(request, view)
    assert asked == [8, 8]


def test_slow_requests_meet_the_bound_one_by_one():
    before = MODEL.init(jax.random.key(0))
    held = Split(np.zeros((20, 1, 1, 1), np.float32), np.zeros(20, np.int32), np.arange(20))
    bound = StepBound(held, jax.random.key(3), requests=9, quantile=0.9)
    parts = in_parts(Attack("pushing_1", [REQUESTS["pushing_1"]], adaptive=False), 4).requests

    def left(**defences):
        return ask_slowly(Shrinking, MODEL, before, parts, jax.random.key(4), **defences)

    assert float(left().variables.params["w"][0]) == pytest.approx(0.2)
    bounded = left(bound=bound)
    assert float(bounded.variables.params["w"][0]) == pytest.approx(0.92)  # as long as four honest ones
    assert bounded.released.all()


def test_an_honest_request_is_refused_for_its_company():
    before = MODEL.init(jax.random.key(0))
    service = Shrinking(before)
    held = Split(np.zeros((40, 1, 1, 1), np.float32), np.zeros(40, np.int32), np.arange(40))
    monitor = Monitor(held, TEST, jax.random.key(3), requests=9)
    defences = {
        "none": defended(service),
        "monitor": defended(service, monitor=monitor),
        "by request": defended(service, monitor=monitor._replace(in_parts=True, smallest=1000)),
    }
    honest = Request(np.zeros((12, 1, 1, 1), np.float32), np.zeros(12, np.int32))  # 0.12 of a weight of 1
    pushed = Request(np.full((12, 1, 1, 1), 0.4, np.float32), np.zeros(12, np.int32))  # 1.2: every answer turns
    requests = {"pushing_1": pushed, HONEST: honest}
    rows = [
        {"defence": name, "refuse": None} | alarm_record(pair, defence, jax.random.key(4), TEST, 0)
        for pair in (in_company(honest, other, name) for name, other in requests.items())
        for name, defence in defences.items()
    ]
    through = {(row["defence"], row["request"].split(BESIDE)[1]): row["through"] for row in rows}
    assert through == {
        ("none", "pushing_1"): 12, ("monitor", "pushing_1"): 0, ("by request", "pushing_1"): 12,
        ("none", HONEST): 12, ("monitor", HONEST): 12, ("by request", HONEST): 12,
    }  # fmt: skip
    left = {row["defence"]: row["class_a"] for row in rows if row["request"].endswith("pushing_1")}
    assert left == {"none": 0.0, "monitor": 1.0, "by request": 1.0}
    [none, together, apart] = [each for each in alarms(rows) if each.attack == "pushing_1"]
    assert (none.forgotten.mean, together.forgotten.mean, apart.forgotten.mean) == (1, 0, 1)
    assert "| monitor    | Pushing-I      | 0 " in false_alarms.section(alarms(rows))
    with_defaults = [row | {"method": "first_order", "seed": 0} for row in rows]
    assert harms(with_defaults, "first_order") == []  # they are no line of a method's table


def test_the_share_of_weights_that_changed():
    before, after = {"a": np.zeros(3), "b": np.ones(5)}, {"a": np.array([0.0, 1.0, 0.0]), "b": np.ones(5)}
    assert share_changed(before, after) == 1 / 8
    assert share_changed(before, before) == 0


def untimed(record: dict) -> dict:
    return {name: value for name, value in record.items() if not name.startswith("seconds_")}


def test_a_tiny_victim_from_flags_to_page(config: MakeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(gates, "GATES", {"exact": "exact", "confidence": "confidence(threshold=inf)"})
    monkeypatch.setattr(scene, "GATES", gates.GATES)
    settings = config(fractions=(0.25,))
    measure_victim(settings, 0, ["gradient_ascent"], 0.05, tmp_path, "x")
    at_gates, harm = (read_records(tmp_path / name) for name in ("gates.jsonl", "harm.jsonl"))
    assert {row["gate"] for row in at_gates} == {"exact", "confidence"}
    exact = {row["name"]: row["accepted"] / row["samples"] for row in at_gates if row["gate"] == "exact"}
    assert (exact[AS_TRAINED], exact["pushing_1"], exact["jpeg75"]) == (1, 0, 0)
    assert {"none", "exact", "identify", "bound", "monitor"} <= {row["defence"] for row in harm}
    through = {row["request"]: row["through"] for row in harm if row["defence"] == "exact"}
    assert through[HONEST] > 0
    assert through["pushing_1"] == 0
    gone = next(row for row in harm if (row["defence"], row["request"]) == ("exact", "pushing_1"))
    assert gone["class_a"] == gone["class_a_before"]  # nothing is left of the request
    measure_victim(settings, 0, ["gradient_ascent"], 0.05, tmp_path, "x")  # all is there
    assert read_records(tmp_path / "harm.jsonl") == harm
    part, half = tmp_path / PART.format(0, "gradient_ascent"), harm[: len(harm) // 2]
    (tmp_path / "harm.jsonl").unlink()
    append_records(part, half)  # killed in the middle
    measure_victim(settings, 0, ["gradient_ascent"], 0.05, tmp_path, "x")
    again = read_records(tmp_path / "harm.jsonl")
    assert again[: len(half)] == half
    assert [untimed(row) for row in again] == [untimed(row) for row in harm]
    assert not part.exists()
    append_records(part, half)  # killed before the last step
    measure_victim(settings, 0, ["gradient_ascent"], 0.05, tmp_path, "x")
    assert read_records(tmp_path / "harm.jsonl") == again
    assert not part.exists()
    (tmp_path / "harm.jsonl").unlink()
    append_records(tmp_path / "harm.jsonl", harm[3:])  # of a version that asked three questions less
    append_records(part, harm[:2])  # and was killed when it had asked two of them
    measure_victim(settings, 0, ["gradient_ascent"], 0.05, tmp_path, "x")
    assert read_records(tmp_path / "harm.jsonl") == [*harm[3:], *harm[:2]]
    measure_victim(settings, 0, ["gradient_ascent"], 0.05, tmp_path, "x", newer=True)
    filled = read_records(tmp_path / "harm.jsonl")
    assert filled[:-1] == [*harm[3:], *harm[:2]]
    assert untimed(filled[-1]) == untimed(harm[2])
    (tmp_path / "harm.jsonl").unlink()
    append_records(part, [row | {"victim": "another"} for row in half])
    with pytest.raises(ValueError, match=r"records of seed 0, gradient_ascent have victim another, and it is .* now"):
        measure_victim(settings, 0, ["gradient_ascent"], 0.05, tmp_path, "x")
    part.unlink()
    monkeypatch.setattr(rates, "GRID", np.array([1e-3, 1e2, 1e4, 1e6]))  # so that some rate costs enough
    monkeypatch.setattr(rates, "HALVINGS", 2)
    measure_victim(settings, 0, ["first_order", "selective_dampening"], 0.05, tmp_path, "x")
    found = {(row["method"], row["defence"]) for row in read_records(tmp_path / "harm.jsonl")}
    assert {("first_order", CLIP), ("selective_dampening", CAP), ("first_order", "monitor, by request")} <= found
    assert "## Harm by false alarm" in page.write(tmp_path).read_text()
    with pytest.raises(ValueError, match="holds records of other settings"):
        measure_victim(settings, 0, ["gradient_ascent"], 0.06, tmp_path, "x")
