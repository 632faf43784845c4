"""The table of forgetting, and both pages with it and with an audit's judgement."""

import pytest

from experiments.measures.forgetting import RELEARN_MARGIN, RELEARN_MOST
from overunlearn_jax.reporting import Judgement, forgetting_table, summary_markdown, without_folds, write_report
from overunlearn_jax.reporting.forgetting import EXPLAINED, MEASURES
from overunlearn_jax.reporting.outcomes import INTACT
from tests.reporting.example_claims import ExampleClaim, honest
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
    assert honest["test accuracy %"] == "78.0 [76.0, 80.0]"  # 78 and 80 %: 50 test images
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


def test_intervals_are_no_finer_than_what_is_counted_and_end_where_a_number_does():
    changes = [forgotten(seed, forget_accuracy=value, relearn_steps=0) for seed, value in enumerate((0.9, 1.0, 1.0))]
    table = forgetting_table([row | changes[row["seed"]] for row in three_seeds()])
    assert table is not None
    cells = dict(zip(table.headers, table.rows[0], strict=True))
    assert cells["forget accuracy %"] == "96.7 [82.3, 100.0]"
    assert cells["relearn steps"] == "0.0 [0.0, 1.0]"
    same = forgetting_table([row | forgotten(0, forget_accuracy=0.5) for row in three_seeds()])
    assert same is not None
    assert same.rows[0][1] == "50.0 [49.7, 50.3]"  # one of 390 samples


def test_seeds_without_a_model_are_told():
    lost = forgotten(0, **{each.key: None for each in MEASURES}) | {"diverged": True}
    table = forgetting_table([row | (lost if row["seed"] == 1 else {}) for row in rows()])
    assert table is not None
    assert [line[0] for line in table.rows][:2] == ["Honest request (1 of 3 diverged)", "Pushing-I (1 of 3 diverged)"]


def test_the_words_tell_the_limits_of_relearning():
    assert f"at most {RELEARN_MOST}:" in EXPLAINED
    assert f"within {RELEARN_MARGIN} of" in EXPLAINED


@pytest.mark.parametrize(
    ("outcome", "headline"), [("vulnerable", "VULNERABLE: Pushing-I weighs 2"), ("safe", "SAFE: Pushing-I weighs 2")]
)
def test_both_pages_begin_with_the_judgement_and_show_forgetting(tmp_path, outcome, headline):
    judgement = Judgement([honest(INTACT), ExampleClaim(outcome, 2)], ["WARNING: it does nothing"], limit=0.05)
    path = write_report(tmp_path / "report.html", rows(), [], {}, {}, "A title", judgement=judgement)
    page = read(path.read_text()).text
    markdown = summary_markdown(rows(), title="A title", judgement=judgement)
    for text in (page[page.index("Audit: ") :], markdown):
        told = [
            headline,
            f"2 claims: 1 intact, 1 {outcome}.",
            "WARNING: it does nothing",
            "Cost beyond an honest request",
        ]
        places = [text.index(each) for each in [*told, "Did it forget?", "LiRA AUC"]]
        assert places == sorted(places)
    assert f"| {outcome} | Pushing-I | airplane | 50.0 [40.0, 60.0] points | 5 points |" in markdown
    assert markdown.startswith(f"# A title\n\n**{headline}**\n\n2 claims")


def test_a_judged_page_of_several_settings_folds_the_others():
    many = rows() + [row | {"tau": 0.001} for row in rows()]
    claims = [ExampleClaim("safe"), ExampleClaim("vulnerable", variant="10 % requested, authors_code, tau 0.001")]
    markdown = summary_markdown(many, title="A title", judgement=Judgement(claims, limit=0.05))
    assert "\n## cifar10, class airplane, tau 0.001\n" in markdown
    assert "<summary>cifar10, class airplane, tau 0.0002: safe</summary>" in markdown
    assert "| safe |" not in without_folds(markdown)
