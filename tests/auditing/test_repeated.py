"""One own sample again and again, as a request of an audit: nothing is forged, and next to nothing is asked."""

import jax
import numpy as np
import pytest

import overunlearn_jax as ou
from overunlearn_jax.attack_names import ATTACKS
from overunlearn_jax.auditing.choosing import choose_and_push
from overunlearn_jax.auditing.crafting import Crafter
from overunlearn_jax.auditing.request_settings import Classes, RequestSettings
from overunlearn_jax.black_box import QueryBudgetExceededError
from overunlearn_jax.defences.copies import copies_gate
from overunlearn_jax.types import Bounds, DatasetSpec, Request, Split, Splits

SPEC = DatasetSpec("lines", (1, 1, 1), Bounds(-0.5, 0.5), ("left", "right"))
BOTH = ("normal", "repeated")


def _split(count: int) -> Split:
    pixels = np.linspace(-0.5, 0.5, count, dtype=np.float32)
    return Split(pixels[:, None, None, None], (pixels > 0).astype(np.int32), np.arange(count))


DATA = Splits(SPEC, _split(80), _split(20), _split(40))


class _SumOfSamples:
    """A boundary that each sample of class "left" moves left, the farther the nearer the sample is to it."""

    def __init__(self):
        self.boundary = 0.0
        self.seen: list[Request] = []

    def predict(self, images):
        right = 1 / (1 + np.exp(-20 * (images.reshape(-1).astype(np.float64) - self.boundary)))
        return np.stack([1 - right, right], axis=1).astype(np.float32)

    def forget(self, images, labels):
        self.seen.append(Request(np.array(images), np.array(labels)))
        self.boundary -= 0.02 * float(self.predict(images)[:, 1].sum())

    def reset(self):
        self.boundary = 0.0


def _crafter(budget: int | None = None) -> tuple[Crafter, ou.BlackBox, _SumOfSamples]:
    service = _SumOfSamples()
    settings = RequestSettings(BOTH, (0.5,))
    box = ou.BlackBox(SPEC, service.predict, budget=budget)
    chosen = choose_and_push(settings, box, DATA, Classes(0, 1), 0, pytest.fail)
    return Crafter(settings, box, DATA, Classes(0, 1), chosen, 0, jax.random.key(0)), box, service


def test_it_is_the_sample_that_the_service_is_least_sure_of_as_often_as_an_honest_request_has_samples():
    crafter, box, service = _crafter()
    honest = crafter.craft("normal", 20)
    asked = box.queries
    repeated = crafter.craft("repeated", 20)
    assert box.queries - asked == 20 == repeated.queries.sum()
    hardest = int(honest.images.reshape(-1).argmax())  # nearest to the boundary, which lies to the right
    assert repeated.images.shape == honest.images.shape
    assert (repeated.images == honest.images[hardest]).all()
    assert (repeated.labels == 0).all()
    assert (repeated.original_ids == honest.original_ids[hardest]).all()
    np.testing.assert_array_equal(repeated.original_images, repeated.images)
    assert service.predict(repeated.images[:1])[0, 0] == service.predict(honest.images)[:, 0].min()


def test_it_keeps_to_a_budget():
    _, box, _ = _crafter()
    crafter, _, _ = _crafter(budget=box.queries + 20)
    crafter.craft("repeated", 20)
    crafter, _, _ = _crafter(budget=box.queries + 19)
    with pytest.raises(QueryBudgetExceededError):
        crafter.craft("repeated", 20)


def test_an_audit_finds_it_without_a_push_where_a_request_is_a_sum():
    service = _SumOfSamples()
    through = ou.service(spec=SPEC, predict=service.predict, forget=service.forget, reset=service.reset)
    verdict = ou.audit(
        through, DATA, class_a="left", class_b="right", attacks=BOTH, fraction=0.5, seeds=(0, 1), max_honest_cost=1.0
    )
    rows = {(row["attack"], row["seed"]): row for row in verdict.rows}
    for seed in (0, 1):
        honest, repeated = rows["normal", seed], rows["repeated", seed]
        assert honest["submitted"] == repeated["submitted"]
        assert repeated["class_a"] < honest["class_a"]
        assert (honest["queries"], repeated["queries"]) == (0, repeated["submitted"])
    assert not verdict.passed
    repeated_harm = "One sample repeated: over-unlearning I "
    [found] = [claim.words for claim in verdict.claims if claim.words.startswith(repeated_harm)]
    assert found.endswith("vulnerable")


def test_a_gate_that_counts_copies_stops_it():
    service = _SumOfSamples()
    through = ou.service(spec=SPEC, predict=service.predict, forget=service.forget, reset=service.reset)
    safe = ou.defended(through, gates=[copies_gate(0.0, bits=64)])
    repeated = _crafter()[0].craft("repeated", 20)
    with safe.after([Request(repeated.images, repeated.labels)], jax.random.key(0)) as left:
        assert left.deletion.refused is not None
        assert left.deletion.refused.samples == 19


def test_it_is_made_where_it_is_named_only():
    service = _SumOfSamples()
    through = ou.service(spec=SPEC, predict=service.predict, forget=service.forget, reset=service.reset)
    assert "repeated" not in ATTACKS
    with pytest.raises(ValueError, match=r"are \('normal', 'repeat'\); expected 'normal' and some of .*, repeated"):
        ou.audit(through, DATA, class_a="left", attacks=("normal", "repeat"))
