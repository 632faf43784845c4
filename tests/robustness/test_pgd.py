"""PGD against closed forms of a linear model, a plain NumPy loop, and the Adversarial Robustness Toolbox."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from overunlearn_jax.models import predict_fn, pure_model
from overunlearn_jax.robustness import NORMS, Pgd, accuracy_under_pgd, pgd
from overunlearn_jax.robustness import _pgd as module
from overunlearn_jax.robustness._balls import drawn
from overunlearn_jax.types import Bounds, Split, Variables
from tests.defences.small import MODEL, digits, variables

FAR = Bounds(-100.0, 100.0)
KEY = jax.random.key(3)
DUAL = {"linf": 1, "l2": 2}  # the norm of the gradient that says how far a logit can be moved


def weights():
    return np.asarray(variables().params, np.float64)


def some(count=60):
    test = digits().test
    return Split(*(part[:count] for part in test))


def distances(split, norm):
    """How far each sample is from the nearest other class of the softmax regression; 0 where it is predicted wrongly.

    The margin to class j is linear: it falls to nothing at margin / |w_y - w_j|, the dual norm.
    """
    w = weights()
    logits = split.images.reshape(len(split.labels), -1) @ w[:-1] + w[-1]
    found = np.full(len(split.labels), np.inf)
    for row, label in enumerate(split.labels):
        for other in set(range(10)) - {int(label)}:
            margin = logits[row, label] - logits[row, other]
            apart = np.linalg.norm(w[:-1, label] - w[:-1, other], ord=DUAL[norm])
            found[row] = min(found[row], max(margin, 0) / apart)
    return found


def sizes(changes, norm):
    flat = np.asarray(changes, np.float64).reshape(len(changes), -1)
    return np.abs(flat).max(1) if norm == "linf" else np.linalg.norm(flat, axis=1)


@pytest.mark.parametrize("norm", NORMS)
def test_accuracy_left_of_a_linear_model_is_the_closed_form(norm):
    split = some()
    nearest = distances(split, norm)
    radii = [float(np.quantile(nearest, share)) for share in (0.3, 0.6, 0.9)]
    found = accuracy_under_pgd(MODEL, variables(), split, [0.0, *radii], FAR, KEY, Pgd(norm, steps=40, restarts=3))
    for radius in radii:  # what an attack finds is there; few escape, where the nearest class changes on the way
        exact = (nearest > radius).mean()
        assert exact <= found[radius].overall <= exact + 0.08
    assert found[0.0].overall == (nearest > 0).mean()


@pytest.mark.parametrize("norm", NORMS)
def test_what_is_returned_lies_in_the_ball_and_in_the_bounds(norm):
    split, bounds = some(), digits().spec.bounds
    radius = float(np.median(distances(split, norm)))
    found = pgd(MODEL, variables(), split.images, split.labels, radius, bounds, KEY, Pgd(norm, restarts=2))
    assert found.dtype == np.float32
    assert sizes(found - split.images, norm).max() <= radius * (1 + 1e-5)
    assert found.min() >= bounds.lower
    assert found.max() <= bounds.upper
    still_right = np.asarray(predict_fn(MODEL, variables())(found)).argmax(-1) == split.labels
    assert 0 < still_right.mean() < 1


def by_numpy(images, labels, radius, steps, norm):
    """Cross-entropy, from the images themselves; those that are predicted wrongly stay."""
    w, rows = weights(), np.arange(len(labels))
    originals = images.reshape(len(labels), -1).astype(np.float64)
    moved = originals.copy()
    for _ in range(steps):
        logits = moved @ w[:-1] + w[-1]
        shares = np.exp(logits - logits.max(1, keepdims=True))
        shares /= shares.sum(1, keepdims=True)
        shares[rows, labels] -= 1
        gradients = shares @ w[:-1].T
        if norm == "linf":
            directions = np.sign(gradients)
        else:
            directions = gradients / np.linalg.norm(gradients, axis=1, keepdims=True)
        changes = moved + 2.5 * radius / steps * directions - originals
        if norm == "linf":
            changes = np.clip(changes, -radius, radius)
        else:
            changes *= np.minimum(1, radius / np.linalg.norm(changes, axis=1, keepdims=True))
        right = logits.argmax(1) == labels
        moved[right] = np.clip(originals + changes, -0.5, 0.5)[right]
    return moved.reshape(images.shape)


@pytest.mark.parametrize("norm", NORMS)
def test_every_step_is_that_of_a_plain_loop(norm):
    split = some(20)
    radius = 0.8 * float(np.median(distances(split, norm)))
    settings = Pgd(norm, steps=6, restarts=0, loss="cross_entropy")
    found = pgd(MODEL, variables(), split.images, split.labels, radius, digits().spec.bounds, KEY, settings)
    slow = by_numpy(split.images, split.labels, radius, 6, norm)
    assert np.mean(np.abs(found - slow) < 1e-4) > 0.999  # the sign of a gradient of nearly 0 may differ
    assert np.abs(slow - split.images).max() > 0.01


def test_no_image_depends_on_the_others_and_no_second_call_is_traced():
    split, settings = some(10), Pgd("linf", steps=3)
    args = (digits().spec.bounds, KEY, settings)
    together = pgd(MODEL, variables(), split.images, split.labels, 0.1, *args, batch_size=10)
    traced = module._step._cache_size()
    apart = pgd(MODEL, variables(), split.images, split.labels, 0.1, *args, batch_size=4)
    np.testing.assert_allclose(together, apart, atol=1e-5)
    pgd(MODEL, variables(), split.images[:6], split.labels[:6], 0.2, *args, batch_size=4)
    assert module._step._cache_size() == traced + 1  # the batches of 4


def test_accuracy_never_rises_with_the_radius_or_with_restarts():
    split, bounds = some(), digits().spec.bounds
    accuracies = []
    for restarts in (0, 1, 3):
        found = accuracy_under_pgd(
            MODEL, variables(), split, [0.02, 0.05, 0.1], bounds, KEY, Pgd(steps=2, restarts=restarts)
        )
        accuracies.append([each.overall for each in found.values()])
    assert accuracies[2][0] <= accuracies[1][0]
    assert all(one[0] >= one[1] >= one[2] for one in accuracies)


def test_the_margin_sees_a_model_that_is_too_sure_for_cross_entropy():
    """Logits times 1e6: the gradient of the cross-entropy is 0 in float32, that of the margin is not."""
    sure = Variables(1e6 * variables().params)
    split, bounds = some(20), digits().spec.bounds
    left = {
        loss: accuracy_under_pgd(MODEL, sure, split, [0.3], bounds, KEY, Pgd(restarts=0, loss=loss))[0.3].overall
        for loss in ("margin", "cross_entropy")
    }
    assert left["margin"] < 0.2
    assert left["cross_entropy"] > 0.8


@pytest.mark.parametrize("norm", NORMS)
def test_draws_are_uniform_in_the_ball(norm):
    keys = jax.random.split(KEY, 4000)
    found = sizes(drawn(keys, (2, 1, 1), norm, 2.0), norm)
    assert found.max() <= 2
    assert np.mean(found <= 1) == pytest.approx(0.25, abs=0.03)  # of two pixels: half as far is a quarter of the area


def test_wrong_settings_are_named():
    split, bounds = some(2), digits().spec.bounds
    for settings, radius, message in (
        (Pgd("l1"), 0.1, "norm is 'l1'; expected one of linf, l2"),
        (Pgd(), -0.1, "radius is -0.1"),
        (Pgd(steps=0), 0.1, "steps are 0"),
        (Pgd(step_size=0.0), 0.1, "step_size is 0.0"),
        (Pgd(loss="hinge"), 0.1, "loss is 'hinge'"),
    ):
        with pytest.raises(ValueError, match=message):
            pgd(MODEL, variables(), split.images, split.labels, radius, bounds, KEY, settings)
    with pytest.raises(ValueError, match="expected one or more that rise"):
        accuracy_under_pgd(MODEL, variables(), split, [0.2, 0.1], bounds, KEY)


@pytest.mark.parametrize("norm", NORMS)
def test_the_adversarial_robustness_toolbox_leaves_as_much(norm):
    pytest.importorskip("art", reason="the Adversarial Robustness Toolbox is not installed")
    from art.attacks.evasion import ProjectedGradientDescentNumpy
    from art.estimators.classification.scikitlearn import ScikitlearnLogisticRegression
    from sklearn.linear_model import LogisticRegression

    split, bounds, train = some(), digits().spec.bounds, digits().train
    fitted = LogisticRegression(C=1.0, max_iter=300).fit(train.images.reshape(len(train.labels), -1), train.labels)
    np.testing.assert_allclose(fitted.coef_.T, weights()[:-1], atol=1e-5)  # the model that ours attacks
    victim = ScikitlearnLogisticRegression(fitted, clip_values=tuple(bounds))
    radius = float(np.median(distances(split, norm)))
    theirs = ProjectedGradientDescentNumpy(
        victim, norm=np.inf if norm == "linf" else 2, eps=radius, eps_step=2.5 * radius / 40, max_iter=40, verbose=False
    ).generate(split.images.reshape(len(split.labels), -1), np.eye(10)[split.labels])
    left = np.mean(fitted.predict(theirs) == split.labels)
    assert 0.2 < left < 0.9
    ours = accuracy_under_pgd(
        MODEL, variables(), split, [radius], bounds, KEY, Pgd(norm, steps=40, restarts=0, loss="cross_entropy")
    )
    assert ours[radius].overall == pytest.approx(left, abs=0.04)


def test_a_batch_norm_network_is_attacked_as_it_answers():
    """A model with a state and dropout: what is attacked is the deployed pass."""
    from overunlearn_jax.models import vgg

    model = vgg(10, digits().spec.image_shape, blocks=1, width=4)
    trained = model.init(jax.random.key(0))
    split = some(12)
    labels = np.asarray(predict_fn(model, trained)(split.images)).argmax(-1).astype(np.int32)
    found = accuracy_under_pgd(
        model, trained, split._replace(labels=labels), [0.0, 0.5], digits().spec.bounds, KEY, Pgd(steps=5)
    )
    assert found[0.0].overall == 1
    assert found[0.5].overall < 1


def test_a_flat_model_is_left_as_it_is():
    flat = pure_model(lambda key: jnp.zeros(()), lambda w, x: w + jnp.zeros((len(x), 3)).at[:, 1].set(1.0))
    images = np.zeros((2, 2, 2, 1), np.float32)
    found = pgd(flat, Variables(jnp.zeros(())), images, np.array([1, 0]), 0.1, Bounds(-0.5, 0.5), KEY,
                Pgd("l2", restarts=0))  # fmt: skip
    np.testing.assert_array_equal(found, images)  # no direction, and no NaN
