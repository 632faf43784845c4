"""Figures are written whole, and only for input they can show."""

import io
from pathlib import Path

import numpy as np
import pytest
from matplotlib import _pylab_helpers
from matplotlib.figure import Figure
from PIL import Image

from overunlearn_jax.reporting import (
    accuracy_bars,
    harm_bars,
    harm_lines,
    predicted_label_bars,
    request_figure,
    request_pictures,
    summarise,
)
from tests.reporting.example_rows import example_row, three_seeds

BOUNDS = (-0.5, 0.5)


@pytest.fixture
def drawn(monkeypatch) -> list[Figure]:
    """The figures that are saved during a test."""
    saved: list[Figure] = []
    savefig = Figure.savefig

    def remember(self, *args, **kwargs):
        saved.append(self)
        return savefig(self, *args, **kwargs)

    monkeypatch.setattr(Figure, "savefig", remember)
    return saved


def words(figure: Figure) -> str:
    """Returns every text in the figure."""
    texts = [text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text"))]
    return "\n".join(texts)


def check_png(path: Path) -> np.ndarray:
    assert [file.name for file in path.parent.iterdir()] == [path.name]  # no temporary file stays
    with Image.open(io.BytesIO(path.read_bytes())) as image:
        assert image.format == "PNG"
        pixels = np.asarray(image.convert("RGB"))
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 3
    return pixels


def test_accuracy_bars(tmp_path, drawn):
    path = accuracy_bars(three_seeds(), tmp_path / "a" / "accuracy.png")
    check_png(path)
    (axes,) = drawn[0].axes
    assert [bar.get_height() for bar in axes.patches] == pytest.approx([82.0, 32.0])
    assert axes.lines[0].get_ydata()[0] == pytest.approx(90.0)
    dots = [points.get_offsets()[:, 1].tolist() for points in axes.collections if len(points.get_offsets()) == 3]
    assert dots == [pytest.approx([80.0, 82.0, 84.0]), pytest.approx([40.0, 32.0, 24.0])]
    for word in (
        "cifar10",
        "airplane",
        "Honest request\n82.0 %",
        "Pushing-I\n32.0 %",
        "before unlearning: 90.0 %",
    ):
        assert word in words(drawn[0])


def test_accuracy_bars_of_one_seed_have_no_error_bars(tmp_path, drawn):
    check_png(accuracy_bars([example_row("normal"), example_row("pushing_1")], tmp_path / "accuracy.png"))
    assert not drawn[0].axes[0].collections


def test_accuracy_bars_without_a_number_leave_a_gap(tmp_path):
    check_png(accuracy_bars([example_row("normal"), example_row("noise", class_a=None)], tmp_path / "a.png"))


def test_predicted_label_bars_are_means_over_seeds(tmp_path, drawn):
    rows = [
        example_row("normal", 0, class_a_predicted=[80, 20, 0]),
        example_row("normal", 1, class_a_predicted=[30, 10, 10]),  # half as many images: shares 60, 20, 20
        example_row("pushing_2", 0, class_a_predicted=[0, 100, 0]),
    ]
    check_png(predicted_label_bars(rows, tmp_path / "labels.png"))
    normal, pushed = drawn[0].axes
    assert [bar.get_width() for bar in normal.patches] == pytest.approx([70.0, 20.0, 10.0])
    assert [bar.get_width() for bar in pushed.patches] == pytest.approx([0.0, 100.0, 0.0])
    assert normal.lines[0].get_xdata().tolist() == pytest.approx([90.0, 6.0, 4.0])
    assert (normal.get_title(), pushed.get_title()) == ("Honest request", "Pushing-II")
    assert [label.get_text() for label in normal.get_yticklabels()] == ["airplane", "bird", "cat"]


def test_predicted_labels_of_many_classes_share_a_bar(tmp_path, drawn):
    names = [f"name {label}" for label in range(100)]
    counts = np.ones(100, dtype=int)
    counts[[40, 60]] = 51  # 98 + 102 = 200 images
    row = example_row(
        class_names=names, class_a_name="name 99", class_a_predicted=counts, class_a_predicted_before=counts
    )
    check_png(predicted_label_bars([row], tmp_path / "labels.png"))
    (axes,) = drawn[0].axes
    labels = [label.get_text() for label in axes.get_yticklabels()]
    widths = [bar.get_width() for bar in axes.patches]
    assert len(labels) == 12
    assert {"name 40", "name 60", "name 99"} <= set(labels)
    assert labels[-1] == "all others"
    assert widths[labels.index("name 40")] == pytest.approx(25.5)
    assert sum(widths) == pytest.approx(100.0)


@pytest.mark.parametrize("draw", [accuracy_bars, predicted_label_bars])
@pytest.mark.parametrize("rows", [[], [example_row(), example_row(tau=0.1)]], ids=["none", "two groups"])
def test_a_figure_shows_exactly_one_group(tmp_path, draw, rows):
    with pytest.raises(ValueError, match="one group"):
        draw(rows, tmp_path / "figure.png")
    assert not list(tmp_path.iterdir())


def test_counts_must_fit_the_class_names(tmp_path):
    with pytest.raises(ValueError, match="one count for each of 3 classes"):
        predicted_label_bars([example_row(class_a_predicted=[1, 2])], tmp_path / "figure.png")


@pytest.mark.parametrize("channels", [1, 3])
def test_request_pictures(tmp_path, drawn, channels):
    originals = np.zeros((4, 8, 8, channels), np.float32)
    pushed = originals.copy()
    pushed[:, 2, 3, 0] = 0.02
    titles = ["first", "second", "third", "fourth"]
    path = request_pictures(
        tmp_path / "pictures.png",
        originals,
        {"pushing_1": pushed, "blending": pushed},
        titles,
        BOUNDS,
        count=3,
    )
    check_png(path)
    assert len(drawn[0].axes) == 5 * 3  # original, and two attacks with a difference each
    texts = words(drawn[0])
    assert "third" in texts
    assert "fourth" not in texts
    assert "Pushing-I" in texts
    assert "difference\n× 20" in texts  # 20 * 0.02 = 0.4 of the 0.5 there is room for
    picture = drawn[0].axes[6].images[0].get_array()
    assert np.asarray(picture)[2, 3].flat[0] == pytest.approx(0.5 + 20 * 0.02, abs=1e-6)
    assert np.asarray(picture)[0, 0].flat[0] == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("largest", "factor"),
    [(0.0, 1), (0.9, 1), (0.3, 1), (0.2, 2), (0.1, 5), (0.06, 5), (0.05, 10), (0.0004, 1000)],
)
def test_amplification_is_round_and_fits(largest, factor):
    difference = np.array([0.0, -largest])
    assert request_figure._amplification(difference, width=1.0) == pytest.approx(factor)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"originals": np.zeros((0, 8, 8, 3)), "titles": []}, "nothing to draw"),
        ({"submitted": {}}, "nothing to draw"),
        ({"count": 0}, "nothing to draw"),
        ({"originals": np.zeros((2, 8, 8, 2))}, "must have shape"),
        ({"submitted": {"noise": np.zeros((1, 8, 8, 3))}}, "noise has shape"),
        ({"titles": ["one"]}, "as many titles"),
        ({"bounds": (0.5, -0.5)}, "bounds"),
    ],
)
def test_pictures_that_do_not_fit_are_refused(tmp_path, changes, message):
    images = np.zeros((2, 8, 8, 3))
    arguments = {"originals": images, "submitted": {"noise": images}, "titles": ["a", "b"], "bounds": BOUNDS}
    with pytest.raises(ValueError, match=message):
        request_pictures(tmp_path / "pictures.png", **(arguments | changes))


