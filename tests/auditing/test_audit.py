"""An audit in memory: the same model through both doors, what it finds, and what it refuses."""

import jax
import numpy as np
import pytest

import overunlearn_jax as ou
from overunlearn_jax.auditing._audit import fewest_queries, most_confused
from overunlearn_jax.auditing._honest_costs import honest_costs
from overunlearn_jax.auditing.choosing import choose_and_push
from overunlearn_jax.auditing.request_settings import RequestSettings
from overunlearn_jax.batching import apply_predict
from overunlearn_jax.services.inspection import ServiceError
from overunlearn_jax.services.local import LocalService
from overunlearn_jax.types import Bounds, DatasetSpec, Split, Splits
from overunlearn_jax.unlearn import first_order

SPEC = DatasetSpec("easy", (6, 6, 1), Bounds(-0.5, 0.5), ("ant", "bee", "cat"))
CHANGES = {"seeds": (0, 1), "fraction": 0.3}


def _split(seed: int, count: int) -> Split:
    """Three patterns and noise: easy to tell apart, close enough to be pushed."""
    draws = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    patterns = np.random.default_rng(0).uniform(-0.3, 0.3, (3, *SPEC.image_shape))
    images = np.clip(patterns[labels] + draws.normal(0, 0.12, (count, *SPEC.image_shape)), -0.5, 0.5)
    return Split(images.astype(np.float32), labels.astype(np.int32), np.arange(count))


DATA = Splits(SPEC, _split(1, 90), _split(2, 30), _split(3, 120))


@pytest.fixture(scope="module")
def trained() -> tuple[ou.Model, ou.Variables]:
    model = ou.vgg(3, SPEC.image_shape, blocks=1, width=4, batch_norm_momentum=0.5)
    return model, ou.fit(model, DATA, ou.TrainSettings(batch_size=16, epochs=6), jax.random.key(0))


@pytest.fixture(scope="module")
def local(trained) -> LocalService:
    return LocalService(SPEC, *trained, first_order(0.05, bounds=SPEC.bounds))


class _Callables:
    """The local service as three bare functions: the same arithmetic, and no way to see inside."""

    def __init__(self, model, variables):
        self._model, self._kept, self._now = model, variables, variables
        self.asked = 0

    def predict(self, images):
        self.asked += len(images)
        return apply_predict(ou.predict_fn(self._model, self._now), images)

    def forget(self, images, labels):
        step = first_order(0.05, bounds=SPEC.bounds)
        self._now = step(self._model, self._now, images, labels, jax.random.key(9))

    def reset(self):
        self._now = self._kept


def test_both_doors_of_a_jax_model_lead_to_the_same_samples_steps_queries_and_accuracies(trained, local):
    bare = _Callables(*trained)
    through = ou.service(spec=SPEC, predict=bare.predict, forget=bare.forget, reset=bare.reset)
    lines: list[str] = []
    one, other = (
        ou.audit(each, DATA, class_a="ant", class_b="bee", pixel_edits=False, on_progress=lines.append, **CHANGES)
        for each in (local, through)
    )
    only_local = {"weights_changed", "gradient_evaluations", "overall_train_before"}
    rounded = {"l2_mean", "l2_max", "ssim_mean"}  # one search is compiled as a whole, the other step by step
    times = {"seconds_attack", "seconds_unlearn"}
    for ours, theirs in zip(one.rows, other.rows, strict=True):
        assert ours.keys() == theirs.keys()
        differ = {key for key in ours.keys() - times - rounded if ours[key] != theirs[key]}
        assert differ <= only_local
        assert all(ours[key] == pytest.approx(theirs[key], abs=1e-5) for key in rounded)
        assert all(theirs[key] is None for key in only_local)
    assert [claim.words for claim in one.claims] == [claim.words for claim in other.claims]
    assert {row["attack"] for row in one.rows} == {"normal", "noise", "blending", "pushing_1", "pushing_2"}
    assert min(row["submitted"] for row in one.rows) > 0
    assert "submitted and measured" in lines[-1]
    # and, sample by sample, the same walk
    settings = RequestSettings(("normal", "pushing_1"), (0.3,))

    def walked(service):
        box = ou.BlackBox(SPEC, service.predict, pixel_edits=False)
        search = fewest_queries(SPEC.bounds, SPEC.image_shape)

        def push(asked, samples):
            return ou.push(asked, samples.images, samples.labels, search, jax.random.key(1), ids=samples.ids), 0.0

        return choose_and_push(settings, box, DATA, ou.auditing.request_settings.Classes(0, 1), 0, push).pushed

    inside, outside = walked(local), walked(through)
    assert inside.crossed.any()
    np.testing.assert_array_equal(inside.steps, outside.steps)
    np.testing.assert_array_equal(inside.queries, outside.queries)
    np.testing.assert_allclose(inside.outside, outside.outside, atol=1e-5)  # compiled as a whole, and step by step


