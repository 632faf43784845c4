"""From a config to a running service: victim, method, owners, journal."""

import contextlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from starlette.types import ASGIApp

from experiments.config import Config
from experiments.requests.settings import load_splits
from experiments.run.keys import seed_keys
from experiments.run.locks import alone_in
from experiments.victims.cache import Victim, choice_of, ingredients_of, train_or_find
from experiments.victims.defended import check_gates, defences_of
from overunlearn_jax.defences.assembly import Defences, defend
from overunlearn_jax.defences.registry import read_gate, split_gates
from overunlearn_jax.files import write_npz
from overunlearn_jax.server.app import make_app
from overunlearn_jax.server.core import ServedModel
from overunlearn_jax.server.forgetter import Forgetter, ReplayingForgetter, ServiceForgetter, check_weights
from overunlearn_jax.server.logs import JsonLines
from overunlearn_jax.server.private import make_private
from overunlearn_jax.server.receipts import Receipts, identifier_of, shared_out
from overunlearn_jax.server.settings import ServerSettings
from overunlearn_jax.server.tokens import ADMIN, Tokens, read_or_make_tokens, write_token_files
from overunlearn_jax.server.worker import Worker
from overunlearn_jax.services import recipes
from overunlearn_jax.services.service import Service
from overunlearn_jax.types import Split, Splits, Variables


@dataclass
class Opened:
    """A service that is ready to be served."""

    app: ASGIApp
    version: int
    tokens: Path  # folder of a file for each holder
    holders: list[str]
    log: Path
    served: ServedModel
    worker: Worker
    busy: bool = False  # once closed: whether a deletion is still under way, which the next start does


@contextmanager
def opened(
    config: Config,
    owners: Sequence[str],
    settings: ServerSettings,
    start_from: int | None = None,
) -> Iterator[Opened]:
    """The service that the config asks for, for as long as the block lasts.

    Raises ValueError for flags that do not go together, for a workdir of another model or user and for wrong owners;
    OccupiedError where another process is at work in the workdir.
    """
    _check(config, owners)
    seed, workdir = config.run.seeds[0], Path(config.run.workdir)
    make_private(workdir)
    with alone_in(workdir):
        splits, keys = load_splits(config, seed), seed_keys(seed)
        recipes.check(choice_of(config.service), ingredients_of(config.victim, splits))
        victim = train_or_find(config.victim, config.service, config.run, splits, seed, keys.train)
        weights = check_weights(victim.service)
        defences = defences_of(config, victim, splits, keys.unlearn) if config.defences.gates else None
        receipts = Receipts(splits.train, shared_out(len(splits.train.labels), owners), splits.spec.bounds)
        holders = read_or_make_tokens(workdir / "tokens.json", owners)
        tokens = workdir / "tokens"
        named = write_token_files(tokens, holders)
        _write_owners(workdir / "owners", receipts, owners)
        with open(workdir / "server.log", "a", encoding="utf-8") as stream:
            log = JsonLines(stream)
            served = ServedModel(
                splits.spec, weights.model, weights.variables, workdir, settings, log=log, start_from=start_from
            )
            served.warm_up()
            worker = Worker(
                served,
                splits.train,
                forgetter_of(config, splits, victim, defences),
                key=keys.unlearn,
                gates=() if defences is None else defences.gates,
                log=log,
            )
            app = make_app(served, worker, receipts, Tokens(holders), log=log)
            made = Opened(app, served.served.version.number, tokens, named, workdir / "server.log", served, worker)
            try:
                yield made
            finally:
                made.busy = worker.is_alive
                with contextlib.suppress(Exception):
                    if not made.busy:  # a thread that still works has the journal open
                        served.close()


def forgetter_of(config: Config, splits: Splits, victim: Victim, defences: Defences | None = None) -> Forgetter:
    """How the service of these flags forgets; what `defences` say of an outcome is part of it, gates are not."""
    choice = choice_of(config.service)
    around = None if defences is None else defences._replace(gates=())
    if around == Defences():
        around = None
    if config.service.facts.prepares:
        return ReplayingForgetter(splits.train, victim.service)
    ingredients = ingredients_of(config.victim, splits)
    folder = Path(config.run.workdir) / "work"

    def make(variables: Variables, held: Splits) -> Service:
        service = recipes.serve(choice, ingredients._replace(splits=held), variables, folder)
        return service if around is None else defend(service, _of_held(around, held.train))

    return ServiceForgetter(splits, make)


def _check_gates(config: Config) -> None:
    """Raises ValueError for gates that there are none of, and for defences that a server has no place for."""
    check_gates(config.defences)
    named = dict(read_gate(each) for each in split_gates(config.defences.gates))
    if "identify" in named:
        raise ValueError("the gate identify: a deletion by identifier names originals already; --receipts asks for one")
    if named.get("monitor", {}).get("in_parts", "").lower() == "true":
        raise ValueError("the gate monitor(in_parts=true): a deletion here is completed or fails; leave in_parts out")
    of_outcomes = sorted(named.keys() & {"clip", "clip_each", "monitor"})
    if of_outcomes and config.service.facts.prepares:
        raise ValueError(
            f"--gates={config.defences.gates}: {', '.join(of_outcomes)} compare a model with the one before, and "
            f"{config.service.unlearning} replays all deletions for each: leave them out, or take another --unlearning"
        )


def _of_held(defences: Defences, held: Split) -> Defences:
    """The defences, whose honest requests are drawn from what the model still stands for."""
    bound, monitor = defences.bound, defences.monitor
    return defences._replace(
        bound=None if bound is None else bound._replace(held=held),
        monitor=None if monitor is None else monitor._replace(held=held),
    )


def _check(config: Config, owners: Sequence[str]) -> None:
    if len(recipes.variants(choice_of(config.service))) != 1:
        raise ValueError(
            f"--taus={','.join(map(str, config.service.taus))} --fidelity={','.join(config.service.fidelity)}: a "
            "service forgets in one way: give one rate and one reading"
        )
    _check_gates(config)
    wrong = [name for name in owners if not name.isidentifier() or name == ADMIN]
    if wrong or not owners or len(set(owners)) != len(owners):
        raise ValueError(
            f"--owners={','.join(owners)}: expected names of letters, digits and _, each once, and none of them {ADMIN}"
        )


def _write_owners(folder: Path, receipts: Receipts, owners: Sequence[str]) -> None:
    """What each owner handed in: images, labels, identifiers."""
    train = receipts.train
    for owner in owners:
        rows = receipts.of_owner(owner)
        identifiers = [identifier_of(int(train.ids[row])) for row in rows]
        write_npz(
            folder / f"{owner}.npz", images=train.images[rows], labels=train.labels[rows], identifiers=identifiers
        )
