"""What is left of class A after each request, and what it is taken for: one PNG file per group."""

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from overunlearn_jax.attack_names import attack_name
from overunlearn_jax.reporting._summarise import Setting, SummaryRow, by_attack, groups, summarise
from overunlearn_jax.reporting.drawing import INK, plain_axes, save
from overunlearn_jax.reporting.wording import percent_of

# Okabe and Ito's palette: told apart by colour-blind readers and in print.
_COLOURS = {
    "normal": "#999999",
    "noise": "#56B4E9",
    "blending": "#E69F00",
    "pushing_1": "#0072B2",
    "pushing_2": "#009E73",
    "repeated": "#CC79A7",
}
_OTHER_COLOUR = "#882255"
_MARK = "#D55E00"  # the class of the request, where the rest is plain
_LEAST_WIDTH = 7.5  # inches; room for the title
_MOST_LABELS = 12  # predicted labels with a bar of their own; the rest share one


def accuracy_bars(rows: Sequence[Mapping[str, Any]], path: str | os.PathLike[str]) -> Path:
    """Draws class A's test accuracy after each request, with the accuracy before unlearning as a line.

    Bars are means over seeds, error bars their 95 % Student-t intervals (none for one seed), dots the seeds.

    Args:
      rows: the rows of one group.
      path: the PNG file to write.

    Returns:
      The path.

    Raises:
      ValueError: if the rows belong to no group or to several.
      OSError: if the file cannot be written.
    """
    setting = _only_setting(rows)
    summary = summarise(rows)
    attacks = by_attack(rows)
    figure = Figure(figsize=(max(2.0 + 1.25 * len(summary), _LEAST_WIDTH), 4.4), layout="constrained")
    axes = figure.add_subplot()
    before = summary[0].class_a_before.mean
    if not math.isnan(before):
        label = f"before unlearning: {100 * before:.1f} %"
        axes.axhline(100 * before, color=INK, linestyle="--", linewidth=1.4, label=label)
        axes.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), frameon=False, fontsize=11, borderaxespad=0.2)
    for position, row in enumerate(summary):
        mean, low, high = (100 * value for value in row.class_a[:3])
        if math.isnan(mean):
            continue  # diverged, or a class without test images
        axes.bar(position, mean, width=0.62, color=_COLOURS.get(row.attack, _OTHER_COLOUR))
        if math.isnan(low):
            continue
        error = [[max(mean - max(low, 0.0), 0.0)], [max(min(high, 100.0) - mean, 0.0)]]
        axes.errorbar(position - 0.14, mean, yerr=error, color=INK, capsize=6, linewidth=1.6)
        seeds = [100 * r["class_a"] for r in attacks[row.attack].values() if r["class_a"] is not None]
        places = position + np.linspace(0.02, 0.24, len(seeds))
        axes.scatter(places, seeds, s=26, color="white", edgecolor=INK, linewidth=1.0, zorder=3)
    axes.set_xticks(
        range(len(summary)),
        [f"{attack_name(row.attack, at_start=True)}\n{_left(row)}" for row in summary],
    )
    if any(row.class_a.count > 1 for row in summary):
        figure.supxlabel("bar: mean over seeds; whiskers: its 95 % interval; dots: the seeds", fontsize=11)
    axes.set_xlim(-0.6, len(summary) - 0.4)
    axes.set_ylim(0, 108)
    axes.set_yticks(range(0, 101, 20))
    axes.set_ylabel(f"test accuracy of class {setting.class_a_name} (%)", fontsize=12)
    plain_axes(axes)
    figure.suptitle(_title(setting, f"what is left of class {setting.class_a_name} after each request"), fontsize=13)
    return save(figure, path)


