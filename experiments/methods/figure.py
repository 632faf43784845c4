"""Two figures of the grid, a line for each method: what a push harms, and what is left to find of the forgotten."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from experiments.methods.choice import Chosen
from overunlearn_jax.attack_names import HONEST, attack_name
from overunlearn_jax.statistics.intervals import Interval

ATTACK = "pushing_2"
INK, BEFORE = "#0072B2", "#D55E00"


def harm(chosen: dict[str, Chosen]) -> Figure:
    """Points of class A that Pushing-II costs beyond the honest request; the method that is harmed most on top.

    Bars are 95 % intervals over seeds. A method that diverged in a seed has that seed behind its name.
    """
    order = _most_harmed_last(chosen)
    figure, axes = _a_line_each(order, chosen)
    for place, method in enumerate(order):
        _point(axes, chosen[method].harm(ATTACK, "class_a"), place, INK, "o", scale=100)
    axes.set_title(f"points of class A that {attack_name(ATTACK)} takes\nbeyond the {attack_name(HONEST)}", size=10)
    return figure


def forgetting(chosen: dict[str, Chosen]) -> Figure:
    """LiRA's AUC after an honest request, beyond the retrained model's, and the victim's own before it.

    The confidence attack's where LiRA did not judge all of them. Lines in the order of `harm`.
    """
    lira = all(each.values("normal", "lira_auc") for each in chosen.values())
    name, words = ("lira_auc", "LiRA") if lira else ("confidence_auc", "confidence attack")
    order = _most_harmed_last(chosen)
    figure, axes = _a_line_each(order, chosen)
    for place, method in enumerate(order):
        each = chosen[method]
        _point(axes, each.beyond_retrained("normal", name, "_before"), place + 0.18, BEFORE, "D", label="before it")
        _point(axes, each.beyond_retrained("normal", name), place, INK, "o", label="after it")
    axes.set_title(f"{words}'s AUC beyond the retrained model's\n(0: forgotten)", size=10)
    handles, labels = axes.get_legend_handles_labels()
    known = dict(zip(labels, handles, strict=True))
    titles = [f"{attack_name(HONEST)}: {label}" for label in known]
    figure.legend(known.values(), titles, loc="outside lower center", ncols=2, frameon=False, fontsize=8)
    return figure


def _most_harmed_last(chosen: dict[str, Chosen]) -> list[str]:
    """Methods from the bottom to the top."""
    harms = {method: each.harm(ATTACK, "class_a") for method, each in chosen.items()}
    return sorted(chosen, key=lambda method: -1e9 if (found := harms[method]) is None else found.mean)


def _a_line_each(order: Sequence[str], chosen: dict[str, Chosen]) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(6.5, 1.6 + 0.3 * len(order)), layout="constrained")
    axes = figure.subplots()
    axes.set_yticks(range(len(order)), [_named(method, chosen[method]) for method in order])
    axes.axvline(0, color="black", linewidth=0.8)
    axes.grid(axis="y", linewidth=0.4)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.xaxis.set_major_locator(MaxNLocator(6))
    return figure, axes


def _named(method: str, each: Chosen) -> str:
    lost = ", ".join(map(str, each.diverged(ATTACK)))
    return f"{method}, diverged ({lost})" if lost else method


def _point(
    axes: Axes, found: Interval | None, place: float, colour: str, marker: str, scale: float = 1.0, label: str = ""
) -> None:
    if found is not None:
        half = 0.0 if found.count < 2 else scale * (found.high - found.mean)
        axes.errorbar(
            scale * found.mean, place, xerr=half, color=colour, fmt=marker, markersize=5, capsize=2, label=label
        )
