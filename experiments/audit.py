"""Fails a release whose unlearning can be made to forget too much.

  overunlearn audit --service=my_module:MyService --dataset=photos.npz --class_a=cat --class_b=dog
  overunlearn audit --unlearning=my_module:my_function --model=my_module:my_model --dataset=photos.npz \
      --class_a=cat --class_b=dog --max_over_unlearning=0.05 --seeds=0-4

Pushes samples of class A to the decision boundary, submits them for unlearning, and compares what is left of the model
with what an honest request of the same samples leaves. Exit status 0: every malicious request is shown, at 95 %
confidence, to cost class A and class B no more than --max_over_unlearning beyond the honest one. 1: one costs more,
these seeds cannot tell, or the honest request alone costs more than --max_honest_cost of an accuracy, so that little
is left to take. 2: the audit itself failed, by wrong flags or an error of the audited code, too, and there is no
verdict. WORKDIR/junit.xml says it to a pipeline, WORKDIR/report.html to people. All flags of experiments.main apply;
an audit that was killed goes on with the same command, unless the source file of --unlearning or --model, the weights
of --trained or the data have changed: then it asks for another --workdir, or --force. Helpers that my_module imports
are not seen.

my_module lies in the current folder or on PYTHONPATH. Keep the functions of --unlearning and --model in two files: a
change in the file of the model makes another victim, to be trained and pushed against anew. A model that is deployed
is not trained here: --trained=my_module:load returns its weights.

--service_url is a service that is deployed, asked in its own dialect (--dialect), with a token (--token_env), that
deletes by the schema in overunlearn_jax/services/http/schema.md and is brought back by --undo. A dialect that is not
among those of --dialect is two functions: overunlearn_jax/services/http/dialects/own.py has an example.

--service is a class of any framework with predict(images), forget(images, labels) and reset(); experiments/services
has examples. It is given the training data as an argument named train or data, or else as one without a default, runs
in a process of its own, and is looked at first: answers that change by themselves, a reset that does not work and a
forget that changes nothing are said before anything is pushed. What needs weights is measured where --model and
--unlearning say what they are. A service is named by its answers: trained anew behind the same code it is another one,
and asks for another --workdir.

The search does the paper's harm for about 1,400 queries a sample in place of 7,900, and stays near; --solver=adam gives
the paper's own, --search=labels one for a service that answers labels only, and --search=auto asks a few hundred
queries first and takes the search that fits what they reveal. A search that sees nothing gives no verdict.

Bounds are over seeds, of these test images, and never finer than one of them, however well a few seeds agree. Only
class A and class B are judged; another class that is shown to lose more leaves the verdict undecided.

A service whose honest requests change nothing that is measured is undecided: a forget that is not finished when it
returns looks like that, and defences that refuse everybody. --allow_unchanged lets it pass; whether it forgets at all
is another question, which --forgetting measures.
"""

if __name__ == "__main__":  # before all else is imported: Ctrl-C is one line from here on
    from experiments.command import start

    start("audit", "python -m experiments.audit")

import argparse
import contextlib
import functools
import json
import math
from pathlib import Path
from typing import Any

from absl import flags

from experiments.config import Config
from experiments.config import flags as config_flags
from experiments.run import processes
from experiments.run.devices import check_devices
from overunlearn_jax.attack_names import CONTROLS

PASSED, FAILED = 0, 1  # exit statuses
# Those of experiments.main are the quickstart's.
DEFAULTS: dict[str, Any] = {"experiment": "audit", "workdir": "runs/audit"}
# The paper's harm for fewer queries, `auditing.recommending.fewest_queries`; numbers in results/fewer_queries.md.
SEARCH: dict[str, Any] = {
    "solver": "sega",
    "space": "box",
    "coordinates": 32,
    "step_size": 0.01,
    "difference": 0.01,
    "one_sided": True,
}
CHOOSE_A_SEARCH = {"search", "solver", "space"}  # with one of these typed, the rest are the paper's defaults


