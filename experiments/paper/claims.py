"""What the paper claims, in ten sentences, and what our rows say of each.

A claim is read in places of the paper's tables, or as the difference of two groups of places ("the more, the worse").
For each seed the effect is the mean over them; its interval is over seeds. All claims are judged together: supported
where the paper's sign stands (Benjamini and Hochberg, 5 %), contradicted where the other does, else undecided.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from experiments.paper.cells import Results, chosen_tau, drop_by_seed
from experiments.paper.exhibits import layouts_of
from experiments.paper.layout import Entry, paper_effects
from experiments.paper.render import NOT_MEASURED, Rendered, number, shown
from experiments.paper.studies import STUDIES
from overunlearn_jax.statistics.intervals import Interval, mean_interval
from overunlearn_jax.statistics.multiple import p_value, stand_together

VERDICTS = ("supported", "undecided", "contradicted", "not measured")
NOTES = [
    "Points of accuracy less than after the honest request, overall or of a class as the table has it; for a targeted "
    "push, points of the class that are called the target and were not after the honest request. Ours: the mean over "
    "the places by seed [95 % Student-t interval over seeds]; at rates at which the honest request costs class A what "
    "the paper's does, or less. The paper's: the mean over the same places.",
    "Supported: our effect has the paper's sign and stands when the ten are judged together (Benjamini and Hochberg, a "
    "false discovery rate of at most 5 %, for tests that are independent or depend on each other positively; these "
    "share their victims). Contradicted: it stands with the other sign. Undecided: it does not stand. The size is "
    "another question: see both numbers.",
]
TEST_IMAGES = {"cifar10": 1000, "cifar100": 100, "stl10": 100}  # of a class: what counts become points by


class Claim(NamedTuple):
    """A sentence, and where it is looked for."""

    words: str
    exhibits: tuple[str, ...]
    places: Callable[[Entry], bool]
    less: Callable[[Entry], bool] | None = None  # the places that are taken away: the claim is of a difference
    gains: bool = False  # whether what is claimed is a gain beside the honest request: images called the target


class Judged(NamedTuple):
    """A claim beside our rows. Points of accuracy, of overall accuracy or of a class's as the exhibit has it."""

    claim: Claim
    ours: Interval | None  # None: not measured
    paper: float
    places: int
    stands: bool

    @property
    def verdict(self) -> str:
        """Of the rows."""
        if self.ours is None:
            return "not measured"
        if not self.stands:
            return "undecided"
        return "supported" if self.ours.mean * self.paper > 0 else "contradicted"


def _every(entry: Entry) -> bool:
    return True


def _at(fraction: float) -> Callable[[Entry], bool]:
    return lambda entry: entry.fraction == fraction


def _of(*studies: str) -> Callable[[Entry], bool]:
    return lambda entry: entry.study in studies


def _aimed_at(entry: Entry) -> bool:
    return bool(entry.label) and entry.label == STUDIES[entry.study].get("target")


CLAIMS = (
    Claim("A push costs its class more than an honest request", ("figure_05",), _at(0.1)),
    Claim("Pushing costs overall accuracy", ("table_04",), _every),
    Claim("The more samples are pushed, the more it costs overall", ("figure_10",), _at(0.5), _at(0.1)),
    Claim("It holds for other classes", ("table_10",), _every),
    Claim(
        "It holds for a ResNet and for deeper networks",
        ("table_08", "table_09"),
        _of("cifar10_resnet", "cifar10_4_blocks", "cifar10_5_blocks"),
    ),
    Claim("A targeted push makes images of its class the target's", ("table_05", "table_06"), _aimed_at, gains=True),
    Claim("Blending costs the class that is blended in", ("table_03",), _every),
    Claim(
        "The more of the other class is blended in, the more it costs that class",
        ("table_03",),
        _of("cifar10_blending_0.5"),
        _of("cifar10"),
    ),
    Claim("Blending costs overall accuracy", ("table_11",), _every),
    Claim("Fine-tuning on random labels is over-unlearned, too", ("table_12",), _every),
)


def judged(results: Results) -> list[Judged]:
    """Every claim, in its order."""
    found = []
    for claim in CLAIMS:
        places = places_of(claim)
        more = [each for each in places if claim.places(each[0])]
        less = [each for each in places if claim.less is not None and claim.less(each[0])]
        sign = -1.0 if claim.gains else 1.0
        ours = _mean_by_seed(results, [entry for entry, _ in more])
        if claim.less is not None:
            base = _mean_by_seed(results, [entry for entry, _ in less])
            ours = {seed: value - base[seed] for seed, value in ours.items() if seed in base}
        paper = np.mean([effect for _, effect in more]) - (np.mean([effect for _, effect in less]) if less else 0.0)
        interval = mean_interval([sign * value for value in ours.values()]) if ours else None
        found.append(Judged(claim, interval, float(sign * paper), len(more) + len(less), stands=False))
    tested = [each for each in found if each.ours is not None and each.ours.count > 1]
    chosen = stand_together([p_value(each.ours) for each in tested if each.ours is not None])
    standing = {each.claim.words for each, stand in zip(tested, chosen, strict=True) if stand}
    return [each._replace(stands=each.claim.words in standing) for each in found]


def in_words(found: Sequence[Judged]) -> Rendered:
    """The claims as a table."""
    headers = ("The paper claims", "Our rows", "Ours, points", "The paper's", "Places", "Read in")
    rows: list[tuple[str, ...]] = [
        (
            each.claim.words,
            each.verdict,
            NOT_MEASURED if each.ours is None else shown(each.ours, 1),
            number(each.paper, 1),
            str(each.places),
            ", ".join(layouts_of(name)[0].title.split(":")[0] for name in each.claim.exhibits),
        )
        for each in found
    ]
    counted = {verdict: sum(each.verdict == verdict for each in found) for verdict in VERDICTS}
    return Rendered("claims", "Ten claims of the paper", 2, headers, rows, NOTES, told(counted))


def told(counted: Mapping[str, int]) -> str:
    """How many claims have which verdict.

    >>> told({"supported": 2, "contradicted": 0, "undecided": 1, "not measured": 0})
    '2 supported, 1 undecided'
    """
    return ", ".join(f"{count} {verdict}" for verdict, count in counted.items() if count)


def places_of(claim: Claim) -> list[tuple[Entry, float]]:
    """Where the paper prints an effect that the claim is about, and that effect in points."""
    return [
        (entry, points(entry, effect))
        for name in claim.exhibits
        for entry, effect in paper_effects(layouts_of(name)[0]).items()
        if claim.places(entry) or (claim.less is not None and claim.less(entry))
    ]


def points(entry: Entry, effect: float) -> float:
    """An effect in points: of test images, a share of the class's."""
    counted = entry.measure in ("predicted", "predicted_right")
    return 100 * effect / TEST_IMAGES[STUDIES[entry.study]["dataset"]] if counted else effect


def effects_at(results: Results, entry: Entry) -> dict[int, float]:
    """Our effect at a place in points, by seed; nothing where it is not measured."""
    if entry.study not in results:
        return {}
    drops = drop_by_seed(results, entry, chosen_tau(results, entry.study, entry.fidelity))
    return {seed: points(entry, drop) for seed, drop in drops.items()}


def _mean_by_seed(results: Results, entries: Sequence[Entry]) -> dict[int, float]:
    """Of the seeds that have every place."""
    by_place = [effects_at(results, entry) for entry in entries]
    shared = set.intersection(*(set(each) for each in by_place)) if by_place else set()
    return {seed: float(np.mean([each[seed] for each in by_place])) for seed in sorted(shared)}
