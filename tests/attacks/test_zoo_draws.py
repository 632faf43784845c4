"""Which coordinates a search draws."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from overunlearn_jax.attacks import ZooSettings, spaces, start, zoo
from tests.reference.small_victims import random_images, small_spec

SPEC = small_spec()
SIZE = 36
STEPS = 3000
SETTINGS = ZooSettings(SPEC.bounds, coordinates=4, space="box")


@functools.partial(jax.jit, static_argnums=0)
def _corners(engine, state):
    def at(one, step):
        return engine.ask(one._replace(step=step)).corners

    return jax.vmap(jax.vmap(at, (None, 0)), (0, None))(state, jnp.arange(STEPS))


def _draws(settings, ids=(0,), key=0, moved=None):
    """Flat grid indices (ids, steps, p) that `ask` draws at each step for each id."""
    engine, block = zoo(settings), settings.block
    images = np.repeat(random_images(0, 1, SPEC), len(ids), axis=0)
    state = start(engine, jax.random.key(key), np.array(ids), images, np.zeros(len(ids)), np.zeros(len(ids)), 3)
    if moved is not None:
        assert settings.space == "box"  # where the variable is the image
        state = state._replace(variable=state.original + moved)
    row, column, channel = np.moveaxis(np.asarray(_corners(engine, state)) // np.array([block, block, 1]), -1, 0)
    return np.ravel_multi_index((row, column, channel), (6 // block, 6 // block, 1))


def _p_value_of_uniform(draws):
    """Chi-square; drawing p of d without replacement spreads the counts by (d - p) / (d - 1) of the usual."""
    counts = np.bincount(draws.reshape(-1), minlength=SIZE)
    spread = (SIZE - draws.shape[-1]) / (SIZE - 1)
    return stats.chi2.sf(stats.chisquare(counts).statistic / spread, SIZE - 1)


def test_coordinates_are_drawn_without_replacement():
    draws = _draws(SETTINGS._replace(coordinates=30))
    assert all(len(set(step)) == 30 for step in draws[0])


def test_every_coordinate_is_drawn_in_time():
    # missed in 150 steps: 36 * (8 / 9) ** 150, about 1e-6
    assert set(_draws(SETTINGS)[0, :150].reshape(-1)) == set(range(SIZE))
    assert set(_draws(SETTINGS._replace(block=2))[0, :60].reshape(-1)) == set(range(SIZE // 4))


def test_coordinates_are_drawn_uniformly():
    draws = _draws(SETTINGS)
    assert _p_value_of_uniform(draws) > 1e-3
    assert _p_value_of_uniform(draws) < 1 - 1e-3  # nor too evenly, as from a shuffled list


def test_the_same_test_rejects_a_law_that_is_a_little_skewed():
    rng = np.random.default_rng(0)
    weights = np.linspace(1, 1.3, SIZE)
    # the p largest of log weight + Gumbel noise: draws without replacement by these weights
    scores = np.log(weights) + rng.gumbel(size=(3000, SIZE))
    assert _p_value_of_uniform(np.argsort(scores)[:, -4:]) < 1e-3
    assert _p_value_of_uniform(np.argsort(rng.gumbel(size=(3000, SIZE)))[:, -4:]) > 1e-3


def test_each_id_step_and_key_draws_its_own():
    draws = _draws(SETTINGS, ids=(0, 1, 7))
    again = _draws(SETTINGS, ids=(7, 0, 1))
    np.testing.assert_array_equal(draws[[2, 0, 1]], again)
    other_key = _draws(SETTINGS, ids=(0, 1, 7), key=1)
    for one, other in [
        (draws[0], draws[1]),
        (draws[1], draws[2]),
        (draws[0], other_key[0]),
        (draws[0, :-1], draws[0, 1:]),
    ]:
        assert (one == other).mean() < 0.15  # equal by chance in 1 of 36 places


def test_importance_draws_the_moved_region_more_often():
    moved = np.zeros(SPEC.image_shape, np.float32)
    moved[1, 1] = 0.1
    settings = SETTINGS._replace(importance=True)
    # a window of 3 x 3 around the pixel that moved is nine of 36 coordinates; the rest have a thousandth of its chance
    region = [row * 6 + column for row in range(3) for column in range(3)]
    plain = np.isin(_draws(SETTINGS, moved=moved), region).mean()
    drawn = _draws(settings, moved=moved)
    assert plain == pytest.approx(0.25, abs=0.03)
    assert np.isin(drawn, region).mean() > 0.95
    assert _p_value_of_uniform(drawn) < 1e-3


def test_importance_is_uniform_as_long_as_nothing_moved():
    assert _p_value_of_uniform(_draws(SETTINGS._replace(importance=True))) > 1e-3


def test_importance_is_uniform_as_long_as_only_rounding_moved():
    space = spaces.tanh_space(SPEC.bounds)
    image = random_images(0, 1, SPEC)[0]
    moved = np.asarray(space.to_image(space.from_image(image))) - image
    assert 0 < abs(moved).max() < 1e-6
    assert _p_value_of_uniform(_draws(SETTINGS._replace(importance=True), moved=moved)) > 1e-3


def test_importance_keeps_a_chance_for_every_coordinate():
    moved = np.zeros(SPEC.image_shape, np.float32)
    moved[:3] = 0.1
    # the windows reach row 3; twelve coordinates of rows 4 and 5 have a thousandth of the chance of the other 24
    drawn = _draws(SETTINGS._replace(importance=True), ids=(0, 1, 2, 3, 4), moved=moved)
    assert (drawn >= 24).sum() == pytest.approx(drawn.size * 12e-3 / 24, rel=0.6)  # about 30
