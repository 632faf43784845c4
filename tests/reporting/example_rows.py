"""Results rows with numbers that can be checked by hand."""

from typing import Any

CLASS_NAMES = ["airplane", "bird", "cat"]


def example_row(attack: str = "normal", seed: int = 0, **changes: Any) -> dict[str, Any]:
    """Returns a valid row; `changes` replaces values."""
    row: dict[str, Any] = {
        "cell": f"example/{attack}/{seed}",
        "experiment": "example",
        "dataset": "cifar10",
        "dataset_note": "",
        "model": "vgg3 width 16",
        "unlearning": "first_order",
        "fidelity": "authors_code",
        "tau": 2e-4,
        "scope": "head",
        "attack": attack,
        "goal": "untargeted",
        "request_labels": "original",
        "class_a_name": "airplane",
        "class_b_name": "cat",
        "fraction": 0.1,
        "requested": 400,
        "submitted": 390,
        "skipped": 8,
        "failed": 2,
        "seed": seed,
        "class_names": CLASS_NAMES,
        "overall_before": 0.8,
        "class_a_before": 0.9,
        "class_b_before": 0.7,
        "overall": 0.78,
        "class_a": 0.85,
        "class_b": 0.69,
        "per_class": [0.85, 0.8, 0.69],
        "class_a_predicted_before": [90, 6, 4],
        "class_a_predicted": [85, 10, 5],
        "label_agreement": 1.0,
        "ssim_mean": 0.97,
        "l2_mean": 0.21,
        "l2_max": 1.5,
        "queries": 0,
        "steps_median": None,
        "seconds_attack": 1.5,
        "seconds_unlearn": 0.25,
    }
    unknown = changes.keys() - row.keys()
    assert not unknown, unknown
    return row | changes


def three_seeds() -> list[dict[str, Any]]:
    """Returns normal and Pushing-I rows of three seeds whose class A accuracies differ by 0.4, 0.5, 0.6."""
    rows = []
    for seed, (honest, pushed) in enumerate([(0.8, 0.4), (0.82, 0.32), (0.84, 0.24)]):
        rows.append(example_row("normal", seed, class_a=honest))
        rows.append(
            example_row("pushing_1", seed, class_a=pushed, class_b=0.69, queries=1000 + seed, l2_max=1.5 + seed)
        )
    return rows
