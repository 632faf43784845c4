"""The ten claims: what is read where, verdicts by hand, and the page that is kept beside its rows."""

from pathlib import Path

import pytest

from experiments.paper import claims, forest
from experiments.paper.cells import follows
from experiments.paper.claims import CLAIMS, Claim, effects_at, in_words, judged, places_of
from experiments.paper.exhibits import EXHIBITS, layouts_of
from experiments.paper.layout import Entry, entries_of
from experiments.paper.report import read_results
from experiments.paper.standing import standing_of
from experiments.paper.tables import table_05, table_08
from overunlearn_jax.statistics.intervals import mean_interval
from tests.experiments.paper_rows import RESULTS, make_row, of_seeds

KEPT = Path(__file__).parents[2] / "experiments" / "results" / "paper"
TARGETED = "cifar10_targeted"


def test_claims_are_read_where_the_paper_prints_an_effect():
    places = {claim.words: len(places_of(claim)) for claim in CLAIMS}
    assert len(places) == 10
    assert min(places.values()) >= 2
    [first, *_] = CLAIMS
    assert [effect for _, effect in places_of(first)] == pytest.approx([52.2, 52.2])  # 81.7 - 29.5
    targeted = next(each for each in CLAIMS if each.gains)
    of_cat = {e.attack: effect for e, effect in places_of(targeted) if (e.study, e.fraction) == (TARGETED, 0.5)}
    assert of_cat["pushing_1"] == pytest.approx(-37.3)  # 378 of 1,000 test airplanes, 5 after the honest request


def test_a_verdict_by_hand(monkeypatch: pytest.MonkeyPatch):
    def over(entry: Entry) -> bool:
        return entry.study == "cifar10"

    monkeypatch.setattr(claims, "CLAIMS", (Claim("pushes cost", ("table_08",), over),))
    sure = (
        RESULTS["cifar10"][:3] + of_seeds("pushing_1", [0.70, 0.69, 0.68]) + of_seeds("pushing_2", [0.70, 0.69, 0.68])
    )
    [found] = judged({"cifar10": sure})
    assert found.ours is not None
    assert (found.ours.mean, found.places, found.verdict) == (pytest.approx(9), 2, "supported")
    assert found.paper == pytest.approx((79.3 - 73.6 + 79.3 - 73.7) / 2)
    [unsure] = judged(RESULTS)  # of Pushing-II one seed gains
    assert unsure.verdict == "undecided"
    gained = (
        RESULTS["cifar10"][:3] + of_seeds("pushing_1", [0.89, 0.88, 0.87]) + of_seeds("pushing_2", [0.89, 0.88, 0.87])
    )
    [against] = judged({"cifar10": gained})
    assert against.verdict == "contradicted"
    assert judged({})[0].verdict == "not measured"
    table = in_words([found, unsure])
    assert table.summary == "1 supported, 1 undecided"
    assert table.rows[0][1:] == ("supported", "9.0", "5.6", "2", "Table VIII")
    assert len(forest.forest({"cifar10": sure}, [found, unsure]).axes) == 2


def test_the_difference_of_two_groups_is_paired_by_seed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(
        claims,
        "CLAIMS",
        (Claim("more", ("figure_10",), lambda e: e.fraction == 0.5, lambda e: e.fraction == 0.1),),
    )
    rows = [
        make_row(seed=seed, attack=attack, fraction=fraction, overall=value)
        for seed in (0, 1)
        for fraction, pushed in ((0.1, 0.70), (0.5, 0.60 - seed / 100))
        for attack, value in (("normal", 0.75), ("pushing_1", pushed), ("pushing_2", pushed))
    ]
    [found] = judged({"cifar10": rows})
    assert found.ours is not None
    assert found.ours == pytest.approx(mean_interval([10.0, 11.0]))
    assert judged({"cifar10": [row for row in rows if row["fraction"] == 0.5]})[0].verdict == "not measured"


def test_counts_become_points_of_their_class():
    rows = [*of_seeds("normal", [0.7]), make_row(attack="pushing_1", class_a_right_predicted=[60, 25, 3])]
    entry = Entry(TARGETED, "pushing_1", 0.1, "predicted_right", 25.0, "cat")
    assert effects_at({TARGETED: rows, "cifar10": rows}, entry) == {0: pytest.approx(-2.0)}  # 20 of 1,000


def test_what_only_follows_is_no_effect_of_its_own():
    found = {entry.label for entry in entries_of(table_05()) if not follows(entry)}
    assert found == {"airplane", "cat"}
    alone = standing_of(RESULTS, [table_08()])
    twice = standing_of(RESULTS, [table_08(), table_08()])
    assert (alone.effects, alone.excluding, len(alone.places)) == (2, 1, 1)
    assert twice == alone  # an effect that two tables show is one


def test_the_page_that_is_kept_says_what_its_rows_say():
    results, text = read_results(KEPT), KEPT.with_suffix(".md").read_text()
    table = in_words(judged(results))
    assert f"**Ten claims of the paper: {table.summary}.**" in text
    assert table.as_text("md") in text
    standing = standing_of(results, [layout for name in EXHIBITS for layout in layouts_of(name)])
    assert standing.words() in text
