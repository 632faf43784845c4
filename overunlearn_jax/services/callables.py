"""Anything that can predict, forget and be reset is a service: three plain functions, whatever is behind them.

pixels = ou.PixelFormat("NCHW", "unit")
service = ou.service(spec=data.spec, predict=my_predict, forget=my_forget, reset=my_reset, pixels=pixels)
ou.audit(service, data, class_a="cat", class_b="dog")
"""

import inspect
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from overunlearn_jax.black_box import BadAnswerError, check_images, check_probabilities
from overunlearn_jax.services.local import check_requests
from overunlearn_jax.services.pixels import PACKAGE_PIXELS, PixelFormat
from overunlearn_jax.services.service import After, Deletion, Refused
from overunlearn_jax.types import (
    DatasetSpec,
    DeletionRefusedError,
    DivergedError,
    Images,
    Key,
    PredictFn,
    Request,
    Variables,
)
from overunlearn_jax.user_code import UserCodeError, running

Predict = Callable[[np.ndarray], Any]  # images in the service's own format to probabilities, shape=(n, k)
Forget = Callable[[np.ndarray, np.ndarray], object]  # None; images in its own format, labels of shape=(n,), dtype=int64
Reset = Callable[[], object]

THE_SERVICE = "the service"  # that refused, where no gate of ours did
_IN_PLACE = (
    "forget changes the service in place and returns None, and reset() brings it back: assign the new weights to what "
    "predict reads"
)


class UnreachableError(UserCodeError, OSError):
    """A user's function raised an OSError, as broken connections do: a `BlackBox` with retries asks again."""


class CallableService:
    """A service of three functions.

    Args:
      spec: the images and classes of the data; the functions get images of it in the format `pixels`.
      predict: images to probabilities, shape (n, k), any float dtype, rows that sum to 1.
      forget: of images and their labels, shape (n,), dtype int64: changes the service in place, returns None. The
        images are as submitted, changed and in floats: those that it was trained on are found by their distance, as
        `unlearn.match_samples` does, not by equality. May raise `DivergedError` where nothing is left to ask, and
        `DeletionRefusedError` where it declines the request and changes nothing.
      reset: brings back all that forget changes. It is called after every deletion, one that failed included.
      pixels: how the functions want their images.
      name: for errors; empty: none.

    All three get copies, and their answers are copied: they may write into what they are given, and use one buffer for
    all answers.

    Raises:
      ValueError: a function is missing or cannot be called, or `pixels` does not fit the images.
    """

    def __init__(
        self,
        spec: DatasetSpec,
        predict: Predict,
        forget: Forget,
        reset: Reset,
        *,
        pixels: PixelFormat = PACKAGE_PIXELS,
        name: str = "",
    ):
        check_functions(predict=predict, forget=forget, reset=reset)
        if not isinstance(pixels, PixelFormat):
            raise ValueError(f"pixels is {described(pixels)}; expected an overunlearn_jax.PixelFormat(layout, range)")
        pixels.to_service(np.full((1, *spec.image_shape), spec.bounds.lower), spec.bounds)  # means fit the channels
        self.spec, self.pixels = spec, pixels
        self._predict, self._forget, self._reset = predict, forget, reset
        self._name = f"{name}." if name else ""
        self._changed = False  # between a deletion and its reset

    @property
    def predict(self) -> PredictFn:
        """The package's images (n, h, w, c) to probabilities (n, k), dtype float32: the service as deployed.

        Raises:
          BadAnswerError: something else than probabilities came back.
          UserCodeError: the function raised; an `UnreachableError` where that was an OSError.
          ValueError: images of another shape, dtype or range; or the service has forgotten and was not reset yet: ask
            what `after` gave.
        """
        return self._as_deployed  # type: ignore[return-value]  # NumPy, as from every service that is no JAX model

    @contextmanager
    def after(self, requests: Sequence[Request], key: Key) -> Iterator[After]:
        """The service once it has forgotten the requests one after the other; leaving the block resets it.

        What it then answers may be NaN: whoever asks counts it as diverged. A forget that raises DivergedError ends the
        deletion there. One that raises DeletionRefusedError has refused that request: its samples are counted, and the
        service is asked as it is.

        Raises:
          ValueError: no request or a wrong one, a forget that returns something, a service inside another `after`.
          UserCodeError: forget or reset raised.
        """
        del key  # Unused: what is random in a service is its own.
        check_requests(requests, None, self.spec)
        sent = [(check_images(self.spec, np.asarray(each.images)), self._labels(each)) for each in requests]
        if self._changed:
            raise ValueError("the service has forgotten another request: leave that `after` first, which resets it")
        seconds, diverged, entered, refused = 0.0, "", True, list[tuple[int, str]]()

        def ask(images: Images) -> np.ndarray:
            if not entered:
                raise ValueError("the service was reset: what `after` gave answers inside its `with` block only")
            return self._ask(images, finite=False)

        self._changed = True
        try:
            for images, labels in sent:
                own = self._to_forget(images)
                began = time.perf_counter()
                try:
                    self._forget_one(own, labels)
                except DeletionRefusedError as error:
                    refused.append((len(labels), str(error) or "forget raised DeletionRefusedError"))
                except DivergedError as error:
                    diverged = str(error) or "forget raised DivergedError"
                seconds += time.perf_counter() - began
                if diverged:
                    break
            if diverged:
                yield After(Deletion(seconds, diverged=diverged), None)
            else:
                deletion = Deletion(seconds, refused=_refused(refused))
                yield After(deletion, ask, self._weights())  # type: ignore[arg-type]  # answers NumPy
        finally:
            entered = False
            self._bring_back()

    def _to_forget(self, images: np.ndarray) -> np.ndarray:
        """The package's images as `forget` takes them."""
        return self.pixels.to_service(images, self.spec.bounds)

    def _forget_one(self, images: np.ndarray, labels: np.ndarray) -> None:
        with running(f"{self._name}forget", "forget(images, labels)"):
            returned: object = self._forget(images, labels)
        if returned is not None:
            raise ValueError(f"{self._name}forget returned {described(returned)}; expected None: {_IN_PLACE}")

    def _bring_back(self) -> None:
        with running(f"{self._name}reset", "reset()"):
            returned = self._reset()
        if inspect.isawaitable(returned):
            raise ValueError(f"{self._name}reset returned {described(returned)}, which nobody awaits: {_IN_PLACE}")
        self._changed = False

    def _weights(self) -> Variables | None:
        """As they are now; of a service that offers none: None."""
        return None

    def _labels(self, request: Request) -> np.ndarray:
        labels, count, classes = np.asarray(request.labels), len(request.images), self.spec.num_classes
        if labels.shape != (count,) or not np.issubdtype(labels.dtype, np.integer):
            raise ValueError(
                f"the request's labels are {labels.dtype} of shape {labels.shape}; expected {count} integers, one for "
                "each image"
            )
        if labels.min() < 0 or labels.max() >= classes:
            raise ValueError(
                f"the request's labels lie in {labels.min()} ... {labels.max()}; expected 0 ... {classes - 1}"
            )
        return labels.astype(np.int64)

    def _as_deployed(self, images: Images) -> np.ndarray:
        if self._changed:
            raise ValueError(
                "the service has forgotten and was not reset yet, and `predict` is of the service as deployed: ask "
                "what `after` gave"
            )
        return self._ask(images, finite=True)

    def _ask(self, images: Images, *, finite: bool) -> np.ndarray:
        """What the service answers now; `finite`: NaN and infinity are an error."""
        images = check_images(self.spec, np.asarray(images))
        own = self.pixels.to_service(images, self.spec.bounds)
        try:
            with running(f"{self._name}predict", "predict(images)"):
                returned = self._predict(own)
                answer = None if inspect.isawaitable(returned) else np.asarray(returned).copy()
        except UserCodeError as error:
            if isinstance(error.__cause__, OSError):
                raise UnreachableError(str(error)) from error.__cause__
            raise
        if answer is None:
            raise BadAnswerError(
                f"{self._name}predict returned {described(returned)}, which nobody awaits; expected probabilities"
            )
        expected = (len(images), self.spec.num_classes)
        if not finite and answer.shape == expected and answer.dtype.kind == "f" and not np.isfinite(answer).all():
            with np.errstate(over="ignore"):
                return answer.astype(np.float32)
        who = f"{self._name}predict" if self._name else "the victim"
        return check_probabilities(self.spec, answer, len(images), who)


