"""The grid as tables: what each method's requests harm, whether honest ones are forgotten, and every strength."""

from collections.abc import Callable, Iterable

from tabulate import tabulate

from experiments.measures.forgetting import RELEARN_MOST
from experiments.methods.choice import Chosen, Results, choose, groups, share_a_victim, tried
from experiments.methods.grid import LADDERS
from overunlearn_jax.attack_names import attack_name
from overunlearn_jax.reporting.forgetting import MEASURES, TO_ITSELF, Measure
from overunlearn_jax.reporting.wording import NOTHING
from overunlearn_jax.statistics.intervals import Interval
from overunlearn_jax.unlearn.facts import facts_of

ATTACKS = ("noise", "blending", "pushing_1", "pushing_2")
ATTACKERS = {"confidence AUC": "confidence_auc", "LiRA AUC": "lira_auc"}
Column = tuple[str, Callable[[Chosen], str]]


def harm(chosen: dict[str, Chosen]) -> str:
    """Over-unlearning I (class A) and II (class B), in points beyond the honest request."""
    columns: list[Column] = [
        ("victims", _victims(chosen)),
        ("setting", lambda each: each.setting + ("" if each.fits else " (none tried is gentler)")),
        ("originals found %, blending / I / II", _matched),
        ("class A before %", lambda each: _show(each.values("normal", "class_a_before"), 100)),
        ("after honest %", lambda each: _or_diverged(each, "normal", each.values("normal", "class_a"))),
        *((f"A, {attack_name(attack)}", _harm(attack, "class_a")) for attack in ATTACKS),
        *((f"B, {attack_name(attack)}", _harm(attack, "class_b")) for attack in ATTACKS[1:]),
    ]
    return _table(columns, _lines(chosen, columns))


def forgetting(chosen: dict[str, Chosen]) -> str:
    """Whether an honest request is forgotten: the numbers of the retrained models and of the victims come last."""
    attackers = attackers_of(chosen.values())
    measures = [each for each in MEASURES if _measured(chosen.values(), each.key)]
    columns: list[Column] = [
        ("victims", _victims(chosen)),
        ("needs", lambda each: _needs(each.run.method)),
        *((f"{title} beyond retrained", _beyond(name)) for title, name in attackers.items()),
        *((_title(each), _plain(each.key, each.scale, each.places)) for each in measures),
        ("gradient evaluations", lambda each: _show(each.work(), 1, 0)),
        ("seconds", lambda each: _show(each.seconds(), 1)),
    ]
    lines = _lines(chosen, columns)
    for number, (_, some) in enumerate(groups(chosen), start=1):
        for title, suffix in (("retrained", "_retrained"), ("the victim", "_before")):
            known = [
                NOTHING
                if f"{each.key}{suffix}" == TO_ITSELF
                else _show(some.values("normal", f"{each.key}{suffix}"), each.scale, each.places)
                for each in measures
            ]
            beyond = [_show(some.beyond_retrained("normal", name, suffix), 1, 3) for name in attackers.values()]
            lines.append([f"({title})", str(number), "", *beyond, *known, NOTHING, NOTHING])
    return _table(columns, lines)


def strengths(results: Results) -> str:
    """What each method does at every strength that was tried; the chosen ones are in bold."""
    attackers = attackers_of(each for method in LADDERS for each in tried(results, method))
    lines = []
    for method in LADDERS:
        chosen = choose(results, method)
        for each in tried(results, method):
            bold = "**" if chosen and (each.run, each.tau) == (chosen.run, chosen.tau) else ""
            lines.append(
                [
                    f"{bold}{method}{bold}",
                    f"{bold}{each.setting}{bold}",
                    _or_diverged(each, "normal", each.honest_cost()),
                    *(_or_diverged(each, attack, each.harm(attack, "class_a")) for attack in ATTACKS[1:]),
                    _plain("forget_accuracy", 100, 1)(each),
                    *(_beyond(name)(each) for name in attackers.values()),
                ]
            )
    headers = [
        "method",
        "setting",
        "honest request costs A",
        *(f"{attack_name(attack)} beyond it" for attack in ATTACKS[1:]),
        "forget accuracy %",
        *(f"{title} beyond retrained" for title in attackers),
    ]
    return str(tabulate(lines, headers, "github", disable_numparse=True))


def attackers_of(runs: Iterable[Chosen]) -> dict[str, str]:
    """Those of `ATTACKERS` that judged all of these runs, so that they compare; LiRA is asked only with --shadows."""
    known = list(runs)
    return {title: name for title, name in ATTACKERS.items() if _measured(known, name)}


def _measured(runs: Iterable[Chosen], name: str) -> bool:
    """Of all that left a model."""
    left = [each for each in runs if each.values("normal", "forget_accuracy") is not None]
    return bool(left) and all(each.values("normal", name) is not None for each in left)


def _or_diverged(each: Chosen, attack: str, value: Interval | None) -> str:
    seeds = ", ".join(map(str, each.diverged(attack)))
    return ", ".join(filter(None, (_show(value, 100) if value or not seeds else "", seeds and f"diverged ({seeds})")))


def _title(measure: Measure) -> str:
    return measure.title + (f" ({RELEARN_MOST}: or never)" if measure.key == "relearn_steps" else "")


def _victims(chosen: dict[str, Chosen]) -> Callable[[Chosen], str]:
    """The numbers of the victims that a method unlearns: several where its seeds were not all made on one machine."""
    numbered = list(enumerate(groups(chosen), start=1))

    def numbers(each: Chosen) -> str:
        own = [
            str(number)
            for number, group in numbered
            if each.run.method in group.methods or share_a_victim(each, group.most_seeds)
        ]
        return ", ".join(own)

    return numbers


def _needs(method: str) -> str:
    return "retained data" if facts_of(method).needs_retained else "the request"


def _harm(attack: str, name: str) -> Callable[[Chosen], str]:
    return lambda each: _or_diverged(each, attack, each.harm(attack, name))


def _beyond(name: str) -> Callable[[Chosen], str]:
    return lambda each: _show(each.beyond_retrained("normal", name), 1, 3)


def _matched(each: Chosen) -> str:
    """Percent of a malicious request's images whose nearest training sample is their own original."""
    found = [each.values(attack, "matched_to_original") for attack in ATTACKS[1:]]
    return NOTHING if None in found else " / ".join(f"{100 * share.mean:.1f}" for share in found if share)


def _plain(name: str, scale: float, digits: int) -> Callable[[Chosen], str]:
    return lambda each: _show(each.values("normal", name), scale, digits)


def _table(columns: list[Column], lines: list[list[str]]) -> str:
    headers = ["method", *(title for title, _ in columns)]
    return str(tabulate(lines, headers, "github", disable_numparse=True))


def _lines(chosen: dict[str, Chosen], columns: list[Column]) -> list[list[str]]:
    return [[method, *(show(chosen[method]) for _, show in columns)] for method in LADDERS if method in chosen]


def _show(value: Interval | None, scale: float, digits: int = 1) -> str:
    if value is None:
        return NOTHING
    mean, low, high = (f"{scale * number:,.{digits}f}" for number in value[:3])
    return mean if value.count < 2 else f"{mean} [{low}, {high}]"
