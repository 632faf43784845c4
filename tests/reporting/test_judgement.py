"""One line, one table, and what would decide: for terminals and notebooks."""

import re

import pytest

from overunlearn_jax.reporting import Judgement
from overunlearn_jax.reporting.outcomes import (
    COLOURS,
    DESTROYED,
    INTACT,
    NOT_APPLICABLE,
    SAFE,
    TONES,
    UNDECIDED,
    VULNERABLE,
)
from tests.reporting.example_claims import ExampleClaim, honest
from tests.reporting.test_html import read


@pytest.mark.parametrize(
    ("claims", "headline", "passed"),
    [
        ([ExampleClaim(SAFE, 1), ExampleClaim(SAFE, 3)], "SAFE: Pushing-I weighs 3", True),
        ([honest(INTACT, weight=9.0), ExampleClaim(SAFE, 3)], "SAFE: Pushing-I weighs 3", True),
        (
            [ExampleClaim(VULNERABLE, 1), ExampleClaim(VULNERABLE, 2), ExampleClaim(UNDECIDED, 9)],
            "VULNERABLE: P",
            False,
        ),
        ([ExampleClaim(SAFE, 9), ExampleClaim(UNDECIDED, 1)], "UNDECIDED: Pushing-I weighs 1", False),
        ([honest(DESTROYED), ExampleClaim(NOT_APPLICABLE)], "NOT APPLICABLE: Honest request weighs 0", False),
        ([honest(DESTROYED), ExampleClaim(UNDECIDED, 1)], "NOT APPLICABLE: Honest request", False),
        ([honest(DESTROYED), ExampleClaim(VULNERABLE, 1)], "VULNERABLE: Pushing-I", False),
        ([honest(UNDECIDED), ExampleClaim(SAFE, 1)], "UNDECIDED: Honest request", False),
        ([], "UNDECIDED: no claim was made", False),
    ],
)
def test_the_headline_is_the_claim_that_decides(claims: list[ExampleClaim], headline: str, passed: bool):
    judgement = Judgement(claims)
    assert judgement.headline.startswith(headline)
    assert judgement.passed == passed
    assert judgement.outcome.upper() == judgement.headline.partition(":")[0]
    assert judgement.passed == (judgement.outcome == SAFE)


def test_the_heaviest_of_the_decisive_claims_is_named():
    claims = [ExampleClaim(VULNERABLE, weight, request=f"attack {weight}") for weight in (1, 3, 2)]
    assert Judgement(claims).headline == "VULNERABLE: attack 3 weighs 3"


def test_of_several_settings_the_headline_says_which():
    judgement = Judgement([ExampleClaim(SAFE, variant="small"), ExampleClaim(VULNERABLE, variant="large")], ["careful"])
    assert judgement.headline == "VULNERABLE: Pushing-I weighs 0 [large]"
    assert judgement.decisive_variant == "large"
    assert judgement.table.headers[-1] == "Setting"
    assert [row[-1] for row in judgement.table.rows] == ["small", "large"]
    small = judgement.of("small")
    assert (small.headline, list(small.warnings)) == ("SAFE: Pushing-I weighs 0", [])
    assert "Setting" not in small.table.headers


def test_a_note_is_said_once_after_what_it_is_of():
    claims = [
        honest(INTACT),
        ExampleClaim(UNDECIDED, request="Blending", note="more seeds"),
        ExampleClaim(UNDECIDED, note="more seeds"),
        ExampleClaim(SAFE),
    ]
    assert Judgement(claims).notes == ["Blending, class airplane; Pushing-I, class airplane: more seeds."]
    assert Judgement(claims[:3]).notes == ["All malicious requests: more seeds."]


def test_text_for_a_terminal():
    judgement = Judgement([honest(INTACT), ExampleClaim(VULNERABLE, note="a note")], ["WARNING: a warning"])
    first, _, headers, _, intact, vulnerable, *rest = str(judgement).splitlines()
    assert first == "VULNERABLE: Pushing-I weighs 0"
    assert headers.split() == ["Outcome", "Request", "Class", "Cost", "beyond", "an", "honest", "request", "Allowed"]
    assert intact.startswith("intact ")
    assert "50.0 [40.0, 60.0] points" in vulnerable
    assert rest == [
        "",
        "2 claims: 1 intact, 1 vulnerable.",
        "Pushing-I, class airplane: a note.",
        "WARNING: a warning",
    ]
    assert repr(judgement) == str(judgement)
    assert Judgement([ExampleClaim(SAFE)]).counted == "1 claim: safe."


def test_html_for_a_notebook_is_self_contained_and_escaped():
    evil = "<script>alert(1)</script>"
    claims = [honest(INTACT), ExampleClaim(VULNERABLE, request=evil, note=evil)]
    page = Judgement(claims, [f"WARNING: {evil}"], service=f"service {evil}")._repr_html_()
    reader = read(page)
    assert "<script" not in page
    assert not re.search(r"https?:|//[a-z]|url\(|<style|<link", page)
    assert reader.text.count(evil) == 6  # service, headline, row, the note and what it is of, warning
    assert f"background:{COLOURS['bad']}" in page  # colour and word
    assert "VULNERABLE" in reader.text
    scopes = [attributes["scope"] for tag, attributes in reader.tags if tag == "th"]
    assert scopes == ["col"] * 5 + ["row"] * 2
    assert len(page) < 4000


def test_every_outcome_has_a_colour_on_which_white_can_be_read():
    def luminance(colour: str) -> float:
        parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    for name in TONES.values():
        assert 1.05 / (luminance(COLOURS[name]) + 0.05) > 4.5  # WCAG 2, text of any size
