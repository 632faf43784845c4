"""Which rows a run makes, seed by seed, and which seeds lack one."""

from collections.abc import Callable, Collection
from pathlib import Path

from experiments.config import Config
from experiments.requests.settings import request_settings
from experiments.run.outputs import finished_cells
from experiments.victims.cache import choice_of
from overunlearn_jax.auditing.requesting import cells_of
from overunlearn_jax.auditing.rows import Cell
from overunlearn_jax.services import recipes
from overunlearn_jax.services.service import ONLY


def cells_by_seed(config: Config) -> dict[int, list[Cell]]:
    """Every row that a run makes."""
    variants = (ONLY,) if config.service.users else recipes.variants(choice_of(config.service))
    return {seed: cells_of(request_settings(config.attack), seed, variants) for seed in config.run.seeds}


def unfinished_seeds(config: Config) -> list[int]:
    """The seeds of a run of which its workdir lacks a row."""
    finished = finished_cells(Path(config.run.workdir) / "results.jsonl")
    return [seed for seed, cells in cells_by_seed(config).items() if any(cell.name not in finished for cell in cells)]


def incomplete_seeds(
    config: Config, cells: dict[int, list[Cell]], finished: Collection[str], has_files: Callable[[Cell], bool]
) -> list[int]:
    """The seeds of which a row is missing, or a file."""
    return [
        seed
        for seed in config.run.seeds
        if any(cell.name not in finished or not has_files(cell) for cell in cells[seed])
    ]
