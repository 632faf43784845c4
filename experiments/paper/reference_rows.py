"""Numbers that the paper printed, to be shown beside ours. Fractions; places and sources are in paper/numbers.json."""

from experiments.config import Config
from experiments.paper.numbers import printed
from overunlearn_jax.reporting.table import ReferenceRow

FRACTIONS = (0.1, 0.5)
ATTACKS = ("before", "normal", "pushing_1", "pushing_2")
_TEST_AIRPLANES = 1000


def paper_rows(config: Config) -> list[ReferenceRow]:
    """The paper's numbers for the data set, class and method of this run; none where it printed none."""
    setting = (
        config.data.dataset,
        config.data.class_a,
        config.service.unlearning,
        config.attack.target,
        config.victim.model,
        config.victim.blocks,
    )
    if setting != ("cifar10", "airplane", "first_order", "", "vgg", 3):
        return []
    rows: list[ReferenceRow] = [
        (
            "paper",
            attack,
            {"overall": _overall(attack, fraction), "class_a": _class_a(attack, fraction), "fraction": fraction},
        )
        for fraction in FRACTIONS
        for attack in ATTACKS
    ]
    if config.data.class_b != "cat" or config.attack.blending_ratio != 0.5:
        return rows
    return [*rows, *(("paper", "blending", {"fraction": f, "over_unlearning_b": _blending(f)}) for f in FRACTIONS)]


def _overall(attack: str, fraction: float) -> float:
    return _share(printed("table_04", dataset="cifar10", attack=attack, metric="overall", **_of(attack, fraction)))


def _class_a(attack: str, fraction: float) -> float:
    found = printed("figure_05", dataset="cifar10", attack=attack, metric="class_a", **_of(attack, fraction))
    if found is None:  # the bar of the honest request of 2,000 has no number; Table V counts the airplanes left
        counted = printed("table_05", attack=attack, metric="predicted", label="airplane", **_of(attack, fraction))
        found = None if counted is None else 100 * counted / _TEST_AIRPLANES
    return _share(found)


def _blending(fraction: float) -> float:
    where = {"dataset": "cifar10", "fraction": fraction, "blending_ratio": 0.5}
    return _share(printed("table_03", metric="class_b_drop", **where))


def _of(attack: str, fraction: float) -> dict[str, float]:
    return {} if attack == "before" else {"fraction": fraction}


def _share(percent: float | None) -> float:
    assert percent is not None
    return round(percent / 100, 6)