def test_drawing_leaves_no_global_state(tmp_path):
    accuracy_bars(three_seeds(), tmp_path / "accuracy.png")
    assert not _pylab_helpers.Gcf.figs


def test_requests_after_which_unlearning_diverged_are_named_and_not_drawn(tmp_path, drawn):
    lost = {"diverged": True, "class_a": None, "class_a_predicted": None}
    all_of_them = [row | (lost if row["attack"] == "pushing_1" else {}) for row in three_seeds()]
    one_of_them = [row | (lost if row["seed"] == 1 and row["attack"] == "pushing_1" else {}) for row in three_seeds()]
    for number, rows in enumerate((all_of_them, one_of_them)):
        check_png(accuracy_bars(rows, tmp_path / f"{number}" / "accuracy.png"))
        check_png(predicted_label_bars(rows, tmp_path / f"{number}_labels" / "labels.png"))
    bars, labels, bars_of_two, labels_of_two = drawn
    assert len(bars.axes[0].patches) == 1
    assert "Pushing-I\ndiverged" in words(bars)
    assert "diverged" in words(labels)
    assert "Pushing-I\n32.0 %, 1 of 3 diverged" in words(bars_of_two)
    assert "diverged" not in words(labels_of_two)


def test_harm_bars(tmp_path, drawn):
    rows = three_seeds() + [example_row("noise", seed, class_a=0.8) for seed in range(3)]
    check_png(harm_bars(harm_lines(summarise(rows)), tmp_path / "a" / "harm.png", "what it is of", limit=0.05))
    of_a, of_b = drawn[0].axes
    assert [bar.get_width() for bar in of_a.patches] == pytest.approx([2.0, 50.0])
    assert [label.get_text() for label in of_a.get_yticklabels()] == ["Noise control", "Pushing-I"]
    assert [bar.get_width() for bar in of_b.patches] == pytest.approx([0.0, 0.0])
    for word in (
        "What each request costs beyond an honest request of the same samples\nwhat it is of",
        "class airplane, whose samples were requested",
        "class cat, another class",
        "50.0 [25.2, 74.8]",
        "points of test accuracy (bar: mean; line: interval; dashed: the 5 allowed)",
    ):
        assert word in words(drawn[0])


def test_harm_bars_of_one_seed_and_of_lost_seeds(tmp_path, drawn):
    lost = {"diverged": True, "class_a": None, "class_b": None, "class_a_predicted": None}
    rows = [example_row("normal"), example_row("blending", class_a=0.5), example_row("pushing_1") | lost]
    check_png(harm_bars(harm_lines(summarise(rows)), tmp_path / "harm.png", "one"))
    assert len(drawn[0].axes[0].patches) == 1
    assert "one seed, so no interval)" in words(drawn[0])
    assert "diverged" in words(drawn[0])
    with pytest.raises(ValueError, match="nothing to draw"):
        harm_bars([], tmp_path / "harm.png", "none")
