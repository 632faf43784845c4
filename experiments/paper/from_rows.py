"""Makes the page of the paper's tables and figures from rows alone, such as those in experiments/results/paper.

python -m experiments.paper.from_rows --rows=experiments/results/paper

The Markdown page goes beside the folder of rows, everything else into it. With --collect=RUNS the finished runs of that
folder (runs/paper_cpu) are copied to --rows first: rows, manifests, and the figures that only their pictures can make.
"""

from pathlib import Path

from absl import app, flags

from experiments.paper import report
from experiments.paper.exhibits import PICTURES
from experiments.paper.figures import Drawing, draw
from experiments.paper.studies import STUDIES
from experiments.suites.places import Pages, copy_rows


def main(arguments: list[str]) -> None:
    """Collects, then writes."""
    if len(arguments) > 1:
        raise app.UsageError(f"unexpected arguments {arguments[1:]}")
    rows = Path(flags.FLAGS.rows)
    if flags.FLAGS.collect:
        collect(Path(flags.FLAGS.collect), rows)
    if not report.read_results(rows):
        raise app.UsageError(f"{rows} holds no rows of the paper's runs: expected files such as cifar10/results.jsonl")
    command = f"python -m experiments.paper.from_rows --rows={rows}"
    pages = Pages(rows.with_suffix(".md"), rows / "report.html")
    report.write("all", rows, pages, "The paper's tables and figures", command)
    print(pages.text)


def collect(runs: Path, rows: Path) -> None:
    """Copies rows and manifests of the runs in a folder, and draws the figures that need more than rows."""
    copy_rows(runs, rows, STUDIES)
    for name in PICTURES:
        draw(name, Drawing(report.read_results(runs), runs), rows / report.EXHIBITS_FOLDER)


if __name__ == "__main__":
    flags.DEFINE_string("rows", "experiments/results/paper", "folder of the rows, STUDY/results.jsonl")
    flags.DEFINE_string("collect", "", "folder of runs whose rows are copied there first")
    app.run(main)
