"""Hugging Face style: the bytes of one PNG in, the best labels with their scores out.

https://huggingface.co/docs/inference-providers/tasks/image-classification
"""

import io
from typing import Any

import numpy as np
from PIL import Image

from overunlearn_jax.services.http.dialects.base import Description, Get, Parts, from_json


class HuggingFace:
    """One image a request, as PNG: pixels have to be 8-bit, (1, h, w, c), grey or RGB.

    Args:
      path: behind the service's URL, such as "/models/my-model"; empty: the URL itself.
    """

    images_per_request = 1

    def __init__(self, path: str = ""):
        if path and not path.startswith("/"):
            raise ValueError(f"path is {path!r}; expected one that begins with a slash, or none")
        self._path = path

    def describe(self, get: Get) -> Description:
        """Nothing is asked: PNG is 8-bit, and labels are in the answers."""
        del get  # Unused: there is no metadata.
        return Description(eight_bit=True, words="images are sent as PNG, one a request")

    def to_request(self, images: np.ndarray) -> Parts:
        """The image as PNG.

        Args:
          images: shape=(1, h, w, c) with c 1 or 3, dtype=uint8.

        Returns:
          Path, content and type of the request.

        Raises:
          ValueError: more than one image, or one that PNG cannot hold.
        """
        if images.dtype != np.uint8 or images.ndim != 4 or len(images) != 1 or images.shape[-1] not in (1, 3):
            raise ValueError(
                f"images are {images.dtype} of shape {images.shape}; expected one 8-bit image (1, h, w, c) with c 1 or "
                "3, which PNG can hold: give PixelFormat('NHWC', '8bit')"
            )
        pixels, buffer = images[0], io.BytesIO()
        Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(buffer, format="PNG")
        return Parts(self._path, buffer.getvalue(), "image/png")

    def from_response(self, body: bytes, count: int) -> Any:
        """A list of `{label, score}`, for one image; some servers put it into a list."""
        answer = from_json(body)
        nested = isinstance(answer, list) and len(answer) == 1 and isinstance(answer[0], list)
        return answer if nested else [answer]
