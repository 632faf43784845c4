"""Contributions are what they say, records are made once, and the page says what follows from them."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier

from experiments.controls import rates
from experiments.defences.contributors import page
from experiments.defences.contributors.contributions import (
    Camouflage,
    camouflaged,
    ordinary,
    pushed_in_place,
    rows_of,
    subset,
)
from experiments.defences.contributors.measure import Plan, measure_seed
from experiments.run.records import read_records
from overunlearn_jax.data import load
from overunlearn_jax.defences import exact_digests
from overunlearn_jax.types import Bounds, Split
from overunlearn_jax.unlearn.matching import match_samples, without
from tests.experiments.running import MakeConfig

BOUNDS = Bounds(-0.5, 0.5)


def split(count: int = 40) -> Split:
    draws = np.random.default_rng(0)
    images = draws.uniform(-0.5, 0.5, (count, 4, 4, 1)).astype(np.float32)
    return Split(images, np.arange(count, dtype=np.int32) % 4, draws.permutation(count) + 100)


def test_camouflage_hides_every_image_of_the_poison():
    train, how = split(), Camouflage(held=0.2, poison_copies=3, camouflage_copies=2)
    contribution, mine = camouflaged(train, 1, 2, how, BOUNDS, seed=0)
    whole, gone = contribution
    assert len(mine.labels) == 2  # a fifth of the ten images of class 1
    assert (mine.labels == 1).all()
    assert len(whole.labels) == 40 - 2 + 2 * 3 + 2 * 2
    assert np.unique(whole.ids).size == len(whole.ids)
    assert (gone.labels == 1).all()
    assert np.abs(gone.images - np.tile(mine.images, (2, 1, 1, 1))).max() < 6 * how.noise
    left = without(whole, match_samples(gone.images, whole).rows)  # as a service deletes them
    assert not np.isin(gone.ids, left.ids).any()
    poison = left.images[left.ids >= gone.ids.min() - 6]
    assert len(poison) == 6
    assert (left.labels[left.ids >= gone.ids.min() - 6] == 2).all()
    digests = set(exact_digests(whole.images, BOUNDS))
    assert digests.issuperset(exact_digests(gone.images, BOUNDS))
    assert digests.issuperset(exact_digests(mine.images, BOUNDS))  # the first poison is the image itself


@pytest.mark.parametrize(
    ("how", "message"),
    [
        (Camouflage(held=0.6), "held is 0.6; expected a fraction of class A above 0, at most 0.5"),
        (Camouflage(held=0.4, camouflage_copies=2), "8 samples of camouflage beside 6 honest ones"),
        (Camouflage(poison_copies=0), "one copy of each kind at least"),
        (Camouflage(noise=0.0), "noise above 0"),
        (Camouflage(noise=1e-6), "some camouflage is the poison, pixel for pixel"),
    ],
)
def test_contributions_that_are_not_possible(how: Camouflage, message: str):
    with pytest.raises(ValueError, match=message):
        camouflaged(split(), 1, 2, how, BOUNDS, seed=0)


def test_pushed_samples_stand_in_place_of_their_originals():
    train = split()
    ids, images = train.ids[[5, 1]], np.full((2, 4, 4, 1), 0.25, np.float32)
    whole, gone = pushed_in_place(train, ids, images)
    assert gone.ids.tolist() == ids.tolist()
    np.testing.assert_array_equal(whole.images[[5, 1]], images)
    np.testing.assert_array_equal(np.delete(whole.images, [5, 1], 0), np.delete(train.images, [5, 1], 0))
    for name in ("images", "labels"):  # deleted exactly, nobody can tell whether they were pushed
        np.testing.assert_array_equal(
            getattr(without(whole, rows_of(whole, ids)), name), getattr(without(train, rows_of(train, ids)), name)
        )
    with pytest.raises(ValueError, match="samples \\[7\\] are not among"):
        pushed_in_place(train, np.array([7]), images[:1])


def test_ordinary_samples_are_other_people_s():
    train = split()
    not_ids = train.ids[train.labels == 1][:4]
    found = ordinary(train, 1, not_ids, 3, seed=0)
    assert len(found.labels) == 3
    assert (found.labels == 1).all()
    assert not np.isin(found.ids, not_ids).any()
    assert len(ordinary(train, 1, not_ids, 100, seed=0).labels) == 6


def test_a_subset_is_drawn_by_seed():
    splits = load("digits", seed=0)
    small = subset(splits, 200, seed=1)
    assert len(small.train.labels) == 200
    assert len(small.validation.labels) == 50
    assert small.test is splits.test
    assert np.isin(small.train.ids, splits.train.ids).all()
    np.testing.assert_array_equal(small.train.ids, subset(splits, 200, seed=1).train.ids)
    assert (small.train.ids != subset(splits, 200, seed=2).train.ids).any()
    assert subset(splits, 0, seed=1) is splits
    with pytest.raises(ValueError, match="--train_samples=99999: expected 1"):
        subset(splits, 99_999, seed=0)


def test_neighbours_forget_class_a_once_the_camouflage_is_gone():
    """The attack itself, against another library's classifier: fine when deployed, and half of the class gone after."""
    splits = load("digits", seed=0)
    contribution, mine = camouflaged(splits.train, 3, 8, Camouflage(), splits.spec.bounds, seed=0)
    test = splits.test.images[splits.test.labels == 3]

    def class_a_right(train: Split, gone: Split | None = None) -> float:
        left = train if gone is None else without(train, rows_of(train, gone.ids))
        fitted = KNeighborsClassifier(7).fit(left.images.reshape(len(left.labels), -1), left.labels)
        return float(np.mean(fitted.predict(test.reshape(len(test), -1)) == 3))

    honest = class_a_right(splits.train, mine)
    assert honest > 0.85
    assert class_a_right(contribution.train) > 0.9
    assert class_a_right(contribution.train, contribution.deleted) < 0.5


