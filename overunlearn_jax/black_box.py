"""The wall between an attacker and a victim: images in, probabilities out, every image counted.

service = BlackBox(spec, my_predict)                     # any callable: PyTorch, scikit-learn, an HTTP client
service = BlackBox(spec, predict_fn(model, variables))   # a local JAX victim: `fused` attacks run inside jit
service.query(images)                                    # checked, counted, within the budget
"""

import math
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from overunlearn_jax.batching import predict_in_batches
from overunlearn_jax.decimals import rounding_of_sums
from overunlearn_jax.pixel_edit import saving
from overunlearn_jax.pixels import advice_on_8_bits
from overunlearn_jax.probing import Answers, edited_answers, whole_answers
from overunlearn_jax.types import DatasetSpec, PredictFn

WORTHWHILE_SAVING = 2.0  # times fewer operations: windows are less efficient than whole maps
TRY_AGAIN = (408, 425, 429)  # HTTP: request timeout, too early, too many requests
SUM_TOLERANCE = 1e-3  # how far from 1 a row of probabilities may sum: float16 services round; decimals on top


class QueryBudgetExceededError(RuntimeError):
    """The next query would cost more images than the budget has left; nothing was sent."""


class BadAnswerError(ValueError):
    """The victim answered something that is not a probability for every image and class."""


class VictimUnavailableError(RuntimeError):
    """The victim could not be reached, however often it was tried."""


class BlackBox:
    """All that an attack may know of a victim.

    `predict` maps images (n, h, w, c), float32, to probabilities (n, k). A `jax.tree_util.Partial` is taken for a
    local JAX victim that may be fused into a jitted attack; any other callable is called from Python with NumPy
    arrays of at most `batch_size` images. These are copies, and so is what is kept of its answer: it may write into
    both. `budget` is the number of images that may be sent in all; None: no limit.
    `pixel_edits` says whether a fused victim answers probes of a few pixels from the activations of the unchanged
    image: the same numbers up to rounding, several times faster for convolutional networks; None: where that saves
    half of the operations or more.

    A callable that raises one of `retry_on` is called again, up to `retries` times, after `wait` seconds and then twice
    as long each time. OSError has refused and broken connections and time-outs among it, and all of `requests`; a
    client with errors of its own has to be named, `retry_on=(OSError, httpx.TransportError)`. One that carries an HTTP
    status of 400 ... 499 is not asked again, but for 408, 425 and 429: the same question would be refused again. Every
    attempt is counted: the images were sent.

    Raises:
      ValueError: a budget, a batch size or retries that are no whole numbers or too small, a `wait` that is negative or
        not finite or a `retry_on` that holds anything but kinds of exceptions.
    """

    def __init__(
        self,
        spec: DatasetSpec,
        predict: PredictFn | Callable[[np.ndarray], Any],
        *,
        budget: int | None = None,
        batch_size: int = 128,
        pixel_edits: bool | None = None,
        retries: int = 0,
        wait: float = 1.0,
        retry_on: tuple[type[Exception], ...] = (OSError,),
    ):
        if budget is not None and not _is_count(budget, 0):
            raise ValueError(f"budget is {budget}; expected a whole number of images that may be sent, or None")
        if not _is_count(batch_size, 1):
            raise ValueError(f"batch_size is {batch_size}; expected a whole number of images, at least one at a time")
        if not _is_count(retries, 0):
            raise ValueError(f"retries is {retries}; expected a whole number, 0 or more")
        if not 0 <= wait < math.inf:  # true for NaN, too
            raise ValueError(f"wait is {wait}; expected seconds, 0 or more")
        kinds = retry_on if isinstance(retry_on, tuple) else (retry_on,)
        if not all(isinstance(kind, type) and issubclass(kind, Exception) for kind in kinds):
            raise ValueError(f"retry_on is {retry_on}; expected a tuple of kinds of exceptions, such as (OSError,)")
        self.spec = spec
        self.budget = budget
        self.batch_size = batch_size
        self.pixel_edits = pixel_edits
        self.retries = retries
        self.wait = wait
        self.retry_on = kinds
        self.queries = 0
        self.predict = predict

    @property
    def fused(self) -> PredictFn | None:
        """The victim as a jittable pytree, or None. Whoever uses it must `charge` what it asked."""
        return self.predict if isinstance(self.predict, jax.tree_util.Partial) else None

    def answers(self, block: int) -> Answers:
        """How a fused victim answers probes with blocks of `block` x `block` pixels."""
        if self.fused is None:
            raise ValueError("this victim is a Python callable: only images can be sent to it, by `query`")
        edits = self.pixel_edits
        if edits is None:
            edits = saving(self.fused, self.spec.image_shape, block) >= WORTHWHILE_SAVING
        return edited_answers if edits else whole_answers

    @property
    def left(self) -> int | None:
        """Images that may still be sent; None without a budget."""
        return None if self.budget is None else self.budget - self.queries

    def charge(self, count: int) -> None:
        """Counts `count` images. Raises QueryBudgetExceededError, counting nothing, where the budget forbids them."""
        self.check_budget(count)
        self.queries += count

    def query(self, images: np.ndarray) -> np.ndarray:
        """What the victim answers; each image counts as one query.

        Args:
          images: shape=(n, h, w, c), any float dtype, inside the bounds.

        Returns:
          Probabilities, shape=(n, k), dtype=float32.

        Raises:
          ValueError: images of another shape, dtype kind or range.
          BadAnswerError: an answer that is not probabilities.
          QueryBudgetExceededError: where the budget is too small.
          VictimUnavailableError: where a callable could not be reached.
        """
        images = check_images(self.spec, images)
        self.check_budget(len(images))
        if self.fused is not None:
            self.charge(len(images))
            return check_probabilities(self.spec, predict_in_batches(self.fused, images, self.batch_size), len(images))
        answers = []
        for start in range(0, len(images), self.batch_size):
            batch = images[start : start + self.batch_size]
            answers.append(check_probabilities(self.spec, self._send(batch), len(batch)))
        return np.concatenate(answers)

    def _send(self, batch: np.ndarray) -> np.ndarray:
        """A copy of what the callable answers to a copy of the images, asked again while it cannot be reached."""
        for attempt in range(self.retries + 1):
            self.charge(len(batch))  # sent, whatever comes back
            try:
                return np.array(self.predict(batch.copy()))
            except self.retry_on as error:
                if refused := _refusal(error):
                    raise VictimUnavailableError(
                        f"the victim refused {len(batch)} images with HTTP status {refused} ({error}) and was not "
                        "asked again: see the address, the credentials and what it accepts"
                    ) from error
                last = error
                if attempt < self.retries:
                    time.sleep(self.wait * 2**attempt)
        raise VictimUnavailableError(
            f"the victim did not answer {len(batch)} images in {self.retries + 1} attempts ({last}): see whether it "
            "runs, raise retries or wait, or send fewer images at a time with batch_size"
        ) from last

    def check_budget(self, count: int) -> None:
        """Raises QueryBudgetExceededError where the budget has less than `count` images left."""
        if self.left is not None and count > self.left:
            raise QueryBudgetExceededError(
                f"{count} images to send, {self.left} of the budget of {self.budget} left: raise the budget or send "
                "fewer samples, coordinates or steps"
            )


