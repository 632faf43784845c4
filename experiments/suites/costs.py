"""What a run would cost: cells, queries, minutes, from what earlier runs took."""

import heapq
import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from experiments.config import Config
from overunlearn_jax.attack_names import REPEATED

# Measured on 2 CPU cores with the victims of scale cpu; a GPU is far below. Steps a sample: the mean of those that end.
TRAINING_IMAGES = {"cifar10": 40_000, "cifar100": 40_000, "stl10": 4_000}
CLASS_SAMPLES = {"cifar10": 4000, "cifar100": 400, "stl10": 400}
TEST_IMAGES = {"cifar10": 10_000, "cifar100": 10_000, "stl10": 1000}
PIXELS = {"cifar10": 1, "cifar100": 1, "stl10": 9}  # times 32 x 32
STEPS = {"cifar10": 30, "cifar100": 39, "stl10": 105}  # that a sample takes, in the mean
STEPS_TARGETED = 3  # times as many
SECONDS_AN_IMAGE = {16: 5e-5, 32: 1.7e-4, 64: 6e-4, 128: 2.3e-3}  # of 32 x 32, forward, by the width of a VGG
RESNET = 4  # times a VGG of its width
TRAINING_FACTOR = 12.0  # times a forward pass
SHADOW_SHARE = 0.64  # of a victim's training data that a shadow model has
EDITS = {16: 4, 32: 6, 64: 8, 128: 10}  # times faster than forward passes, by width


class SeedCost(NamedTuple):
    """What one seed of a run would cost: a task of a cluster."""

    run: str
    victim: tuple[object, ...]  # tasks that share it: the first makes what the others find
    queries: float
    minutes: float


def table(configs: dict[str, Config]) -> str:
    """One line for each run: cells to go, queries, minutes; victims and samples that runs share are counted once."""
    from tabulate import tabulate  # it takes as long to import as all that --help needs

    costs = seed_costs(configs)
    lines = []
    for name, config in configs.items():
        own = [each for each in costs if each.run == name]
        lines.append((name, _cells(config) - _done(config), _cells(config), *_sums(own)))
    all_of_it = ("all", sum(line[1] for line in lines), "", *_sums(costs))
    shown = [
        (name, f"{left} of {cells}" if cells else f"{left}", f"{queries / 1e6:,.1f} M", f"{minutes:,.0f}")
        for name, left, cells, queries, minutes in (*lines, all_of_it)
    ]
    return str(tabulate(shown, ("run", "cells to go", "queries", "minutes"), "github", disable_numparse=True))


def seed_costs(configs: dict[str, Config]) -> list[SeedCost]:
    """What each seed of each run costs, in the order in which they are made; nothing for those of finished runs."""
    made: set[object] = set()
    pushed: dict[object, float] = {}
    found = []
    for name, config in configs.items():
        size = _nearest(config.victim.width)
        unit = PIXELS[config.data.dataset] * SECONDS_AN_IMAGE[size] * (RESNET if config.victim.model == "resnet" else 1)
        per_step = 1 + (1 if config.attack.one_sided else 2) * config.attack.coordinates
        measured = _cells(config) / len(config.run.seeds) / max(1, len(config.service.taus))
        for seed in config.run.seeds:  # of finished runs, too: what they made is there for the others
            victim = (
                config.data.dataset,
                config.victim.model,
                config.victim.blocks,
                config.victim.width,
                config.service.facts.prepares,
                seed,
            )
            shadows = ("shadows", config.data.dataset, seed)
            trainings = _trainings(config, new_victim=victim not in made, new_shadows=shadows not in made)
            made |= {victim, shadows}
            left = 1 - _done(config, seed) * len(config.run.seeds) / _cells(config)
            images = trainings * TRAINING_IMAGES[config.data.dataset] * config.victim.epochs * TRAINING_FACTOR
            queries = 0.0
            if {"noise", "pushing_1", "pushing_2"} & set(config.attack.attacks):
                search = (*victim, config.data.class_a, config.attack.target)
                share = max(config.attack.fractions) * CLASS_SAMPLES[config.data.dataset]
                new = max(0.0, share - pushed.get(search, 0.0))
                pushed[search] = max(share, pushed.get(search, 0.0))
                steps = STEPS[config.data.dataset] * (STEPS_TARGETED if config.attack.target else 1)
                queries = new * steps * per_step
            images += queries / EDITS[size] + left * measured * TEST_IMAGES[config.data.dataset] * 2
            found.append(SeedCost(name, victim, queries, images * unit / 60) if left else SeedCost(name, victim, 0, 0))
    return found


