"""Which of a page's many effects stand when all are judged together."""

from collections.abc import Sequence
from typing import NamedTuple

from experiments.paper.cells import Results, cell, follows, place_of
from experiments.paper.layout import Entry, TableLayout, entries_of
from overunlearn_jax.statistics.intervals import Interval
from overunlearn_jax.statistics.multiple import p_value, stand_together


class Standing(NamedTuple):
    """What is left of a page's effects."""

    places: frozenset[Entry]  # of `place_of`: where the effect stands
    effects: int  # all told, each once, without those that only follow from another
    excluding: int  # of them, those whose own interval excludes 0

    def words(self) -> str:
        """For a page."""
        return (
            f"Of {self.effects} effects {self.excluding} have an interval without 0, each judged alone; "
            f"{len(self.places)} stand when all are judged together (Benjamini and Hochberg, a false discovery rate of "
            "at most 5 % for tests that depend on each other positively, if at all; these share victims and honest "
            'requests): "stands" below. An effect that several tables show counts once, and where images went that '
            'class A lost is no effect of its own: "follows".'
        )


def standing_of(results: Results, layouts: Sequence[TableLayout]) -> Standing:
    """Judges every effect of these tables."""
    effects: dict[Entry, Interval] = {}
    for entry in (entry for layout in layouts for entry in entries_of(layout)):
        found = None if follows(entry) else cell(results, entry).effect
        if found is not None and found.count > 1:
            effects[place_of(entry)] = found
    chosen = stand_together([p_value(each) for each in effects.values()])
    stands = frozenset(place for place, stand in zip(effects, chosen, strict=True) if stand)
    return Standing(stands, len(effects), sum(each.low * each.high > 0 for each in effects.values()))
