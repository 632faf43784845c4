"""VGG-n of the paper (appendix B): n blocks, then dense 512, batch norm, dense k."""

import flax.linen as nn

from overunlearn_jax.models.base import Model, linen_model
from overunlearn_jax.models.pooling import max_pool_2x2
from overunlearn_jax.types import Array

DROPOUT_RATES = (0.1, 0.1, 0.2)  # of the first blocks; deeper blocks repeat the last


class VGG(nn.Module):
    """`blocks` x (two 3x3 convolutions with ReLU and batch norm, 2x2 max pool, dropout), then the head."""

    num_classes: int
    blocks: int = 3
    width: int = 128
    dense_width: int = 512
    batch_norm_momentum: float = 0.99

    @nn.compact
    def __call__(self, images: Array, train: bool) -> Array:
        """Images (n, h, w, c) to logits (n, k)."""
        he_uniform = nn.initializers.he_uniform()

        def batch_norm(name: str) -> nn.BatchNorm:
            return nn.BatchNorm(not train, momentum=self.batch_norm_momentum, epsilon=1e-3, name=name)

        x = images
        for block in range(self.blocks):
            for layer in range(2):
                name = f"block_{block}_{layer}"
                x = nn.Conv(self.width, (3, 3), kernel_init=he_uniform, name=f"{name}_conv")(x)
                x = batch_norm(f"{name}_norm")(nn.relu(x))
            # One number, two ways: predictions are asked with single pixels changed, and `pixel_edit` knows the first.
            x = max_pool_2x2(x) if train else nn.max_pool(x, (2, 2), strides=(2, 2))
            rate = DROPOUT_RATES[min(block, len(DROPOUT_RATES) - 1)]
            x = nn.Dropout(rate, deterministic=not train)(x)
        x = x.reshape(x.shape[0], -1)
        x = nn.relu(nn.Dense(self.dense_width, kernel_init=he_uniform, name="head_dense")(x))
        x = batch_norm("head_norm")(x)
        return nn.Dense(self.num_classes, name="head_logits")(x)


def vgg(
    num_classes: int,
    image_shape: tuple[int, int, int],
    *,
    blocks: int = 3,
    width: int = 128,
    batch_norm_momentum: float = 0.99,
) -> Model:
    """The paper's VGG for images of shape (h, w, c). Raises ValueError where the pools leave no pixel.

    Layers before a ReLU start He-uniform; the last one, which has none, starts from Flax's own LeCun-normal.
    """
    if blocks < 1:
        raise ValueError(f"blocks is {blocks}; expected at least 1")
    most = min(image_shape[:2]).bit_length() - 1
    if blocks > most:
        raise ValueError(
            f"vgg with {blocks} blocks halves the image {blocks} times; these images are "
            f"{image_shape[0]}x{image_shape[1]}, which can be halved {most} times: take fewer blocks or larger images"
        )
    module = VGG(num_classes, blocks, width, batch_norm_momentum=batch_norm_momentum)
    return linen_model(module, image_shape)
