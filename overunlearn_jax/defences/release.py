"""What a monitor releases of a deletion: all of it, nothing, or the parts that cost no more than honest ones."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from overunlearn_jax.defences.examination import Piece, halves
from overunlearn_jax.defences.monitor import Verdict, Watcher
from overunlearn_jax.services.service import After, Service, Variant, after_each
from overunlearn_jax.types import Key

Note = Callable[[Piece, Variant, Verdict, float], None]  # told of each verdict about a piece, and its seconds


class Released(NamedTuple):
    """What was forgotten in the end."""

    pieces: Sequence[Piece]  # in their order; none: the service is as it was
    after: After  # of these; where there are none, of what was rolled back


@contextmanager
def released(
    service: Service, watcher: Watcher | None, pieces: Sequence[Piece], key: Key, note: Note
) -> Iterator[Mapping[Variant, Released]]:
    """The service once it has forgotten what the watcher releases, for every variant; all, without a watcher.

    What is rolled back as a whole is halved where the monitor says so, for a service that forgets in one way: each
    part is tried on top of those that were released before it, and compared with honest requests cut alike, so that
    many small parts cost together what they cost at once. That takes up to 2 n / smallest deletions, and the honest
    ones beside each.
    """
    if watcher is None:
        with after_each(service, [piece.request for piece in pieces], key) as left:
            yield {variant: Released(pieces, each) for variant, each in left.items()}
        return
    with _tried(service, watcher, pieces, pieces, key, note) as (left, verdicts):
        of_each = [verdict.released for verdict in verdicts.values()]
        if all(of_each) or (any(of_each) and not watcher.in_parts):
            yield {
                variant: Released(pieces if verdicts[variant].released else (), each) for variant, each in left.items()
            }
            return
        rolled_back = {variant: Released((), each) for variant, each in left.items()}
    if not watcher.in_parts:
        yield rolled_back  # by a service that is itself again, and may be asked
        return
    [variant] = rolled_back
    kept: list[Piece] = []
    waiting = [*pieces] if len(pieces) > 1 else halves(pieces[0], watcher.smallest)
    while waiting:
        part = waiting.pop(0)
        with _tried(service, watcher, [*kept, part], [part], key, note) as (_, verdicts):
            if verdicts[variant].released:
                kept.append(part)
            else:
                waiting = [*halves(part, watcher.smallest), *waiting]
    if not kept:
        yield rolled_back
        return
    with after_each(service, [piece.request for piece in kept], key) as left:
        yield {variant: Released(kept, left[variant])}


@contextmanager
def _tried(
    service: Service, watcher: Watcher, pieces: Sequence[Piece], new: Sequence[Piece], key: Key, note: Note
) -> Iterator[tuple[Mapping[Variant, After], Mapping[Variant, Verdict]]]:
    """The service after these pieces and the verdicts, which are noted of the new ones."""
    requests = [piece.request for piece in pieces]
    began = time.perf_counter()
    limits = watcher.limits(requests)  # before anything is forgotten
    seconds = time.perf_counter() - began
    with after_each(service, requests, key) as left:
        began = time.perf_counter()
        verdicts = watcher.judge(left, limits)
        seconds += time.perf_counter() - began
        for variant, verdict in verdicts.items():
            for piece in new:
                note(piece, variant, verdict, seconds / len(verdicts) / len(new))
        yield left, verdicts
