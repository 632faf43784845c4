"""Measures how much a malicious unlearning request makes a model forget: flags to config, config to pipeline.

  overunlearn run                                              the quickstart, 3 minutes on 2 CPU cores
  overunlearn run --flagfile=experiments/flagfiles/NAME.cfg    a named experiment
  overunlearn run --config=WORKDIR/config.json                 an earlier run again
  overunlearn paper table_04 --scale=cpu                       a table or figure of the paper, or all
  overunlearn paper all --dry_run                              what all of them would cost
  overunlearn methods --scale=cpu                              twelve unlearning methods, compared

`python -m experiments.main` is `overunlearn run`; with --experiment=table_04 (or all, or methods) it is the others.
Flags after a flagfile override it. A run that was killed goes on when the same command is started again.
"""

if __name__ == "__main__":  # before all else is imported: Ctrl-C is one line from here on
    from experiments.command import start

    start("run", "python -m experiments.main")

from collections.abc import Sequence

from absl import flags

from experiments.cluster import client
from experiments.config import Config
from experiments.config import flags as config_flags
from experiments.methods import suite as methods_suite
from experiments.methods.grid import methods_named
from experiments.paper import suite
from experiments.paper.exhibits import EXHIBITS, exhibit_named
from experiments.run import processes
from experiments.run.devices import check_devices
from experiments.suites.places import Pages


def define_flags() -> None:
    """Every setting of a run, who takes part in it, and the flags of the suites."""
    for module in (config_flags, processes, client, suite, methods_suite):
        module.define_flags()


def main(arguments: list[str]) -> None:
    """`overunlearn run`: whatever --experiment names."""
    if len(arguments) > 1:
        raise ValueError(f"unexpected arguments {arguments[1:]}: every setting is a --flag, see --help")
    _start(config_flags.from_flags(flags.FLAGS), flags.FLAGS.method)


def paper(arguments: list[str]) -> None:
    """`overunlearn paper NAME`."""
    config = config_flags.from_flags(flags.FLAGS)
    experiment = config.run.experiment if flags.FLAGS["experiment"].present else None
    _start(config.replace(experiment=exhibit_named(arguments[1:], experiment)), flags.FLAGS.method)


def methods(arguments: list[str]) -> None:
    """`overunlearn methods [METHOD ...]`."""
    config = config_flags.from_flags(flags.FLAGS)
    if flags.FLAGS["experiment"].present and config.run.experiment != methods_suite.NAME:
        raise ValueError(f"--experiment={config.run.experiment} with overunlearn methods: leave out one of the two")
    chosen = methods_named(arguments[1:], flags.FLAGS.method)
    _start(config.replace(experiment=methods_suite.NAME), chosen)


def _start(config: Config, methods: Sequence[str]) -> None:
    if methods and config.run.experiment != methods_suite.NAME:
        raise ValueError(
            f"--method={','.join(methods)} is of --experiment=methods, and this is "
            f"--experiment={config.run.experiment}: --unlearning says how a single run unlearns"
        )
    if flags.FLAGS.dry_run:
        print(suite.dry_run(_plan(config, methods)))
        return
    if flags.FLAGS.scheduler and flags.FLAGS.distributed:
        raise ValueError(
            "--scheduler with --distributed: workers take whole seeds, --distributed shares one out; leave out one"
        )
    processes.join(flags.FLAGS)
    check_devices()
    pages = _run(config, methods)
    if processes.is_first():
        from overunlearn_jax.reporting import without_folds  # after the flags, as the pipeline

        print(without_folds(pages.text.read_text()))
        print(f"report: {pages.html}")


def _run(config: Config, methods: Sequence[str]) -> Pages:
    from overunlearn_jax.reporting import command_line

    if config.run.experiment == methods_suite.NAME:
        return methods_suite.run(_planned(config, methods), flags.FLAGS.scale, command_line())
    if suite.is_of_the_paper(config.run.experiment):
        return suite.run(_planned(config, methods), config.run.experiment, flags.FLAGS.scale, command_line())
    from experiments.paper.reference_rows import paper_rows
    from experiments.pipeline import run  # after the flags: --help and wrong flags answer at once

    [config] = _on_workers({config.run.experiment: config}).values()
    report = run(config, reference_rows=paper_rows(config))
    return Pages(report.with_name("summary.md"), report)


def _planned(config: Config, methods: Sequence[str]) -> dict[str, Config]:
    """The plan; what its runs lack is made on workers first, where there are any."""
    return _on_workers(_plan(config, methods))


def _on_workers(configs: dict[str, Config]) -> dict[str, Config]:
    """The runs, which take over what workers have made of them; --force has emptied their workdirs by then."""
    if not flags.FLAGS.scheduler:
        return configs
    client.run_on_workers(flags.FLAGS.scheduler, configs)
    return {name: config.replace(force=False) for name, config in configs.items()}


def _plan(config: Config, methods: Sequence[str]) -> dict[str, Config]:
    """The runs behind a table or figure of the paper, or the grid of methods."""
    given = config_flags.given(flags.FLAGS)
    if config.run.experiment == methods_suite.NAME:
        return methods_suite.plan(flags.FLAGS.scale, config, given, methods)
    if not suite.is_of_the_paper(config.run.experiment):
        raise ValueError(
            f"--dry_run tells the cost of the paper's tables and figures, not of --experiment={config.run.experiment}: "
            f"expected all, methods, or one of {', '.join(EXHIBITS)}"
        )
    return suite.plan(config.run.experiment, flags.FLAGS.scale, config, given)
