"""The table of what to deploy says what the rows say."""

import re
from functools import partial
from pathlib import Path

import pytest

from experiments.defences.again_page import AT_GATES, FILE, agreements, at_gates
from experiments.defences.attackers import ONE_SAMPLE, SINGLE
from experiments.defences.cases import MOST_LOST
from experiments.defences.cells import METHODS
from experiments.defences.contributors.page import markdown as contributors
from experiments.defences.false_alarms import alarms
from experiments.defences.gates import GATES
from experiments.defences.method_bounds import CAP, CLIP
from experiments.defences.summary import Harm, harms, harms_by_method, not_met, prices
from experiments.run.records import read_records
from overunlearn_jax.attack_names import HONEST
from overunlearn_jax.defences.assembly import check_defences
from tests.docs.pages import blocks

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "experiments" / "results" / "defences"
METHOD = "first_order"
TOLD = {  # the lines of the table of all methods
    "none": "nothing",
    "identify": "identification",
    "bound": "a bound on the step",
    "monitor": "a monitor",
    "identify, monitor": "identification and a monitor",
    "identify, bound, monitor": "all three",
    "identify, capped monitor": "identification and a monitor with a cap",
}


@pytest.fixture(scope="module")
def rows() -> list[dict]:
    return read_records(FOLDER / "harm.jsonl")


@pytest.fixture(scope="module")
def found(rows: list[dict]) -> dict[str, Harm]:
    return {each.defence: each for each in harms(rows, METHOD) if each.shown}


@pytest.fixture(scope="module")
def table() -> dict[str, str]:
    """What is left behind each defence, by the first words of its line."""
    text = (ROOT / "docs" / "defences.md").read_text()
    lines = re.findall(r"^\| (.+?) \| (.+?) \| (.+?) \|$", text, re.MULTILINE)
    named = [(name.split(" ")[0], f"{left} | {price}") for name, left, price in lines if name[0].islower()]
    return dict(named)


def points(value: float) -> str:
    return f"{100 * value:.0f}"


def best_of(found: dict[str, Harm], defence: str) -> str:
    """What the best attacker takes there, as the text has it."""
    best = found[defence].best
    assert best is not None
    return f"{100 * best.mean:.1f} [{100 * best.low:.1f}, {100 * best.high:.1f}]"


def cell(harm: Harm | None) -> str:
    if harm is None or harm.best is None:
        return "not measured"
    told = points(harm.best.mean)
    return "0" if told == "-0" else told


def costs_of(rows: list[dict], defence: str, request: str, method: str = METHOD) -> float:
    """Beyond the undefended honest request, the mean over victims."""
    own = [row for row in rows if row["method"] == method and row["defence"] == defence and row["request"] == request]
    honest = {row["seed"]: row["class_a"] for row in rows
              if (row["method"], row["defence"], row["request"]) == (method, "none", HONEST)}  # fmt: skip
    return sum(honest[row["seed"]] - row["class_a"] for row in own) / len(own)


def test_the_page_begins_with_its_words_and_with_what_to_deploy():
    text = (ROOT / "docs" / "defences.md").read_text()
    before = text[: text.index("\n| ")]
    for word in ("Identification", "A **bound**", "A **monitor**", "A **cap**", "A **gate**"):
        assert len(re.findall(rf"^\* \**{re.escape(word)}.*\.$", before, re.MULTILINE)) == 1, word
    deployed = f"identify,monitor(most_lost={MOST_LOST:g})"
    typed = [block.text for block in blocks(ROOT / "docs" / "defences.md") if deployed in block.text]
    assert len(typed) == 2  # a command, and Python
    assert all(block in before for block in typed)
    assert "not in production" in before
    check_defences(deployed)


