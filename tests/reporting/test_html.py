"""The page is whole, self-contained and safe to open."""

import base64
import re
from html.parser import HTMLParser

import pytest

from overunlearn_jax.reporting import ReportFigure, accuracy_bars, write_report
from tests.reporting.example_rows import example_row, three_seeds

ATTACKS = ["normal", "noise", "blending", "pushing_1", "pushing_2"]


class PageReader(HTMLParser):
    """Collects tags and text, and checks that tags close."""

    def __init__(self):
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.open: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def read(page: str) -> PageReader:
    reader = PageReader()
    reader.feed(page)
    reader.close()
    assert not reader.open
    return reader


@pytest.fixture
def report(tmp_path):
    rows = [example_row(attack, seed) for attack in ATTACKS for seed in range(3)]
    figures = [
        ReportFigure(accuracy_bars(rows, tmp_path / "one.png"), "Accuracy of class airplane per request."),
        (accuracy_bars(three_seeds(), tmp_path / "two.png"), "A second figure."),
    ]
    path = write_report(tmp_path / "out" / "report.html", rows, figures, {"device": "cpu"}, {"tau": 2e-4}, "A title")
    return path, figures


def test_page_holds_verdict_tables_figures_config_and_manifest(report):
    path, figures = report
    assert [file.name for file in path.parent.iterdir()] == ["report.html"]
    reader = read(path.read_text(encoding="utf-8"))
    for text in (
        "A title",
        "Over-unlearning not shown",
        "85.0 [85.0, 85.0]",
        '"device": "cpu"',
        '"tau": 0.0002',
    ):
        assert text in reader.text
    for name in ("Honest request", "Noise (control)", "Blending", "Pushing-I", "Pushing-II"):
        assert name in reader.text
    images = [attributes for tag, attributes in reader.tags if tag == "img"]
    assert [image["alt"] for image in images] == [alt for _, alt in figures]
    for image, (file, _) in zip(images, figures, strict=True):
        assert base64.b64decode(image["src"].removeprefix("data:image/png;base64,")) == file.read_bytes()
    assert [tag for tag, _ in reader.tags].count("details") == 2
    assert reader.text.index("Over-unlearning not shown") < reader.text.index("Class A %")


def test_every_attack_has_a_line(report):
    reader = read(report[0].read_text(encoding="utf-8"))
    assert [attributes for tag, attributes in reader.tags if tag == "th"].count({"scope": "row"}) == 1 + len(ATTACKS)


def test_page_asks_nobody_for_anything(report):
    page = report[0].read_text(encoding="utf-8")
    assert not re.search(r"https?:|//[a-z]|@import|url\(|<script|<link|<iframe", re.sub(r"base64,[^\"]*", "", page))
    for tag, attributes in read(page).tags:
        assert "href" not in attributes
        assert tag == "img" or "src" not in attributes


def test_page_fits_phones_and_dark_screens(report):
    page = report[0].read_text(encoding="utf-8")
    assert 'name="viewport" content="width=device-width' in page
    assert "prefers-color-scheme: dark" in page


def test_text_cannot_become_markup(tmp_path):
    rows = [example_row(class_a_name="<script>alert(1)</script>", dataset="a&b")]
    path = write_report(tmp_path / "r.html", rows, [], {"note": "</pre><b>"}, {}, "<i>title</i>")
    page = path.read_text(encoding="utf-8")
    assert "<script" not in page
    assert "<i>" not in page
    assert "<b>" not in page
    assert "<script>alert(1)</script>" in read(page).text


def test_published_numbers_are_printed(tmp_path):
    references = [("paper", "pushing_1", {"class_a": 0.295})]
    path = write_report(tmp_path / "r.html", three_seeds(), [], {}, {}, "t", reference_rows=references)
    assert "paper: class A %" in path.read_text(encoding="utf-8")
    assert "29.5" in path.read_text(encoding="utf-8")


def test_figures_need_words_and_must_be_png(tmp_path):
    (tmp_path / "figure.png").write_bytes(b"no picture")
    for alt, message in ((" ", "alternative text"), ("words", "not a PNG")):
        with pytest.raises(ValueError, match=message):
            write_report(tmp_path / "r.html", [], [(tmp_path / "figure.png", alt)], {}, {}, "t")
    assert not (tmp_path / "r.html").exists()


def test_an_old_page_stays_when_a_new_one_fails(report, tmp_path):
    path, _ = report
    before = path.read_bytes()
    with pytest.raises(FileNotFoundError):
        write_report(path, [], [(tmp_path / "missing.png", "words")], {}, {}, "t")
    assert path.read_bytes() == before
