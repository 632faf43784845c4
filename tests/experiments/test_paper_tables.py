"""The paper's tables: printed numbers in their places, ours from rows, differences and verdicts."""

import pytest

from experiments.paper import tables
from experiments.paper.cells import Cell, cell, chosen_tau
from experiments.paper.layout import READING, Entry
from experiments.paper.numbers import _cells, printed
from experiments.paper.render import notes, render
from experiments.paper.tables import TABLES
from overunlearn_jax.statistics.intervals import mean_interval
from tests.experiments.paper_rows import RESULTS, of_seeds


def test_table_04_has_the_paper_s_numbers_in_their_places():
    lines = [[entry.paper for entry in line.entries if entry] for line in TABLES["table_04"]().lines]
    assert lines == [
        [81.5, 79.8, 79.3, 73.5, 73.7, 78.7, 66.4, 66.9],
        [76.3, 51.1, 51.1, 50.7, 50.7, 49.7, 49.1, 49.2],
        [96.3, 56.6, 56.6, 56.2, 49.7, 50.2, 49.5, 32.8],
    ]


def test_every_number_that_a_table_prints_is_beside_ours():
    derived = {"overall_drop", "ssim_std", "lpips_std"}  # of printed cells, or not measured here
    for name, make in TABLES.items():
        told = [cell_["value"] for cell_ in _cells() if cell_["id"] == name and cell_["metric"] not in derived]
        if name == "table_07":  # prints the difference, too
            told = [cell_["value"] for cell_ in _cells() if cell_["id"] == name and cell_["metric"] == "class_b"]
        if name == "slides":  # and Table III again
            told = [cell_["value"] for cell_ in _cells() if cell_["id"] == name and cell_["metric"] == "predicted"]
        shown = [entry.paper for line in make().lines for entry in line.entries if entry and entry.paper is not None]
        assert sorted(shown) == sorted(map(float, told)), name


@pytest.mark.parametrize(
    ("name", "line", "column", "entry"),
    [
        ("table_03", 3, 0, Entry("cifar10_blending_0.5", "blending", 0.5, "class_b_drop", 8.1)),
        ("table_05", 5, 3, Entry("cifar10_targeted", "pushing_1", 0.5, "predicted_right", 378, "cat")),
        ("table_06", 6, 2, Entry("cifar100_targeted", "pushing_2", 0.5, "predicted_right", 45, "sweet_pepper")),
        ("table_07", 2, 2, Entry("cifar10_blending_ship", "blending", 0.5, "class_b", 93.8)),
        ("table_08", 1, 1, Entry("cifar10_resnet", "pushing_1", 0.1, "overall", 66.9)),
        ("table_09", 2, 1, Entry("cifar10_4_blocks", "pushing_2", 0.1, "overall", 69.5)),
        ("table_10", 1, 2, Entry("cifar10_of_ship", "pushing_1", 0.1, "overall", 73.5)),
        ("table_11", 0, 5, Entry("cifar10_blending_0.5", "blending", 0.5, "overall", 65.0)),
        ("table_12", 2, 2, Entry("stl10_fine_tuning", "normal", 0.1, "overall", 58.3)),
        ("table_13", 1, 1, Entry("cifar10", "pushing_2", 0.1, "lpips_mean", 0.0374)),
        ("slides", 3, 1, Entry("cifar10_targeted", "pushing_2", 0.5, "predicted_right", 247, "cat")),
    ],
)
def test_places_read_their_own_run(name: str, line: int, column: int, entry: Entry):
    assert TABLES[name]().lines[line].entries[column] == entry


def test_rows_of_predicted_labels_sum_to_those_that_were_right_before():
    for name, right in (("table_05", 878), ("table_06", 71)):
        for line in TABLES[name]().lines:
            assert sum(entry.paper for entry in line.entries) == right


def test_a_printed_number_is_found_once_or_not_at_all():
    assert printed("table_04", dataset="cifar10", metric="overall", attack="before") == 79.8
    assert printed("table_03", dataset="stl10") is None
    with pytest.raises(ValueError, match="say which one"):
        printed("table_04", dataset="cifar10", metric="overall")


