"""Measures how much a malicious unlearning request makes a model forget.

  python -m experiments.main                                              the quickstart, 3 minutes on 2 CPU cores
  python -m experiments.main --flagfile=experiments/flagfiles/NAME.cfg    a named experiment
  python -m experiments.main --config=WORKDIR/config.json                 an earlier run again

Flags after a flagfile override it. A run that was killed goes on when the same command is started again.
"""

import sys

from absl import app, flags, logging

from experiments import config as config_module
from experiments import processes


def main(arguments: list[str]) -> None:
    """Flags to config, config to pipeline."""
    if len(arguments) > 1:
        raise app.UsageError(f"unexpected arguments {arguments[1:]}: every setting is a --flag, see --help")
    logging.set_verbosity(logging.WARNING)  # Orbax tells of every file at INFO
    try:
        config = config_module.from_flags(flags.FLAGS)
        processes.join(flags.FLAGS)
        from experiments.pipeline import run  # after the flags: --help and wrong flags answer at once

        report = run(config)
    except (ValueError, OSError, RuntimeError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    if processes.is_first():
        print((report.parent / "summary.md").read_text())
        print(f"report: {report}")


if __name__ == "__main__":
    config_module.define_flags()
    processes.define_flags()
    for module in (config_module, processes):
        flags.adopt_module_key_flags(module)  # --help lists them
    app.run(main)
