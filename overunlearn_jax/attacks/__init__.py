"""Crafting malicious requests through a black box; knows neither models nor unlearning."""

from overunlearn_jax.attacks._zoo import Zoo, start, zoo
from overunlearn_jax.attacks.bisection import bisect
from overunlearn_jax.attacks.blending import blend
from overunlearn_jax.attacks.label_only import LabelOnlySettings, push_by_labels
from overunlearn_jax.attacks.noise import noise_of_length
from overunlearn_jax.attacks.pushing import PushResult, default_slots, push
from overunlearn_jax.attacks.retreating import Retreated, retreat
from overunlearn_jax.attacks.search import run_from_python, run_fused
from overunlearn_jax.attacks.subspace import push_in_subspace
from overunlearn_jax.attacks.subspace_settings import SubspaceSettings, check_subspace_settings
from overunlearn_jax.attacks.zoo_state import Status, ZooSettings, ZooState, check_blocks

__all__ = [
    "LabelOnlySettings",
    "PushResult",
    "Retreated",
    "Status",
    "SubspaceSettings",
    "Zoo",
    "ZooSettings",
    "ZooState",
    "bisect",
    "blend",
    "check_blocks",
    "check_subspace_settings",
    "default_slots",
    "noise_of_length",
    "push",
    "push_by_labels",
    "push_in_subspace",
    "retreat",
    "run_from_python",
    "run_fused",
    "start",
    "zoo",
]
