"""How names and numbers are put into words: the one place that decides on units and decimals."""

import math
from collections.abc import Sequence

from overunlearn_jax.attack_names import attack_name
from overunlearn_jax.reporting._summarise import Setting, SummaryRow
from overunlearn_jax.statistics.intervals import Interval

NOTHING = "–"  # a number that nobody has
SEVERAL_SEEDS = "--seeds=0,1,2"  # the flag that gives an interval
LABELS = {  # what is submitted with a malicious image
    "paper": "labelled as in the paper (blended: as predicted, pushed: as it was)",
    "original": "labelled as it was",
    "predicted": "labelled as predicted",
    "target": "labelled as the target",
}
_EVEN = 0.0005  # a difference that one decimal of a point shows as 0.0


def percent(interval: Interval | None) -> str:
    """Returns fractions as percent or points: "mean [low, high]" with one decimal, or one seed's mean."""
    if interval is None or interval.count == 0:
        return NOTHING
    if math.isnan(interval.low):
        return _one_decimal(interval.mean)
    return f"{_one_decimal(interval.mean)} [{_one_decimal(interval.low)}, {_one_decimal(interval.high)}]"


def interval_text(interval: Interval | None, unit: float = 1.0, digits: int = 1) -> str:
    """Returns "mean [low, high]" with so many decimals, `unit` times the value; one repeat's has no brackets.

    Examples:
      >>> interval_text(Interval(0.205, 0.068, 0.342, 3), unit=100)
      '20.5 [6.8, 34.2]'
      >>> interval_text(Interval(0.205, 0.068, 0.342, 3)._replace(count=1))  # two victims, say, whose spread is no news
      '0.2'
      >>> interval_text(None)
      '–'
    """
    if interval is None:
        return NOTHING
    mean, low, high = (f"{unit * value:.{digits}f}" for value in (interval.mean, interval.low, interval.high))
    return mean if interval.count < 2 or math.isnan(interval.low) else f"{mean} [{low}, {high}]"


def percent_left(interval: Interval | None, row: SummaryRow) -> str:
    """Returns `percent` of what is measured after unlearning, or that it diverged in every seed."""
    return "diverged" if interval is not None and len(row.diverged) == len(row.seeds) else percent(interval)


def named_row(row: SummaryRow) -> str:
    """Returns the request of a row for the first cell of a table, with the seeds that a few of its numbers lack."""
    name, diverged = attack_name(row.attack, at_start=True), len(row.diverged)
    return f"{name} ({diverged} of {len(row.seeds)} diverged)" if 0 < diverged < len(row.seeds) else name


def percent_of(fraction: float) -> str:
    """Returns one fraction as percent with one decimal."""
    return NOTHING if math.isnan(fraction) else _one_decimal(fraction)


def points(fraction: float) -> str:
    """Returns a difference of accuracies in points, short enough for a headline: one decimal below 10, none above."""
    number = 100 * fraction
    return NOTHING if math.isnan(number) else _one_decimal(fraction) if abs(number) < 9.95 else f"{number:.0f}"


def allowed_points(limit: float) -> str:
    """Returns a limit in points as its flag gave it: 0.05 is "5"."""
    return f"{100 * limit:g}"


def costs(attack: str, class_name: str, mean: float, *, whole: bool = True) -> str:
    """Returns what a request costs a class beyond an honest request, as the beginning of a sentence.

    Examples:
      >>> costs("pushing_1", "cat", 0.824)
      'Pushing-I costs class cat 82 points beyond an honest request'

    Args:
      attack: as in a row.
      class_name: of the class.
      mean: accuracy after an honest request minus accuracy after this one, a fraction.
      whole: whether 10 points or more are told without a decimal; false beside an interval, which has one.
    """
    opening = f"{attack_name(attack, at_start=True)} costs class {class_name}"
    if abs(mean) < _EVEN:
        return f"{opening} no more than an honest request"
    number = points(abs(mean)) if whole else percent_of(abs(mean))
    return f"{opening} {number} points {'beyond' if mean > 0 else 'less than'} an honest request"


def seeds_words(seeds: Sequence[int]) -> str:
    """Returns "seed 1" or "seeds 0, 1, 2"."""
    return f"{'seed' if len(seeds) == 1 else 'seeds'} {', '.join(map(str, seeds))}"


def variant_words(fraction: float, fidelity: str, tau: float | None) -> str:
    """Returns the size of a request, and the reading and rate of the method where it has any."""
    return f"{100 * fraction:g} % requested" + ("" if tau is None else f", {fidelity}, tau {tau:g}")


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
    parts = [setting.dataset, f"class {setting.class_a_name}", what_differs(setting, every_setting)]
    return ", ".join(filter(None, parts))


def what_differs(setting: Setting, every_setting: Sequence[Setting]) -> str:
    """Returns what tells a group from the report's others, but for data set and class A; empty for nothing."""
    parts = []
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
        f"{_how_it_forgets(setting)}; "
        f"class A {setting.class_a_name} → class B {setting.class_b_name}, {words['goal']}, "
        f"{words['request_labels']}; {words['fraction']} ({samples} samples); "
        f"{seeds_words(seeds)}."
    )


def _how_it_forgets(setting: Setting) -> str:
    """A method of ours with its settings; a user's own service, which has none that we know of, by its name."""
    words = _setting_words(setting)
    if setting.fidelity == "none" and setting.tau is None:
        return f"{words['unlearning']}, {words['scope']}"
    return f"{words['unlearning']}, {words['fidelity']}, {words['tau']}, {words['scope']}"


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
        "request_labels": LABELS[setting.request_labels],
        "class_a_name": f"class {setting.class_a_name}",
        "class_b_name": f"class B {setting.class_b_name}",
        "fraction": f"{100 * setting.fraction:g} % of class A requested",
    }


def _one_decimal(fraction: float) -> str:
    text = f"{100 * fraction:.1f}"
    return "0.0" if text == "-0.0" else text
