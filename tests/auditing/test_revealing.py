"""What a service reveals, of services that round, leave out, add noise or answer labels; and the search that fits."""

import jax
import numpy as np
import pytest

import overunlearn_jax as ou
from overunlearn_jax.attacks import LabelOnlySettings, Status, SubspaceSettings, ZooSettings, push, push_in_subspace
from overunlearn_jax.auditing.recommending import fewest_queries, recommend
from overunlearn_jax.auditing.revealing import BATCHES, CHANGES, Revealed
from overunlearn_jax.black_box import BlackBox
from overunlearn_jax.services.callables import CallableService
from overunlearn_jax.services.http.answers import spread_top_k
from tests.attacks.test_blind import IMAGES, LABELS, SPEC, _answers, _eight_bit, _splits

ALL = (1.0,) * len(CHANGES)


def _top(count):
    def predict(images):
        answers = _answers(images)
        best = np.argsort(-answers, -1)[:, :count]
        return spread_top_k(
            [[(int(at), float(row[at])) for at in each] for row, each in zip(answers, best, strict=True)], "abc"
        )

    return predict


def _labels(images):
    return np.eye(3)[_answers(images).argmax(-1)]


DRAWS = np.random.default_rng(0)


def _noisy(images):
    answers = np.clip(_answers(images) + DRAWS.normal(0, 1e-3, (len(images), 3)), 0, None)
    return answers / answers.sum(-1, keepdims=True)


@pytest.mark.parametrize(
    ("predict", "levels", "decimals", "answered", "labels_only"),
    [
        (_answers, 0, None, 3, False),
        (_eight_bit, 255, None, 3, False),
        (lambda images: _answers(images, decimals=4), 0, 4, 3, False),
        (lambda images: _eight_bit(images).round(4), 255, 4, 3, False),
        (_top(1), 0, None, 1, False),
        (_labels, None, 0, 1, True),
    ],
    ids=["as it is", "8-bit pixels", "4 decimals", "both", "top-1", "labels"],
)
def test_what_is_found(predict, levels, decimals, answered, labels_only):
    box = BlackBox(SPEC, predict)
    found = ou.probe(box, IMAGES)
    assert (found.levels, found.decimals, found.answered, found.labels_only) == (
        levels,
        decimals,
        answered,
        labels_only,
    )
    assert found.noise == 0
    assert found.queries == box.queries < 500
    assert all(line[0].islower() or line[0].isdigit() for line in found.lines)
    assert str(found).count("\n") == len(found.lines) - 1


def test_noise_is_found_and_random_pixels_do_where_there_are_no_images():
    found = ou.probe(BlackBox(SPEC, _noisy))
    assert 1e-4 < found.noise < 1e-2
    assert found.levels in (0, None)
    assert "asked twice, a probability differs by up to" in str(found)


@pytest.mark.parametrize(
    "predict", [_answers, _eight_bit, lambda images: _answers(images, decimals=2), _top(1), _noisy]
)
def test_the_search_that_is_recommended_crosses(predict):
    search = recommend(ou.probe(BlackBox(SPEC, predict), IMAGES), SPEC).search
    if isinstance(search, SubspaceSettings):
        result = push_in_subspace(BlackBox(SPEC, predict), IMAGES, LABELS, search)
    else:
        assert isinstance(search, ZooSettings)
        result = push(BlackBox(SPEC, predict), IMAGES, LABELS, search, jax.random.key(0))
    assert np.isin(result.status, [Status.CROSSED, Status.SKIPPED]).sum() >= 5


def _revealed(**changes) -> Revealed:
    known = Revealed(300, 0.0, 0, None, 10, 10, False, ALL, tuple(0.01 + 0.001 * size for size in BATCHES))
    return known._replace(**changes)


def test_recommendations_by_hand():
    assert recommend(_revealed(), SPEC).search == fewest_queries(SPEC.bounds, SPEC.image_shape)
    lattice = recommend(_revealed(levels=255), SPEC).search
    assert (lattice.levels, lattice.difference) == (255, pytest.approx(3 / 255))
    seen = (0.0, 0.0, 0.0, 0.1, 0.3, 0.8)
    assert recommend(_revealed(decimals=3, seen=seen), SPEC).search.difference == pytest.approx(8 / 255)
    coarse = recommend(_revealed(decimals=2, seen=seen, levels=255), SPEC)
    assert coarse.search == SubspaceSettings(levels=255)
    assert coarse.why[0] == "along waves of the whole image: 2 decimals hide single pixels"
    assert recommend(_revealed(noise=1e-3), SPEC).search == SubspaceSettings(resolution=2**-9)
    for changes in ({"labels_only": True}, {"seen": (0.0,) * 6}):
        assert isinstance(recommend(_revealed(**changes), SPEC).search, LabelOnlySettings)
    assert recommend(_revealed(labels_only=True, levels=None), SPEC).search.levels == 255
    assert recommend(_revealed(), SPEC, targeted=True).search.targeted


def test_costs_and_the_batch_that_pays():
    found = _revealed(seconds=(0.1, 0.1, 0.1, 0.1))
    assert found.batch_size == 128
    assert found.rate == pytest.approx(1280)
    assert _revealed(seconds=(0.001, 0.008, 0.032, 0.128)).batch_size == 1
    assert recommend(found, SPEC).cost(64) == "about 89,600 queries and 1 min for 64 samples"
    assert recommend(found, SPEC).cost(4).endswith("less than a minute for 4 samples")


def test_an_audit_finds_its_own_search_and_tells_what_it_saw():
    told: list[str] = []
    weights = np.zeros(3)

    def forget(images, labels):
        weights[labels] -= 2.0

    def reset():
        weights[:] = 0.0

    def predict(images):
        answers = _eight_bit(images) * np.exp(weights)
        return answers / answers.sum(-1, keepdims=True)

    service = CallableService(SPEC, predict, forget, reset)
    settings = {"class_a": "a", "class_b": "b", "seeds": (0,), "attacks": ("normal", "pushing_1"), "search": "auto"}
    found = ou.audit(service, _splits(), **settings, on_progress=told.append)
    assert found.rows[1]["submitted"] > 0
    assert "service: it rounds pixels to 8 bits" in told
    few = ou.audit(service, _splits(), **(settings | {"search": SubspaceSettings(directions=8, levels=255)}))
    assert few.rows[1]["submitted"] > 0
    assert few.rows[1]["queries"] <= 300 * few.rows[1]["requested"]
    labels_only = CallableService(SPEC, lambda images: np.eye(3)[predict(images).argmax(-1)], forget, reset)
    assert ou.audit(labels_only, _splits(), **settings).rows[1]["submitted"] > 0
