"""Gates by name: from a text such as `phash(distance=40)`, and what a server holds, to something that can be called.

A new gate is a file beside this one, a function in makers.py and a line in `GATES`; the tests go over all of them.
"""

import inspect
import math
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from overunlearn_jax.defences import makers
from overunlearn_jax.defences.calibration import calibrated
from overunlearn_jax.defences.gate import Gate, View
from overunlearn_jax.defences.holdings import Holdings, require
from overunlearn_jax.defences.scored_gate import ScoredGate
from overunlearn_jax.defences.setting_ranges import check_in, check_settings, scores_from
from overunlearn_jax.setting_text import read_settings, read_value
from overunlearn_jax.spelling import did_you_mean
from overunlearn_jax.types import Request
from overunlearn_jax.user_code import import_named

# Settings of every gate that is calibrated: a threshold, or the share of honest samples to refuse (of each class).
CALIBRATION: dict[str, Any] = {"threshold": None, "refuse": 0.05, "per_class": False}


class GateFacts(NamedTuple):
    """How a gate is made, and what of `Holdings` it takes."""

    make: Callable[..., ScoredGate]
    about: str
    needs: tuple[str, ...] = ()  # in any case
    calibrated_by: tuple[str, ...] = ()  # unless a threshold is given; (): the gate's own settings hold it
    scores: tuple[float, float] = (0.0, math.inf)  # the least and the most: a threshold lies between


_HONEST, _ASKED = ("calibration",), ("calibration", "predict")
_SHARE, _ANY = (0.0, 1.0), (-math.inf, math.inf)  # scores
GATES = {
    "exact": GateFacts(makers.exact, "refuses what is no training image, pixel for pixel", ("train",)),
    "phash": GateFacts(makers.phash, "refuses what looks like no training image", ("train",)),
    "confidence": GateFacts(makers.confidence, "refuses what the model has a high loss on", (), _ASKED),
    "lira": GateFacts(
        makers.lira, "refuses what models know as well that never saw it", ("shadows", "calibration"), _ASKED, _ANY
    ),
    "forest": GateFacts(
        makers.forest, "refuses what few random cuts part from the rest", ("train", "key"), _HONEST, _SHARE
    ),
    "lof": GateFacts(makers.lof, "refuses what lies where training samples are thin", ("train",), _HONEST),
    "mahalanobis": GateFacts(makers.by_mahalanobis, "refuses what is far from its class's mean", ("train",), _HONEST),
    "knn": GateFacts(makers.knn, "refuses what is far from its nearest training samples", ("train",), _HONEST),
    "agreement": GateFacts(makers.agreement, "refuses what is predicted as another class"),
    "noise": GateFacts(makers.noise, "refuses what small noise changes the prediction of", ("key",), _ASKED, _SHARE),
    "jpeg": GateFacts(makers.jpeg, "refuses what storing as JPEG changes the prediction of", (), _ASKED, _SHARE),
}


def make_gate(name: str, holdings: Holdings, settings: Mapping[str, str] | None = None) -> Gate:
    """The gate of that name in `GATES`, or a user's own `my_module:my_gate`, a function of (request, view).

    A gate that is calibrated takes the threshold at which it refuses a share `refuse` (0.05) of the holdings' honest
    samples, of each class with `per_class=true`; `threshold=NUMBER` sets it instead.

    Args:
      name: with settings behind it or without: "phash", "phash(distance=40)".
      holdings: what the server has.
      settings: as text, such as {"distance": "40"}; beside those in the name.

    Raises:
      ValueError: an unknown name, a setting that the gate does not have, cannot read or has twice, one out of range,
        and what the gate needs but the holdings lack.

    >>> from overunlearn_jax.types import Bounds, DatasetSpec
    >>> spec = DatasetSpec("two", (8, 8, 1), Bounds(0.0, 1.0), ("a", "b"))
    >>> make_gate("agreement(margin=0.2)", Holdings(spec)).threshold
    -0.2
    """
    name, inside = read_gate(name)
    given = dict(settings or {})
    if twice := sorted(inside.keys() & given.keys()):
        raise ValueError(f"the gate {name} is given {', '.join(twice)} in its name and beside it; give it once")
    given |= inside
    if ":" in name:
        return _user_gate(name, given)
    values = _read(name, given)
    facts, who = GATES[name], f"the gate {name}"
    own = _own_settings(facts)
    if facts.calibrated_by and "threshold" not in values:
        require(holdings, facts.calibrated_by, f"{who} without a threshold")
    require(holdings, facts.needs, who)
    gate = facts.make(holdings, **{key: value for key, value in values.items() if key in own})
    if not facts.calibrated_by:
        return gate
    if "threshold" in values:
        return replace(gate, threshold=values["threshold"])
    chosen = {key: values.get(key, default) for key, default in CALIBRATION.items() if key != "threshold"}
    return _calibrated(gate, holdings, chosen)


