"""Defences by name: from a text such as `phash(distance=40),clip,monitor` to what stands around a service.

Gates on a sample are those of the registry, and a user's own `my_module:my_gate`. Beside them there are

* `budget(per_owner=100)`, a gate with a clock; settings of `BudgetLimits`, at least one of its limits;
* `copies(distance=30)`: refuses what looks like a sample before it in the request;
* `identify`, or `identify(distance=30)` in bits of 256: forgets the original that an image looks like by its hash;
* `clip(quantile=0.95)`, a bound on the step by what honest ones take; settings of `StepBound`;
* `clip_each(quantile=0.95)`, or `clip_each(norm=0.5)`: each sample's gradient, at a quantile of training samples';
* `monitor(confidence=0.99)`; settings of `Monitor`, and `canaries=20`: so many test samples nearest to the boundary.
"""

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np

from overunlearn_jax.data import take
from overunlearn_jax.defences.budgets import Budget, BudgetLimits, check_limits
from overunlearn_jax.defences.canaries import nearest_to_boundary
from overunlearn_jax.defences.copies import copies_gate
from overunlearn_jax.defences.defended import DefendedService
from overunlearn_jax.defences.gate import Gate
from overunlearn_jax.defences.hash_store import HashStore
from overunlearn_jax.defences.holdings import Holdings, key_of, require
from overunlearn_jax.defences.honest_steps import StepBound, check_bound
from overunlearn_jax.defences.identification import Identify, identifier, lookup_by_hash
from overunlearn_jax.defences.monitor import Monitor, check_monitor
from overunlearn_jax.defences.registry import check_gate, make_gate, makeable, read_gate, split_gates
from overunlearn_jax.defences.setting_ranges import check_settings
from overunlearn_jax.services.service import Service
from overunlearn_jax.setting_text import read_value
from overunlearn_jax.types import Split
from overunlearn_jax.unlearn.sample_gradients import sample_gradient_norms

# Settings of each, with their defaults: what is no setting of text is found by `assemble`.
SETTINGS: dict[str, dict[str, Any]] = {
    "budget": BudgetLimits._field_defaults,
    "copies": {"distance": 30.0, "bits": 256},
    "identify": {"distance": None, "bits": 256},
    "clip": StepBound._field_defaults,
    "clip_each": {"norm": None, "quantile": 0.95, "samples": 2000},
    "monitor": {**Monitor._field_defaults, "canaries": 0},
}
ALIKE, FOUND = 30.0, 0.99  # bits between a picture and itself, changed; part of honest copies that find an original
ABOUT = {
    "budget": "samples within a span of time, by user, class and in all",
    "copies": "refuses what looks like a sample before it in the request",
    "identify": "forgets the original that an image looks like",
    "clip": "shortens a step that is longer than honest requests'",
    "clip_each": "no sample moves the model more than most training samples would",
    "monitor": "rolls back what costs more than honest requests do",
}


@runtime_checkable
class ClipsSamples(Protocol):
    """A service whose method can clip each sample's gradient."""

    def clipping_each(self, norm: float) -> Service:
        """The same service, with the gradient of each sample clipped to this L2 norm."""


class Defences(NamedTuple):
    """What stands around a service."""

    gates: tuple[Gate, ...] = ()
    identify: Identify | None = None
    clip_each: float | None = None
    bound: StepBound | None = None
    monitor: Monitor | None = None


def check_defences(text: str, lacking: Collection[str] = ()) -> None:
    """Checks names and settings before there is a model.

    Args:
      text: names with commas between them, settings in brackets.
      lacking: fields of `Holdings` that can never be given: a gate that needs one is neither taken nor offered.

    Raises:
      ValueError: an unknown name, one given twice, a number out of range, a gate that needs what is lacking.

    >>> check_defences("phash(distance=40),clip,monitor(confidence=0.9)")
    """
    names = []
    for part in split_gates(text):
        name, given = read_gate(part)
        names.append(name)
        if name not in SETTINGS:
            check_gate(part, SETTINGS, lacking)
            continue
        values = _read(name, given)
        if name == "budget":
            _limits(values)
        check_settings(f"the gate {name}", values)
        if name == "clip":
            check_bound(StepBound(_ANY, None, **values))  # type: ignore[arg-type]
        if name == "monitor":
            check_monitor(Monitor(_ANY, _ANY, None, **(values | {"canaries": None})))  # type: ignore[arg-type]
        if name == "clip_each":
            _check_clip_each(values)
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"gates are {text!r}: {', '.join(twice)} is there twice; give it once")
    if not names:
        raise ValueError(f"gates are {text!r}; expected some of {', '.join([*makeable(lacking), *SETTINGS])}")


