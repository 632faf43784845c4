"""The engine against the slow NumPy search, and its finite differences against exact derivatives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from overunlearn_jax.attacks import Status, ZooSettings, start, zoo
from overunlearn_jax.probing import probe_images
from overunlearn_jax.types import Bounds
from tests.reference import exact_gradient, zoo_numpy
from tests.reference.small_victims import COLOURED, predicted, random_images, small_spec, tanh_net

images_of = jax.jit(jax.vmap(probe_images))
SPEC = small_spec(COLOURED, 4, Bounds(-1.0, 1.0))

# A finite difference divides float32 rounding by h, a second difference by h squared: at h = 1e-4 two correct programs
# part ways after a step. So h is large here, and the reference hears the very probabilities that the engine heard.
# Beyond a margin of -kappa all differences are rounding, which ADAM scales up to whole steps: kappa keeps clear of it.
SETTINGS = ZooSettings(SPEC.bounds, coordinates=4, kappa=5.0, max_steps=30, stall_steps=5, stall_ratio=0.95, max_l2=1.0)
SOLVERS = {
    "adam": {"difference": 0.1, "margin_weight": 3.0, "step_size": 0.04},
    "newton": {"difference": 0.5, "margin_weight": 1.0, "step_size": 0.1},
    "sega": {"difference": 0.1, "margin_weight": 3.0, "step_size": 0.1},
}
SOLVERS |= {f"{name}, one-sided": SOLVERS[name] | {"solver": name, "one_sided": True} for name in ("adam", "sega")}


def _samples(targeted):
    """Five images; the victim does not give the last one its label."""
    victim = jax.jit(tanh_net(1, SPEC))
    images = random_images(2, 5, SPEC)
    labels = predicted(victim, images)
    labels[-1] = (labels[-1] + 1) % SPEC.num_classes
    targets = (labels + 1) % SPEC.num_classes if targeted else labels
    return victim, images, labels, targets


def _recorded(answers, sent):
    """A victim that gives the recorded answers in turn, and checks that it is asked about the recorded images."""
    turns = iter(zip(sent, answers, strict=True))

    def predict(image):
        expected, answer = next(turns)
        np.testing.assert_allclose(image, expected, rtol=1e-5, atol=1e-5)
        return answer

    return predict


def _assert_same(state, sample):
    for name in ("variable", "inside", "outside", "reference_loss"):
        np.testing.assert_allclose(getattr(state, name), getattr(sample, name), rtol=1e-5, atol=1e-5, err_msg=name)
    for name in ("mean", "square"):
        expected = getattr(sample, name).reshape(-1)
        np.testing.assert_allclose(getattr(state.solver, name), expected, rtol=1e-5, atol=1e-5, err_msg=name)
    np.testing.assert_array_equal(state.solver.visits, sample.count.reshape(-1))
    assert (state.step, state.queries, state.status) == (sample.step, sample.queries, sample.status)


@pytest.mark.parametrize(
    ("solver", "targeted", "space", "block"),
    [  # ADAM and Newton: half of all sixteen combinations, every three of the four settings meet in every way
        ("adam", False, "tanh", 2),
        ("adam", False, "box", 1),
        ("adam", True, "tanh", 1),
        ("adam", True, "box", 2),
        ("newton", False, "tanh", 1),
        ("newton", False, "box", 2),
        ("newton", True, "tanh", 2),
        ("newton", True, "box", 1),
        ("sega", False, "box", 2),
        ("sega", True, "tanh", 1),
        ("adam, one-sided", False, "box", 1),
        ("sega, one-sided", True, "tanh", 2),
        ("sega, one-sided", False, "box", 1),
    ],
)
def test_engine_takes_the_steps_of_the_slow_search(solver, targeted, space, block):
    settings = SETTINGS._replace(**{"solver": solver, **SOLVERS[solver]}, targeted=targeted, space=space, block=block)
    victim, images, labels, targets = _samples(targeted)
    engine = zoo(settings)
    ask, tell = jax.jit(jax.vmap(engine.ask)), jax.jit(jax.vmap(engine.tell))
    state = start(engine, jax.random.key(0), np.arange(len(images)), images, labels, targets, SPEC.num_classes)
    samples = [zoo_numpy.first_sample(*each, settings) for each in zip(images, labels, targets, strict=True)]

    for _ in range(settings.max_steps):
        probes = ask(state)
        sent = np.asarray(images_of(probes))
        answers = np.asarray(victim(sent.reshape(-1, *SPEC.image_shape))).reshape(*sent.shape[:2], -1)
        state = tell(state, probes, answers)
        host = jax.device_get(state._replace(key=()))
        for index, sample in enumerate(samples):
            if sample.status == zoo_numpy.RUNNING:  # the engine is told on; a run would stop there, too
                corners, predict = np.asarray(probes.corners[index]), _recorded(answers[index], sent[index])
                zoo_numpy.step_one(sample, corners, predict, settings)
                _assert_same(jax.tree.map(lambda leaf, index=index: leaf[index], host), sample)

    statuses = [sample.status for sample in samples]
    assert statuses[-1] == Status.SKIPPED
    assert Status.RUNNING not in statuses
    assert Status.CROSSED in statuses


def _grid(settings):
    height, width, channels = SPEC.image_shape
    return height // settings.block, settings.block, width // settings.block, settings.block, channels


def _differences(settings, victim, images, labels, targets, variable, solver):
    """First or second differences as `tell` forms them, shape (n, d), read off what the solver does with them.

    After one step ADAM's mean is a tenth of the first difference. A Newton move is -step size * first / second, where
    the second difference is above its floor of 0.1; small steps, since the box clips large ones.
    """
    engine = zoo(settings._replace(solver=solver, step_size=1e-2))
    state = start(engine, jax.random.key(3), np.arange(len(images)), images, labels, targets, SPEC.num_classes)
    state = state._replace(variable=variable)
    probes = jax.jit(jax.vmap(engine.ask))(state)
    answers = victim(images_of(probes).reshape(-1, *SPEC.image_shape)).reshape(len(images), -1, SPEC.num_classes)
    after = jax.jit(jax.vmap(engine.tell))(state, probes, answers)
    if solver == "adam":
        return 10 * np.asarray(after.solver.mean)
    moves = np.asarray(after.variable - variable).reshape(len(images), *_grid(settings))
    first = _differences(settings, victim, images, labels, targets, variable, "adam")
    return -1e-2 * first / moves[:, :, 0, :, 0].reshape(first.shape)  # a block moves as one


def _exact(settings, predict, images, labels, targets, variable):
    """The same from the weights: the derivatives along each whole block, shape (n, d)."""

    def one(variable, image, label, target):
        args = (variable, predict, image, label, target, settings)
        return exact_gradient.exact_first(*args), exact_gradient.exact_hessian(*args)

    gradients, hessians = jax.jit(jax.vmap(one))(variable, images, labels, targets)
    count, grid = len(images), _grid(settings)
    first = gradients.reshape(count, *grid).sum((2, 4)).reshape(count, -1)
    second = hessians.reshape(count, *grid, *grid).sum((2, 4, 7, 9)).reshape(count, first.shape[1], -1)
    return np.asarray(first), np.asarray(jnp.diagonal(second, axis1=1, axis2=2))


# float32 rounds a margin of up to 7 by 1e-6. At the engine's own h = 1e-4 that is 5e-3 of a first difference (and 100
# of a second, which only says noise); at h = 5e-2 it is 1e-3 of a second, and the curve within h counts: 1 %.
@pytest.mark.parametrize(
    ("space", "targeted", "block", "h", "tolerance"),
    [
        ("tanh", False, 1, 1e-4, {"rtol": 1e-3, "atol": 1.5e-2}),
        ("box", True, 2, 5e-2, {"rtol": 1e-2, "atol": 1e-2}),
    ],
)
def test_differences_are_the_exact_derivatives(space, targeted, block, h, tolerance):
    settings = SETTINGS._replace(
        space=space, targeted=targeted, block=block, difference=h, margin_weight=1.0, coordinates=48 // block**2
    )
    predict = tanh_net(1, SPEC)
    victim, images, labels, targets = _samples(targeted)
    images, labels, targets = 0.8 * images[:4], labels[:4], targets[:4]  # off the bounds, where clipping bends the loss
    variable = zoo_numpy.to_variable(0.9 * images, settings).astype(np.float32)  # on the way, where L2 counts
    args = (images, labels, targets, variable)
    exact_first, exact_second = _exact(settings, predict, *args)

    np.testing.assert_allclose(_differences(settings, victim, *args, "adam"), exact_first, **tolerance)
    if h == 5e-2:
        clear = (exact_second > 0.3) & (abs(exact_first) > 0.1)
        assert clear.sum() >= 10
        second = _differences(settings, victim, *args, "newton")
        np.testing.assert_allclose(second[clear], exact_second[clear], **tolerance)
