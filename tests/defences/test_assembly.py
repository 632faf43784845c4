"""From a text to defences: what each name makes, what it needs, and what is refused before there is a model."""

import math

import jax
import numpy as np
import pytest

from overunlearn_jax.defences.assembly import ALIKE, SETTINGS, assemble, check_defences, defend
from overunlearn_jax.defences.budgets import BudgetLimits
from overunlearn_jax.defences.gate import View, decide
from overunlearn_jax.defences.hash_store import HashStore
from overunlearn_jax.defences.holdings import Holdings
from overunlearn_jax.defences.registry import GATES, _own_settings
from overunlearn_jax.services.service import ONLY
from overunlearn_jax.services.sweep import SweepService
from overunlearn_jax.types import Request
from overunlearn_jax.unlearn import sample_gradient_norms, step_length, sweep_tau
from tests.defences import patterns
from tests.unlearn.small_model import assert_same_tree

DATA, KEY = patterns.DATA, jax.random.key(3)


def holdings():
    service = patterns.service()
    return Holdings(patterns.SPEC, DATA.train, DATA.train, service.predict, patterns.MODEL, patterns.trained(), key=KEY)


def nobody(request, view):
    raise AssertionError("it is not asked here")


def test_a_text_becomes_defences_in_their_order():
    made = assemble(
        "agreement(margin=0.2), phash(distance=4,bits=64),copies(distance=9,bits=64),"
        "budget(per_class=3,window=60),clip(quantile=0.5,requests=9),"
        "monitor(requests=4,confidence=0.9,in_parts=true,smallest=2,canaries=7),identify(bits=64,distance=0),"
        f"clip_each(norm=0.5),{__name__}:nobody",
        holdings(),
        test=DATA.validation,
    )
    assert [getattr(gate, "__name__", type(gate).__name__) for gate in made.gates] == [
        "agreement",
        "phash",
        "copies",
        "Budget",
        "nobody",
    ]
    assert made.gates[3]._limits == BudgetLimits(per_class=3.0, window=60.0)
    assert (made.bound.quantile, made.bound.requests, made.bound.held) == (0.5, 9, DATA.train)
    assert (made.monitor.requests, made.monitor.confidence, made.monitor.in_parts) == (4, 0.9, True)
    assert len(made.monitor.canaries.labels) == 7
    assert made.monitor.test is DATA.validation
    assert made.clip_each == 0.5
    keys = {jax.random.key_data(each.key).tobytes() for each in (made.bound, made.monitor)}
    assert len(keys) == 2
    asked = Request(DATA.train.images[:2], DATA.train.labels[:2])
    found = made.identify(asked, View(patterns.SPEC, patterns.service().predict))
    assert found.decision.accepted.all()
    assert decide(made.gates[:1], asked, View(patterns.SPEC, patterns.service().predict))[0].gate == "agreement"


def test_what_is_the_same_image_is_learned_from_honest_copies():
    """Of small images hashes differ by more bits: a copy that is half as bright is still found, without a setting."""
    copies = DATA.train._replace(images=(0.5 * DATA.train.images + 0.1).astype(np.float32))
    made = assemble("identify", holdings()._replace(calibration=copies))
    view = View(patterns.SPEC, patterns.service().predict)
    found = made.identify(Request(copies.images[:60], copies.labels[:60]), view)
    assert found.decision.threshold >= ALIKE
    store = HashStore(DATA.train.images, patterns.SPEC.bounds, bits=256)
    nearest = np.sort(store.nearest(store.hash(copies.images)).distances)
    assert found.decision.threshold == max(ALIKE, nearest[math.ceil(0.99 * (len(nearest) - 1))])
    bare = assemble("identify", holdings()._replace(calibration=None))
    assert bare.identify(Request(copies.images[:1], copies.labels[:1]), view).decision.threshold == ALIKE


def test_clipped_samples_at_a_quantile_of_the_training_samples():
    made = assemble("clip_each(quantile=0.5,samples=1000)", holdings(), scope="all")
    norms = sample_gradient_norms(patterns.MODEL, patterns.trained(), DATA.train.images, DATA.train.labels, scope="all")
    assert made.clip_each == pytest.approx(np.median(norms), rel=1e-5)


def _sweep(**settings):
    def sweep(taus, model, variables, images, labels, key, **more):
        bounds = patterns.SPEC.bounds
        return sweep_tau(taus, model, variables, images, labels, key, bounds=bounds, scope="all", **more, **settings)

    return SweepService(
        patterns.SPEC, patterns.MODEL, patterns.trained(), {"corrected": sweep}, (0.1,), train=DATA.train
    )


def test_clipped_samples_of_a_sweep_are_those_of_the_method():
    request = patterns.pushed(patterns.honest(0, 20))
    safe = defend(_sweep(), assemble("clip_each(norm=0.2)", holdings()))
    with safe.after([request], KEY) as left, _sweep(clip_each=0.2).after([request], KEY) as expected:
        assert_same_tree(left.variables, expected.variables)
        assert step_length(patterns.trained(), left.variables) <= 0.1 * 20 * 0.2
    unclipped = defend(_sweep(), assemble("clip_each(norm=inf)", holdings()))
    with unclipped.after([request], KEY) as left, _sweep().after([request], KEY) as expected:
        assert_same_tree(left.variables, expected.variables)


