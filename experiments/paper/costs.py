"""What a run would cost: cells, queries, minutes, from what earlier runs took."""

import itertools
from pathlib import Path

from tabulate import tabulate

from experiments.config import Config

# Measured on 2 CPU cores with the victims of scale cpu; a GPU is far below. Steps a sample: the mean of those that end.
TRAINING_IMAGES = {"cifar10": 40_000, "cifar100": 40_000, "stl10": 4_000}
CLASS_SAMPLES = {"cifar10": 4000, "cifar100": 400, "stl10": 400}
PIXELS = {"cifar10": 1, "cifar100": 1, "stl10": 9}  # times 32 x 32
STEPS = {"cifar10": 30, "cifar100": 20, "stl10": 300}
STEPS_TARGETED = 3  # times as many
QUERIES_PER_STEP = 257
WORK_PER_SECOND = 3.5e5  # images of 32 x 32 times width, forward
TRAINING_FACTOR = 12.0  # times a forward pass


def table(configs: dict[str, Config]) -> str:
    """One line for each run: cells to go, queries, minutes; victims and samples that runs share are counted once."""
    victims: set[object] = set()
    pushed: dict[object, float] = {}
    lines = []
    totals = [0, 0, 0.0]
    for name, config in configs.items():
        cells = _cells(config)
        done = _done(config)
        queries, minutes = 0.0, 0.0
        unit = PIXELS[config.dataset] * config.width / WORK_PER_SECOND  # seconds an image
        if config.model == "resnet":
            unit *= 4
        if done < cells:
            for seed in config.seeds:
                victim = (config.dataset, config.model, config.blocks, config.width, seed)
                if victim not in victims:
                    victims.add(victim)
                    images = TRAINING_IMAGES[config.dataset] * config.epochs
                    minutes += images * unit * TRAINING_FACTOR / 60
                if {"noise", "pushing_1", "pushing_2"} & set(config.attacks):
                    search = (*victim, config.class_a, config.target)
                    share = max(config.fractions) * CLASS_SAMPLES[config.dataset]
                    new = max(0.0, share - pushed.get(search, 0.0))
                    pushed[search] = max(share, pushed.get(search, 0.0))
                    steps = STEPS[config.dataset] * (STEPS_TARGETED if config.target else 1)
                    queries += new * steps * QUERIES_PER_STEP
            minutes += queries * unit / 6 / 60  # pixel edits
            test = 10_000 if config.dataset != "stl10" else 1000
            minutes += (cells - done) / max(1, len(config.taus)) * test * unit * 2 / 60
        totals = [totals[0] + cells - done, totals[1] + int(queries), totals[2] + minutes]
        lines.append((name, f"{cells - done} of {cells}", f"{queries / 1e6:,.1f} M", f"{minutes:,.0f}"))
    lines.append(("all", f"{totals[0]}", f"{totals[1] / 1e6:,.1f} M", f"{totals[2]:,.0f}"))
    return str(tabulate(lines, ("run", "cells to go", "queries", "minutes"), "github", disable_numparse=True))


def _cells(config: Config) -> int:
    variants = 1 if config.unlearning == "fine_tuning" else len(config.fidelity) * len(config.taus)
    return len(list(itertools.product(config.seeds, config.fractions, config.attacks))) * variants


def _done(config: Config) -> int:
    results = Path(config.workdir) / "results.jsonl"
    return results.read_bytes().count(b"\n") if results.exists() else 0
