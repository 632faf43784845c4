"""What a ZOO search is set to and what it remembers of one sample."""

import enum
import math
from typing import Any, NamedTuple

import numpy as np

from overunlearn_jax.attacks.coordinate import CoordinateState
from overunlearn_jax.types import Array, Bounds, Key

SMALLEST_NEWTON_DIFFERENCE = 5e-3  # rounding of 1e-6 in the loss, over h^2, stays below the smallest curvature


# Of probes, in a search that sees something. Measured (digits, h = 1e-4 and 1e-2): 0.1 to 0.4 % where it cannot cross,
# 3.5 % and more where it does.
FEWEST_TELLING = 0.01


class Status(enum.IntEnum):
    """Where a sample's search stands. Only CROSSED is a pushed sample."""

    RUNNING = 0  # not finished: the query budget ran out first
    CROSSED = 1
    SKIPPED = 2  # the victim did not predict the label to begin with
    STALLED = 3  # the loss stopped falling
    OUT_OF_STEPS = 4
    TOO_FAR = 5  # crossed, farther from the original than max_l2
    NOT_STARTED = 6  # label-only search: the image to begin with is not across
    SAW_NOTHING = 7  # nearly every probe was answered as the image it is a change of: there is no direction to walk in


class ZooSettings(NamedTuple):
    """The paper's settings by default; hashable, so that equal settings share one compiled engine.

    `push` probes `coordinates` in a step, or all that an image has where it has fewer: 64 of an 8 x 8 grey image
    (`fitted`).
    """

    bounds: Bounds
    targeted: bool = False
    solver: str = "adam"  # or "newton", "sega"
    space: str = "tanh"  # or "box"
    coordinates: int = 128  # p, probed a step, at most
    step_size: float = 1e-2  # of each probed coordinate; SEGA: of the whole step, both in the units of the space
    difference: float = 1e-4  # h, in the units of the space
    one_sided: bool = False  # one probe a coordinate in place of two
    margin_weight: float = 10.0  # c of equation (4)
    kappa: float = 0.0
    max_steps: int = 20_000
    max_l2: float = 20.0
    stall_steps: int = 100  # the loss is looked at this often ...
    stall_ratio: float = 0.9999  # ... and has to have fallen below this much of the last look
    importance: bool = False  # draw coordinates near those that moved most more often
    block: int = 1  # side of the square of pixels that one coordinate stands for
    blind_steps: int = (
        10  # from this step on, a sample is given up where fewer than `FEWEST_TELLING` of all probes told
    )
    resolution: float = 0.0  # probabilities that differ by no more are the same answer; 0: bit for bit
    levels: int = 0  # 255: all images are exact 8-bit ones, in the space "box"; 0: any pixels

    @property
    def queries_per_step(self) -> int:
        """Images a step: the iterate, and two for each coordinate, or one where differences are one-sided."""
        return 1 + (1 if self.one_sided else 2) * self.coordinates

    def fitted(self, image_shape: tuple[int, ...]) -> "ZooSettings":
        """These settings with no more coordinates than images (h, w, c) have, in blocks of `block`.

        Raises:
          ValueError: blocks that do not tile the images.

        Examples:
          >>> ZooSettings(Bounds(-0.5, 0.5)).fitted((8, 8, 1)).coordinates
          64
        """
        return self._replace(coordinates=min(self.coordinates, _grid_size(self.block, image_shape)))


class ZooState(NamedTuple):
    """One sample's search; batched, every array gains a leading axis."""

    key: Key  # shape=()
    original: Array  # shape=(h, w, c)
    label: Array  # shape=(), dtype=int32
    target: Array  # shape=(), dtype=int32; the label itself when untargeted
    variable: Array  # shape=(h, w, c): the iterate in the search space
    solver: CoordinateState
    inside: Array  # shape=(h, w, c): the last iterate predicted as the label
    outside: Array  # shape=(h, w, c): the first iterate at the goal; the original until then
    first_probabilities: Array  # shape=(k,): of the original
    inside_probabilities: Array  # shape=(k,)
    outside_probabilities: Array  # shape=(k,)
    reference_loss: Array  # shape=(): at the last look for a stall
    step: Array  # shape=(), dtype=int32
    last_step: Array  # shape=(), dtype=int32: the step at which the sample runs out of steps
    queries: Array  # shape=(), dtype=int32
    told: Array  # shape=(), dtype=int32: probes on this grid that were answered otherwise than the image they change
    status: Array  # shape=(), dtype=int32: a Status


