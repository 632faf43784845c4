"""The engine against the slow NumPy search, and its finite differences against exact derivatives."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from overunlearn_jax.attacks import Status, ZooSettings, probe_images, start, zoo
from overunlearn_jax.types import Bounds
from tests.reference import exact_gradient, zoo_numpy
from tests.reference.small_victims import COLOURED, predicted, random_images, small_spec, tanh_net

images_of = jax.jit(jax.vmap(probe_images))
SPEC = small_spec(COLOURED, 4, Bounds(-1.0, 1.0))

# A finite difference divides float32 rounding by h, a second difference by h squared: at h = 1e-4 two correct programs
# part ways after a step. So h is large here, and the reference hears the very probabilities that the engine heard.
# Beyond a margin of -kappa all differences are rounding, which ADAM scales up to whole steps: kappa keeps clear of it.
SETTINGS = ZooSettings(SPEC.bounds, coordinates=4, kappa=5.0, max_steps=30, stall_steps=8, stall_ratio=0.95, max_l2=1.0)
SOLVERS = {
    "adam": {"difference": 0.1, "margin_weight": 3.0, "step_size": 0.04},
    "newton": {"difference": 0.5, "margin_weight": 1.0, "step_size": 0.1},
}


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
    np.testing.assert_array_equal(state.solver.count, sample.count.reshape(-1))
    assert (state.step, state.queries, state.status) == (sample.step, sample.queries, sample.status)


@pytest.mark.parametrize(
    ("solver", "targeted", "space", "block"),
    list(itertools.product(["adam", "newton"], [False, True], ["tanh", "box"], [1, 2])),
)
def test_engine_takes_the_steps_of_the_slow_search(solver, targeted, space, block):
    settings = SETTINGS._replace(solver=solver, targeted=targeted, space=space, block=block, **SOLVERS[solver])
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
    print(solver, targeted, space, block, statuses, [x.step for x in samples])
