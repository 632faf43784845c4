"""A deployed service as what is attacked and audited: prediction by a dialect, deletion and undo over HTTP."""

import hashlib

import numpy as np

from overunlearn_jax.services.callables import CallableService
from overunlearn_jax.services.http.answers import as_probabilities
from overunlearn_jax.services.http.client import HttpClient
from overunlearn_jax.services.http.deletion import POLLING, BySubmission, DeletionBody, Polling, delete
from overunlearn_jax.services.http.dialects.base import Description, Dialect
from overunlearn_jax.services.http.errors import RefusedError
from overunlearn_jax.services.http.settings import Sent
from overunlearn_jax.services.http.undo import NO_UNDO, Snapshot, Undo
from overunlearn_jax.services.inspection import ServiceError
from overunlearn_jax.services.pixels import PixelFormat
from overunlearn_jax.types import DatasetSpec

SUBMISSION = BySubmission()


class HttpService(CallableService):
    """A service behind a URL.

    Args:
      spec: the images and classes of the data.
      client: to the service that predicts.
      dialect: in which it is asked.
      pixels: how it wants images; None: what its metadata say, or NHWC in [0, 1] where they say nothing.
      layout, pixel_range: parts of it that are known, see `PixelFormat`; empty: what its metadata say.
      deletion: how samples are named in a deletion.
      undo: how a deletion is undone.
      deletions: client of the service that deletes; None: the one that predicts.
      polling: how long a deletion is waited for.

    Raises:
      ValueError: the metadata speak of other images or classes than the data has, or cannot be had (`RefusedError`).
      UnavailableError: nobody answers.
    """

    def __init__(
        self,
        spec: DatasetSpec,
        client: HttpClient,
        dialect: Dialect,
        *,
        pixels: PixelFormat | None = None,
        layout: str = "",
        pixel_range: str = "",
        deletion: DeletionBody = SUBMISSION,
        undo: Undo | None = None,
        deletions: HttpClient | None = None,
        polling: Polling = POLLING,
    ):
        self.client, self._dialect = client, dialect
        self._deletions, self._deletion, self._polling = deletions or client, deletion, polling
        self.undo: Undo = Snapshot() if undo is None else undo
        self.description = dialect.describe(client.get_json)
        if self.description.classes not in (None, -1, spec.num_classes):
            raise RefusedError(
                f"the service has {self.description.classes} classes and the data {spec.num_classes}: give the "
                "--dataset that it was trained on"
            )
        self._asked, self._told = client, self._deletions  # replicas, while one stands for the service
        self._before_replica = Sent()
        self._open = self._spent = False
        super().__init__(
            spec,
            self._send,
            self._delete,
            self.reset,
            pixels=pixels or pixels_for(spec, self.description, layout, pixel_range),
        )

    @property
    def no_undo(self) -> str:
        """Why requests cannot be compared; empty where they can."""
        return "" if self.undo.possible else NO_UNDO

    @property
    def sent(self) -> Sent:
        """All that was sent, to replicas, too."""
        clients = {id(each): each for each in (self.client, self._deletions, self._asked)}
        counts = [self._before_replica, *(each.sent for each in clients.values())]
        return Sent(*(sum(numbers) for numbers in zip(*counts, strict=True)))

    @property
    def source(self) -> str:
        """16 hexadecimal digits of where and how it is asked; another address or dialect is another service."""
        described = f"{self.client.url} {self._deletions.url} {type(self._dialect).__name__} {self.pixels}"
        return hashlib.blake2b(described.encode(), digest_size=8).hexdigest()

    def reset(self) -> None:
        """Brings the service back; after a kill, too, where the way to undo it has kept what it needs."""
        replica = self._told is not self._deletions
        self.undo.back(self._told)
        if replica:
            self._before_replica = Sent(
                *(one + other for one, other in zip(self._before_replica, self._told.sent, strict=True))
            )
        self._asked, self._told, self._open = self.client, self._deletions, False

    def close(self) -> None:
        """Closes all connections."""
        self.client.close()
        self._deletions.close()

    def _send(self, images: np.ndarray) -> np.ndarray:
        """The service's answers, in as many requests as it takes, several under way at a time."""
        size = min(self.client.settings.batch_size, self._dialect.images_per_request or len(images))
        batches = [images[start : start + size] for start in range(0, len(images), size)]
        return np.concatenate(self._asked.map(self._send_batch, batches))

    def _send_batch(self, batch: np.ndarray) -> np.ndarray:
        parts = self._dialect.to_request(batch)
        body = self._asked.call(
            "POST",
            parts.path,
            content=parts.content,
            headers={"Content-Type": parts.content_type},
            images=len(batch),
            scores=len(batch) * self.spec.num_classes,
        )
        return as_probabilities(self._dialect.from_response(body, len(batch)), len(batch), self.spec.class_names)

    def _to_forget(self, images: np.ndarray) -> np.ndarray:
        return images.copy()  # the deletion's schema has pixels of its own

    def _forget_one(self, images: np.ndarray, labels: np.ndarray) -> None:
        self._delete(images, labels)

    def _delete(self, images: np.ndarray, labels: np.ndarray) -> None:
        if self._spent:
            raise ServiceError(NO_UNDO)
        if not self._open:
            self._told = self.undo.before(self._deletions)
            self._asked = self._told if self._told is not self._deletions else self.client
            self._open = True
        self._spent = not self.undo.possible
        body = self._deletion(images, labels, self.spec.bounds)
        delete(self._told, body, polling=self._polling, images=len(images))

    def _bring_back(self) -> None:
        self.reset()
        self._changed = self._spent  # for good, where there is no way back


def pixels_for(spec: DatasetSpec, described: Description, layout: str = "", pixel_range: str = "") -> PixelFormat:
    """The pixel format that metadata ask for: layout by the input's shape, range by its data type.

    What is given goes before what they say.

    Raises:
      RefusedError: where images of the data have no such shape.
    """
    height, width, channels = spec.image_shape
    kind = pixel_range or ("8bit" if described.eight_bit else "unit")
    if layout or described.image_shape is None:
        return PixelFormat(layout or "NHWC", kind)
    shapes = {
        "NHWC": (height, width, channels),
        "NCHW": (channels, height, width),
        "flat": (height * width * channels,),
    }
    for name, shape in shapes.items():
        fits = len(shape) == len(described.image_shape) and all(
            wanted in (-1, length) for wanted, length in zip(described.image_shape, shape, strict=True)
        )
        if fits:
            return PixelFormat(name, kind)
    raise RefusedError(
        f"the service takes images of shape {described.image_shape}, and the data has {spec.image_shape}: give the "
        "--dataset and --image_size that it was trained on"
    )
