"""The paper's figures: what is drawn is what the cells say."""

import itertools
from pathlib import Path

import numpy as np
import pytest

from experiments.paper import charts, exhibits, report, studies
from experiments.paper.cells import cell
from experiments.paper.figure_numbers import FIGURE_NUMBERS
from experiments.paper.figures import Drawing, draw
from experiments.paper.layout import Entry, entries_of
from experiments.paper.numbers import _cells
from experiments.suites.places import Pages
from tests.experiments.paper_rows import make_row

LABELS = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]


@pytest.fixture(name="results")
def made_up_results() -> dict[str, list[dict]]:
    """Rows for every study, no two of which have the same numbers."""
    draws = np.random.default_rng(0)
    results = {}
    for study, settings in studies.STUDIES.items():
        fidelities = settings.get("fidelity", ("corrected",))
        taus = settings.get("taus", studies.TAUS[settings["dataset"]])
        places = itertools.product(settings["fractions"], settings["attacks"], (0, 1, 2), fidelities, taus)
        results[study] = [
            make_row(
                dataset=settings["dataset"],
                class_names=LABELS,
                fraction=fraction,
                attack=attack,
                seed=seed,
                fidelity=fidelity,
                tau=tau,
                class_a=draws.uniform(0.82, 0.88),
                class_b=draws.uniform(),
                overall=draws.uniform(),
                class_a_predicted=draws.integers(0, 200, 10).tolist(),
            )
            for fraction, attack, seed, fidelity, tau in places
        ]
    return results


def test_the_ceiling_is_what_the_honest_request_left_of_the_class(results: dict):
    [axes] = charts.points_lost(results, "figure_10", ("", ""), ceiling=True).axes
    [ceiling] = [line for line in axes.lines if line.get_linestyle() == ":"]
    entry = Entry("cifar10", "normal", 0.1, "class_a", None)
    assert ceiling.get_ydata()[0] == pytest.approx(cell(results, entry).ours.mean / 10)


def test_figure_05_has_a_bar_and_a_whisker_for_each_cell(results: dict):
    cells = [cell(results, entry) for entry in entries_of(FIGURE_NUMBERS["figure_05"]())]
    figure = charts.class_a_bars(results)
    heights = [patch.get_height() for axes in figure.axes for patch in axes.patches]
    assert heights == pytest.approx([found.ours.mean for found in cells])
    whiskers = [lines.get_segments()[0] for axes in figure.axes for lines in axes.collections]
    assert [w[0][1] for w in whiskers] == pytest.approx([found.ours.low for found in cells])
    assert [w[1][1] for w in whiskers] == pytest.approx([found.ours.high for found in cells])


def test_the_paper_s_numbers_are_marked_where_it_prints_them(results: dict):
    drawn = {"figure_05": charts.class_a_bars(results), "figure_10": charts.points_lost(results, "figure_10", ("", ""))}
    for name, figure in drawn.items():
        marks = [line.get_ydata()[0] for axes in figure.axes for line in axes.lines if line.get_marker() == "D"]
        printed = [entry.paper for entry in entries_of(FIGURE_NUMBERS[name]()) if entry.paper is not None]
        assert marks == printed
        assert printed


def test_every_number_that_the_paper_prints_for_a_figure_is_in_its_table():
    for name, make in FIGURE_NUMBERS.items():
        told = {(c["metric"], c["value"]) for c in _cells() if c["id"] == name}
        shown = {(entry.measure, entry.paper) for entry in entries_of(make()) if entry.paper is not None}
        assert shown == told, name


@pytest.mark.parametrize("name", ["figure_06", "figure_07"])
def test_predicted_labels_are_counted_over_all_images_of_the_class(results: dict, name: str):
    entries = entries_of(FIGURE_NUMBERS[name]())
    figure = charts.predicted_labels(results, name)
    heights = [patch.get_height() for axes in figure.axes for patch in axes.patches]
    fraction = {"figure_06": 0.1, "figure_07": 0.5}[name]
    rows = [
        row["class_a_predicted"]
        for row in results["cifar10"]
        if (row["attack"], row["fraction"], row["tau"]) == ("pushing_1", fraction, 5e-4)
    ]
    assert heights[10:20] == pytest.approx(np.mean(rows, axis=0))
    assert heights == pytest.approx([cell(results, entry).ours.mean for entry in entries])


@pytest.mark.parametrize(
    ("name", "places", "entry"),
    [
        ("figure_08a", [400, 800, 1200, 1600, 2000], Entry("cifar10", "blending", 0.4, "class_b_drop", None)),
        (
            "figure_08b",
            [0.1, 0.2, 0.3, 0.4, 0.5],
            Entry("cifar10_blending_0.4", "blending", 0.1, "class_b_drop", None),
        ),
        ("figure_10", [400, 800, 1200, 1600, 2000], Entry("cifar10", "pushing_1", 0.4, "overall_drop", None)),
    ],
)
def test_lines_go_through_the_means(results: dict, name: str, places: list[float], entry: Entry):
    [axes] = charts.points_lost(results, name, ("across", "up")).axes
    line = axes.lines[0]
    assert line.get_xdata().tolist() == places
    assert line.get_ydata()[3] == pytest.approx(cell(results, entry).ours.mean)


def test_tau_curves_show_every_rate_of_every_reading(results: dict):
    figure = charts.tau_curves(results)
    assert len(figure.axes) == 9
    panel = figure.axes[7]  # the equation, CIFAR-100
    assert panel.get_title() == "CIFAR-100, equation"
    normal = panel.lines[0]
    assert tuple(normal.get_xdata()) == studies.TAUS["cifar100"]
    wanted = [
        row["class_a"]
        for row in results["cifar100_readings"]
        if (row["attack"], row["fraction"], row["fidelity"], row["tau"]) == ("normal", 0.1, "equation", 5e-4)
    ]
    assert normal.get_ydata()[studies.TAUS["cifar100"].index(5e-4)] == pytest.approx(100 * np.mean(wanted))


def test_every_figure_is_written_from_rows_and_pictures(results: dict, tmp_path: Path):
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
    assert draw("figure_10", Drawing({}, tmp_path), out) == []


def test_a_figure_drawn_earlier_stays_on_the_page_when_its_pictures_are_gone(results: dict, tmp_path: Path):
    out = tmp_path / "exhibits"
    out.mkdir()
    (out / "figure_09.png").write_bytes(b"the picture")
    pages = Pages(tmp_path / "paper.md", tmp_path / "report.html")
    report.write("figure_09", tmp_path, pages, "title", "command")
    assert "(exhibits/figure_09.png)" in pages.text.read_text()
    report.write("figure_03", tmp_path, pages, "title", "command")
    assert report.NOT_DRAWN in pages.text.read_text()
    assert pages.html.read_text().count("data:image/png") == 0
