"""An audit's claims for a pipeline, as JUnit XML."""

import re
from collections.abc import Iterable
from pathlib import Path
from xml.etree import ElementTree

from overunlearn_jax.files import write_bytes
from overunlearn_jax.reporting import Claim
from overunlearn_jax.reporting.outcomes import NOT_APPLICABLE

# XML 1.0 (section 2.2) has no place for these, not even escaped: control characters, halves of surrogate pairs.
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def write_junit(path: Path, claims: Iterable[Claim], name: str) -> Path:
    """Writes a test case for each claim: what was not shown is a failure, what does not apply is skipped.

    A claim that nobody could show is no pass: a pipeline that reads the file stops on it, too. What XML cannot hold is
    written as Python does, such as \\x1b. Raises OSError if the file cannot be written.
    """
    listed = list(claims)
    skipped = [each.outcome == NOT_APPLICABLE for each in listed]
    failures = sum(not each.passed for each in listed) - sum(skipped)
    suite = ElementTree.Element(
        "testsuite",
        name=_text(name),
        tests=str(len(listed)),
        failures=str(failures),
        errors="0",
        skipped=str(sum(skipped)),
    )
    for each, is_skipped in zip(listed, skipped, strict=True):
        case = ElementTree.SubElement(suite, "testcase", classname=_text(name), name=_text(each.name))
        if is_skipped:
            ElementTree.SubElement(case, "skipped", message=_text(each.words))
        elif each.passed:
            ElementTree.SubElement(case, "system-out").text = _text(each.words)
        else:
            ElementTree.SubElement(case, "failure", type=_text(each.outcome), message=_text(each.words))
    ElementTree.indent(suite)
    return write_bytes(path, ElementTree.tostring(suite, encoding="utf-8", xml_declaration=True))


def _text(text: str) -> str:
    """The text with what XML cannot hold written as an escape of Python's."""
    return _NOT_XML.sub(lambda found: found.group().encode("unicode_escape").decode("ascii"), text)
