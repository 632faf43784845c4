"""A service behind its defences: what gates, identification and monitor let through, and what is said of the rest."""

import jax
import numpy as np
import pytest

import overunlearn_jax as ou
from overunlearn_jax.defences.bounded_service import BoundedService
from overunlearn_jax.defences.budgets import Budget, BudgetLimits
from overunlearn_jax.defences.defended import DefendedService
from overunlearn_jax.defences.gate import Decision, GateError
from overunlearn_jax.defences.hash_store import HashStore
from overunlearn_jax.defences.honest_requests import CalibrationError
from overunlearn_jax.defences.honest_steps import StepBound
from overunlearn_jax.defences.identification import Identified, identifier, lookup_by_hash
from overunlearn_jax.defences.monitor import Monitor
from overunlearn_jax.evaluation import evaluate
from overunlearn_jax.services.local import LocalService
from overunlearn_jax.services.service import ONLY, HasWeights, Sweep, Variant
from overunlearn_jax.services.sweep import SweepService
from overunlearn_jax.types import Request
from overunlearn_jax.unlearn import along_step, first_order, step_cosine, step_length, sweep_tau
from tests.defences import patterns
from tests.services.fakes import SPEC, InPlace, InPlaceService, splits
from tests.unlearn.small_model import BOUNDS, assert_same_tree, softmax_regression

DATA = splits()
KEY = jax.random.key(1)
MODEL = softmax_regression()
TRAINED = MODEL.init(KEY)
REQUEST = Request(DATA.train.images[:8], DATA.train.labels[:8])


def local(tau=0.05, gives_retained=True):
    method = first_order(tau, bounds=BOUNDS, scope="all")
    return LocalService(SPEC, MODEL, TRAINED, method, train=DATA.train, gives_retained=gives_retained)


def gate(name, which):
    """Accepts the samples for whose position `which` is true."""

    def decided(request, view):
        assert np.shape(view.predict(request.images)) == (len(request.labels), 4)
        accepted = np.array([bool(which(row)) for row in range(len(request.labels))])
        return Decision(name, accepted, np.arange(len(accepted), dtype=float), 3.0, f"{name} says so")

    return decided


ALL, NONE = gate("all", lambda row: True), gate("none", lambda row: False)
HALF, ODD = gate("half", lambda row: row < 4), gate("odd", lambda row: row % 2)


def after(service, *requests, key=KEY):
    with service.after(list(requests), key) as left:
        return left


def test_without_defences_and_behind_a_gate_that_accepts_all_it_is_the_service_itself():
    bare = after(local(), REQUEST)
    for service in (DefendedService(local()), DefendedService(local(), gates=[ALL])):
        left = after(service, REQUEST)
        assert_same_tree(left.variables, bare.variables)
        assert left.deletion.refused == (0, {}, "")
        np.testing.assert_array_equal(left.deletion.matched_ids, bare.deletion.matched_ids)
        assert left.deletion.gradient_evaluations == 8
    assert isinstance(service, HasWeights)
    assert isinstance(service, Sweep)


def test_a_gate_that_refuses_all_leaves_the_service_as_it_is():
    service = ou.defended(local(), gates=[NONE])
    left = after(service, REQUEST)
    assert left.variables is TRAINED
    np.testing.assert_array_equal(left.predict(REQUEST.images), service.predict(REQUEST.images))
    assert left.deletion.refused == (8, {"none": 8}, "8 of 8 samples refused by none: none says so")
    assert left.deletion.seconds == 0


def test_what_a_gate_refuses_in_part_is_not_forgotten_and_said():
    service = ou.defended(local(), gates=[HALF, ODD])
    left = after(service, REQUEST)
    rows = [1, 3]
    assert_same_tree(left.variables, after(local(), Request(*(part[rows] for part in REQUEST))).variables)
    assert left.deletion.refused.samples == 6
    assert left.deletion.refused.by == {"half": 4, "odd": 4}
    assert left.deletion.refused.why == (
        "4 of 8 samples refused by half: half says so; 4 of 8 samples refused by odd: odd says so"
    )
    assert left.deletion.matched_ids.tolist() == [-1, 1, -1, 3, -1, -1, -1, -1]
    assert [record.decision.gate for record in service.records] == ["half", "odd"]
    told = service.records[0]
    assert told.decision.accepted.tolist() == [True] * 4 + [False] * 4
    assert told.decision.scores.tolist() == list(range(8))
    assert (told.decision.threshold, told.decision.why, told.rows.tolist()) == (3.0, "half says so", list(range(8)))
    assert told.seconds > 0


