"""What is asked of a defended service: honestly, by attackers who know nothing of the defence, and by those who do."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from overunlearn_jax.attack_names import HONEST, attack_name
from overunlearn_jax.attacks import retreat
from overunlearn_jax.types import Request

STATIC = ("pushing_1", "pushing_2", "blending")  # they know nothing
PUSHES = ("pushing_1", "pushing_2")
CHOSEN = "lowest_margin"  # honest samples, chosen for being near the boundary: nothing is forged
ONE_SAMPLE = ("repeated_own", "repeated_1")  # a whole request of one sample
SINGLE = "single_own"  # for a monitor that compares with honest requests of as many samples
KNOW_NOTHING = (*STATIC, *ONE_SAMPLE)  # of a defence
MIXED = (0.125, 0.25, 0.5)  # parts of a request that are pushed, the rest honest
PARTS = 10  # requests that one is split into
PARTED = " in "  # in the name of such an attack
RETREAT_STEPS = 7
NAMES = {
    CHOSEN: "own samples nearest to the boundary",
    ONE_SAMPLE[0]: "one own sample, again and again",
    ONE_SAMPLE[1]: "one pushed sample, again and again",
    SINGLE: "one own sample, once",
    "retreat_1": "Pushing-I, back until accepted",
    "retreat_2": "Pushing-II, back until accepted",
    **{f"mixed_{share:g}": f"{share:.3g} of it pushed, the rest honest" for share in MIXED},
}


def shown_name(attack: str) -> str:
    """An attacker's name in words, sent at once or in parts.

    >>> shown_name("pushing_1 in 10 requests")
    'Pushing-I in 10 requests'
    """
    name, _, parts = attack.partition(PARTED)
    return (NAMES.get(name) or attack_name(name, at_start=True)) + (f"{PARTED}{parts}" if parts else "")


class Attack(NamedTuple):
    """One attacker's request, which may be sent in parts."""

    name: str
    requests: list[Request]
    adaptive: bool


def static_attacks(requests: Mapping[str, Request]) -> list[Attack]:
    """Those that take no notice of a defence; the honest request first."""
    return [Attack(name, [requests[name]], adaptive=False) for name in (HONEST, *STATIC)]


def retreating(accepts: Callable[[np.ndarray], np.ndarray], requests: Mapping[str, Request]) -> list[Attack]:
    """Both pushes, each sample as near to the pushed image as the gate accepts."""
    found = []
    for number, name in enumerate(PUSHES, start=1):
        pushed, labels = requests[name]
        back = retreat(accepts, np.asarray(requests[HONEST].images), np.asarray(pushed), steps=RETREAT_STEPS)
        found.append(Attack(f"retreat_{number}", [Request(back.images, labels)], adaptive=True))
    return found


def against_a_monitor(requests: Mapping[str, Request]) -> list[Attack]:
    """A part of the request is pushed, as much as may pass unseen; or samples near the boundary are chosen."""
    honest, pushed = requests[HONEST], requests["pushing_1"]
    found = [Attack(CHOSEN, [requests[CHOSEN]], adaptive=True)]
    for share in MIXED:
        count = int(share * len(honest.labels))
        images = np.concatenate([np.asarray(pushed.images)[:count], np.asarray(honest.images)[count:]])
        found.append(Attack(f"mixed_{share:g}", [Request(images, honest.labels)], adaptive=True))
    return found


def repeated(requests: Mapping[str, Request], answers: Callable[[np.ndarray], np.ndarray]) -> list[Attack]:
    """One sample as often as a request has samples, of the attacker's own and of the pushed ones; and the own one once.

    It is the one that the service gives its label the lowest probability. `answers` are the service's, shape=(n, k).
    """
    found = []
    for name, of in zip(ONE_SAMPLE, (CHOSEN, "pushing_1"), strict=True):
        images, labels = map(np.asarray, requests[of])
        row = int(answers(images)[np.arange(len(labels)), labels].argmin())
        rows = np.full(len(labels), row)
        found.append(Attack(name, [Request(images[rows], labels[rows])], adaptive=False))
    [own] = found[0].requests
    once = Request(np.asarray(own.images)[:1], np.asarray(own.labels)[:1])
    return [*found, Attack(SINGLE, [once], adaptive=True)]


def in_parts(attack: Attack, parts: int = PARTS) -> Attack:
    """The same samples over several requests, one after the other."""
    [whole] = attack.requests
    rows = np.array_split(np.arange(len(whole.labels)), parts)
    requests = [Request(np.asarray(whole.images)[own], np.asarray(whole.labels)[own]) for own in rows if len(own)]
    return Attack(f"{attack.name}{PARTED}{len(requests)} requests", requests, adaptive=True)
