"""PyTorch: a module that predicts, and a service that forgets and is brought back to the module's weights.

service = torch_service(module, forget, data.spec)      # forget(module, images, labels): any steps on the module
"""

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from overunlearn_jax.services.callables import CallableService, Predict
from overunlearn_jax.services.pixels import PixelFormat
from overunlearn_jax.types import DatasetSpec

TORCH_PIXELS = PixelFormat("NCHW", "unit")  # torchvision's ToTensor
OUTPUTS = ("logits", "probabilities")
SUMS = 1e-4  # float32 probabilities sum to 1 within it; logits do not, for every image

TorchForget = Callable[[Any, Any, Any], object]  # None; (module, images, labels), tensors on the module's device


def torch_predict(module: Any, *, device: Any = None, batch_size: int = 256, outputs: str = "logits") -> Predict:
    """`predict` of a `torch.nn.Module`: in eval mode, without gradients; every part's training flag is left as it was.

    Args:
      module: images as it takes them (n, ...) to logits or probabilities (n, k).
      device: to send images to; None: where the module's first parameter is when it is asked, else the CPU.
      batch_size: images a forward pass.
      outputs: what the module answers, "logits" or "probabilities".

    Returns:
      A function of images in the module's own format, uint8 as they are and floats in the dtype of the module's
      parameters, to probabilities (n, k), float32, on the CPU.

    Raises:
      ImportError: PyTorch is not installed.
      ValueError: a batch size below 1, or outputs of another name. The function, at its first call: the module is said
        to answer logits and answers probabilities, which a second softmax would flatten unseen.
    """
    torch = _import_torch()
    if batch_size < 1:
        raise ValueError(f"batch_size is {batch_size}; expected at least 1")
    if outputs not in OUTPUTS:
        raise ValueError(f"outputs is {outputs!r}; expected one of {', '.join(OUTPUTS)}")

    first = True

    def predict(images: np.ndarray) -> np.ndarray:
        nonlocal first
        with torch.no_grad(), _evaluating(module):
            batches = [images[start : start + batch_size] for start in range(0, len(images), batch_size)]
            answers = torch.cat([module(_tensor(batch, module, device)).float().cpu() for batch in batches])
        if outputs == "probabilities":
            return _numpy(answers)
        if first and bool((answers >= 0).all()) and bool(((answers.sum(-1) - 1).abs() < SUMS).all()):
            raise ValueError(
                "the module answers probabilities, not logits, and a second softmax would flatten them: say "
                "outputs='probabilities'"
            )
        first = False
        return _numpy(answers.softmax(-1))

    return predict


def torch_service(
    module: Any,
    forget: TorchForget,
    spec: DatasetSpec,
    pixels: PixelFormat = TORCH_PIXELS,
    *,
    device: Any = None,
    batch_size: int = 256,
    outputs: str = "logits",
) -> CallableService:
    """A module that forgets in place, with a reset to all that it is now.

    Brought back are its `state_dict`, buffers that are not in it, and the flags `training` and `requires_grad` of every
    part; gradients are dropped. What is not of the module, such as an optimiser that forget keeps between calls, is
    not: make it inside forget.

    Args:
      module: as deployed; changed between a deletion and its reset only.
      forget: called with (module, images, labels): images in the format `pixels` and int64 labels, tensors on the
        module's device. Changes the module in place and returns None. It is left in the mode that it is in: call
        `module.train()` for dropout and batch statistics.
      spec: the images and classes of the data.
      pixels: how the module wants its images.
      device, batch_size, outputs: see `torch_predict`.

    Raises:
      ImportError: PyTorch is not installed.
      ValueError: see `torch_predict` and `CallableService`.
    """
    torch = _import_torch()
    reset = _snapshot(module)

    def forget_in_place(images: np.ndarray, labels: np.ndarray) -> object:
        own = _tensor(images, module, device)
        return forget(module, own, torch.tensor(labels, device=own.device))

    predict = torch_predict(module, device=device, batch_size=batch_size, outputs=outputs)
    return CallableService(spec, predict, forget_in_place, reset, pixels=pixels, name=type(module).__name__)


def _import_torch() -> Any:
    try:
        import torch
    except ImportError as error:
        raise ImportError(f"{error}: pip install torch, or in the clone pip install -e '.[torch]'") from error
    return torch


def _tensor(images: np.ndarray, module: Any, device: Any) -> Any:
    """A copy on the module's device, floats in its dtype."""
    torch = _import_torch()
    parameter = next(module.parameters(), torch.zeros(()))
    tensor = torch.tensor(images).to(parameter.device if device is None else device)
    return tensor.to(parameter.dtype) if tensor.is_floating_point() else tensor


def _numpy(tensor: Any) -> np.ndarray:
    array: np.ndarray = tensor.numpy()
    return array


@contextmanager
def _evaluating(module: Any) -> Iterator[None]:
    """In eval mode; each part's own flag comes back, as parts may be frozen in eval mode while others train."""
    flags = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, training in flags:
            part.training = training


def _snapshot(module: Any) -> Callable[[], None]:
    """A function that brings the module back to what it is now."""
    torch = _import_torch()
    saved = copy.deepcopy(module.state_dict())
    buffers = {name: buffer.clone() for name, buffer in module.named_buffers() if name not in saved}
    training = {name: part.training for name, part in module.named_modules()}
    trainable = {name: parameter.requires_grad for name, parameter in module.named_parameters()}

    def reset() -> None:
        module.load_state_dict(copy.deepcopy(saved))
        with torch.no_grad():
            for name, buffer in module.named_buffers():
                if name in buffers:
                    buffer.copy_(buffers[name])
        for name, part in module.named_modules():
            part.training = training[name]
        for name, parameter in module.named_parameters():
            parameter.requires_grad_(trainable[name])
            parameter.grad = None

    return reset
