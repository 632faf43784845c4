"""Fails a release whose unlearning can be made to forget too much.

  python -m experiments.audit --unlearning=my_module:my_function --model=my_module:my_model --dataset=photos.npz \
      --class_a=cat --class_b=dog --max_over_unlearning=0.05 --seeds=0,1,2,3,4

Pushes samples of class A to the decision boundary, submits them for unlearning, and compares what is left of the model
with what an honest request of the same samples leaves. Exit status 0: every malicious request is shown, at 95 %
confidence, to cost class A and class B no more than --max_over_unlearning beyond the honest one. 1: one costs more, or
these seeds cannot tell. 2: the audit itself failed. WORKDIR/junit.xml says it to a pipeline, WORKDIR/report.html to
people. All flags of experiments.main apply; an audit that was killed goes on with the same command.
"""

import sys
from pathlib import Path

from absl import app, flags, logging

from experiments import config as config_module
from experiments import processes
from experiments.verdicts import SAFE, verdicts, write_junit


def main(arguments: list[str]) -> None:
    """Runs the experiment and judges its rows."""
    if len(arguments) > 1:
        raise app.UsageError(f"unexpected arguments {arguments[1:]}: every setting is a --flag, see --help")
    logging.set_verbosity(logging.WARNING)  # Orbax tells of every file at INFO
    try:
        config = config_module.from_flags(flags.FLAGS)
        if set(config.attacks) == {"normal"}:
            raise ValueError("--attacks=normal: an audit needs a malicious request, such as pushing_1")
        processes.join(flags.FLAGS)
        from experiments.pipeline import run  # after the flags: --help and wrong flags answer at once
        from overunlearn_jax.reporting import read_rows

        report = run(config)
        if not processes.is_first():
            return
        found = verdicts(read_rows(Path(config.workdir) / "results.jsonl"), flags.FLAGS.max_over_unlearning)
        junit = write_junit(Path(config.workdir) / "junit.xml", found, f"over-unlearning of {config.unlearning}")
    except (ValueError, OSError, RuntimeError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    for each in found:
        print(each.words)
    print(f"report: {report}\njunit: {junit}")
    sys.exit(0 if all(each.outcome == SAFE for each in found) else 1)


if __name__ == "__main__":
    flags.DEFINE_float(
        "max_over_unlearning",
        0.05,
        "how much more of a class's test accuracy a malicious request may cost than an honest one, as a fraction",
        lower_bound=0.0,
        upper_bound=1.0,
    )
    config_module.define_flags()
    processes.define_flags()
    for module in (config_module, processes):
        flags.adopt_module_key_flags(module)  # --help lists them
    app.run(main)
