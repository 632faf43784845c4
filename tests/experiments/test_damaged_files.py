"""Flipped bits in what a run keeps: the same rows, or an error that names the file; never other rows."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from experiments import pipeline
from experiments.config import Config
from experiments.run import figures
from overunlearn_jax.digests import DIGEST
from overunlearn_jax.reporting import read_rows
from tests.experiments import tiny
from tests.experiments.running import MakeConfig, ready, rows_of

NOT_READ = ("settings.json", "summary.md", "report.html", "work.lock", "run.lock")
ALIKE = ("shadow_1", "shadow_2", "shadow_3")  # as shadow_0


@pytest.fixture(scope="module")
def finished(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Config]:
    """A finished run with a cache of its own: a victim, pushes, a retrained model, shadows."""
    folder = tmp_path_factory.mktemp("finished")
    config = tiny.tiny_config(dataset, folder / "run", folder / "cache")
    config = config.replace(attacks=("normal", "pushing_1"), forgetting=True, shadows=4, epochs=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(figures, "draw", lambda *_: ([], {}))
        pipeline.run(config)
        yield config


def stored(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.name not in NOT_READ)


def flip(path: Path, rng: np.random.Generator) -> str:
    content = bytearray(path.read_bytes())
    position, bit = int(rng.integers(len(content))), int(rng.integers(8))
    content[position] ^= 1 << bit
    path.write_bytes(content)
    return f"{path}, byte {position}, bit {bit}"


def again(config: Config) -> list[dict] | str:
    """The rows of another start, or the error."""
    try:
        pipeline.run(config)
    except (ValueError, RuntimeError) as error:  # CheckpointError is of the latter kind
        return str(error)
    return tiny.without_wall_times(rows_of(config))


def need(path: Path) -> None:
    """Deletes what a start would find in place of a file, so that the file is read."""
    folder = next(each for each in path.parents if each.name in ("victims", "shadows", "retrained", "pushes"))
    first, *rest = path.relative_to(folder).parts
    if rest[0] == "epochs":
        shutil.rmtree(folder / first / "best")
    elif rest[0].startswith("shadow_") and len(rest) > 1:
        (folder / first / f"{rest[0]}.npz").unlink()


def test_flipped_bits_in_the_cache(finished: Config, tmp_path: Path):
    expected = tiny.without_wall_times(rows_of(finished))
    rng = np.random.default_rng(0)
    whole, cache, workdir = Path(finished.run.cache_dir), tmp_path / "cache", tmp_path / "run"
    config = finished.replace(cache_dir=str(cache), workdir=str(workdir))
    names = [path.relative_to(whole) for path in stored(whole) if not any(each in path.as_posix() for each in ALIKE)]
    assert {name.parts[0] for name in names} == {"victims", "pushes", "retrained", "shadows"}
    for name in names:
        for folder in (cache, workdir):
            shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(whole, cache)
        need(cache / name)
        where = flip(cache / name, rng)
        found = again(config)
        if isinstance(found, str):
            assert name.name in found, where
            assert "delete" in found, where
        else:
            assert found == expected, where


@pytest.mark.parametrize("flips", range(12))
def test_flipped_bits_in_the_workdir(finished: Config, tmp_path: Path, flips: int):
    expected = tiny.without_wall_times(rows_of(finished))
    rng = np.random.default_rng(flips)
    for name in ("results.jsonl", "config.json", "manifest.json"):
        workdir = tmp_path / name
        shutil.copytree(finished.run.workdir, workdir)
        (workdir / "report.html").unlink()
        where = flip(workdir / name, rng)
        found = again(finished.replace(workdir=str(workdir)))
        if isinstance(found, str):
            assert name in found, where
            assert "elete" in found, where
        else:
            assert found == expected, where


def test_what_is_kept_for_pictures(finished: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.undo()  # pictures are drawn
    workdir = Path(shutil.copytree(finished.run.workdir, tmp_path / "run"))
    config = finished.replace(workdir=str(workdir))
    monkeypatch.setattr(figures, "_of_results", lambda *_: [])
    path = workdir / "pictures" / "fraction_0.5_pushing_1.npz"
    whole = path.read_bytes()
    for seed in range(8):
        (workdir / "report.html").unlink(missing_ok=True)
        where = flip(path, np.random.default_rng(seed))
        found = again(config)
        assert isinstance(found, list) or ("pushing_1.npz is damaged" in found and "made anew" in found), where
        path.write_bytes(whole)
    path.unlink()
    (workdir / "report.html").unlink(missing_ok=True)
    pipeline.run(config)
    assert path.read_bytes() == whole


def test_a_digit_changed_in_a_row_is_found(finished: Config, tmp_path: Path):
    path = tmp_path / "results.jsonl"
    lines = (Path(finished.run.workdir) / "results.jsonl").read_text().splitlines()
    row = json.loads(lines[0])
    changed = lines[0].replace(f'"queries": {row["queries"]}', f'"queries": {row["queries"] + 1}')
    assert json.loads(changed)[DIGEST] == row[DIGEST]
    path.write_text("\n".join([lines[1], changed]) + "\n")
    with pytest.raises(ValueError, match=r"results\.jsonl, line 2 .*its digest is not that .*Delete that line"):
        read_rows(path)
    path.write_text(json.dumps({key: value for key, value in row.items() if key != DIGEST}) + "\n")
    assert read_rows(path) == rows_of(finished)[:1]  # of an older version


@pytest.mark.usefixtures("no_figures")
def test_a_victim_of_an_older_version_is_taken_as_it_is_and_said_so(
    config: MakeConfig, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    settings = config(attacks=("normal",))
    name = ready(settings).victim.trained_as
    older = settings.replace(cache_dir=str(tmp_path / "cache"))
    best = Path(older.run.cache_dir, "victims", name, "best")
    shutil.copytree(Path(settings.run.cache_dir, "victims", name), best.parent)
    (best / "digests.json").unlink()
    assert ready(older).victim.name == ready(settings).victim.name
    [told] = caplog.messages
    assert told.startswith(f"{best} is of an older version, without digests: taken as it is")
    assert (best / "digests.json").exists()
    ready(older)
    assert len(caplog.messages) == 1
