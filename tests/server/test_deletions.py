"""Deletions over HTTP: done once each, in order, of what is the sender's; all that may be wrong with one is told."""

import numpy as np
import pytest

pytest.importorskip("overunlearn_jax.server", exc_type=ImportError)

from overunlearn_jax.server.core import answers
from overunlearn_jax.server.receipts import Receipts, identifier_of, shared_out
from overunlearn_jax.server.settings import ServerSettings
from overunlearn_jax.services.fingerprint import weights_digest
from overunlearn_jax.types import DivergedError, Split
from tests.server.small_service import (
    BOB,
    BOSS,
    MODEL,
    RECEIPTS,
    SPEC,
    SPLITS,
    TRAINED,
    Gated,
    running,
    step,
    submission,
)

TRAIN, TEST = SPLITS.train, SPLITS.test.images
ALICES, BOBS = RECEIPTS.of_owner("alice"), RECEIPTS.of_owner("bob")


def by_identifier(rows: list[int]) -> dict:
    return {"by": "identifier", "identifiers": [identifier_of(int(TRAIN.ids[row])) for row in rows]}


def test_by_submission_is_the_method_s_step(tmp_path):
    images, labels = SPLITS.validation.images[:5], SPLITS.validation.labels[:5]  # whatever is submitted
    with running(tmp_path) as made:
        before, version = made.client.probabilities(TEST)
        sent = made.client.delete(submission(images, labels))
        assert (sent.status, sent.body["status"], sent.body["received"]) == (202, "pending", 5)
        assert sent.body["model_version"] is None
        ended = made.client.wait(sent.body["id"])
        assert {**ended, "seconds": 0} == {
            "id": sent.body["id"],
            "status": "completed",
            "model_version": "2",
            "error": None,
            "matched": None,  # the method does not look
            "seconds": 0,
        }
        after, later = made.client.probabilities(TEST)
    assert (version, later) == ("1", "2")
    expected = step(TRAINED, images, labels)
    np.testing.assert_allclose(after, answers(served_predict(expected), TEST), rtol=1e-4)
    assert np.abs(after - before).max() > 1e-3


def served_predict(variables):
    from overunlearn_jax.models import predict_fn

    return predict_fn(MODEL, variables)


def test_by_identifier_is_the_stored_sample(tmp_path):
    with running(tmp_path) as made:
        own = made.client.send("GET", "/receipts").body["receipts"]
        assert [each["label"] for each in own] == TRAIN.labels[ALICES].tolist()
        sent = made.client.delete({"by": "identifier", "identifiers": [each["identifier"] for each in own[:3]]})
        ended = made.client.wait(sent.body["id"])
        assert (ended["status"], ended["matched"]) == ("completed", 3)
        after, _ = made.client.probabilities(TEST)
        expected = step(TRAINED, TRAIN.images[ALICES[:3]], TRAIN.labels[ALICES[:3]])
        np.testing.assert_allclose(after, answers(served_predict(expected), TEST), rtol=1e-4)
        # what was forgotten before is not forgotten twice
        again = made.client.wait(made.client.delete(by_identifier(ALICES[:3]), "another").body["id"])
        assert (again["status"], again["matched"], again["model_version"]) == ("completed", 0, "2")
        more = made.client.wait(made.client.delete(by_identifier(ALICES[2:5]), "a third").body["id"])
        assert (more["matched"], more["model_version"]) == (2, "3")
        assert made.served.served.version.forgotten == set(map(int, TRAIN.ids[ALICES[:5]]))


def test_sent_twice_it_is_done_once(tmp_path):
    forget = Gated()
    with running(tmp_path, forget=forget) as made:
        first = made.client.delete(by_identifier(ALICES[:2]), "key")
        second = made.client.delete(by_identifier(ALICES[:2]), "key")
        assert first.status == second.status == 202
        assert first.body["id"] == second.body["id"]
        other = made.client.delete(by_identifier(ALICES[:3]), "key")
        assert (other.status, other.code) == (422, "idempotency_key_reused")
        bobs = made.as_(BOB).delete(by_identifier(BOBS[:2]), "key")  # a key is its owner's
        assert bobs.body["id"] != first.body["id"]
        forget.go.set()
        assert made.client.wait(first.body["id"])["model_version"] == "2"
        late = made.client.delete(by_identifier(ALICES[:2]), "key")
        assert (late.body["status"], late.body["model_version"]) == ("completed", "2")
        made.as_(BOB).wait(bobs.body["id"])
        assert forget.calls == 2


