"""Victim architectures as pairs of pure functions; the only folder that imports Flax and Equinox."""

from overunlearn_jax.models._equinox import equinox_model
from overunlearn_jax.models._nnx import nnx_model
from overunlearn_jax.models._resnet import resnet
from overunlearn_jax.models._vgg import vgg
from overunlearn_jax.models.base import Model, linen_model, predict_fn, pure_model

__all__ = ["Model", "equinox_model", "linen_model", "nnx_model", "predict_fn", "pure_model", "resnet", "vgg"]