def test_what_is_left(rows: list[dict], found: dict[str, Harm], table: dict[str, str]):
    assert f"left of {points(found['none'].static.mean)} points" in (ROOT / "docs" / "defences.md").read_text()
    gates = [found[name].best.mean for name in GATES if name != "exact"]
    assert table["gates"].startswith(f"{points(min(gates))} to {points(max(gates))} |")
    again = points(costs_of(rows, "exact", ONE_SAMPLE[0]))
    assert table["exact"].startswith(f"0 from pushes, {again} from one own sample again and again |")
    assert max(costs_of(rows, "exact", name) for name in ("pushing_1", "pushing_2", "retreat_1", "retreat_2")) < 5e-3
    assert table["clip"].startswith(f"{points(found['clip_each'].best.mean)} |")
    chosen = points(found["identify"].best.mean)
    assert found["identify"].best_name == "lowest_margin"
    assert table["identify"].startswith(f"0 from forged or repeated samples, {chosen} from samples *chosen*")
    assert max(costs_of(rows, "identify", name) for name in (*ONE_SAMPLE, "pushing_1", "pushing_2")) < 5e-4
    bound = found["bound"]
    assert table["bound"].startswith(f"{points(bound.static.mean)} at once, {points(bound.best.mean)} in ten small")
    assert table["monitor"].startswith(f"{points(found['monitor'].best.mean)} |")
    together = found["identify, bound, monitor"]
    for defence in ("identify, monitor", "identify, capped monitor"):
        assert table["identification"].startswith(f"{cell(found[defence])} |")
        assert max(costs_of(rows, defence, row["request"]) for row in rows
                   if (row["method"], row["defence"]) == (METHOD, defence)) < 5e-4  # fmt: skip
    assert together.best_name == "lowest_margin"
    assert table["identification,"].startswith(f"{points(together.best.mean)}, from chosen samples |")


def test_what_honest_people_pay(rows: list[dict], table: dict[str, str]):
    refused = {each.gate: each.refused.mean for each in prices(read_records(FOLDER / "gates.jsonl"))
               if each.refuse in (None, 0.05)}  # fmt: skip
    others = [refused[name] for name in GATES if name != "exact"]
    assert f"{points(min(others))} to {points(max(others))} % of their samples refused" in table["gates"]
    assert f"{points(refused['exact'])} % refused" in table["exact"]
    forgotten = {(each.defence, each.attack): each.forgotten.mean for each in alarms(rows)}
    assert forgotten["monitor", "pushing_1"] == forgotten["monitor", "pushing_2"] == 0
    assert forgotten["monitor", HONEST] == forgotten["monitor, by request", "pushing_1"] == 1
    assert "unless it is tried request by request" in table["monitor"]


def test_small_requests(rows: list[dict]):
    text = (ROOT / "docs" / "defences.md").read_text()
    at_once = points(costs_of(rows, "none", "pushing_1 in 10 requests"))
    assert f"small requests takes {at_once} points undefended" in " ".join(text.split())


