"""The files of a run in its workdir: config.json, results.jsonl, summary.md, figures, report.html, manifest.json."""

import json
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import jax
import numpy as np

from experiments.config import Config
from experiments.paper.reference_rows import paper_rows
from experiments.run.sources import changed_since
from overunlearn_jax.data.splitting import BOUNDS
from overunlearn_jax.files import write_bytes, write_json, write_npz
from overunlearn_jax.reporting import (
    Judgement,
    ReportFigure,
    Row,
    accuracy_bars,
    groups,
    manifest,
    predicted_label_bars,
    read_rows,
    request_pictures,
    summary_markdown,
    write_report,
)
from overunlearn_jax.reporting._summarise import Setting
from overunlearn_jax.types import UnlearningRequest

Judge = Callable[[Sequence[Row]], Judgement]
PICTURES = 6  # samples shown in a report
# Settings that change where a run's files are, not what it computes.
PLACES = ("workdir", "cache_dir", "data_dir", "force", "save_requests")


def open_workdir(config: Config, sources: dict[str, str]) -> Path:
    """Makes the workdir and returns the path of its results.

    Raises ValueError for a --workdir or --cache_dir that cannot be made, and for a workdir that another config has
    filled, or other `sources` (see `sources_of`) than today's.
    """
    _make_folders(config)
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


def _make_folders(config: Config) -> None:
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


def finished_cells(results: Path) -> set[str]:
    """Names of the cells that need not run again."""
    return {row["cell"] for row in read_rows(results)} if results.exists() else set()


def keep_pictures(config: Config, seed: int, fraction: float, request: UnlearningRequest) -> None:
    """Keeps the first samples of the first seed's request for the report."""
    if seed == config.run.seeds[0]:
        write_npz(
            _pictures(config, fraction, request.made_by),
            originals=request.original_images[:PICTURES],
            submitted=request.images[:PICTURES],
            ids=request.original_ids[:PICTURES],
        )


def write_outputs(config: Config, results: Path, judge: Judge | None = None) -> Path:
    """Writes summary.md, the figures and report.html from the rows; returns the report's path."""
    workdir = results.parent
    rows = read_rows(results)
    judgement = judge(rows) if judge else None
    figures = [figure for fraction in config.attack.fractions for figure in _request_figures(config, fraction)]
    for setting, group in groups(rows).items():
        figures.extend(_result_figures(config, setting, group))
    described = json.loads((workdir / "manifest.json").read_text())
    notes = [f"Device: {described['device']}; {described['cpu']}, {described['cpu_cores']} cores."]
    text = summary_markdown(
        rows,
        title=config.run.experiment,
        command=described["command"],
        notes=notes,
        reference_rows=paper_rows(config),
        judgement=judgement,
    )
    write_bytes(workdir / "summary.md", text.encode())
    return write_report(
        workdir / "report.html",
        rows,
        figures,
        described,
        config.flat(),
        config.run.experiment,
        reference_rows=paper_rows(config),
        judgement=judgement,
    )


def _result_figures(config: Config, setting: Setting, rows: list[Row]) -> list[ReportFigure]:
    tau = "" if setting.tau is None else f"_tau_{setting.tau:g}"
    stem = f"{setting.fidelity}{tau}_fraction_{setting.fraction:g}"
    folder = Path(config.run.workdir) / "figures"
    about = (
        f"class {setting.class_a_name}, {100 * setting.fraction:g} % of its samples requested, {setting.fidelity}"
        + ("" if setting.tau is None else f", tau {setting.tau:g}")
    )
    return [
        ReportFigure(
            accuracy_bars(rows, folder / f"accuracy_{stem}.png"), f"Accuracy of {about}, after each kind of request."
        ),
        ReportFigure(
            predicted_label_bars(rows, folder / f"predicted_labels_{stem}.png"),
            f"What the test images of {about}, are predicted as after each kind of request.",
        ),
    ]


def _request_figures(config: Config, fraction: float) -> list[ReportFigure]:
    stored = {
        attack: _read_pictures(config, fraction, attack) for attack in config.attack.attacks if attack != "normal"
    }
    if not stored:
        return []
    first = next(iter(stored.values()))
    if first["originals"].shape[-1] not in (1, 3):
        return []  # neither grey nor red, green and blue: there is no picture of it
    path = request_pictures(
        Path(config.run.workdir) / "figures" / f"requests_fraction_{fraction:g}.png",
        first["originals"],
        {attack: pictures["submitted"] for attack, pictures in stored.items()},
        [f"sample {number}" for number in first["ids"]],
        BOUNDS,
    )
    about = f"class {config.data.class_a}, {100 * fraction:g} % of its samples requested"
    return [ReportFigure(path, f"Originals, submitted images and their differences; {about}.")]


def _read_pictures(config: Config, fraction: float, attack: str) -> dict[str, np.ndarray]:
    with np.load(_pictures(config, fraction, attack)) as stored:
        return dict(stored)


def _pictures(config: Config, fraction: float, attack: str) -> Path:
    return Path(config.run.workdir) / "pictures" / f"fraction_{fraction:g}_{attack}.npz"


def _device() -> str:
    devices = jax.devices()
    return f"{len(devices)} x {devices[0].device_kind}"
