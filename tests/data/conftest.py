import os
from pathlib import Path

import numpy as np
import pytest

from overunlearn_jax.data import load
from overunlearn_jax.types import Splits


@pytest.fixture(scope="session")
def real_data_dir() -> Path:
    """Prepared TFDS sets: $OVERUNLEARN_DATA_DIR, or the folder shared/tfds beside the repository."""
    given = os.environ.get("OVERUNLEARN_DATA_DIR")
    folder = Path(given) if given else Path(__file__).parents[3] / "shared" / "tfds"
    if not folder.is_dir():
        pytest.skip(f"no prepared TFDS sets at {folder}; set OVERUNLEARN_DATA_DIR")
    return folder


def _needs(folder: Path, name: str) -> Path:
    if not (folder / name).is_dir():
        pytest.skip(f"no prepared {name} at {folder}; set OVERUNLEARN_DATA_DIR")
    return folder


@pytest.fixture(scope="session")
def cifar10(real_data_dir: Path) -> Splits:
    return load("cifar10", data_dir=_needs(real_data_dir, "cifar10"), seed=0, download=False)


@pytest.fixture(scope="session")
def stl10(real_data_dir: Path) -> Splits:
    return load("stl10", data_dir=_needs(real_data_dir, "stl10"), seed=0, download=False)


@pytest.fixture(scope="session")
def cifar100_dir(real_data_dir: Path) -> Path:
    return _needs(real_data_dir, "cifar100")


@pytest.fixture
def uint8_images() -> np.ndarray:
    """Twenty different 4 x 5 images of 3 channels, with 0 and 255 among the values."""
    images = np.random.default_rng(7).integers(0, 256, size=(20, 4, 5, 3), dtype=np.uint8)
    images[0, 0, 0] = (0, 255, 128)
    return images


@pytest.fixture
def two_labels() -> np.ndarray:
    return np.arange(20) % 2