def test_two_at_once_are_done_one_after_the_other(tmp_path):
    forget = Gated()
    with running(tmp_path, forget=forget) as made:
        one = made.client.delete(by_identifier(ALICES[:1]), "one").body["id"]
        assert forget.begun.wait(10)
        two = made.as_(BOB).delete(by_identifier(BOBS[:1]), "two").body["id"]
        assert made.client.send("GET", f"/deletions/{one}").body["status"] == "in_progress"
        assert made.as_(BOB).send("GET", f"/deletions/{two}").body["status"] == "pending"
        probabilities, version = made.client.probabilities(TEST)  # predictions go on
        assert version == "1"
        np.testing.assert_array_equal(probabilities, answers(served_predict(TRAINED), TEST))
        forget.go.set()
        assert made.client.wait(one)["model_version"] == "2"
        assert made.as_(BOB).wait(two)["model_version"] == "3"


def test_cancelled_while_it_waits(tmp_path):
    forget = Gated()
    with running(tmp_path, forget=forget) as made:
        one = made.client.delete(by_identifier(ALICES[:1]), "one").body["id"]
        two = made.client.delete(by_identifier(ALICES[1:2]), "two").body["id"]
        assert forget.begun.wait(10)
        for _ in range(2):  # again: the same
            cancelled = made.client.send("DELETE", f"/deletions/{two}")
            assert (cancelled.status, cancelled.body["status"]) == (200, "cancelled")
        late = made.client.send("DELETE", f"/deletions/{one}")
        assert (late.status, late.code) == (409, "not_pending")
        forget.go.set()
        made.client.wait(one)
        assert made.client.wait(two)["status"] == "cancelled"
        assert forget.calls == 1
        [row] = made.served.journal.rows("SELECT COUNT(*) FROM deletions WHERE payload IS NOT NULL")
        assert row[0] == 0, "what was submitted is erased"


def test_nobody_sees_or_deletes_what_is_another_s(tmp_path):
    with running(tmp_path) as made:
        one = made.client.delete(by_identifier(ALICES[:1])).body["id"]
        made.client.wait(one)
        bob = made.as_(BOB)
        for method in ("GET", "DELETE"):
            got = bob.send(method, f"/deletions/{one}")
            assert (got.status, got.code) == (404, "unknown_deletion")
        foreign, unknown = bob.delete(by_identifier(ALICES[:1])), bob.delete({"by": "identifier", "identifiers": ["x"]})
        assert (foreign.status, foreign.code) == (unknown.status, unknown.code) == (404, "unknown_identifier")
        assert made.refusals()[-2:] == [("POST /deletions", "unknown_identifier")] * 2
        assert made.served.served.version.number == 2


def test_with_receipts_a_submission_has_to_be_one_s_own_sample(tmp_path):
    images, labels = TRAIN.images[ALICES[:3]], TRAIN.labels[ALICES[:3]]
    with running(tmp_path, ServerSettings(receipts=True)) as made:
        for wrong in (
            submission(TRAIN.images[BOBS[:1]], TRAIN.labels[BOBS[:1]]),
            submission(np.clip(images + 0.01, -0.5, 0.5), labels),
            submission(images, (labels + 1) % 4),
            submission(SPLITS.test.images[:1], SPLITS.test.labels[:1]),
        ):
            got = made.client.delete(wrong)
            assert (got.status, got.code) == (403, "not_yours")
        assert made.served.served.version.number == 1
        nearly = np.rint(255 * (images + 0.5)) / 255 - 0.5  # what is left of them in 8 bits
        ended = made.client.wait(made.client.delete(submission(nearly, labels)).body["id"])
        assert (ended["status"], ended["matched"]) == ("completed", 3)
        after, _ = made.client.probabilities(TEST)
    expected = step(TRAINED, images, labels)  # the samples as they were handed in
    np.testing.assert_allclose(after, answers(served_predict(expected), TEST), rtol=1e-4)


