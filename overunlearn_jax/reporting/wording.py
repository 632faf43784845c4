"""How names and numbers are put into words: the one place that decides on units and decimals."""

import math
from collections.abc import Sequence

from overunlearn_jax.reporting._summarise import Setting, SummaryRow
from overunlearn_jax.statistics.intervals import Interval

NOTHING = "–"  # a number that nobody has
_ATTACK_NAMES = {
    "normal": "Honest request",
    "noise": "Noise (control)",
    "blending": "Blending",
    "pushing_1": "Pushing-I",
    "pushing_2": "Pushing-II",
}


def attack_name(attack: str) -> str:
    """Returns what a reader calls the attack; a name not known here is returned as it is."""
    return _ATTACK_NAMES.get(attack, attack)


def percent(interval: Interval | None) -> str:
    """Returns fractions as percent or points: "mean [low, high]" with one decimal, or one seed's mean."""
    if interval is None or interval.count == 0:
        return NOTHING
    if math.isnan(interval.low):
        return _one_decimal(interval.mean)
    return f"{_one_decimal(interval.mean)} [{_one_decimal(interval.low)}, {_one_decimal(interval.high)}]"


def percent_left(interval: Interval | None, row: SummaryRow) -> str:
    """Returns `percent` of what is measured after unlearning, with the seeds in which that diverged."""
    text, diverged = percent(interval), len(row.diverged)
    if diverged == 0 or interval is None:
        return text
    return "diverged" if diverged == len(row.seeds) else f"{text}; {diverged} of {len(row.seeds)} diverged"


def percent_mean(interval: Interval) -> str:
    """Returns the mean alone, as percent (or points) with one decimal."""
    return percent_of(interval.mean)


def percent_of(fraction: float) -> str:
    """Returns one fraction as percent with one decimal."""
    return NOTHING if math.isnan(fraction) else _one_decimal(fraction)


def count(value: float) -> str:
    """Returns a mean count: whole where it is whole, else with one decimal; thousands separated by commas."""
    if math.isnan(value):
        return NOTHING
    return f"{value:,.0f}" if float(value).is_integer() or value >= 1000 else f"{value:,.1f}"


def decimals(value: float, places: int) -> str:
    """Returns a number with that many decimals."""
    return NOTHING if math.isnan(value) else f"{value:.{places}f}"


def heading(setting: Setting, every_setting: Sequence[Setting]) -> str:
    """Returns a group's heading: data set, class A, and what tells this group from the report's others."""
    parts = [setting.dataset, f"class {setting.class_a_name}"]
    for key, words in _setting_words(setting).items():
        differs = len({getattr(other, key) for other in every_setting}) > 1
        if words and differs and key not in ("dataset", "class_a_name"):
            parts.append(words)
    return ", ".join(parts)


def caption(summary: Sequence[SummaryRow]) -> str:
    """Returns one line that says what a table was measured on. `summary` holds the rows of one group."""
    setting = summary[0].setting
    words = _setting_words(setting)
    note = f" ({setting.dataset_note})" if setting.dataset_note else ""
    seeds = sorted({seed for row in summary for seed in row.seeds})
    requested = sorted({row.requested for row in summary})
    samples = " to ".join(dict.fromkeys(count(value) for value in (requested[0], requested[-1])))
    return (
        f"Experiment {setting.experiment}. Data set {setting.dataset}{note}; {words['model']}; "
        f"{words['unlearning']}, {words['fidelity']}, {words['tau']}, {words['scope']}; "
        f"class A {setting.class_a_name} → class B {setting.class_b_name}, {words['goal']}, "
        f"{words['request_labels']}; {words['fraction']} ({samples} samples); "
        f"{'seed' if len(seeds) == 1 else 'seeds'} {', '.join(map(str, seeds))}."
    )


def _setting_words(setting: Setting) -> dict[str, str]:
    tau = "no tau" if setting.tau is None else f"tau {setting.tau:g}"
    return {
        "experiment": setting.experiment,
        "dataset": setting.dataset,
        "dataset_note": setting.dataset_note,
        "model": f"model {setting.model}",
        "unlearning": f"unlearning {setting.unlearning}",
        "fidelity": f"fidelity {setting.fidelity}",
        "tau": tau,
        "scope": f"scope {setting.scope}",
        "goal": setting.goal if setting.goal == "untargeted" else f"pushed towards {setting.goal}",
        "request_labels": f"request labels {setting.request_labels}",
        "class_a_name": f"class {setting.class_a_name}",
        "class_b_name": f"class B {setting.class_b_name}",
        "fraction": f"{100 * setting.fraction:g} % of class A requested",
    }


def _one_decimal(fraction: float) -> str:
    text = f"{100 * fraction:.1f}"
    return "0.0" if text == "-0.0" else text