def define_flags() -> None:
    """What may be lost, every setting of a run, and who takes part in it."""
    flags.DEFINE_float(
        "max_over_unlearning",
        0.05,
        "how much more of a class's test accuracy a malicious request may cost than an honest one, as a fraction",
        lower_bound=0.0,
        upper_bound=1.0,
    )
    # The paper's honest requests cost their class 7 % of its accuracy; of a class that keeps four fifths, 5 points of
    # over-unlearning can still be taken and seen.
    flags.DEFINE_float(
        "max_honest_cost",
        0.2,
        "how much of class A's, class B's or all test accuracy an honest request itself may cost, as a fraction of "
        "what it was, in the mean over seeds; a request of most of a class may need more",
        lower_bound=0.0,
        upper_bound=1.0,
    )
    flags.DEFINE_bool(
        "allow_unchanged",
        False,
        "a service may be safe of which an honest request changes nothing that is measured; else it is undecided",
    )
    config_flags.define_flags(DEFAULTS | SEARCH)
    processes.define_flags()


def on_wrong_flags(arguments: list[str]) -> None:
    """Withdraws the verdict of an earlier audit, where flags that cannot be parsed name its place."""
    seeker = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    seeker.add_argument("--workdir", "-workdir")
    seeker.add_argument("--config", "-config")
    with contextlib.suppress(SystemExit):  # a --workdir without a value
        seen = seeker.parse_known_args(arguments)[0]
        _withdraw(_workdir(seen.workdir, seen.config))


def main(arguments: list[str]) -> int:
    """Runs the experiment and judges its rows: 0 if the audit is passed, 1 if not."""
    config = _config(arguments[1:])
    processes.join(flags.FLAGS)
    check_devices()
    from experiments.pipeline import run
    from experiments.requests.revealed import revealed_lines
    from experiments.run.outputs import read_manifest
    from overunlearn_jax.auditing.judging import (  # after the flags: --help and wrong flags answer at once
        forgetting_tables,
        judge,
    )
    from overunlearn_jax.auditing.junit import write_junit
    from overunlearn_jax.reporting import read_rows

    judge_fn = functools.partial(
        judge,
        most=flags.FLAGS.max_over_unlearning,
        most_honest=flags.FLAGS.max_honest_cost,
        allow_unchanged=flags.FLAGS.allow_unchanged,
    )
    report = run(config, judge_fn)
    if not processes.is_first():
        return PASSED
    rows = read_rows(report.with_name("results.jsonl"))
    judgement = judge_fn(rows)
    junit = write_junit(report.with_name("junit.xml"), judgement.claims, f"over-unlearning of {config.service.name}")
    for line in revealed_lines(report.parent):
        print(f"what the service reveals: {line}")
    for sent in read_manifest(report.parent).get("sent", []):
        print(f"to the service: {sent}")
    for table in forgetting_tables(rows):
        print(f"{table}\n")
    print(f"{judgement}\nreport: {report}\njunit: {junit}")
    return PASSED if judgement.passed else FAILED


def _config(unexpected: list[str]) -> Config:
    """The flags as a config; the verdict of an earlier audit is withdrawn, whether they are right or not."""
    try:
        chosen = config_flags.given(flags.FLAGS).keys() & CHOOSE_A_SEARCH
        config = config_flags.from_flags(flags.FLAGS, DEFAULTS if chosen else DEFAULTS | SEARCH)
    except ValueError:
        typed = flags.FLAGS.workdir if flags.FLAGS["workdir"].present else None
        _withdraw(_workdir(typed, flags.FLAGS.config))
        raise
    _withdraw(config.run.workdir)
    if unexpected:
        raise ValueError(f"unexpected arguments {unexpected}: every setting is a --flag, see --help")
    if set(config.attack.attacks) <= {*CONTROLS}:
        typed = ",".join(config.attack.attacks)
        raise ValueError(f"--attacks={typed}: an audit needs a malicious request, such as pushing_1")
    for name in ("max_over_unlearning", "max_honest_cost"):
        if math.isnan(getattr(flags.FLAGS, name)):
            raise ValueError(f"--{name}=nan: expected a fraction, from 0 to 1")
    return config


def _workdir(typed: str | None, config: str | None) -> str:
    """Where the verdict of an earlier audit lies, as far as wrong flags tell."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):  # no such config, or none at all
        return typed or str(json.loads(Path(config or "").read_text())["workdir"])
    return str(DEFAULTS["workdir"])


def _withdraw(workdir: str) -> None:
    with contextlib.suppress(NotADirectoryError):  # a --workdir that cannot be one, of which the pipeline tells
        for name in ("junit.xml", "report.html", "summary.md"):
            (Path(workdir) / name).unlink(missing_ok=True)
