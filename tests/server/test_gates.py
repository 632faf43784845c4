"""Gates look at what the journal has, before anything is unlearned; what they say is journalled."""

import json

import numpy as np
import pytest

pytest.importorskip("overunlearn_jax.server", exc_type=ImportError)

from overunlearn_jax.defences.gate import Decision
from overunlearn_jax.server.core import answers
from overunlearn_jax.types import Variables
from tests.server.small_service import SPLITS, TRAINED, running, step, submission

IMAGES, LABELS = SPLITS.test.images[:4], SPLITS.test.labels[:4]


def first_two(request, view):
    accepted = np.arange(len(request.labels)) < 2
    assert (view.model_version, view.owner, view.by) == ("1", "alice", "submission")
    chosen = np.asarray(view.predict(request.images))[np.arange(len(request.labels)), request.labels]
    return Decision("first two", accepted, chosen, 0.5, "it came late")


def nobody(request, view):
    del view  # Unused: it knows already.
    count = len(request.labels)
    return Decision("nobody", np.zeros(count, bool), np.full(count, np.nan), 1.0, "never")


def raises(request, view):
    raise RuntimeError("broken")


def wrong(request, view):
    del view  # Unused: it does not answer what it should.
    return Decision("wrong", np.ones(1, bool), np.zeros(1), 0.0, "")


def deleted(tmp_path, gates):
    with running(tmp_path, gates=gates) as made:
        ended = made.client.wait(made.client.delete(submission(IMAGES, LABELS)).body["id"])
        [row] = made.served.journal.rows("SELECT decisions FROM deletions")
        return ended, row[0] and json.loads(row[0]), made.served.served


def test_what_a_gate_refuses_is_left_out_and_said(tmp_path):
    ended, decisions, served = deleted(tmp_path, (first_two,))
    assert (ended["status"], ended["model_version"]) == ("completed", "2")
    assert ended["error"] == "2 of 4 samples refused by first two: it came late"
    assert decisions[0]["accepted"] == [True, True, False, False]
    assert decisions[0]["threshold"] == 0.5
    assert len(decisions[0]["scores"]) == 4
    left: Variables = step(TRAINED, IMAGES[:2], LABELS[:2])
    np.testing.assert_allclose(served.variables.params["kernel"], left.params["kernel"], rtol=1e-5)


def test_gates_together(tmp_path):
    ended, decisions, served = deleted(tmp_path, (first_two, nobody))
    assert (ended["status"], ended["model_version"]) == ("failed", None)
    assert "refused by nobody: never" in ended["error"]
    assert [each["gate"] for each in decisions] == ["first two", "nobody"]
    assert decisions[1]["scores"] == [None] * 4
    assert served.version.number == 1


@pytest.mark.parametrize(("gate", "told"), [(raises, "RuntimeError: broken"), (wrong, "no Decision about 4 samples")])
def test_a_gate_that_fails_lets_nothing_pass(tmp_path, gate, told):
    ended, _, served = deleted(tmp_path, (gate,))
    assert ended["status"] == "failed"
    assert told in ended["error"]
    assert served.version.number == 1
    assert answers(served.predict, IMAGES).shape == (4, 4)