def test_several_requests_are_each_looked_at():
    service = DefendedService(local(), gates=[gate("small", lambda row: row < 2)])
    other = Request(DATA.train.images[20:23], DATA.train.labels[20:23])
    left = after(service, REQUEST, other)
    kept = [Request(*(part[:2] for part in each)) for each in (REQUEST, other)]
    assert_same_tree(left.variables, after(local(), *kept).variables)
    assert left.deletion.refused == (7, {"small": 7}, "7 of 11 samples refused by small: small says so")
    assert left.deletion.matched_ids.tolist() == [0, 1, *[-1] * 6, 20, 21, -1]
    assert [(record.call, record.request) for record in service.records] == [(0, 0), (0, 1)]


def lookup(rows, missing=()):
    """Identifies the samples as these originals, in their order, but for some positions."""

    def looked_up(request, view):
        known = np.array([row if place not in missing else -1 for place, row in enumerate(rows)])
        once = np.array(list(dict.fromkeys(known[known >= 0].tolist())), int)
        decision = Decision("lookup", known >= 0, np.zeros(len(known)), 0.0, "nobody knows it")
        return Identified(Request(DATA.train.images[once], DATA.train.labels[once]), known, decision)

    return looked_up


def test_originals_are_forgotten_in_the_place_of_what_was_submitted():
    service = DefendedService(local(), gates=[HALF], identify=lookup([20, 99, 21, 22], missing=[1]))
    left = after(service, REQUEST)
    expected = after(local(), Request(DATA.train.images[20:23], DATA.train.labels[20:23]))
    assert_same_tree(left.variables, expected.variables)
    assert left.deletion.refused.by == {"half": 4, "lookup": 1}
    assert left.deletion.matched_ids.tolist() == [20, -1, 21, 22, -1, -1, -1, -1]
    assert service.records[1].rows.tolist() == [0, 1, 2, 3]


def test_copies_of_one_original_ask_for_it_once():
    left = after(DefendedService(local(), gates=[HALF], identify=lookup([20, 21, 20, 20])), REQUEST)
    expected = after(local(), Request(DATA.train.images[20:22], DATA.train.labels[20:22]))
    assert_same_tree(left.variables, expected.variables)
    assert left.deletion.refused.samples == 4
    assert left.deletion.matched_ids.tolist() == [20, 21, 20, 20, -1, -1, -1, -1]


def test_the_package_s_own_identifier_fits():
    store = HashStore(DATA.train.images, SPEC.bounds, bits=64)
    identify = identifier(DATA.train, lookup_by_hash(store), 0)
    left = after(DefendedService(local(), identify=identify), REQUEST)
    assert left.deletion.refused.samples == 0
    assert_same_tree(left.variables, after(local(), REQUEST).variables)


def test_an_identification_that_contradicts_itself():
    def too_few(request, view):
        found = lookup([20, 21, 22, 23])(request, view)
        return found._replace(request=REQUEST)

    with pytest.raises(GateError, match="too_few gives 8 originals and names 4"):
        after(DefendedService(local(), gates=[HALF], identify=too_few), REQUEST)


def test_a_gate_that_fails_is_an_error_before_anything_is_forgotten():
    def broken(request, view):
        raise RuntimeError("no store")

    inner = InPlace()
    with pytest.raises(GateError, match="the gate broken raised RuntimeError: no store"):
        after(DefendedService(InPlaceService(inner), gates=[ALL, broken]), REQUEST)
    short = Request(DATA.train.images[:60], np.zeros(60, np.int32))  # more of the class than there are
    with pytest.raises(CalibrationError, match="hold more samples"):
        after(DefendedService(InPlaceService(inner), monitor=Monitor(DATA.train, DATA.test, KEY)), short)
    with pytest.raises(ValueError, match="no request is given"):
        after(DefendedService(InPlaceService(inner)))
    assert inner.calls == []


