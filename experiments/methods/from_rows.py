"""Makes the page of the methods' grid from rows alone, such as those in experiments/results/methods.

python -m experiments.methods.from_rows --rows=experiments/results/methods

With --collect=RUNS the rows in that folder (runs/methods_cpu) are copied to --rows first; the page says which runs are
not finished.
"""

from pathlib import Path

from absl import app, flags

from experiments.methods import page
from experiments.methods.grid import all_runs


def main(arguments: list[str]) -> None:
    """Collects, then writes."""
    if len(arguments) > 1:
        raise app.UsageError(f"unexpected arguments {arguments[1:]}")
    rows = Path(flags.FLAGS.rows)
    if flags.FLAGS.collect:
        page.collect(Path(flags.FLAGS.collect), rows)
    if not any((rows / each.folder).exists() for each in all_runs()):
        raise app.UsageError(f"{rows} holds no rows of the grid: expected files such as retrain/results.jsonl")
    command = f"python -m experiments.methods.from_rows --rows={rows}"
    print(page.write(rows, rows.with_suffix(".md"), "Unlearning methods and malicious requests", command))


if __name__ == "__main__":
    flags.DEFINE_string("rows", "experiments/results/methods", "folder of RUN/results.jsonl files")
    flags.DEFINE_string("collect", "", "folder of runs whose rows are copied there first")
    app.run(main)
