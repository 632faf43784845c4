"""Pushes the samples of a run, those that no earlier run has pushed, and saves them as they end."""

import time
from pathlib import Path

import jax
import numpy as np

from experiments.requests import push_store
from experiments.requests.push_store import Stored
from experiments.requests.searches import Search
from experiments.run.processes import barrier
from experiments.run.progress import PushingBar
from overunlearn_jax.attacks import PushResult
from overunlearn_jax.attacks.processes import own_share
from overunlearn_jax.black_box import BlackBox
from overunlearn_jax.files import settings_hash
from overunlearn_jax.types import Key, Split

RECIPE = 3  # raise it when the engine changes what the same settings give
CHUNK = 25  # samples in a file; a kill loses those that are not yet in one


def push_or_find(
    cache_dir: str, victim: str, key: Key, search: Search, black_box: BlackBox, samples: Split
) -> tuple[PushResult, float]:
    """Pushes `samples` through the black box; returns what became of them and the seconds that it took.

    Samples that the cache holds are charged their queries, and count the seconds that they once took. Without a budget
    a run that was killed gives the same results as an undisturbed one; what a kill leaves of a budget may go to others.
    """
    name = settings_hash(
        {
            "recipe": RECIPE,
            "victim": victim,
            "search": search.name,
            **search.described,
            "budget": black_box.left,
            # A budget is shared out among those who search: it makes one sample's result depend on the others.
            "searchers": None if black_box.left is None else [jax.process_count(), jax.local_device_count()],
            "key": jax.random.key_data(key).tolist(),
        }
    )
    directory = Path(cache_dir) / "pushes" / name
    parts = push_store.read(directory, samples.ids)
    barrier("pushes read")  # before anyone adds to them
    known = push_store.join(parts).ids if parts else np.zeros(0, np.int64)
    missing = Split(*(array[~np.isin(samples.ids, known)] for array in samples))
    with PushingBar("pushing", len(known) + len(missing.ids[own_share()])) as bar:
        for part in parts:
            black_box.charge(int(part.result.queries.sum()))
            bar.update(part.result, part.seconds)
        if len(missing.labels):
            saving = _Saving(directory, missing.ids, bar)
            try:
                result = search.run(black_box, missing, key, saving.add)
            finally:
                saving.write()
            parts.append(Stored(missing.ids, result, saving.seconds))
    everything = push_store.join(parts)
    place = {identity: index for index, identity in enumerate(everything.ids.tolist())}
    order = [place[identity] for identity in samples.ids.tolist()]
    return PushResult(*(array[order] for array in everything.result)), everything.seconds


class _Saving:
    """Collects finished samples and writes them, `CHUNK` or more at a time."""

    def __init__(self, directory: Path, ids: np.ndarray, bar: PushingBar):
        self.seconds = 0.0
        self._directory, self._ids, self._bar = directory, ids, bar
        self._collected: list[Stored] = []
        self._missing = len(ids[own_share()])
        self._began = time.perf_counter()

    def add(self, positions: np.ndarray, result: PushResult) -> None:
        """Called with samples that have just ended."""
        now = time.perf_counter()
        self._collected.append(Stored(self._ids[positions], result, now - self._began))
        self._bar.update(result, now - self._began)
        self.seconds += now - self._began
        self._began = now
        self._missing -= len(positions)
        if self._missing == 0 or sum(len(part.ids) for part in self._collected) >= CHUNK:
            self.write()

    def write(self) -> None:
        """Writes what has been collected."""
        if self._collected:
            push_store.write(self._directory, push_store.join(self._collected))
            self._collected = []