def test_all_together_stop_a_push_and_serve_honest_people():
    text = "agreement,clip,monitor,budget(in_all=50)"
    service = defend(patterns.service(0.2), assemble(text, holdings(), test=DATA.validation), owner="ann")
    honest = patterns.honest(0, 20)
    with service.after([honest], KEY) as left:
        assert left.deletion.refused.samples == 0
        assert left.deletion.step_kept == 1
    with service.after([patterns.pushed(honest)], KEY) as left:
        assert left.deletion.refused.by.get("agreement", 0) < 20  # they are pushed to just inside
        assert left.deletion.step_kept < 0.5
    assert {decision.gate for decision in service.decisions} == {"agreement", "budget", "monitor"}
    assert [record.variant for record in service.records if record.decision.gate == "monitor"] == [ONLY, ONLY]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected some of exact, phash"),
        ("phahs", "the gate is 'phahs'; expected my_module:my_gate or one of exact, .*monitor"),
        ("monitr", "did you mean monitor"),
        ("clip,clip(quantile=0.5)", "clip is there twice"),
        ("clip(share=1)", "the gate clip has no setting share; expected requests, quantile"),
        ("clip(quantile=2)", "quantile is 2.0"),
        ("clip(requests=3)", "give at least 19"),
        ("clip(requests=many)", "the gate clip cannot read requests=many: expected int"),
        ("monitor(held=3)", "the gate monitor has no setting held"),
        ("monitor(requests=1)", "expected two honest ones or more"),
        ("monitor(confidence=2)", "confidence is 2.0"),
        ("budget", "the gate budget has no limit"),
        ("budget(in_all=-1)", "in_all is -1.0"),
        ("clip_each(norm=-1)", "norm=-1.0; expected an L2 norm"),
        ("clip_each(quantile=1.5)", "quantile=1.5"),
        ("phash(distance=near)", "cannot read distance=near"),
        ("no_such_module:gate", "no_such_module"),
        ("phash(", "expected a name, or name"),
    ],
)
def test_what_is_refused_before_there_is_a_model(text, message):
    with pytest.raises(ValueError, match=message):
        check_defences(text)


def _settings():
    """Every number that a text can set, by gate and name, with its default."""
    for gate, facts in GATES.items():
        own = _own_settings(facts) | ({"threshold": 0.0, "refuse": 0.05} if facts.calibrated_by else {})
        yield from ((gate, key, default) for key, default in own.items())
    for gate, known in SETTINGS.items():
        yield from ((gate, key, 0.0 if default is None else default) for key, default in known.items())


NUMBERS = [each for each in _settings() if type(each[2]) in (int, float)]
OF_ANY_SIZE = {("lira", "threshold")}  # a likelihood ratio


@pytest.mark.parametrize(("gate", "key", "default"), NUMBERS, ids=lambda each: str(each))
def test_no_gate_takes_a_number_out_of_range(gate, key, default):
    wrong = ["-7"] * ((gate, key) not in OF_ANY_SIZE) + ["nan"] * (type(default) is float)
    for value in wrong:
        with pytest.raises(ValueError, match=rf"{value}|bits is -7"):
            check_defences(f"{gate}({key}={value})")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("agreement(margin=7)", "margin=7.0; expected a difference of two probabilities, from -1 to 1, or infinity"),
        ("agreement(margin=-7)", "margin=-7.0"),
        ("phash(distance=1000)", "distance=1000.0; expected bits that differ, from 0 to 256, or infinity"),
        ("phash(distance=65,bits=64)", "from 0 to 64"),
        ("copies(distance=65,bits=64)", "from 0 to 64"),
        ("identify(distance=257)", "from 0 to 256"),
        ("identify(bits=100)", "bits is 100"),
        ("noise(threshold=2)", "threshold=2.0; expected a threshold of the gate's score, from 0 to 1, or infinity"),
        ("noise(deviation=20)", "deviation=20.0; expected a part of the width"),
        ("confidence(refuse=5)", "refuse=5.0; expected a share of honest samples, from 0 to 1"),
    ],
)
def test_a_slip_of_the_pen_is_no_gate(text, message):
    with pytest.raises(ValueError, match=message):
        check_defences(text)


@pytest.mark.parametrize(
    "text",
    [
        "agreement(margin=-1)",
        "agreement(margin=1)",
        "agreement(margin=inf)",
        "phash(distance=0)",
        "phash(distance=256)",
        "phash(distance=inf)",
        "copies(distance=0)",
        "identify(distance=64,bits=64)",
        "confidence(threshold=0)",
        "confidence(threshold=inf)",
        "confidence(threshold=-inf)",
        "forest(refuse=0)",
        "forest(refuse=1)",
        "noise(deviation=0)",
        "lira(threshold=-7)",
        "budget(in_all=0)",
    ],
)
def test_limit_cases_are_gates(text):
    check_defences(text)


@pytest.mark.parametrize(
    ("text", "changes", "message"),
    [
        ("clip", {"train": None}, "the gate clip needs train"),
        ("monitor", {"key": None}, "the gate monitor needs key"),
        ("clip_each", {"model": None}, "the gate clip_each without a norm needs model"),
        ("lira", {}, "the gate lira needs shadows"),
    ],
)
def test_what_the_server_lacks_is_named(text, changes, message):
    with pytest.raises(ValueError, match=message):
        assemble(text, holdings()._replace(**changes), test=DATA.validation)


def test_a_monitor_without_test_images_and_a_method_without_samples():
    with pytest.raises(ValueError, match="needs test images"):
        assemble("monitor", holdings())
    with pytest.raises(ValueError, match="this service's is none"):
        defend(patterns.service(), assemble("clip_each(norm=1)", holdings()))


def test_every_setting_of_text_is_one_of_what_it_makes():
    assert SETTINGS["clip"].keys() == {"requests", "quantile"}
    of_monitor = {"requests", "confidence", "in_parts", "smallest", "canaries", "most_lost"}
    assert SETTINGS["monitor"].keys() == of_monitor
    assert SETTINGS["budget"].keys() == {"per_owner", "per_class", "in_all", "window"}
