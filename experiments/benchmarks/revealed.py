"""What the attack does to services that round, leave out, add noise or answer labels: the same samples, every disguise.

    python -m experiments.benchmarks.revealed --flagfile=experiments/flagfiles/cifar10_cpu_seeds.cfg \
        --workdir=runs/revealed --fidelity=corrected --taus=6e-4 --data_dir=PREPARED_TFDS_FOLDER

With the search that fits what a few hundred queries reveal (auto), with the one for the fewest queries (subspace, on
the lattice that they reveal), and with the paper's. Each cell is a line of
revealed.jsonl in --workdir; finished ones are found. Writes revealed.md beside it.
"""

if __name__ == "__main__":  # before all else is imported: Ctrl-C is one line from here on
    from experiments.command import start

    start("bench revealed", "python -m experiments.benchmarks.revealed")

import math
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
from absl import flags

from experiments.benchmarks.disguises import DISGUISES, disguises
from experiments.config import Config
from experiments.config import flags as config_flags
from experiments.requests.searches import search_of
from experiments.requests.settings import classes_of, load_splits
from experiments.run.keys import seed_keys
from experiments.run.locks import alone_in
from experiments.run.progress import PushingBar
from experiments.run.records import append_records, read_records
from experiments.victims.cache import train_or_find
from overunlearn_jax.attacks import PushResult, Status
from overunlearn_jax.auditing.revealing import probe
from overunlearn_jax.batching import predict_in_batches
from overunlearn_jax.black_box import BlackBox
from overunlearn_jax.data import candidates, take
from overunlearn_jax.evaluation import evaluate
from overunlearn_jax.files import write_bytes
from overunlearn_jax.reporting import command_line
from overunlearn_jax.services.service import Service, after_each, variants_of
from overunlearn_jax.statistics.intervals import mean_interval, within
from overunlearn_jax.types import Key, Request, Split, Splits

SEARCHES = ("auto", "subspace", "paper")
FILE = "revealed.jsonl"
Cell = dict[str, Any]


def define_flags() -> None:
    """Those of a run, the samples of a cell, and which cells."""
    config_flags.define_flags()
    flags.DEFINE_integer("samples", 64, "of class A, the same for every disguise", lower_bound=1)
    flags.DEFINE_multi_enum("disguises", list(DISGUISES), list(DISGUISES), "how the service answers")
    flags.DEFINE_multi_enum("searches", list(SEARCHES), list(SEARCHES), "which search pushes")


def main(arguments: list[str]) -> None:
    """Measures every cell that the file does not hold, and writes the table."""
    if len(arguments) > 1:
        raise ValueError(f"unexpected arguments {arguments[1:]}")
    config = config_flags.from_flags(flags.FLAGS)
    if len(config.service.taus) != 1 or len(config.service.fidelity) != 1:
        raise ValueError("this compares searches: give one rate, --taus, and one reading, --fidelity")
    folder = Path(config.run.workdir)
    with alone_in(folder):
        for seed in config.run.seeds:
            measure_seed(config, seed, folder / FILE)
    table = markdown(read_records(folder / FILE), command_line())
    write_bytes(folder / "revealed.md", table.encode())
    print(table)


def measure_seed(config: Config, seed: int, path: Path) -> None:
    """The missing cells of one victim, each written as soon as it is known."""
    known = {(cell["seed"], cell["disguise"], cell["search"]) for cell in read_records(path)}
    wanted = [(disguise, search) for disguise in flags.FLAGS.disguises for search in flags.FLAGS.searches]
    missing = [each for each in wanted if (seed, *each) not in known]
    if not missing:
        return
    splits, keys = load_splits(config, seed), seed_keys(seed)
    service = train_or_find(config.victim, config.service, config.run, splits, seed, keys.train).service
    classes = classes_of(config.data, config.attack, splits.spec)
    order = candidates(splits.train, classes.a, seed)
    right = predict_in_batches(service.predict, splits.train.images[order]).argmax(-1) == classes.a
    samples = take(splits.train, order[right][: flags.FLAGS.samples])

    def local(images: np.ndarray) -> np.ndarray:
        return np.asarray(predict_in_batches(service.predict, images))

    for disguise, search in missing:
        box = BlackBox(splits.spec, disguises(local, splits.spec, seed)[disguise])
        began = time.perf_counter()
        pushed, asked = pushed_by(config, search, box, splits, samples, classes.b, seed, keys.push, disguise)
        cell: Cell = {"seed": seed, "disguise": disguise, "search": search, "samples": len(samples.labels)}
        cell |= described(pushed) | {"probe_queries": asked, "seconds": time.perf_counter() - began}
        cell |= harm(service, splits, samples, pushed, classes.a, keys.unlearn)
        append_records(path, [cell])


