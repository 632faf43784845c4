"""What a push costs by width: records of several widths by hand."""

from pathlib import Path

import pytest
from absl import app

from experiments.controls import widths
from experiments.controls.cells import LEFT_OUT
from experiments.controls.page import number, points
from experiments.run.records import append_records, read_records


def _rows(width: int, seed: int, harm: float, **more) -> list[dict[str, object]]:
    shared = {
        "method": "first_order", "reading": "corrected", "model": f"VGG-3 width {width}", "seed": seed,
        "commit": "abc", "device": "a GPU", "overall_before": 0.8, "class_a_before": 0.9,
    }  # fmt: skip
    own = {"times_honest": 1.0, "cosine": 1.0, "class_a": 0.84, "class_a_of_longer_honest": 0.84}
    pushed = {"class_a": 0.84 - harm, "class_a_of_longer_honest": 0.86 - harm, "times_honest": 3.0}
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
    assert (tmp_path / "widths.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(app.UsageError, match=r"no controls\.jsonl there or below"):
        widths.write(tmp_path / "elsewhere")


def test_the_site_says_what_the_rows_say():
    folder = Path(__file__).parents[2]
    files = sorted((folder / "experiments" / "results" / "controls").rglob("controls.jsonl"))
    rows = [row for file in files for row in read_records(file)]
    of = {(each.reading, each.width): each for each in widths.by_width(rows)}
    code, corrected, equation = (of[reading, 128] for reading in ("authors_code", "corrected", "equation"))
    paper, defences = (" ".join((folder / "docs" / f"{name}.md").read_text().split()) for name in ("paper", "defences"))
    assert f"{points(code.harm._replace(count=1))} points under the authors' code" in paper
    assert f"{points(corrected.harm)} under `corrected`" in paper
    assert f"costs {100 * code.five_times.mean:.0f} and {100 * corrected.five_times.mean:.0f} points there" in paper
    assert f"the step is {number(corrected.times)} times as long" in defences
    left = f"of {100 * corrected.harm.mean:.1f} points {points(corrected.beyond_longer)} are left"
    assert left in defences
    both = f"{100 * code.beyond_longer.mean:.1f} and {100 * equation.beyond_longer.mean:.1f} (two victims)"
    assert both in defences
    text = (folder / "experiments" / "results" / "controls" / "widths.md").read_text()
    assert text == widths.markdown(rows, widths.by_width(rows))