def check_blocks(settings: ZooSettings, image_shape: tuple[int, ...], block_sizes: tuple[int, ...]) -> None:
    """Raises ValueError unless every block size tiles the images and leaves the coordinates that are to be probed."""
    if not block_sizes:
        raise ValueError("block_sizes is empty; expected at least one side of a block in pixels, (1,) by default")
    for block in block_sizes:
        size = _grid_size(block, image_shape)
        if settings.coordinates > size:
            raise ValueError(
                f"{settings.coordinates} coordinates a step, but images of {image_shape} in blocks of {block} have "
                f"only {size}: take settings.fitted({image_shape}), fewer coordinates or smaller blocks"
            )


def _grid_size(block: int, image_shape: tuple[int, ...]) -> int:
    """Coordinates of an image in blocks of `block` pixels a side."""
    height, width, channels = image_shape
    if block < 1 or height % block or width % block:
        raise ValueError(f"blocks of {block} pixels do not tile images of {height}x{width}: take a divisor of both")
    return (height // block) * (width // block) * channels


def check_settings(settings: ZooSettings) -> None:
    """Raises ValueError for settings with which no search can be run."""
    for name in ("coordinates", "max_steps", "stall_steps", "block", "blind_steps"):
        check_count(name, getattr(settings, name), 1)
    lower, upper = settings.bounds
    if not (math.isfinite(lower) and math.isfinite(upper) and lower < upper):
        raise ValueError(f"bounds are {settings.bounds}; expected two finite numbers, the lower one first")
    check_number("step_size", settings.step_size, "a finite number above 0", settings.step_size > 0)
    check_number(
        "difference",
        settings.difference,
        "a finite number above 0, the h of the finite differences",
        settings.difference > 0,
    )
    for name in ("margin_weight", "kappa", "resolution"):
        check_number(name, getattr(settings, name), "a finite number, 0 or more", getattr(settings, name) >= 0)
    levels = settings.levels
    check_count("levels", levels, 0)
    if levels and (settings.space != "box" or settings.difference < 0.999 * (upper - lower) / levels):
        raise ValueError(
            f"levels is {levels} with space={settings.space!r} and difference={settings.difference:g}: on a lattice "
            f"the space is 'box', and a probe changes a pixel by {(upper - lower) / levels:.4g} or more"
        )
    for name in ("max_l2", "stall_ratio"):
        check_limit(name, getattr(settings, name))
    if settings.solver == "newton" and settings.one_sided:
        raise ValueError(
            "ZOO-Newton needs second differences, which one-sided probes do not give: take one_sided=False, or the "
            "solver adam or sega"
        )
    if settings.solver == "newton" and settings.difference < SMALLEST_NEWTON_DIFFERENCE:
        raise ValueError(
            f"difference is {settings.difference}: in float32 a second difference that fine is rounding, and "
            "ZOO-Newton divides by it; take about 1e-2"
        )


def check_count(name: str, value: Any, least: int) -> None:
    """Raises ValueError unless a setting is a whole number, at least `least`, that int32 holds."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or not least <= value < 2**31:
        raise ValueError(f"{name} is {value}; expected a whole number, at least {least} and below 2**31")


def check_limit(name: str, value: float) -> None:
    """Raises ValueError unless a setting is a number of at least 0; infinity sets no limit."""
    if not value >= 0:  # true for NaN, too
        raise ValueError(f"{name} is {value}; expected a number, 0 or more; infinity: no limit")


def check_number(name: str, value: float, expected: str, right: bool) -> None:
    """Raises ValueError unless a setting is finite and `right`, which says whether it lies where it is `expected`."""
    if not (right and math.isfinite(value)):  # NaN is never right
        raise ValueError(f"{name} is {value}; expected {expected}")
