"""The paper's tables and figures: printed numbers in their places, ours from rows, each run made once."""

import dataclasses
import itertools
import re
from pathlib import Path

import numpy as np
import pytest

from experiments.config import Config
from experiments.paper import cells, exhibits, report, studies, suite, tables
from experiments.paper.cells import Cell, cell, chosen_tau
from experiments.paper.figures import Drawing, draw
from experiments.paper.numbers import _cells, printed
from experiments.paper.render import notes, render
from experiments.paper.tables import TABLES, Entry
from overunlearn_jax.intervals import mean_interval
from overunlearn_jax.reporting import read_rows
from tests.experiments import tiny
from tests.experiments.running import MakeConfig

CLASSES = ["airplane", "cat", "ship"]


def make_row(**changes: object) -> dict:
    row = {
        "seed": 0,
        "fraction": 0.1,
        "attack": "normal",
        "fidelity": "corrected",
        "tau": 1e-4,
        "dataset": "cifar10",
        "model": "VGG-3 width 16",
        "class_names": CLASSES,
        "class_a_name": "airplane",
        "overall_train_before": 0.9,
        "overall_before": 0.8,
        "class_a_before": 0.88,
        "class_b_before": 0.7,
        "overall": 0.79,
        "class_a": 0.84,
        "class_b": 0.69,
        "class_a_right_predicted": [80, 5, 3],
        "ssim_mean": 0.97,
        "requested": 400,
        "failed": 1,
    }
    return row | changes


def of_seeds(attack: str, values: list[float], **changes: object) -> list[dict]:
    return [make_row(seed=seed, attack=attack, overall=value, **changes) for seed, value in enumerate(values)]


RESULTS = {
    "cifar10": [
        *of_seeds("normal", [0.79, 0.78, 0.77]),
        *of_seeds("pushing_1", [0.70, 0.70, 0.67]),
        *of_seeds("pushing_2", [0.80, 0.70, 0.79]),
        *of_seeds("normal", [0.75, 0.75, 0.75], tau=2e-4, class_a=0.5),
        *of_seeds("pushing_1", [0.1, 0.1, 0.1], tau=2e-4),
    ]
}


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
        ("table_05", 5, 3, Entry("cifar10_targeted", "pushing_1", 0.5, "predicted", 378, "cat")),
        ("table_06", 6, 2, Entry("cifar100_targeted", "pushing_2", 0.5, "predicted", 45, "sweet_pepper")),
        ("table_07", 1, 2, Entry("cifar10_blending_ship", "blending", 0.5, "class_b", 93.8)),
        ("table_08", 1, 1, Entry("cifar10_resnet", "pushing_1", 0.1, "overall", 66.9)),
        ("table_09", 2, 1, Entry("cifar10_4_blocks", "pushing_2", 0.1, "overall", 69.5)),
        ("table_10", 1, 2, Entry("cifar10_of_ship", "pushing_1", 0.1, "overall", 73.5)),
        ("table_11", 0, 5, Entry("cifar10_blending_0.5", "blending", 0.5, "overall", 65.0)),
        ("table_12", 2, 2, Entry("stl10_fine_tuning", "normal", 0.1, "overall", 58.3)),
        ("table_13", 1, 1, Entry("cifar10", "pushing_2", 0.1, "lpips_mean", 0.0374)),
        ("slides", 3, 1, Entry("cifar10_targeted", "pushing_2", 0.5, "predicted", 247, "cat")),
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
    # half of a class, other readings: the rate comes from the main run of the same data
    assert chosen_tau(RESULTS, "cifar10_blending_ship") == 1e-4
    assert chosen_tau(RESULTS, "cifar10_readings") == 1e-4
    assert chosen_tau({"cifar10_fine_tuning": of_seeds("normal", [0.5], tau=None)}, "cifar10_fine_tuning") is None
    assert chosen_tau({}, "cifar10") is None
    alone = {"cifar10_blending_ship": of_seeds("blending", [0.5], fraction=0.5)}
    assert cell(alone, Entry("cifar10_blending_ship", "blending", 0.5, "class_b", None)).ours is None


def test_a_note_says_when_no_rate_fits_the_rule():
    dear = {"cifar10": of_seeds("normal", [0.5], class_a=0.2)}
    assert "68.0 points, the largest rate tried, no rate tried costs less" in " ".join(notes(dear, ["cifar10"]))
    noted = {"stl10": of_seeds("normal", [0.5], dataset="stl10", dataset_note="quality-95 copy")}
    assert "stl10: quality-95 copy" in notes(noted, ["stl10"])


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
    counted = cell(RESULTS, Entry("cifar10", "pushing_1", 0.1, "predicted", 25, "cat"))
    assert counted.ours is not None
    assert counted.ours.mean == 5
    assert cell(RESULTS, Entry("cifar10", "before", 0.1, "predicted", 878, "airplane")).ours.mean == 88
    assert cell(RESULTS, Entry("cifar10", "before", 0.1, "predicted", 0, "cat")).ours.mean == 0
    assert cell(RESULTS, Entry("stl10", "pushing_1", 0.1, "overall", 56.2)).ours is None
    assert cell(RESULTS, Entry("cifar10", "blending", 0.1, "overall", None)).ours is None


