"""Makes the page of the paper's tables and figures from rows alone, such as those in experiments/results/paper.

python -m experiments.paper.from_rows --rows=experiments/results/paper

With --collect=RUNS the finished runs of that folder (runs/paper_cpu) are copied to --rows first: rows and manifests.
"""

import shutil
from pathlib import Path

from absl import app, flags

from experiments.paper import report
from experiments.paper.studies import STUDIES


def main(arguments: list[str]) -> None:
    """Collects, then writes."""
    if len(arguments) > 1:
        raise app.UsageError(f"unexpected arguments {arguments[1:]}")
    rows = Path(flags.FLAGS.rows)
    if flags.FLAGS.collect:
        collect(Path(flags.FLAGS.collect), rows)
    if not report.read_results(rows):
        raise app.UsageError(f"{rows} holds no rows of the paper's runs: expected files such as cifar10.jsonl")
    command = f"python -m experiments.paper.from_rows --rows={rows}"
    print(report.write("all", rows, "The paper's tables and figures", command))


def collect(runs: Path, rows: Path) -> None:
    """Copies rows and manifests of the runs in a folder."""
    rows.mkdir(parents=True, exist_ok=True)
    for study in STUDIES:
        if (runs / study / "results.jsonl").exists():
            shutil.copyfile(runs / study / "results.jsonl", rows / f"{study}.jsonl")
            shutil.copyfile(runs / study / "manifest.json", rows / f"{study}.manifest.json")


if __name__ == "__main__":
    flags.DEFINE_string("rows", "experiments/results/paper", "folder of STUDY.jsonl files; the page is written there")
    flags.DEFINE_string("collect", "", "folder of runs whose rows are copied there first")
    app.run(main)
