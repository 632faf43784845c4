"""The page of the defences: what stops a push and at what price, how sure that is, then the tables."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from tabulate import tabulate

from experiments.defences import again_page, false_alarms, figure
from experiments.defences.attackers import shown_name
from experiments.defences.method_bounds import INSIDE
from experiments.defences.optional.sections import sections
from experiments.defences.people import AS_TRAINED, WRONG
from experiments.defences.summary import Harm, Price, harms, harms_by_method, honest_cost, not_met, prices
from experiments.run.records import Record, joined, made, read_records, seeds_of
from overunlearn_jax.files import write_bytes
from overunlearn_jax.reporting.wording import interval_text
from overunlearn_jax.statistics.intervals import Interval, within

_points = partial(interval_text, unit=100.0)

FOUND = "first_order"  # the method that the first sentences speak of, where it was asked


def write(folder: Path) -> Path:
    """Writes defences.md and defences.png beside the records. Raises ValueError where there are none."""
    at_gates, rows = read_records(folder / "gates.jsonl"), read_records(folder / "harm.jsonl")
    if not rows or not at_gates:
        raise ValueError(f"{folder} has no record of a method behind a defence")
    figure.draw(harms(rows, _told(rows)), prices(at_gates), folder / "defences.png")
    parts = [markdown(at_gates, rows), *sections(folder)]
    if again := read_records(folder / again_page.FILE):
        gates_again = read_records(folder / again_page.AT_GATES)
        parts.append(again_page.section(again, rows, again_page.at_gates(gates_again, at_gates)))
    return write_bytes(folder / "defences.md", "\n".join(parts).encode())


def markdown(at_gates: Sequence[Record], rows: Sequence[Record]) -> str:
    """Finding first, then prices, then a table for each method."""
    price = prices(at_gates)
    parts = ["# Defences against over-unlearning, each against an attacker who knows it", ""]
    method = _told(rows)
    parts += [
        *findings(method, harms(rows, method), price),
        "",
        "![harm left over honest people refused](defences.png)",
        "",
    ]
    parts += [_made(rows), "", "## Who gets through each gate", "", gate_table(price), ""]
    methods = list(dict.fromkeys(row["method"] for row in rows))
    if len(methods) > 1:
        parts += ["## Every method behind its defences", "", methods_table(rows, methods), ""]
    for method in methods:
        own = [row for row in rows if row["method"] == method]
        parts += [f"## {method}{_settings(own)}", "", harm_table(harms(own, method)), ""]
    if found := false_alarms.alarms(rows):
        parts += [false_alarms.section(found)]
    return "\n".join(parts)


def _told(rows: Sequence[Record]) -> str:
    """The method that the first sentences and the figure are about: FOUND, or the first that was asked."""
    methods = [row["method"] for row in rows]
    return FOUND if FOUND in methods else str(methods[0])


def findings(method: str, found: Sequence[Harm], price: Sequence[Price]) -> list[str]:
    """What passes of one method's harm: behind all gates in a sentence, behind each other defence in one."""
    [plain] = [each for each in found if each.defence == "none"]
    shown = [each for each in found if each.shown and each.best is not None and each.defence != "none"]
    costs = {(each.gate, each.refuse): each for each in price}
    gates = [each for each in shown if (each.defence, each.refuse) in costs]
    lines = [
        f"Undefended ({method}, {plain.static.count if plain.static else 0} victims) a push costs class A "
        f"{_points(plain.static)} points beyond an honest request of the same samples, and the worst that was tried "
        f"({shown_name(plain.best_name)}) {_points(plain.best)}. What the best attacker who knows it takes behind "
        "each defence:",
        "",
    ]
    if gates:
        least, most = (pick(gates, key=lambda each: each.best.mean if each.best else 0.0) for pick in (min, max))
        aucs = [costs[each.defence, each.refuse].auc["pushing_1"].mean for each in gates]
        lines.append(
            f"* **Gates on a sample** ({', '.join(each.defence for each in gates)}): {_points(least.best)} "
            f"({least.defence}) to {_points(most.best)} ({most.defence}). They tell Pushing-I from honest samples "
            f"with an area under the curve of {min(aucs):.2f} to {max(aucs):.2f}; {least.defence} refuses "
            f"{_share(costs[least.defence, least.refuse].refused)} % of honest samples, {most.defence} "
            f"{_share(costs[most.defence, most.refuse].refused)} %."
        )
    for each in shown:
        if each not in gates:
            best = f"{_points(each.best)} ({shown_name(each.best_name)})"
            lines.append(
                f"* **{each.defence}**: {best}; {_points(each.static)} from an attacker who does not know it. An "
                f"honest request costs {_points(each.honest)} more than undefended."
            )
    return lines


