"""scikit-learn's handwritten digits: small, real, and part of the installation."""

import numpy as np

from overunlearn_jax.data.source import Part, Source

_HIGHEST_VALUE = 16  # the pixels of load_digits are counts in 0..16
_REPEAT = 2  # 8 x 8 -> 16 x 16, so that three 2 x 2 poolings still leave pixels


def read_digits() -> Source:
    """The 1,797 digits, nearest-neighbour scaled to shape (16, 16, 1), values in [0, 1]; no test part."""
    from sklearn.datasets import load_digits

    data = load_digits()
    images = data.images.repeat(_REPEAT, axis=1).repeat(_REPEAT, axis=2)[..., np.newaxis] / _HIGHEST_VALUE
    class_names = tuple(str(name) for name in data.target_names)
    return Source("digits", class_names, Part(images, data.target), test=None, origin="digits")
