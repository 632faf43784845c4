"""How a service wants its pixels: the axes of a batch, the range of a value, a mean and a standard deviation.

PixelFormat()                                                      # the package's own
PixelFormat("NCHW", "unit", mean=(0.5,), std=(0.25,))              # torchvision's ToTensor, then Normalize
PixelFormat("flat", "8bit")                                        # scikit-learn on bytes
"""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from overunlearn_jax.types import Bounds, Images

LAYOUTS = ("NHWC", "NCHW", "flat")
RANGES = ("signed", "unit", "8bit")
OUTSIDE = 1e-5  # how far outside the bounds a pixel may lie, as a part of their width: float32 rounds mixtures


@dataclasses.dataclass(frozen=True)
class PixelFormat:
    """What a service takes as images; images outside it are the package's own: (n, h, w, c), float32, in bounds.

    A service with range "8bit" **rounds**, to steps of 1/255 of the bounds' width. The paper's search asks with finite
    differences of h = 1e-4, a fortieth of a step: around an image that came from 8-bit pixels it sees nothing of such a
    service. A search with h = 1e-2 in the space "box", as `auditing.recommending.fewest_queries` has it, does.

    Attributes:
      layout: "NHWC", shape (n, h, w, c); "NCHW", shape (n, c, h, w); or "flat", shape (n, h * w * c), whose last axis
        runs over rows, columns and channels, channels fastest.
      range: "signed": as the data set has them, unchanged: in [-0.5, 0.5] for all that `overunlearn_jax.load` loads.
        "unit": float32 in [0, 1]. "8bit": uint8 in 0 ... 255, rounded to the nearest, halves to the even one.
      mean: subtracted from unit pixels, a number for each channel; None: 0.
      std: what that is divided by, a number for each channel; None: 1.

    Raises:
      ValueError: a layout or range that is not there, a mean or std that is not finite, a std that is not positive,
        means and stds of different lengths, or of pixels that are not in the range "unit".
    """

    layout: str = "NHWC"
    range: str = "signed"
    mean: Sequence[float] | None = None
    std: Sequence[float] | None = None

    def __post_init__(self) -> None:
        if self.layout not in LAYOUTS:
            raise ValueError(f"layout is {self.layout!r}; expected one of {', '.join(LAYOUTS)}")
        if self.range not in RANGES:
            raise ValueError(f"range is {self.range!r}; expected one of {', '.join(RANGES)}")
        for name in ("mean", "std"):
            object.__setattr__(self, name, _per_channel(name, getattr(self, name)))
        if self.range != "unit" and (self.mean or self.std):
            raise ValueError(
                f"mean and std are given with range={self.range!r}, and are of pixels in [0, 1]: say range='unit', and "
                "divide those of 8-bit pixels by 255"
            )
        if self.mean and self.std and len(self.mean) != len(self.std):
            raise ValueError(
                f"mean is of {len(self.mean)} channels and std of {len(self.std)}; expected one number a channel"
            )

    def to_service(self, images: Images, bounds: Bounds) -> np.ndarray:
        """The images as the service takes them; always a copy, so that the service may write into it.

        Args:
          images: shape=(n, h, w, c), any float dtype, inside the bounds.
          bounds: that their pixels live in.

        Returns:
          shape by `layout`, C-contiguous, dtype=uint8 for range "8bit", float32 for others.

        Raises:
          ValueError: images of another rank or dtype, pixels outside the bounds or NaN, or another number of channels
            than mean and std have.
        """
        images = np.asarray(images)
        if images.ndim != 4 or not np.issubdtype(images.dtype, np.floating):
            raise ValueError(
                f"images are {images.dtype} of shape {images.shape}; expected floats of shape (n, h, w, c)"
            )
        channels = images.shape[-1]
        for name in ("mean", "std"):
            given = getattr(self, name)
            if given and len(given) != channels:
                raise ValueError(
                    f"{name} is of {len(given)} channels; the images have {channels}: give one number each"
                )
        unit = (images.astype(np.float64) - bounds.lower) / (bounds.upper - bounds.lower)
        if not ((unit >= -OUTSIDE) & (unit <= 1 + OUTSIDE)).all():  # false for NaN, too
            raise ValueError(
                f"pixels lie in [{images.min():.6g}, {images.max():.6g}]; expected them inside the bounds "
                f"[{bounds.lower:g}, {bounds.upper:g}]"
            )
        if self.range == "signed":
            values = images.astype(np.float32)
        elif self.range == "8bit":
            values = np.rint(255 * np.clip(unit, 0, 1)).astype(np.uint8)
        else:
            values = ((np.clip(unit, 0, 1) - (self.mean or 0.0)) / (self.std or 1.0)).astype(np.float32)
        if self.layout == "NCHW":
            values = values.transpose(0, 3, 1, 2)
        elif self.layout == "flat":
            values = values.reshape(len(values), -1)
        return np.array(values, order="C")


def _per_channel(name: str, given: Sequence[float] | None) -> tuple[float, ...] | None:
    """As a tuple, so that formats can be compared and hashed."""
    if given is None:
        return None
    try:
        numbers = tuple(float(number) for number in given)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} is {given!r}; expected a sequence of numbers, one for each channel") from error
    if not numbers or not all(math.isfinite(number) and (name == "mean" or number > 0) for number in numbers):
        positive = "" if name == "mean" else "positive "
        raise ValueError(f"{name} is {given!r}; expected finite {positive}numbers, one for each channel")
    return numbers


PACKAGE_PIXELS = PixelFormat()