def _refused(requests: Sequence[tuple[int, str]]) -> Refused | None:
    """Of the samples of each request that the service declined, and why; None where it declined none."""
    if not requests:
        return None
    samples = sum(count for count, _ in requests)
    return Refused(samples, {THE_SERVICE: samples}, "; ".join(dict.fromkeys(why for _, why in requests)))


def from_object(thing: Any, spec: DatasetSpec, *, name: str = "") -> CallableService:
    """The service of an object with the methods predict(images), forget(images, labels) and reset().

    Its attribute `pixels`, a PixelFormat, says how the methods want their images; None, or no such attribute: as the
    package has them. `name` stands in errors; empty: that of its class.

    Raises:
      ValueError: a class in place of an object, a method that is missing, and what `CallableService` refuses.
    """
    if inspect.isclass(thing):
        raise ValueError(f"{thing.__name__} is a class; expected an object of it: {thing.__name__}(...)")
    name = name or type(thing).__name__
    missing = [each for each in ("predict", "forget", "reset") if not callable(getattr(thing, each, None))]
    if missing:
        raise ValueError(
            f"{name} has no method {', '.join(missing)}; expected predict(images), forget(images, labels), reset()"
        )
    pixels = getattr(thing, "pixels", None)
    return CallableService(
        spec,
        thing.predict,
        thing.forget,
        thing.reset,
        pixels=PACKAGE_PIXELS if pixels is None else pixels,
        name=name,
    )


def check_functions(**functions: object) -> None:
    """Raises ValueError, with its name, for what cannot be called, and says why where that is `reset`."""
    if "reset" in functions and functions["reset"] is None:
        raise ValueError(
            "reset is None; forget changes the service in place, and every request, honest or malicious, has to meet "
            "the service as deployed: give a function that brings it back, such as one that loads the saved weights"
        )
    for name, function in functions.items():
        if not callable(function):
            raise ValueError(f"{name} is {described(function)}; expected a function")


def described(thing: object) -> str:
    """A value, for an error: None and a short text as they are, anything else by its type."""
    if inspect.iscoroutine(thing):
        thing.close()  # it is told of here: Python need not warn that nobody awaited it
        return "a coroutine (it is `async`: give a plain function)"
    if thing is None or (isinstance(thing, str) and len(thing) <= 40):
        return repr(thing)
    return f"an object of type {type(thing).__name__}"
