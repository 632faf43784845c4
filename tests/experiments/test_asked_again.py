"""How far apart two machines leave class A: by method, and only of requests that were asked of the same victims."""

import pytest

from experiments.defences.again_page import agreements, at_gates, section


def record(request: str, class_a: float | None, through: int = 9, **other: object) -> dict:
    return {
        "seed": 0, "victim": "one", "method": "scrub", "defence": "none", "refuse": None, "request": request,
        "through": through, "class_a": class_a, "device": "a machine", "commit": "0123",
    } | other  # fmt: skip


def test_by_method_and_in_points():
    rows = [record("normal", 0.70), record("pushing_1", 0.50), record("normal", 0.1, method="influence")]
    again = [record("pushing_1", 0.47, through=8), record("normal", 0.71), record("normal", 0.1, method="influence")]
    one, other = agreements(again, rows)
    assert (one.method, one.requests, one.as_many_through, one.furthest) == ("scrub", 2, 1, "pushing_1")
    assert one.mean == pytest.approx(0.02)
    assert one.most == pytest.approx(0.03)
    assert (other.method, other.most, other.as_many_through) == ("influence", 0, 1)
    lines = [line for line in section(again, rows).splitlines() if line.startswith("| scrub")]
    assert [cell.strip() for cell in lines[0].split("|")[1:-1]] == [
        "scrub",
        "a machine",
        "2 of 2",
        "1",
        "0",
        "2.00",
        "3.0 (Pushing-I)",
    ]


def test_requests_that_left_no_model():
    rows = [record("normal", 0.7), record("pushing_1", None), record("pushing_2", None)]
    again = [record("normal", 0.69), record("pushing_1", None), record("pushing_2", 0.1)]
    [found] = agreements(again, rows)
    assert (found.requests, found.one_destroyed, found.furthest) == (3, 1, "normal")
    assert found.mean == found.most == pytest.approx(0.01)
    assert "| 3 of 3     | 3                         | 1   " in section(again, rows)
    [nothing_left] = agreements(again[1:2], rows)
    assert (nothing_left.one_destroyed, nothing_left.furthest) == (0, "")
    assert "| –" in section(again[1:2], rows)


@pytest.mark.parametrize("other", [{"victim": "two"}, {"request": "blending"}])
def test_what_was_not_asked_before(other: dict):
    with pytest.raises(ValueError, match=r"asked_again.jsonl has .* and harm.jsonl has no such record"):
        agreements([record("normal", 0.7) | other], [record("normal", 0.7)])


def at_a_gate(name: str, accepted: int) -> dict:
    return {
        "seed": 0, "victim": "one", "gate": "exact", "refuse": None, "who": "honest", "name": name, "samples": 400,
        "accepted": accepted,
    }  # fmt: skip


def test_counts_at_the_gates():
    rows = [at_a_gate("png", 400), at_a_gate("webp", 12)]
    apart = at_gates([at_a_gate("webp", 9), at_a_gate("png", 400)], rows)
    assert apart == [3, 0]
    text = section([record("normal", 0.7)], [record("normal", 0.7)], apart)
    assert "Of 2 counts of who gets through a gate 1 are the same again; the furthest is 3 of" in text
    with pytest.raises(ValueError, match=r"gates_asked_again.jsonl has .*jpeg.* and gates.jsonl has not"):
        at_gates([at_a_gate("jpeg", 9)], rows)
