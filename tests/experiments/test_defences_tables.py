"""What the page of the defences makes of records: sums over victims, sentences, tables."""

from pathlib import Path

import pytest

from experiments.defences import page
from experiments.defences.method_bounds import CAP
from experiments.defences.people import AS_TRAINED, WRONG
from experiments.defences.summary import harms, prices
from experiments.run.records import append_records
from overunlearn_jax.attack_names import HONEST


def gate_row(seed: int, who: str, name: str, accepted: int, auc: float | None = None) -> dict:
    shared = {"seed": seed, "gate": "lof", "refuse": 0.05, "threshold": 1.0, "samples": 10, "seconds_a_sample": 0.001}
    return shared | {"who": who, "name": name, "accepted": accepted, "auc": auc}


GATE_ROWS = [
    row
    for seed, more in enumerate((0, 1))
    for row in (
        gate_row(seed, "honest", AS_TRAINED, 9 + more),
        gate_row(seed, "honest", "png", 8 + more),
        gate_row(seed, "honest", "webp", 4 + more),
        gate_row(seed, "honest", WRONG, 5 + more),
        gate_row(seed, "static", "pushing_1", 2 + more, 0.8),
        gate_row(seed, "static", "pushing_2", 2 + more, 0.8),
        gate_row(seed, "adaptive", "retreat_1", 10, 0.5),
    )
]


def harm_row(seed: int, defence: str, request: str, class_a: float | None, **values: object) -> dict:
    shared = {
        "seed": seed, "method": "first_order", "method_settings": "", "defence": defence, "refuse": None,
        "request": request, "adaptive": False, "samples": 10, "through": 10, "class_a": class_a, "overall": 0.7,
        "model": "VGG-3 width 16", "commit": "abc", "cpu": "a CPU", "command": "python x.py",
    }  # fmt: skip
    return shared | values


HARM_ROWS = [
    row
    for seed, more in enumerate((0.0, 0.02))
    for row in (
        harm_row(seed, "none", HONEST, 0.8 + more),
        harm_row(seed, "none", "pushing_1", 0.5 + more),
        harm_row(seed, "lof", HONEST, 0.81 + more, refuse=0.05),
        harm_row(seed, "lof", "pushing_1", 0.78 + more, refuse=0.05, through=2),
        harm_row(seed, "lof", "retreat_1", 0.6 + more, refuse=0.05, adaptive=True),
        harm_row(seed, "bound", HONEST, 0.8 + more),
        harm_row(seed, "bound", "pushing_1", None if seed else 0.79),
    )
]


def test_sums_over_victims_take_the_best_attacker():
    none, lof, bound = harms(HARM_ROWS, "first_order")
    assert none.static.mean == none.best.mean == pytest.approx(0.3)
    assert lof.static.mean == pytest.approx(0.02)
    assert (lof.best.mean, lof.best_name) == (pytest.approx(0.2), "retreat_1")
    assert lof.honest.mean == pytest.approx(-0.01)
    assert lof.through.mean == 1.0
    assert bound.best.mean == pytest.approx((0.01 + 0.82) / 2)  # a model that is not left has lost everything
    newer = harm_row(0, "none", "pushing_2", 0.0)  # of one victim
    assert harms([*HARM_ROWS, newer], "first_order")[0].best_name == "pushing_1"
    [price] = prices(GATE_ROWS)
    assert price.by_way[AS_TRAINED].mean == pytest.approx(0.05)
    assert (price.worst_way, price.worst.mean) == ("webp", pytest.approx(0.55))
    assert price.stored.mean == pytest.approx(0.35)
    assert price.refused.mean == pytest.approx((0.05 + 0.15 + 0.55) / 3)  # wrong predictions are no way to arrive
    assert price.passes["pushing_1"].mean == pytest.approx(0.25)


def test_the_page_says_the_finding_first():
    text = page.markdown(GATE_ROWS, HARM_ROWS)
    first = text.split("##")[0]
    assert "a push costs class A 30.0 [30.0, 30.0] points beyond an honest request of the same samples" in first
    assert "* **Gates on a sample** (lof): 20.0 [20.0, 20.0] (lof) to 20.0 [20.0, 20.0] (lof)." in first
    assert "* **bound**: 41.5 " in first
    assert "Made at commit abc on a CPU by `python x.py`." in text


def test_the_page_of_another_method_alone(tmp_path: Path):
    append_records(tmp_path / "gates.jsonl", GATE_ROWS)
    append_records(tmp_path / "harm.jsonl", [row | {"class_a_before": 0.9} for row in ASCENT])
    text = page.write(tmp_path).read_text()
    assert "Undefended (gradient_ascent, 2 victims) a push costs class A 30.0" in text
    assert "## gradient_ascent" in text


METHODS = ["first_order", "gradient_ascent"]
ASCENT = [row | {"method": "gradient_ascent"} for row in HARM_ROWS if row["defence"] != "lof"]


def test_every_method_has_a_column(tmp_path: Path):
    newer = [harm_row(seed, "bound", "single_own", 0.1) for seed in range(2)]  # of one method
    told = page.methods_table([row | {"class_a_before": 0.9} for row in [*HARM_ROWS, *newer, *ASCENT]], METHODS)
    assert " gradient_ascent did not meet: one own sample, once." in told
    assert "| bound                | 71.0 " in told
    parted = [harm_row(seed, "none", "pushing_1 in 10 requests", 0.1) for seed in range(2)]  # of one method
    capped = [harm_row(seed, CAP, "pushing_1", 0.6, method="gradient_ascent") for seed in range(2)]
    before = [row | {"class_a_before": 0.9} for row in [*HARM_ROWS, *ASCENT, *capped, *parted]]
    table = page.methods_table(before, METHODS)
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()[4:]]
    assert [[name, *(cell.split(" ")[0] for cell in of_method)] for name, *of_method in cells] == [
        ["honest request alone", "9.0", "9.0"],
        ["none", "30.0", "30.0"],
        ["bound", "41.5", "41.5"],
        ["cap on dampening", "–", "21.0"],
    ]
    assert "## Every method behind its defences" in page.markdown(GATE_ROWS, before)
    assert "## Every method" not in page.markdown(GATE_ROWS, HARM_ROWS)


def test_the_files_of_a_page(tmp_path: Path):
    append_records(tmp_path / "gates.jsonl", GATE_ROWS)
    with pytest.raises(ValueError, match="no record of a method behind a defence"):
        page.write(tmp_path)
    append_records(tmp_path / "harm.jsonl", HARM_ROWS)
    assert page.write(tmp_path).read_text() == page.markdown(GATE_ROWS, HARM_ROWS)
    assert (tmp_path / "defences.png").stat().st_size > 10_000
