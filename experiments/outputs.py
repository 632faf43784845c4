"""The files of a run in its workdir: config.json, results.jsonl, summary.md, figures, report.html, manifest.json."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

from experiments.config import Config
from experiments.paper_numbers import paper_rows
from experiments.sources import changed_since
from overunlearn_jax.data.splitting import BOUNDS
from overunlearn_jax.files import write_bytes, write_json, write_npz
from overunlearn_jax.reporting import (
    Judgement,
    ReportFigure,
    accuracy_bars,
    groups,
    harm_bars,
    manifest,
    predicted_label_bars,
    read_rows,
    request_pictures,
    summary_markdown,
    write_report,
)
from overunlearn_jax.reporting.sections import lines_of, variant_of
from overunlearn_jax.reporting.summarise import Setting, summarise
from overunlearn_jax.types import UnlearningRequest

Judge = Callable[[list[dict[str, Any]]], Judgement]
PICTURES = 6  # samples shown in a report
# Settings that change where a run's files are, not what it computes.
PLACES = ("workdir", "cache_dir", "data_dir", "force", "save_requests")


def open_workdir(config: Config, sources: dict[str, str]) -> Path:
    """Makes the workdir and returns the path of its results.

    Refuses one that another config has filled, or other `sources` (see `sources_of`) than today's.
    """
    workdir = Path(config.workdir)
    path, results = workdir / "config.json", workdir / "results.jsonl"
    if config.force:
        results.unlink(missing_ok=True)
    elif path.exists() and results.exists():
        old, new = dataclasses.asdict(Config.from_json(path)), dataclasses.asdict(config)
        changed = [name for name in old if name not in PLACES and old[name] != new[name]]
        if changed:
            listed = ", ".join(f"{name} {old[name]} there, {new[name]} now" for name in changed)
            raise ValueError(
                f"{workdir} holds a run of another config ({listed}): give another --workdir, or --force to overwrite"
            )
        _refuse_others(config, sources)
    elif results.exists():
        raise ValueError(f"{results} has no config.json beside it: give another --workdir, or --force to overwrite")
    write_bytes(path, dataclasses.replace(config, force=False).to_json().encode())
    return results


def _refuse_others(config: Config, sources: dict[str, str]) -> None:
    """Raises ValueError where the rows were made with other code or data of the same names."""
    path = Path(config.workdir) / "manifest.json"
    noted = json.loads(path.read_text()).get("sources", {}) if path.exists() else {}
    changed = changed_since(noted, sources)
    if not changed:
        return
    listed = ", ".join(f"--{flag}={getattr(config, flag)}" for flag in changed)
    raise ValueError(
        f"{path.parent} holds rows that were made before {listed} changed: give another --workdir, or --force to "
        "overwrite"
    )


def write_manifest(config: Config, sources: dict[str, str]) -> None:
    """Notes what the rows to come are made with; a start that has nothing left to do keeps the old note."""
    path = Path(config.workdir) / "manifest.json"
    results = path.with_name("results.jsonl")
    spent = json.loads(path.read_text()).get("seconds", 0.0) if path.exists() and results.exists() else 0.0
    own = {"sources": sources} if sources else {}
    write_json(path, manifest(device=_device(), seeds=config.seeds, seconds=spent, **own))


def note_seconds(config: Config, seconds: float) -> None:
    """Adds the seconds that a finished seed took to the note; what a killed one took is lost."""
    path = Path(config.workdir) / "manifest.json"
    noted = json.loads(path.read_text())
    write_json(path, noted | {"seconds": noted["seconds"] + seconds})


def finished_cells(results: Path) -> set[str]:
    """Names of the cells that need not run again."""
    return {row["cell"] for row in read_rows(results)} if results.exists() else set()


def keep_pictures(config: Config, seed: int, fraction: float, request: UnlearningRequest) -> None:
    """Keeps the first samples of the first seed's request for the report."""
    if seed == config.seeds[0]:
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
    title = judgement.service if judgement else config.experiment
    figures = [figure for fraction in config.fractions for figure in _request_figures(config, fraction)]
    pictures: dict[Setting, tuple[str, str]] = {}
    for setting, group in groups(rows).items():
        figures.extend(_result_figures(config, setting, group))
        pictures |= _harm_figure(config, setting, group, judgement)
    described = json.loads((workdir / "manifest.json").read_text())
    notes = [f"Device: {described['device']}; {described['cpu']}, {described['cpu_cores']} cores."]
    text = summary_markdown(
        rows,
        title=title,
        command=described["command"],
        notes=notes,
        reference_rows=paper_rows(config),
        judgement=judgement,
        pictures=pictures,
    )
    write_bytes(workdir / "summary.md", text.encode())
    return write_report(
        workdir / "report.html",
        rows,
        figures,
        described,
        dataclasses.asdict(config),
        title,
        reference_rows=paper_rows(config),
        judgement=judgement,
    )


