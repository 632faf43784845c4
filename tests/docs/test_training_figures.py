"""The table of training speed says what was measured."""

import json
from pathlib import Path

RESULTS = Path(__file__).parents[2] / "experiments" / "results"


def rows(name: str) -> dict[tuple[str, int], dict]:
    found = json.loads((RESULTS / name).read_text())
    assert "given_back" in name or not found["malloc"]
    return {(row["work"], row["width"]): row for row in found["rows"]}


def ratio(row: dict | None) -> str:
    return "{median:.2f} [{least:.2f}, {most:.2f}]".format(**row["ours_over_torch"]) if row else "-"


def test_the_table_of_training_speed():
    text = (RESULTS / "README.md").read_text()
    kept, given_back = rows("training.json"), rows("training_given_back.json")
    assert len(kept) == 6
    for (work, width), row in kept.items():
        ours, torch = (f"{row[side]['median']:,.0f}" for side in ("ours", "torch"))
        assert f"| {width} | {ours} | {torch} | {ratio(row)} | {ratio(given_back.get((work, width)))} |" in text
    slower = given_back["training", 32]["ours"]["median"], kept["training", 32]["ours"]["median"]
    assert {f"{value:.0f}" for value in slower} == {"389"}
