"""From samples to requests: who is in them, with which labels, and at what price in queries."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from experiments import pipeline
from experiments.config import DEFAULTS
from experiments.requests import searches
from overunlearn_jax import data
from overunlearn_jax.attack_names import ATTACKS
from overunlearn_jax.attacks import Status
from overunlearn_jax.auditing.choosing import choose_and_push
from overunlearn_jax.auditing.request_settings import Classes
from overunlearn_jax.batching import predict_in_batches
from overunlearn_jax.black_box import BlackBox, QueryBudgetExceededError
from overunlearn_jax.stealth.pixels import from_8_bits, to_8_bits
from tests.experiments.running import CalledError, MakeConfig, by_attack, ready, refuse, rows_of


def test_requests_are_over_the_same_samples(config: MakeConfig):
    splits, victim, _, crafted, crafter, count = ready(config())
    assert crafted.pushed is not None
    assert (victim.service.predict(crafted.samples.images).argmax(-1) == 0).all()
    rows_by_id = {int(number): row for row, number in enumerate(splits.train.ids)}
    requests = {attack: crafter.craft(attack, count) for attack in ATTACKS}
    for attack, request in requests.items():
        np.testing.assert_array_equal(request.original_ids, requests["normal"].original_ids)
        trained_on = splits.train.images[[rows_by_id[int(number)] for number in request.original_ids]]
        np.testing.assert_array_equal(request.original_images, trained_on)
        assert (request.original_labels == 0).all()
        assert np.abs(request.images).max() <= 0.5
        assert len(set(request.original_ids.tolist())) == len(request.labels) == len(request.images)
        assert np.array_equal(request.images, trained_on) == (attack == "normal")
    assert (victim.service.predict(requests["pushing_1"].images).argmax(-1) == 0).all()
    assert (victim.service.predict(requests["pushing_2"].images).argmax(-1) != 0).all()
    moved = {
        attack: np.linalg.norm((r.images - r.original_images).reshape(count, -1), axis=1)
        for attack, r in requests.items()
    }
    np.testing.assert_allclose(moved["noise"], moved["pushing_2"], rtol=1e-3)

    smaller = crafter.craft("pushing_1", count // 2)  # a part of the larger request, sample by sample
    np.testing.assert_array_equal(smaller.images, requests["pushing_1"].images[: len(smaller.labels)])


FEW_STEPS = 12  # some samples cross within them, some do not


def test_failed_samples_are_in_no_request(config: MakeConfig):
    settings = config(max_steps=FEW_STEPS)
    _, victim, _, crafted, crafter, count = ready(settings)
    assert crafted.pushed is not None
    crossed = crafted.pushed.crossed
    assert 0 < crossed.sum() < count
    for attack in ATTACKS:
        np.testing.assert_array_equal(crafter.craft(attack, count).original_ids, crafted.samples.ids[crossed])
    repeated = crafter.craft("repeated", count)
    assert len(repeated.labels) == crossed.sum()
    [own] = set(repeated.original_ids.tolist())
    assert own in crafted.samples.ids[crossed]
    answers = victim.service.predict(crafted.samples.images[crossed])[:, 0]
    assert own == crafted.samples.ids[crossed][answers.argmin()]
    with pytest.raises(ValueError, match=r"none of \d+ samples crossed .* raise --max_steps"):
        ready(config(max_steps=1)).crafter.craft("normal", 1)


@pytest.mark.usefixtures("no_figures")
@pytest.mark.parametrize("request_labels", ["paper", "predicted"])
def test_queries_are_those_that_were_asked(config: MakeConfig, monkeypatch: pytest.MonkeyPatch, request_labels: str):
    asked = []

    class Counting(BlackBox):
        def charge(self, count: int) -> None:
            asked.append(count)
            super().charge(count)

    monkeypatch.setattr(pipeline, "BlackBox", Counting)
    settings = config(max_steps=FEW_STEPS, request_labels=request_labels)
    pipeline.run(settings)
    rows = by_attack(settings)
    first = rows["normal"]
    assert first["failed"] > 0
    assert [rows[attack]["queries"] for attack in ("normal", "noise", "blending")] == [0, 0, first["submitted"]]
    labelled = 0 if request_labels == "paper" else first["submitted"]
    assert rows["pushing_1"]["queries"] == rows["pushing_2"]["queries"]
    candidates = first["requested"] + first["skipped"]
    assert sum(asked) == candidates + first["submitted"] + rows["pushing_1"]["queries"] + labelled
    # every step is the image and two neighbours for each coordinate, of failed samples, too
    assert (rows["pushing_1"]["queries"] - labelled) % (1 + 2 * settings.attack.coordinates) == 0
    assert rows["pushing_1"]["queries"] - labelled > FEW_STEPS * first["failed"] * (1 + 2 * settings.attack.coordinates)


@pytest.mark.parametrize("choice", ["paper", "original", "predicted", "target"])
def test_request_labels(config: MakeConfig, choice: str):
    _, victim, _, _, crafter, count = ready(config(request_labels=choice, target="cat"))
    for attack in ATTACKS:
        request = crafter.craft(attack, count)
        predicted = victim.service.predict(request.images).argmax(-1)
        own = attack in ("normal", "noise") or choice == "original" or (choice == "paper" and attack != "blending")
        expected = request.original_labels if own else 2 if choice == "target" else predicted
        np.testing.assert_array_equal(request.labels, np.broadcast_to(expected, request.labels.shape))


@pytest.mark.usefixtures("no_figures")
def test_targeted_run(config: MakeConfig):
    settings = config(target="cat")
    pipeline.run(settings)
    assert all(row["goal"] == "cat" for row in rows_of(settings))
    _, victim, _, _, crafter, count = ready(settings)
    assert (victim.service.predict(crafter.craft("pushing_1", count).images).argmax(-1) == 0).all()
    assert (victim.service.predict(crafter.craft("pushing_2", count).images).argmax(-1) == 2).all()


def test_pushes_along_low_frequencies(config: MakeConfig, monkeypatch: pytest.MonkeyPatch):
    of_zoo = {name: DEFAULTS[name] for name in ("coordinates", "step_size", "max_steps")}
    settings = config(search="subspace", subspace_directions=12, subspace_rounds=4, target="cat", **of_zoo)
    prepared = ready(settings)
    pushed = prepared.crafted.pushed
    assert pushed is not None
    assert pushed.crossed.any()
    predicted = predict_in_batches(prepared.victim.service.predict, pushed.outside[pushed.crossed]).argmax(-1)
    assert (predicted == 2).all()
    assert pushed.queries.max() <= 300
    pipeline.run(settings)
    assert by_attack(settings)["pushing_1"]["queries"] == pushed.queries.sum()
    # found again, not searched again
    monkeypatch.setattr(searches, "push_in_subspace", refuse)
    np.testing.assert_array_equal(ready(settings).crafted.pushed.inside, pushed.inside)
    # settings that allow no round are refused before a victim is trained
    too_few = config(search="subspace", subspace_directions=12, subspace_queries=20, **of_zoo)
    with pytest.raises(ValueError, match="max_queries is 20: one round takes 25"):
        searches.check_search(too_few.attack, prepared.victim.service.spec)


def test_pushes_from_labels_alone(config: MakeConfig, monkeypatch: pytest.MonkeyPatch):
    of_zoo = {name: DEFAULTS[name] for name in ("coordinates", "step_size", "max_steps")}
    settings = config(search="labels", label_iterations=3, label_directions=10, **of_zoo)
    prepared = ready(settings)
    pushed = prepared.crafted.pushed
    assert pushed is not None
    assert pushed.crossed.any()
    predicted = predict_in_batches(prepared.victim.service.predict, pushed.outside[pushed.crossed]).argmax(-1)
    assert (predicted != 0).all()
    pipeline.run(settings)
    row = by_attack(settings)["pushing_1"]
    labelled = len(prepared.crafted.samples.labels)
    assert row["queries"] == pushed.queries.sum()
    assert row["queries"] > labelled * 3 * 10
    # found again, not searched again
    monkeypatch.setattr(searches, "push_by_labels", refuse)
    again = ready(settings).crafted.pushed
    np.testing.assert_array_equal(again.inside, pushed.inside)
    # and not taken for those of the other search
    assert ready(config()).crafted.pushed.queries.max() != pushed.queries.max()


def test_fewer_queries_push_the_same_samples(config: MakeConfig):
    plain = ready(config()).crafted.pushed
    fewer = ready(config(one_sided=True, difference=1e-2)).crafted.pushed
    assert fewer.crossed.all()
    assert plain.crossed.all()
    assert fewer.queries.sum() < 0.7 * plain.queries.sum()


@pytest.mark.usefixtures("no_figures")
def test_requests_on_disk_are_those_that_were_unlearned(config: MakeConfig):
    settings = config(save_requests=True, attacks=("normal", "pushing_1"))
    pipeline.run(settings)
    prepared = ready(settings)
    for attack in settings.attack.attacks:
        request = prepared.crafter.craft(attack, prepared.count)
        place = Path(settings.run.workdir) / "requests" / f"seed_0_fraction_0.5_{attack}"
        with np.load(place.parent / f"{place.name}.npz") as stored:
            np.testing.assert_array_equal(stored["images"], request.images)
            np.testing.assert_array_equal(stored["labels"], request.labels)
            np.testing.assert_array_equal(stored["ids"], request.original_ids)
        for image, identity in zip(request.images, request.original_ids, strict=True):
            pixels = np.asarray(Image.open(place / "ant" / f"{identity}.png"))[..., None]
            assert np.abs(pixels / 255 - 0.5 - image).max() <= 0.5 / 255 + 1e-6
        on_disk = from_8_bits(to_8_bits(request.images, prepared.splits.spec.bounds), prepared.splits.spec.bounds)
        predicted = [
            predict_in_batches(prepared.victim.service.predict, images).argmax(-1)
            for images in (request.images, on_disk)
        ]
        assert by_attack(settings)[attack]["same_side_in_8_bits"] == np.mean(predicted[0] == predicted[1])


def test_wrongly_predicted_samples_are_skipped(config: MakeConfig):
    settings = config(attacks=("normal",))
    splits = data.load(settings.data.dataset, seed=0)
    order = data.candidates(splits.train, 0, 0)
    wrong = {splits.train.images[position].tobytes() for position in order[[0, 2, 3]]}

    def predict(images: np.ndarray) -> np.ndarray:
        return np.eye(3)[[1 if image.tobytes() in wrong else 0 for image in images]]

    black_box = BlackBox(splits.spec, predict)
    crafted = choose_and_push(pipeline.request_settings(settings.attack), black_box, splits, Classes(0, 1), 0, refuse)
    count = len(crafted.samples.labels)
    kept = [position for position in order[: count + 3] if position not in order[[0, 2, 3]]]
    np.testing.assert_array_equal(crafted.samples.ids, splits.train.ids[kept])
    assert crafted.skipped.tolist() == [1] + [3] * (count - 1)
    assert black_box.queries == count + 3


def test_more_samples_than_the_victim_predicts_rightly(config: MakeConfig):
    settings = config(fractions=(0.1, 1.0))
    splits = data.load(settings.data.dataset, seed=0)
    black_box = BlackBox(splits.spec, lambda images: np.eye(3)[np.arange(len(images)) % 2])
    with pytest.raises(
        ValueError,
        match=r"a request of \d+ samples \(100 % of class ant\) is more than .* less of .*--fractions; fraction in",
    ):
        choose_and_push(pipeline.request_settings(settings.attack), black_box, splits, Classes(0, 1), 0, refuse)


def test_fewer_than_by_chance_asks_after_the_order_of_classes_and_the_pixels(config: MakeConfig):
    """A service whose class columns are reversed."""
    settings = config(fractions=(0.1,))
    splits = data.load(settings.data.dataset, seed=0)
    black_box = BlackBox(splits.spec, lambda images: np.eye(3)[np.full(len(images), 2)])
    with pytest.raises(ValueError, match="is more than the 0 of ") as told:
        choose_and_push(pipeline.request_settings(settings.attack), black_box, splits, Classes(0, 1), 0, refuse)
    asked = (splits.train.labels == 0).sum()
    assert f"Of class ant it answers {splits.spec.class_names[2]} most often, {asked} times." in str(told.value)
    assert "order its classes as the data set does (ant, bee, " in str(told.value)
    assert "PixelFormat" in str(told.value)
    assert "--" not in str(told.value)


@pytest.mark.usefixtures("no_figures")
def test_query_budget(config: MakeConfig):
    count = len(ready(config(attacks=("normal",))).crafted.samples.labels)
    with pytest.raises(QueryBudgetExceededError, match="3 of the budget of 3 left"):
        pipeline.run(config(query_budget=3))
    with pytest.raises(ValueError, match=r"none of .* samples crossed .*--query_budget"):
        pipeline.run(config(query_budget=count + 16))

    settings = config(query_budget=count + 40 * 17, attacks=("normal", "pushing_1"))
    _, _, black_box, crafted, _, _ = ready(settings)
    assert crafted.pushed is not None
    assert black_box.queries <= settings.attack.query_budget
    assert 0 < crafted.pushed.crossed.sum() < count
    assert (crafted.pushed.status[~crafted.pushed.crossed] == Status.RUNNING).all()
    pipeline.run(settings)
    for row in rows_of(settings):
        assert row["failed"] == (~crafted.pushed.crossed).sum()
        assert row["submitted"] == crafted.pushed.crossed.sum()


def test_only_honest_requests_need_no_pushes(config: MakeConfig, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(pipeline, "push_or_find", refuse)
    settings = config(attacks=("normal",))
    assert pipeline.run(settings).exists()
    [row] = rows_of(settings)
    assert (row["queries"], row["failed"], row["l2_max"]) == (0, 0, 0.0)
    with pytest.raises(CalledError):
        pipeline.run(config(attacks=("normal", "noise"), force=True))
