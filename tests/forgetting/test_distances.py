"""Jensen-Shannon distance against SciPy and at its limits."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon

from overunlearn_jax.forgetting import js_distance


def _answers(seed, count=50, classes=6):
    return np.random.default_rng(seed).dirichlet(np.full(classes, 0.3), count)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_distance_is_that_of_scipy_to_base_2(dtype):
    p, q = _answers(0).astype(dtype), _answers(1).astype(dtype)
    p[:10] = np.eye(6, dtype=dtype)[np.arange(10) % 6]  # zeros have no logarithm
    distances = js_distance(p, q)
    expected = [jensenshannon(a.astype(float), b.astype(float), base=2) for a, b in zip(p, q, strict=True)]
    np.testing.assert_allclose(distances, expected, rtol=1e-9)
    assert distances.shape == (50,)
    assert distances.dtype == np.float64
    np.testing.assert_allclose(js_distance(q, p), distances, rtol=1e-12)
    on_device = js_distance(*(jnp.asarray(rows, jnp.float32) for rows in (p, q)))
    np.testing.assert_allclose(on_device, distances, rtol=1e-6)


def test_the_limits_are_exactly_0_and_1():
    p = _answers(2)
    np.testing.assert_array_equal(js_distance(p, p.copy()), np.zeros(50))
    apart = np.eye(6)
    np.testing.assert_array_equal(js_distance(apart, np.roll(apart, 1, 0)), np.ones(6))
    split = np.array([[0.3, 0.7, 0, 0]]), np.array([[0, 0, 0.2, 0.8]])
    np.testing.assert_allclose(js_distance(*split), [1], rtol=1e-12)


def test_the_distance_by_hand():
    # the middle is (1/4, 1/2, 1/4), so each side is 1/2 log2(2) + 1/2 log2(1) = 1/2 bit from it
    np.testing.assert_allclose(js_distance(np.array([[0.5, 0.5, 0]]), np.array([[0, 0.5, 0.5]])), [np.sqrt(0.5)])


def test_it_is_a_metric():
    p, q, r = (_answers(seed, 2000) for seed in (3, 4, 5))
    assert (js_distance(p, r) <= js_distance(p, q) + js_distance(q, r) + 1e-12).all()


def test_nearly_equal_rows_never_give_nan():
    rng = np.random.default_rng(6)
    logits = rng.normal(0, 10, (20000, 10))
    p = np.asarray(jax.nn.softmax(jnp.asarray(logits, jnp.float32)))
    q = np.nextafter(p, np.float32(1))
    distances = js_distance(p, q)
    assert np.isfinite(distances).all()
    assert distances.min() >= 0
    assert distances.max() < 1e-6


def test_rows_are_rounded_but_no_logits():
    p = _answers(7)
    np.testing.assert_allclose(js_distance(1.0004 * p, _answers(8)), js_distance(p, _answers(8)), rtol=1e-9)
    with pytest.raises(ValueError, match="the rows of q sum to"):
        js_distance(p, 3 * p)
    with pytest.raises(ValueError, match="the rows of p sum to"):
        js_distance(np.log(p), p)
    with pytest.raises(ValueError, match=r"p has shape \(50, 6\) and q \(49, 6\)"):
        js_distance(p, p[:-1])
    with pytest.raises(ValueError, match=r"shape \(6,\)"):
        js_distance(p[0], p[0])