def test_a_service_that_forgets_in_place_is_itself_again():
    inner = InPlace()
    service = DefendedService(InPlaceService(inner), gates=[HALF], monitor=Monitor(DATA.train, DATA.test, KEY))
    before = np.array(service.predict(DATA.test.images))
    assert not isinstance(service, HasWeights)
    with service.after([REQUEST], KEY) as left:
        assert inner.calls[-1] == "forget 4"
        assert not np.array_equal(left.predict(DATA.test.images), before)
    assert inner.calls == ["forget 4", "reset"] * 21
    np.testing.assert_array_equal(service.predict(DATA.test.images), before)


PUSHED = patterns.pushed(patterns.honest(0, 20))


def watched(service, **settings):
    data = patterns.DATA
    return DefendedService(service, monitor=Monitor(data.train, data.validation, KEY, **settings))


def class_a(left):
    return evaluate(left.predict, patterns.DATA.test, 3).per_class[0]


def test_a_monitor_rolls_back_a_push_and_releases_honest_requests():
    service, before = watched(patterns.service(0.2)), patterns.trained()
    left = after(service, PUSHED)
    [record] = service.records
    assert not record.decision.accepted.any()
    assert record.decision.scores[0] > record.decision.threshold > 0
    assert record.variant == ONLY
    assert left.variables is before
    assert left.deletion.refused.samples == 20
    assert left.deletion.refused.why.startswith("20 of 20 samples refused by monitor: ant lost ")
    assert left.deletion.seconds > 0
    for honest in (patterns.honest(0, 20), patterns.honest(0, 20, right=False)):
        left = after(service, honest)
        assert left.deletion.refused.samples == 0
        assert service.records[-1].decision.accepted.all()
        assert not np.array_equal(left.variables.params["bias"], before.params["bias"])
    assert [record.call for record in service.records] == [0, 1, 2]


@pytest.mark.parametrize(("confidence", "as_undefended"), [(1.0, True), (0.0, False)])
def test_a_monitor_at_its_limits(confidence, as_undefended):
    bare = after(patterns.service(0.2), PUSHED).variables
    left = after(watched(patterns.service(0.2), confidence=confidence), PUSHED)
    assert_same_tree(left.variables, bare if as_undefended else patterns.trained())


def test_parts_that_cost_no_more_than_honest_ones_are_released():
    mixed = Request(*(np.concatenate(parts) for parts in zip(patterns.honest(0, 20), PUSHED, strict=True)))
    assert after(watched(patterns.service(0.2)), mixed).deletion.refused.samples == 40
    service = watched(patterns.service(0.2), in_parts=True, smallest=5, requests=15)
    left = after(service, mixed)
    kept = [record.rows for record in service.records if record.decision.accepted.all()]
    gone = np.concatenate(kept)
    assert len(gone) == len(set(gone)) == 40 - left.deletion.refused.samples
    assert set(range(20)) <= set(gone) < set(range(40))  # the honest half, and not all of the other
    pieces = [Request(mixed.images[rows], mixed.labels[rows]) for rows in kept]
    assert_same_tree(left.variables, after(patterns.service(0.2), *pieces).variables)
    assert class_a(left) > class_a(after(patterns.service(0.2), mixed)) + 0.3
    tried = [tuple(record.rows) for record in service.records]
    assert tried[:2] == [tuple(range(40)), tuple(range(20))]
    assert len(set(tried)) == len(tried)
    assert min(len(rows) for rows in tried) == 5
    assert left.deletion.refused.why.startswith(f"{left.deletion.refused.samples} of 40 samples refused by monitor")


def test_where_no_part_is_released_the_service_is_as_it_was():
    service = watched(patterns.service(0.4), in_parts=True, smallest=10, requests=15)
    left = after(service, PUSHED)
    assert left.variables is patterns.trained()
    assert left.deletion.refused.samples == 20
    assert [len(record.rows) for record in service.records] == [20, 10, 10]