GOOD = submission(TEST[:2], SPLITS.test.labels[:2])


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b'{"by": "submission", "images": [[[[NaN', 400, "invalid_json"),
        (b'{"by": "submission", "labels": [NaN]}', 400, "invalid_json"),
        ({}, 422, "wrong_field"),
        ({"by": "magic"}, 422, "wrong_field"),
        ({"by": []}, 422, "wrong_field"),
        ({"by": "submission"}, 422, "missing_field"),
        (GOOD | {"more": 1}, 422, "unknown_field"),
        (GOOD | {"pixels": "signed"}, 422, "wrong_pixels"),
        (GOOD | {"pixels": ["unit"]}, 422, "wrong_pixels"),
        (GOOD | {"pixels": "uint8"}, 422, "out_of_range"),
        (GOOD | {"images": [[[0.5] * 3] * 3] * 2}, 422, "wrong_shape"),
        (GOOD | {"images": [[[[0.5]] * 28] * 28] * 2}, 422, "wrong_shape"),
        (GOOD | {"images": []}, 422, "wrong_shape"),
        (GOOD | {"images": "0.5"}, 422, "no_numbers"),
        (GOOD | {"images": [[[[-0.5]] * 3] * 3] * 2}, 422, "out_of_range"),
        (GOOD | {"labels": [0]}, 422, "wrong_labels"),
        (GOOD | {"labels": [0.0, 1.0]}, 422, "wrong_labels"),
        (GOOD | {"labels": [0, 4]}, 422, "unknown_class"),
        (GOOD | {"labels": [0, -1]}, 422, "unknown_class"),
        (GOOD | {"labels": [0, 2**63]}, 422, "wrong_labels"),
        (GOOD | {"labels": ["0", "1"]}, 422, "no_numbers"),
        (submission(np.repeat(TEST, 30, axis=0), [0] * 1200), 422, "too_many_samples"),
        ({"by": "identifier", "identifiers": []}, 422, "wrong_identifiers"),
        ({"by": "identifier", "identifiers": [1]}, 422, "wrong_identifiers"),
        ({"by": "identifier", "identifiers": ["x"] * 1001}, 422, "too_many_samples"),
        ({"by": "identifier", "identifiers": ["x"], "labels": [1]}, 422, "unknown_field"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_wrong_deletions_change_nothing_and_are_journalled(wrong_service, body, status, code):
    got = wrong_service.client.delete(body)
    assert (got.status, got.code) == (status, code)
    assert wrong_service.refusals()[-1] == ("POST /deletions", code)
    assert weights_digest(wrong_service.served.served.variables) == weights_digest(TRAINED)
    assert wrong_service.served.queue.counts()["pending"] == 0


@pytest.fixture(scope="module")
def wrong_service(tmp_path_factory):
    with running(tmp_path_factory.mktemp("service"), ServerSettings(most_samples=1000)) as made:
        yield made


@pytest.mark.parametrize("key", [None, "", "x" * 201])
def test_a_deletion_needs_a_key(wrong_service, key):
    headers = {} if key is None else {"Idempotency_Key": key}
    got = wrong_service.client.send("POST", "/deletions", GOOD, **headers)
    assert (got.status, got.code) == (400, "missing_idempotency_key")


def test_what_comes_without_a_token_is_counted_and_leaves_the_journal_alone(wrong_service):
    wrong_service.client.delete({})
    before = wrong_service.refusals()
    for token in ("", "not a token of anyone"):
        nobody = wrong_service.as_(token)
        got = nobody.delete(GOOD)
        assert (got.status, got.code) == (401, "unauthorized")
        assert nobody.send("POST", "/snapshots").status == 401
        assert nobody.send("PUT", "/deletions").status == 405
        assert nobody.send("GET", "/deletions/x/y").status == 404
    assert wrong_service.refusals() == before
    counted = wrong_service.client.send("GET", "/metrics").body.splitlines()
    assert 'http_requests_total{route="POST /deletions",status="401"} 2.0' in counted


def test_a_class_that_was_never_there(tmp_path):
    kept = TRAIN.labels != 3
    train = Split(*(part[kept] for part in TRAIN))
    with running(tmp_path, receipts=Receipts(train, shared_out(len(train.labels), ("alice",)), SPEC.bounds)) as made:
        got = made.client.delete(submission(TEST[:2], [3, 0]))
        assert (got.status, got.code) == (422, "unknown_class")


def test_the_queue_is_bounded(tmp_path):
    forget = Gated()
    with running(tmp_path, ServerSettings(most_pending=2, most_pending_per_owner=9), forget=forget) as made:
        made.client.delete(GOOD, "first")
        assert forget.begun.wait(10)
        sent = [made.client.delete(GOOD, f"key {number}") for number in range(3)]
        assert [each.status for each in sent] == [202, 202, 429]
        assert sent[-1].code == "queue_full"
        assert sent[-1].headers["Retry-After"]
        assert made.client.delete(GOOD, "key 0").status == 202, "one that waits is found again"
        forget.go.set()


@pytest.mark.parametrize(("per_owner", "share"), [(0, 2), (3, 3)])
def test_nobody_takes_the_places_of_the_others(tmp_path, per_owner, share):
    forget = Gated()
    settings = ServerSettings(most_pending=6, most_pending_per_owner=per_owner)  # for three owners
    with running(tmp_path, settings, forget=forget) as made:
        made.client.delete(GOOD, "first")
        assert forget.begun.wait(10)
        sent = [made.client.delete(GOOD, f"key {number}") for number in range(6)]
        assert [each.status for each in sent] == [202] * share + [429] * (6 - share)
        assert sent[-1].code == "owner_queue_full"
        assert sent[-1].headers["Retry-After"]
        assert f"{share} deletions of yours wait already" in sent[-1].body["error"]["message"]
        bobs = made.as_(BOB).delete(GOOD, "bob's")
        assert bobs.status == 202
        forget.go.set()
        ended = [made.client.wait(each.body["id"]) for each in sent[:share]] + [made.as_(BOB).wait(bobs.body["id"])]
        assert [int(each["model_version"]) for each in ended] == list(range(3, share + 4)), "in the order of arrival"


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (DivergedError("blew up"), "diverged: blew up"),
        (AssertionError("never"), "the method failed: AssertionError: never"),
        (ValueError("no such thing"), "the method failed: ValueError: no such thing"),
    ],
)
def test_a_method_that_fails_leaves_the_model(tmp_path, error, told):
    def fails(*_):
        raise error

    with running(tmp_path, forget=fails) as made:
        ended = made.client.wait(made.client.delete(GOOD).body["id"])
        assert (ended["status"], ended["error"], ended["model_version"]) == ("failed", told, None)
        assert made.client.probabilities(TEST)[1] == "1"
        assert made.client.send("GET", "/v2/health/ready").status == 200


