"""The runs behind the paper's tables and figures: planned once each, run once each, shown on pages."""

import html as html_module
import json
import re
from pathlib import Path

import pytest

from experiments.config import Config
from experiments.paper import cells, exhibits, from_rows, report, studies, suite
from experiments.paper.cells import chosen_tau
from experiments.paper.layout import Entry, Line, TableLayout
from experiments.suites.places import Pages
from overunlearn_jax.reporting import read_rows
from overunlearn_jax.statistics.intervals import mean_interval
from tests.experiments import tiny
from tests.experiments.paper_rows import RESULTS
from tests.experiments.running import MakeConfig


def test_every_exhibit_reads_studies_that_exist_and_all_of_them_are_read():
    read = {study for name in exhibits.EXHIBITS for study in exhibits.studies_of(name)}
    assert read == set(studies.STUDIES)
    assert exhibits.studies_of("table_07")[0] == "cifar10"  # where its rate is chosen


def test_a_plan_runs_each_study_once_at_its_scale(tmp_path: Path):
    base = Config.of(experiment="all")
    for scale, width, seeds in (("cpu", 16, 3), ("paper", 128, 5)):
        plan = suite.plan("all", scale, base, {})
        assert list(plan) == list(studies.STUDIES)
        assert len({config.run.workdir for config in plan.values()}) == len(plan)
        assert plan["cifar10"].victim.width == width
        assert len(plan["cifar10"].run.seeds) == seeds
        assert plan["cifar10"].run.workdir == f"runs/paper_{scale}/cifar10"
    few = suite.plan("table_08", "cpu", base, {"seeds": (7,), "width": 4})
    assert list(few) == ["cifar10", "cifar10_resnet"]
    assert {config.run.seeds for config in few.values()} == {(7,)}
    for flag, value in (("class_a", "ship"), ("fidelity", ("equation",))):
        with pytest.raises(ValueError, match=f"--{flag}=.*: the paper's tables set that themselves"):
            suite.plan("table_08", "cpu", base, {flag: value})
    # what a base config holds beside places is nobody's business
    other = suite.plan("table_08", "cpu", base.replace(target="cat", unlearning="fine_tuning"), {})
    assert {(config.attack.target, config.service.unlearning) for config in other.values()} == {("", "first_order")}


def test_notes_on_copies_of_data_sets():
    given = {"dataset_note": "cifar100: a copy; stl10: another"}
    plan = suite.plan("table_04", "cpu", Config.of(experiment="table_04"), given)
    found = {config.data.dataset: config.data.dataset_note for config in plan.values()}
    assert found == {"cifar10": "", "cifar100": "a copy", "stl10": "another"}
    with pytest.raises(ValueError, match="expected notes by data set"):
        suite.plan("table_04", "cpu", Config.of(experiment="table_04"), {"dataset_note": "a copy"})


@pytest.mark.parametrize("name", ["table_4", "figure_8", "cifar10_targeted"])
def test_a_name_that_only_looks_like_an_exhibit_is_refused(name: str):
    with pytest.raises(ValueError, match=f"--experiment={name}: expected all, or one of table_03"):
        suite.is_of_the_paper(name)
    assert not suite.is_of_the_paper("quickstart")


def test_victims_and_samples_that_runs_share_cost_once(tmp_path: Path):
    base = Config.of(experiment="all", workdir=str(tmp_path))
    lines = suite.dry_run(suite.plan("all", "cpu", base, {})).split("\n\n")[0].splitlines()
    found = {line.split("|")[1].strip(): [each.strip() for each in line.split("|")[2:5]] for line in lines[2:]}
    assert found["cifar10"][0] == "675 of 675"
    assert found["cifar10_readings"][1] == "0.0 M"
    assert found["cifar10_of_bird"][1] != "0.0 M"
    plain = suite.plan("figure_10", "cpu", base, {})
    cheap = suite.plan("figure_10", "cpu", base, {"one_sided": True, "coordinates": 64})
    asked = [
        float(suite.dry_run(each).split("\n\n")[0].splitlines()[-1].split("|")[3].split()[0]) for each in (plain, cheap)
    ]
    assert asked[1] == pytest.approx(asked[0] * 65 / 257, rel=0.01)
    # what a finished run has made is there for the others
    (tmp_path / "cifar10").mkdir()
    (tmp_path / "cifar10" / "results.jsonl").write_text(
        "".join(f'{{"cell": {row}, "seed": {row % 3}}}\n' for row in range(675))
    )
    after = suite.dry_run(suite.plan("table_04", "cpu", base, {}))
    [readings] = [line for line in after.splitlines() if "cifar10_readings" in line]
    assert readings.split("|")[3].strip() == "0.0 M"
    assert found["all"][0] == str(sum(int(cells_.split()[0]) for name, (cells_, *_) in found.items() if name != "all"))


