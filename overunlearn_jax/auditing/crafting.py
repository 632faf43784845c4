"""From a class's samples to the requests that are compared: honest, control and malicious, over the same samples."""

import time

import numpy as np

from overunlearn_jax.attack_names import REPEATED
from overunlearn_jax.attacks import blend, noise_of_length
from overunlearn_jax.auditing.choosing import AttackerSamples, saw_nothing
from overunlearn_jax.auditing.request_settings import Classes, RequestSettings, label_choice
from overunlearn_jax.black_box import BlackBox
from overunlearn_jax.data import candidates, take
from overunlearn_jax.types import Key, Split, Splits, UnlearningRequest

SEE_MORE = (
    "around {count} of them probes were answered as the images that they change, so the search saw nothing: the "
    "service rounds its pixels or its answers to more than probes change, which does not make it safe. Let the search "
    "find out what the service shows (--search=auto; search='auto' in Python), probe with larger changes "
    "(--solver=sega --space=box --difference=0.01 or more), or go by labels alone (--search=labels)"
)


class BlindSearchError(ValueError):
    """No sample crossed since the search saw nothing of the service: there is no request, and no verdict."""


class Crafter:
    """Makes one request after another from one seed's samples."""

    def __init__(
        self,
        settings: RequestSettings,
        black_box: BlackBox,
        splits: Splits,
        classes: Classes,
        chosen: AttackerSamples,
        seed: int,
        noise_key: Key,
    ):
        self._settings = settings
        self._black_box = black_box
        self._classes = classes
        self._chosen = chosen
        self._bounds = splits.spec.bounds
        self._noise_key = noise_key
        others = candidates(splits.train, classes.b, seed)
        self._others = splits.train.images[np.resize(others, len(chosen.samples.labels))]

    def craft(self, attack: str, count: int) -> UnlearningRequest:
        """The request that `attack` makes of the first `count` samples, less those that did not cross."""
        began = time.perf_counter()
        kept = self.submitted(count)
        originals = take(self._chosen.samples, kept)
        pushed = self._chosen.pushed
        match attack:
            case "normal":
                images = originals.images
            case "blending":
                images = blend(originals.images, self._others[kept], self._settings.blending_ratio)
            case "noise":
                assert pushed is not None
                lengths = pushed.l2_outside[kept]
                images = np.asarray(noise_of_length(self._noise_key, originals.images, lengths, self._bounds))
            case "pushing_1":
                assert pushed is not None
                images = pushed.inside[kept]
            case "pushing_2":
                assert pushed is not None
                images = pushed.outside[kept]
            case "repeated":
                hardest = self._hardest(originals)
                kept = np.repeat(kept[hardest], len(kept))
                originals = take(self._chosen.samples, kept)
                images = originals.images
            case _:
                raise ValueError(f"unknown attack {attack!r}")
        labels, label_queries = self._labels(attack, images, originals.labels)
        queries = np.full(len(kept), 1 if attack == REPEATED else label_queries, np.int64)
        seconds = time.perf_counter() - began
        if attack.startswith("pushing") and pushed is not None:
            queries += pushed.queries[kept]
            seconds += self._chosen.seconds * count / len(self._chosen.samples.labels)
        return UnlearningRequest(
            images, labels, originals.images, originals.labels, originals.ids, attack, queries, seconds
        )

    def submitted(self, count: int) -> np.ndarray:
        """Which of the first `count` samples every request of this size submits: those that crossed."""
        pushed = self._chosen.pushed
        kept = np.arange(count) if pushed is None else np.flatnonzero(pushed.crossed[:count])
        if len(kept) == 0 and pushed is not None and (blind := saw_nothing(pushed, count)) > count / 2:
            raise BlindSearchError(
                f"none of {count} samples crossed the decision boundary: {SEE_MORE.format(count=blind)}"
            )
        if len(kept) == 0:
            raise ValueError(
                f"none of {count} samples crossed the decision boundary: raise --max_steps, --max_l2 or "
                "--query_budget, or try another --step_size"
            )
        return kept

    def _hardest(self, samples: Split) -> int:
        """The row of the sample whose own label the service gives the lowest probability; a query for each.

        The first of those with the lowest: where labels alone are answered, all have the same.
        """
        answers = self._black_box.query(samples.images)
        return int(answers[np.arange(len(samples.labels)), samples.labels].argmin())

    def _labels(self, attack: str, images: np.ndarray, originals: np.ndarray) -> tuple[np.ndarray, int]:
        """The submitted labels, and the queries that each cost."""
        match label_choice(self._settings, attack):
            case "predicted":
                return self._black_box.query(images).argmax(-1).astype(np.int32), 1
            case "target":
                return np.full_like(originals, self._classes.target), 0
        return originals, 0
