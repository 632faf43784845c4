"""The runs behind the paper's tables and figures: each a `Config`, at the size that 2 cores can do or the paper's own.

A study is run once, however many tables read it, and studies share trained victims and pushed samples by the cache.
"""

from typing import Any, NamedTuple

from experiments.config import Config

# The step sums over the request's samples: a tenth of the samples, ten times the rate. Rates are close together, since
# the tables take the largest whose honest request is cheap enough; many cost little more than one.
TAUS = {
    "cifar10": (2e-5, 3e-5, 5e-5, 7e-5, 1e-4, 1.4e-4, 2e-4, 3e-4, 5e-4),
    "cifar100": (2e-4, 3e-4, 5e-4, 7e-4, 1e-3, 1.4e-3, 2e-3, 3e-3, 5e-3, 7e-3, 1e-2),
    "stl10": (2e-5, 3e-5, 5e-5, 7e-5, 1e-4, 1.4e-4, 2e-4, 3e-4, 5e-4, 7e-4, 1e-3, 2e-3),
}
# Of deeper networks an honest request costs much more at the same rate.
DEEPER = {"taus": (1e-6, 2e-6, 3e-6, 5e-6, 7e-6, 1e-5, 1.4e-5, 2e-5, 3e-5, 5e-5, 7e-5, 1e-4)}
PUSHES = ("normal", "pushing_1", "pushing_2")
CIFAR10 = {"dataset": "cifar10", "class_a": "airplane", "class_b": "cat"}
CIFAR100 = {"dataset": "cifar100", "class_a": "apple", "class_b": "orange"}
STL10 = {"dataset": "stl10", "class_a": "airplane", "class_b": "cat"}
SETS = {"cifar10": CIFAR10, "cifar100": CIFAR100, "stl10": STL10}
GENTLER_FINE_TUNING = {"slow": {"method_settings": "learning_rate=0.001"}, "head": {"scope": "head"}}
EVERY = ("normal", "noise", "blending", "pushing_1", "pushing_2")


class Scale(NamedTuple):
    """What differs between a laptop and the paper: sizes of networks, repeats. Never data sets, classes or cells."""

    widths: dict[str, dict[str, int]]  # of the convolutions, by model and data set
    epochs: int
    seeds: tuple[int, ...]
    max_steps: int


SCALES = {
    "cpu": Scale(
        {"vgg": {"cifar10": 16, "cifar100": 16, "stl10": 8}, "resnet": {"cifar10": 8}},
        epochs=20,
        seeds=(0, 1, 2),
        max_steps=1000,
    ),
    "paper": Scale(
        {"vgg": dict.fromkeys(SETS, 128), "resnet": {"cifar10": 64}},
        epochs=50,
        seeds=(0, 1, 2, 3, 4),
        max_steps=20_000,
    ),
}

