import jax
import numpy as np
import pytest

from experiments.benchmarks.request_gradients import measure
from overunlearn_jax.models import pure_model
from overunlearn_jax.services.local import LocalService
from overunlearn_jax.types import Bounds, DatasetSpec
from tests.experiments.running import refuse


def test_softmax_regression_has_the_gradients_of_its_closed_form():
    model = pure_model(
        lambda key: {"kernel": jax.random.normal(key, (4, 3))}, lambda p, x: x.reshape(-1, 4) @ p["kernel"]
    )
    spec = DatasetSpec("closed form", (2, 2, 1), Bounds(-9, 9), tuple("abc"))
    victim = LocalService(spec, model, model.init(jax.random.key(0)), refuse)
    images = np.random.default_rng(0).normal(size=(5, 2, 2, 1)).astype(np.float32)
    labels = np.full(5, 1)
    p = np.asarray(victim.predict(images))
    single = images.reshape(5, 4, 1) * (p - np.eye(3)[labels])[:, None]
    flat = single.reshape(5, -1) / np.linalg.norm(single, axis=(1, 2))[:, None]
    found = measure(victim, "all", images, labels)
    assert found.norm_of_sum == pytest.approx(np.linalg.norm(single.sum(0)), rel=1e-4)
    assert found.norm_of_one == pytest.approx(np.linalg.norm(single, axis=(1, 2)).mean(), rel=1e-4)
    assert found.cosine == pytest.approx((flat @ flat.T)[np.triu_indices(5, 1)].mean(), abs=1e-4)
    assert found.probability_of_label == pytest.approx(p[:, 1].mean(), rel=1e-4)