def test_several_rates_are_each_released_or_rolled_back():
    def sweep(taus, model, variables, images, labels, key):
        bounds = patterns.SPEC.bounds
        return sweep_tau(taus, model, variables, images, labels, key, bounds=bounds, scope="all")

    data, before = patterns.DATA, patterns.trained()
    inner = SweepService(patterns.SPEC, patterns.MODEL, before, {"corrected": sweep}, (1e-6, 0.2), train=data.train)
    service = watched(inner)
    weak, strong = (Variant("corrected", tau) for tau in (1e-6, 0.2))
    with service.after_each([PUSHED], KEY) as left:
        assert left[weak].deletion.refused.samples == 0
        assert left[strong].deletion.refused.samples == 20
        assert left[strong].variables is before
        assert not np.array_equal(left[weak].variables.params["kernel"], before.params["kernel"])
    assert service.variants == (weak, strong)
    assert [record.variant for record in service.records] == [weak, strong]
    with pytest.raises(ValueError, match="use after_each, or give one rate"):
        after(service, PUSHED)
    with pytest.raises(ValueError, match="releases parts, and a service that forgets in 2 ways"):
        watched(inner, in_parts=True)


def test_a_bound_brings_the_harm_of_a_push_down_to_an_honest_step_s():
    """The step of a push is several times as long, along the honest direction: bounded, it is an honest one."""
    bare, data = patterns.service(0.2), patterns.DATA
    bound = StepBound(data.train, KEY)
    safe = ou.defended(bare, bound=bound)
    honest, hard = patterns.honest(0, 20), patterns.honest(0, 20, right=False)
    steps = {name: after(bare, each).variables for name, each in {"honest": honest, "push": PUSHED}.items()}
    assert step_length(bare.variables, steps["push"]) > 3 * step_length(bare.variables, steps["honest"])
    assert step_cosine(bare.variables, steps["push"], steps["honest"]) > 0.6
    harm = class_a(after(bare, honest)) - class_a(after(bare, PUSHED))
    assert harm > 0.5
    left = after(safe, PUSHED)
    assert left.deletion.step_kept < 0.4
    assert left.deletion.refused.samples == 0
    assert class_a(after(bare, honest)) - class_a(left) < 0.1 * harm
    # beside an honest step of the same length, nothing is left
    longest = BoundedService(bare, bound).longest([PUSHED])[ONLY]
    factor = longest / step_length(bare.variables, steps["honest"])
    as_long = ou.predict_fn(patterns.MODEL, along_step(bare.variables, steps["honest"], factor))
    assert abs(evaluate(as_long, data.test, 3).per_class[0] - class_a(left)) < 0.1 * harm
    for own in (honest, hard):  # and honest people get what they asked for, to the bit
        assert_same_tree(after(safe, own).variables, after(bare, own).variables)


def test_a_budget_is_put_back_as_the_service_is():
    budget = Budget(BudgetLimits(in_all=10), lambda: 0.0)
    service = DefendedService(local(), gates=[budget])
    for _ in range(3):
        with service.after([REQUEST, REQUEST], KEY) as left:
            assert left.deletion.refused.by == {"budget": 6}
            assert sum(each.samples for each in budget.ledger) == 10
        assert budget.ledger == ()


def test_owners_are_told_to_the_gates():
    budget = Budget(BudgetLimits(per_owner=3), lambda: 0.0)
    left = after(DefendedService(local(), gates=[budget], owner="ann"), REQUEST)
    assert left.deletion.refused.samples == 5
    with pytest.raises(GateError, match="names nobody"):
        after(DefendedService(local(), gates=[budget]), REQUEST)


def test_bound_and_monitor_together():
    service = DefendedService(
        local(0.5), bound=StepBound(DATA.train, KEY, quantile=0.0), monitor=Monitor(DATA.train, DATA.test, KEY)
    )
    left = after(service, REQUEST)
    assert left.deletion.step_kept == 0.0
    assert left.deletion.refused.samples == 0  # what does not move costs nothing
    assert step_length(TRAINED, left.variables) == 0
