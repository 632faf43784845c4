"""The files of a run in its workdir: config.json, results.jsonl, summary.md, figures, report.html, manifest.json."""

import json
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import jax

from experiments.config import Config
from experiments.requests.revealed import revealed_lines
from experiments.run import figures
from overunlearn_jax.files import write_bytes, write_json
from overunlearn_jax.reporting import Judgement, Row, manifest, read_rows, summary_markdown, write_report
from overunlearn_jax.reporting.table import ReferenceRow

Judge = Callable[[Sequence[Row]], Judgement]
# Settings that change where a run's files are, not what it computes.
PLACES = ("workdir", "cache_dir", "data_dir", "force", "save_requests")


def make_folders(config: Config) -> None:
    """Makes the workdir and the cache. Raises ValueError for one that cannot be made or written to."""
    for flag in ("workdir", "cache_dir"):
        folder = config.flat()[flag]
        try:
            Path(folder).mkdir(parents=True, exist_ok=True)
            if flag == "workdir":  # a cache that holds all that is needed may be read-only
                tempfile.TemporaryFile(dir=folder).close()
        except OSError as error:
            raise ValueError(
                f"--{flag}={folder} cannot be made or written to ({error.strerror}): give another folder"
            ) from error


def open_workdir(config: Config, sources: dict[str, str]) -> Path:
    """Prepares the workdir and returns the path of its results.

    Refuses one that another config has filled, or other `sources` (see `sources_of`) than today's.
    """
    workdir = Path(config.run.workdir)
    path, results = workdir / "config.json", workdir / "results.jsonl"
    if config.run.force:
        results.unlink(missing_ok=True)
    elif path.exists() and results.exists():
        old, new = Config.from_json(path).flat(), config.flat()
        changed = [name for name in old if name not in PLACES and old[name] != new[name]]
        if changed:
            there, now = Config.from_json(path).as_typed(), config.as_typed()
            listed = ", ".join(f"{name} {there[name]} there, {now[name]} now" for name in changed)
            raise ValueError(
                f"{workdir} holds a run of another config ({listed}): give another --workdir, or --force to overwrite"
            )
        _refuse_others(config, sources)
    elif results.exists():
        raise ValueError(f"{results} has no config.json beside it: give another --workdir, or --force to overwrite")
    write_bytes(path, config.replace(force=False).to_json().encode())
    return results


def _refuse_others(config: Config, sources: dict[str, str]) -> None:
    """Raises ValueError where the rows were made with other code or data of the same names."""
    path = Path(config.run.workdir) / "manifest.json"
    noted = json.loads(path.read_text()).get("sources", {}) if path.exists() else {}
    changed = changed_since(noted, sources)
    if not changed:
        return
    listed = ", ".join(f"--{flag}={config.flat()[flag]}" for flag in changed)
    raise ValueError(
        f"{path.parent} holds rows that were made before {listed} changed: give another --workdir, or --force to "
        "overwrite"
    )


def write_manifest(config: Config, sources: dict[str, str]) -> None:
    """Notes what the rows to come are made with; a start that has nothing left to do keeps the old note."""
    path = Path(config.run.workdir) / "manifest.json"
    results = path.with_name("results.jsonl")
    spent = json.loads(path.read_text()).get("seconds", 0.0) if path.exists() and results.exists() else 0.0
    own = {"sources": sources} if sources else {}
    write_json(path, manifest(device=_device(), seeds=config.run.seeds, seconds=spent, **own))


def note_seconds(config: Config, seconds: float) -> None:
    """Adds the seconds that a finished seed took to the note; what a killed one took is lost."""
    path = Path(config.run.workdir) / "manifest.json"
    noted = json.loads(path.read_text())
    write_json(path, noted | {"seconds": noted["seconds"] + seconds})


def note_service(config: Config, sent: str) -> None:
    """Adds to the note what was sent to a service in this start, a line for each start."""
    path = Path(config.run.workdir) / "manifest.json"
    noted = json.loads(path.read_text())
    write_json(path, noted | {"sent": [*noted.get("sent", []), sent]})


def finished_cells(results: Path) -> set[str]:
    """Names of the cells that need not run again."""
    return {row["cell"] for row in read_rows(results)} if results.exists() else set()


def write_outputs(
    config: Config, results: Path, judge: Judge | None = None, reference_rows: Sequence[ReferenceRow] = ()
) -> Path:
    """Writes summary.md, the figures and report.html from the rows; returns the report's path."""
    workdir = results.parent
    rows = read_rows(results)
    judgement = judge(rows) if judge else None
    title = judgement.service if judgement else config.run.experiment
    shown, pictures = figures.draw(config, rows, judgement)
    described = json.loads((workdir / "manifest.json").read_text())
    if revealed := revealed_lines(workdir):
        described["revealed"] = revealed
    notes = [f"Device: {described['device']}; {described['cpu']}, {described['cpu_cores']} cores."]
    notes += [f"To the service: {sent}." for sent in described.get("sent", [])]
    notes += [f"What the service reveals: {line}." for line in revealed_lines(workdir)]
    text = summary_markdown(
        rows,
        title=title,
        command=described["command"],
        notes=notes,
        reference_rows=reference_rows,
        judgement=judgement,
        pictures=pictures,
    )
    write_bytes(workdir / "summary.md", text.encode())
    return write_report(
        workdir / "report.html",
        rows,
        shown,
        described,
        config.flat(),
        title,
        reference_rows=reference_rows,
        judgement=judgement,
    )


def _device() -> str:
    devices = jax.devices()
    return f"{len(devices)} x {devices[0].device_kind}"


def changed_since(noted: dict[str, str], now: dict[str, str]) -> list[str]:
    """The flags whose code or data are others than those noted; what was not noted then may be anything."""
    return [flag for flag, digest in now.items() if noted.get(flag, digest) != digest]
