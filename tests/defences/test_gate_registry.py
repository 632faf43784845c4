"""Gates by name: all of them, what each needs, their settings, and what cannot be made."""

import doctest
import importlib
from functools import lru_cache

import numpy as np
import pytest

import overunlearn_jax.defences
from overunlearn_jax.defences import GATES, Decision, Holdings, decide, make_gate, re_encoded, split_gates
from overunlearn_jax.defences.makers import FEATURES
from overunlearn_jax.models import vgg
from overunlearn_jax.types import Split
from tests.defences.small import KEY, digits, on_the_boundary, predict, probabilities, request, view

WITH_EXAMPLES = [
    "agreement",
    "calibration",
    "exact_digest",
    "hash_store",
    "re_encoding",
    "perceptual_hash",
    "registry",
    "scored_gate",
    "setting_ranges",
]


@lru_cache
def _holdings(count=300):
    train = Split(*(part[:count] for part in digits().train))
    calibration = train._replace(images=re_encoded(train.images, digits().spec.bounds, "jpeg95"))
    shadows = [lambda images, scale=scale: probabilities(np.asarray(images) * scale) for scale in (0.5, 0.7, 0.9)]
    return Holdings(digits().spec, train, calibration, predict(), shadows=shadows, secret=b"of the server", key=KEY)


@pytest.mark.parametrize("name", GATES)
def test_every_gate_is_made_and_calibrated(name):
    gate = make_gate(name, _holdings())
    [decision] = decide([gate], request(40), view())
    assert decision.gate == name
    assert decision.accepted.mean() > 0.7
    if GATES[name].calibrated_by:
        honest = _holdings().calibration
        [decision] = decide([gate], honest, view())
        assert (~decision.accepted).mean() <= 0.05
        looser = make_gate(name, _holdings(), {"refuse": "0.5"})
        assert looser.threshold <= gate.threshold
        assert decide([make_gate(f"{name}(threshold=inf)", _holdings())], request(9), view())[0].accepted.all()
        assert not decide([make_gate(f"{name}(threshold=-inf)", _holdings())], request(9), view())[0].accepted.any()
    else:
        assert set(GATES[name].needs) <= {"train"}


@pytest.mark.parametrize("name", GATES)
def test_a_gate_names_what_the_holdings_lack(name):
    facts = GATES[name]
    for field in {*facts.needs, *facts.calibrated_by}:
        with pytest.raises(ValueError, match=f"the gate {name}.* needs {field}: give Holdings.*{field}="):
            make_gate(name, _holdings()._replace(**{field: None}))
    with_threshold = dict.fromkeys(set(facts.calibrated_by) - set(facts.needs))
    if facts.calibrated_by:
        make_gate(f"{name}(threshold=1)", _holdings()._replace(**with_threshold))


def test_gates_that_ask_the_model_refuse_the_boundary():
    for name in ("confidence", "agreement(margin=0.2)"):
        [decision] = decide([make_gate(name, _holdings())], on_the_boundary(request(40)), view())
        assert decision.accepted.mean() < 0.3


def test_each_class_can_have_a_threshold_of_its_own():
    gate = make_gate("confidence(per_class=true,refuse=0.1)", _holdings())
    assert np.shape(gate.threshold) == (10,)
    assert len(set(gate.threshold)) == 10
    few = _holdings()._replace(calibration=Split(*(part[:30] for part in _holdings().calibration)))
    with pytest.raises(ValueError, match=r"the gate confidence cannot be calibrated: .* of class"):
        make_gate("confidence(per_class=true)", few)
    labels = np.ones(300, np.int32)
    with pytest.raises(ValueError, match="calibration scores of class 0 have shape"):
        make_gate("confidence(per_class=true)", _holdings()._replace(calibration=few.train._replace(labels=labels)))


@pytest.mark.parametrize("keyed", ["exact", "phash"])
def test_keyed_gates_need_a_secret(keyed):
    gate = make_gate(f"{keyed}(keyed=true)", _holdings())
    assert decide([gate], request(5), view())[0].accepted.all()
    with pytest.raises(ValueError, match=rf"the gate {keyed}\(keyed=true\) needs secret"):
        make_gate(keyed, _holdings()._replace(secret=None), {"keyed": "true"})


