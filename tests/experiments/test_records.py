"""Records of a measurement: whole lines with digests, whatever kills or damages them."""

import json
from pathlib import Path

import pytest

from experiments.run.records import append_records, read_records


def test_records_come_back_in_their_order(tmp_path: Path):
    path = tmp_path / "folder" / "records.jsonl"
    assert read_records(path) == []
    append_records(path, [{"seed": 0, "harm": 0.5}, {"seed": 1, "harm": None}])
    append_records(path, [{"seed": 2}])
    assert read_records(path) == [{"seed": 0, "harm": 0.5}, {"seed": 1, "harm": None}, {"seed": 2}]
    assert all(json.loads(line)["digest"] for line in path.read_text().splitlines())


@pytest.mark.parametrize(("cut", "left"), [(1, 2), (20, 1)])  # the line break alone, or a part of the record
def test_what_a_kill_left_of_a_line_is_passed_over_and_then_removed(tmp_path: Path, cut: int, left: int):
    path = tmp_path / "records.jsonl"
    append_records(path, [{"seed": 0}, {"seed": 1}])
    path.write_bytes(path.read_bytes()[:-cut])
    assert len(read_records(path)) == left
    append_records(path, [{"seed": 2}])
    assert [each["seed"] for each in read_records(path)] == [*range(left), 2]


def test_a_changed_digit_is_named(tmp_path: Path):
    path = tmp_path / "records.jsonl"
    append_records(path, [{"harm": 0.5}, {"harm": 0.25}])
    path.write_text(path.read_text().replace("0.25", "0.75"))
    with pytest.raises(ValueError, match=r"records\.jsonl, line 2 is damaged .*: delete that line"):
        read_records(path)
    path.write_text("[1]\n")
    with pytest.raises(ValueError, match=r"line 1 is damaged \(it holds a list"):
        read_records(path)


def test_what_is_no_number_is_refused(tmp_path: Path):
    path = tmp_path / "records.jsonl"
    append_records(path, [{"harm": 0.5}])
    with pytest.raises(ValueError, match="Out of range float"):
        append_records(path, [{"harm": 0.25}, {"harm": float("nan")}])
    assert read_records(path) == [{"harm": 0.5}]
