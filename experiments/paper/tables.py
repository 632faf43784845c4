"""The paper's tables, cell by cell: which run, request and measure stands where, and what the paper prints there."""

from collections.abc import Callable
from typing import Any, NamedTuple

from experiments.paper.numbers import printed
from experiments.paper.studies import SETS, STUDIES


class Entry(NamedTuple):
    """One cell. Measures: overall, class_a, class_b (percent), with _drop points less than the honest request's;
    overall_train, predicted (test images of class A, once predicted rightly, that are predicted as `label`), ssim_mean
    and lpips_mean.
    """

    study: str
    attack: str  # "before": the model as it was
    fraction: float
    measure: str
    paper: float | None
    label: str = ""


class Line(NamedTuple):
    """A row of a table."""

    labels: tuple[str, ...]
    entries: tuple[Entry | None, ...]


class TableLayout(NamedTuple):
    """A table as the paper lays it out."""

    name: str
    title: str
    headers: tuple[str, ...]  # of the labels, then of the entries
    lines: tuple[Line, ...]
    note: str = ""  # what a reader has to know of the paper's own table


NAMES = {"cifar10": "CIFAR-10", "cifar100": "CIFAR-100", "stl10": "STL-10"}
ATTACKS = {"normal": "Normal unlearning", "pushing_1": "Pushing-I", "pushing_2": "Pushing-II", "blending": "Blending"}
PUSHES = ("normal", "pushing_1", "pushing_2")
SAMPLES = {"cifar10": {0.1: 400, 0.5: 2000}, "cifar100": {0.1: 40, 0.5: 200}, "stl10": {0.1: 40, 0.5: 200}}
MODEL_KEYS = {"cifar10": "VGG-3", "cifar10_4_blocks": "VGG-4", "cifar10_5_blocks": "VGG-5", "cifar10_resnet": "ResNet"}


def _entry(table: str, study: str, attack: str, fraction: float, measure: str, label: str = "", **keys: Any) -> Entry:
    """The cell whose place in the paper's table `keys` say, beside attack, fraction and measure."""
    where: dict[str, Any] = {"attack": attack, "metric": measure, **keys}
    if attack != "before":
        where["fraction"] = fraction
    if label:
        where["label"] = label
    return Entry(study, attack, fraction, measure, printed(table, **where), label)


def table_03() -> TableLayout:
    """Blending: what class B loses."""
    lines = []
    for name in SETS:
        for fraction in (0.1, 0.5):
            for ratio, study in ((0.3, name), (0.5, f"{name}_blending_0.5")):
                entry = _entry(
                    "table_03", study, "blending", fraction, "class_b_drop", dataset=name, blending_ratio=ratio
                )
                lines.append(Line((NAMES[name], f"{SAMPLES[name][fraction]:,}", str(ratio)), (entry,)))
    return TableLayout(
        "table_03",
        "Table III: points of class B that blending costs beyond an honest request",
        ("Data set", "Samples", "Blending ratio", "Class B"),
        tuple(lines),
        "Where no number of the paper stands, it observed no loss.",
    )


def _of_data_sets(
    table: str, title: str, attacks: tuple[str, ...], study_of: Callable[[str], str], note: str = ""
) -> TableLayout:
    lines = []
    for name in SETS:
        entries = [
            _entry(table, study_of(name), "before", 0.1, "overall_train", dataset=name),
            _entry(table, study_of(name), "before", 0.1, "overall", dataset=name),
            *(
                _entry(table, study_of(name), attack, fraction, "overall", dataset=name)
                for fraction in (0.1, 0.5)
                for attack in attacks
            ),
        ]
        lines.append(Line((NAMES[name],), tuple(entries)))
    columns = [f"{ATTACKS[attack]}, {percent} %" for percent in (10, 50) for attack in attacks]
    return TableLayout(table, title, ("Data set", "Training", "Test", *columns), tuple(lines), note)


def table_04() -> TableLayout:
    """Pushing: overall accuracy."""
    return _of_data_sets("table_04", "Table IV: overall test accuracy, first order", PUSHES, lambda name: name)


def _counts(table: str, study: str, labels: tuple[str, ...], title: str) -> TableLayout:
    name = STUDIES[study]["dataset"]
    lines = [
        Line(
            ("0", "Before unlearning"),
            tuple(_entry(table, study, "before", 0.1, "predicted", label, dataset=name) for label in labels),
        )
    ]
    for fraction in (0.1, 0.5):
        for attack in PUSHES:
            entries = (_entry(table, study, attack, fraction, "predicted", label, dataset=name) for label in labels)
            lines.append(Line((f"{SAMPLES[name][fraction]:,}", ATTACKS[attack]), tuple(entries)))
    note = "Counted are the test images of class A that the model predicted rightly before."
    return TableLayout(table, title, ("Samples", "Model", *labels), tuple(lines), note)


def table_05() -> TableLayout:
    """Targeted pushes, CIFAR-10."""
    labels = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
    return _counts("table_05", "cifar10_targeted", labels, "Table V: airplanes pushed towards cat, predicted labels")


