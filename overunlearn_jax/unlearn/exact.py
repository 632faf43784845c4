"""Retraining: what every other unlearning method is measured against."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from overunlearn_jax.data import digest
from overunlearn_jax.models import Model
from overunlearn_jax.training import Progress, TrainSettings, fit
from overunlearn_jax.types import DatasetSpec, Images, Key, Labels, Split, Splits, Variables
from overunlearn_jax.unlearn.call import UnlearnFn, check_request, retained
from overunlearn_jax.unlearn.work import count_gradients


def retrain(
    *,
    spec: DatasetSpec,
    validation: Split,
    settings: TrainSettings,
    directory: str | Path | None = None,
    on_step: Callable[[Progress], None] | None = None,
) -> UnlearnFn:
    """Training from scratch on the retained data, by `training.fit` (the "retrain" of the over-unlearning paper).

    The trained variables have no part in it: not as a start (the paper's public code starts from them), not in any
    other way. The same model, retained data, settings and key give the same bits as `fit` does. The submitted
    images are checked and not used: the service decides beforehand which samples they mean (`match_samples`), and
    `retain` is the training data without them (`without`).

    Args:
      spec: of the data set.
      validation: chooses the epoch whose weights are returned, as in `fit`; it is taken to hold nothing to forget.
      settings: of the training.
      directory: a folder of its own below it for each retained data set, validation set, settings and key; a
        retraining that was killed goes on there. One directory serves one model. Such a folder holds weights trained
        on what was retained then: delete it once a later request takes some of that away.
      on_step: told of each training step.

    The method raises ValueError for a wrong request, without retained data (there is nothing to train on), and where
    `fit` does, DivergedError among it; CheckpointError for a damaged checkpoint.
    """

    def unlearn_fn(
        model: Model, variables: Variables, images: Images, labels: Labels, key: Key, retain: Split | None = None
    ) -> Variables:
        del variables  # Unused: nothing of the trained model may reach the new one.
        classes = check_request(model, _blank(model, key), images, labels)
        held = retained("retrain", retain, classes)
        nothing = Split(*(part[:0] for part in validation))
        splits = Splits(spec, held, validation, test=nothing)
        folder = None if directory is None else Path(directory) / _name(splits, settings, key)

        def trained(progress: Progress) -> None:
            count_gradients(progress.images)
            if on_step:
                on_step(progress)

        return fit(model, splits, settings, key, directory=folder, on_step=trained)

    return unlearn_fn


def _blank(model: Model, key: Key) -> Variables:
    """Zeros in the shapes of the model's variables; nothing is drawn from the key."""
    return jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), jax.eval_shape(model.init, key))


def _name(splits: Splits, settings: TrainSettings, key: Key) -> str:
    """A folder name for all that decides the weights, other than the model."""
    rest = json.dumps([settings._asdict(), np.asarray(jax.random.key_data(key)).tolist()])
    return f"retrain_{digest(splits)}_{hashlib.blake2b(rest.encode(), digest_size=8).hexdigest()}"