def gate_table(price: Sequence[Price]) -> str:
    """A line for each gate and threshold."""
    headers = [
        "Gate", "Share it may refuse", "Refused as trained on, %", "Stored anew, mean, %", "Stored anew, worst way, %",
        "Predicted wrongly, %", "Pushing-I passes, %", "Pushing-II passes, %", "AUC, Pushing-I", "AUC, Pushing-II",
        "Milliseconds a sample",
        "Pushing-I, back until accepted, passes, %",
    ]  # fmt: skip
    lines = [
        [
            each.gate,
            "–" if each.refuse is None else f"{each.refuse:g}",
            _share(each.by_way[AS_TRAINED]),
            _share(each.stored),
            f"{_share(each.worst)} ({each.worst_way})",
            _share(each.by_way.get(WRONG)),
            *(_share(each.passes.get(name)) for name in ("pushing_1", "pushing_2")),
            *(_area(each.auc.get(name)) for name in ("pushing_1", "pushing_2")),
            f"{1000 * each.seconds:.2f}",
            _share(each.passes.get("retreat_1")),
        ]
        for each in price
    ]
    return tabulate(lines, headers, tablefmt="github", disable_numparse=True)


def harm_table(found: Sequence[Harm]) -> str:
    """A line for each defence."""
    headers = [
        "Defence", "Share it may refuse", "Honest request: beyond undefended", "Static attacker: beyond honest",
        "Best attacker: beyond honest", "Which", "Through of the best, %",
    ]  # fmt: skip
    lines = [
        [
            each.defence,
            "–" if each.refuse is None else f"{each.refuse:g}",
            _points(each.honest),
            _points(each.static),
            _points(each.best),
            shown_name(each.best_name),
            _share(each.through),
        ]
        for each in found
    ]
    told = "Points of class A's test accuracy beyond what the undefended honest request costs; means over victims."
    return f"{told}\n\n{tabulate(lines, headers, tablefmt='github', disable_numparse=True)}"


def methods_table(rows: Sequence[Record], methods: Sequence[str]) -> str:
    """A line for each defence that several methods have, and for those inside one; a column for each method."""
    found = harms_by_method(rows, methods)
    names = dict.fromkeys(name for method in methods for name in found[method])
    several = [name for name in names if sum(name in found[method] for method in methods) > 1 or name in INSIDE]
    lines = [["honest request alone", *(_points(honest_cost(rows, method)) for method in methods)]]
    for defence in several:
        of = [found[method].get(defence) for method in methods]
        lines.append([defence, *("–" if each is None else _points(each.best) for each in of)])
    told = (
        "What the best attacker who asks at once costs class A beyond the undefended honest request, in points; the "
        "first line is what that request costs. The best is whoever does most on the mean: chosen among about ten by "
        "what is shown."
    )
    for name, lacking in not_met(rows, methods).items():
        told += f" {', '.join(lacking)} did not meet: {shown_name(name)}."
    return f"{told}\n\n{tabulate(lines, ['Defence', *methods], tablefmt='github', disable_numparse=True)}"


def _settings(rows: Sequence[Record]) -> str:
    settings = rows[0]["method_settings"]
    return f", {settings}" if settings else ", at a rate of each victim's own"


def _made(rows: Sequence[Record]) -> str:
    return (
        f"Victims: {joined(rows, 'model')}, seeds {seeds_of(rows)}. Accuracies are of test images; rates, thresholds, "
        f"bounds and the monitor never see them. Intervals: 95 %, Student-t over victims. {made(rows)}"
    )


def _share(found: Interval | None) -> str:
    return _points(None if found is None else within(found, 0.0, 1.0))


def _area(found: Interval | None) -> str:
    return interval_text(None if found is None else within(found, 0.0, 1.0), digits=2)
