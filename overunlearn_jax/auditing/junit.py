"""An audit's claims for a pipeline, as JUnit XML."""

from collections.abc import Iterable
from pathlib import Path
from xml.etree import ElementTree

from overunlearn_jax.files import write_bytes
from overunlearn_jax.reporting import Claim


def write_junit(path: Path, claims: Iterable[Claim], name: str) -> Path:
    """Writes a test case for each claim; what did not pass is a failure.

    A claim that nobody could show is no pass: a pipeline that reads the file stops on it, too.
    """
    listed = list(claims)
    failures = sum(not each.passed for each in listed)
    suite = ElementTree.Element("testsuite", name=name, tests=str(len(listed)), failures=str(failures))
    for each in listed:
        case = ElementTree.SubElement(suite, "testcase", classname=name, name=each.name)
        if each.passed:
            ElementTree.SubElement(case, "system-out").text = each.words
        else:
            ElementTree.SubElement(case, "failure", type=each.outcome, message=each.words)
    ElementTree.indent(suite)
    return write_bytes(path, ElementTree.tostring(suite, encoding="utf-8", xml_declaration=True))
