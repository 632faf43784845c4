"""paper.md and report.html: every table and figure at hand, with the command, device and seeds of their runs."""

import base64
import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import jinja2

from experiments.paper.cells import Results
from experiments.paper.exhibits import EXHIBITS, FIGURES
from experiments.paper.figures import Drawing, draw
from experiments.paper.places import page_of, text_of
from experiments.paper.render import EXPLAINED, Rendered, notes, render
from experiments.paper.studies import STUDIES
from experiments.paper.tables import TABLES
from overunlearn_jax.files import write_bytes
from overunlearn_jax.reporting import read_rows

NOT_DRAWN = "Not drawn: its runs, or their pictures, are not at hand."
READINGS = ("authors_code", "equation")


class Shown(NamedTuple):
    """A table or a figure, ready for a page."""

    title: str
    notes: list[str]
    table: Rendered | None
    figure: Path | None


def read_results(folder: Path) -> Results:
    """Rows of every study that lies in `folder`, as a run's folder or as STUDY.jsonl."""
    found = {}
    for study in STUDIES:
        for path in (folder / study / "results.jsonl", folder / f"{study}.jsonl"):
            if path.exists() and (rows := read_rows(path)):
                found[study] = rows
    return found


def write(experiment: str, folder: Path, title: str, command: str) -> Path:
    """Writes a table or figure, or all, of the runs in `folder` there; returns the HTML page's path.

    The runs are folders of that folder, or STUDY.jsonl files with their STUDY.manifest.json.
    """
    exhibits = EXHIBITS if experiment == "all" else (experiment,)
    results = read_results(folder)
    out = folder / "exhibits"
    shown: list[Shown] = []
    for name in exhibits:
        if name in TABLES:
            shown.extend(Shown(table.title, table.notes, table, None) for table in _tables(results, name))
        else:
            files = draw(name, Drawing(results, folder), out)
            about = notes(results, FIGURES[name].studies) if files else [NOT_DRAWN]
            shown.append(Shown(_figure_title(name), about, None, files[0] if files else None))
    for each in shown:
        if each.table is not None:
            for suffix in ("md", "tex", "html"):
                write_bytes(out / f"{each.table.name}.{suffix}", (each.table.as_text(suffix) + "\n").encode())
    html = page_of(folder, experiment)
    write_bytes(text_of(html), markdown(shown, title, command, _runs(folder)).encode())
    return write_bytes(html, page(shown, title, command, _runs(folder)).encode())


def _tables(results: Results, name: str) -> list[Rendered]:
    tables = [render(results, TABLES[name]())]
    if name == "table_04":
        for reading in READINGS:
            layout = TABLES[name]()
            lines = tuple(
                line._replace(entries=tuple(e and e._replace(study=f"{e.study}_readings") for e in line.entries))
                for line in layout.lines
            )
            titled = layout._replace(
                name=f"{name}_{reading}", title=f"{layout.title}, read as `{reading}`", lines=lines
            )
            tables.append(render(results, titled, fidelity=reading))
    return tables


def _figure_title(name: str) -> str:
    number = name.removeprefix("figure_").lstrip("0")
    return f"Figure {number}: {FIGURES[name].words}"


def _runs(folder: Path) -> list[str]:
    """One line for each run: what made it."""
    lines = []
    for study in STUDIES:
        for path in (folder / study / "manifest.json", folder / f"{study}.manifest.json"):
            if path.exists():
                made = json.loads(path.read_text())
                lines.append(
                    f"{study}: {made['device']}, {made['cpu']}, {made['cpu_cores']} cores; seeds "
                    f"{', '.join(map(str, made['seeds']))}"
                )
    return lines


def markdown(shown: Sequence[Shown], title: str, command: str, runs: Sequence[str]) -> str:
    """The page as Markdown; figures are links to the files beside it."""
    blocks = [f"# {title}", f"```\n{command}\n```", EXPLAINED]
    for each in shown:
        blocks.append(f"## {each.title}")
        if each.table is not None:
            blocks.append(each.table.as_text("md"))
        elif each.figure is not None:
            blocks.append(f"![{each.title}](exhibits/{each.figure.name})")
        blocks.append("\n".join(f"- {note}" for note in each.notes))
    if runs:
        blocks.append("## Runs\n\n" + "\n".join(f"- {line}" for line in runs))
    return "\n\n".join(blocks) + "\n"


def page(shown: Sequence[Shown], title: str, command: str, runs: Sequence[str]) -> str:
    """The page as HTML, with the figures in it."""
    sections = []
    for each in shown:
        picture = None if each.figure is None else base64.b64encode(each.figure.read_bytes()).decode("ascii")
        sections.append(
            {
                "title": each.title,
                "table": None if each.table is None else each.table.as_text("html"),
                "notes": each.notes,
                "picture": picture,
            }
        )
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=jinja2.StrictUndefined
    )
    template = environment.get_template("report.html.jinja")
    return template.render(title=title, command=command, explained=EXPLAINED, sections=sections, runs=runs)
