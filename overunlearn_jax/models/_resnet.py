"""The small ResNet of the paper (appendix B): a stem, three residual blocks, dense 128, batch norm, dense k."""

import flax.linen as nn

from overunlearn_jax.models.base import Model, linen_model
from overunlearn_jax.types import Array


class ResNet(nn.Module):
    """Residual blocks of width, width and 2 * width filters; the last halves the image.

    The paper does not name the activation of the 128-unit layer; ReLU is used here (the authors' public code
    has a softmax there).
    """

    num_classes: int
    width: int = 64
    dense_width: int = 128
    batch_norm_momentum: float = 0.99

    @nn.compact
    def __call__(self, images: Array, train: bool) -> Array:
        """Images (n, h, w, c) to logits (n, k)."""
        he_uniform = nn.initializers.he_uniform()

        def batch_norm(name: str) -> nn.BatchNorm:
            return nn.BatchNorm(not train, momentum=self.batch_norm_momentum, epsilon=1e-3, name=name)

        def convolution(filters: int, size: int, stride: int, name: str) -> nn.Conv:
            return nn.Conv(filters, (size, size), (stride, stride), kernel_init=he_uniform, name=name)

        x = convolution(self.width, 3, 1, "stem_conv")(images)
        x = nn.relu(batch_norm("stem_norm")(x))
        for block, (filters, stride) in enumerate(((self.width, 1), (self.width, 1), (2 * self.width, 2))):
            name = f"block_{block}"
            y = convolution(filters, 3, stride, f"{name}_0_conv")(x)
            y = nn.relu(batch_norm(f"{name}_0_norm")(y))
            y = batch_norm(f"{name}_1_norm")(convolution(filters, 3, 1, f"{name}_1_conv")(y))
            shortcut = x if stride == 1 else convolution(filters, 1, stride, f"{name}_shortcut")(x)
            x = nn.relu(y + shortcut)
        x = x.mean(axis=(1, 2))
        x = nn.relu(nn.Dense(self.dense_width, kernel_init=he_uniform, name="head_dense")(x))
        x = batch_norm("head_norm")(x)
        return nn.Dense(self.num_classes, name="head_logits")(x)


def resnet(
    num_classes: int,
    image_shape: tuple[int, int, int],
    *,
    width: int = 64,
    batch_norm_momentum: float = 0.99,
) -> Model:
    """The paper's ResNet for images of shape (h, w, c); the last layer starts LeCun-normal, the others He-uniform."""
    return linen_model(ResNet(num_classes, width, batch_norm_momentum=batch_norm_momentum), image_shape)
