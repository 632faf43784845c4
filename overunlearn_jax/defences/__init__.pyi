from .agreement import agreement_gate
from .anomaly import (
    anomaly_gate,
    isolation_forest,
    local_outlier_factor,
    mahalanobis,
    nearest_neighbours,
)
from .bounds import bounded, shortened, step_bound
from .calibration import calibrated, class_thresholds, threshold
from .consistency import jpeg_gate, noise_gate
from .copies import copies_gate
from .exact_digest import exact_digest_gate, exact_digests
from .features import last_layer_features, log_probability_features, pixel_features
from .gate import Decision, Gate, GateError, View, accepted_by_all, decide
from .hash_store import HashStore, perceptual_hash_gate
from .holdings import Holdings
from .identification import Identified, identifier, lookup_by_digest, lookup_by_hash
from .membership import confidence_gate, inside_by_nearest, lira_gate
from .perceptual_hash import keyed_hashes, perceptual_hashes
from .re_encoding import RE_ENCODINGS, re_encoded
from .registry import GATES, make_gate, read_gate, split_gates
from .scored_gate import ScoredGate

__all__ = [
    "GATES",
    "RE_ENCODINGS",
    "Decision",
    "Gate",
    "GateError",
    "HashStore",
    "Holdings",
    "Identified",
    "ScoredGate",
    "View",
    "accepted_by_all",
    "agreement_gate",
    "anomaly_gate",
    "bounded",
    "calibrated",
    "class_thresholds",
    "confidence_gate",
    "copies_gate",
    "decide",
    "exact_digest_gate",
    "exact_digests",
    "identifier",
    "inside_by_nearest",
    "isolation_forest",
    "jpeg_gate",
    "keyed_hashes",
    "last_layer_features",
    "lira_gate",
    "local_outlier_factor",
    "log_probability_features",
    "lookup_by_digest",
    "lookup_by_hash",
    "mahalanobis",
    "make_gate",
    "nearest_neighbours",
    "noise_gate",
    "perceptual_hash_gate",
    "perceptual_hashes",
    "pixel_features",
    "re_encoded",
    "read_gate",
    "shortened",
    "split_gates",
    "step_bound",
    "threshold",
]
