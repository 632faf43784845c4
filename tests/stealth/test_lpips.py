"""LPIPS against the `lpips` package on the same weights, where it is installed, and against loops over pixels."""

import sys

import jax
import numpy as np
import pytest

from overunlearn_jax.stealth.lpips import BACKBONES, SMALLEST, _names, load_weights, perceptual_distances
from overunlearn_jax.types import Bounds

BOUNDS = Bounds(-0.5, 0.5)
ALEX = {0: (64, 3, 11), 3: (192, 64, 5), 6: (384, 192, 3), 8: (256, 384, 3), 10: (256, 256, 3)}


def _pairs(count: int = 3, side: int = 40) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    originals = rng.uniform(-0.5, 0.5, (count, side, side, 3)).astype(np.float32)
    changed = originals + rng.normal(0, [[[[0.02]]], [[[0.1]]], [[[0.3]]]], originals.shape)
    return originals, np.clip(changed, -0.5, 0.5).astype(np.float32)


def _alex_weights() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    weights = {}
    for index, (out, into, side) in ALEX.items():
        scale = np.sqrt(2 / (into * side**2))
        weights[f"features.{index}.weight"] = rng.normal(0, scale, (out, into, side, side)).astype(np.float32)
        weights[f"features.{index}.bias"] = rng.normal(0, 0.1, out).astype(np.float32)
    return weights | {f"lin{k}": rng.uniform(0, 1, out[0]).astype(np.float32) for k, out in enumerate(ALEX.values())}


def _alex(originals: np.ndarray, changed: np.ndarray, batch_size: int = 64) -> np.ndarray:
    return perceptual_distances("alex", _alex_weights(), originals, changed, BOUNDS, batch_size)


def _slow_alex(weights: dict[str, np.ndarray], one: np.ndarray, other: np.ndarray) -> float:
    """One pair, float64, window by window."""

    def conv(x: np.ndarray, index: int, stride: int, padding: int) -> np.ndarray:
        kernel = weights[f"features.{index}.weight"].astype(np.float64)
        padded = np.pad(x, ((padding, padding), (padding, padding), (0, 0)))
        side = kernel.shape[-1]
        windows = np.lib.stride_tricks.sliding_window_view(padded, (side, side), (0, 1))[::stride, ::stride]
        return np.maximum(np.einsum("ijcab,ocab->ijo", windows, kernel) + weights[f"features.{index}.bias"], 0)

    def pool(x: np.ndarray) -> np.ndarray:
        return np.lib.stride_tricks.sliding_window_view(x, (3, 3), (0, 1))[::2, ::2].max((-2, -1))

    def stages(image: np.ndarray) -> list[np.ndarray]:
        x = ((image.astype(np.float64) * 2) - [-0.030, -0.088, -0.188]) / [0.458, 0.448, 0.450]
        first = conv(x, 0, 4, 2)
        second = conv(pool(first), 3, 1, 2)
        third = conv(pool(second), 6, 1, 1)
        fourth = conv(third, 8, 1, 1)
        return [first, second, third, fourth, conv(fourth, 10, 1, 1)]

    total = 0.0
    for number, (a, b) in enumerate(zip(stages(one), stages(other), strict=True)):
        a, b = (x / (np.sqrt((x**2).sum(-1, keepdims=True)) + 1e-10) for x in (a, b))
        total += (((a - b) ** 2) * weights[f"lin{number}"]).sum(-1).mean()
    return total


def test_alexnet_against_loops():
    weights, (originals, changed) = _alex_weights(), _pairs()
    found = perceptual_distances("alex", weights, originals, changed, BOUNDS)
    expected = [_slow_alex(weights, *pair) for pair in zip(originals, changed, strict=True)]
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    assert found[0] < found[1] < found[2]
    np.testing.assert_allclose(
        perceptual_distances("alex", weights, originals, changed, BOUNDS, batch_size=2), found, rtol=1e-5
    )


def test_equal_images_have_no_distance_and_order_does_not_matter():
    originals, changed = _pairs()
    np.testing.assert_allclose(_alex(originals, originals), 0, atol=1e-12)
    there, back = _alex(originals, changed), _alex(changed, originals)
    np.testing.assert_allclose(there, back, rtol=1e-5)


