"""Where a run's files are, and how often it is repeated."""

from dataclasses import dataclass

from experiments.config.fields import check_fields, setting
from experiments.config.seeds import MOST_SEED


@dataclass(frozen=True)
class RunConfig:
    """Where a run's files are, and how often it is repeated."""

    experiment: str = setting("quickstart", "name of the experiment, printed in its report")
    workdir: str = setting("runs/quickstart", "folder of this run: rows, tables, figures, report.html")
    cache_dir: str = setting("runs/cache", "trained victims and pushed samples, shared by runs, one at a time")
    save_requests: bool = setting(False, "keep every request in the workdir: 8-bit PNG files, and one .npz")
    force: bool = setting(
        False,
        "run finished cells again; a workdir of another config, or of other code or data, is overwritten",
    )
    seeds: tuple[int, ...] = setting(
        (0, 1, 2),
        "one victim (split, weights) and one choice of samples per seed; 0-4 are five, 0-2,7 four",
        least=0,
        most=MOST_SEED,
    )

    def __post_init__(self) -> None:
        check_fields(self)
