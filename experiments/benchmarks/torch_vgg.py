"""The paper's VGG in PyTorch, as its users write it: what `overunlearn_jax.models.vgg` is compared with.

Eager, channels last (the faster layout on a CPU), AMSGrad; the same layers, so the same number of parameters.
"""

from typing import TYPE_CHECKING, Any

import numpy as np

from experiments.benchmarks.timing import Work
from overunlearn_jax.models._vgg import DROPOUT_RATES

if TYPE_CHECKING:
    import torch


def vgg(width: int, blocks: int = 3, num_classes: int = 10, size: int = 32) -> "torch.nn.Module":
    """The network for images of `size` x `size` x 3. Raises ImportError, naming the extra, where torch is absent."""
    nn = _torch().nn
    layers: list[torch.nn.Module] = []
    channels = 3
    for block in range(blocks):
        for _ in range(2):
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU(), nn.BatchNorm2d(width, 1e-3, 0.01)]
            channels = width
        layers += [nn.MaxPool2d(2), nn.Dropout(DROPOUT_RATES[min(block, len(DROPOUT_RATES) - 1)])]
    features = width * (size // 2**blocks) ** 2
    head = [nn.Linear(features, 512), nn.ReLU(), nn.BatchNorm1d(512, 1e-3, 0.01), nn.Linear(512, num_classes)]
    return nn.Sequential(*layers, nn.Flatten(), *head).to(memory_format=_torch().channels_last)


def trainer(width: int, images: np.ndarray, labels: np.ndarray, batch_size: int) -> Work:
    """Trains on about so many images, in batches.

    Args:
      width: of the network.
      images: shape=(n, h, w, 3), dtype=float32.
      labels: shape=(n,), dtype=int32.
      batch_size: images a step.
    """
    torch = _torch()
    network = vgg(width, size=images.shape[1]).train()
    optimizer = torch.optim.Adam(network.parameters(), 1e-3, amsgrad=True)
    x, y = _channels_last(images), torch.from_numpy(labels).long()

    def work(units: int) -> int:
        steps = max(1, units // batch_size)
        for step in range(steps):
            rows = torch.arange(step * batch_size, (step + 1) * batch_size) % len(y)
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(network(x[rows]), y[rows]).backward()
            optimizer.step()
        return steps * batch_size

    return work


def predictor(width: int, images: np.ndarray, batch_size: int) -> Work:
    """Predicts probabilities of about so many images, in batches; arguments as for `trainer`."""
    torch = _torch()
    network = vgg(width, size=images.shape[1]).eval()
    x = _channels_last(images)

    def work(units: int) -> int:
        steps = max(1, units // batch_size)
        with torch.inference_mode():
            for step in range(steps):
                start = step * batch_size % (len(x) - batch_size + 1)
                network(x[start : start + batch_size]).softmax(-1)
        return steps * batch_size

    return work


def check_installed() -> None:
    """Raises ImportError, naming the extra, where PyTorch is absent."""
    _torch()


def _channels_last(images: np.ndarray) -> "torch.Tensor":
    return _torch().from_numpy(images).permute(0, 3, 1, 2)  # a view: the memory is channels last already


def _torch() -> Any:
    try:
        import torch
    except ImportError as error:
        raise ImportError(f"{error}: pip install torch, or in the clone pip install -e '.[torch]'") from error
    return torch
