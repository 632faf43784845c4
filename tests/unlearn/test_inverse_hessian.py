"""Newton steps and the solvers behind them, beside dense linear algebra and a retrained model."""

import inspect
import itertools

import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np
import pytest

from overunlearn_jax.models import pure_model
from overunlearn_jax.types import DivergedError, Split, Variables
from overunlearn_jax.unlearn import influence, merge_params, partition_params
from overunlearn_jax.unlearn.descent import Batch
from overunlearn_jax.unlearn.inverse_hessian import conjugate_gradients, damped_product, lissa
from tests.unlearn.small_model import cross_entropy, request, small_model, softmax_regression

KEY = jax.random.key(2)


def product_with(matrix):
    return lambda tree: {"x": jnp.asarray(matrix, jnp.float32) @ tree["x"]}


def positive(seed, size=12):
    root = np.random.default_rng(seed).normal(size=(size, size))
    return root @ root.T / size + 0.5 * np.eye(size)


def test_conjugate_gradients_solve_the_equations():
    matrix, target = positive(0), np.random.default_rng(1).normal(size=12)
    found = conjugate_gradients(product_with(matrix), {"x": jnp.asarray(target, jnp.float32)}, tolerance=1e-6)
    np.testing.assert_allclose(found.value["x"], np.linalg.solve(matrix, target), rtol=2e-4, atol=2e-5)
    assert found.residual < 1e-6
    assert found.iterations <= 2 * 12
    few = conjugate_gradients(product_with(matrix), {"x": jnp.asarray(target, jnp.float32)}, iterations=2)
    assert few.iterations == 2
    left = target - matrix @ np.asarray(few.value["x"])
    assert few.residual == pytest.approx(np.linalg.norm(left) / np.linalg.norm(target), rel=1e-3)
    zero = conjugate_gradients(product_with(matrix), {"x": jnp.zeros(12)})
    assert (zero.iterations, zero.residual) == (0, 0.0)


def test_the_residual_of_conjugate_gradients_is_the_true_one_where_float32_drifts():
    directions, _ = np.linalg.qr(np.random.default_rng(2).normal(size=(20, 20)))
    matrix = (directions * np.geomspace(0.01, 3e4, 20)) @ directions.T
    target = np.random.default_rng(3).normal(size=20)
    found = conjugate_gradients(product_with(matrix), {"x": jnp.asarray(target, jnp.float32)}, iterations=1000)
    left = target - matrix @ np.asarray(found.value["x"], np.float64)
    assert found.residual == pytest.approx(np.linalg.norm(left) / np.linalg.norm(target), rel=0.2)
    assert found.iterations < 1000  # its own residual fell below 1e-4,
    assert found.residual > 1e-3  # and this one did not


def test_conjugate_gradients_refuse_negative_curvature():
    matrix = np.diag([1.0, 1.0, -0.1])
    with pytest.raises(DivergedError, match="take a larger damping"):
        conjugate_gradients(product_with(matrix), {"x": jnp.ones(3)})


def test_lissa_is_the_truncated_neumann_series():
    matrix, target = positive(0), np.random.default_rng(1).normal(size=12)
    scale = 1.1 * np.linalg.eigvalsh(matrix).max()
    product, start = product_with(matrix), {"x": jnp.asarray(target, jnp.float32)}
    terms = sum(np.linalg.matrix_power(np.eye(12) - matrix / scale, power) for power in range(8))
    found = lissa(itertools.repeat(product), product, start, scale=scale, iterations=7)
    np.testing.assert_allclose(found.value["x"], terms @ target / scale, rtol=1e-4, atol=1e-5)
    many = lissa(itertools.repeat(product), product, start, scale=scale, iterations=300)
    np.testing.assert_allclose(many.value["x"], np.linalg.solve(matrix, target), rtol=2e-3, atol=2e-4)
    assert many.residual < 1e-3 < found.residual