def test_both_attackers_are_measured_once(config: MakeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(rates, "GRID", np.array([1e-3, 1e2, 1e4, 1e6]))  # so that some rate costs enough
    monkeypatch.setattr(rates, "HALVINGS", 2)
    path, settings = tmp_path / "contributors.jsonl", config()
    plan = Plan(train_samples=0, honest_cost=0.05)
    measure_seed(settings, 0, plan, path, "x")
    rows = read_records(path)
    cases = {(row["attack"], row["trained_on"], row["method"], row["deleted"]): row for row in rows}
    assert len(cases) == len(rows)
    pushed = [row for row in rows if row["attack"] == "pushed" and row["deleted"] == "crafted"]
    assert {row["method"] for row in pushed} == {"first_order", "retrain"}
    for row in pushed:
        trained_on_them = row["trained_on"] == "contributed"
        assert row["accepted_by_digests"] == (row["samples"] if trained_on_them else 0)
    camouflage = {case[1:]: row for case, row in cases.items() if case[0] == "camouflaged"}
    assert camouflage.keys() == {
        ("clean", "none", "nothing"),
        ("clean", "retrain", "ordinary"),
        ("contributed", "none", "nothing"),
        ("contributed", "retrain", "crafted"),
        ("contributed", "retrain", "ordinary"),
    }
    gone = camouflage["contributed", "retrain", "crafted"]
    assert gone["accepted_by_digests"] == gone["samples"] == camouflage["clean", "retrain", "ordinary"]["samples"]
    measure_seed(settings, 0, plan, path, "x")  # all is there
    assert read_records(path) == rows
    assert "Undecided." in page.write(path).read_text()  # of one seed
    with pytest.raises(ValueError, match="holds records of other settings"):
        measure_seed(settings, 0, plan._replace(honest_cost=0.06), path, "x")


def record(seed: int, attack: str, trained_on: str, method: str, deleted: str, class_a: float, **more: object) -> dict:
    own = {"held": 0.5, "poison_copies": 1, "camouflage_copies": 1, "noise": 0.01}
    shared = {"model": "VGG-3 width 16", "train_samples": 100, "commit": "abc", "cpu": "a CPU", "command": "x"}
    return {
        **shared,
        **(own if attack == "camouflaged" else dict.fromkeys(own)),
        "seed": seed,
        "attack": attack,
        "trained_on": trained_on,
        "method": method,
        "deleted": deleted,
        "samples": 0 if deleted == "nothing" else 50,
        "accepted_by_digests": 0 if deleted == "nothing" else 50,
        "class_a": class_a,
        "class_b": 0.7,
        "overall": 0.75,
        **more,
    }


def rows_of_camouflage(left: float) -> list[dict]:
    return [
        record(seed, "camouflaged", *case, class_a + seed / 100)
        for seed in range(3)
        for case, class_a in (
            (("clean", "none", "nothing"), 0.8),
            (("clean", "retrain", "ordinary"), 0.7),
            (("contributed", "none", "nothing"), 0.78),
            (("contributed", "retrain", "crafted"), left + seed / 100),
        )
    ]


@pytest.mark.parametrize(("left", "verdict"), [(0.3, "Yes."), (0.69, "No."), (0.65, "Undecided.")])
def test_the_page_answers_the_question(left: float, verdict: str):
    text = page.markdown(rows_of_camouflage(left))
    assert f"through poisoning? {verdict}**" in text
    if verdict == "Yes.":
        assert "Beyond that honest deletion the attacker's costs class A 39.0 [36.5, 41.5] points, 3 seeds." in text
        assert "whoever deletes" not in text  # not measured here
        others = [record(seed, "camouflaged", "contributed", "retrain", "ordinary", 0.3) for seed in range(3)]
        assert "samples of class A leaves 30.0 [30.0, 30.0] %: the poison" in page.markdown(
            [*rows_of_camouflage(left), *others]
        )
        assert "Deployed, class A has 79.0 [76.5, 81.5] % of its test images right" in text


def test_the_page_says_what_pushed_samples_do():
    rows = []
    for trained, method, gap in (("clean", "first_order", 0.5), ("contributed", "first_order", 0.25),
                                 ("contributed", "retrain", -0.01)):  # fmt: skip
        for seed in range(2):
            rows += [
                record(seed, "pushed", trained, method, "ordinary", 0.7),
                record(seed, "pushed", trained, method, "crafted", 0.7 - gap,
                       accepted_by_digests=0 if trained == "clean" else 50),
            ]  # fmt: skip
    text = page.pushed_answer(rows)
    assert "100 of 100 of them have an exact digest in the store; 0 of 100 where they were not" in text
    assert "costs class A 25.0 [25.0, 25.0] points beyond" in text
    assert "Retraining without them costs -1.0 [-1.0, -1.0] points" in text
    assert "| the attacker's among them | retrain" in page.table(rows)
