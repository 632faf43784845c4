"""What cheaper searches cost and do: the same samples pushed in several ways, unlearned, and compared.

    python -m experiments.benchmarks.fewer_queries --flagfile=experiments/flagfiles/cifar10_cpu_seeds.cfg \
        --workdir=runs/fewer_queries --fidelity=corrected --taus=1e-4 --data_dir=PREPARED_TFDS_FOLDER

Each way is a run of its own in a folder of --workdir, resumable; victims are shared. Writes fewer_queries.md,
fewer_queries.jsonl and fewer_queries.png there.
"""

if __name__ == "__main__":  # before all else is imported: Ctrl-C is one line from here on
    from experiments.command import start

    start("bench fewer_queries", "python -m experiments.benchmarks.fewer_queries")

from pathlib import Path
from typing import Any

from absl import flags

from experiments import pipeline
from experiments.benchmarks.fewer_queries_figure import Way, draw
from experiments.config import Config
from experiments.config import flags as config_flags
from experiments.paper.reference_rows import paper_rows
from overunlearn_jax.attack_names import attack_name
from overunlearn_jax.files import write_bytes
from overunlearn_jax.reporting import Row, command_line, read_rows
from overunlearn_jax.reporting._summarise import SummaryRow, summarise
from overunlearn_jax.reporting.wording import interval_text

SEGA = {"solver": "sega", "space": "box", "step_size": 0.02, "difference": 1e-2}
WAYS: dict[str, dict[str, Any]] = {
    "paper": {},
    "importance": {"importance": "on"},
    "32 coordinates": {"coordinates": 32},
    "bisection": {"bisection_steps": 8},
    "one-sided": {"one_sided": True, "difference": 1e-2},
    "SEGA": SEGA,
    "SEGA one-sided": SEGA | {"one_sided": True},
    "SEGA one-sided importance": SEGA | {"one_sided": True, "importance": "on"},
    "SEGA one-sided 32 coordinates": SEGA | {"one_sided": True, "coordinates": 32, "step_size": 0.01},
    "SEGA one-sided bisection": SEGA | {"one_sided": True, "bisection_steps": 8},
    "SEGA one-sided long steps": SEGA | {"one_sided": True, "coordinates": 64, "step_size": 0.12},
    "subspace": {"search": "subspace"},
    "subspace, 4 rounds": {"search": "subspace", "subspace_rounds": 4},
    "subspace, 2 rounds": {"search": "subspace", "subspace_rounds": 2},
    "subspace, 1 round": {"search": "subspace", "subspace_rounds": 1},
    "subspace, 1 round of 6 waves": {"search": "subspace", "subspace_rounds": 1, "subspace_directions": 6},
    "subspace, first crossing": {"search": "subspace", "subspace_near": 20.0},
    "labels only": {"search": "labels"},
    "labels only, 10 iterations": {"search": "labels", "label_iterations": 10},
}


def define_flags() -> None:
    """Those of a run, and the ways to compare."""
    config_flags.define_flags()
    flags.DEFINE_multi_enum("ways", list(WAYS), list(WAYS), "which to compare")


def main(arguments: list[str]) -> None:
    """Runs every way and writes the table."""
    if len(arguments) > 1:
        raise ValueError(f"unexpected arguments {arguments[1:]}")
    base = config_flags.from_flags(flags.FLAGS).replace(attacks=("normal", "pushing_1", "pushing_2"), force=False)
    rows = {name: run_way(base, name) for name in flags.FLAGS.ways}
    folder = Path(base.run.workdir)
    table = markdown(rows, command_line())
    write_bytes(folder / "fewer_queries.md", table.encode())
    draw(ways_of(rows), folder / "fewer_queries.png")
    lines = b"".join((folder / _slug(name) / "results.jsonl").read_bytes() for name in rows)
    write_bytes(folder / "fewer_queries.jsonl", lines)
    print(table)


def run_way(base: Config, name: str) -> list[Row]:
    """The rows of one way; finished ones are found."""
    workdir = Path(base.run.workdir) / _slug(name)
    config = base.replace(**WAYS[name], workdir=str(workdir), experiment=f"fewer queries: {name}")
    pipeline.run(config, reference_rows=paper_rows(config))
    return read_rows(workdir / "results.jsonl")


def ways_of(rows: dict[str, list[Row]]) -> list[Way]:
    """What each search asks for and does, under the first reading and rate."""
    ways = []
    for name, of_way in rows.items():
        summary = summarise(of_way)
        pushes = {row.attack: row for row in summary if row.setting == summary[0].setting}
        harm = [pushes[attack].over_unlearning_a for attack in ("pushing_1", "pushing_2")]
        if harm[0] is not None and harm[1] is not None:  # something was submitted
            queries = pushes["pushing_1"].queries / pushes["pushing_1"].requested
            ways.append(Way(name, queries, (harm[0], harm[1])))
    return ways


def markdown(rows: dict[str, list[Row]], command: str) -> str:
    """One line for each way and setting of the service."""
    lines = [
        "# The same pushes for fewer queries",
        "",
        f"`{command}`",
        "",
        "Queries a sample, mean L2 of Pushing-I and Pushing-II, and the points of class A that each costs "
        "beyond an honest request (over-unlearning I). Same samples, same victims. Brackets: 95 % Student-t intervals "
        "over seeds.",
        "",
        "| way | unlearning | queries a sample | times fewer | L2 I | L2 II | failed | "
        f"{attack_name('pushing_1')} | {attack_name('pushing_2')} |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    plain: float | None = None
    for name, of_way in rows.items():
        summary = summarise(of_way)
        settings = list(dict.fromkeys(row.setting for row in summary))
        for setting in settings:
            pushes = {row.attack: row for row in summary if row.setting == setting}
            one, two = pushes["pushing_1"], pushes["pushing_2"]
            queries = one.queries / one.requested
            plain = queries if name == "paper" else plain
            tau = "" if setting.tau is None else f", tau {setting.tau:g}"
            lines.append(
                f"| {name} | {setting.fidelity}{tau} | {queries:,.0f} | {_times(plain, queries)} | {one.l2_mean:.2f} | "
                f"{two.l2_mean:.2f} | {one.failed:.1f} of {one.requested:.0f} | {_points(one)} | {_points(two)} |"
            )
    lines += ["", "Flags of each way, beside those of the command:", ""]
    for name in rows:
        changed = " ".join(f"--{flag}={value}" for flag, value in WAYS[name].items())
        lines.append(f"* {name}: " + (f"`{changed}`" if changed else "none, the paper's search"))
    return "\n".join(lines) + "\n"


def _times(plain: float | None, queries: float) -> str:
    return "–" if plain is None else f"{plain / queries:.1f}"


def _points(row: SummaryRow) -> str:
    return interval_text(row.over_unlearning_a, 100.0)


def _slug(name: str) -> str:
    return name.lower().replace(",", "").replace(" ", "_")
