"""The figures of a run in its workdir: the finding, what is left of a class, and the images of the requests."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from experiments.config import Config
from overunlearn_jax.attack_names import HONEST, REPEATED
from overunlearn_jax.data.splitting import BOUNDS
from overunlearn_jax.files import read_npz, write_npz
from overunlearn_jax.reporting import (
    Judgement,
    ReportFigure,
    Row,
    Setting,
    accuracy_bars,
    groups,
    harm_bars,
    predicted_label_bars,
    request_pictures,
    summarise,
)
from overunlearn_jax.reporting.sections import lines_of, variant_of
from overunlearn_jax.types import UnlearningRequest

PICTURES = 6  # samples shown in a report
UNCHANGED = (HONEST, REPEATED)  # requests of the samples as they are
STORED = ("originals", "submitted", "ids")  # the arrays of a file of pictures
PICTURES_REMEDY = "delete it and start the same command again: it is made anew"
Pictures = dict[Setting, tuple[str, str]]  # where the picture of a finding lies in the workdir, and what it shows


def has_pictures(config: Config, seed: int, fraction: float, attack: str) -> bool:
    """Whether the pictures of a request that the report shows are there, or none are shown."""
    shown = seed == config.run.seeds[0] and attack not in UNCHANGED
    return not shown or _stored(config, fraction, attack).exists()


def keep_pictures(config: Config, seed: int, fraction: float, request: UnlearningRequest) -> None:
    """Keeps the first samples of the first seed's request for the report."""
    if seed == config.run.seeds[0]:
        write_npz(
            _stored(config, fraction, request.made_by),
            originals=request.original_images[:PICTURES],
            submitted=request.images[:PICTURES],
            ids=request.original_ids[:PICTURES],
        )


def draw(config: Config, rows: Sequence[Row], judgement: Judgement | None) -> tuple[list[ReportFigure], Pictures]:
    """Draws all figures of a run.

    Returns:
      The figures of report.html, which draws the finding itself, and the pictures of the finding for summary.md.
    """
    shown = [figure for fraction in config.attack.fractions for figure in _of_requests(config, fraction)]
    pictures: Pictures = {}
    for setting, group in groups(rows).items():
        shown.extend(_of_results(config, setting, group))
        pictures |= _of_harm(config, setting, group, judgement)
    return shown, pictures


def _of_harm(config: Config, setting: Setting, rows: Sequence[Row], judgement: Judgement | None) -> Pictures:
    lines = lines_of(summarise(rows), judgement and judgement.of(variant_of(setting)))
    if not lines:
        return {}
    path = Path("figures") / f"harm_{_stem(setting)}.png"
    limit = judgement.limit if judgement else None
    harm_bars(lines, Path(config.run.workdir) / path, _about(setting), limit=limit)
    words = f"What each request costs beyond an honest one, in points of test accuracy; {_about(setting)}."
    return {setting: (path.as_posix(), words)}


def _of_results(config: Config, setting: Setting, rows: Sequence[Row]) -> list[ReportFigure]:
    folder = Path(config.run.workdir) / "figures"
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


def _of_requests(config: Config, fraction: float) -> list[ReportFigure]:
    stored = {
        attack: _read_pictures(config, fraction, attack) for attack in config.attack.attacks if attack not in UNCHANGED
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
    about = f"{100 * fraction:g} % of class {config.data.class_a} requested"
    return [
        ReportFigure(
            path,
            "Originals, what each request submits in their place, and the difference, made larger by the factor that "
            f"stands beside it (grey: unchanged). {about[0].upper()}{about[1:]}.",
            f"A row of original images, then two rows a request: the submitted images and their differences; {about}.",
        )
    ]


def _read_pictures(config: Config, fraction: float, attack: str) -> dict[str, np.ndarray]:
    return read_npz(_stored(config, fraction, attack), STORED, PICTURES_REMEDY)


def _stored(config: Config, fraction: float, attack: str) -> Path:
    return Path(config.run.workdir) / "pictures" / f"fraction_{fraction:g}_{attack}.npz"
