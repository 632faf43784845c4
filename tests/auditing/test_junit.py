"""JUnit XML that every parser reads, whatever the texts hold."""

from pathlib import Path
from xml.etree import ElementTree

import pytest

from overunlearn_jax.auditing._verdicts import verdicts
from overunlearn_jax.auditing.junit import write_junit
from overunlearn_jax.reporting.outcomes import INTACT, NOT_APPLICABLE, SAFE, UNDECIDED, VULNERABLE
from tests.auditing.claim_rows import rows
from tests.reporting.example_claims import ExampleClaim, honest

TEXTS = {
    "<a href='&amp;'>]]>\"": "<a href='&amp;'>]]>\"",
    "nul \x00 and escape \x1b[31m": "nul \\x00 and escape \\x1b[31m",
    "half a pair \ud83d": "half a pair \\ud83d",
    "no character \ufffe": "no character \\ufffe",
    "猫, ü, 😀": "猫, ü, 😀",
    "two\nlines\tand a tab": "two\nlines\tand a tab",
}


@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
def test_any_text_is_valid(tmp_path: Path, text: str):
    claims = [ExampleClaim(outcome, request=text) for outcome in (SAFE, VULNERABLE, NOT_APPLICABLE)]
    suite = ElementTree.parse(write_junit(tmp_path / "junit.xml", claims, text)).getroot()
    assert suite.get("name") == TEXTS[text]
    passed, failed, skipped = suite
    for case in suite:
        assert (case.get("name") or "").startswith(TEXTS[text])
    for found in (passed.findtext("system-out"), failed.find("failure").get("message"), skipped[0].get("message")):
        assert (found or "").startswith(TEXTS[text])


def test_what_does_not_apply_is_skipped_and_no_pass(tmp_path: Path):
    claims = [honest(INTACT), ExampleClaim(SAFE), ExampleClaim(UNDECIDED), ExampleClaim(NOT_APPLICABLE)]
    suite = ElementTree.parse(write_junit(tmp_path / "junit.xml", claims, "service")).getroot()
    counts = {"tests": "4", "failures": "1", "errors": "0", "skipped": "1"}
    assert {name: suite.get(name) for name in counts} == counts
    assert [[child.tag for child in case] for case in suite] == [
        ["system-out"],
        ["system-out"],
        ["failure"],
        ["skipped"],
    ]


def test_junit_fails_what_is_not_shown(tmp_path: Path):
    found = verdicts([*rows([0.0, 0.0]), *rows([0.3, 0.31], "blending"), *rows([0.0, 0.2], "noise")], 0.05)
    suite = ElementTree.parse(write_junit(tmp_path / "junit.xml", found, "a <service>")).getroot()
    assert suite.tag == "testsuite"
    assert suite.attrib == {"name": "a <service>", "tests": "6", "failures": "2", "errors": "0", "skipped": "0"}
    failures = {
        case.get("name"): case.find("failure").get("type") for case in suite if case.find("failure") is not None
    }
    assert failures == {
        "Blending: over-unlearning I (class cat), 10 % requested": "vulnerable",
        "Noise control: over-unlearning I (class cat), 10 % requested": "undecided",
    }
    assert all(case.find("system-out").text for case in suite if case.find("failure") is None)
