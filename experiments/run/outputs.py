"""The files of a run in its workdir: config.json, results.jsonl, summary.md, figures, report.html, manifest.json."""

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax

from experiments.config import Config
from experiments.run import figures
from overunlearn_jax.digests import read_sealed, sealed_text
from overunlearn_jax.files import write_bytes
from overunlearn_jax.reporting import Judgement, Row, manifest, read_rows, summary_markdown, write_report
from overunlearn_jax.reporting.table import ReferenceRow

Judge = Callable[[Sequence[Row]], Judgement]
MANIFEST = "manifest.json"
# Settings that change where a run's files are, not what it computes.
PLACES = ("workdir", "cache_dir", "data_dir", "force", "save_requests")


def make_folders(config: Config, flags: Sequence[str] = ("workdir", "cache_dir")) -> None:
    """Makes the workdir and the cache. Raises ValueError for one that cannot be made or written to."""
    for flag in flags:
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
        changed = changed_settings_of(workdir, config)
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


def changed_settings_of(workdir: Path, config: Config) -> list[str]:
    """The settings that decide the results and are others there than in this config."""
    old, new = Config.from_json(workdir / "config.json").flat(), config.flat()
    return [name for name in old if name not in PLACES and old[name] != new[name]]


def _refuse_others(config: Config, sources: dict[str, str]) -> None:
    """Raises ValueError where the rows were made with other code or data of the same names."""
    path = Path(config.run.workdir) / MANIFEST
    noted = read_manifest(path.parent).get("sources", {}) if path.exists() else {}
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
    path = Path(config.run.workdir) / MANIFEST
    results = path.with_name("results.jsonl")
    before = read_manifest(path.parent) if path.exists() and results.exists() else {}
    own: dict[str, Any] = {"sources": sources} if sources else {}
    own |= {"apart": before["apart"]} if "apart" in before else {}
    made = manifest(device=_device(), seeds=config.run.seeds, seconds=before.get("seconds", 0.0), **own)
    write_bytes(path, sealed_text(made).encode())


def has_manifest(folder: Path) -> bool:
    """Whether a run has noted what its rows are made with."""
    return (folder / MANIFEST).exists()


def read_manifest(folder: Path) -> dict[str, Any]:
    """What a run has noted of itself. Raises ValueError, naming the file, where it is not as it was written."""
    path = folder / MANIFEST
    return read_sealed(
        path,
        "delete it and start the same command again: the device, the sources and the time are noted anew; what came "
        "before, and whether your own code or data changed since, is not known then",
    )


def note_seconds(config: Config, seconds: float) -> None:
    """Adds the seconds that a finished seed took to the note; what a killed one took is lost."""
    path = Path(config.run.workdir) / MANIFEST
    noted = read_manifest(path.parent)
    write_bytes(path, sealed_text(noted | {"seconds": noted["seconds"] + seconds}).encode())


def note_part(config: Config, seed: int, made: dict[str, Any]) -> None:
    """Adds to the note what a seed that was made apart was made on, what it took, and what it sent to a service."""
    path = Path(config.run.workdir) / MANIFEST
    noted = read_manifest(path.parent)
    apart = noted.get("apart", {}) | {
        str(seed): {name: made[name] for name in ("device", "cpu", "git_commit", "git_dirty", "versions")}
    }
    if str(seed) not in noted.get("apart", {}):  # else it was killed between this note and the seed's last row
        noted["seconds"] += made["seconds"]
        noted |= {"sent": [*noted.get("sent", []), *made["sent"]]} if "sent" in made else {}
    write_bytes(path, sealed_text(noted | {"apart": apart}).encode())


def note_service(config: Config, sent: str) -> None:
    """Adds to the note what was sent to a service in this start, a line for each start."""
    path = Path(config.run.workdir) / MANIFEST
    noted = read_manifest(path.parent)
    write_bytes(path, sealed_text(noted | {"sent": [*noted.get("sent", []), sent]}).encode())


def finished_cells(results: Path) -> set[str]:
    """Names of the cells that need not run again."""
    return {row["cell"] for row in read_rows(results)} if results.exists() else set()


def write_outputs(
    config: Config,
    results: Path,
    judge: Judge | None = None,
    reference_rows: Sequence[ReferenceRow] = (),
    revealed: Sequence[str] = (),
) -> Path:
    """Writes summary.md, the figures and report.html from the rows; returns the report's path.

    `revealed` says what services reveal, a line each.
    """
    workdir = results.parent
    rows = read_rows(results)
    judgement = judge(rows) if judge else None
    title = judgement.service if judgement else config.run.experiment
    shown, pictures = figures.draw(config, rows, judgement)
    described = read_manifest(workdir)
    if revealed:
        described["revealed"] = [*revealed]
    notes = [f"Device: {described['device']}; {described['cpu']}, {described['cpu_cores']} cores."]
    apart = dict.fromkeys(f"{each['device']}; {each['cpu']}" for each in described.get("apart", {}).values())
    notes += [f"Seeds made apart: on {device}." for device in apart]
    notes += [f"To the service: {sent}." for sent in described.get("sent", [])]
    notes += [f"What the service reveals: {line}." for line in revealed]
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