def pushed_by(
    config: Config,
    search: str,
    box: BlackBox,
    splits: Splits,
    samples: Split,
    class_b: int,
    seed: int,
    key: Key,
    disguise: str,
) -> tuple[PushResult, int]:
    """What became of the samples, and the queries that finding out what the service reveals took."""
    revealed = None if search == "paper" else probe(box, splits.test.images)
    attack = replace(config.attack, search="subspace") if search == "subspace" else config.attack
    chosen = search_of(attack, splits, class_b, None, seed, revealed)
    with PushingBar(f"seed {seed}, {disguise}, {search}", len(samples.labels)) as bar:
        last = [time.perf_counter()]

        def finished(positions: np.ndarray, result: PushResult) -> None:
            now = time.perf_counter()
            bar.update(result, now - last[0])
            last[0] = now

        result = chosen.run(box, samples, key, finished)
    return result, revealed.queries if revealed else 0


def described(pushed: PushResult) -> Cell:
    """Crossed samples, queries and distances; null where none crossed."""
    crossed = pushed.crossed
    return {
        "crossed": int(crossed.sum()),
        "saw_nothing": int((pushed.status == Status.SAW_NOTHING).sum()),
        "queries": float(pushed.queries.mean()),
        "l2_inside": float(pushed.l2_inside[crossed].mean()) if crossed.any() else None,
        "l2_outside": float(pushed.l2_outside[crossed].mean()) if crossed.any() else None,
    }


def harm(service: Service, splits: Splits, samples: Split, pushed: PushResult, class_a: int, key: Key) -> Cell:
    """Points of class A beyond an honest request of the samples that crossed; null where none did."""
    kept = pushed.crossed
    if not kept.any():
        return {"harm_inside": None, "harm_outside": None}
    (variant,), accuracy = variants_of(service), {}
    for name, images in (("honest", samples.images), ("inside", pushed.inside), ("outside", pushed.outside)):
        with after_each(service, [Request(images[kept], samples.labels[kept])], key) as left:
            predict = left[variant].predict
            accuracy[name] = None if predict is None else evaluate(predict, splits.test, splits.spec.num_classes)
    points = {name: None if each is None else 100 * float(each.per_class[class_a]) for name, each in accuracy.items()}

    def beyond(honest: float | None, other: float | None) -> float | None:
        return None if honest is None or other is None else honest - other

    return {f"harm_{name}": beyond(points["honest"], points[name]) for name in ("inside", "outside")}


def markdown(cells: list[Cell], command: str) -> str:
    """A line for each disguise and search, means over victims with 95 % intervals."""
    lines = [
        "# What services reveal, and what the attack does to them",
        "",
        f"`{command}`",
        "",
        "Crossed: of the samples that were tried, in percent. Queries a sample, without those of looking first. Points "
        "of class A beyond an honest request of the samples that crossed. Brackets: 95 % Student-t intervals over "
        f"victims. Device: {jax.devices()[0].device_kind}.",
        "",
        "| the service | search | victims | crossed | saw nothing | queries | L2 I | L2 II | Pushing-I | Pushing-II |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for disguise, search in dict.fromkeys((cell["disguise"], cell["search"]) for cell in cells):
        own = [cell for cell in cells if (cell["disguise"], cell["search"]) == (disguise, search)]
        parts = [
            str(len(own)),
            _shown([100 * cell["crossed"] / cell["samples"] for cell in own], 0, most=100.0),
            _shown([100 * cell["saw_nothing"] / cell["samples"] for cell in own], 0, most=100.0),
            _shown([cell["queries"] for cell in own], 0, brackets=False),
            _shown([cell["l2_inside"] for cell in own], 2, brackets=False),
            _shown([cell["l2_outside"] for cell in own], 2, brackets=False),
            _shown([cell["harm_inside"] for cell in own], 1),
            _shown([cell["harm_outside"] for cell in own], 1),
        ]
        lines.append(f"| {disguise} | {search} | {' | '.join(parts)} |")
    return "\n".join(lines) + "\n"


def _shown(values: list[float | None], decimals: int, *, brackets: bool = True, most: float = math.inf) -> str:
    """The mean of what is known, with its interval; a share is cut to what is possible, 0 to `most`."""
    known = [value for value in values if value is not None]
    if not known:
        return "–"
    text = f"{np.mean(known):,.{decimals}f}"
    if not brackets or len(known) < 2:
        return text
    interval = mean_interval(known) if most == math.inf else within(mean_interval(known), 0.0, most)
    return f"{text} [{interval.low:.{decimals}f}, {interval.high:.{decimals}f}]"
