"""Three readings of the paper's first-order method; every result names the one it used."""

from typing import NamedTuple


class Fidelity(NamedTuple):
    """Settings of `first_order` that make one reading."""

    replacement: str
    last_partial_batch_only: bool
    explanation: str


FIDELITIES = {
    "equation": Fidelity(
        "noise",
        False,
        "Equation (12) as printed: every submitted image is replaced by uniform noise of its own under the same "
        "label. The step also teaches the model that noise belongs to the class.",
    ),
    "authors_code": Fidelity(
        "one_noise",
        True,
        "What the public code computes: gradient ascent on every full batch of 256 submitted samples, because the "
        "noise image's gradient is lost there; in a last, smaller batch one noise image replaces every sample.",
    ),
    "corrected": Fidelity(
        "none",
        False,
        "Gradient ascent on the request. Deleting a point takes its loss out of the sum that training minimised; to "
        "first order that is a step along its gradient (equation 9 with the Hessian's inverse as a scalar). Nothing "
        "is put in its place: a noise image under the old label would be a new, mislabelled training point.",
    ),
}
