"""The whole experiment on one page: data, victim, black box, attack, unlearning, evaluation, one row a cell, report.

An honest request goes the same way as a malicious one; only who crafted it differs.
"""

import itertools
import time
from pathlib import Path
from typing import NamedTuple

import jax

from experiments.config import Config
from experiments.crafting import Classes, Crafter, choose_and_push
from experiments.forgetting import check_forgetting
from experiments.measuring import Meter
from experiments.outputs import (
    Judge,
    finished_cells,
    keep_pictures,
    note_seconds,
    open_workdir,
    write_manifest,
    write_outputs,
)
from experiments.processes import is_first, meet
from experiments.request_files import request_file, save_request
from experiments.rows import Cell
from experiments.searches import check_search
from experiments.shared import Shared
from experiments.sources import sources_of
from experiments.unlearning import Unlearner, check_method, variants
from experiments.victims import train_or_find
from overunlearn_jax import data
from overunlearn_jax.black_box import BlackBox
from overunlearn_jax.reporting import append_row
from overunlearn_jax.types import Key, Splits


class SeedKeys(NamedTuple):
    """Every random choice of one seed. Unlearning has one key for all requests, so that only the request differs."""

    train: Key
    push: Key
    noise: Key
    unlearn: Key


def seed_keys(seed: int) -> SeedKeys:
    """The keys of one seed."""
    attack_key, train_key = jax.random.split(jax.random.key(seed))
    return SeedKeys(train_key, *jax.random.split(attack_key, 3))


def run(config: Config, judge: Judge | None = None, shared: Shared | None = None) -> Path:
    """Runs every unfinished cell and writes the report; returns its path. May be killed and called again.

    A run that is complete, report included, is left as it is. What `judge` makes of all rows stands first in the pages
    that are written. Runs that are given the same `shared` measure a victim once. Raises ValueError for flags that do
    not go together, for a workdir that was filled with other flags, code, weights or data, and for what cannot be had:
    data, classes, a request of so many samples.
    """
    if config.shadows and not config.forgetting:
        raise ValueError(f"--shadows={config.shadows} serve LiRA, a measure of forgetting: give --forgetting, too")
    results, sources = Path(config.workdir) / "results.jsonl", {}
    if is_first():
        sources = sources_of(config)
        open_workdir(config, sources)
    meet("workdir opened")
    report = results.parent / "report.html"
    finished, has_report = finished_cells(results), report.exists()  # before anyone writes one
    meet(f"finished cells: {sorted(finished)}, settings: {config.to_json()}")
    cells = {seed: cells_of(config, seed) for seed in config.seeds}
    unfinished = [
        seed
        for seed in config.seeds
        if any(cell.name not in finished or not _is_saved(config, cell) for cell in cells[seed])
    ]
    if not unfinished and has_report:
        return report
    if unfinished and is_first():
        write_manifest(config, sources)
    for seed in unfinished:
        began = time.perf_counter()
        _run_seed(config, seed, cells[seed], finished, results, shared or Shared())
        if is_first():
            note_seconds(config, time.perf_counter() - began)
    if is_first():
        write_outputs(config, results, judge)
    meet("report written")
    return report


def cells_of(config: Config, seed: int) -> list[Cell]:
    """Every row that a seed is to give, in their order."""
    return [
        Cell(seed, fraction, attack, variant)
        for fraction, attack in itertools.product(config.fractions, config.attacks)
        for variant in variants(config)
    ]


def check_before_hours(config: Config, splits: Splits, classes: Classes) -> None:
    """Raises ValueError, before a victim is trained, for flags that this data set cannot serve."""
    check_method(config, splits)
    check_search(config, splits.spec)
    check_forgetting(config, splits, classes.a)


def _is_saved(config: Config, cell: Cell) -> bool:
    """Whether the files of a cell's request are there, or not asked for."""
    return not config.save_requests or request_file(Path(config.workdir), cell.request).exists()


def _run_seed(config: Config, seed: int, cells: list[Cell], finished: set[str], results: Path, shared: Shared) -> None:
    keys = seed_keys(seed)
    splits = data.load(
        config.dataset, data_dir=config.data_dir or None, seed=seed, image_size=config.image_size or None
    )
    classes = Classes.of(config, splits.spec)
    check_before_hours(config, splits, classes)
    if is_first():
        train_or_find(config, splits, seed, keys.train)
    meet(f"victim of seed {seed} trained")
    victim = train_or_find(config, splits, seed, keys.train)
    meet(f"victim {victim.name} found")
    black_box = BlackBox(splits.spec, victim.predict, budget=config.query_budget or None)
    crafted = choose_and_push(config, victim.name, black_box, splits, classes, seed, keys.push)
    if not is_first():
        return
    crafter = Crafter(config, black_box, splits, classes, crafted, seed, keys.noise)
    unlearner = Unlearner(config, victim, splits)
    meter = Meter(config, victim, splits, classes, keys.unlearn, shared)

    for (fraction, attack), group in itertools.groupby(cells, key=lambda cell: (cell.fraction, cell.attack)):
        count = data.request_size(splits.train, classes.a, fraction)
        request = crafter.craft(attack, count)  # of finished cells, too: their queries count towards the budget
        of_request = list(group)
        if not _is_saved(config, of_request[0]):
            save_request(Path(config.workdir), of_request[0].request, request, splits.spec)
        todo = [cell for cell in of_request if cell.name not in finished]
        if not todo:
            continue
        keep_pictures(config, seed, fraction, request)
        for row in meter.rows(todo, crafted, count, request, unlearner(request, keys.unlearn)):
            append_row(results, row)