@pytest.fixture
def tiny_studies(dataset: Path, config: MakeConfig, monkeypatch: pytest.MonkeyPatch) -> Config:
    """Two studies on a data set that takes seconds, and a table over them."""
    of_data = {"dataset": str(dataset), "class_a": "ant", "class_b": "bee", "blocks": 1}
    both = {
        "main": of_data | {"fractions": (0.1, 0.5), "attacks": ("normal", "pushing_1", "pushing_2")},
        "fine": of_data | {"unlearning": "fine_tuning", "fractions": (0.5,), "attacks": ("normal", "pushing_1")},
    }
    line = Line(("ours",), (Entry("main", "pushing_1", 0.5, "overall", 50.0),))
    other = Line(("fine-tuned",), (Entry("fine", "pushing_1", 0.5, "overall", 60.0),))
    layout = TableLayout("tiny", "A tiny table", ("What", "Pushing-I"), (line, other))
    for module in (studies, suite, cells, exhibits, report, from_rows):
        monkeypatch.setattr(module, "STUDIES", both)
    monkeypatch.setattr(studies, "TAUS", {str(dataset): (1e-4, 1e-3)})
    size = studies.Scale({"vgg": {str(dataset): 4}}, epochs=2, seeds=(0, 1), max_steps=100)
    monkeypatch.setattr(studies, "SCALES", {"cpu": size})
    monkeypatch.setattr(from_rows, "PICTURES", {})
    monkeypatch.setattr(exhibits, "TABLES", {"tiny": lambda: layout})
    for module in (exhibits, suite, report):
        monkeypatch.setattr(module, "EXHIBITS", ("tiny",))
    monkeypatch.setattr(cells, "tau_study", lambda study: study)
    return config().replace(experiment="tiny")


@pytest.mark.usefixtures("no_figures")
def test_a_table_from_start_to_end_and_again(tiny_studies: Config, monkeypatch: pytest.MonkeyPatch):
    given = {name: tiny.SETTINGS[name] for name in ("batch_norm_momentum", "batch_size", "coordinates", "step_size")}
    plan = suite.plan("tiny", "cpu", tiny_studies, given)
    assert suite.is_of_the_paper("tiny")
    pages = suite.run(plan, "tiny", "cpu", "the command")
    folder = Path(tiny_studies.run.workdir)
    assert pages == Pages(folder / "tiny.md", folder / "tiny.html")
    text = pages.text.read_text()
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
    assert "fine: 4 cells, seeds 0, 1" in text
    assert re.search(r"cores: \d+; \d+\.\d minutes; python", text)
    # nothing is run again; the page is the same from the rows alone
    before = pages.html.read_bytes()
    rows_before = (folder / "main" / "results.jsonl").read_bytes()
    assert suite.run(plan, "tiny", "cpu", "the command") == pages
    assert pages.html.read_bytes() == before
    assert (folder / "main" / "results.jsonl").read_bytes() == rows_before


@pytest.mark.usefixtures("no_figures")
def test_a_page_from_collected_rows_has_what_was_found(tiny_studies: Config, tmp_path: Path):
    given = {name: tiny.SETTINGS[name] for name in ("batch_norm_momentum", "batch_size", "coordinates", "step_size")}
    pages = suite.run(suite.plan("tiny", "cpu", tiny_studies, given), "tiny", "cpu", "the command")
    rows = tmp_path / "rows"
    from_rows.collect(pages.text.parent, rows)
    (rows / "findings.toml").write_text('about = ["What all of it is."]\ntiny = ["It **differs**, <as> `measured`."]\n')
    collected = Pages(tmp_path / "rows.md", rows / "report.html")
    report.write("tiny", rows, collected, "title", "another command")
    text = collected.text.read_text()
    for line in pages.text.read_text().splitlines():
        assert line in text or line in {"the command", "# The paper's tables and figures at scale cpu"}
    assert "It **differs**, <as> `measured`." in text
    assert "It <strong>differs</strong>, &lt;as&gt; <code>measured</code>." in collected.html.read_text()
    assert "What all of it is." in text


def test_a_page_of_many_begins_with_where_each_is_and_what_came_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "cifar10").mkdir()
    monkeypatch.setattr(report, "read_results", lambda _: RESULTS)
    monkeypatch.setattr(report, "EXHIBITS", ("table_08", "table_09"))
    made = {"seeds": [0, 1, 2], "device": "cpu", "cpu": "a cpu", "cpu_cores": 2, "command": "main --data_dir=there --x"}
    (tmp_path / "cifar10" / "manifest.json").write_text(json.dumps(made))
    pages = Pages(tmp_path / "all.md", tmp_path / "all.html")
    report.write("all", tmp_path, pages, "title", "the command")
    text, html = pages.text.read_text(), pages.html.read_text()
    title = "Table VIII: architectures, overall accuracy, 400 airplanes"
    in_short = "the paper's sign in 2 of 2 places, without 0 in the interval in 1, standing in 1"
    in_short += "; not all of it is measured yet"
    assert f"- [{title}](#table_08): {in_short}" in text
    assert f'<a id="table_08"></a>\n\n## {title}' in text
    assert (
        f'<li><a href="#table_08">{title}</a>: {html_module.escape(in_short)}</li>'.replace("&#x27;", "&#39;") in html
    )
    assert '<section id="table_08">' in html
    assert "time not noted; main --data_dir=FOLDER --x" in text


def test_a_summary_counts_signs_and_sure_ones():
    def found(values: list[float], paper: float | None) -> cells.Cell:
        return cells.Cell(None, None, mean_interval(values), paper)

    compared = [found([9, 8, 10], 5), found([9, -8, 10], 5), found([9, 8, 10], -5), found([9], -5), found([9, 8], None)]
    assert cells.summary(compared) == (
        "the paper's sign in 2 of 4 places, without 0 in the interval in 1, standing in 0; "
        "the other sign without 0 in 1"
    )
    assert cells.summary([found([9, 8], None), cells.Cell(None, 3.0, None, None)]) == ""
