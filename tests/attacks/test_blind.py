"""A search that sees nothing stops within a few steps, says so, and is never taken for a safe service."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import overunlearn_jax as ou
from overunlearn_jax.attacks import Status, ZooSettings, push
from overunlearn_jax.auditing._audit import fewest_queries
from overunlearn_jax.auditing._verdicts import verdicts
from overunlearn_jax.auditing.crafting import BlindSearchError
from overunlearn_jax.black_box import BlackBox
from overunlearn_jax.models import predict_fn, pure_model
from overunlearn_jax.reporting.outcomes import SAFE, UNDECIDED, VULNERABLE
from overunlearn_jax.services.callables import CallableService
from overunlearn_jax.types import Bounds, DatasetSpec, Split, Splits, Variables
from tests.auditing.claim_rows import rows

SPEC = DatasetSpec("rounded", (4, 4, 1), Bounds(-0.5, 0.5), ("a", "b", "c"))
WEIGHTS = np.random.default_rng(0).normal(size=(16, 3))
IMAGES = (np.random.default_rng(1).integers(40, 215, (6, 4, 4, 1)) / 255 - 0.5).astype(np.float32)
PAPER = ZooSettings(SPEC.bounds, coordinates=8, max_steps=400)


def _answers(images: np.ndarray, *, decimals: int = 9) -> np.ndarray:
    logits = 2 * images.reshape(len(images), -1) @ WEIGHTS
    weights = np.exp(logits - logits.max(1, keepdims=True))
    return (weights / weights.sum(1, keepdims=True)).round(decimals)


def _eight_bit(images: np.ndarray) -> np.ndarray:
    return _answers(np.rint((images + 0.5) * 255) / 255 - 0.5)


LABELS = _answers(IMAGES).argmax(-1)


@pytest.mark.parametrize("predict", [_eight_bit, lambda images: _answers(images, decimals=2)])
def test_the_papers_search_sees_nothing_of_a_service_that_rounds_and_stops_within_ten_steps(predict):
    box = BlackBox(SPEC, predict)
    far = slice(5)  # the last image lies so near to the boundary that what little is seen suffices
    result = push(box, IMAGES[far], LABELS[far], PAPER, jax.random.key(0), slots=2)
    assert (result.status == Status.SAW_NOTHING).all()
    assert np.median(result.steps) == 10
    assert box.queries == result.queries.sum() == result.steps.sum() * PAPER.queries_per_step


def test_larger_changes_see_it_and_cross():
    settings = fewest_queries(SPEC.bounds, SPEC.image_shape)
    result = push(BlackBox(SPEC, _eight_bit), IMAGES, LABELS, settings, jax.random.key(0))
    assert (result.status == Status.CROSSED).all()


def test_a_fused_victim_that_shows_nothing_is_noticed_too_and_samples_do_not_depend_on_each_other():
    def logits(params: jax.Array, images: jax.Array) -> jax.Array:
        flat = images.reshape(len(images), -1)
        return jnp.where(flat.mean(-1, keepdims=True) > 0, 2 * flat @ params, jnp.array([9.0, 0.0, 0.0]))

    fused = predict_fn(pure_model(lambda key: WEIGHTS, logits), Variables(jnp.asarray(WEIGHTS, jnp.float32)))
    images = np.concatenate([IMAGES[:3] * 0.2 - 0.3, IMAGES[:3] * 0.2 + 0.25])
    labels = np.asarray(fused(images)).argmax(-1)
    settings = PAPER._replace(difference=1e-2)
    together = push(BlackBox(SPEC, fused), images, labels, settings, jax.random.key(0), slots=4)
    assert (together.status[:3] == Status.SAW_NOTHING).all()
    assert (together.status[3:] != Status.SAW_NOTHING).all()
    alone = push(BlackBox(SPEC, fused), images[4:5], labels[4:5], settings, jax.random.key(0), ids=np.array([4]))
    assert np.array_equal(alone.outside[0], together.outside[4])


def test_what_was_seen_once_is_not_forgotten_and_noise_below_the_resolution_is_nothing():
    draws = np.random.default_rng(3)

    def noisy(images: np.ndarray) -> np.ndarray:
        answers = _answers(IMAGES[:1]).repeat(len(images), 0) + draws.uniform(0, 1e-4, (len(images), 3))
        return answers / answers.sum(-1, keepdims=True)

    seen = push(BlackBox(SPEC, noisy), IMAGES[:1], LABELS[:1], PAPER, jax.random.key(0))
    assert seen.status[0] != Status.SAW_NOTHING
    result = push(BlackBox(SPEC, noisy), IMAGES[:1], LABELS[:1], PAPER._replace(resolution=1e-3), jax.random.key(0))
    assert result.status[0] == Status.SAW_NOTHING


def _splits() -> Splits:
    def split(seed: int, count: int) -> Split:
        images = (np.random.default_rng(seed).integers(40, 215, (count, 4, 4, 1)) / 255 - 0.5).astype(np.float32)
        return Split(images, _answers(images).argmax(-1).astype(np.int32), np.arange(count))

    return Splits(SPEC, split(5, 90), split(6, 10), split(7, 60))


def test_an_audit_whose_search_saw_nothing_has_no_verdict_and_says_what_helps():
    service = CallableService(SPEC, _eight_bit, lambda images, labels: None, lambda: None)
    with pytest.raises(BlindSearchError, match=r"the search saw nothing.*does not make it safe.*--difference=0\.01"):
        ou.audit(service, _splits(), class_a="a", class_b="b", seeds=(0,), search=PAPER)


@pytest.mark.parametrize(
    ("harm", "blind", "outcome"),
    [(0.0, 0, SAFE), (0.0, 9, SAFE), (0.0, 10, UNDECIDED), (0.0, 90, UNDECIDED), (0.3, 90, VULNERABLE)],
)
def test_few_samples_that_were_seen_decide_nothing_where_most_were_not(harm: float, blind: int, outcome: str):
    found = verdicts(rows([harm, harm, harm], saw_nothing=blind, requested=100), 0.05)[0]
    assert found.outcome == outcome
    assert found.passed == (outcome == SAFE)
    if outcome == UNDECIDED:
        assert f"the search saw nothing around {3 * blind} of 300 samples" in found.note
        assert "--search=auto" in found.headline
        assert "--search=auto" in found.words