STUDIES: dict[str, dict[str, Any]] = {
    "cifar10": CIFAR10 | {"fractions": (0.1, 0.2, 0.3, 0.4, 0.5), "attacks": EVERY, "blending_ratio": 0.3},
    "cifar100": CIFAR100 | {"fractions": (0.1, 0.5), "attacks": EVERY, "blending_ratio": 0.3},
    "stl10": STL10 | {"fractions": (0.1, 0.5), "attacks": EVERY, "blending_ratio": 0.3},
    **{
        f"{name}_readings": SETS[name]
        | {"fractions": (0.1, 0.5), "attacks": PUSHES, "fidelity": ("authors_code", "equation")}
        for name in SETS
    },
    **{
        f"{name}_blending_0.5": SETS[name]
        | {"fractions": (0.1, 0.5), "attacks": ("normal", "blending"), "blending_ratio": 0.5}
        for name in SETS
    },
    **{
        f"cifar10_blending_{ratio}": CIFAR10
        | {"fractions": (0.1,), "attacks": ("normal", "blending"), "blending_ratio": ratio}
        for ratio in (0.1, 0.2, 0.4)
    },
    **{
        f"cifar10_blending_{other}": CIFAR10
        | {"class_b": other, "fractions": (0.5,), "attacks": ("normal", "blending"), "blending_ratio": 0.3}
        for other in ("bird", "horse", "ship")
    },
    "cifar10_targeted": CIFAR10 | {"target": "cat", "fractions": (0.1, 0.5), "attacks": PUSHES},
    "cifar100_targeted": CIFAR100 | {"target": "orange", "fractions": (0.1, 0.5), "attacks": PUSHES},
    **{
        f"cifar10_of_{name}": CIFAR10 | {"class_a": name, "fractions": (0.1,), "attacks": PUSHES}
        for name in ("bird", "horse", "ship")
    },
    **{
        f"{name}_fine_tuning": SETS[name] | {"unlearning": "fine_tuning", "fractions": (0.1, 0.5), "attacks": PUSHES}
        for name in SETS
    },
    **{
        f"cifar10_fine_tuning_{way}": CIFAR10
        | {"unlearning": "fine_tuning", "fractions": (0.1, 0.5), "attacks": PUSHES}
        | gentler
        for way, gentler in GENTLER_FINE_TUNING.items()
    },
    "stl10_predicted_labels": STL10 | {"fractions": (0.1, 0.5), "attacks": PUSHES, "request_labels": "predicted"},
    "cifar10_blending_original_labels": CIFAR10
    | {
        "fractions": (0.1, 0.5),
        "attacks": ("normal", "blending"),
        "blending_ratio": 0.5,
        "request_labels": "original",
    },
    "cifar10_4_blocks": CIFAR10 | DEEPER | {"blocks": 4, "fractions": (0.1,), "attacks": PUSHES},
    "cifar10_5_blocks": CIFAR10 | DEEPER | {"blocks": 5, "fractions": (0.1,), "attacks": PUSHES},
    "cifar10_resnet": CIFAR10 | DEEPER | {"model": "resnet", "fractions": (0.1,), "attacks": PUSHES},
    "cifar10_width_8": CIFAR10 | {"width": 8, "fractions": (0.1,), "attacks": PUSHES},
}
VARIED = {name for settings in STUDIES.values() for name in settings} - {"width", "taus"} | {"fidelity"}
NOTES = "--dataset_note='cifar100: note; stl10: note'"


def study_config(name: str, scale: str, places: dict[str, Any], overrides: dict[str, Any]) -> Config:
    """The run of one study. `places` says where things lie; `overrides` replace what the scale says.

    Raises ValueError for an override of what studies vary.
    """
    forbidden = sorted(overrides.keys() & VARIED)
    if forbidden:
        raise ValueError(
            f"--{forbidden[0]}={overrides[forbidden[0]]}: the paper's tables set that themselves; leave it out, or "
            "make a run of your own under another --experiment"
        )
    size = SCALES[scale]
    study = STUDIES[name]
    model = study.get("model", "vgg")
    settings: dict[str, Any] = {
        "model": model,
        "width": size.widths[model][study["dataset"]],
        "epochs": size.epochs,
        "patience": 4,
        "batch_norm_momentum": 0.99,
        "seeds": size.seeds,
        "max_steps": size.max_steps,
        "fidelity": ("corrected",),
        "taus": TAUS[study["dataset"]],
        **study,
        **places,
        **overrides,
        "dataset_note": dataset_note(study["dataset"], overrides.get("dataset_note", "")),
        "experiment": f"{name} at scale {scale}",
        "workdir": f"{places['workdir']}/{name}",
    }
    return Config.of(**settings)


def dataset_note(dataset: str, notes: str) -> str:
    """The note of one data set among "cifar100: a note; stl10: another".

    Raises ValueError for a note that names no data set of the paper.
    """
    found = {}
    for part in filter(None, (part.strip() for part in notes.split(";"))):
        named, colon, note = part.partition(":")
        if not colon or named.strip() not in SETS:
            raise ValueError(f"--dataset_note={notes}: expected notes by data set ({', '.join(SETS)}), as in {NOTES}")
        found[named.strip()] = note.strip()
    return found.get(dataset, "")
