"""One picture of the grid: what the attack harms, over how well the method forgets."""

from typing import Any

from matplotlib.figure import Figure

from experiments.methods.choice import Chosen, groups
from overunlearn_jax.attack_names import HONEST, attack_name
from overunlearn_jax.statistics.intervals import Interval

ATTACK = "pushing_2"
MARKERS = "osD^vPX"  # with ten colours enough to tell the methods apart
LINES = ("-", "--", "-.")


def draw(chosen: dict[str, Chosen]) -> Figure:
    """A point for each method: points of class A that Pushing-II costs, over what membership inference still finds.

    That is LiRA's AUC after an honest request, beyond the retrained model's; the confidence attack's where LiRA was not
    measured. Bars are 95 % intervals over seeds.
    """
    lira = any(each.values("normal", "lira_auc") for each in chosen.values())
    name, words = ("lira_auc", "LiRA") if lira else ("confidence_auc", "confidence attack")
    figure = Figure(figsize=(9, 5.5), layout="constrained")
    axes = figure.add_subplot()
    for number, (method, each) in enumerate(chosen.items()):
        across, up = each.beyond_retrained("normal", name), each.harm(ATTACK, "class_a")
        lost = ", ".join(map(str, each.diverged(ATTACK)))
        style: dict[str, Any] = {
            "color": f"C{number % 10}",
            "label": f"{method}, diverged ({lost})" if lost else method,
        }
        if across is None or up is None:
            axes.plot([], [], MARKERS[number % len(MARKERS)], **style)
            continue
        axes.errorbar(
            across.mean,
            100 * up.mean,
            _half(up, 100),
            _half(across, 1),
            fmt=MARKERS[number % len(MARKERS)],
            capsize=3,
            elinewidth=0.8,
            **style,
        )
    axes.axhline(0, color="black", linewidth=0.8)
    axes.axvline(0, color="black", linewidth=0.8, linestyle=":")
    for number, (_, each) in enumerate(groups(chosen)):
        if victim := each.beyond_retrained("normal", name, "_before"):
            label = f"before it, victims {number + 1}"
            axes.axvline(victim.mean, color="#D55E00", linestyle=LINES[number % len(LINES)], label=label)
    axes.set_xlabel(f"{words}'s AUC after an {attack_name(HONEST)}, beyond the retrained model's (0: forgotten)")
    axes.set_ylabel(f"points of class A that {attack_name(ATTACK)} takes beyond the {attack_name(HONEST)}")
    figure.legend(loc="outside right upper", frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def _half(value: Interval, scale: float) -> float:
    return 0.0 if value.count < 2 else scale * (value.high - value.mean)
