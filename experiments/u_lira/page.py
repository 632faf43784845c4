"""The page: who can tell, how sure that is, then a line for each method."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tabulate import tabulate

from experiments.run.records import Record, joined, made, read_records, seeds_of
from experiments.u_lira.measure import NOTHING
from experiments.u_lira.resampling import interval, resampled_aucs
from overunlearn_jax.files import write_bytes
from overunlearn_jax.forgetting import LEAST_MODELS, klom_of_few, membership, u_lira_scores
from overunlearn_jax.reporting.wording import interval_text
from overunlearn_jax.statistics.intervals import Interval, mean_interval


class Found(NamedTuple):
    """One method, over all models. Intervals of AUCs: see `resampling`; those of accuracies are over the models."""

    method: str
    name: str  # its settings
    models: int
    left_out: int  # models of which nothing was left
    auc: Interval | None
    less: Interval | None  # than of the same models before they were asked to forget, paired; None: of one's own
    tpr: float  # where 1 % of the samples never seen are mistaken for forgotten ones, mean over models; NaN: too few
    klom: float  # nats, the mean over samples
    forget_accuracy: Interval | None
    class_a: Interval | None
    overall: Interval | None


def write(path: Path) -> Path:
    """Writes the page beside the records. Raises ValueError where there are none."""
    rows = read_records(path)
    if not rows:
        raise ValueError(f"{path} has no record of a model")
    return write_bytes(path.with_suffix(".md"), markdown(rows).encode())


def markdown(rows: Sequence[Record]) -> str:
    """Finding first."""
    found = [each for seed in dict.fromkeys(row["seed"] for row in rows) for each in by_method(rows, seed)]
    plain, others = found[0], found[1:]
    first, samples = rows[0], len(rows[0]["inside"])

    lines = [
        "# Can anyone tell what a model forgot?",
        "",
        f"Of models that know their training data, an attacker who trains such models tells a training sample of class "
        f"A from one that the model never saw with an area under the curve of {interval_text(plain.auc, 1, 3)}. After "
        f"the model was asked to forget {first['requested']} of them, an attacker whose models forgot, too (U-LiRA), "
        "does so with:",
        "",
        *(
            f"* **{each.method}** ({each.name}): {interval_text(each.auc, 1, 3)}, less than of the same models before "
            f"by {interval_text(each.less, 1, 3)}."
            for each in others
        ),
        "",
        "0.5 is what retraining has: a model retrained without a sample never saw it.",
        "",
        f"{plain.models} models ({joined(rows, 'model')}), each trained on {first['train_samples']:,} images to its "
        f"lowest training loss; all but the {samples} audited samples are the same for all, and each has another half "
        "of these. Every model is judged by the others, but for the one that was trained on just what it was not. "
        "Intervals of AUCs: 95 % or more, of models and audited samples drawn anew, since all models share both; of "
        f"accuracies 95 %, Student-t over models. Seeds {seeds_of(rows)}. {made(rows)}",
        "",
        table(found),
        "",
        *_not_judged(rows, found),
        "KLOM: how far the margins of models that forgot a sample lie from those of models that never saw it, "
        "Gaussians of one variance, less what chance alone makes; 0 is perfect. TPR: the share of forgotten samples "
        "that is found where 1 % of those never seen are mistaken for them. Accuracies: on the forgotten samples, and "
        "on test images of class A and of all classes.",
        "",
    ]
    return "\n".join(lines)


def _not_judged(rows: Sequence[Record], found: Sequence[Found]) -> list[str]:
    """Methods after which too few models are left."""
    judged = {each.method for each in found}
    lacking = [name for name in dict.fromkeys(row["method"] for row in rows) if _name(name) not in judged]
    return [f"Not judged, fewer than {LEAST_MODELS} models left: {', '.join(lacking)}.", ""] if lacking else []


def _name(method: str) -> str:
    return "nothing was forgotten" if method == NOTHING else method


def table(found: Sequence[Found]) -> str:
    """A line for each method."""
    headers = ["Method", "Settings", "Models", "U-LiRA AUC", "Less than before", "TPR at 1 % FPR", "KLOM, nats",
               "Forgotten, accuracy, %", "Class A, %", "Overall, %"]  # fmt: skip
    lines = [
        [
            each.method,
            each.name or "–",
            f"{each.models}" + (f" ({each.left_out} left out)" if each.left_out else ""),
            interval_text(each.auc, 1, 3),
            interval_text(each.less, 1, 3),
            "–" if np.isnan(each.tpr) else f"{each.tpr:.3f}",
            f"{each.klom:.2f}",
            *(interval_text(of, 100, 1) for of in (each.forget_accuracy, each.class_a, each.overall)),
        ]
        for each in found
    ]
    return tabulate(lines, headers, tablefmt="github", disable_numparse=True)


class _Judged(NamedTuple):
    numbers: list[int]  # of the models
    scores: np.ndarray  # shape=(s, n)
    inside: np.ndarray  # shape=(s, n), dtype=bool

    def of(self, numbers: Sequence[int]) -> np.ndarray:
        """Mean AUCs of some of the models, see `resampled_aucs`."""
        rows = [self.numbers.index(number) for number in numbers]
        return resampled_aucs(self.scores[rows], self.inside[rows])


def _less(before: _Judged, after: _Judged) -> Interval | None:
    """How much lower the AUC of the same models is."""
    shared = [number for number in after.numbers if number in before.numbers]
    return interval(before.of(shared) - after.of(shared), len(shared)) if shared else None


def by_method(rows: Sequence[Record], seed: int) -> list[Found]:
    """In the order of the records; a model of which nothing is left is not judged, and judges nobody."""
    found: list[Found] = []
    before: _Judged | None = None
    for method, reading in dict.fromkeys((row["method"], row["reading"]) for row in rows):
        of_method = [row for row in rows if (row["method"], row["reading"], row["seed"]) == (method, reading, seed)]
        own = [row for row in of_method if row["margins"] is not None]
        if len(own) < LEAST_MODELS:
            continue
        margins, inside = np.array([row["margins"] for row in own]), np.array([row["inside"] for row in own], bool)
        scores = u_lira_scores(margins, inside)
        judged = _Judged([row["model_number"] for row in own], scores, inside)
        rates = [membership(each[kind], each[~kind]).tpr_at_1_fpr for each, kind in zip(scores, inside, strict=True)]
        before = before or judged
        accuracies = (mean_interval([row[name] for row in own]) for name in ("forget_accuracy", "class_a", "overall"))
        found.append(
            Found(
                _name(method),
                reading,
                len(own),
                len(of_method) - len(own),
                interval(resampled_aucs(scores, inside), len(own)),
                _less(before, judged) if method != NOTHING else None,
                float(np.mean(rates)),
                float(klom_of_few(margins, inside).mean()),
                *accuracies,
            )
        )
    return found