def assemble(text: str, holdings: Holdings, *, test: Split | None = None, scope: str = "head") -> Defences:
    """The defences that a text names, of what the server holds.

    Args:
      text: names with commas between them, settings in brackets.
      holdings: what the server has; `clip`, `clip_each`, `identify` and `monitor` need its training data.
      test: images that the model was not trained on; `monitor` needs them.
      scope: the parameters that unlearning moves, for `clip_each`.

    Raises:
      ValueError: what `check_defences` refuses, and what a defence needs but the server lacks.
    """
    check_defences(text)
    made = Defences()
    for part in split_gates(text):
        name, given = read_gate(part)
        if name not in SETTINGS:
            made = made._replace(gates=(*made.gates, make_gate(part, holdings)))
            continue
        values, who = _read(name, given), f"the gate {name}"
        if name == "budget":
            made = made._replace(gates=(*made.gates, Budget(_limits(values))))
            continue
        if name == "copies":
            made = made._replace(gates=(*made.gates, copies_gate(values["distance"], bits=values["bits"])))
            continue
        require(holdings, ["train"], who)
        train: Any = holdings.train
        if name == "identify":
            store = HashStore(train.images, holdings.spec.bounds, bits=values["bits"])
            most = values["distance"] if values["distance"] is not None else _farthest_copy(store, holdings)
            made = made._replace(identify=identifier(train, lookup_by_hash(store), most, name=name))
        elif name == "clip":
            made = made._replace(bound=StepBound(train, key_of(holdings, who), **values))
        elif name == "clip_each":
            made = made._replace(clip_each=_norm(holdings, values, scope))
        else:
            made = made._replace(monitor=_monitor(holdings, test, values))
    return made


def defend(service: Service, defences: Defences, *, owner: str = "") -> DefendedService:
    """The service behind these. Raises ValueError for a bound that it cannot have."""
    if defences.clip_each is not None:
        if not isinstance(service, ClipsSamples):
            raise ValueError(
                "the gate clip_each is of methods that sum the samples' gradients (first_order), and this service's "
                "is none: leave it out, or give clip"
            )
        service = service.clipping_each(defences.clip_each)
    return DefendedService(
        service, defences.gates, defences.identify, defences.monitor, bound=defences.bound, owner=owner
    )


_ANY = Split(np.zeros((1, 1, 1, 1), np.float32), np.zeros(1, np.int32), np.zeros(1, np.int64))


def _read(name: str, given: Mapping[str, str]) -> dict[str, Any]:
    """All settings of a name. Raises ValueError for one that it does not have or cannot read."""
    known = SETTINGS[name]
    if unknown := sorted(given.keys() - known.keys()):
        raise ValueError(f"the gate {name} has no setting {', '.join(unknown)}; expected {', '.join(known)}")
    return known | {key: read_value(f"the gate {name}", key, text, known[key]) for key, text in given.items()}


def _farthest_copy(store: HashStore, holdings: Holdings) -> float:
    """The distance within which nearly all honest copies find an original, and not less than on pictures of 32x32.

    Hashes of smaller images have fewer bits that a change of the whole image leaves alone.
    """
    if holdings.calibration is None:
        return ALIKE
    distances = store.nearest(store.hash(holdings.calibration.images)).distances
    return max(ALIKE, float(np.quantile(distances, FOUND, method="higher")))


def _limits(values: Mapping[str, Any]) -> BudgetLimits:
    limits = BudgetLimits(**values)
    check_limits(limits)
    if limits[:3] == BudgetLimits()[:3]:
        raise ValueError(
            "the gate budget has no limit: give per_owner, per_class or in_all, samples within window=86400"
        )
    return limits


def _check_clip_each(values: Mapping[str, Any]) -> None:
    if values["norm"] is not None and not values["norm"] >= 0:
        raise ValueError(f"the gate clip_each has norm={values['norm']}; expected an L2 norm of 0 or more")
    if not 0 <= values["quantile"] <= 1 or values["samples"] < 1:
        raise ValueError(
            f"the gate clip_each has quantile={values['quantile']}, samples={values['samples']}; expected a fraction "
            "from 0 to 1, and 1 training sample or more"
        )


def _norm(holdings: Holdings, values: Mapping[str, Any], scope: str) -> float:
    if values["norm"] is not None:
        return float(values["norm"])
    require(holdings, ["model", "variables"], "the gate clip_each without a norm")
    known: Any = holdings
    draws = np.random.default_rng(0).permutation(len(known.train.labels))[: values["samples"]]
    own = take(known.train, draws)
    norms = sample_gradient_norms(known.model, known.variables, own.images, own.labels, scope=scope)
    return float(np.quantile(norms, values["quantile"]))


def _monitor(holdings: Holdings, test: Split | None, values: Mapping[str, Any]) -> Monitor:
    if test is None:
        raise ValueError("the gate monitor needs test images, which the model was not trained on: give test=")
    canaries = None
    if count := values["canaries"]:
        require(holdings, ["predict"], "the gate monitor(canaries=...)")
        known: Any = holdings.predict
        canaries = nearest_to_boundary(known, test, count)
    train: Any = holdings.train
    return Monitor(train, test, key_of(holdings, "the gate monitor"), **(dict(values) | {"canaries": canaries}))