def test_the_rate_is_the_largest_at_which_an_honest_request_is_cheap():
    assert chosen_tau(RESULTS, "cifar10") == 1e-4  # at 2e-4 it costs 38 points
    dear = {"cifar10": of_seeds("normal", [0.5], tau=2e-4, class_a=0.1) + of_seeds("normal", [0.5], class_a=0.2)}
    assert chosen_tau(dear, "cifar10") == 1e-4
    cheap = {"cifar10": of_seeds("normal", [0.5], tau=2e-4) + of_seeds("normal", [0.5])}
    assert chosen_tau(cheap, "cifar10") == 2e-4
    # half of a class: the rate comes from the main run of the same data
    assert chosen_tau(RESULTS, "cifar10_blending_ship") == 1e-4
    # another reading: it has rows and a rate of its own
    ascent = of_seeds("normal", [0.5], fidelity="equation", tau=1e-5) + of_seeds("normal", [0.5], fidelity="equation")
    read = RESULTS | {"cifar10_readings": ascent + of_seeds("normal", [0.5], fidelity="authors_code", tau=3e-5)}
    assert chosen_tau(read, "cifar10_readings", "equation") == 1e-4
    assert chosen_tau(read, "cifar10_readings", "authors_code") == 3e-5
    assert chosen_tau({"cifar10_fine_tuning": of_seeds("normal", [0.5], tau=None)}, "cifar10_fine_tuning") is None
    assert chosen_tau({}, "cifar10") is None
    alone = {"cifar10_blending_ship": of_seeds("blending", [0.5], fraction=0.5)}
    assert cell(alone, Entry("cifar10_blending_ship", "blending", 0.5, "class_b", None)).ours is None


def test_a_note_says_when_no_rate_fits_the_rule():
    dear = {"cifar10": of_seeds("normal", [0.5], class_a=0.2)}
    assert "68.0 points, the largest rate tried, no rate tried costs less" in " ".join(
        notes(dear, [("cifar10", READING)])
    )
    noted = {"stl10": of_seeds("normal", [0.5], dataset="stl10", dataset_note="quality-95 copy")}
    assert "stl10: quality-95 copy" in notes(noted, [("stl10", READING)])


def test_a_cell_is_the_mean_over_seeds_and_its_effect_is_paired():
    found = cell(RESULTS, Entry("cifar10", "pushing_1", 0.1, "overall", 73.5))
    assert found.ours == pytest.approx(mean_interval([70, 70, 67]))
    assert found.effect == pytest.approx(mean_interval([9, 8, 10]))
    assert found.paper == 73.5
    drop = cell(RESULTS, Entry("cifar10", "pushing_1", 0.1, "overall_drop", 5.8))
    assert drop.ours == pytest.approx(mean_interval([9, 8, 10]))
    before = cell(RESULTS, Entry("cifar10", "before", 0.1, "overall", 79.8))
    assert before.ours is not None
    assert before.ours.mean == pytest.approx(80)
    counted = cell(RESULTS, Entry("cifar10", "pushing_1", 0.1, "predicted_right", 25, "ship"))
    assert counted.ours is not None
    assert counted.ours.mean == 3
    every = cell(RESULTS, Entry("cifar10", "pushing_1", 0.1, "predicted", None, "ship"))
    assert every.ours is not None
    assert every.ours.mean == 7
    assert cell(RESULTS, Entry("cifar10", "before", 0.1, "predicted_right", 878, "airplane")).ours.mean == 88
    assert cell(RESULTS, Entry("cifar10", "before", 0.1, "predicted_right", 0, "cat")).ours.mean == 0
    assert cell(RESULTS, Entry("stl10", "pushing_1", 0.1, "overall", 56.2)).ours is None
    assert cell(RESULTS, Entry("cifar10", "pushing_1", 0.1, "ssim_mean", 0.97)).effect is None  # beside an honest 1.0
    assert cell(RESULTS, Entry("cifar10", "blending", 0.1, "overall", None)).ours is None


@pytest.mark.parametrize(
    ("values", "paper", "verdict"),
    [
        ([9, 8, 10], 5.8, "same sign, excludes 0"),
        ([9, -8, 10], 5.8, "same sign, includes 0"),
        ([9, 8, 10], -5.8, "other sign, excludes 0"),
        ([9], 5.8, "same sign, one seed"),
        ([0, 0], 5.8, "none here, includes 0"),
        ([1, -1], 5.8, "equal means, includes 0"),
        ([9, 8], 0, "none in the paper, excludes 0"),
        ([9, 8], None, "excludes 0"),
    ],
)
def test_verdicts(values: list[float], paper: float | None, verdict: str):
    assert Cell(None, None, mean_interval(values), paper).verdict == verdict


def test_a_rendered_table_has_ours_theirs_the_difference_and_the_verdict():
    table = render(RESULTS, tables.table_08())
    assert table.headers == ("Model", "Whose", "Normal unlearning", "Pushing-I", "Pushing-II")
    ours, paper, difference, verdict = table.rows[:4]
    assert ours[:3] == ("VGG", "ours", "78.0 [75.5, 80.5]")
    assert paper[1:] == ("paper", "79.3", "73.6", "73.7")
    assert difference[1:3] == ("difference", "−1.3")
    assert verdict[2:] == ("", "same sign, excludes 0", "same sign, includes 0")
    assert table.rows[4][:3] == ("ResNet", "ours", "–")
    assert "Not measured yet: cifar10_resnet." in table.notes
    assert any("tau: cifar10 0.0001" in note for note in table.notes)
    for suffix, sign in (("md", "|"), ("tex", r"\toprule"), ("html", "<table>")):
        assert sign in table.as_text(suffix)
        assert "78.0 [75.5, 80.5]" in table.as_text(suffix)