def hours_on(costs: Sequence[SeedCost], workers: int) -> float:
    """Until the last seed has ended, where each of the workers is as fast as the machine that the minutes are of.

    Whoever is free takes the first seed in the order whose victim is there; a seed that makes its victim goes before
    those that find it.
    """
    free = [0.0] * workers
    ready: dict[tuple[object, ...], float] = {}  # victims that are there, or being made, and when
    waiting, ended = list(costs), 0.0
    while waiting:
        now = heapq.heappop(free)
        at = [ready.get(each.victim, now) for each in waiting]
        chosen = min(range(len(waiting)), key=lambda place: (max(now, at[place]), place))
        cost = waiting.pop(chosen)
        end = max(now, at[chosen]) + cost.minutes
        ready.setdefault(cost.victim, end)
        heapq.heappush(free, end)
        ended = max(ended, end)
    return ended / 60


def on_clusters(configs: dict[str, Config]) -> str:
    """How long all of it takes on several machines, in a line, and what the longest chain of seeds takes."""
    costs = [each for each in seed_costs(configs) if each.minutes]
    if not costs:
        return "Nothing is left to do."
    hours = ", ".join(f"{count:,}: {hours_on(costs, count):,.1f}" for count in (1, 10, 100, 1000))
    return (
        f"With --scheduler, a seed of a run a task: {len(costs)} tasks. Hours by the number of such machines: {hours}. "
        "What bounds them is one seed that trains its victim and pushes, and after it the longest that finds it."
    )


def _sums(costs: Sequence[SeedCost]) -> tuple[float, float]:
    return sum(each.queries for each in costs), sum(each.minutes for each in costs)


def _trainings(config: Config, *, new_victim: bool, new_shadows: bool) -> float:
    """How often as many images as a victim's training needs are trained on, for one seed."""
    sizes = len(config.attack.fractions)
    once = 1.0
    if config.service.facts.prepares:
        from experiments.victims.cache import choice_of, train_settings  # these import jax; other dry runs do without
        from overunlearn_jax.services.recipes import training_passes

        once = training_passes(choice_of(config.service), train_settings(config.victim))
    count = 0.0
    if new_victim:
        count += once + config.measures.forgetting * sizes
    if new_shadows:
        count += config.measures.shadows / len(config.run.seeds) * SHADOW_SHARE
    if config.service.facts.trains:  # for each forget set; of SISA's slices hardly one is left untouched
        others = {"blending", REPEATED} & set(config.attack.attacks)  # near to other samples; one sample alone
        count += once * sizes * (1 + len(others))
    return count


def _nearest(width: int) -> int:
    return min(SECONDS_AN_IMAGE, key=lambda known: abs(known - width))


def _cells(config: Config) -> int:
    variants = len(config.service.fidelity) * len(config.service.taus) if config.service.facts.has_rates else 1
    return len(list(itertools.product(config.run.seeds, config.attack.fractions, config.attack.attacks))) * variants


def _done(config: Config, seed: int | None = None) -> int:
    """Rows that are there, of all seeds or of one, those that workers have made of it apart included."""
    workdir = Path(config.run.workdir)
    files = [workdir / "results.jsonl", *workdir.glob("seeds/*/results.jsonl")]
    lines = {line for file in files if file.exists() for line in file.read_bytes().split(b"\n")[:-1]}
    return len(lines) if seed is None else sum(json.loads(line)["seed"] == seed for line in lines)