@pytest.mark.parametrize(
    ("values", "paper", "verdict"),
    [
        ([9, 8, 10], 5.8, "same sign, excludes 0"),
        ([9, -8, 10], 5.8, "same sign, includes 0"),
        ([9, 8, 10], -5.8, "other sign, excludes 0"),
        ([9], 5.8, "same sign, one seed"),
        ([0, 0], 5.8, "no effect here"),
        ([9, 8], 0, "no effect there"),
    ],
)
def test_verdicts(values: list[float], paper: float, verdict: str):
    assert Cell(None, None, mean_interval(values), paper).verdict == verdict


def test_a_rendered_table_has_ours_theirs_the_difference_and_the_verdict():
    table = render(RESULTS, tables.table_08())
    assert table.headers == ("Model", "", "Normal unlearning", "Pushing-I", "Pushing-II")
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


def test_every_exhibit_reads_studies_that_exist_and_all_of_them_are_read():
    read = {study for name in exhibits.EXHIBITS for study in exhibits.studies_of(name)}
    assert read == set(studies.STUDIES)
    assert exhibits.studies_of("table_07")[0] == "cifar10"  # where its rate is chosen


def test_a_plan_runs_each_study_once_at_its_scale(tmp_path: Path):
    base = Config(experiment="all")
    for scale, width, seeds in (("cpu", 16, 3), ("paper", 128, 5)):
        plan = suite.plan("all", scale, base, {})
        assert list(plan) == list(studies.STUDIES)
        assert len({config.workdir for config in plan.values()}) == len(plan)
        assert plan["cifar10"].width == width
        assert len(plan["cifar10"].seeds) == seeds
        assert plan["cifar10"].workdir == f"runs/paper_{scale}/cifar10"
    few = suite.plan("table_08", "cpu", base, {"seeds": (7,), "width": 4})
    assert list(few) == ["cifar10", "cifar10_resnet"]
    assert {config.seeds for config in few.values()} == {(7,)}
    for flag, value in (("class_a", "ship"), ("fidelity", ("equation",))):
        with pytest.raises(ValueError, match=f"--{flag}=.*: the paper's tables set that themselves"):
            suite.plan("table_08", "cpu", base, {flag: value})
    # what a base config holds beside places is nobody's business
    other = suite.plan("table_08", "cpu", dataclasses.replace(base, target="cat", unlearning="fine_tuning"), {})
    assert {(config.target, config.unlearning) for config in other.values()} == {("", "first_order")}


def test_notes_on_copies_of_data_sets():
    given = {"dataset_note": "cifar100: a copy; stl10: another"}
    plan = suite.plan("table_04", "cpu", Config(experiment="table_04"), given)
    found = {config.dataset: config.dataset_note for config in plan.values()}
    assert found == {"cifar10": "", "cifar100": "a copy", "stl10": "another"}
    with pytest.raises(ValueError, match="expected notes by data set"):
        suite.plan("table_04", "cpu", Config(experiment="table_04"), {"dataset_note": "a copy"})


@pytest.mark.parametrize("name", ["table_4", "figure_8", "cifar10_targeted"])
def test_a_name_that_only_looks_like_an_exhibit_is_refused(name: str):
    with pytest.raises(ValueError, match=f"--experiment={name}: expected all, or one of table_03"):
        suite.is_of_the_paper(name)
    assert not suite.is_of_the_paper("quickstart")


def test_victims_and_samples_that_runs_share_cost_once(tmp_path: Path):
    base = Config(experiment="all", workdir=str(tmp_path))
    lines = suite.dry_run(suite.plan("all", "cpu", base, {})).splitlines()
    found = {line.split("|")[1].strip(): [each.strip() for each in line.split("|")[2:5]] for line in lines[2:]}
    assert found["cifar10"][0] == "375 of 375"
    assert found["cifar10_readings"][1] == "0.0 M"
    assert found["cifar10_of_bird"][1] != "0.0 M"
    plain = suite.plan("figure_10", "cpu", base, {})
    cheap = suite.plan("figure_10", "cpu", base, {"one_sided": True, "coordinates": 64})
    asked = [float(suite.dry_run(each).splitlines()[-1].split("|")[3].split()[0]) for each in (plain, cheap)]
    assert asked[1] == pytest.approx(asked[0] * 65 / 257, rel=0.01)
    # what a finished run has made is there for the others
    (tmp_path / "cifar10").mkdir()
    (tmp_path / "cifar10" / "results.jsonl").write_text("{}\n" * 375)
    after = suite.dry_run(suite.plan("table_04", "cpu", base, {}))
    [readings] = [line for line in after.splitlines() if "cifar10_readings" in line]
    assert readings.split("|")[3].strip() == "0.0 M"
    assert found["all"][0] == str(sum(int(cells_.split()[0]) for name, (cells_, *_) in found.items() if name != "all"))


