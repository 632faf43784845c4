"""The page is whole, self-contained and safe to open."""

import base64
import re
from html.parser import HTMLParser

import pytest

from overunlearn_jax.reporting import Judgement, ReportFigure, accuracy_bars, groups, write_report
from overunlearn_jax.reporting.outcomes import INTACT, SAFE, UNDECIDED, VULNERABLE
from tests.reporting.example_claims import ExampleClaim, honest
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
        if tag not in ("meta", "img", "br"):
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
        ReportFigure(accuracy_bars(three_seeds(), tmp_path / "two.png"), "A caption.", "In words.", *groups(rows)),
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
        "85.0 [84.0, 86.0]",
        '"device": "cpu"',
        '"tau": 0.0002',
    ):
        assert text in reader.text
    for name in ("Honest request", "Noise control", "Blending", "Pushing-I", "Pushing-II"):
        assert name in reader.text
    images = [attributes for tag, attributes in reader.tags if tag == "img"]
    first, second = figures  # that of a group stands with it, before that of the run
    assert [image["alt"] for image in images] == [second.alt, first.caption]
    for image, figure in zip(images, (second, first), strict=True):
        assert base64.b64decode(image["src"].removeprefix("data:image/png;base64,")) == figure.path.read_bytes()
    told = ["Over-unlearning not shown", "What each request costs", "cifar10, class airplane", "Class airplane left, %"]
    told += ["The requests: samples", "A caption.", "Accuracy of class", "None is finer than one test image", "device"]
    places = [reader.text.index(each) for each in told]
    assert places == sorted(places)


def test_every_attack_has_a_line(report):
    reader = read(report[0].read_text(encoding="utf-8"))
    rows = [attributes for tag, attributes in reader.tags if tag == "th"].count({"scope": "row"})
    assert rows == 1 + 2 * len(ATTACKS)  # results, with the model before; requests


def test_the_finding_is_drawn_with_its_numbers(report):
    reader = read(report[0].read_text(encoding="utf-8"))
    [plot] = [attributes for _, attributes in reader.tags if attributes.get("role") == "img"]
    assert "Pushing-I, class airplane: 0.0 [-1.0, 1.0]; " in (plot["aria-label"] or "")
    assert [tag for tag, _ in reader.tags].count("rect") == 2 * (len(ATTACKS) - 1)  # two classes


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
    for caption, message in ((" ", "needs a caption"), ("words", "not a PNG")):
        with pytest.raises(ValueError, match=message):
            write_report(tmp_path / "r.html", [], [ReportFigure(tmp_path / "figure.png", caption)], {}, {}, "t")
    figure = ReportFigure(
        accuracy_bars(three_seeds(), tmp_path / "one.png"), "Lost.", "", *groups([example_row(tau=0.5)])
    )
    with pytest.raises(ValueError, match=r"a figure is of a setting that no row has: Lost\."):
        write_report(tmp_path / "r.html", three_seeds(), [figure], {}, {}, "t")
    assert not (tmp_path / "r.html").exists()


def test_an_old_page_stays_when_a_new_one_fails(report, tmp_path):
    path, _ = report
    before = path.read_bytes()
    with pytest.raises(FileNotFoundError):
        write_report(path, [], [ReportFigure(tmp_path / "missing.png", "words")], {}, {}, "t")
    assert path.read_bytes() == before


def judged(tmp_path, *claims: ExampleClaim) -> tuple[PageReader, str]:
    judgement = Judgement(claims, ["WARNING: it does nothing"], limit=0.05, service="a service")
    rows = [row | {"tau": tau} for tau in dict.fromkeys((2e-4, 1e-3)) for row in three_seeds()]
    rows = [row for row in rows if any(f"tau {row['tau']:g}" in claim.variant for claim in claims)]
    page = write_report(tmp_path / "r.html", rows, [], {}, {}, judgement.service, judgement=judgement).read_text()
    return read(page), page


@pytest.mark.parametrize(
    ("outcome", "tone"), [(SAFE, "good"), (VULNERABLE, "bad"), (UNDECIDED, "open")], ids=["safe", "vulnerable", "open"]
)
def test_an_audit_s_page_says_the_outcome_in_colour_and_word(tmp_path, outcome, tone):
    reader, page = judged(tmp_path, honest(INTACT), ExampleClaim(outcome, 2, note="a note"))
    assert f"<title>{outcome.upper()}: a service</title>" in page
    assert f'<p class="banner {tone}"><span class="word">{outcome.upper()}</span>: Pushing-I weighs 2</p>' in page
    assert f'<span class="badge {tone}">{outcome}</span>' in page
    assert f'class="strip {tone}"' in page
    assert "dashed: the 5 points allowed" in reader.text
    told = [
        f"{outcome.upper()}: ",
        "2 claims",
        "WARNING",
        "What each request costs",
        "Outcome",
        "a note",
        "What is left",
    ]
    places = [reader.text.rindex(each) for each in told]
    assert places == sorted(places)
    assert "Over-unlearning I" not in reader.text.split("What is left")[0]  # the claims say it


def test_claims_keep_their_roles_where_a_narrow_screen_shows_them_as_blocks(tmp_path):
    reader, _ = judged(tmp_path, honest(INTACT), ExampleClaim(SAFE))
    roles = [attributes.get("role") for _, attributes in reader.tags]
    assert [roles.count(role) for role in ("table", "row", "columnheader", "rowheader", "cell")] == [1, 3, 5, 2, 8]


def test_other_settings_of_an_audit_are_folded_with_their_outcome(tmp_path):
    other = "10 % requested, authors_code, tau 0.001"
    reader, page = judged(tmp_path, ExampleClaim(SAFE), ExampleClaim(VULNERABLE, variant=other))
    assert "VULNERABLE: Pushing-I weighs 0 [10 % requested, authors_code, tau 0.001]" in reader.text
    assert "<h2>cifar10, class airplane, tau 0.001</h2>" in page
    assert '<summary>cifar10, class airplane, tau 0.0002: <span class="badge good">safe</span></summary>' in page
