"""The data set, and the two classes that a run is about."""

from dataclasses import dataclass

from experiments.config.fields import check_fields, setting


@dataclass(frozen=True)
class DataConfig:
    """The data set, and the two classes that a run is about."""

    dataset: str = setting("digits", "digits, any TFDS image-classification name, a .npz file or an image folder")
    data_dir: str = setting("", "where TFDS data sets lie; empty: TFDS's own default")
    dataset_note: str = setting("", "what a reader has to know of this copy of the data; printed beside every number")
    image_size: int = setting(
        0,
        "of image folders and TFDS sets, whose images may have different sizes: side in pixels of the square that each "
        "is scaled to and its middle cut out of; 0: all are of one size and stay so. Transparency is dropped, whatever "
        "the size",
        least=0,
    )
    class_a: str = setting(
        "3", "class that the unlearned samples belong to, by name or index; other data needs its own"
    )
    class_b: str = setting("8", "other class: blended in, and reported as over-unlearning II; other data needs its own")

    def __post_init__(self) -> None:
        check_fields(self)
