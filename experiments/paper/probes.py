"""Tables that are not in the paper: each tries one reason why our numbers differ from its."""

from collections.abc import Callable

from experiments.paper.layout import ATTACKS, NAMES, PUSHES, READING, SAMPLES, Line, TableLayout, entry
from experiments.paper.studies import SETS

NETWORKS = {
    "VGG-3, width 16": "cifar10",
    "VGG-3, width 8": "cifar10_width_8",
    "VGG-4, width 16": "cifar10_4_blocks",
    "VGG-5, width 16": "cifar10_5_blocks",
    "ResNet, width 8": "cifar10_resnet",
}
PUSHED_WITH = {"the original label": "stl10", "the label that the model predicts": "stl10_predicted_labels"}
BLENDED_WITH = {
    "the label that the model predicts": "cifar10_blending_0.5",
    "the original label": "cifar10_blending_original_labels",
}
FINE_TUNED = {
    "all weights, rate 0.01, as the authors' code does": "cifar10_fine_tuning",
    "all weights, rate 0.001": "cifar10_fine_tuning_slow",
    "the classifier head alone, rate 0.01": "cifar10_fine_tuning_head",
}


def networks() -> TableLayout:
    """Does the victim's network decide how much pushing costs?"""
    lines = [
        Line(
            (words,),
            (
                entry("networks", study, "before", 0.1, "overall_train"),
                *(entry("networks", study, attack, 0.1, "class_a") for attack in ("before", *PUSHES)),
                entry("networks", study, "pushing_1", 0.1, "l2_mean"),
                entry("networks", study, "pushing_1", 0.1, "ssim_mean"),
            ),
        )
        for words, study in NETWORKS.items()
    ]
    pushes = (ATTACKS[attack] for attack in PUSHES)
    return TableLayout(
        "networks",
        "Not in the paper: class A by the victim's network, 400 airplanes, each network at its own rate",
        ("Network", "Training, overall", "Before", *pushes, "L2 of Pushing-I", "SSIM of Pushing-I"),
        tuple(lines),
        "The paper's VGG-3 is 128 wide: 81.5 on its training data, class A 87.8 before, 81.7 after the honest request, "
        "29.5 after either push; its SSIM is 0.9748.",
    )


def _by_way(
    name: str,
    title: str,
    header: str,
    table: str,
    dataset: str,
    studies: dict[str, str],
    columns: dict[tuple[str, str], str],  # headers, by request and measure
) -> TableLayout:
    """Two sizes of request, each in several ways."""
    lines = [
        Line(
            (f"{SAMPLES[dataset][fraction]:,}", words),
            tuple(entry(table, study, attack, fraction, measure, dataset=dataset) for attack, measure in columns),
        )
        for fraction in (0.1, 0.5)
        for words, study in studies.items()
    ]
    return TableLayout(name, title, ("Samples", header, *columns.values()), tuple(lines))


def readings() -> TableLayout:
    """Does over-unlearning of class A rest on how the first-order step is read?"""
    attacks = ("before", *PUSHES)
    lines = []
    for name in SETS:
        for fraction in (0.1, 0.5):
            for fidelity in (READING, "authors_code", "equation"):
                study = name if fidelity == READING else f"{name}_readings"
                entries = (
                    entry("figure_05", study, attack, fraction, "class_a", fidelity=fidelity, dataset=name)
                    for attack in attacks
                )
                lines.append(Line((NAMES[name], f"{SAMPLES[name][fraction]:,}", fidelity), tuple(entries)))
    return TableLayout(
        "readings",
        "Not in the paper: class A under the three readings of the first-order step, each at its own rate",
        ("Data set", "Samples", "Reading", "Before", *(ATTACKS[attack] for attack in PUSHES)),
        tuple(lines),
        "The paper's numbers are those of its figure 5.",
    )


def labels() -> TableLayout:
    """Does the label of the request decide what Pushing-II costs on STL-10?"""
    title = "Not in the paper: overall accuracy on STL-10 by the label that a pushed image is submitted with"
    columns = {(attack, "overall"): ATTACKS[attack] for attack in PUSHES}
    return _by_way("labels", title, "Submitted with", "table_04", "stl10", PUSHED_WITH, columns)


def blending_labels() -> TableLayout:
    """Does the label of the request decide what blending costs on CIFAR-10?"""
    title = "Not in the paper: overall accuracy on CIFAR-10 by the label that a blended image is submitted with"
    columns = {(attack, "overall"): ATTACKS[attack] for attack in ("normal", "blending")}
    return _by_way("blending_labels", title, "Submitted with", "table_11", "cifar10", BLENDED_WITH, columns)


def fine_tuning() -> TableLayout:
    """Does gentler fine-tuning cost what the paper's costs?"""
    title = "Not in the paper: CIFAR-10, fine-tuning on random labels, overall accuracy and class A, by how it is done"
    columns = {
        (attack, measure): f"{ATTACKS[attack]}, {words}"
        for measure, words in (("overall", "overall"), ("class_a", "class A"))
        for attack in PUSHES
    }
    return _by_way("fine_tuning", title, "Trained", "table_12", "cifar10", FINE_TUNED, columns)


PROBES: dict[str, Callable[[], TableLayout]] = {
    "readings": readings,
    "networks": networks,
    "labels": labels,
    "blending_labels": blending_labels,
    "fine_tuning": fine_tuning,
}
