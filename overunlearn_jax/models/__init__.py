"""Victim architectures as pairs of pure functions; the only folder that imports Flax."""

from overunlearn_jax.models._resnet import resnet
from overunlearn_jax.models._vgg import vgg
from overunlearn_jax.models.base import Model, linen_model, predict_fn, pure_model

__all__ = ["Model", "linen_model", "predict_fn", "pure_model", "resnet", "vgg"]
