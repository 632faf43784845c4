"""The victim's network and its training."""

from dataclasses import dataclass

from experiments.config.fields import check_fields, setting


@dataclass(frozen=True)
class VictimConfig:
    """The victim's network and its training."""

    model: str = setting(
        "vgg",
        "vgg, resnet, or my_module:my_function called with (num_classes, image_shape) and trained; trained again "
        "when its source file changes",
    )
    trained: str = setting(
        "",
        "my_module:my_function of no arguments that returns the trained Variables of --model, which is then not "
        "trained here; it is given images in [-0.5, 0.5] of the --dataset, which has to be named, must not have seen "
        "its test part, and seeds then choose the samples alone",
    )
    blocks: int = setting(3, "VGG blocks; the paper has 3, 4 and 5", least=1)
    width: int = setting(32, "filters of the convolutions; the paper has 128 (vgg) and 64 (resnet)", least=1, most=4096)
    batch_norm_momentum: float = setting(
        0.9, "of the running statistics; 0.99 is Keras' default, for large sets", least=0, most=1
    )
    learning_rate: float = setting(1e-3, "of AMSGrad", least=1e-12)
    batch_size: int = setting(64, "training images a step", least=1)
    epochs: int = setting(30, "passes over the training images, at most", least=1)
    patience: int = setting(5, "epochs without a lower validation loss before training stops", least=1)

    def __post_init__(self) -> None:
        check_fields(self)
        if self.trained and ":" not in self.trained:
            raise ValueError(f"--trained={self.trained}: expected my_module:my_function")
