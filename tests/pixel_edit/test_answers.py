"""Edits are answered with the numbers of the whole forward pass, at the border as well as inside."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from overunlearn_jax.black_box import BlackBox
from overunlearn_jax.pixel_edit import answer_probes, saving
from overunlearn_jax.probing import Probes, edited_answers, probe_images, whole_answers
from tests.pixel_edit.networks import NETWORKS, network, package_victim
from tests.reference.small_victims import small_spec

answers = jax.jit(answer_probes)
whole = jax.jit(lambda predict, images: predict(images))


def _edits(shape, block, count, seed=0):
    """An image and edits of it: all four corners of the image, and elsewhere."""
    rng = np.random.default_rng(seed)
    image = rng.uniform(-0.5, 0.5, shape).astype(np.float32)
    last = [shape[0] - block, shape[1] - block]
    corners = np.stack([*(rng.integers(0, end + 1, count) for end in last), rng.integers(0, shape[2], count)], -1)
    corners[:4, :2] = [[0, 0], [0, last[1]], [last[0], 0], last]
    blocks = rng.uniform(-0.5, 0.5, (count, 2, block, block)).astype(np.float32)
    return Probes(jnp.asarray(image), jnp.asarray(corners, jnp.int32), jnp.asarray(blocks))


def _both_ways(predict, probes):
    edited = answers(predict, *probes)
    images = probe_images(probes)
    plain = whole(predict, images)
    return edited, plain[1:].reshape(edited.shape), plain[0]


def _assert_same(predict, probes, tolerance=1e-6):
    edited, plain, unchanged = _both_ways(predict, probes)
    np.testing.assert_allclose(edited, plain, atol=tolerance)
    assert np.abs(plain - unchanged).max() > 1e-4  # an answer for the unchanged image would not pass


@pytest.mark.parametrize("name", NETWORKS)
def test_every_kind_of_layer(name):
    shape = (11, 14, 3)  # an odd side and an even one
    predict = network(NETWORKS[name], shape)
    _assert_same(predict, _edits(shape, 1, 40))


@pytest.mark.parametrize("block", [1, 2])
@pytest.mark.parametrize(
    ("name", "shape"),
    [
        *(("vgg", shape) for shape in [(32, 32, 3), (8, 8, 1), (18, 26, 3)]),
        *(("resnet", shape) for shape in [(8, 8, 1), (13, 22, 3)]),
        ("deep vgg", (48, 48, 3)),
    ],
)
def test_the_package_s_own_networks(name, shape, block):
    _assert_same(package_victim(name, shape), _edits(shape, block, 60))


def test_every_single_pixel():
    shape = (9, 10, 2)
    probes = _edits(shape, 1, 9 * 10 * 2)
    corners = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1).reshape(-1, 3)
    _assert_same(package_victim("resnet", shape), probes._replace(corners=jnp.asarray(corners, jnp.int32)))


@pytest.mark.as_compiled_for_users
def test_differences_of_close_probes_are_about_as_fine_as_those_of_whole_passes():
    # what a finite difference is made of: both against the same victim in float64
    shape = (16, 16, 3)
    predict = package_victim("vgg", shape)
    probes = _edits(shape, 1, 100)
    pixels = probes.image[tuple(probes.corners.T)]
    probes = probes._replace(blocks=(pixels[:, None] + jnp.array([1e-4, -1e-4]))[..., None, None])
    edited, plain, _ = _both_ways(predict, probes)
    with jax.enable_x64(True):
        double = jax.tree.map(lambda leaf: jnp.asarray(np.asarray(leaf), jnp.float64), predict)
        images = jnp.asarray(np.asarray(probe_images(probes)), jnp.float64)
        exact = np.asarray(double(images))[1:].reshape(edited.shape)

    def error(values):
        values = np.asarray(values, np.float64)
        return np.abs((values[:, 0] - values[:, 1]) - (exact[:, 0] - exact[:, 1])).mean()

    assert error(edited) < 1.25 * error(plain)  # both are rounding; 1.02 to 1.12 with four draws of probes


def test_several_images_at_once():
    shape = (12, 12, 3)
    predict = package_victim("vgg", shape)
    several = [_edits(shape, 1, 5, seed) for seed in range(3)]
    probes = jax.tree.map(lambda *leaves: jnp.stack(leaves), *several)
    edited = jax.jit(edited_answers)(predict, probes)
    assert edited.shape == (3, 11, 4)
    np.testing.assert_allclose(edited, jax.jit(whole_answers)(predict, probes), atol=1e-6)


ON_WHOLE_MAPS = {
    "no convolution",
    "transposed",
    "layer norm",
    "gated by its mean",
    "several heads",
    "centred colours",
    "masked largest",
}
WINDOWED = sorted(set(NETWORKS) - ON_WHOLE_MAPS)


@pytest.mark.parametrize("name", WINDOWED)
def test_windows_save_work_in_every_kind_of_layer(name):
    # a layer without a rule would be computed on whole maps, and all layers after it
    assert saving(network(NETWORKS[name], (40, 40, 3)), (40, 40, 3), 1) > 2


def test_what_is_saved_grows_with_the_image():
    savings = [saving(package_victim("vgg", (side, side, 3)), (side, side, 3), 1) for side in (16, 32, 64)]
    assert savings == sorted(savings)
    assert savings[1] > 5
    assert saving(package_victim("vgg", (32, 32, 3)), (32, 32, 3), 4) < savings[1]  # larger edits save less


@pytest.mark.parametrize(
    ("name", "pixel_edits", "expected"),
    [
        ("vgg", None, edited_answers),
        ("vgg", False, whole_answers),
        ("no convolution", None, whole_answers),
        ("no convolution", True, edited_answers),
    ],
)
def test_the_black_box_takes_what_is_cheaper_unless_told(name, pixel_edits, expected):
    shape = (32, 32, 3)
    predict = package_victim(name, shape) if name == "vgg" else network(NETWORKS[name], shape)
    assert BlackBox(small_spec(shape, 4), predict, pixel_edits=pixel_edits).answers(1) is expected


def test_a_victim_that_takes_whole_batches_only_is_asked_for_whole_images():
    def stubborn(weights, images):
        return jax.nn.softmax(images.reshape(128, -1) @ weights)  # no other number of images

    shape = (8, 8, 1)
    predict = jax.tree_util.Partial(stubborn, jnp.zeros((64, 4)))
    assert saving(predict, shape, 1) == 0
    assert BlackBox(small_spec(shape, 4), predict).answers(1) is whole_answers


def test_the_price_is_worked_out_once_for_all_victims_of_a_model():
    shape, traces = (12, 12, 3), []
    predict = network((conv_counting(traces),), shape)
    saving(predict, shape, 1)
    before = len(traces)
    saving(jax.tree.map(lambda leaf: leaf + 1, predict), shape, 1)
    assert len(traces) == before > 0


def conv_counting(traces):
    """An activation that notes when it is traced."""

    def layer(x):
        traces.append(x.shape)
        return jnp.tanh(x)

    return layer


def test_a_python_victim_has_no_answers_inside_jit():
    with pytest.raises(ValueError, match="only images can be sent"):
        BlackBox(small_spec(), lambda images: images).answers(1)