@pytest.mark.parametrize(("matrix", "scale"), [(np.diag([1.0, 5.0]), 2.0), (np.diag([1.0, -0.5]), 2.0)])
def test_lissa_that_grows_says_so(matrix, scale):
    product = product_with(matrix)
    with pytest.raises(DivergedError, match="take a scale above 2"):
        lissa(itertools.repeat(product), product, {"x": jnp.ones(2)}, scale=scale, iterations=200)


@pytest.mark.parametrize("scope", ["head", "all"])
def test_the_product_is_that_of_the_dense_hessian_of_the_mean_loss(scope):
    model = small_model()
    variables = model.init(KEY)
    images, labels = request(0, 10)
    selected, rest = partition_params(variables.params, scope)
    flat, unravel = jax.flatten_util.ravel_pytree(selected)

    def loss(vector):
        moved = variables._replace(params=merge_params(unravel(vector), rest))
        return cross_entropy(model, moved, images, labels).mean()

    hessian = np.asarray(jax.hessian(loss)(flat), np.float64)
    samples = [Batch(images[:4], labels[:4]), Batch(images[4:], labels[4:])]
    product = damped_product(model.apply, selected, rest, variables.state, samples, damping=0.3)
    vector = np.random.default_rng(4).normal(size=len(flat))
    ours, _ = jax.flatten_util.ravel_pytree(product(unravel(jnp.asarray(vector, jnp.float32))))
    np.testing.assert_allclose(ours, hessian @ vector + 0.3 * vector, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("solver", ["conjugate_gradients", "lissa"])
@pytest.mark.parametrize("scope", ["head", "all"])
def test_the_newton_step_is_the_closed_form(scope, solver):
    model = small_model()
    variables = model.init(KEY)
    images, labels = request(0, 6)
    held = Split(*request(1, 40), np.arange(40))
    selected, rest = partition_params(variables.params, scope)
    flat, unravel = jax.flatten_util.ravel_pytree(selected)

    def losses(vector, images, labels):
        return cross_entropy(
            model, variables._replace(params=merge_params(unravel(vector), rest)), images, labels
        ).sum()

    damping = 4.0  # above every negative eigenvalue of this Hessian
    gradient = np.asarray(jax.grad(losses)(flat, images, labels), np.float64)
    hessian = np.asarray(jax.hessian(losses)(flat, held.images, held.labels), np.float64) / 40
    step = np.linalg.solve(hessian + damping * np.eye(len(flat)), gradient) / 40
    method = influence(damping=damping, solver=solver, iterations=400, lissa_scale=40.0, batch_size=40, scope=scope)
    after = method(model, variables, images, labels, KEY, held)
    ours, _ = jax.flatten_util.ravel_pytree(partition_params(after.params, scope)[0])
    np.testing.assert_allclose(ours - flat, step, rtol=5e-3, atol=1e-5)
    assert np.abs(step).max() > 1e-3


def regression(classes):
    """Softmax regression (logistic, for 2 classes) on pixels; its Hessian has no negative eigenvalue."""
    kernel = np.random.default_rng(3).normal(size=(9, classes)).astype(np.float32)
    model = pure_model(
        lambda key: {"kernel": jnp.asarray(kernel)},
        lambda params, images: images.reshape(len(images), -1) @ params["kernel"],
    )
    drawn = [request(seed, count) for seed, count in ((0, 20), (1, 600))]
    samples, held = ((images, labels % classes) for images, labels in drawn)
    return model, samples, Split(*held, np.arange(600))


@pytest.mark.parametrize(("solver", "tolerance"), [("conjugate_gradients", 1e-3), ("lissa", 0.05)])
@pytest.mark.parametrize("classes", [2, 4])
def test_the_defaults_of_either_solver_reach_the_closed_form_of_regression(classes, solver, tolerance):
    model, samples, held = regression(classes)
    variables = model.init(KEY)
    flat, unravel = jax.flatten_util.ravel_pytree(variables.params)

    def losses(vector, images, labels):
        return cross_entropy(model, Variables(unravel(vector)), images, labels).sum()

    gradient = np.asarray(jax.grad(losses)(flat, *samples), np.float64)
    hessian = np.asarray(jax.hessian(losses)(flat, *held[:2]), np.float64) / 600
    damping = inspect.signature(influence).parameters["damping"].default
    step = np.linalg.solve(hessian + damping * np.eye(len(flat)), gradient) / 600
    after = influence(solver=solver, scope="all")(model, variables, *samples, KEY, held)
    ours, _ = jax.flatten_util.ravel_pytree(after.params)
    error = np.linalg.norm(ours - flat - step) / np.linalg.norm(step)
    print(f"{solver}, {classes} classes: {error:.3g}")
    assert error < tolerance
    assert np.linalg.norm(step) > 0.1


@pytest.mark.parametrize(
    ("settings", "advice"),
    [
        (
            {"solver": "lissa", "lissa_scale": 10.0, "iterations": 50},
            "after 50 iterations, more than most_residual=0.1: .* take more iterations than 50, a larger damping than "
            "0.01, or a smaller lissa_scale than 10",
        ),
        ({"iterations": 1}, "after 1 iterations, more than .*: .* take more iterations than 1, a larger damping"),
    ],
)
def test_a_step_that_solves_too_little_of_the_equations_is_an_error_that_says_how_much(settings, advice):
    model, samples, held = regression(4)
    solver = settings.get("solver", "conjugate_gradients")
    with pytest.raises(DivergedError, match=rf"{solver} left 0\.\d+ of the equations unsolved {advice}"):
        influence(scope="all", **settings)(model, model.init(KEY), *samples, KEY, held)
    influence(scope="all", most_residual=1.0, **settings)(model, model.init(KEY), *samples, KEY, held)


def minimum(model, images, labels, ridge, start, steps=20):
    """The ridge-regularised optimum by Newton's method."""
    flat, unravel = jax.flatten_util.ravel_pytree(start.params)

    def objective(vector):
        losses = cross_entropy(model, Variables(unravel(vector), ()), images, labels)
        return losses.sum() + 0.5 * ridge * jnp.vdot(vector, vector)

    @jax.jit
    def newton(vector):
        return vector - jnp.linalg.solve(jax.hessian(objective)(vector), jax.grad(objective)(vector))

    for _ in range(steps):
        flat = newton(flat)
    assert jnp.linalg.norm(jax.grad(objective)(flat)) < 1e-3
    return flat, unravel


def test_one_newton_step_from_the_optimum_is_almost_the_retrained_optimum():
    model = softmax_regression()
    images, _ = request(0, 200)
    truth = model.apply(model.init(KEY), images, None)[0]
    labels = np.asarray(jax.random.categorical(jax.random.key(0), truth), np.int32)
    ridge = 2.0
    whole, unravel = minimum(model, images, labels, ridge, model.init(KEY))
    gone = np.flatnonzero(labels == 1)[:20]
    stays = np.setdiff1d(np.arange(200), gone)
    oracle, _ = minimum(model, images[stays], labels[stays], ridge, model.init(KEY))
    method = influence(damping=ridge / len(stays), iterations=400, scope="all")  # the ridge's curvature, of the mean
    held = Split(images[stays], labels[stays], stays)
    after = method(model, Variables(unravel(whole), ()), images[gone], labels[gone], KEY, held)
    ours, _ = jax.flatten_util.ravel_pytree(after.params)
    # the ridge makes the summed gradient at the optimum -ridge * theta and its step is second order: a fifth is left
    assert np.linalg.norm(ours - oracle) < 0.2 * np.linalg.norm(whole - oracle)


def test_too_little_damping_is_an_error():
    model = small_model()
    variables = model.init(KEY)
    held = Split(*request(1, 40), np.arange(40))
    with pytest.raises(DivergedError, match="take a larger damping"):
        influence(damping=0.0, scope="all")(model, variables, *request(0, 6), KEY, held)
    with pytest.raises(DivergedError, match="take a scale above 0\\.01"):
        influence(damping=0.1, solver="lissa", lissa_scale=0.01, scope="all")(
            model, variables, *request(0, 6), KEY, held
        )
