"""Budgets against a plain count, over time, users and classes; and by several threads at once."""

import math
import threading

import numpy as np
import pytest

from overunlearn_jax.defences.budgets import Budget, BudgetLimits, Spent, spend
from overunlearn_jax.defences.gate import GateError, View, decide
from overunlearn_jax.types import Request
from tests.services.fakes import SPEC


def _request(*labels):
    return Request(np.zeros((len(labels), 3, 3, 1), np.float32), np.array(labels))


def _view(owner="ann"):
    return View(SPEC, lambda images: None, owner=owner)


class _Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def test_every_way_of_spreading_a_request_out_meets_the_same_count():
    rng = np.random.default_rng(0)
    limits = BudgetLimits(per_owner=15, per_class=8, in_all=25, window=50.0)
    ledger, history, now = (), [], 0.0
    for _ in range(60):
        now += float(rng.exponential(4))
        owner, labels = rng.choice(["ann", "bob", "cat"]), rng.integers(0, 4, rng.integers(1, 6))
        accepted, scores, ledger = spend(ledger, limits, labels, owner, now)
        for label, yes, score in zip(labels, accepted, scores, strict=True):  # a plain count over all that ever was
            recent = [(who, what) for when, who, what in history if when > now - 50.0]
            counts = (sum(who == owner for who, _ in recent), sum(what == label for _, what in recent), len(recent))
            assert score == max((count + 1) / limit for count, limit in zip(counts, (15, 8, 25), strict=True))
            assert yes == (score <= 1)
            if yes:
                history.append((now, owner, label))
    assert 60 < len(history) < 180


@pytest.mark.parametrize("name", ["per_owner", "per_class", "in_all"])
def test_limit_cases(name):
    nothing = Budget(BudgetLimits(**{name: 0}), _Clock())(_request(0, 1, 1), _view())
    assert not nothing.accepted.any()
    assert np.isinf(nothing.scores).all()
    everything = Budget(BudgetLimits(**{name: math.inf}), _Clock())(_request(0, 1, 1), _view())
    assert everything.accepted.all()


def test_a_budget_comes_back_with_time_and_is_each_users_own():
    clock = _Clock()
    budget = Budget(BudgetLimits(per_owner=2, window=10.0), clock)
    assert budget(_request(0, 1, 2), _view()).accepted.tolist() == [True, True, False]
    assert budget(_request(0), _view("bob")).accepted.all()
    clock.now = 9.9
    assert not budget(_request(3), _view()).accepted.any()
    clock.now = 10.0
    assert budget(_request(3), _view()).accepted.all()
    assert budget.ledger == (Spent(10.0, "ann", 3, 1),)
    again = Budget(BudgetLimits(per_owner=2, window=10.0), clock, budget.ledger)  # of a later process
    assert again(_request(0, 1), _view()).accepted.tolist() == [True, False]


def test_what_is_refused_is_not_spent():
    budget = Budget(BudgetLimits(per_class=2), _Clock())
    budget(_request(0, 0, 0, 0), _view())
    assert sum(each.samples for each in budget.ledger) == 2


def test_threads_spend_one_budget_once():
    budget = Budget(BudgetLimits(in_all=50), _Clock())
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(budget(_request(0, 1, 2), _view()).accepted.sum()))
        for _ in range(40)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(found) == 50


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"per_owner": -1}, "per_owner is -1; expected 0 samples or more"),
        ({"in_all": float("nan")}, "in_all is nan"),
        ({"window": 0.0}, "window is 0.0; expected above 0 seconds"),
    ],
)
def test_limits_out_of_range(changes, message):
    with pytest.raises(ValueError, match=message):
        Budget(BudgetLimits(**changes))


def test_a_budget_by_user_needs_users():
    with pytest.raises(GateError, match="needs to know whose request it is"):
        decide([Budget(BudgetLimits(per_owner=3))], _request(0), _view(""))
