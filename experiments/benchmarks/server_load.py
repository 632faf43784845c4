"""How fast the service answers, what a deletion that goes on costs the others, and whether it keeps its memory.

    python -m experiments.benchmarks.server_load --requests=100000 --out=FILE.json

One row for each batch size and number of requests in flight: predictions a second over HTTP, beside the same images
asked in this process; 50th and 99th percentile of an answer's milliseconds, while nothing else goes on and while one
deletion follows the other; the service's memory before and after as many requests as are asked for. Every number is of
clients on the same machine, which share its cores with the service.
"""

if __name__ == "__main__":  # before all else is imported: Ctrl-C is one line from here on
    from experiments.command import start

    start("bench server_load", "python -m experiments.benchmarks.server_load")

import itertools
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from absl import flags
from tabulate import tabulate

from experiments.benchmarks.server_faults import OWNER, flags_of
from experiments.config import Config
from experiments.config import flags as config_flags
from experiments.serving.client import Client, own_samples
from experiments.serving.process import Service
from overunlearn_jax.files import write_json
from overunlearn_jax.server.tokens import token_of

SMALL: dict[str, Any] = {"workdir": "runs/server_load", "seeds": (0,), "taus": (1e-6,)}
BATCHES = (1, 32, 128)
IN_FLIGHT = (1, 2, 4)
SECONDS = 3.0  # of a row
SAMPLES = 8  # of a deletion


class Place(NamedTuple):
    """A service under load."""

    url: str
    token: str
    images: np.ndarray
    labels: np.ndarray


def ask(place: Place, batch: int, in_flight: int, seconds: float, most: int | None = None) -> dict[str, float]:
    """Asks for `seconds` or `most` requests: images a second, and percentiles of a request's milliseconds."""
    batches = np.resize(place.images, (batch, *place.images.shape[1:]))
    taken, count, deadline = [list[float]() for _ in range(in_flight)], itertools.count(), time.perf_counter() + seconds

    def work(own: list[float]) -> None:
        with Client(place.url, place.token) as client:
            while time.perf_counter() < deadline and (most is None or next(count) < most):
                began = time.perf_counter()
                client.predict(batches)
                own.append(time.perf_counter() - began)

    began = time.perf_counter()
    threads = [threading.Thread(target=work, args=(own,)) for own in taken]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    passed = time.perf_counter() - began
    all_taken = 1000 * np.concatenate([np.array(own) for own in taken])
    return {
        "requests": len(all_taken),
        "images_a_second": len(all_taken) * batch / passed,
        "p50_ms": float(np.percentile(all_taken, 50)),
        "p99_ms": float(np.percentile(all_taken, 99)),
    }


@contextmanager
def deleting(place: Place) -> Iterator[list[float]]:
    """One deletion after the other, for as long as the block lasts; gives the seconds that each took."""
    stop, taken = threading.Event(), list[float]()

    def work() -> None:
        with Client(place.url, place.token) as client:
            for number in itertools.count():
                if stop.is_set():
                    return
                began = time.perf_counter()
                client.wait(client.delete(place.images[:SAMPLES], place.labels[:SAMPLES], f"{began} {number}"))
                taken.append(time.perf_counter() - began)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield taken
    finally:
        stop.set()
        thread.join()


def in_process(config: Config, images: np.ndarray, batch: int, seconds: float) -> float:
    """Images a second of the same model, asked here."""
    from experiments.requests.settings import load_splits
    from experiments.run.keys import seed_keys
    from experiments.victims.cache import train_or_find
    from overunlearn_jax.server.core import answers

    seed = config.run.seeds[0]
    splits = load_splits(config, seed)
    victim = train_or_find(config.victim, config.service, config.run, splits, seed, seed_keys(seed).train)
    batches, predict, asked = np.resize(images, (batch, *images.shape[1:])), victim.service.predict, 0
    answers(predict, batches)  # compiles
    began = time.perf_counter()
    while time.perf_counter() - began < seconds:
        answers(predict, batches)
        asked += batch
    return asked / (time.perf_counter() - began)


def memory(pid: int) -> int:
    """Bytes of a process that lie in memory."""
    fields = Path(f"/proc/{pid}/statm").read_text().split()
    return int(fields[1]) * 4096


def measure(
    config: Config,
    requests: int,
    batches: Sequence[int] = BATCHES,
    in_flight: Sequence[int] = IN_FLIGHT,
    seconds: float = SECONDS,
) -> dict[str, Any]:
    """All rows, and the service's memory before and after `requests` further requests."""
    workdir, rows = Path(config.run.workdir), []
    with Service(workdir, flags_of(config)) as service:
        url = service.url()
        images, labels = own_samples(workdir, OWNER)
        place = Place(url, token_of(workdir / "tokens.json", OWNER), images, labels)
        with deleting(place):  # compiles, too
            time.sleep(min(1.0, seconds))
        for batch, flying in itertools.product(batches, in_flight):
            ask(place, batch, flying, seconds / 4)
            alone = ask(place, batch, flying, seconds)
            with deleting(place) as taken:
                beside = ask(place, batch, flying, seconds)
            rows.append(
                {"batch": batch, "in_flight": flying, "in_process_images_a_second": 0.0}
                | alone
                | {f"deleting_{name}": beside[name] for name in ("images_a_second", "p50_ms", "p99_ms")}
                | {"deletions": len(taken)}
            )
        before = memory(service.pid)
        marathon = ask(place, 1, in_flight[-1], 1e9, requests)
        after = memory(service.pid)
    for batch in batches:
        here = in_process(config, images, batch, seconds)
        for row in rows:
            row["in_process_images_a_second"] = here if row["batch"] == batch else row["in_process_images_a_second"]
    return {
        "rows": rows,
        "requests": marathon["requests"],
        "requests_a_second": marathon["images_a_second"],
        "memory_before": before,
        "memory_after": after,
    }


def define_flags() -> None:
    """The benchmark's own flags, and those of a run."""
    flags.DEFINE_integer("requests", 2000, "between the two looks at the service's memory", lower_bound=1)
    flags.DEFINE_float("seconds", SECONDS, "of each measurement", lower_bound=0.1)
    flags.DEFINE_string("out", "", "JSON file for the numbers")
    config_flags.define_flags(SMALL)


def main(arguments: list[str]) -> None:
    """Measures and prints a table."""
    if len(arguments) > 1:
        raise ValueError(f"unexpected arguments {arguments[1:]}")
    config = config_flags.from_flags(flags.FLAGS, SMALL)
    found = measure(config, flags.FLAGS.requests, seconds=flags.FLAGS.seconds)
    print(tabulate([row.values() for row in found["rows"]], found["rows"][0], "github", floatfmt=".4g"))
    mib = (found["memory_before"] / 2**20, found["memory_after"] / 2**20)
    print(f"{found['requests']:,} requests of one image: {mib[0]:.1f} MiB before, {mib[1]:.1f} MiB after")
    if flags.FLAGS.out:
        write_json(flags.FLAGS.out, found)
