"""The pages of the paper's tables and figures: every one at hand, with what was found and what made its runs."""

import base64
import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
import markupsafe
from markdown_it import MarkdownIt

from experiments.paper.cells import Results
from experiments.paper.claims import in_words, judged
from experiments.paper.exhibits import EXHIBITS, FIGURES, PICTURES, layouts_of, title_of
from experiments.paper.figures import Drawing, draw
from experiments.paper.forest import forest
from experiments.paper.layout import Entry
from experiments.paper.render import EXPLAINED, Rendered, notes, render
from experiments.paper.standing import standing_of
from experiments.paper.studies import STUDIES
from experiments.run.outputs import read_manifest
from experiments.run.pictures import save_figure
from experiments.suites.places import Pages, command_elsewhere, read_findings
from overunlearn_jax.files import write_bytes
from overunlearn_jax.reporting import read_rows

NOT_DRAWN = "Not drawn: its runs, or their pictures, are not at hand."
EXHIBITS_FOLDER = "exhibits"
SHARED = (
    "Trained victims and pushed samples are made once, by the first run that needs them, and count in its time alone."
)


class Shown(NamedTuple):
    """A table, a figure, or a figure with its numbers, ready for a page."""

    name: str
    title: str
    figure: Path | None
    table: Rendered | None
    findings: Sequence[str]  # why it differs from the paper, written by those who looked into it
    notes: Sequence[str]


def read_results(folder: Path) -> Results:
    """Rows of every study that lies in `folder`."""
    paths = {study: folder / study / "results.jsonl" for study in STUDIES}
    return {study: rows for study, path in paths.items() if path.exists() and (rows := read_rows(path))}


class Page(NamedTuple):
    """All that a page says, in its order."""

    title: str
    lead: Shown | None  # what was found: of a page of all
    command: str
    about: Sequence[str]
    explained: str
    shown: Sequence[Shown]
    runs: Sequence[str]


def write(experiment: str, folder: Path, pages: Pages, title: str, command: str) -> None:
    """Writes a table or figure, or all, of the runs in `folder`: files into its folder exhibits, then the pages.

    `findings.toml` in that folder may hold lines on what was found, by the exhibit's name.
    """
    exhibits = EXHIBITS if experiment == "all" else (experiment,)
    results = read_results(folder)
    standing = standing_of(results, [layout for name in exhibits for layout in layouts_of(name)])
    shown = [each for name in exhibits for each in _shown(name, results, folder, standing.places)]
    findings = read_findings(folder)
    found = Page(
        title,
        _claims(results, folder) if experiment == "all" else None,
        command,
        findings.get("about", []),
        f"{EXPLAINED} {standing.words()}",
        shown,
        _runs(folder, results),
    )
    write_bytes(pages.text, markdown(found, pages.text.parent).encode())
    write_bytes(pages.html, page(found).encode())


def _claims(results: Results, folder: Path) -> Shown:
    """The claims of the paper, their table and their plot."""
    found = judged(results)
    table = in_words(found)
    figure = save_figure(forest(results, found), folder / EXHIBITS_FOLDER / "claims.png")
    return Shown(table.name, table.title, figure, table, read_findings(folder).get(table.name, ()), table.notes)


def _shown(name: str, results: Results, folder: Path, standing: Collection[Entry]) -> list[Shown]:
    out = folder / EXHIBITS_FOLDER
    findings = read_findings(folder)
    shown = []
    if name in FIGURES:
        files = draw(name, Drawing(results, folder), out)
        kept = out / f"{name}.png"  # drawn earlier, from pictures that are not kept with the rows
        figure = files[0] if files else kept if kept.exists() else None
        if not layouts_of(name) or figure is None:
            described = notes(results, PICTURES[name][1]) if figure else [NOT_DRAWN]
            return [Shown(name, title_of(name), figure, None, findings.get(name, ()), described)]
    else:
        figure = None
    for layout in layouts_of(name):
        table = render(results, layout, standing)
        for suffix in ("md", "tex", "html"):
            write_bytes(out / f"{table.name}.{suffix}", (table.as_text(suffix) + "\n").encode())
        shown.append(Shown(table.name, table.title, figure, table, findings.get(table.name, ()), table.notes))
    return shown


def _runs(folder: Path, results: Results) -> list[str]:
    """One line for each run: what made it, and how long it took."""
    lines = []
    for study, rows in results.items():
        made = read_manifest(folder / study)
        lines.append(
            f"{study}: {len(rows)} cells, seeds {', '.join(map(str, made['seeds']))}; {made['device']}, {made['cpu']}, "
            f"cores: {made['cpu_cores']}; {_minutes(made)}; {command_elsewhere(made['command'])}"
        )
    return lines


def _minutes(made: Mapping[str, Any]) -> str:
    seconds = made.get("seconds")
    return "time not noted" if seconds is None else f"{seconds / 60:,.1f} minutes"


def markdown(found: Page, folder: Path) -> str:
    """The page as Markdown, to lie in `folder`; figures are links."""
    blocks = [f"# {found.title}"]
    if found.lead is not None:
        blocks += [f"**{found.lead.title}{_in_short(found.lead)}.**", *_blocks(found.lead, folder)]
        blocks.append("## How sure, and how it was made")
    blocks += [f"```\n{found.command}\n```", *found.about, found.explained]
    if len(found.shown) > 1:
        blocks.append("\n".join(f"- [{each.title}](#{each.name}){_in_short(each)}" for each in found.shown))
    for each in found.shown:
        blocks += [f'<a id="{each.name}"></a>', f"## {each.title}", *_blocks(each, folder)]
    if found.runs:
        blocks.append(f"## Runs\n\n{SHARED}\n\n" + "\n".join(f"- {line}" for line in found.runs))
    return "\n\n".join(blocks) + "\n"


def _blocks(shown: Shown, folder: Path) -> list[str]:
    """A table or figure in Markdown, without its title."""
    blocks = []
    if shown.figure is not None:
        blocks.append(f"![{shown.title}]({Path(os.path.relpath(shown.figure, folder)).as_posix()})")
    if shown.table is not None:
        blocks.append(shown.table.as_text("md"))
    return [*blocks, *shown.findings, "\n".join(f"- {note}" for note in shown.notes)]


def _in_short(shown: Shown) -> str:
    return f": {shown.table.summary}" if shown.table is not None and shown.table.summary else ""


def _in_html(line: str) -> markupsafe.Markup:
    """Bold and code of Markdown; tags are shown as text."""
    return markupsafe.Markup(MarkdownIt("js-default").renderInline(line))


def page(found: Page) -> str:
    """The page as HTML, with the figures in it."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=jinja2.StrictUndefined
    )
    environment.filters["markdown"] = _in_html
    template = environment.get_template("report.html.jinja")
    return template.render(
        title=found.title,
        lead=None if found.lead is None else _section(found.lead),
        command=found.command,
        about=found.about,
        explained=found.explained,
        sections=[_section(each) for each in found.shown],
        shared=SHARED,
        runs=found.runs,
    )


def _section(shown: Shown) -> dict[str, Any]:
    """What the template shows of a table or figure."""
    return {
        "name": shown.name,
        "title": shown.title,
        "in_short": _in_short(shown),
        "picture": shown.figure and base64.b64encode(shown.figure.read_bytes()).decode("ascii"),
        "table": shown.table and shown.table.as_text("html"),
        "findings": shown.findings,
        "notes": shown.notes,
    }