def test_snapshots(tmp_path):
    with running(tmp_path) as made:
        boss = made.as_(BOSS)
        for path in ("/snapshots", "/snapshots/x/restore"):
            got = made.client.send("POST", path)
            assert (got.status, got.code) == (403, "forbidden")
        assert boss.send("POST", "/snapshots/0000000000000000/restore").code == "unknown_snapshot"
        before, _ = made.client.probabilities(TEST)
        taken = boss.send("POST", "/snapshots")
        assert taken.status == 201
        afters = []
        for round_ in range(2):  # a deletion after a restore is a new version, and begins where the snapshot was
            ended = made.client.wait(made.client.delete(by_identifier(ALICES[:3]), f"round {round_}").body["id"])
            assert (ended["matched"], ended["model_version"]) == (3, str(2 + round_))
            after, _ = made.client.probabilities(TEST)
            afters.append(after)
            restored = boss.send("POST", f"/snapshots/{taken.body['id']}/restore")
            assert restored.body == {"model_version": "1"}
            again, version = made.client.probabilities(TEST)
            np.testing.assert_array_equal(again, before)
            assert version == "1"
    np.testing.assert_array_equal(*afters)


def test_a_deletion_that_a_restore_undid_says_so_and_is_done_again(tmp_path):
    forget = Gated()
    forget.go.set()
    with running(tmp_path, forget=forget) as made:
        boss, own, again = made.as_(BOSS), by_identifier(ALICES[1:3]), by_identifier(ALICES[2:3])

        def stands(deletion):
            body = made.client.send("GET", f"/deletions/{deletion}").body
            return body["status"], body["model_version"]

        earlier = made.client.delete(by_identifier(ALICES[:1]), "earlier").body["id"]
        made.client.wait(earlier)
        before = boss.send("POST", "/snapshots").body["id"]
        deletion = made.client.delete(own, "key").body["id"]
        made.client.wait(deletion)
        nothing_left = made.client.delete(again, "of what is forgotten").body["id"]
        made.client.wait(nothing_left)
        after = boss.send("POST", "/snapshots").body["id"]
        assert [stands(each) for each in (earlier, deletion, nothing_left)] == [
            ("completed", "2"),
            ("completed", "3"),
            ("completed", "3"),
        ]
        boss.send("POST", f"/snapshots/{before}/restore")
        assert [stands(each) for each in (earlier, deletion, nothing_left)] == [
            ("completed", "2"),
            ("undone", None),
            ("undone", None),
        ]
        assert made.served.queue.counts()["undone"] == 2
        boss.send("POST", f"/snapshots/{after}/restore")  # a model that has done it
        assert stands(deletion) == stands(nothing_left) == ("completed", "3")
        boss.send("POST", f"/snapshots/{before}/restore")

        other = made.client.delete(again, "key")
        assert (other.status, other.code) == (422, "idempotency_key_reused")
        sent = made.client.delete(own, "key")
        assert (sent.status, sent.body) == (
            202,
            {"id": deletion, "status": "pending", "model_version": None, "received": 2},
        )
        ended = made.client.wait(deletion)
        assert (ended["status"], ended["model_version"], ended["matched"]) == ("completed", "4", 2)
        assert made.served.served.version.forgotten == set(map(int, TRAIN.ids[ALICES[:3]]))
        assert made.client.delete(own, "key").body["status"] == "completed"
        assert forget.calls == 3
        boss.send("POST", f"/snapshots/{after}/restore")  # what made version 3 is the same deletion
        assert stands(deletion) == ("completed", "3")


