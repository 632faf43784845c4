"""A user's own service, by --service or --service_url: started, looked at before hours are spent, and named."""

import hashlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import jax

from experiments.config import Config, RunConfig
from experiments.requests.settings import classes_of, load_splits
from experiments.victims.names import NameStore
from experiments.victims.over_http import connected
from overunlearn_jax.services.callables import from_object
from overunlearn_jax.services.fingerprint import ask, asked_images
from overunlearn_jax.services.guard import GuardedService, unfinished
from overunlearn_jax.services.inspection import ServiceError, check_undo, inspect_service
from overunlearn_jax.services.process import ServiceProcess
from overunlearn_jax.services.service import ONLY, Service
from overunlearn_jax.types import Splits


class UsersService(NamedTuple):
    """A service under its two names."""

    service: Service
    predictions: str  # the name of its predictions
    forgetting: str  # the name of how it forgets: its source, and its answers after one small deletion
    flag: str  # that names it
    bare: Service  # the service itself, without the guard


@contextmanager
def opened(config: Config) -> Iterator[UsersService | None]:
    """The service that --service or --service_url names, for as long as the block lasts; None where there is none.

    It is started, brought back where a kill left it, inspected and named. Raises ValueError for one that cannot be
    made, that answers no probabilities or that a reset does not bring back: what is wrong with it is found here, before
    anything is pushed.
    """
    if not config.service.users:
        yield None
        return
    splits = load_splits(config, config.run.seeds[0])
    classes = classes_of(config.data, config.attack, splits.spec)
    name = config.service.users
    folder = Path(config.run.cache_dir) / "services" / hashlib.blake2b(name.encode(), digest_size=8).hexdigest()
    if config.service.service_url:
        with connected(config, splits.spec, folder) as remote:
            started = _Started(remote, remote.reset, remote.source, name, "service_url", folder)
            yield _inspected(started, config.run, splits, classes.a)
        return
    log = Path(config.run.workdir) / "service.log"
    with ServiceProcess(name, splits.train, log, config.service.service_timeout) as process:
        bare = from_object(process, splits.spec, name=name)
        started = _Started(bare, process.reset, process.source, name, "service", folder)
        yield _inspected(started, config.run, splits, classes.a)


class _Started(NamedTuple):
    """A service that answers, before anybody has looked at it."""

    service: Service
    reset: Callable[[], object]
    source: str  # digest of what it is made of, or of where it is
    name: str
    flag: str
    folder: Path  # where a deletion that is under way is noted


def _inspected(started: _Started, run: RunConfig, splits: Splits, class_a: int) -> UsersService:
    bare, name, folder = started.service, started.name, started.folder
    check_undo(bare)
    store = NameStore(Path(run.cache_dir) / "services")
    images = asked_images(splits.test)
    noted = unfinished(folder)
    if noted is not None:
        started.reset()
    before = ask(bare.predict, images)
    predictions = store.find_or_add("predictions", before)
    if noted is not None and noted["service"] != predictions:
        raise ServiceError(
            f"a deletion from {name} was not ended, and after reset() it does not answer as it did before: "
            f"bring it back by hand; if it is another service now, delete {noted['note']}"
        )
    guarded = GuardedService(bare, folder, images, before, name=predictions)
    with guarded.noted(samples=1):
        found = inspect_service(bare, splits, class_a, jax.random.key(0), before=before)
    after = found.after.get(ONLY)
    answered = "diverged" if after is None else store.find_or_add(f"after_{predictions}", after)
    forgetting = f"{started.source}-{answered}"
    for warning in found.warnings:  # before hours are spent
        print(f"WARNING: {name}: {warning}", file=sys.stderr, flush=True)
    return UsersService(guarded, predictions, forgetting, started.flag, bare)
