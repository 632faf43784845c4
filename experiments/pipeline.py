"""The whole experiment on one page: data, service, black box, attack, defences, deletion, measures, rows, report.

An honest request goes the same way as a malicious one; only who crafted it differs. The walk of the requests is
`overunlearn_jax.auditing.requesting.request_rows`.
"""

import contextlib
import time
from collections.abc import Collection, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from experiments.config import Config
from experiments.measures.forgetting import check_forgetting
from experiments.measures.memo import Memo
from experiments.measures.meter import meter_of
from experiments.requests.pushes import push_or_find
from experiments.requests.request_files import request_file, save_request
from experiments.requests.revealed import revealed_by, revealed_lines
from experiments.requests.searches import check_search, search_of
from experiments.requests.settings import classes_of, load_splits, request_settings
from experiments.run.cells import cells_by_seed, incomplete_seeds
from experiments.run.figures import has_pictures, keep_pictures
from experiments.run.keys import SeedKeys, seed_keys
from experiments.run.locks import alone_in
from experiments.run.outputs import (
    Judge,
    finished_cells,
    has_manifest,
    make_folders,
    note_seconds,
    note_service,
    open_workdir,
    write_manifest,
    write_outputs,
)
from experiments.run.parts import adopt, remove_parts
from experiments.run.processes import barrier, is_alone, is_first
from experiments.victims.cache import Victim, choice_of, ingredients_of, train_or_find
from experiments.victims.defended import check_gates, defended_victim
from experiments.victims.sources import sources_of
from experiments.victims.trained import check_held_out
from experiments.victims.users_own import UsersService, opened
from overunlearn_jax.auditing.choosing import AttackerSamples, choose_and_push
from overunlearn_jax.auditing.crafting import Crafter
from overunlearn_jax.auditing.request_settings import Classes
from overunlearn_jax.auditing.requesting import request_rows
from overunlearn_jax.auditing.rows import Cell
from overunlearn_jax.black_box import BlackBox
from overunlearn_jax.reporting import append_row
from overunlearn_jax.reporting.table import ReferenceRow
from overunlearn_jax.services import recipes
from overunlearn_jax.services.service import CountsSent
from overunlearn_jax.types import Splits, UnlearningRequest


class SeedRun(NamedTuple):
    """What one seed holds after pushing, before the first request."""

    keys: SeedKeys
    splits: Splits
    classes: Classes
    victim: Victim
    black_box: BlackBox
    chosen: AttackerSamples


def run(
    config: Config,
    judge: Judge | None = None,
    memo: Memo | None = None,
    reference_rows: Sequence[ReferenceRow] = (),
) -> Path:
    """Runs every unfinished cell and writes the report; returns its path. May be killed and called again.

    A run that is complete, report included, is left as it is. What `judge` makes of all rows stands first in the pages
    that are written; `reference_rows`, such as the paper's numbers, stand beside ours. Runs that are given the same
    `memo` measure a service once. Raises ValueError for flags that do not go together, for a workdir that was filled
    with other flags, code, weights, services or data, and for what cannot be had: data, classes, a request of so many
    samples; OccupiedError where another process runs in the workdir.
    """
    if config.measures.shadows and not config.measures.forgetting:
        raise ValueError(
            f"--shadows={config.measures.shadows} serve LiRA, a measure of forgetting: give --forgetting, too"
        )
    if is_first():
        make_folders(config)
    with contextlib.ExitStack() as stack:
        if is_first():
            stack.enter_context(alone_in(Path(config.run.workdir)))
            if config.run.force:
                remove_parts(config)
        users = stack.enter_context(opened(config))
        report = _run(config, users, judge, memo or Memo(), reference_rows)
        if is_first():
            remove_parts(config)
        return report