@pytest.mark.filterwarnings("ignore::UserWarning")  # the package calls torchvision in an old way
@pytest.mark.parametrize("backbone", list(BACKBONES))
@pytest.mark.parametrize("side", [32, 65])
def test_it_is_the_lpips_package_on_the_same_weights(backbone: str, side: int):
    torch = pytest.importorskip("torch")
    pytest.importorskip("torchvision")
    package = pytest.importorskip("lpips")
    torch.manual_seed(0)
    theirs = package.LPIPS(net=backbone, pnet_rand=True, verbose=False).eval()
    weights = {}
    for name, value in theirs.net.state_dict().items():  # "slice2.3.weight": its number counts on
        weights["features." + name.partition(".")[2]] = value.numpy()
    for number in range(len(BACKBONES[backbone])):
        weights[f"lin{number}"] = getattr(theirs, f"lin{number}").model[1].weight.detach().numpy().reshape(-1)
    originals, changed = _pairs(side=side)
    with torch.no_grad():
        one, other = (torch.from_numpy(2 * images.transpose(0, 3, 1, 2)) for images in (originals, changed))
        expected = theirs(one, other).numpy().reshape(-1)
    np.testing.assert_allclose(
        perceptual_distances(backbone, weights, originals, changed, BOUNDS), expected, rtol=1e-4, atol=1e-6
    )
    assert expected.min() > 0


def test_weights_from_a_file(tmp_path):
    weights = _alex_weights()
    np.savez(tmp_path / "alex.npz", **weights)
    loaded = load_weights("alex", tmp_path / "alex.npz")
    assert jax.tree.all(jax.tree.map(np.array_equal, loaded, weights))
    assert set(loaded) == _names("alex")


def test_bad_input_is_named(tmp_path, monkeypatch):
    weights, (originals, changed) = _alex_weights(), _pairs()
    with pytest.raises(ValueError, match="backbone is 'resnet'; expected one of alex, vgg, squeeze"):
        perceptual_distances("resnet", weights, originals, changed, BOUNDS)
    with pytest.raises(ValueError, match=r"got \(3, 40, 40, 3\) and \(2, 40, 40, 3\)"):
        perceptual_distances("alex", weights, originals, changed[:2], BOUNDS)
    with pytest.raises(ValueError, match=r"weights of vgg lack features\.12\.bias"):
        perceptual_distances("vgg", weights, originals, changed, BOUNDS)
    with pytest.raises(FileNotFoundError):
        load_weights("alex", tmp_path / "nothing.npz")
    monkeypatch.setitem(sys.modules, "lpips", None)
    with pytest.raises(ImportError, match=r"pip install -e '\.\[lpips\]'"):
        load_weights("alex")


def _random_weights(backbone: str) -> dict[str, np.ndarray]:
    """Of the right shapes: each convolution's inputs are the outputs of what comes before it."""
    rng, weights, channels = np.random.default_rng(0), {}, 3

    def conv(name: str, out: int, side: int) -> None:
        nonlocal channels
        weights[f"{name}.weight"] = rng.normal(0, 0.1, (out, channels, side, side)).astype(np.float32)
        weights[f"{name}.bias"] = np.zeros(out, np.float32)
        channels = out

    for number, stage in enumerate(BACKBONES[backbone]):
        for layer in stage:
            if type(layer).__name__ == "_Fire":
                conv(f"{layer.name}.squeeze", 2, 1)
                for way, side in (("expand1x1", 1), ("expand3x3", 3)):
                    channels = 2
                    conv(f"{layer.name}.{way}", 3, side)
                channels = 6
            elif type(layer).__name__ == "_Conv":
                conv(layer.name, 4, 11 if layer.stride == 4 else 3)
        weights[f"lin{number}"] = np.ones(channels, np.float32)
    return weights


@pytest.mark.parametrize("backbone", list(BACKBONES))
def test_the_smallest_image_has_a_distance_and_a_smaller_one_an_error(backbone: str):
    weights = _random_weights(backbone)
    originals, changed = _pairs(side=SMALLEST[backbone])
    found = perceptual_distances(backbone, weights, originals, changed, BOUNDS)
    assert np.isfinite(found).all()
    assert (found > 0).all()
    with pytest.raises(ValueError, match=f"needs {SMALLEST[backbone]} pixels a side"):
        perceptual_distances(backbone, weights, originals[:, 1:], changed[:, 1:], BOUNDS)
