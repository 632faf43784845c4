"""The controls of a push: a longer honest step, and honest requests as people make them.

    python -m experiments.controls --data_dir=FOLDER --workdir=runs/controls --seeds=0-9

For each victim and method: every request's step, how long it is beside the honest one and where it points; what is left
of class A after it, after the honest step made as long, and after it made as short as the honest one. The rate of a
first-order step is chosen for each victim and reading on validation images: the smallest at which the honest request
costs class A --honest_cost. Rows go to WORKDIR/controls.jsonl, a page to controls.md; killed, it goes on where it was.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
from absl import app, flags, logging

from experiments.config import Config
from experiments.config import flags as config_flags
from experiments.controls import methods, page
from experiments.controls.measure import HONEST, as_row, measure
from experiments.controls.rates import CostError, rate_at_cost
from experiments.controls.requests import every_request
from experiments.run.errors import EXPECTED, describe_error
from experiments.run.locks import alone_in

DEFAULTS: dict[str, Any] = {
    "experiment": "controls",
    "workdir": "runs/controls",
    "dataset": "cifar10",
    "class_a": "airplane",
    "class_b": "cat",
    "fractions": (0.1,),
    "blending_ratio": 0.3,
    "width": 16,
    "batch_norm_momentum": 0.99,
    "epochs": 20,
    "patience": 4,
    "seeds": (0, 1, 2),
    "attacks": ("normal", "noise", "blending", "pushing_1", "pushing_2"),
    # the cheapest search that does the paper's harm
    "solver": "sega",
    "space": "box",
    "coordinates": 32,
    "step_size": 0.01,
    "difference": 0.01,
    "one_sided": True,
}


def main(arguments: list[str]) -> None:
    """Flags to rows, rows to a page."""
    if len(arguments) > 1:
        raise app.UsageError(f"unexpected arguments {arguments[1:]}: every setting is a --flag, see --help")
    logging.set_verbosity(logging.WARNING)  # Orbax tells of every file at INFO
    try:
        config = config_flags.from_flags(flags.FLAGS)
        if not config.run.force:
            config = config.replace(
                **{name: value for name, value in DEFAULTS.items() if not flags.FLAGS[name].present}
            )
        folder = Path(config.run.workdir)
        folder.mkdir(parents=True, exist_ok=True)
        with alone_in(folder):
            for seed in config.run.seeds:
                add_rows(config, seed, folder / "controls.jsonl")
            print(page.write(folder))
    except EXPECTED as error:
        print(describe_error(error), file=sys.stderr)
        sys.exit(1)


def add_rows(config: Config, seed: int, path: Path) -> None:
    """The rows of one victim, method by method, those that are there left out."""
    from experiments.pipeline import push_seed, request_settings  # after the flags: wrong ones are told at once
    from experiments.victims.cache import describe_model, ingredients_of
    from overunlearn_jax.auditing.crafting import Crafter
    from overunlearn_jax.batching import predict_in_batches
    from overunlearn_jax.data import request_size
    from overunlearn_jax.evaluation import evaluate
    from overunlearn_jax.models import predict_fn
    from overunlearn_jax.services.service import HasWeights
    from overunlearn_jax.unlearn import along_step
    from overunlearn_jax.unlearn.facts import facts_of

    done = {(row["seed"], row["method"], row["reading"]) for row in page.read(path)}
    wanted = [("first_order", reading) for reading in methods.READINGS]
    wanted += [(other.name, other.settings) for other in methods.OTHERS]
    left = [each for each in wanted if (seed, *each) not in done and each[0] in flags.FLAGS.methods]
    if not left:
        return
    ready = push_seed(config, seed)
    splits, classes, service = ready.splits, ready.classes, ready.victim.service
    if not isinstance(service, HasWeights):
        raise ValueError("the controls look at steps of weights: leave out --service and --unlearning")
    crafter = Crafter(
        request_settings(config.attack), ready.black_box, splits, classes, ready.chosen, seed, ready.keys.noise
    )
    count = request_size(splits.train, classes.a, min(config.attack.fractions))
    requests = every_request(
        crafter,
        splits.train,
        classes.a,
        seed,
        count,
        lambda images: predict_in_batches(service.predict, images),
    )
    model, before, key = service.model, service.variables, ready.keys.unlearn
    validation = page.of_class(splits.validation, classes.a)

    def accuracy(variables: Any) -> float:
        predict = predict_fn(model, variables)
        return float(evaluate(predict, validation, splits.spec.num_classes).per_class[classes.a])

    undisturbed = accuracy(before)
    baseline = evaluate(service.predict, splits.test, splits.spec.num_classes)
    for name, setting in left:
        rate = None
        if facts_of(name).has_rates:
            units = methods.first_order_unit_steps(setting, model, before, requests, splits.spec.bounds, key)

            def cost_at(rate: float, honest: Any = units[HONEST]) -> float:
                return undisturbed - accuracy(along_step(before, honest, rate))

            try:
                rate = rate_at_cost(cost_at, flags.FLAGS.honest_cost)
            except CostError as error:
                print(f"seed {seed}, {setting}: {error}", file=sys.stderr, flush=True)
                continue
            after: Mapping[str, Any] = methods.at_rate(before, units, rate)
        else:
            other = methods.OtherMethod(name, setting)
            after = methods.other_steps(other, ingredients_of(config.victim, splits), before, requests, key)
        if HONEST not in after:
            print(f"seed {seed}, {name} {setting}: the honest request diverged", file=sys.stderr, flush=True)
            continue
        found = measure(model, before, after, splits.test, classes.a, splits.spec.num_classes)
        shared = {
            "seed": seed,
            "victim": ready.victim.name,
            "model": describe_model(config.victim),
            "method": name,
            "reading": setting,
            "rate": rate,
            "samples": len(requests[HONEST].labels),
            "class_a_before": float(baseline.per_class[classes.a]),
            "overall_before": baseline.overall,
        }
        with path.open("a") as rows:  # all of a method at once
            rows.write("".join(json.dumps(shared | as_row(each)) + "\n" for each in found))
        print(f"seed {seed}, {name} {setting}: {len(found)} requests", flush=True)
    jax.clear_caches()  # the next victim's programs are others


def define_flags() -> None:
    """Those of a run, which methods, and what an honest request may cost."""
    config_flags.define_flags()
    names = list(dict.fromkeys(["first_order", *(other.name for other in methods.OTHERS)]))
    flags.DEFINE_multi_enum("methods", names, names, "whose steps are looked at; give the flag several times")
    flags.DEFINE_float(
        "honest_cost",
        0.061,
        "what the honest request of a first-order step costs class A of its accuracy, as a fraction; the paper's costs "
        "6.1 points",
        lower_bound=1e-3,
        upper_bound=0.9,
    )


if __name__ == "__main__":
    define_flags()
    flags.adopt_module_key_flags(config_flags)  # --help lists them
    app.run(main)