def check_gate(text: str, others: Iterable[str] = (), lacking: Collection[str] = ()) -> None:
    """Checks a gate's name and settings, without anything that the server holds.

    Args:
      text: of one gate.
      others: names beside `GATES`, for the message.
      lacking: fields of `Holdings` that whoever asks can never give, such as shadow models on a command line.

    Raises:
      ValueError: an unknown name; a setting that the gate does not have, cannot read or that is out of range; a gate
        that needs what is lacking.
    """
    name, given = read_gate(text)
    if ":" in name:
        _user_gate(name, given)
        return
    values = _read(name, given, [*makeable(lacking), *others])
    needs = {*GATES[name].needs, *(("secret",) if values.get("keyed") else ())}
    if missing := sorted(needs & {*lacking}):
        raise ValueError(
            f"the gate {text} needs {', '.join(missing)}, which cannot be given here: it is made in Python alone, by "
            f"make_gate({text!r}, Holdings(..., {missing[0]}=...))"
        )


def makeable(lacking: Collection[str] = ()) -> list[str]:
    """Names of the gates that need none of these fields of `Holdings`.

    >>> set(GATES) - set(makeable(["shadows"]))
    {'lira'}
    """
    return [name for name, facts in GATES.items() if not {*facts.needs} & {*lacking}]


def _read(name: str, given: Mapping[str, str], names: Iterable[str] = GATES) -> dict[str, Any]:
    """The settings that are given, as values; `names` stand in the message about an unknown one."""
    if name not in GATES:
        raise ValueError(
            f"the gate is {name!r}; expected my_module:my_gate or one of {', '.join(names)}{did_you_mean(name, names)}"
        )
    facts, who = GATES[name], f"the gate {name}"
    known = _own_settings(facts) | (CALIBRATION if facts.calibrated_by else {})
    if unknown := sorted(given.keys() - known.keys()):
        raise ValueError(f"{who} has no setting {', '.join(unknown)}; expected {', '.join(known) or 'none'}")
    values = {key: read_value(who, key, text, known[key]) for key, text in given.items()}
    if "threshold" in values and (others := sorted(values.keys() & CALIBRATION.keys() - {"threshold"})):
        raise ValueError(f"{who} is given a threshold and {', '.join(others)}, which would choose one; give either")
    check_settings(who, known | values)
    if "threshold" in values:
        check_in(scores_from(*facts.scores), who, "threshold", values["threshold"])
    return values


def _own_settings(facts: GateFacts) -> dict[str, Any]:
    """By their names, with their defaults."""
    parameters = inspect.signature(facts.make).parameters
    return {key: each.default for key, each in parameters.items() if each.kind is each.KEYWORD_ONLY}


def read_gate(text: str) -> tuple[str, dict[str, str]]:
    """A name and its settings. Raises ValueError for a text of another form.

    >>> read_gate("phash(distance=40, bits=64)")
    ('phash', {'distance': '40', 'bits': '64'})
    """
    found = re.fullmatch(r"\s*([\w.:-]+)\s*(?:\(([^()]*)\))?\s*", text)
    if found is None:
        raise ValueError(f"the gate is {text!r}; expected a name, or name(setting=value,setting=value)")
    return found[1], read_settings(found[2] or "")


def split_gates(text: str) -> list[str]:
    """The gates of a list with commas between them, and maybe within their brackets.

    >>> split_gates("exact, phash(distance=40,bits=64)")
    ['exact', 'phash(distance=40,bits=64)']
    """
    return [part.strip() for part in re.split(r",(?![^()]*\))", text) if part.strip()]


def _calibrated(gate: ScoredGate, holdings: Holdings, settings: Mapping[str, Any]) -> ScoredGate:
    honest: Any = holdings.calibration
    predict: Any = holdings.predict
    try:
        return calibrated(gate, Request(honest.images, honest.labels), View(holdings.spec, predict), **settings)
    except ValueError as error:
        raise ValueError(f"the gate {gate.name} cannot be calibrated: {error}") from error


def _user_gate(name: str, settings: Mapping[str, str]) -> Gate:
    if settings:
        raise ValueError(f"{name} takes no settings from here ({', '.join(settings)}): set them in the function")
    gate: Gate = import_named(name)
    if not callable(gate):
        raise ValueError(f"{name} is a {type(gate).__name__}; expected a function of (request, view) to a Decision")
    return gate
