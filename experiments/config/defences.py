"""What the service does about over-unlearning."""

from dataclasses import dataclass

from experiments.config.fields import check_fields, setting


@dataclass(frozen=True)
class DefencesConfig:
    """What the service does about over-unlearning."""

    gates: str = setting(
        "",
        "defences around the service, in their order, as in phash(distance=40),clip,monitor: gates on a sample (exact, "
        "phash, confidence, forest, lof, mahalanobis, knn, agreement, noise, jpeg, or my_module:my_gate), budget, "
        "copies, identify, a bound on the step (clip) or on each sample's gradient (clip_each), monitor; settings in "
        "brackets",
    )

    def __post_init__(self) -> None:
        check_fields(self)
