"""Learned perceptual image patch similarity (Zhang et al., CVPR 2018), version 0.1, in JAX: lower is more alike.

    weights = load_weights("alex", "weights.npz")
    distances = perceptual_distances("alex", weights, originals, submitted, bounds)

The networks' weights are not part of this package: `load_weights` says where it takes them from.
"""

import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from overunlearn_jax.types import Array, Bounds

Weights = Mapping[str, Array | np.ndarray]  # "features.N.weight" as torchvision names them, "linN" for the heads


class _Conv(NamedTuple):
    """A convolution and ReLU."""

    name: str
    stride: int = 1
    padding: int = 1


class _Pool(NamedTuple):
    """A maximum over windows; `up` rounds the size of the result up."""

    window: int
    up: bool = False


class _Fire(NamedTuple):
    """SqueezeNet's block: one squeezing convolution, two expanding ones side by side."""

    name: str


_Layer = _Conv | _Pool | _Fire


def _vgg(*names: int) -> tuple[_Layer, ...]:
    return tuple(_Conv(f"features.{name}") for name in names)


# Stages: the activations at the end of each are compared.
BACKBONES: dict[str, tuple[tuple[_Layer, ...], ...]] = {
    "alex": (
        (_Conv("features.0", 4, 2),),
        (_Pool(3), _Conv("features.3", 1, 2)),
        (_Pool(3), _Conv("features.6")),
        (_Conv("features.8"),),
        (_Conv("features.10"),),
    ),
    "vgg": (
        _vgg(0, 2),
        (_Pool(2), *_vgg(5, 7)),
        (_Pool(2), *_vgg(10, 12, 14)),
        (_Pool(2), *_vgg(17, 19, 21)),
        (_Pool(2), *_vgg(24, 26, 28)),
    ),
    "squeeze": (
        (_Conv("features.0", 2, 0),),
        (_Pool(3, up=True), _Fire("features.3"), _Fire("features.4")),
        (_Pool(3, up=True), _Fire("features.6"), _Fire("features.7")),
        (_Pool(3, up=True), _Fire("features.9")),
        (_Fire("features.10"),),
        (_Fire("features.11"),),
        (_Fire("features.12"),),
    ),
}
SMALLEST = {"alex": 31, "vgg": 16, "squeeze": 17}  # pixels a side that leave something after all pooling
FILES = {  # as torchvision's downloads are called in the user's torch cache
    "alex": "alexnet-owt-7be5be79.pth",
    "vgg": "vgg16-397923af.pth",
    "squeeze": "squeezenet1_1-b8a52dc0.pth",
}
_SHIFT, _SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)  # of images in [-1, 1]


def perceptual_distances(
    backbone: str, weights: Weights, originals: np.ndarray, submitted: np.ndarray, bounds: Bounds, batch_size: int = 64
) -> np.ndarray:
    """The perceptual distance of each pair of images.

    Args:
      backbone: "alex", "vgg" or "squeeze".
      weights: of that network.
      originals: shape=(n, h, w, 3), floats inside the bounds.
      submitted: shape=(n, h, w, 3), floats inside the bounds.
      bounds: of the pixels.
      batch_size: pairs in a call, at most.

    Returns:
      shape=(n,), dtype=float32; 0 for equal images.

    Raises:
      ValueError: an unknown backbone, weights that lack some of its arrays, shapes that do not fit, or images too small
        for its pooling.

    References:
      Zhang et al., CVPR 2018: LPIPS.
    """
    _check_backbone(backbone)
    if originals.shape != submitted.shape or originals.ndim != 4 or originals.shape[-1] != 3:
        raise ValueError(f"expected two equal shapes (n, h, w, 3); got {originals.shape} and {submitted.shape}")
    if min(originals.shape[1:3]) < SMALLEST[backbone]:
        raise ValueError(f"images of {originals.shape[1:3]}: {backbone} needs {SMALLEST[backbone]} pixels a side")
    missing = sorted(_names(backbone) - set(weights))
    if missing:
        raise ValueError(
            f"the weights of {backbone} lack {', '.join(missing[:4])}: were they made for another network?"
        )
    used = {name: jnp.asarray(weights[name]) for name in _names(backbone)}
    parts = [
        _distances(
            backbone, used, *(jnp.asarray(_scaled(images[start : start + batch_size], bounds)) for images in pair)
        )
        for pair in [(originals, submitted)]
        for start in range(0, len(originals), batch_size)
    ]
    return np.concatenate(parts) if parts else np.zeros(0, np.float32)