def test_a_restore_overtakes_a_deletion_under_way(tmp_path):
    forget = Gated()
    with running(tmp_path, forget=forget) as made:
        boss = made.as_(BOSS)
        forget.go.set()
        made.client.wait(made.client.delete(by_identifier(ALICES[:1]), "before").body["id"])
        taken = boss.send("POST", "/snapshots").body["id"]
        made.client.wait(made.client.delete(by_identifier(ALICES[1:2]), "between").body["id"])
        forget.go.clear()
        forget.begun.clear()
        late = made.client.delete(by_identifier(ALICES[2:3]), "late").body["id"]
        assert forget.begun.wait(10)
        assert boss.send("POST", f"/snapshots/{taken}/restore").body == {"model_version": "2"}
        forget.go.set()
        assert made.client.wait(late)["status"] == "completed"
        ids = set(map(int, TRAIN.ids[[ALICES[0], ALICES[2]]]))
        assert made.served.served.version.forgotten == ids, "it began anew from the snapshot"
        assert forget.calls == 4


def test_every_answer_under_deletions_is_of_the_version_that_it_names(tmp_path):
    seen: dict[str, set[bytes]] = {}
    with running(tmp_path, ServerSettings(keep_versions=100)) as made:
        names = [made.client.delete(by_identifier([row]), f"{row}").body["id"] for row in ALICES[:12]]
        while made.served.queue.counts()["completed"] < len(names):
            probabilities, version = made.client.probabilities(TEST)
            seen.setdefault(version, set()).add(probabilities.tobytes())
        for version, found in seen.items():
            kept = made.served.lineage.version(int(version))
            variables = made.served.files.read(kept.number, kept.digest)
            assert found == {answers(served_predict(variables), TEST).tobytes()}
    assert len(seen) > 1
