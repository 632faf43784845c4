"""Limits of the service, and what may be said of it."""

from typing import NamedTuple


class ServerSettings(NamedTuple):
    """How much is taken in, and from whom.

    Attributes:
      model_name: in the paths of predictions.
      most_body: bytes of a request's body.
      most_images: images in one prediction.
      most_samples: samples in one deletion.
      most_pending: deletions that wait; further ones are answered 429.
      most_pending_per_owner: deletions of one owner that wait; further ones are answered 429. 0: `most_pending` divided
        by the owners of tokens, 1 at least, so that nobody can take the places of the others.
      most_bodies: requests with a body that are read and worked on at once; further ones are answered 503.
      body_seconds: in which a body has to have come.
      receipts: whether a deletion by submission has to be of samples that its sender has a receipt for.
      open_predictions: whether predictions need no token.
      keep_versions: files of earlier versions that are kept; they still know what later ones have forgotten.
      patience: starts of a deletion, after as many of which the process had ended, it waits for all others.
      stop_seconds: that a deletion under way is given at a stop; one that needs more is done at the next start.
      retry_seconds: between tries of a deletion whose result cannot be written.
    """

    model_name: str = "model"
    most_body: int = 32 << 20
    most_images: int = 1024
    most_samples: int = 4096
    most_pending: int = 256
    most_pending_per_owner: int = 0
    most_bodies: int = 64
    body_seconds: float = 60.0
    receipts: bool = False
    open_predictions: bool = False
    keep_versions: int = 8
    patience: int = 3
    stop_seconds: float = 20.0
    retry_seconds: float = 5.0
