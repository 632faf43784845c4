"""Services around a JAX model: one deletion, several in order, several rates at once."""

from contextlib import contextmanager

import jax
import numpy as np
import pytest

from overunlearn_jax.black_box import BlackBox
from overunlearn_jax.services.local import LocalService
from overunlearn_jax.services.service import ONLY, HasWeights, Sweep, Variant, after_each, variants_of
from overunlearn_jax.services.sisa import Sharding, train_sisa
from overunlearn_jax.services.sweep import SweepService
from overunlearn_jax.types import DivergedError, Request, Split
from overunlearn_jax.unlearn import first_order, match_samples, sweep_tau, without
from overunlearn_jax.unlearn.sisa import SisaSettings, fit_sisa, forget, sisa_variables
from tests.services.fakes import SPEC, splits
from tests.unlearn.small_model import BOUNDS, assert_same_tree, request, small_model

KEY = jax.random.key(3)
MODEL = small_model()
VARIABLES = MODEL.init(KEY)
FIRST, SECOND = Request(*request(5, 6)), Request(*request(6, 4))


def test_one_request_is_one_call_of_the_method():
    method = first_order(0.1, bounds=BOUNDS)
    service = LocalService(SPEC, MODEL, VARIABLES, method)
    assert isinstance(service, HasWeights)
    assert not isinstance(service, Sweep)
    assert variants_of(service) == (ONLY,)
    with after_each(service, [FIRST], KEY) as left:
        assert_same_tree(left[ONLY].variables, method(MODEL, VARIABLES, *FIRST, KEY))
        assert left[ONLY].deletion.gradient_evaluations == 6
        assert left[ONLY].deletion.matched_ids is None  # it holds no training data
        assert not np.array_equal(left[ONLY].predict(FIRST.images), service.predict(FIRST.images))
    assert_same_tree(service.variables, VARIABLES)


def test_several_requests_are_forgotten_in_order_and_later_ones_have_other_keys():
    keys = []

    def method(model, variables, images, labels, key, retain=None):
        keys.append(jax.random.key_data(key).tolist())
        return first_order(0.1, bounds=BOUNDS)(model, variables, images, labels, key)

    with LocalService(SPEC, MODEL, VARIABLES, method).after([FIRST, SECOND], KEY) as left:
        once = first_order(0.1, bounds=BOUNDS)(MODEL, VARIABLES, *FIRST, KEY)
        assert_same_tree(left.variables, first_order(0.1, bounds=BOUNDS)(MODEL, once, *SECOND, KEY))
        assert left.deletion.gradient_evaluations == 10
    assert keys[0] == jax.random.key_data(KEY).tolist() != keys[1]


def test_what_the_server_holds_shrinks_with_each_request():
    train = splits().train
    held = []

    def method(model, variables, images, labels, key, retain=None):
        held.append(retain)
        return variables

    service = LocalService(SPEC, MODEL, VARIABLES, method, train=train)
    own = [Request(train.images[rows], train.labels[rows]) for rows in ([3, 5], [5, 7])]
    with service.after(own, KEY) as left:
        assert left.deletion.matched_ids[:2].tolist() == [3, 5]
        assert left.deletion.matched_ids[3] == 7  # 5 is gone: something else is nearest to it
    assert_same_tree(held[0]._asdict(), without(train, np.array([3, 5]))._asdict())
    rest = without(train, np.array([3, 5]))
    assert_same_tree(held[1]._asdict(), without(rest, match_samples(own[1].images, rest).rows)._asdict())


def test_a_deletion_that_diverges_leaves_nothing_to_ask():
    def method(*_: object) -> None:
        raise DivergedError("the loss is NaN")

    with LocalService(SPEC, MODEL, VARIABLES, method).after([FIRST], KEY) as left:
        assert left.predict is left.variables is None
        assert left.deletion.diverged == "the loss is NaN"
        assert left.deletion.gradient_evaluations is None


@pytest.mark.parametrize("count", [1, 2])
def test_a_sweep_is_each_rate_by_itself(count: int):
    requests = [FIRST, SECOND][:count]

    def sweep(taus, model, variables, images, labels, key):
        return sweep_tau(taus, model, variables, images, labels, key, bounds=BOUNDS)

    service = SweepService(SPEC, MODEL, VARIABLES, {"corrected": sweep}, (0.05, 0.1))
    assert isinstance(service, Sweep)
    assert variants_of(service) == (Variant("corrected", 0.05), Variant("corrected", 0.1))
    with after_each(service, requests, KEY) as left:
        for variant, found in left.items():
            alone = LocalService(SPEC, MODEL, VARIABLES, first_order(variant.tau, bounds=BOUNDS))
            with alone.after(requests, KEY) as expected:
                assert_same_tree(found.variables, expected.variables, atol=1e-6)
                assert found.deletion.gradient_evaluations == expected.deletion.gradient_evaluations
    with pytest.raises(ValueError, match="forgets in 2 ways"), service.after(requests, KEY):
        pass


def test_requests_that_cannot_be():
    train = splits().train
    ab = Split(*(part[train.labels < 2] for part in train))
    service = LocalService(SPEC, MODEL, VARIABLES, first_order(0.1, bounds=BOUNDS), train=ab)
    with pytest.raises(ValueError, match="no request is given"), service.after([], KEY):
        pass
    unseen = FIRST._replace(labels=np.full(6, 3))
    with pytest.raises(ValueError, match="class d, which the model never saw"), service.after([unseen], KEY):
        pass


def test_attacks_run_fused_with_every_local_service(tmp_path):
    sharding = Sharding(SisaSettings(shards=2, slices=2, epochs=1, batch_size=16), "mean")
    sisa = train_sisa(SPEC, MODEL, splits().train, sharding, KEY, tmp_path, _no_progress)
    sweep = SweepService(SPEC, MODEL, VARIABLES, {"corrected": sweep_tau}, (0.1,))
    for service in (LocalService(SPEC, MODEL, VARIABLES, first_order(0.1, bounds=BOUNDS)), sweep, sisa):
        box = BlackBox(SPEC, service.predict)
        assert box.fused is not None
        assert box.query(FIRST.images).shape == (6, 4)


def test_sisa_forgets_what_is_meant_in_order_and_is_itself_again(tmp_path):
    train, settings = splits().train, SisaSettings(shards=2, slices=2, epochs=1, batch_size=16)
    service = train_sisa(SPEC, MODEL, train, Sharding(settings, "mean"), KEY, tmp_path / "service", _no_progress)
    before = service.predict(FIRST.images)
    rows = [np.array([3, 5]), np.array([7])]
    requests = [Request(train.images[each], train.labels[each]) for each in rows]
    with service.after(requests, KEY) as left:
        assert left.deletion.matched_ids.tolist() == [3, 5, 7]
        assert left.deletion.gradient_evaluations > 0
        once, _ = forget(MODEL, fit_sisa(MODEL, train, settings, KEY), train, rows[0], settings, KEY)
        kept = without(train, rows[0])
        twice, _ = forget(MODEL, once, kept, np.flatnonzero(kept.ids == 7), settings, KEY)
        assert_same_tree(left.variables, sisa_variables(twice))
    np.testing.assert_array_equal(service.predict(FIRST.images), before)


@contextmanager
def _no_progress(label, settings, samples):
    yield lambda progress: None