def load_weights(backbone: str, file: str | os.PathLike[str] | None = None) -> dict[str, np.ndarray]:
    """Weights of a backbone and its linear heads, as arrays by name.

    Args:
      backbone: alex, vgg or squeeze.
      file: a .npz with all of them under the names that `lpips` uses. None: the backbone from the user's torch cache
        (`torch.hub.get_dir()`, where torchvision puts its downloads), the heads from the installed `lpips` package.

    Raises:
      ValueError: an unknown backbone.
      FileNotFoundError: no such file, or nothing in the torch cache; the message says what to do.
      ImportError: without `file`, where torch or lpips is not installed.
    """
    _check_backbone(backbone)
    if file is not None:
        with np.load(file) as stored:
            return dict(stored)
    try:
        import lpips as package
        import torch
    except ImportError as error:
        raise ImportError(f"{error}: pip install -e '.[lpips]', or give a .npz file of weights") from error
    cached = Path(torch.hub.get_dir()) / "checkpoints" / FILES[backbone]
    if not cached.exists():
        raise FileNotFoundError(
            f"{cached} is not there: put torchvision's weights there (https://download.pytorch.org/models/"
            f"{FILES[backbone]}), or give a .npz file"
        )
    heads = Path(package.__file__).parent / "weights" / "v0.1" / f"{backbone}.pth"
    state = torch.load(cached, map_location="cpu", weights_only=True)
    features = {name: value.numpy() for name, value in state.items() if name.startswith("features.")}
    linear = torch.load(heads, map_location="cpu", weights_only=True)
    return features | {name.partition(".")[0]: value.numpy().reshape(-1) for name, value in linear.items()}


def _check_backbone(backbone: str) -> None:
    if backbone not in BACKBONES:
        raise ValueError(f"backbone is {backbone!r}; expected one of {', '.join(BACKBONES)}")


def _names(backbone: str) -> set[str]:
    names = {f"lin{stage}" for stage in range(len(BACKBONES[backbone]))}
    for layer in (layer for stage in BACKBONES[backbone] for layer in stage):
        if isinstance(layer, _Conv):
            names |= {f"{layer.name}.{part}" for part in ("weight", "bias")}
        elif isinstance(layer, _Fire):
            names |= {
                f"{layer.name}.{way}.{part}"
                for way in ("squeeze", "expand1x1", "expand3x3")
                for part in ("weight", "bias")
            }
    return names


def _scaled(images: np.ndarray, bounds: Bounds) -> np.ndarray:
    unit = (images - bounds.lower) / (bounds.upper - bounds.lower) * 2 - 1
    return ((unit - np.array(_SHIFT)) / np.array(_SCALE)).astype(np.float32)


@partial(jax.jit, static_argnums=0)
def _distances(backbone: str, weights: dict[str, Array], one: Array, other: Array) -> Array:
    total = jnp.zeros(len(one))
    for number, stage in enumerate(BACKBONES[backbone]):
        for layer in stage:
            one, other = (_apply(layer, weights, images) for images in (one, other))
        difference = (_unit(one) - _unit(other)) ** 2
        total += (difference * weights[f"lin{number}"].reshape(-1)).sum(-1).mean((1, 2))
    return total


def _unit(activations: Array) -> Array:
    return activations / (jnp.sqrt((activations**2).sum(-1, keepdims=True)) + 1e-10)


def _apply(layer: _Layer, weights: dict[str, Array], images: Array) -> Array:
    if isinstance(layer, _Conv):
        return _conv(weights, layer.name, images, layer.stride, layer.padding)
    if isinstance(layer, _Pool):
        sizes = images.shape[1:3]
        spare = [(size - layer.window) % 2 if layer.up else 0 for size in sizes]
        padding = [(0, 0), *((0, each) for each in spare), (0, 0)]
        return lax.reduce_window(images, -jnp.inf, lax.max, (1, layer.window, layer.window, 1), (1, 2, 2, 1), padding)
    squeezed = _conv(weights, f"{layer.name}.squeeze", images, 1, 0)
    narrow = _conv(weights, f"{layer.name}.expand1x1", squeezed, 1, 0)
    wide = _conv(weights, f"{layer.name}.expand3x3", squeezed, 1, 1)
    return jnp.concatenate([narrow, wide], -1)


def _conv(weights: dict[str, Array], name: str, images: Array, stride: int, padding: int) -> Array:
    result = lax.conv_general_dilated(
        images,
        weights[f"{name}.weight"],  # torch's order: out, in, height, width
        (stride, stride),
        [(padding, padding)] * 2,
        dimension_numbers=("NHWC", "OIHW", "NHWC"),
        precision=lax.Precision.HIGHEST,
    )
    return jax.nn.relu(result + weights[f"{name}.bias"])
