"""The picture of the defences: harm left over honest people refused, a line a gate, the best attacker's answer."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib import colormaps
from matplotlib.figure import Figure

from experiments.defences.summary import Harm, Price
from overunlearn_jax.reporting.drawing import INK, plain_axes, save

MARKERS = "osD^vP*Xhp<>"


def draw(harms: Sequence[Harm], prices: Sequence[Price], path: Path) -> Path:
    """Gates are lines over their thresholds: filled marks the best attacker, open ones who does not know the gate.

    Defences that refuse nobody stand at 0.
    """
    figure = Figure(figsize=(9, 5.5), layout="constrained")
    axes = figure.subplots()
    refused = {(each.gate, each.refuse): each.refused.mean for each in prices}
    names = list(dict.fromkeys(each.defence for each in harms))
    colours = colormaps["tab20"].colors  # type: ignore[attr-defined]
    for number, name in enumerate(names):
        own = [each for each in harms if each.defence == name and each.best is not None]
        places = [(100 * refused.get((each.defence, each.refuse), 0.0), each) for each in own]
        places.sort(key=lambda place: place[0])
        colour, marker = colours[number % len(colours)], MARKERS[number % len(MARKERS)]
        best = [100 * each.best.mean for _, each in places if each.best]
        static = [100 * each.static.mean for _, each in places if each.static]
        axes.plot([place for place, _ in places], best, marker=marker, color=colour, label=name, markersize=8)
        axes.plot(
            [place for place, each in places if each.static],
            static,
            marker=marker,
            color=colour,
            linestyle=":",
            markerfacecolor="white",
            markersize=6,
        )
    axes.axhline(0, color=INK, linewidth=0.8)
    axes.set_xlabel("honest samples refused, % (as trained on and stored anew in seven ways)", fontsize=11)
    axes.set_ylabel("class A lost beyond an honest request, points", fontsize=11)
    axes.set_title("filled: the best attacker who knows the defence; open: the best who does not", fontsize=11)
    axes.legend(fontsize=9, loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    plain_axes(axes)
    return save(figure, path)
