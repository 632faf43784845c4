"""The gates that are compared, each with the thresholds that refuse a share of honest people's samples."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from experiments.defences.remembered import remembered
from overunlearn_jax.defences.calibration import threshold
from overunlearn_jax.defences.gate import Decision, Gate, View
from overunlearn_jax.defences.holdings import Holdings
from overunlearn_jax.defences.registry import make_gate
from overunlearn_jax.types import Request

REFUSED = (0.01, 0.05, 0.2)  # shares of honest samples that a calibrated gate may refuse
SHOWN = 0.05  # of them: what tables show, and what a service would take
GATES = {  # name to how it is made; "inf": its threshold follows from honest samples
    "exact": "exact",
    "phash": "phash(distance=inf)",
    "agreement": "agreement",
    "confidence": "confidence(threshold=inf)",
    "noise": "noise(threshold=inf)",
    "jpeg": "jpeg(threshold=inf)",
    "forest": "forest(threshold=inf,features=last_layer)",
    "lof": "lof(threshold=inf,features=last_layer)",
    "mahalanobis": "mahalanobis(threshold=inf,features=last_layer)",
    "knn": "knn(threshold=inf,features=last_layer)",
    "knn by label": "knn(threshold=inf,features=last_layer,by_label=true)",
}


class GateAt(NamedTuple):
    """A gate at one threshold."""

    name: str
    refuse: float | None  # share of honest calibration samples that its threshold refuses; None: it has none to choose
    gate: Gate

    @property
    def shown(self) -> bool:
        """Whether tables show this threshold."""
        return self.refuse in (None, SHOWN)


def scored(name: str, holdings: Holdings) -> Gate:
    """The gate without a threshold of its own."""
    return make_gate(GATES[name], holdings)


def at_thresholds(name: str, gate: Gate, calibration: Request, view: View) -> list[GateAt]:
    """The gate of `scored` at each threshold of REFUSED, or as it is, asked once about each request."""
    gate = remembered(gate)
    if "inf" not in GATES[name]:
        return [GateAt(name, None, gate)]
    scores = gate(calibration, view).scores
    return [GateAt(name, refuse, _at(gate, threshold(scores, refuse))) for refuse in REFUSED]


def _at(gate: Gate, most: float) -> Gate:
    def decided(request: Request, view: View) -> Decision:
        found = gate(request, view)
        return found._replace(accepted=np.asarray(found.scores) <= most, threshold=most)

    decided.__name__ = getattr(gate, "__name__", "gate")
    return decided


def accepts(gate: Gate, labels: np.ndarray, view: View) -> Callable[[np.ndarray], np.ndarray]:
    """The gate as an attacker asks it about images under these labels."""
    return lambda images: np.asarray(gate(Request(images, labels), view).accepted)
