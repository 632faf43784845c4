"""The page of the reference service's measurements says what the numbers say."""

from experiments.benchmarks.server_faults import WRONG
from experiments.benchmarks.server_page import markdown

ROW = {"requests": 9, "p50_ms": 1.0, "p99_ms": 2.0, "deleting_p50_ms": 3.0, "deleting_p99_ms": 4.0, "deletions": 5}
RATES = ("in_process_images_a_second", "images_a_second", "deleting_images_a_second")
LOAD = {
    "rows": [
        ROW | dict(zip(RATES, (6000.0, 800.0, 400.0), strict=True)) | {"batch": 1, "in_flight": 1},
        ROW | dict(zip(RATES, (20_000.0, 12_000.0, 7000.0), strict=True)) | {"batch": 128, "in_flight": 4},
    ],
    "requests": 100_000, "requests_a_second": 700.0, "memory_before": 900 * 2**20, "memory_after": 901 * 2**20,
}  # fmt: skip
FAULTS = {
    "kills": 100, "deletions_acknowledged": 3000, "sent_again": 60, "predictions": 50_000, "versions_asked": 2500,
    "seconds_to_start": 4.2, "interrupted_and_done_again": 70, **dict.fromkeys(WRONG, 0),
}  # fmt: skip


def test_what_was_found_stands_first():
    text = markdown(LOAD, FAULTS)
    first = text.splitlines()[2]
    assert "Killed 100 times under load it lost 0 and did 0 twice** of 3,000 acknowledged deletions" in first
    assert "70 were interrupted and done again, 60 sent again" in first
    assert "add up to 0." in first
    assert "12,000 images a second**, 60% of what" in text
    assert "within 3.0 ms in place of 1.0, and 99 of 100 within 4.0 in place of 2.0" in text
    assert "**100,000 requests change its memory by 1.0 MiB**: 900.0 before, 901.0 after" in text
    assert "| 128     | 4           | 20,000" in text


def test_faults_are_told():
    first = markdown(LOAD, FAULTS | {"lost": 2, "wrong_answers": 1}).splitlines()[2]
    assert "it lost 2 and did 0 twice" in first
    assert "1 versions gave an answer that is not theirs" in first
    assert "add up to 3." in first
