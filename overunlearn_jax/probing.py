"""What a zeroth-order attack asks of a victim, and the two ways in which a local victim answers inside jit."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from overunlearn_jax.pixel_edit import answer_probes
from overunlearn_jax.types import Array, PredictFn

CPU_PASS = 96  # images in a forward pass: measured fastest for victims of width 128, and no loss for narrow ones


class Probes(NamedTuple):
    """What one step asks of the victim for one sample: the image itself, and the image with one block changed."""

    image: Array  # shape=(h, w, c)
    corners: Array  # shape=(p, 3), dtype=int32: row, column, channel where each block begins
    blocks: Array  # shape=(p, s, b, b): its pixels in each of s probes; +h and -h for central differences


Answers = Callable[[PredictFn, Probes], Array]  # of n samples: probes with a leading axis to (n, 1 + p * s, k)


def probe_images(probes: Probes) -> Array:
    """All images of one sample's probes, shape (1 + p * s, h, w, c): the iterate, then those of each coordinate."""

    def changed(corner: Array, pixels: Array) -> Array:
        return lax.dynamic_update_slice(probes.image, pixels[..., None], tuple(corner))

    images = jax.vmap(jax.vmap(changed, (None, 0)))(probes.corners, probes.blocks)
    return jnp.concatenate([probes.image[None], images.reshape(-1, *probes.image.shape)])


def whole_answers(predict: PredictFn, probes: Probes) -> Array:
    """Every probe as an image of its own, through whole forward passes.

    On a CPU a pass takes a part of one sample's images, few enough for the caches; elsewhere all images of all samples.
    """
    images = jax.vmap(probe_images)(probes)
    count, asked, *shape = images.shape
    if jax.default_backend() != "cpu":
        return predict(images.reshape(-1, *shape)).reshape(count, asked, -1)
    parts = -(-asked // CPU_PASS)
    size = -(-asked // parts)
    padded = jnp.concatenate([images, jnp.repeat(images[:, :1], parts * size - asked, axis=1)], axis=1)

    def one_pass(batch: Array) -> Array:
        victim, batch = lax.optimization_barrier((predict, batch))  # as in `attacks/search.py`: keeps it fused
        return victim(batch)

    answers = lax.map(one_pass, padded.reshape(count * parts, size, *shape))
    return answers.reshape(count, parts * size, -1)[:, :asked]


def edited_answers(predict: PredictFn, probes: Probes) -> Array:
    """All from the activations of the iterates (`pixel_edit`).

    The iterate is asked as one more probe that changes nothing: rounded in the same way as the others, it leaves no
    offset in their second differences.
    """
    count, _, versions, side, _ = probes.blocks.shape
    unchanged = jnp.broadcast_to(probes.image[:, None, None, :side, :side, 0], (count, 1, versions, side, side))
    corners = jnp.concatenate([jnp.zeros_like(probes.corners[:, :1]), probes.corners], axis=1)
    blocks = jnp.concatenate([unchanged, probes.blocks], axis=1)
    answers = jax.vmap(answer_probes, (None, 0, 0, 0))(predict, probes.image, corners, blocks)
    return answers.reshape(count, -1, answers.shape[-1])[:, versions - 1 :]  # the unchanged image once
