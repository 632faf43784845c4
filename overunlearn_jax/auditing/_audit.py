"""An audit in memory: samples are pushed, submitted and measured, and the rows are judged. Nothing is written."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import jax
import numpy as np

from overunlearn_jax.attack_names import ATTACK_NAMES, ATTACKS, CONTROL, CONTROLS, HONEST
from overunlearn_jax.attacks import (
    LabelOnlySettings,
    PushResult,
    SubspaceSettings,
    ZooSettings,
    push,
    push_by_labels,
    push_in_subspace,
)
from overunlearn_jax.auditing.choosing import choose_and_push
from overunlearn_jax.auditing.crafting import Crafter
from overunlearn_jax.auditing.judging import judge
from overunlearn_jax.auditing.measuring import Meter, baseline
from overunlearn_jax.auditing.recommending import fewest_queries, recommend
from overunlearn_jax.auditing.request_settings import Classes, RequestSettings
from overunlearn_jax.auditing.requesting import cells_of, request_rows
from overunlearn_jax.auditing.revealing import probe
from overunlearn_jax.auditing.rows import ServiceLabels
from overunlearn_jax.batching import predict_in_batches
from overunlearn_jax.black_box import BlackBox
from overunlearn_jax.reporting import Judgement, Row
from overunlearn_jax.services.inspection import check_undo, inspect_service
from overunlearn_jax.services.service import CountsSent, Service, variants_of
from overunlearn_jax.types import DatasetSpec, Key, Split, Splits

START_IMAGES = 100  # of class B, that the search by labels asks about

Search = ZooSettings | SubspaceSettings | LabelOnlySettings


class AuditKeys(NamedTuple):
    """Every random choice of one seed; requests share the last, so that only the request differs."""

    push: Key
    noise: Key
    forget: Key


def audit(
    service: Service,
    data: Splits,
    *,
    class_a: str | int,
    class_b: str | int | None = None,
    fraction: float = 0.1,
    seeds: Sequence[int] = (0, 1, 2),
    attacks: Sequence[str] = ATTACKS,
    search: Search | Literal["auto"] | None = None,
    max_over_unlearning: float = 0.05,
    max_honest_cost: float = 0.2,
    allow_unchanged: bool = False,
    name: str = "service",
    pixel_edits: bool | None = None,
    on_progress: Callable[[str], None] | None = None,
) -> Judgement:
    """Whether a malicious deletion makes a service forget more than an honest one of the same samples.

    The service runs in this process: one that hangs hangs this call. `python -m experiments.audit --service=...` runs
    it in a process of its own, and goes on after a kill.

    Args:
      service: what is audited; `ou.service(...)` makes one of three functions.
      data: `train` holds samples that the service was trained on, `test` what it never saw.
      class_a: of the samples that are to be forgotten, by name or number.
      class_b: blended in, and watched for over-unlearning II; None: what class A is most often taken for.
      fraction: size of a request, as a part of class A's training samples.
      seeds: choices of the samples; two or more give intervals. The service stays the same.
      attacks: requests, "normal" among them; "repeated" is made where it is named: one of the attacker's own samples,
        as often as an honest request has samples.
      search: of pushes; None: `fewest_queries`; "auto": the one that fits what the service reveals (`ou.probe`), for a
        few hundred queries.
      max_over_unlearning: fraction of a class's test accuracy that a malicious request may cost beyond an honest one.
      max_honest_cost: fraction of an accuracy that an honest request itself may cost.
      allow_unchanged: whether a service of which an honest request changes nothing that is measured may be safe: its
        `forget` may not be finished when it returns, or a defence refuse everybody.
      name: of the service, in the judgement.
      pixel_edits: see `BlackBox`; None: where it saves work.
      on_progress: told what goes on, in a line each; `print` is one.

    Returns:
      Claims with intervals, warnings, and the rows that they are of; a notebook shows it as a table.

    Raises:
      ValueError: wrong arguments; a service that raises or answers something else than probabilities; a reset that
        does not bring its answers back (`ServiceError`).
    """
    spec = data.spec
    settings = RequestSettings(tuple(attacks), (fraction,))
    _check_limits(max_over_unlearning=max_over_unlearning, max_honest_cost=max_honest_cost)
    _check_search(search)
    _check(service, spec, settings, seeds)
    check_undo(service)
    tell = on_progress or (lambda line: None)
    a = Classes.of(spec, str(class_a), _other(spec, class_a)).a  # checked before the service is asked anything
    b = most_confused(service, data.test, a) if class_b is None else Classes.of(spec, str(class_a), str(class_b)).b
    classes = Classes(a, b)
    tell(f"{name}: asking twice, forgetting one sample, asking whether reset works")
    inspected = inspect_service(service, data, a, jax.random.key(0))
    before = baseline(service, data, a)
    labels = ServiceLabels(victim=name, model=name, unlearning=name, scope="the service's own", experiment=name)
    chosen_search: Search = fewest_queries(spec.bounds, spec.image_shape)
    if search == "auto":
        revealed = probe(BlackBox(spec, service.predict, pixel_edits=pixel_edits), data.test.images)
        found = recommend(revealed, spec)
        chosen_search = found.search
        for line in (*revealed.lines, *found.why):
            tell(f"{name}: {line}")
    elif search is not None:
        chosen_search = search
    rows: list[Row] = []
    for seed in seeds:
        keys = AuditKeys(*jax.random.split(jax.random.key(seed), 3))

        def pusher(box: BlackBox, samples: Split, key: Key = keys.push) -> tuple[PushResult, float]:
            if isinstance(chosen_search, ZooSettings):
                return push(box, samples.images, samples.labels, chosen_search, key, ids=samples.ids), 0.0
            if isinstance(chosen_search, SubspaceSettings):
                return push_in_subspace(box, samples.images, samples.labels, chosen_search), 0.0
            return push_from_class(box, data.train, samples, b, chosen_search, key), 0.0

        box = BlackBox(spec, service.predict, pixel_edits=pixel_edits)
        chosen = choose_and_push(settings, box, data, classes, seed, pusher)
        done = "chosen" if chosen.pushed is None else "pushed"
        tell(f"{name}, seed {seed}: {len(chosen.samples.labels)} samples {done} with {box.queries:,} queries")
        crafter = Crafter(settings, box, data, classes, chosen, seed, keys.noise)
        meter = Meter(labels, settings, service, data, classes, before)
        cells = cells_of(settings, seed, variants_of(service))
        for row in request_rows(cells, service, crafter, chosen, meter, data.train, classes, keys.forget):
            rows.append(row)
            tell(f"{name}, seed {seed}: {row['attack']} submitted and measured")
    if isinstance(service, CountsSent):
        tell(f"{name}: {service.sent}")
    judgement = judge(rows, most=max_over_unlearning, most_honest=max_honest_cost, allow_unchanged=allow_unchanged)
    return dataclasses.replace(judgement, warnings=[*inspected.warnings, *judgement.warnings])


def most_confused(service: Service, test: Split, class_a: int) -> int:
    """The class that the test images of class A are given the most probability of, after their own.

    Raises:
      ValueError: where there are no such images.
    """
    images = test.images[test.labels == class_a]
    if not len(images):
        raise ValueError(f"there are no test images of class {class_a}: what it costs cannot be measured")
    probabilities = predict_in_batches(service.predict, images).mean(0)
    probabilities[class_a] = -1.0
    return int(probabilities.argmax())


def push_from_class(
    box: BlackBox, train: Split, samples: Split, class_b: int, settings: LabelOnlySettings, key: Key
) -> PushResult:
    """The search by labels, from images of class B that the service predicts so.

    Raises:
      ValueError: where it predicts none of them so.
    """
    pool = train.images[train.labels == class_b][:START_IMAGES]
    across = pool[box.query(pool).argmax(-1) == class_b] if len(pool) else pool
    if not len(across):
        raise ValueError(
            f"the search by labels begins with images of class {class_b}, and the service predicts none of "
            f"{len(pool)} so: take another class_b"
        )
    starts = across[samples.ids % len(across)]
    return push_by_labels(box, samples.images, samples.labels, starts, settings, key, ids=samples.ids)


def _other(spec: DatasetSpec, class_a: str | int) -> str:
    return next(name for name in spec.class_names if str(class_a) not in (name, str(spec.class_names.index(name))))


def _check_limits(**limits: float) -> None:
    for name, limit in limits.items():
        if not isinstance(limit, int | float | np.number) or not 0 <= limit <= 1:
            raise ValueError(
                f"{name} is {limit!r}; expected a fraction of an accuracy, from 0 to 1: 0.05 is five points"
            )


def _check_search(search: object) -> None:
    if search not in (None, "auto") and not isinstance(search, ZooSettings | SubspaceSettings | LabelOnlySettings):
        raise ValueError(
            f'search is {search!r}; expected None, "auto", or a ZooSettings, SubspaceSettings or LabelOnlySettings'
        )


def _check(service: Service, spec: DatasetSpec, settings: RequestSettings, seeds: Sequence[int]) -> None:
    if lacking := [name for name in ("spec", "predict", "after") if not hasattr(service, name)]:
        raise ValueError(
            f"the service is a {type(service).__name__} without {' and '.join(lacking)}: "
            "ou.service(spec=data.spec, predict=f, forget=g, reset=h) makes one of three functions"
        )
    own = service.spec
    if (own.image_shape, own.num_classes, own.bounds) != (spec.image_shape, spec.num_classes, spec.bounds):
        raise ValueError(
            f"the service takes images {own.image_shape} of {own.num_classes} classes in {own.bounds}, the data are "
            f"{spec.image_shape} of {spec.num_classes} in {spec.bounds}: give it the data's own spec"
        )
    unknown = [attack for attack in settings.attacks if attack not in ATTACK_NAMES]
    if unknown or HONEST not in settings.attacks or set(settings.attacks) <= {*CONTROLS}:
        others = ", ".join(name for name in ATTACK_NAMES if name not in CONTROLS)
        raise ValueError(
            f"attacks are {settings.attacks}; expected {HONEST!r} and some of {others}; {CONTROL!r} beside them is a "
            "control"
        )
    if isinstance(seeds, str) or not isinstance(seeds, Sequence | range):
        raise ValueError(f"seeds are {seeds!r}; expected several numbers, such as (0, 1, 2)")
    if not seeds or len(set(seeds)) != len(seeds):
        raise ValueError(f"seeds are {seeds}; expected one or more, each once")