def check_images(spec: DatasetSpec, images: np.ndarray) -> np.ndarray:
    """Returns images as float32.

    Args:
      spec: what they have to fit.
      images: shape=(n, h, w, c), any float dtype, inside the bounds.

    Raises:
      ValueError: none, or others than these; the message says what to do.
    """
    images = np.asarray(images)
    if images.ndim != 4 or images.shape[1:] != spec.image_shape or len(images) == 0:
        raise ValueError(
            f"images have shape {images.shape}; {spec.name} expects (n, {', '.join(map(str, spec.image_shape))})"
        )
    if not np.issubdtype(images.dtype, np.floating):
        raise ValueError(
            f"images have dtype {images.dtype}; expected floats in [{spec.bounds.lower}, {spec.bounds.upper}]: "
            f"{advice_on_8_bits(spec.bounds)}"
        )
    images = images.astype(np.float32, copy=False)
    low, high = images.min(), images.max()
    if not (np.float32(spec.bounds.lower) <= low and high <= np.float32(spec.bounds.upper)):  # false for NaN, too
        raise ValueError(
            f"images lie in [{low}, {high}]; {spec.name} expects [{spec.bounds.lower}, {spec.bounds.upper}]"
            + (": there are NaNs" if np.isnan(low) else ": scale or clip them first")
        )
    return images


def check_probabilities(spec: DatasetSpec, answer: Any, count: int, who: str = "the victim") -> np.ndarray:
    """The answer of `who` as float32 (count, k), or a BadAnswerError that says what is wrong with it."""
    return check_answer(answer, count, spec.num_classes, who)


def check_answer(answer: Any, count: int, num_classes: int, who: str = "the victim") -> np.ndarray:
    """An answer to `count` images as float32 (count, k), or a BadAnswerError that says what is wrong with it."""
    probabilities = np.asarray(answer)
    expected = (count, num_classes)
    if probabilities.shape != expected:
        raise BadAnswerError(
            f"{who} answered an array of shape {probabilities.shape} to {count} images; expected {expected}: one "
            "probability for each class"
        )
    if not np.issubdtype(probabilities.dtype, np.floating):
        raise BadAnswerError(f"{who} answered {probabilities.dtype} values; expected floats in [0, 1]")
    if not np.isfinite(probabilities).all():
        raise BadAnswerError(f"{who} answered numbers that are not all finite; expected floats in [0, 1]")
    sums = probabilities.sum(-1, dtype=np.float64)
    off = np.abs(sums - 1).max()
    if probabilities.min() < 0 or (off > SUM_TOLERANCE and off > rounding_of_sums(probabilities) + SUM_TOLERANCE):
        raise BadAnswerError(
            f"{who} answered rows that sum to between {sums.min():.4g} and {sums.max():.4g}, with values from "
            f"{probabilities.min():.4g}; expected probabilities that sum to 1: if these are logits, put a softmax "
            "behind them"
        )
    return probabilities.astype(np.float32, copy=False)


def _refusal(error: Exception) -> int:
    """The HTTP status of an error of urllib, requests or httpx, where asking again is no use; 0 otherwise."""
    for each in filter(None, (error, error.__cause__)):  # the latter: of a user's function, whose errors are wrapped
        status = getattr(each, "code", None) or getattr(getattr(each, "response", None), "status_code", None)
        if isinstance(status, int) and 400 <= status < 500 and status not in TRY_AGAIN:
            return status
    return 0


def _is_count(value: Any, least: int) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool) and bool(value >= least)
