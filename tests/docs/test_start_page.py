"""The page to start with says what an audit prints."""

import re

from overunlearn_jax.reporting.outcomes import NOT_APPLICABLE, SAFE, UNDECIDED, VULNERABLE
from tests.docs.pages import DOCS


def test_the_table_of_exit_statuses_has_every_outcome_in_the_words_of_the_report():
    told = re.findall(r"^\| (\d)(?:, ([A-Z ]+))? \|", (DOCS / "start.md").read_text(), re.MULTILINE)
    failed = [("1", each.upper()) for each in (VULNERABLE, UNDECIDED, NOT_APPLICABLE)]
    assert told == [("0", SAFE.upper()), *failed, ("2", "")]
