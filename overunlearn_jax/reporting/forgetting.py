"""Did it forget? One group's numbers after each request, beside the victim's and a retrained model's."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from overunlearn_jax.attack_names import attack_name
from overunlearn_jax.reporting._summarise import NORMAL, by_attack, finest
from overunlearn_jax.reporting.resolution import count_test_images
from overunlearn_jax.reporting.table import Table
from overunlearn_jax.reporting.wording import NOTHING
from overunlearn_jax.statistics.intervals import mean_interval, no_finer, within

EXPLAINED = (
    "Did it forget? Measured on the requested samples as they were before the attack. What forgetting aims at is the "
    "line of the model that was trained from scratch without them. Forget, retain, test and class A are accuracies: "
    "on these samples, on up to 2,000 retained ones, on all test samples and on those of the requested class. AUC is "
    "how often an attacker ranks a requested sample above a test sample of its class: by the model's confidence in "
    "the label, or by LiRA, which compares that with what models answer that were trained with and without the "
    "sample. TPR at 1 % FPR is the share of them that is found where 1 % of the test samples are mistaken for them; "
    "by chance 0.01. Both sets hold only what the victim predicts rightly, and where requests are pushed, the "
    "requested ones only what could be pushed. Being right about a sample that it was trained on says less of how "
    "easy that sample is, so the retrained model's AUC need not be 0.5. JS is the Jensen-Shannon distance to that "
    "model's predictions. Relearn steps, at most 100: how much training on the samples brings their loss to within "
    "0.1 of the victim's, which therefore needs none; where the retrained model needs more, they are still known."
)


class Measure(NamedTuple):
    """A number of the rows; `key` with `_before` is the victim's, with `_retrained` the retrained model's."""

    title: str
    key: str
    scale: float  # what it is multiplied by for a reader
    places: int
    most: float = 1.0  # that it can be; none is below 0


MEASURES = (
    Measure("forget accuracy %", "forget_accuracy", 100, 1),
    Measure("retain accuracy %", "retain_accuracy", 100, 1),
    Measure("test accuracy %", "overall", 100, 1),
    Measure("class A accuracy %", "class_a", 100, 1),
    Measure("confidence AUC", "confidence_auc", 1, 3),
    Measure("confidence TPR at 1 % FPR", "confidence_tpr_at_1_fpr", 1, 3),
    Measure("LiRA AUC", "lira_auc", 1, 3),
    Measure("LiRA TPR at 1 % FPR", "lira_tpr_at_1_fpr", 1, 3),
    Measure("JS to retrained", "js_to_retrained", 1, 3),
    Measure("relearn steps", "relearn_steps", 1, 1, 100),
)
TO_ITSELF = "js_to_retrained_retrained"  # 0 by construction
# Reasons, as rows of a service say them in `forgetting_not_measured`.
NO_WEIGHTS = "the service offers no weights"
NO_TRAINING = "how its model was trained is not known, so none is retrained"


def forgetting_table(rows: Sequence[Mapping[str, Any]]) -> Table | None:
    """One line per request in one group's rows, then the retrained model and the victim; None where not measured.

    Means over seeds with 95 % Student-t intervals, no finer than one sample, one test image or one step, and inside
    what the number can be. Raises ValueError as `summarise` does.
    """
    if not any("forget_accuracy" in row for row in rows):
        return None
    attacks = by_attack(rows)
    first = attacks.get(NORMAL) or next(iter(attacks.values()))  # requests of one size share the forget set
    known = [each for each in MEASURES if any(row.get(f"{each.key}_before") is not None for row in rows)]
    reasons = _not_measured(rows)
    known += [each for each in MEASURES if each.key in reasons and each not in known]
    finest_of = {each.key: _finest(each.key, rows) for each in known}
    lines = [(_named(attack, of_seed), list(of_seed.values()), "") for attack, of_seed in attacks.items()]
    if TO_ITSELF not in reasons:
        lines.append(("(retrained)", list(first.values()), "_retrained"))
    lines.append(("(the victim)", list(first.values()), "_before"))
    return Table(
        ("Model after", *(f"{each.title}{reasons.get(each.key, '')}" for each in known)),
        [
            (name, *(_cell(each, of_line, suffix, finest_of[each.key]) for each in known))
            for name, of_line, suffix in lines
        ],
    )


def _not_measured(rows: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Why columns are empty, by their keys, for their titles: what the rows say that the service does not offer."""
    missing = " ".join(str(row.get("forgetting_not_measured", "")) for row in rows)
    reasons = {}
    if NO_WEIGHTS in missing:
        reasons["relearn_steps"] = f" (not measured: {NO_WEIGHTS})"
    if NO_TRAINING in missing:
        reasons["js_to_retrained"] = f" (not measured: {NO_TRAINING})"
        reasons[TO_ITSELF] = ""
    return reasons


def _named(attack: str, of_seed: Mapping[int, Mapping[str, Any]]) -> str:
    diverged = sum(bool(row.get("diverged")) for row in of_seed.values())
    return attack_name(attack, at_start=True) + (f" ({diverged} of {len(of_seed)} diverged)" if diverged else "")


def _finest(key: str, rows: Sequence[Mapping[str, Any]]) -> float:
    """The smallest difference that a measure can show; 0 for one that is no count."""
    if key == "forget_accuracy" or key.endswith("tpr_at_1_fpr"):
        return finest(max(row["submitted"] for row in rows))
    if key in ("retain_accuracy", "overall", "class_a"):
        return finest(count_test_images(rows, key))
    return 1.0 if key == "relearn_steps" else 0.0


def _cell(measure: Measure, rows: Sequence[Mapping[str, Any]], suffix: str, finest_of_it: float) -> str:
    key = measure.key + suffix
    values = [row[key] for row in rows if row.get(key) is not None]
    if not values or key == TO_ITSELF:
        return NOTHING
    found = within(no_finer(mean_interval(values), finest_of_it), 0.0, measure.most)
    mean, low, high = (f"{measure.scale * number:.{measure.places}f}" for number in found[:3])
    return mean if found.count < 2 else f"{mean} [{low}, {high}]"
