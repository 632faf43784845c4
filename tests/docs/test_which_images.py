"""Whoever brings a service is told which images it takes, and that a deletion has to be finished."""

import jax
import numpy as np
import pytest

import overunlearn_jax as ou
from overunlearn_jax.services.inspection import inspect_service
from tests.docs.pages import DOCS
from tests.services.fakes import InPlace, splits


def section(page: str) -> str:
    """What stands below the heading, in one line."""
    return " ".join((DOCS / page).read_text().split("\n## Which images\n")[1].split("\n## ")[0].split())


@pytest.mark.parametrize("page", ["howto/service.md", "howto/http.md"])
def test_a_page_about_a_service_says_which_images_are_trained_on_and_which_unseen(page: str):
    told = section(page)
    assert "`test_images` and `test_labels`" in told
    assert "never seen" in told
    assert "trained on" in told


def test_pages_lead_there():
    assert "(howto/service.md#which-images)" in (DOCS / "start.md").read_text()
    assert "(service.md#which-images)" in (DOCS / "howto/data.md").read_text()
    assert "(service.md#which-images)" in section("howto/http.md")


def test_a_deletion_that_is_only_queued_looks_as_if_it_forgot_nothing():
    """As both pages say."""
    queued: list[tuple[np.ndarray, np.ndarray]] = []
    fake = InPlace()
    service = ou.service(
        spec=splits().spec,
        predict=fake.predict,
        forget=lambda images, labels: queued.append((images, labels)),
        reset=fake.reset,
    )
    found = inspect_service(service, splits(), 0, jax.random.key(0))
    assert len(queued) == 1
    assert not found.changed
    assert "changed none of the service's answers" in found.warnings[0]
    for page in ("howto/service.md", "howto/http.md"):
        assert "looks as if it forgot nothing" in " ".join((DOCS / page).read_text().split())
