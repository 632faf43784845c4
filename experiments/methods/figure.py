"""Two panels of the grid, a line for each method: what a push harms, and what is left to find of the forgotten."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from experiments.methods.choice import Chosen
from overunlearn_jax.attack_names import HONEST, attack_name
from overunlearn_jax.statistics.intervals import Interval

ATTACK = "pushing_2"
INK, BEFORE = "#0072B2", "#D55E00"


def draw(chosen: dict[str, Chosen]) -> Figure:
    """Harm: points of class A that Pushing-II costs beyond the honest request; the method that is harmed most on top.

    Forgetting: LiRA's AUC after an honest request, beyond the retrained model's, and the victim's own before it; the
    confidence attack's where LiRA was not measured. Bars are 95 % intervals over seeds. A method that diverged in a
    seed has that seed behind its name.
    """
    lira = any(each.values("normal", "lira_auc") for each in chosen.values())
    name, words = ("lira_auc", "LiRA") if lira else ("confidence_auc", "confidence attack")
    harms = {method: each.harm(ATTACK, "class_a") for method, each in chosen.items()}
    order = sorted(chosen, key=lambda method: -1e9 if (found := harms[method]) is None else found.mean)
    figure = Figure(figsize=(10, 1.6 + 0.34 * len(order)), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    for place, method in enumerate(order):
        each = chosen[method]
        _point(left, harms[method], place, INK, "o", scale=100)
        _point(right, each.beyond_retrained("normal", name, "_before"), place + 0.18, BEFORE, "D", label="before it")
        _point(right, each.beyond_retrained("normal", name), place, INK, "o", label="after it")
    left.set_yticks(range(len(order)), [_named(method, chosen[method]) for method in order])
    for axes in (left, right):
        axes.axvline(0, color="black", linewidth=0.8)
        axes.grid(axis="y", linewidth=0.4)
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.tick_params(axis="y", length=0)
        axes.xaxis.set_major_locator(MaxNLocator(6))
    left.set_title(
        f"harm: points of class A that {attack_name(ATTACK)} takes\nbeyond the {attack_name(HONEST)}", size=10
    )
    right.set_title(f"forgetting: {words}'s AUC beyond the retrained model's\n(0: forgotten)", size=10)
    handles, labels = right.get_legend_handles_labels()
    known = dict(zip(labels, handles, strict=True))
    right.legend(known.values(), known, frameon=False, fontsize=8, title=attack_name(HONEST), title_fontsize=8)
    return figure


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
