"""What is measured beside accuracies."""

from dataclasses import dataclass

from experiments.config.fields import check_fields, setting


@dataclass(frozen=True)
class MeasuresConfig:
    """What is measured beside accuracies."""

    forgetting: bool = setting(
        False, "measure whether each request was forgotten, beside a retrained model: trains one for each request size"
    )
    shadows: int = setting(
        0, "with --forgetting: models trained on halves of the data for LiRA; even, 0: no LiRA", least=0
    )
    lpips: str = setting("", "network of the LPIPS column; empty: none is computed", ("", "alex", "vgg", "squeeze"))
    lpips_weights: str = setting("", ".npz file of its weights; empty: the torch cache and the lpips package")

    def __post_init__(self) -> None:
        check_fields(self)
        if self.shadows % 2 or self.shadows == 2:
            raise ValueError(f"--shadows={self.shadows}: expected 0, or an even number from 4 on")