def _harm_figure(
    config: Config, setting: Setting, rows: list[dict[str, Any]], judgement: Judgement | None
) -> dict[Setting, tuple[str, str]]:
    """Draws the finding for summary.md, and says where; report.html draws its own."""
    lines = lines_of(summarise(rows), judgement and judgement.of(variant_of(setting)))
    if not lines:
        return {}
    path = Path("figures") / f"harm_{_stem(setting)}.png"
    limit = judgement.limit if judgement else None
    harm_bars(lines, Path(config.workdir) / path, _about(setting), limit=limit)
    words = f"What each request costs beyond an honest one, in points of test accuracy; {_about(setting)}."
    return {setting: (path.as_posix(), words)}


def _result_figures(config: Config, setting: Setting, rows: list[dict[str, Any]]) -> list[ReportFigure]:
    folder = Path(config.workdir) / "figures"
    name = setting.class_a_name
    return [
        ReportFigure(
            accuracy_bars(rows, folder / f"accuracy_{_stem(setting)}.png"),
            f"What is left of class {name} after each request: test accuracy; the line is the accuracy before.",
            f"Bars of the test accuracy of class {name}, one a request; {_about(setting)}. The table has the numbers.",
            setting,
        ),
        ReportFigure(
            predicted_label_bars(rows, folder / f"predicted_labels_{_stem(setting)}.png"),
            f"What the test images of class {name} are taken for after each request; ticks: before unlearning.",
            f"A panel a request: the share of the test images of class {name} that each label gets; {_about(setting)}.",
            setting,
        ),
    ]


def _stem(setting: Setting) -> str:
    tau = "" if setting.tau is None else f"_tau_{setting.tau:g}"
    return f"{setting.fidelity}{tau}_fraction_{setting.fraction:g}"


def _about(setting: Setting) -> str:
    tau = "" if setting.tau is None else f", {setting.fidelity}, tau {setting.tau:g}"
    requested = f"{100 * setting.fraction:g} % of class {setting.class_a_name} requested"
    return f"{setting.dataset}, {setting.unlearning}{tau}: {requested}"


def _request_figures(config: Config, fraction: float) -> list[ReportFigure]:
    stored = {attack: _read_pictures(config, fraction, attack) for attack in config.attacks if attack != "normal"}
    if not stored:
        return []
    first = next(iter(stored.values()))
    if first["originals"].shape[-1] not in (1, 3):
        return []  # neither grey nor red, green and blue: there is no picture of it
    path = request_pictures(
        Path(config.workdir) / "figures" / f"requests_fraction_{fraction:g}.png",
        first["originals"],
        {attack: pictures["submitted"] for attack, pictures in stored.items()},
        [f"sample {number}" for number in first["ids"]],
        BOUNDS,
    )
    about = f"{100 * fraction:g} % of class {config.class_a} requested"
    return [
        ReportFigure(
            path,
            f"Originals, what each request submits in their place, and the difference, made larger by the factor that "
            f"stands beside it (grey: unchanged). {about[0].upper()}{about[1:]}.",
            f"A row of original images, then two rows a request: the submitted images and their differences; {about}.",
        )
    ]


def _read_pictures(config: Config, fraction: float, attack: str) -> dict[str, np.ndarray]:
    with np.load(_pictures(config, fraction, attack)) as stored:
        return dict(stored)


def _pictures(config: Config, fraction: float, attack: str) -> Path:
    return Path(config.workdir) / "pictures" / f"fraction_{fraction:g}_{attack}.npz"


def _device() -> str:
    devices = jax.devices()
    return f"{len(devices)} x {devices[0].device_kind}"
