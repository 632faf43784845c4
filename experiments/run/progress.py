"""Progress on the terminal: how far, how fast, how long still."""

import math
import statistics
import time
from collections.abc import Callable
from types import TracebackType

from tqdm import tqdm

from experiments.run.processes import is_first
from overunlearn_jax.attacks import PushResult
from overunlearn_jax.training import Progress
from overunlearn_jax.unlearn.sisa import SisaProgress, SisaSettings

SECONDS_BETWEEN = 0.5  # reading a loss waits for the device: seldom enough to cost nothing


class TrainingBar:
    """A bar over all training images with loss, validation accuracy, images a second and time left.

    Nothing is shown before the first step, and it may be entered again for another training.
    """

    def __init__(self, label: str):
        self._label = label
        self._bar: tqdm | None = None
        self._shown = 0.0

    def __enter__(self) -> "TrainingBar":
        return self

    def update(self, progress: Progress) -> None:
        """Called by `training.fit` after each step."""
        if self._bar is None:
            done = progress.epoch * progress.steps * progress.images
            total = progress.epochs * progress.steps * progress.images
            self._bar = tqdm(total=total, initial=done, desc=self._label, unit="img", unit_scale=True)
        self._bar.update(progress.images)
        if time.monotonic() - self._shown > SECONDS_BETWEEN:
            self._shown = time.monotonic()
            text = f"epoch {progress.epoch + 1}/{progress.epochs}, loss {float(progress.loss):.3f}"
            if math.isfinite(progress.validation_accuracy):  # nothing is validated in the first epoch
                text += f", validation {progress.validation_accuracy:.1%}"
            self._bar.set_postfix_str(text, refresh=False)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


class SlicesBar:
    """A bar over all training images of SISA's slices, with shard, slice and time left; nothing if all are there."""

    def __init__(self, label: str, settings: SisaSettings, samples: int):
        self._label = label
        self._settings = settings
        self._total = round(samples * (settings.slices + 1) / 2 * settings.epochs)  # slices hold those before them
        self._bar: tqdm | None = None

    def __enter__(self) -> Callable[[SisaProgress], None]:
        return self.update

    def update(self, progress: SisaProgress) -> None:
        """Called by `fit_sisa` after each step."""
        if self._bar is None:
            self._bar = tqdm(total=self._total, desc=self._label, unit="img", unit_scale=True)
        self._bar.update(progress.images)
        shard, part = progress.shard + 1, progress.slice + 1
        self._bar.set_postfix_str(
            f"shard {shard}/{self._settings.shards}, slice {part}/{self._settings.slices}", refresh=False
        )

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()


class PushingBar:
    """A bar over samples with those that crossed, their median steps, queries a second and time left.

    With several processes it is the first one's, and shows that one's share.
    """

    def __init__(self, label: str, samples: int):
        self._bar = tqdm(total=samples, desc=label, unit="sample", disable=not is_first())
        self._crossed = 0
        self._queries = 0
        self._steps: list[int] = []
        self._seconds = 0.0

    def __enter__(self) -> "PushingBar":
        return self

    def update(self, result: PushResult, seconds: float) -> None:
        """Called with each finished chunk and the seconds that pushing it took."""
        self._seconds += seconds
        self._steps.extend(result.steps[result.crossed].tolist())
        self._crossed += int(result.crossed.sum())
        self._queries += int(result.queries.sum())
        rate = self._queries / max(self._seconds, 1e-9)
        median = statistics.median(self._steps) if self._steps else float("nan")
        self._bar.set_postfix_str(
            f"{self._crossed} crossed, median {median:.0f} steps, {rate:,.0f} queries/s", refresh=False
        )
        self._bar.update(len(result.status))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.close()