def table_06() -> TableLayout:
    """Targeted pushes, CIFAR-100."""
    labels = ("apple", "pear", "sweet_pepper", "orange", "trout")
    title = "Table VI: apples pushed towards orange, predicted labels"
    table = _counts("table_06", "cifar100_targeted", labels, title)
    return table._replace(note=table.note + " The labels are the paper's five; ours may fall on others.")


def table_07() -> TableLayout:
    """Blending into other classes."""
    others = ("bird", "horse", "ship")
    lines = []
    for attack in ("normal", "blending"):
        entries = [
            _entry("table_07", f"cifar10_blending_{other}", attack, 0.5, "class_b", class_b=other) for other in others
        ]
        lines.append(Line((ATTACKS[attack],), tuple(entries)))
    return TableLayout(
        "table_07",
        "Table VII: accuracy of class B, 2,000 airplanes blended with it at 0.3",
        ("Request", *(other.capitalize() for other in others)),
        tuple(lines),
    )


def table_08() -> TableLayout:
    """VGG and ResNet."""
    lines = []
    for study, title in (("cifar10", "VGG"), ("cifar10_resnet", "ResNet")):
        entries = [_entry("table_08", study, attack, 0.1, "overall", model=MODEL_KEYS[study]) for attack in PUSHES]
        lines.append(Line((title,), tuple(entries)))
    headers = ("Model", *(ATTACKS[attack] for attack in PUSHES))
    return TableLayout("table_08", "Table VIII: architectures, overall accuracy, 400 airplanes", headers, tuple(lines))


def table_09() -> TableLayout:
    """Depth."""
    studies = {"cifar10": "3 blocks", "cifar10_4_blocks": "4 blocks", "cifar10_5_blocks": "5 blocks"}
    lines = []
    for attack in PUSHES:
        entries = [_entry("table_09", study, attack, 0.1, "overall", model=MODEL_KEYS[study]) for study in studies]
        lines.append(Line((ATTACKS[attack],), tuple(entries)))
    headers = ("VGG", *studies.values())
    return TableLayout("table_09", "Table IX: depth, overall accuracy, 400 airplanes", headers, tuple(lines))


def table_10() -> TableLayout:
    """Other classes."""
    classes = ("bird", "horse", "ship")
    lines = []
    for attack in PUSHES:
        entries = [_entry("table_10", f"cifar10_of_{name}", attack, 0.1, "overall", class_a=name) for name in classes]
        lines.append(Line((ATTACKS[attack],), tuple(entries)))
    return TableLayout(
        "table_10",
        "Table X: class of the request, overall accuracy, 400 samples",
        ("Request", *(name.capitalize() for name in classes)),
        tuple(lines),
        "The paper does not say whether these are overall accuracies or those of the class; overall fits its numbers.",
    )


def table_11() -> TableLayout:
    """Blending: overall accuracy."""
    return _of_data_sets(
        "table_11",
        "Table XI: overall test accuracy, blending",
        ("normal", "blending"),
        lambda name: f"{name}_blending_0.5",
        "The paper names no blending ratio here; ours is 0.5.",
    )


def table_12() -> TableLayout:
    """Fine-tuning."""
    return _of_data_sets(
        "table_12",
        "Table XII: overall test accuracy, fine-tuning on random labels",
        PUSHES,
        lambda name: f"{name}_fine_tuning",
    )


def table_13() -> TableLayout:
    """Stealth."""
    lines = []
    for attack in ("pushing_1", "pushing_2"):
        entries = (
            Entry("cifar10", attack, 0.1, f"{metric}_mean", printed("table_13", attack=attack, metric=metric))
            for metric in ("ssim", "lpips")
        )
        lines.append(Line((ATTACKS[attack],), tuple(entries)))
    return TableLayout(
        "table_13",
        "Table XIII: stealth",
        ("Request", "SSIM", "LPIPS"),
        tuple(lines),
        "Ours: the mean over all samples of the request, of which the paper took 50 pairs. LPIPS is measured where "
        "--lpips names a network whose weights are at hand.",
    )


def slides() -> TableLayout:
    """The talk's targeted experiment."""
    lines = [
        Line(
            (ATTACKS.get(attack, "Before unlearning"),),
            tuple(
                _entry("slides", "cifar10_targeted", attack, 0.5, "predicted", label) for label in ("airplane", "cat")
            ),
        )
        for attack in ("before", *PUSHES)
    ]
    return TableLayout(
        "slides",
        "Slides, more than utility: airplanes pushed towards cat",
        ("Model", "Still airplane", "Now cat"),
        tuple(lines),
        "2,000 samples requested, as the numbers equal Table V's; counted are the test airplanes that the model "
        "predicted rightly before.",
    )


TABLES: dict[str, Callable[[], TableLayout]] = {
    make.__name__: make
    for make in (
        table_03,
        table_04,
        table_05,
        table_06,
        table_07,
        table_08,
        table_09,
        table_10,
        table_11,
        table_12,
        table_13,
        slides,
    )
}
