"""The searches for the decision boundary that a run may choose from, each ready to be called with samples."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from experiments.config import AttackConfig
from overunlearn_jax.attacks import (
    LabelOnlySettings,
    PushResult,
    SubspaceSettings,
    ZooSettings,
    check_subspace_settings,
    default_slots,
    push,
    push_by_labels,
    push_in_subspace,
)
from overunlearn_jax.auditing.choosing import NEED_PUSHES
from overunlearn_jax.auditing.recommending import in_a_subspace, recommend
from overunlearn_jax.auditing.revealing import Revealed
from overunlearn_jax.black_box import BlackBox
from overunlearn_jax.data import candidates
from overunlearn_jax.types import DatasetSpec, Key, Split, Splits

START_IMAGES = 500  # that the search by labels asks about, to begin with those that are predicted as their class

LATER = ("blind_steps", "resolution", "levels")  # settings that are newer than pushes which are kept

OnFinished = Callable[[np.ndarray, PushResult], None]


class Search(NamedTuple):
    """One way to push samples."""

    name: str  # "zoo", "subspace" or "labels"
    described: dict[str, Any]  # all that its results depend on, but for victim, key and samples
    run: Callable[[BlackBox, Split, Key, OnFinished], PushResult]


def check_search(config: AttackConfig, spec: DatasetSpec) -> None:
    """Raises ValueError for blocks that do not tile the images, and for a round of too many queries."""
    if not NEED_PUSHES & set(config.attacks):
        return
    if config.search == "subspace":
        check_subspace_settings(_subspace_settings(config).fitted(spec.image_shape))
    if config.search != "zoo":
        return
    try:
        _queries_per_step(config.block_sizes, _zoo_settings(config, spec, targeted=bool(config.target)), spec)
    except ValueError as error:
        raise ValueError(f"--block_sizes={','.join(map(str, config.block_sizes))}: {error}") from error


def search_of(
    config: AttackConfig, splits: Splits, class_b: int, target: int | None, seed: int, revealed: Revealed | None = None
) -> Search:
    """The search that the flags ask for; `revealed` is what the service showed, for --search=auto."""
    if revealed is not None and config.search == "subspace":
        return _in_subspace(in_a_subspace(revealed)._replace(max_l2=config.max_l2), target)
    if revealed is not None:
        found = recommend(revealed, splits.spec, targeted=target is not None).search
        if isinstance(found, SubspaceSettings):
            return _in_subspace(found._replace(max_l2=config.max_l2), target)
        if isinstance(found, LabelOnlySettings):
            return _by_labels(found._replace(max_l2=config.max_l2), splits, class_b, target, seed)
        settings = found._replace(max_steps=config.max_steps, max_l2=config.max_l2)
        return _zoo(settings, (1,), config, splits, target)
    if config.search == "labels":
        settings_of_labels = LabelOnlySettings(
            splits.spec.bounds,
            iterations=config.label_iterations,
            directions=config.label_directions,
            max_l2=config.max_l2,
        )
        return _by_labels(settings_of_labels, splits, class_b, target, seed)
    if config.search == "subspace":
        return _in_subspace(_subspace_settings(config), target)
    settings = _zoo_settings(config, splits.spec, targeted=target is not None)
    return _zoo(settings, config.block_sizes, config, splits, target)


def _zoo_settings(config: AttackConfig, spec: DatasetSpec, *, targeted: bool) -> ZooSettings:
    return ZooSettings(
        bounds=spec.bounds,
        targeted=targeted,
        solver=config.solver,
        space=config.space,
        coordinates=config.coordinates,
        step_size=config.step_size,
        difference=config.difference,
        one_sided=config.one_sided,
        margin_weight=config.margin_weight,
        kappa=config.kappa,
        max_steps=config.max_steps,
        max_l2=config.max_l2,
        importance=config.importance == "on" or (config.importance == "auto" and max(spec.image_shape[:2]) > 32),
    )


def _queries_per_step(block_sizes: tuple[int, ...], settings: ZooSettings, spec: DatasetSpec) -> int:
    """Images that a step asks for with the finest blocks; fewer than `--coordinates` says where images are small."""
    fitted = [settings._replace(block=block).fitted(spec.image_shape) for block in block_sizes]
    return max(each.queries_per_step for each in fitted)


def _zoo(
    settings: ZooSettings, block_sizes: tuple[int, ...], config: AttackConfig, splits: Splits, target: int | None
) -> Search:
    per_step = _queries_per_step(block_sizes, settings, splits.spec)
    slots = config.slots or default_slots(per_step, budgeted=bool(config.query_budget))

    def run_fn(black_box: BlackBox, samples: Split, key: Key, on_finished: OnFinished) -> PushResult:
        targets = None if target is None else np.full(len(samples.labels), target)
        return push(
            black_box,
            samples.images,
            samples.labels,
            settings,
            key,
            ids=samples.ids,
            targets=targets,
            block_sizes=block_sizes,
            slots=slots,
            on_finished=on_finished,
        )

    described = {**_described(settings), "block_sizes": block_sizes, "slots": slots, "target": target}
    return Search("zoo", described, run_fn)


def _subspace_settings(config: AttackConfig) -> SubspaceSettings:
    return SubspaceSettings(
        directions=config.subspace_directions,
        rounds=config.subspace_rounds,
        near=config.subspace_near,
        max_queries=config.subspace_queries,
        max_l2=config.max_l2,
    )


def _in_subspace(settings: SubspaceSettings, target: int | None) -> Search:
    if jax.process_count() > 1:
        raise ValueError("--search=subspace runs in one process: leave out --distributed")

    def run_fn(black_box: BlackBox, samples: Split, key: Key, on_finished: OnFinished) -> PushResult:
        del key  # Unused: nothing is drawn.
        targets = None if target is None else np.full(len(samples.labels), target)
        return push_in_subspace(
            black_box, samples.images, samples.labels, settings, targets=targets, on_finished=on_finished
        )

    return Search("subspace", {**settings._asdict(), "target": target}, run_fn)


def _described(settings: ZooSettings | LabelOnlySettings) -> dict[str, Any]:
    """All settings but later ones at their defaults, with which pushes are those of before."""
    return {
        name: value
        for name, value in settings._asdict().items()
        if name not in LATER or value != settings._field_defaults[name]
    }


def _by_labels(settings: LabelOnlySettings, splits: Splits, class_b: int, target: int | None, seed: int) -> Search:
    if jax.process_count() > 1:
        raise ValueError("--search=labels runs in one process: leave out --distributed")
    start_class = class_b if target is None else target
    pool = splits.train.images[candidates(splits.train, start_class, seed)[:START_IMAGES]]

    def run_fn(black_box: BlackBox, samples: Split, key: Key, on_finished: OnFinished) -> PushResult:
        targets = None if target is None else np.full(len(samples.labels), target)
        across = pool[black_box.query(pool).argmax(-1) == start_class]
        if len(across) == 0:
            raise ValueError(
                f"--search=labels begins with images of class {splits.spec.class_names[start_class]}, and the victim "
                f"predicts none of {len(pool)} as that class: take another --class_b or --target"
            )
        return push_by_labels(
            black_box,
            samples.images,
            samples.labels,
            across[samples.ids % len(across)],
            settings,
            key,
            ids=samples.ids,
            targets=targets,
            on_finished=on_finished,
        )

    return Search(
        "labels", {**_described(settings), "start_class": start_class, "target": target, "seed": seed}, run_fn
    )
