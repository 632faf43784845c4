"""What a run would cost: cells, queries, minutes, from what earlier runs took."""

import itertools
from pathlib import Path

from experiments.config import Config

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


def table(configs: dict[str, Config]) -> str:
    """One line for each run: cells to go, queries, minutes; victims and samples that runs share are counted once."""
    from tabulate import tabulate  # it takes as long to import as all that --help needs

    made: set[object] = set()
    pushed: dict[object, float] = {}
    lines = []
    totals = [0, 0, 0.0]
    for name, config in configs.items():
        cells = _cells(config)
        done = _done(config)
        queries, minutes = 0.0, 0.0
        size = _nearest(config.victim.width)
        unit = PIXELS[config.data.dataset] * SECONDS_AN_IMAGE[size] * (RESNET if config.victim.model == "resnet" else 1)
        per_step = 1 + (1 if config.attack.one_sided else 2) * config.attack.coordinates
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
            minutes += (
                trainings * TRAINING_IMAGES[config.data.dataset] * config.victim.epochs * unit * TRAINING_FACTOR / 60
            )
            if {"noise", "pushing_1", "pushing_2"} & set(config.attack.attacks):
                search = (*victim, config.data.class_a, config.attack.target)
                share = max(config.attack.fractions) * CLASS_SAMPLES[config.data.dataset]
                new = max(0.0, share - pushed.get(search, 0.0))
                pushed[search] = max(share, pushed.get(search, 0.0))
                steps = STEPS[config.data.dataset] * (STEPS_TARGETED if config.attack.target else 1)
                queries += new * steps * per_step
        minutes += queries * unit / EDITS[size] / 60
        minutes += (cells - done) / max(1, len(config.service.taus)) * TEST_IMAGES[config.data.dataset] * unit * 2 / 60
        if done == cells:
            queries, minutes = 0.0, 0.0
        totals = [totals[0] + cells - done, totals[1] + int(queries), totals[2] + minutes]
        lines.append((name, f"{cells - done} of {cells}", f"{queries / 1e6:,.1f} M", f"{minutes:,.0f}"))
    lines.append(("all", f"{totals[0]}", f"{totals[1] / 1e6:,.1f} M", f"{totals[2]:,.0f}"))
    return str(tabulate(lines, ("run", "cells to go", "queries", "minutes"), "github", disable_numparse=True))


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
        count += (
            once * sizes * (2 if "blending" in config.attack.attacks else 1)
        )  # blended images are near to other samples
    return count


def _nearest(width: int) -> int:
    return min(SECONDS_AN_IMAGE, key=lambda known: abs(known - width))


def _cells(config: Config) -> int:
    variants = len(config.service.fidelity) * len(config.service.taus) if config.service.facts.has_rates else 1
    return len(list(itertools.product(config.run.seeds, config.attack.fractions, config.attack.attacks))) * variants


def _done(config: Config) -> int:
    results = Path(config.run.workdir) / "results.jsonl"
    return results.read_bytes().count(b"\n") if results.exists() else 0
