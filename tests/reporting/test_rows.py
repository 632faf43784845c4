"""The results file survives kills, full disks and callers' mistakes."""

import errno
import json
import os
import resource
import signal

import numpy as np
import pytest

from overunlearn_jax.reporting.row import REQUIRED_KEYS
from overunlearn_jax.reporting.rows import append_row, read_rows
from tests.reporting.example_rows import example_row


def test_rows_come_back_as_written(tmp_path):
    path = tmp_path / "deep" / "rows.jsonl"
    rows = [example_row("normal", 0), example_row("pushing_1", 0, tau=None, dataset_note="ünï\nline")]
    for row in rows:
        append_row(path, row)
    assert read_rows(path) == rows
    assert path.read_bytes().count(b"\n") == 2


def test_numpy_values_are_written_as_plain_json(tmp_path):
    path = tmp_path / "rows.jsonl"
    append_row(path, example_row(seed=np.int64(3), overall=np.float32(0.5), class_a_predicted=np.array([1, 2, 3])))
    (row,) = read_rows(path)
    assert (row["seed"], row["overall"], row["class_a_predicted"]) == (3, 0.5, [1, 2, 3])


def test_further_keys_are_kept(tmp_path):
    append_row(tmp_path / "rows.jsonl", example_row() | {"lpips_mean": 0.03})
    assert read_rows(tmp_path / "rows.jsonl")[0]["lpips_mean"] == 0.03


@pytest.mark.parametrize("key", REQUIRED_KEYS)
def test_every_required_key_is_required(tmp_path, key):
    row = example_row()
    del row[key]
    with pytest.raises(ValueError, match=f"lacks {key}"):
        append_row(tmp_path / "rows.jsonl", row)
    assert not (tmp_path / "rows.jsonl").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"l2_mean": float("nan")}, "l2_mean"),
        ({"tau": float("inf")}, "tau"),
        ({"queries": np.float32("nan")}, "queries"),
        ({"per_class": [0.5, float("nan")]}, "per_class"),
        ({"per_class": np.array([0.5, np.nan])}, "per_class"),
        ({"class_a": 85.0}, "class_a must be a fraction"),
        ({"overall": "0.5"}, "overall must be a fraction"),
    ],
)
def test_numbers_that_are_no_numbers_are_refused(tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        append_row(tmp_path / "rows.jsonl", example_row(**changes))
    assert not (tmp_path / "rows.jsonl").exists()


@pytest.mark.parametrize("kept_bytes", [1, 2, 100, -2, -1])
def test_half_a_line_at_the_end_is_dropped_and_never_glued_onto(tmp_path, kept_bytes):
    path = tmp_path / "rows.jsonl"
    append_row(path, example_row(seed=0))
    append_row(path, example_row(seed=1))
    first, second, _ = path.read_bytes().split(b"\n")
    path.write_bytes(first + b"\n" + second[:kept_bytes])
    assert [row["seed"] for row in read_rows(path)] == [0]
    append_row(path, example_row(seed=2))
    assert [row["seed"] for row in read_rows(path)] == [0, 2]
    assert path.read_bytes().endswith(b"}\n")


def test_half_a_first_line_leaves_an_empty_file(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"cell": "a')
    assert read_rows(path) == []
    append_row(path, example_row(seed=2))
    assert [row["seed"] for row in read_rows(path)] == [2]


def test_half_a_character_at_the_end_is_dropped(tmp_path):
    path = tmp_path / "rows.jsonl"
    append_row(path, example_row(seed=0))
    with open(path, "ab") as file:
        file.write('{"dataset_note": "ü'.encode()[:-1])
    assert [row["seed"] for row in read_rows(path)] == [0]


def test_a_whole_last_row_without_its_line_break_is_kept(tmp_path):
    path = tmp_path / "rows.jsonl"
    append_row(path, example_row(seed=0))
    path.write_bytes(path.read_bytes().rstrip(b"\n"))
    assert [row["seed"] for row in read_rows(path)] == [0]
    append_row(path, example_row(seed=1))
    assert [row["seed"] for row in read_rows(path)] == [0, 1]


@pytest.mark.parametrize(
    "bad_line",
    [
        b'{"cell": "a',
        b"[]",
        b"{}",
        b"\xff",
        json.dumps(example_row() | {"l2_mean": float("nan")}).encode(),
    ],
    ids=["half", "list", "empty", "not utf-8", "nan"],
)
def test_a_bad_line_elsewhere_names_the_file_the_line_and_what_to_do(tmp_path, bad_line):
    path = tmp_path / "rows.jsonl"
    append_row(path, example_row(seed=0))
    path.write_bytes(path.read_bytes() + bad_line + b"\n" + path.read_bytes())
    with pytest.raises(ValueError, match=r"rows\.jsonl, line 2 .* Delete that line"):
        read_rows(path)


def test_the_line_is_synced_before_append_row_returns(tmp_path, monkeypatch):
    sizes = []
    fsync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: (sizes.append(os.fstat(fd).st_size), fsync(fd)))
    append_row(tmp_path / "rows.jsonl", example_row())
    assert sizes == [(tmp_path / "rows.jsonl").stat().st_size]


def test_a_file_that_cannot_grow_keeps_its_rows_and_says_so(tmp_path):
    path = tmp_path / "rows.jsonl"
    append_row(path, example_row(seed=0))
    before = path.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 50, hard))  # the disk is full after 50 bytes more
    try:
        with pytest.raises(OSError, match="already in the file are safe") as caught:
            append_row(path, example_row(seed=1))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)
    assert caught.value.errno == errno.EFBIG
    assert caught.value.filename == str(path)
    assert path.read_bytes() == before


def test_a_full_disk_found_out_by_fsync_keeps_the_rows(tmp_path, monkeypatch):
    path = tmp_path / "rows.jsonl"
    append_row(path, example_row(seed=0))
    before = path.read_bytes()

    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match=r"No space left on device.*rows\.jsonl") as caught:
            append_row(path, example_row(seed=1))
    assert caught.value.errno == errno.ENOSPC
    assert path.read_bytes() == before


def test_a_cell_that_stands_twice_and_is_equal_counts_once(tmp_path):
    path = tmp_path / "rows.jsonl"
    for seed, seconds in ((0, 1.0), (1, 1.0), (0, 2.0), (1, 3.0)):  # two runs at once
        append_row(path, example_row(seed=seed, cell=f"cell {seed}", seconds_attack=seconds))
    assert [(row["seed"], row["seconds_attack"]) for row in read_rows(path)] == [(0, 1.0), (1, 1.0)]
    append_row(path, example_row(seed=0, cell="cell 0", queries=12345))
    assert len(read_rows(path)) == 3  # they contradict each other: whoever compares them says so


def test_what_was_changed_since_it_was_written_is_told(tmp_path):
    path = tmp_path / "rows.jsonl"
    append_row(path, example_row(seed=0))
    append_row(path, example_row(seed=1))
    text = path.read_text()
    for old, new in (('"seed": 1', '"seed": 2'), ('"digest"', '"dagest"'), ('"seed": 1', '"seed": 1, "seed": 0')):
        path.write_text(new.join(text.rsplit(old, 1)))
        with pytest.raises(ValueError, match=r"rows\.jsonl, line 2 .* changed since it was written Delete that line"):
            read_rows(path)


def test_rows_of_older_versions_have_no_digest(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(example_row(seed=0)) + "\n")
    append_row(path, example_row(seed=1))
    assert read_rows(path) == [example_row(seed=0), example_row(seed=1)]
    assert ["digest" in line for line in path.read_text().splitlines()] == [False, True]