def test_features_by_name():
    model = vgg(10, (16, 16, 1), blocks=1, width=2)
    known = _holdings(120)._replace(model=model, variables=model.init(KEY))
    sizes = {"pixels": 256, "last_layer": 512, "log_probabilities": 10}
    assert FEATURES.keys() == sizes.keys()
    for features in FEATURES:
        gate = make_gate("knn", known, {"features": features, "neighbours": "1"})
        scores = decide([gate], request(3), view())[0].scores
        np.testing.assert_allclose(scores, 0, atol=1e-4)
    with pytest.raises(ValueError, match=r"knn\(features=last_layer\) needs model, variables"):
        make_gate("knn(features=last_layer)", _holdings())
    with pytest.raises(ValueError, match="has features='edges'; expected one of pixels"):
        make_gate("knn(features=edges)", _holdings())


def test_lira_online_needs_to_know_who_saw_what():
    subsets = np.random.default_rng(0).permuted(np.repeat([[True], [True], [False], [False]], 300, axis=1), axis=0)
    shadows = [*_holdings().shadows, lambda images: probabilities(np.asarray(images) * 0.8)]
    gate = make_gate("lira", _holdings()._replace(shadows=shadows, shadow_subsets=subsets))
    assert decide([gate], request(20), view())[0].accepted.mean() > 0.6
    without = _holdings()._replace(shadows=shadows, shadow_subsets=subsets, train=None)
    with pytest.raises(ValueError, match="lira with shadow_subsets needs train"):
        make_gate("lira", without)


@pytest.mark.parametrize(
    ("name", "settings", "told"),
    [
        ("phsah", {}, "expected my_module:my_gate or one of exact, phash.*did you mean phash"),
        ("phash", {"most": "3"}, "the gate phash has no setting most; expected distance, bits, keyed"),
        ("phash", {"threshold": "3"}, "no setting threshold"),
        ("jpeg", {"quality": "3"}, "expected threshold, refuse, per_class"),
        ("phash(distance=4)", {"distance": "3"}, "is given distance in its name and beside it"),
        ("phash(distance=far)", {}, "the gate phash cannot read distance=far: expected float"),
        ("phash(bits=100)", {}, "bits is 100"),
        ("phash(distance=nan)", {}, "distance=nan; expected bits that differ, from 0 to 256, or infinity"),
        ("phash(", {}, r"expected a name, or name\(setting=value"),
        ("phash(distance)", {}, "expected name=value"),
        ("confidence(threshold=1,refuse=0.1)", {}, "is given a threshold and refuse"),
        ("confidence(refuse=2)", {}, "refuse=2.0; expected a share of honest samples, from 0 to 1"),
        ("knn(neighbours=0)", {}, "neighbours=0; expected a number of training samples, from 1 up"),
        ("knn(neighbours=301)", {}, r"neighbours is 301; expected 1 \.\.\. 300"),
        ("math:missing", {}, "math:missing cannot be imported"),
        ("math:pi", {}, "math:pi is a float; expected a function"),
        ("math:sqrt(a=1)", {}, "takes no settings from here"),
    ],
)
def test_what_cannot_be_made(name, settings, told):
    with pytest.raises(ValueError, match=told):
        make_gate(name, _holdings(), settings)


def test_an_empty_calibration_set():
    empty = Split(*(part[:0] for part in digits().train))
    with pytest.raises(ValueError, match=r"the gate confidence cannot be calibrated: .*at least one image"):
        make_gate("confidence", _holdings()._replace(calibration=empty))


def everything(asked, seen):
    del seen  # Unused: a user's own gate.
    return Decision("everything", np.ones(len(asked.labels), bool), np.zeros(len(asked.labels)), 0.0, "")


def test_a_user_s_own_gate():
    gate = make_gate(f"{__name__}:everything", _holdings())
    assert decide([gate], request(3), view())[0].accepted.all()


def test_lists_of_gates():
    assert split_gates("phash(distance=40,bits=64),forest, ,clip") == ["phash(distance=40,bits=64)", "forest", "clip"]
    assert split_gates("") == []


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_examples_print_what_they_say(name):
    result = doctest.testmod(importlib.import_module(f"overunlearn_jax.defences.{name}"))
    assert result.attempted > 0
    assert result.failed == 0


def test_the_face_has_every_name():
    for name in overunlearn_jax.defences.__all__:
        assert getattr(overunlearn_jax.defences, name).__doc__ or name in {"GATES", "RE_ENCODINGS", "Gate"}, name
