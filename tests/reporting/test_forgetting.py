"""The table of forgetting, and both pages with it and with an audit's judgement."""

from typing import NamedTuple

import pytest

from experiments.measures.forgetting import RELEARN_MARGIN, RELEARN_MOST
from overunlearn_jax.reporting import Judgement, forgetting_table, summary_markdown, write_report
from overunlearn_jax.reporting.forgetting import EXPLAINED, MEASURES
from tests.reporting.example_rows import example_row, three_seeds
from tests.reporting.test_html import read

OF_THE_ROW = ("overall", "class_a")  # what every row has, whether forgetting was measured or not


def forgotten(seed: int, **changes: float | None) -> dict[str, float | None]:
    """What a row says of forgetting: every number of the retrained model is 0.1, of the victim 0.9."""
    found: dict[str, float | None] = {}
    for suffix, value in (("", 0.4 + seed / 10), ("_before", 0.9), ("_retrained", 0.1)):
        found |= {f"{each.key}{suffix}": value for each in MEASURES if suffix or each.key not in OF_THE_ROW}
    return found | changes


def rows() -> list[dict]:
    return [row | forgotten(row["seed"]) for row in three_seeds()]


def test_a_line_a_request_then_the_retrained_model_and_the_victim():
    table = forgetting_table(rows())
    assert table is not None
    assert [line[0] for line in table.rows] == ["Honest request", "Pushing-I", "(retrained)", "(the victim)"]
    honest, _, retrained, victim = (dict(zip(table.headers, line, strict=True)) for line in table.rows)
    assert honest["forget accuracy %"] == "50.0 [25.2, 74.8]"  # 40, 50, 60: 10 * 2.484
    assert honest["confidence AUC"] == "0.500 [0.252, 0.748]"
    assert honest["test accuracy %"] == "78.0 [78.0, 78.0]"
    assert (retrained["LiRA AUC"], victim["LiRA AUC"]) == ("0.100 [0.100, 0.100]", "0.900 [0.900, 0.900]")
    assert retrained["JS to retrained"] == "–"
    assert victim["JS to retrained"] == "0.900 [0.900, 0.900]"


def test_what_was_not_measured_is_not_shown():
    assert forgetting_table(three_seeds()) is None
    without_lira = [{key: value for key, value in row.items() if "lira" not in key} for row in rows()]
    table = forgetting_table(without_lira)
    assert table is not None
    assert not any("LiRA" in header for header in table.headers)
    [one] = [row | forgotten(0, forget_accuracy=None) for row in [example_row()]]
    table = forgetting_table([one])
    assert table is not None
    assert table.rows[0][:4] == ("Honest request", "–", "40.0", "78.0")


def test_seeds_without_a_model_are_told():
    lost = forgotten(0, **{each.key: None for each in MEASURES}) | {"diverged": True}
    table = forgetting_table([row | (lost if row["seed"] == 1 else {}) for row in rows()])
    assert table is not None
    assert [line[0] for line in table.rows][:2] == ["Honest request (1 of 3 diverged)", "Pushing-I (1 of 3 diverged)"]


def test_the_words_tell_the_limits_of_relearning():
    assert f"at most {RELEARN_MOST}:" in EXPLAINED
    assert f"within {RELEARN_MARGIN} of" in EXPLAINED


class Shown(NamedTuple):
    name: str
    outcome: str
    passed: bool
    words: str


CLAIMS = [Shown("a", "safe", True, "noise: <safe>"), Shown("b", "vulnerable", False, "pushing_1: vulnerable")]


@pytest.mark.parametrize(
    ("claims", "headline"),
    [
        (CLAIMS, "Audit not passed: of 2 claims 1 vulnerable."),
        (CLAIMS[:1], "Audit passed: all 1 claims were shown."),
    ],
)
def test_both_pages_begin_with_the_judgement_and_show_forgetting(tmp_path, claims, headline):
    judgement = Judgement(claims, ["WARNING: it does nothing"])
    path = write_report(tmp_path / "report.html", rows(), [], {}, {}, "A title", judgement=judgement)
    page = read(path.read_text()).text
    markdown = summary_markdown(rows(), title="A title", judgement=judgement)
    for text in (page, markdown):
        told = [headline, "WARNING: it does nothing", "noise: ", "Over-unlearning found", "Did it forget?", "LiRA AUC"]
        places = [text.index(each) for each in told]
        assert places == sorted(places)
    assert "✓ noise: <safe>" in page
    assert "- passed: noise: \\<safe>" in markdown
    assert ("✗ pushing_1: vulnerable" in page) == (len(claims) == 2)
    assert ("- NOT PASSED: pushing_1: vulnerable" in markdown) == (len(claims) == 2)
