"""What the site says of U-LiRA is what the records say."""

from pathlib import Path

from experiments.run.records import read_records
from experiments.u_lira.page import by_method
from overunlearn_jax.reporting.wording import interval_text

ROOT = Path(__file__).parents[2]


def test_what_attackers_tell():
    rows = read_records(ROOT / "experiments" / "results" / "u_lira" / "u_lira.jsonl")
    plain, *others = by_method(rows, seed=0)
    found = {each.method: each for each in others}
    strongest = found.pop("selective_dampening")
    assert (len(others), len(found), plain.models) == (6, 5, 10)
    low, high = (pick(each.auc.mean for each in found.values()) for pick in (min, max))
    text = " ".join((ROOT / "docs" / "paper.md").read_text().split())
    before = interval_text(plain.auc, digits=3)
    assert "Hardly less after five of six methods" in text
    assert f"never saw with an area under the curve of {low:.2f} to {high:.2f} beside {before} before, at" in text
    most = max((each.less for each in found.values()), key=lambda less: less.mean)
    assert f"at most {interval_text(most, digits=3)} less; 0.5 is what retraining leaves." in text
    assert strongest.less.low > most.high  # paired by model: both intervals of AUCs share their samples
    assert f"Selective dampening leaves {interval_text(strongest.auc, digits=3)}, and takes eleven" in text
    assert round(100 * (plain.class_a.mean - strongest.class_a.mean)) == 11