def test_seconds():
    text = " ".join((ROOT / "docs" / "defences.md").read_text().split())
    rows = {(row["method"], row["defence"]): row for row in read_records(FOLDER / "seconds.jsonl")}

    def added(defence: str, when: str, method: str = METHOD) -> float:
        return rows[method, defence][f"seconds_{when}"] - rows[method, "none"]["seconds_later"]

    def once(defence: str, method: str = METHOD) -> str:
        return f"{rows[method, defence]['seconds_prepared']:.0f}"

    alone = rows[METHOD, "none"]["seconds_later"]
    first = [added(name, "first") for name in ("bound", "monitor")]
    later = {name: added(name, "later") for name in ("copies", "identify", "clip_each", "bound", "monitor")}
    assert f"it takes {alone:.2f} seconds. The gate `copies` adds {later['copies']:.1f}, identification" in text
    assert f"identification {later['identify']:.1f}, a clip of each sample's gradient {later['clip_each']:.1f};" in text
    assert f"a bound adds {first[0]:.1f} and a monitor {first[1]:.1f} to the first of a size" in text
    assert f"of that size {later['bound']:.1f} and {later['monitor']:.1f}." in text
    slow = {method: rows[method, "none"]["seconds_later"] for method in ("neg_grad_plus", "scrub")}
    waits = {method: added("monitor", "first", method) for method in slow}
    assert f"adds {waits['neg_grad_plus']:.0f} seconds to the first under NegGrad+, whose deletions take" in text
    assert (
        f"take {slow['neg_grad_plus']:.0f}, and {waits['scrub']:.0f} under SCRUB, whose take {slow['scrub']:.0f}."
        in text
    )
    cap = once("cap on dampening", "selective_dampening")
    assert f"asked: {once('identify')} seconds for the digests that identification looks up, {once(CLIP)} for" in text
    assert f"clipped at, {cap} for a cap on dampening." in text
    undefended = [rows[method, "none"] for method in METHODS]
    longer = [row["seconds_first"] / row["seconds_later"] for row in undefended]
    shorter = [rows[method, name]["seconds_later"] / rows[method, "none"]["seconds_later"]
               for method in METHODS for name in ("copies", "identify") if method != METHOD]  # fmt: skip
    assert max(*longer, *shorter, *(1 / each for each in shorter)) < 1.5
    assert set(METHODS) == {method for method, _ in rows}


def test_asked_again(rows: list[dict]):
    text = " ".join((ROOT / "docs" / "defences.md").read_text().split())
    by_device: dict[str, dict] = {}
    for each in agreements(read_records(FOLDER / FILE), rows):
        by_device.setdefault(each.device, {})[each.method] = each
    [on_cpu, found] = (by_device[device] for device in ("AMD EPYC", "NVIDIA H100 80GB HBM3"))
    step = on_cpu.pop(METHOD)
    assert (
        f"In front of a first-order step {step.requests} of them left class A within {100 * step.most:.1f} points"
        in text
    )
    gates = at_gates(read_records(FOLDER / AT_GATES), read_records(FOLDER / "gates.jsonl"))
    assert f"of {len(gates)} counts at gates {gates.count(0)} were the same." in text
    assert set(on_cpu) == {"gradient_ascent", "influence", "selective_dampening", "scrub"}
    again = [each for each in read_records(FOLDER / FILE) if each["method"] in on_cpu and each["device"] == "AMD EPYC"]
    assert {each["seed"] for each in again} == {0}
    assert len(again) == sum(row["seed"] == 0 and row["method"] in on_cpu for row in rows)
    of_scrub = on_cpu["scrub"]
    assert {each.most for each in on_cpu.values() if each is not of_scrub} == {0.0}
    assert all(each.requests == each.as_many_through for each in on_cpu.values())
    assert (
        f"All {len(again)} of one victim under gradient ascent, influence, selective dampening and SCRUB: every" in text
    )
    assert (
        f"class A was left the same to the test image, under SCRUB {100 * of_scrub.most:.1f} points apart at most."
    ) in text
    whole = found.pop("neg_grad_plus")
    assert whole.requests == sum(row["method"] == "neg_grad_plus" for row in rows)
    assert whole.requests == whole.as_many_through
    assert f"All {whole.requests} under NegGrad+, on a GPU: every defence let as many samples through" in text
    assert f"{100 * whole.mean:.1f} points apart on the mean, {100 * whole.most:.1f} at most." in text
    assert all(each.requests == each.as_many_through for each in found.values())
    worst = max(found.values(), key=lambda each: each.most)
    assert (worst.method, worst.furthest) == ("scrub", ONE_SAMPLE[0])
    assert set(found) == {"scrub", "selective_dampening"}
    part = sum(each.requests for each in found.values())
    assert f"Of {part} under SCRUB and selective dampening there, all that there was time for, the furthest was" in text
    assert f"furthest was {100 * worst.most:.1f} points apart: one sample sent four hundred times" in text