def test_the_judgement_is_of_its_rows_and_nothing_is_written(local, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = ou.audit(local, DATA, class_a=0, attacks=("normal", "pushing_1"), **CHANGES)
    assert len(found.rows) == 2 * 2
    assert {row["class_b_name"] for row in found.rows} == {SPEC.class_names[most_confused(local, DATA.test, 0)]}
    honest, pushed = (
        np.mean([row["class_a"] for row in found.rows if row["attack"] == attack]) for attack in ("normal", "pushing_1")
    )
    [claim] = [each for each in found.claims if getattr(each, "measure", "") == "class_a"]
    assert claim.harm.mean == pytest.approx(honest - pushed)
    assert "<table" in found._repr_html_()
    assert not list(tmp_path.iterdir())


def test_a_service_whose_reset_does_not_work_is_found_before_anything_is_pushed(trained):
    bare = _Callables(*trained)
    service = ou.service(spec=SPEC, predict=bare.predict, forget=bare.forget, reset=lambda: None)
    with pytest.raises(ServiceError, match="after reset the service answers otherwise"):
        ou.audit(service, DATA, class_a=0, **CHANGES)
    assert bare.asked < 1000


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"class_a": "wasp"}, "no class 'wasp'"),
        ({"class_a": 0, "class_b": 0}, "has to differ"),
        ({"class_a": 0, "attacks": ("normal",)}, "expected 'normal' and some of blending"),
        ({"class_a": 0, "attacks": ("pushing_1",)}, "expected 'normal' and some of"),
        ({"class_a": 0, "seeds": ()}, "expected one or more, each once"),
        ({"class_a": 0, "seeds": (1, 1)}, "expected one or more, each once"),
        ({"class_a": 0, "seeds": 3}, "seeds are 3; expected several numbers"),
        ({"class_a": 0, "attacks": ("normal", "noise")}, "'noise' beside them is a control"),
        ({"class_a": 0, "max_over_unlearning": 5}, "max_over_unlearning is 5; expected a fraction of an accuracy"),
        ({"class_a": 0, "max_over_unlearning": "0.05"}, "max_over_unlearning is '0.05'; expected a fraction"),
        ({"class_a": 0, "max_honest_cost": float("nan")}, "max_honest_cost is nan; expected a fraction"),
        ({"class_a": 0, "search": "atuo"}, "search is 'atuo'; expected None, \"auto\""),
    ],
)
def test_wrong_arguments(local, changes: dict, message: str):
    with pytest.raises(ValueError, match=message):
        ou.audit(local, DATA, **changes)


def test_what_is_no_service():
    with pytest.raises(ValueError, match=r"the service is a dict without spec and predict and after: ou.service\(spec"):
        ou.audit({}, DATA, class_a=0)


def test_data_of_another_shape(local):
    other = DATA._replace(spec=SPEC._replace(image_shape=(8, 8, 1)))
    with pytest.raises(ValueError, match="give it the data's own spec"):
        ou.audit(local, other, class_a=0)


def test_a_service_without_weights_is_not_said_to_have_kept_them():
    row = {"fraction": 0.1, "fidelity": "none", "tau": None, "attack": "normal", "seed": 0, "weights_changed": None}
    row |= {f"class_{each}_name": each for each in "ab"}
    for name in ("class_a", "class_b", "overall", "class_a_predicted"):
        row |= {name: 0.5, f"{name}_before": 0.5}
    [cost] = honest_costs([row], 0.2)
    assert cost.changed_weights is None
    [cost] = honest_costs([row | {"weights_changed": False}], 0.2)
    assert cost.changed_weights is False
