"""A local victim as services answer: rounded, cut to the best classes, noisy, or as labels."""

from collections.abc import Callable

import numpy as np

from overunlearn_jax.services.http.answers import spread_top_k
from overunlearn_jax.stealth.pixels import from_8_bits, to_8_bits
from overunlearn_jax.types import DatasetSpec

Answer = Callable[[np.ndarray], np.ndarray]  # images (n, h, w, c) to probabilities (n, k)
NOISE = 1e-3  # standard deviation, of a probability


def disguises(predict: Answer, spec: DatasetSpec, seed: int) -> dict[str, Answer]:
    """The victim behind each disguise, by its name; `seed` is of the noise."""
    draws = np.random.default_rng(seed)

    def eight_bit(images: np.ndarray) -> np.ndarray:
        return predict(from_8_bits(to_8_bits(images, spec.bounds), spec.bounds))

    def best(count: int) -> Answer:
        def answer(images: np.ndarray) -> np.ndarray:
            all_of_them = predict(images)
            places = np.argsort(-all_of_them, -1, kind="stable")[:, :count]
            listed = [
                [(int(at), float(row[at])) for at in chosen] for row, chosen in zip(all_of_them, places, strict=True)
            ]
            return spread_top_k(listed, [str(label) for label in range(spec.num_classes)])

        return answer

    def noisy(images: np.ndarray) -> np.ndarray:
        answers = predict(images)
        answers = np.clip(answers + draws.normal(0, NOISE, answers.shape), 0, None)
        return answers / answers.sum(-1, keepdims=True)

    return {
        "as it is": predict,
        "8-bit pixels": eight_bit,
        "4 decimals": lambda images: predict(images).round(4),
        "2 decimals": lambda images: predict(images).round(2),
        "top-5": best(5),
        "top-1": best(1),
        "labels": lambda images: np.eye(spec.num_classes)[predict(images).argmax(-1)],
        "noise": noisy,
    }


DISGUISES = ("as it is", "8-bit pixels", "4 decimals", "2 decimals", "top-5", "top-1", "labels", "noise")