def test_contributors():
    text = " ".join((ROOT / "docs" / "defences.md").read_text().split())
    told = text[text.index("Does over-unlearning reach exact") : text.index("(made/results/contributors.md)")]
    page = contributors(read_records(FOLDER / "contributors.jsonl"))
    numbers = re.findall(r"-?\d+\.\d \[-?\d+\.\d, -?\d+\.\d\]", told)
    assert len(numbers) == 7
    assert [number for number in numbers if number not in page] == []
    assert "through poisoning? Undecided.**" in page


def test_gradient_ascent(rows: list[dict]):
    text = " ".join((ROOT / "docs" / "defences.md").read_text().split())
    found = {each.defence: each for each in harms(rows, "gradient_ascent") if each.shown}

    left = partial(best_of, found)

    assert f"a monitor leave {left('identify, monitor')} of {left('none')} points, a bound {left('bound')}." in text
    assert found["identify, monitor"].best_name == ONE_SAMPLE[0]


def test_selective_dampening(rows: list[dict]):
    text = " ".join((ROOT / "docs" / "defences.md").read_text().split())
    found = {each.defence: each for each in harms(rows, "selective_dampening") if each.shown}

    left = partial(best_of, found)

    alone = f"a monitor alone {left('monitor')}, a bound {left('bound')}, a cap on the weights"
    assert f"Under selective dampening they leave {left('identify, monitor')} of {left('none')}, {alone}" in text
    assert f"that it may shrink {left(CAP)};" in text
    assert found["monitor"].best_name == found["bound"].best_name == SINGLE
    assert f"whatever honest requests lose, leaves {left('identify, capped monitor')}." in text
    once = points(costs_of(rows, "identify, monitor", SINGLE, "selective_dampening"))
    assert f"takes {once} points past identification and a monitor without a cap" in text
    assert f"most_lost={MOST_LOST:g})" in text


def test_neg_grad_plus(rows: list[dict]):
    text = " ".join((ROOT / "docs" / "defences.md").read_text().split())
    found = {each.defence: each for each in harms(rows, "neg_grad_plus") if each.shown}
    monitor, none, capped = (best_of(found, name) for name in ("identify, monitor", "none", "identify, capped monitor"))
    assert f"which cost {monitor} of {none} points; under the cap {capped} are left." in text
    assert found["identify, monitor"].best_name == "lowest_margin"


def test_every_method(rows: list[dict]):
    lines = (ROOT / "docs" / "defences.md").read_text().splitlines()
    [head] = [number for number, line in enumerate(lines) if line.startswith("| behind | first_order |")]
    own = [line for line in lines[head : head + 2 + len(TOLD)] if line.startswith("|")]
    table = [[each.strip() for each in line.split("|")[1:-1]] for line in own]
    methods = table[0][1:]
    assert methods == METHODS
    found = harms_by_method(rows, methods)
    shown = [[TOLD[defence], *(cell(found[method].get(defence)) for method in methods)] for defence in TOLD]
    assert table[2:] == shown
    assert not_met(rows, methods) == {}  # every attacker who asks at once has met every method


def test_under_the_cap(rows: list[dict]):
    text = " ".join((ROOT / "docs" / "defences.md").read_text().split())
    capped = {method: of["identify, capped monitor"] for method, of in harms_by_method(rows, METHODS).items()}
    worst = max(capped, key=lambda method: capped[method].best.mean)
    assert worst == "gradient_ascent"
    assert f"gradient ascent leaves most, {best_of(capped, worst)} points" in text
    assert f"no attacker who asks at once takes more than {best_of(capped, worst)} points" in text
    honest = [row for row in rows if (row["defence"], row["request"]) == ("identify, capped monitor", HONEST)]
    assert len(honest) == 3 * len(METHODS)
    assert all(row["through"] == row["samples"] for row in honest)  # released under every method and for every victim
    alone, again = (costs_of(rows, "none", name, worst) for name in (SINGLE, ONE_SAMPLE[0]))
    assert alone == pytest.approx(again, abs=5e-3)
