"""Models whose state holds a typed random key: trained, kept, named, compared and unlearned like any other."""

import jax
import jax.numpy as jnp
import numpy as np

from overunlearn_jax.auditing.measuring import differ
from overunlearn_jax.evaluation import evaluate_all
from overunlearn_jax.models import Model, predict_fn
from overunlearn_jax.services.fingerprint import weights_digest
from overunlearn_jax.training import TrainSettings, fit
from overunlearn_jax.typed_keys import with_keys, without_keys
from overunlearn_jax.types import Variables
from overunlearn_jax.unlearn import first_order
from overunlearn_jax.user_code import check_form, not_finite
from tests.services.fakes import splits

DATA = splits()
CLASSES = DATA.spec.num_classes


def _init(key):
    kernel = 0.1 * jax.random.normal(key, (int(np.prod(DATA.spec.image_shape)), CLASSES))
    return Variables({"head": {"kernel": kernel}}, {"rng": jax.random.fold_in(key, 7)})


def _apply(variables, images, key):
    """Noise is drawn from a key in the state, which goes on while it trains, as modules of Flax NNX do it."""
    logits = images.reshape(len(images), -1) @ variables.params["head"]["kernel"]
    if key is None:
        return logits, variables.state
    now, later = jax.random.split(variables.state["rng"])
    return logits + 0.01 * jax.random.normal(now, logits.shape), {"rng": later}


MODEL = Model(_init, _apply)


def test_typed_keys_among_arrays():
    tree = {"weights": np.ones(2, np.float64), "rng": jax.random.key(3), "shape": jax.eval_shape(jax.random.key, 0)}
    plain = without_keys(tree)
    assert plain["weights"] is tree["weights"]
    assert plain["rng"]["key of threefry2x32"].tolist() == [0, 3]
    assert plain["shape"]["key of threefry2x32"].shape == (2,)
    back = with_keys({"rng": plain["rng"]}, {"rng": tree["rng"]})
    assert back["rng"] == tree["rng"]


def test_a_model_with_a_key_in_its_state(tmp_path):
    settings = TrainSettings(epochs=3, batch_size=16)
    whole = fit(MODEL, DATA, settings, jax.random.key(0), directory=tmp_path / "whole")
    fit(MODEL, DATA, settings._replace(epochs=1), jax.random.key(0), directory=tmp_path / "twice")
    resumed = fit(MODEL, DATA, settings, jax.random.key(0), directory=tmp_path / "twice")
    assert weights_digest(resumed) == weights_digest(whole)
    assert not differ(resumed, whole)
    other = whole._replace(state={"rng": jax.random.key(99)})
    assert differ(other, whole)
    assert weights_digest(other) != weights_digest(whole)
    check_form("mine", whole, jax.eval_shape(_init, jax.random.key(0)), "")
    assert not not_finite(whole)

    unlearn = first_order(1e-3, bounds=DATA.spec.bounds, scope="all")
    after = unlearn(MODEL, whole, DATA.train.images[:4], DATA.train.labels[:4], jax.random.key(1))
    found = evaluate_all({"before": predict_fn(MODEL, whole), "after": predict_fn(MODEL, after)}, DATA.test, CLASSES)
    assert all(0 <= metrics.overall <= 1 for metrics in found.values())
    assert jnp.array_equal(*(jax.random.key_data(each.state["rng"]) for each in (whole, after)))
