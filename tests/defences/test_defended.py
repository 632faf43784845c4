"""A service behind its defences: what gates, identification and monitor let through, and what is said of the rest."""

import jax
import numpy as np
import pytest

import overunlearn_jax as ou
from overunlearn_jax.defences.budgets import Budget, BudgetLimits
from overunlearn_jax.defences.defended import DefendedService
from overunlearn_jax.defences.gate import Decision, GateError
from overunlearn_jax.defences.honest_steps import CalibrationError, StepBound
from overunlearn_jax.defences.monitor import Monitor
from overunlearn_jax.defences.records import as_json
from overunlearn_jax.services.local import LocalService
from overunlearn_jax.services.service import ONLY, HasWeights, Service, Sweep, Variant
from overunlearn_jax.services.sweep import SweepService
from overunlearn_jax.types import Request
from overunlearn_jax.unlearn import first_order, step_length, sweep_tau
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
    assert isinstance(service, Service)
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
    told = as_json(service.records[0])
    assert told["accepted"] == [True] * 4 + [False] * 4
    assert told["scores"] == list(range(8))
    assert (told["threshold"], told["why"], told["rows"]) == (3.0, "half says so", list(range(8)))
    assert told["seconds"] > 0


def test_several_requests_are_each_looked_at():
    service = DefendedService(local(), gates=[gate("small", lambda row: row < 2)])
    other = Request(DATA.train.images[20:23], DATA.train.labels[20:23])
    left = after(service, REQUEST, other)
    kept = [Request(*(part[:2] for part in each)) for each in (REQUEST, other)]
    assert_same_tree(left.variables, after(local(), *kept).variables)
    assert left.deletion.refused == (7, {"small": 7}, "7 of 11 samples refused by small: small says so")
    assert left.deletion.matched_ids.tolist() == [0, 1, *[-1] * 6, 20, 21, -1]
    assert [(record.call, record.request) for record in service.records] == [(0, 0), (0, 1)]


def test_originals_are_forgotten_in_the_place_of_what_was_submitted():
    def originals(request, view):
        found = np.arange(len(request.labels)) != 1
        rows = np.array([20, 21, 22])
        decision = Decision("lookup", found, np.zeros(len(found)), 0.0, "nobody knows it")
        return Request(DATA.train.images[rows], DATA.train.labels[rows]), decision

    service = DefendedService(local(), gates=[HALF], identify=originals)
    left = after(service, REQUEST)
    expected = after(local(), Request(DATA.train.images[20:23], DATA.train.labels[20:23]))
    assert_same_tree(left.variables, expected.variables)
    assert left.deletion.refused.by == {"half": 4, "lookup": 1}
    assert left.deletion.matched_ids.tolist() == [20, -1, 21, 22, -1, -1, -1, -1]
    assert service.records[1].rows.tolist() == [0, 1, 2, 3]

    def too_few(request, view):
        return Request(request.images[:1], request.labels[:1]), originals(request, view)[1]

    with pytest.raises(GateError, match="too_few found 1 originals of 3 accepted samples"):
        after(DefendedService(local(), gates=[HALF], identify=too_few), REQUEST)


class Watched(InPlace):
    """Counts what it forgets."""


def test_a_gate_that_fails_is_an_error_before_anything_is_forgotten():
    def broken(request, view):
        raise RuntimeError("no store")

    inner = Watched()
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
    assert inner.calls == ["forget 4", "reset"] * 11
    np.testing.assert_array_equal(service.predict(DATA.test.images), before)


def watched(service, **settings):
    return DefendedService(service, monitor=Monitor(DATA.train, DATA.test, KEY, requests=4, **settings))


DARK = Request(np.full((8, 3, 3, 1), 0.5, np.float32), REQUEST.labels)  # nothing like what was trained on


def test_a_monitor_rolls_back_what_honest_requests_do_not_do():
    strong = Request(np.concatenate([DARK.images] * 2), np.concatenate([DARK.labels] * 2) * 0)
    service = watched(local(0.05))
    left = after(service, strong)
    [record] = service.records
    assert not record.decision.accepted.any()
    assert record.decision.scores[0] > record.decision.threshold
    assert record.variant == ONLY
    assert left.variables is TRAINED
    assert left.deletion.refused.samples == 16
    assert left.deletion.refused.why.startswith("16 of 16 samples refused by monitor: ")
    assert left.deletion.seconds > 0
    honest = np.flatnonzero(DATA.train.labels == 0)[:16]
    left = after(service, Request(DATA.train.images[honest], DATA.train.labels[honest]))
    assert left.deletion.refused.samples == 0
    assert service.records[-1].decision.accepted.all()
    assert [record.call for record in service.records] == [0, 1]


@pytest.mark.parametrize(("confidence", "same_as_bare"), [(1.0, True), (0.0, False)])
def test_a_monitor_at_its_limits(confidence, same_as_bare):
    left = after(watched(local(), confidence=confidence), REQUEST)
    assert_same_tree(left.variables, after(local(), REQUEST).variables if same_as_bare else TRAINED)


def test_parts_that_cost_no_more_than_honest_ones_are_released():
    bad = np.full((4, 3, 3, 1), 0.5, np.float32)
    honest = np.flatnonzero(DATA.train.labels == 0)[:12]
    mixed = Request(np.concatenate([DATA.train.images[honest], np.concatenate([bad] * 3)]), np.zeros(24, np.int32))
    whole = watched(local(0.05, gives_retained=False))
    assert after(whole, mixed).deletion.refused.samples == 24
    service = watched(local(0.05, gives_retained=False), in_parts=True, smallest=3)
    left = after(service, mixed)
    refused = left.deletion.refused
    assert 0 < refused.samples < 24
    gone = np.zeros(24, bool)
    kept = [record.rows for record in service.records if record.decision.accepted.all()]
    for rows in kept:
        gone[rows] = True
    assert gone.sum() == 24 - refused.samples
    assert gone[:12].sum() > gone[12:].sum()
    pieces = [Request(mixed.images[rows], mixed.labels[rows]) for rows in kept]
    assert_same_tree(left.variables, after(local(0.05, gives_retained=False), *pieces).variables)
    # each part was tried, and none that was released is halved
    tried = [tuple(record.rows) for record in service.records]
    assert tried[0] == tuple(range(24))
    assert len(set(tried)) == len(tried)
    assert all(len(rows) >= 3 for rows in tried)


def test_several_rates_are_each_released_or_rolled_back():
    def sweep(taus, model, variables, images, labels, key):
        return sweep_tau(taus, model, variables, images, labels, key, bounds=BOUNDS, scope="all")

    inner = SweepService(SPEC, MODEL, TRAINED, {"corrected": sweep}, (1e-6, 0.05), train=DATA.train)
    service = watched(inner)
    request = Request(np.concatenate([DARK.images] * 2), np.zeros(16, np.int32))
    weak, strong = (Variant("corrected", tau) for tau in (1e-6, 0.05))
    with service.after_each([request], KEY) as left:
        assert left[weak].deletion.refused.samples == 0
        assert left[strong].deletion.refused.samples == 16
        assert left[strong].variables is TRAINED
        assert not np.array_equal(left[weak].variables.params["kernel"], TRAINED.params["kernel"])
    assert service.variants == (weak, strong)
    assert [record.variant for record in service.records] == [weak, strong]
    with pytest.raises(ValueError, match="use after_each, or give one rate"):
        after(service, request)
    with pytest.raises(ValueError, match="releases parts, and a service that forgets in 2 ways"):
        watched(inner, in_parts=True)


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
