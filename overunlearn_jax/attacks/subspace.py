"""Pushing for few queries: along the slowest waves of an image, in a few rounds, each with one long step.

Being on the boundary costs a class more than being near the original. So a round probes waves of the whole image in
place of single pixels, remembers what earlier rounds learned of other waves, and asks for a few lengths of one step
down the margin. What is given up: the boundary is met several times as far away as by `push`.
"""

from collections.abc import Callable

import jax.numpy as jnp
import numpy as np

from overunlearn_jax.attacks._subspace_search import SubspaceSearch
from overunlearn_jax.attacks.frequencies import lowest_frequencies
from overunlearn_jax.attacks.pushing import PushResult
from overunlearn_jax.attacks.subspace_settings import SubspaceSettings, check_subspace_settings
from overunlearn_jax.black_box import BlackBox, check_images
from overunlearn_jax.labels import check_labels


def push_in_subspace(
    black_box: BlackBox,
    images: np.ndarray,
    labels: np.ndarray,
    settings: SubspaceSettings,
    *,
    targets: np.ndarray | None = None,
    on_finished: Callable[[np.ndarray, PushResult], None] | None = None,
) -> PushResult:
    """Finds images just inside and just across the boundary for `settings.max_queries` queries a sample or fewer.

    Before the crossing a round steps on from where the last one ended; after it, from the original along the gradient
    at the image across, which brings that nearer. Where next to no probe of a round shows, behind rounding or noise,
    the sample's probes grow threefold, up to `settings.longest`, and the round is asked again. Nothing is drawn at
    random: a sample's result depends on its image, its label and its target alone.

    Args:
      black_box: the victim.
      images: shape (n, h, w, c), inside the victim's bounds.
      labels: shape (n,), the class that each image is to leave. Images that the victim does not predict so are SKIPPED.
      settings: of the search.
      targets: shape (n,), the class to reach; None: any other than the label.
      on_finished: called with the positions of each group of samples that has ended, and with what became of them.

    Returns:
      As `push` does; `steps` counts rounds. Samples that do not cross are STALLED where the last step lowered no
      margin, OUT_OF_STEPS where rounds or queries ended, SAW_NOTHING where next to no probe, the longest included,
      was answered otherwise than the image that it changes, and RUNNING where the black box's budget ended.

    Raises:
      ValueError: arrays that do not fit the victim or each other, or settings with which no search can be run; nothing
        is sent then.
    """
    spec = black_box.spec
    settings = settings.fitted(spec.image_shape)
    check_subspace_settings(settings)
    images = check_images(spec, images)
    labels = check_labels("labels", labels, len(images), spec.num_classes)
    goals = None if targets is None else check_labels("targets", targets, len(images), spec.num_classes)
    if goals is not None and (goals == labels).any():
        raise ValueError("a target equals its sample's label: a targeted push goes to another class")
    waves = jnp.asarray(
        lowest_frequencies(spec.image_shape, min(settings.directions * settings.rounds, images[0].size))
    )
    parts = []
    for begin in range(0, len(images), settings.group):
        rows = np.arange(len(images))[begin : begin + settings.group]
        search = SubspaceSearch(
            black_box, settings, waves, images[rows], labels[rows], None if goals is None else goals[rows]
        )
        parts.append(search.run())
        if on_finished is not None:
            on_finished(rows, parts[-1])
    return PushResult(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))
