"""What a run's services reveal: asked once for each, and kept in the workdir, so that a resumed run searches alike."""

import sys
from pathlib import Path
from typing import Any

from experiments.config import Config
from experiments.requests.settings import classes_of
from experiments.run.processes import barrier, is_first
from overunlearn_jax.auditing.recommending import recommend
from overunlearn_jax.auditing.revealing import Revealed, probe
from overunlearn_jax.black_box import BlackBox
from overunlearn_jax.data import request_size
from overunlearn_jax.digests import read_sealed, sealed_text
from overunlearn_jax.files import write_bytes
from overunlearn_jax.types import Splits

FILE = "revealed.json"


def revealed_by(config: Config, name: str, black_box: BlackBox, splits: Splits) -> Revealed:
    """What the service of this name reveals: as the workdir has it, or asked now and told on standard error."""
    path = Path(config.run.workdir) / FILE
    if is_first() and name not in _read(path):
        found = probe(black_box, splits.test.images)
        advice = recommend(found, splits.spec)
        samples = request_size(
            splits.train, classes_of(config.data, config.attack, splits.spec).a, max(config.attack.fractions)
        )
        cost = advice.cost(samples)
        lines = [*found.lines, *advice.why, f"a seed: {cost}"]
        known = {**_read(path), name: {**found._asdict(), "lines": lines}}
        write_bytes(path, sealed_text(known).encode())
        print("what the service reveals:", *(f"* {line}" for line in lines), sep="\n", file=sys.stderr, flush=True)
    barrier(f"what {name} reveals is known")
    kept: dict[str, Any] = _read(path)[name]
    seen, seconds = tuple(kept["seen"]), tuple(kept["seconds"])
    plain: dict[str, Any] = {key: kept[key] for key in Revealed._fields if key not in ("seen", "seconds")}
    return Revealed(**plain, seen=seen, seconds=seconds)


def adopt_revealed(part: Path, workdir: Path) -> None:
    """Adds what another workdir knows of its services."""
    known = _read(part / FILE)
    if known:
        write_bytes(workdir / FILE, sealed_text({**known, **_read(workdir / FILE)}).encode())


def revealed_lines(workdir: Path) -> list[str]:
    """What was found of all services of a run, a sentence each; empty where nothing was asked."""
    return [line for each in _read(workdir / FILE).values() for line in each["lines"]]


def _read(path: Path) -> dict[str, Any]:
    return read_sealed(path, "delete it, and the service is asked again") if path.exists() else {}
