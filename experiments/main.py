"""Measures how much a malicious unlearning request makes a model forget.

  python -m experiments.main                                              the quickstart, 3 minutes on 2 CPU cores
  python -m experiments.main --flagfile=experiments/flagfiles/NAME.cfg    a named experiment
  python -m experiments.main --config=WORKDIR/config.json                 an earlier run again
  python -m experiments.main --experiment=table_04 --scale=cpu            a table or figure of the paper, or all
  python -m experiments.main --experiment=all --dry_run                   what all of them would cost
  python -m experiments.main --experiment=methods --scale=cpu             twelve unlearning methods, compared

Flags after a flagfile override it. A run that was killed goes on when the same command is started again.
"""

import sys

from absl import app, flags, logging

from experiments.config import Config
from experiments.config import flags as config_flags
from experiments.methods import suite as methods_suite
from experiments.paper import suite
from experiments.run import processes
from experiments.run.errors import EXPECTED, describe_error
from experiments.suites.places import Pages


def main(arguments: list[str]) -> None:
    """Flags to config, config to pipeline."""
    if len(arguments) > 1:
        raise app.UsageError(f"unexpected arguments {arguments[1:]}: every setting is a --flag, see --help")
    logging.set_verbosity(logging.WARNING)  # Orbax tells of every file at INFO
    try:
        config = config_flags.from_flags(flags.FLAGS)
        if flags.FLAGS.method and config.run.experiment != methods_suite.NAME:
            raise ValueError(
                f"--method={','.join(flags.FLAGS.method)} is of --experiment=methods, and this is "
                f"--experiment={config.run.experiment}: --unlearning says how a single run unlearns"
            )
        if flags.FLAGS.dry_run:
            print(suite.dry_run(_plan(config)))
            return
        processes.join(flags.FLAGS)
        pages = _run(config)
    except EXPECTED as error:
        print(describe_error(error), file=sys.stderr)
        sys.exit(1)
    if processes.is_first():
        from overunlearn_jax.reporting import without_folds  # after the flags, as the pipeline

        print(without_folds(pages.text.read_text()))
        print(f"report: {pages.html}")


def _run(config: Config) -> Pages:
    command = " ".join(["python -m experiments.main", *sys.argv[1:]])
    if config.run.experiment == methods_suite.NAME:
        return methods_suite.run(_plan(config), flags.FLAGS.scale, command)
    if suite.is_of_the_paper(config.run.experiment):
        return suite.run(_plan(config), config.run.experiment, flags.FLAGS.scale, command)
    from experiments.paper.reference_rows import paper_rows
    from experiments.pipeline import run  # after the flags: --help and wrong flags answer at once

    report = run(config, reference_rows=paper_rows(config))
    return Pages(report.with_name("summary.md"), report)


def _plan(config: Config) -> dict[str, Config]:
    """The runs behind a table or figure of the paper, or the grid of methods."""
    if config.run.experiment == methods_suite.NAME:
        return methods_suite.plan(flags.FLAGS.scale, config, config_flags.given(flags.FLAGS), flags.FLAGS.method)
    if not suite.is_of_the_paper(config.run.experiment):
        raise ValueError(
            f"--dry_run tells the cost of the paper's tables and figures, not of --experiment={config.run.experiment}: "
            f"expected all, methods, or one of {', '.join(suite.EXHIBITS)}"
        )
    return suite.plan(config.run.experiment, flags.FLAGS.scale, config, config_flags.given(flags.FLAGS))


if __name__ == "__main__":
    config_flags.define_flags()
    processes.define_flags()
    suite.define_flags()
    methods_suite.define_flags()
    for module in (config_flags, processes, suite, methods_suite):
        flags.adopt_module_key_flags(module)  # --help lists them
    app.run(main)