def _run(
    config: Config,
    users: UsersService | None,
    judge: Judge | None,
    memo: Memo,
    reference_rows: Sequence[ReferenceRow],
) -> Path:
    results, sources = Path(config.run.workdir) / "results.jsonl", {}
    if is_first():
        sources = sources_of(config) | ({users.flag: f"{users.predictions} {users.forgetting}"} if users else {})
        open_workdir(config, sources)
    barrier("workdir opened")
    report = results.parent / "report.html"
    # What there is before anyone writes one.
    finished, has_report = finished_cells(results), report.exists() and has_manifest(results.parent)
    barrier(f"finished cells: {sorted(finished)}, settings: {config.to_json()}")
    cells = cells_by_seed(config)
    unfinished = incomplete_seeds(config, cells, finished, lambda cell: _is_saved(config, cell))
    if not unfinished and has_report:
        return report
    unfinished = incomplete_seeds(
        config, cells, finished, lambda cell: _is_saved(config, cell) and _is_shown(config, cell)
    )
    if is_first() and (unfinished or not has_manifest(results.parent)):
        write_manifest(config, sources)
    for seed in unfinished:
        began = time.perf_counter()
        if is_alone() and adopt(config, seed, cells[seed], finished):
            continue
        ready = push_seed(config, seed, users)
        if is_first():
            _submit_and_measure(config, seed, ready, cells[seed], finished, memo)
            note_seconds(config, time.perf_counter() - began)
    if is_first():
        if users and isinstance(users.bare, CountsSent):
            note_service(config, str(users.bare.sent))
        write_outputs(config, results, judge, reference_rows, revealed_lines(results.parent))
    barrier("report written")
    return report


def push_seed(config: Config, seed: int, users: UsersService | None = None, *, splits: Splits | None = None) -> SeedRun:
    """The first half of a seed: its service trained or found, its samples of class A chosen and pushed.

    `splits` stand for the data set that the flags name.
    """
    keys, splits = seed_keys(seed), splits or load_splits(config, seed)
    classes = classes_of(config.data, config.attack, splits.spec)
    check_before_hours(config, splits, classes)
    find = partial(train_or_find, config.victim, config.service, config.run, splits, seed, keys.train)
    if users is not None:
        find = partial(Victim, users.predictions, users.forgetting, users.service, None, users.predictions)
    if is_first():
        find()
    barrier(f"victim of seed {seed} trained")
    victim = defended_victim(config, find(), splits, keys.unlearn)
    barrier(f"victim {victim.name} found")
    black_box = BlackBox(splits.spec, victim.service.predict, budget=config.attack.query_budget or None)
    revealed = revealed_by(config, victim.name, black_box, splits) if config.attack.search == "auto" else None
    search = search_of(config.attack, splits, classes.b, classes.target, seed, revealed)
    push = partial(push_or_find, config.run.cache_dir, victim.name, keys.push, search)
    chosen = choose_and_push(request_settings(config.attack), black_box, splits, classes, seed, push)
    return SeedRun(keys, splits, classes, victim, black_box, chosen)


def crafter_of(config: Config, seed: int, ready: SeedRun) -> Crafter:
    """What makes the requests of a seed."""
    settings = request_settings(config.attack)
    return Crafter(settings, ready.black_box, ready.splits, ready.classes, ready.chosen, seed, ready.keys.noise)


def check_before_hours(config: Config, splits: Splits, classes: Classes) -> None:
    """Raises ValueError, before a victim is trained, for flags that this data set cannot serve."""
    check_gates(config.defences)
    if not config.service.users:
        recipes.check(choice_of(config.service), ingredients_of(config.victim, splits))
    check_search(config.attack, splits.spec)
    check_forgetting(config.measures, splits, classes.a)
    if config.victim.trained:
        check_held_out(config.data)


def _submit_and_measure(
    config: Config, seed: int, ready: SeedRun, cells: list[Cell], finished: Collection[str], memo: Memo
) -> None:
    """The second half of a seed: a row for each cell, written as soon as it is measured."""
    workdir, crafter = Path(config.run.workdir), crafter_of(config, seed, ready)
    splits, classes, key = ready.splits, ready.classes, ready.keys.unlearn
    meter = meter_of(config, ready.victim, splits, classes, key, memo)

    def on_crafted(cell: Cell, request: UnlearningRequest, submitted: bool) -> None:
        if not _is_saved(config, cell):
            save_request(workdir, cell.request, request, splits.spec)
        if submitted or not _is_shown(config, cell):
            keep_pictures(config, seed, cell.fraction, request)

    walk = (ready.victim.service, crafter, ready.chosen, meter, splits.train, classes, key)
    for row in request_rows(cells, *walk, finished=finished, on_crafted=on_crafted):
        append_row(workdir / "results.jsonl", row)


def _is_saved(config: Config, cell: Cell) -> bool:
    """Whether the files of a cell's request are there, or not asked for."""
    return not config.run.save_requests or request_file(Path(config.run.workdir), cell.request).exists()


def _is_shown(config: Config, cell: Cell) -> bool:
    """Whether the pictures of a cell's request are there, or the report has none."""
    return has_pictures(config, cell.seed, cell.fraction, cell.attack)
