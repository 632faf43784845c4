"""What a push costs by width: records of several widths by hand."""

from pathlib import Path

import pytest
from absl import app

from experiments.controls import widths
from experiments.controls.cells import LEFT_OUT
from experiments.run.records import append_records, read_records


def _rows(width: int, seed: int, harm: float, **more) -> list[dict[str, object]]:
    shared = {
        "method": "first_order", "reading": "corrected", "model": f"VGG-3 width {width}", "seed": seed,
        "commit": "abc", "device": "a GPU", "overall_before": 0.8, "class_a_before": 0.9,
    }  # fmt: skip
    own = {
        "times_honest": 1.0,
        "cosine": 1.0,
        "class_a": 0.84,
        "class_a_of_longer_honest": 0.84,
        "overall": 0.75,
        "rate": 1e-3,
    }
    pushed = {"overall": 0.7, "class_a": 0.84 - harm, "class_a_of_longer_honest": 0.86 - harm, "times_honest": 3.0}
    return [
        {**shared, **own, **more, "request": "normal"},
        {**shared, **own, **pushed, **more, "request": "pushing_1"},
        {**shared, **own, "class_a": 0.7, **more, "request": "five_times"},
    ]


ROWS = [
    *(row for seed, harm in enumerate((0.5, 0.6, 0.7)) for row in _rows(128, seed, harm)),
    *(row for seed, harm in enumerate((0.1, 0.3)) for row in _rows(16, seed, harm)),
    *_rows(16, 0, 0.9, method="gradient_ascent"),
    {**_rows(128, 3, 0.0)[0], LEFT_OUT: "no rate"},
]


def test_widths_stand_in_order_with_what_their_victims_lost():
    small, large = widths.by_width(ROWS)
    assert (small.width, small.harm.count, large.width, large.harm.count) == (16, 2, 128, 3)
    assert small.harm.mean == pytest.approx(0.2)
    assert large.harm.mean == pytest.approx(0.6)
    assert large.beyond_longer.mean == pytest.approx(0.02)
    assert large.times.mean == pytest.approx(3)
    assert large.five_times.mean == pytest.approx(0.2)
    with pytest.raises(ValueError, match="differ in their width alone"):
        widths.by_width(_rows(16, 0, 0.1, model="ResNet"))


def test_the_page_says_first_what_was_found(tmp_path: Path):
    append_records(tmp_path / "narrow" / "controls.jsonl", ROWS[9:])
    append_records(tmp_path / "wide" / "controls.jsonl", ROWS[:9])
    text = widths.write(tmp_path).read_text()
    first = "a push costs class A 20.0 at width 16, 60.0 [35.2, 84.8] at width 128 (paper, width 128: 52.2)"
    assert first in text.splitlines()[2]
    said = "* **undecided** under corrected: a push costs class A 60.0 [35.2, 84.8] points"  # it reaches below 50
    assert said in text
    assert "* Seed 3 of VGG-3 width 128 is left out of corrected: no rate" in text
    assert "on a GPU." in text
    assert "the whole model is lost" not in text
    assert (tmp_path / "widths.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(app.UsageError, match=r"no controls\.jsonl there or below"):
        widths.write(tmp_path / "elsewhere")


def test_the_page_is_that_of_its_rows():
    folder = Path(__file__).parents[2] / "experiments" / "results" / "controls"
    rows = [row for file in sorted(folder.rglob("controls.jsonl")) for row in read_records(file)]
    assert (folder / "widths.md").read_text() == widths.markdown(rows, widths.by_width(rows))


def test_a_model_that_the_honest_request_destroys_is_named():
    rows = _rows(128, 0, 0.1)
    rows[0]["overall"] = 0.108
    others = _rows(128, 0, 0.1, method="gradient_ascent", overall=0.1, rate=None)  # no rate is chosen for it
    text = widths.markdown([*rows, *others], widths.by_width(rows))
    assert text.count("the whole model is lost") == 1
    assert "* Seed 0 of VGG-3 width 128 under corrected: the class loses so much to an honest request only" in text
    assert "10.8 % of all test images right at rate 0.001." in text