def test_every_figure_is_drawn_from_rows_and_pictures(tmp_path: Path):
    results = {}
    for number, (study, settings) in enumerate(studies.STUDIES.items()):
        places = itertools.product(settings["fractions"], settings["attacks"], (0, 1, 2))
        results[study] = [
            make_row(
                dataset=settings["dataset"], fraction=fraction, attack=attack, seed=seed, class_a_predicted=[9, 8, 7]
            )
            | {"overall": 0.5 + (number + seed) / 100, "class_b": 0.6 + seed / 100}
            for fraction, attack, seed in places
        ]
    drawing = Drawing(results, tmp_path)
    out = tmp_path / "exhibits"
    assert draw("figure_03", drawing, out) == []  # its pictures are not there yet
    for study, attack in (("cifar10_blending_0.5", "blending"), ("stl10", "pushing_1")):
        (tmp_path / study / "pictures").mkdir(parents=True)
        pictures = np.random.default_rng(0).uniform(-0.5, 0.5, (2, 2, 8, 8, 3))
        path = tmp_path / study / "pictures" / f"fraction_0.1_{attack}.npz"
        np.savez(path, originals=pictures[0], submitted=pictures[1], ids=np.arange(2))
    for name in exhibits.FIGURES:
        files = draw(name, drawing, out)
        assert [path.suffix for path in files] == [".png", ".pdf"]
        assert all(path.stat().st_size > 1000 for path in files)
    assert draw("figure_10", Drawing({}, None), out) == []
    page = report.write("all", tmp_path, "title", "command")
    assert page.read_text().count("data:image/png") == 0  # of runs that are not in the folder nothing is shown


@pytest.fixture
def tiny_studies(dataset: Path, config: MakeConfig, monkeypatch: pytest.MonkeyPatch) -> Config:
    """Two studies on a data set that takes seconds, and a table over them."""
    of_data = {"dataset": str(dataset), "class_a": "ant", "class_b": "bee"}
    both = {
        "main": of_data | {"fractions": (0.1, 0.5), "attacks": ("normal", "pushing_1", "pushing_2")},
        "fine": of_data | {"unlearning": "fine_tuning", "fractions": (0.5,), "attacks": ("normal", "pushing_1")},
    }
    line = tables.Line(("ours",), (Entry("main", "pushing_1", 0.5, "overall", 50.0),))
    other = tables.Line(("fine-tuned",), (Entry("fine", "pushing_1", 0.5, "overall", 60.0),))
    layout = tables.TableLayout("tiny", "A tiny table", ("What", "Pushing-I"), (line, other))
    for module in (studies, suite, cells, exhibits, report):
        monkeypatch.setattr(module, "STUDIES", both)
    monkeypatch.setattr(studies, "TAUS", {str(dataset): (1e-4, 1e-3)})
    size = studies.Scale({"vgg": {str(dataset): 4}}, epochs=2, seeds=(0, 1), max_steps=100)
    monkeypatch.setattr(studies, "SCALES", {"cpu": size})
    for module in (exhibits, report):
        monkeypatch.setattr(module, "TABLES", {"tiny": lambda: layout})
    for module in (exhibits, suite, report):
        monkeypatch.setattr(module, "EXHIBITS", ("tiny",))
    monkeypatch.setattr(cells, "tau_study", lambda study: study)
    return dataclasses.replace(config(), experiment="tiny")


@pytest.mark.usefixtures("no_figures")
def test_a_table_from_start_to_end_and_again(tiny_studies: Config, monkeypatch: pytest.MonkeyPatch):
    given = {name: tiny.SETTINGS[name] for name in ("batch_norm_momentum", "batch_size", "coordinates", "step_size")}
    plan = suite.plan("tiny", "cpu", tiny_studies, given)
    assert suite.is_of_the_paper("tiny")
    page = suite.run(plan, "tiny", "cpu", "the command")
    folder = Path(tiny_studies.workdir)
    text = (folder / "tiny.md").read_text()
    assert page == folder / "tiny.html"
    assert "## A tiny table" in text
    assert "the command" in text
    rows = read_rows(folder / "main" / "results.jsonl")
    assert len(rows) == 2 * 2 * 3 * 2
    wanted = [row for row in rows if (row["attack"], row["fraction"]) == ("pushing_1", 0.5)]
    tau = chosen_tau({"main": rows}, "main")
    mean = sum(100 * row["overall"] for row in wanted if row["tau"] == tau) / 2
    assert f"{mean:.1f}" in text
    assert re.search(r"\| +50\.0 \|", text)
    assert {path.suffix for path in (folder / "exhibits").iterdir()} == {".md", ".tex", ".html"}
    # nothing is run again; the page is the same from the rows alone
    before = page.read_bytes()
    rows_before = (folder / "main" / "results.jsonl").read_bytes()
    assert suite.run(plan, "tiny", "cpu", "the command") == page
    assert page.read_bytes() == before
    assert (folder / "main" / "results.jsonl").read_bytes() == rows_before