def predicted_label_bars(rows: Sequence[Mapping[str, Any]], path: str | os.PathLike[str]) -> Path:
    """Draws what class A's test images are predicted as after each request, one panel per attack.

    Bars are means over seeds; a vertical tick on each is the share before unlearning. With many classes, the
    labels predicted most often have bars and the others share one.

    Args:
      rows: the rows of one group.
      path: the PNG file to write.

    Returns:
      The path.

    Raises:
      ValueError: if the rows belong to no group or to several, or their counts do not match the class names.
      OSError: if the file cannot be written.
    """
    setting = _only_setting(rows)
    attacks = by_attack(rows)
    names = list(rows[0]["class_names"])
    after = {
        attack: _mean_shares([row for row in of.values() if not row.get("diverged")], "class_a_predicted", names)
        for attack, of in attacks.items()
    }
    before = _mean_shares(list(rows), "class_a_predicted_before", names)
    shown = _labels_to_show(np.stack([before, *after.values()]), names, setting.class_a_name)
    ticks = [names[label] for label in shown] + (["all others"] if len(shown) < len(names) else [])

    figure = Figure(figsize=(max(1.6 + 2.15 * len(after), _LEAST_WIDTH), 1.7 + 0.32 * len(ticks)), layout="constrained")
    panels = figure.subplots(1, len(after), sharex=True, sharey=True, squeeze=False)[0]
    positions = np.arange(len(ticks))
    for axes, (attack, shares) in zip(panels, after.items(), strict=True):
        colours = [_MARK if name == setting.class_a_name else "#7F9DB5" for name in ticks]
        widths = _with_others(shares, shown, len(ticks))
        marks = _with_others(before, shown, len(ticks))
        axes.barh(positions, widths, height=0.7, color=colours)
        axes.plot(marks, positions, "|", color=INK, markersize=13, markeredgewidth=1.6)
        for position, width, mark in zip(positions, widths, marks, strict=True):
            if width >= 0.5:
                # Behind the tick where the number would lie under it.
                place = (mark if width < mark < width + 22 else width, position)
                axes.annotate(f"{width:.0f}", place, (5, 0), textcoords="offset points", va="center", fontsize=10)
        if all(row.get("diverged") for row in attacks[attack].values()):
            axes.annotate("diverged", (50, (len(ticks) - 1) / 2), ha="center", va="center", fontsize=12)
        axes.set_title(attack_name(attack, at_start=True), fontsize=12)
        axes.set_xlim(0, 122)
        axes.set_xticks([0, 50, 100])
        plain_axes(axes)
    panels[0].set_yticks(positions, ticks)
    panels[0].invert_yaxis()
    for label in panels[0].get_yticklabels():
        if label.get_text() == setting.class_a_name:
            label.set_fontweight("bold")
    figure.supxlabel(
        f"share of the test images of class {setting.class_a_name} (%): bar and number after unlearning, tick before",
        fontsize=11,
    )
    figure.suptitle(
        _title(setting, f"what images of class {setting.class_a_name} are taken for after each request"), fontsize=13
    )
    return save(figure, path)


def _only_setting(rows: Sequence[Mapping[str, Any]]) -> Setting:
    settings = list(groups(rows))
    if len(settings) != 1:
        raise ValueError(f"a figure shows one group; these rows belong to {len(settings)}.")
    return settings[0]


def _mean_shares(rows: Sequence[Mapping[str, Any]], key: str, names: Sequence[str]) -> np.ndarray:
    """Returns the mean over rows of the predicted-label distribution, zeros for no rows. shape=(k,), percent."""
    if not rows:
        return np.zeros(len(names))
    counts = []
    for row in rows:
        if list(row["class_names"]) != list(names) or len(row[key]) != len(names):
            raise ValueError(f"{key} of cell {row['cell']!r} does not have one count for each of {len(names)} classes.")
        counts.append(row[key])
    array = np.asarray(counts, dtype=np.float64)
    return (100 * array / np.maximum(array.sum(axis=1, keepdims=True), 1)).mean(axis=0)


def _labels_to_show(shares: np.ndarray, names: Sequence[str], class_a: str) -> list[int]:
    """Returns all labels, or where there are many the most predicted ones and class A; in label order."""
    if len(names) <= _MOST_LABELS:
        return list(range(len(names)))
    rank = shares.max(axis=0) + np.asarray([1000.0 * (name == class_a) for name in names])
    return sorted(np.argsort(-rank, kind="stable")[: _MOST_LABELS - 1].tolist())


def _left(row: SummaryRow) -> str:
    """What is left of class A, under its bar."""
    mean = f"{percent_of(row.class_a.mean)} %"
    if not row.diverged:
        return mean
    of = f"{len(row.diverged)} of {len(row.seeds)} diverged"
    return "diverged" if len(row.diverged) == len(row.seeds) else f"{mean}, {of}"


def _with_others(shares: np.ndarray, shown: Sequence[int], length: int) -> np.ndarray:
    kept = shares[list(shown)]
    return kept if len(kept) == length else np.append(kept, shares.sum() - kept.sum())


def _title(setting: Setting, words: str) -> str:
    tau = "" if setting.tau is None else f", tau {setting.tau:g}"
    return f"{setting.dataset}: {words}\n{setting.model}, {setting.unlearning} ({setting.fidelity}{tau})"
