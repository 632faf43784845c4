"""What a second start finds: finished cells, victims and pushed samples, or what is left of them."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from experiments import pipeline
from experiments.config import Config
from experiments.requests import pushes, searches
from experiments.run.outputs import changed_since
from experiments.victims import cache as victims
from experiments.victims.cache import Victim
from experiments.victims.sources import sources_of
from overunlearn_jax import data
from overunlearn_jax.checkpoint import CheckpointError
from overunlearn_jax.digests import sealed_text, unsealed
from tests.experiments import tiny
from tests.experiments.running import CalledError, MakeConfig, ready, refuse, rows_of, victim_of


@pytest.mark.usefixtures("no_figures")
def test_a_second_start_runs_nothing_and_force_runs_again(config: MakeConfig, monkeypatch: pytest.MonkeyPatch):
    settings = config(seeds=(0, 1), attacks=("normal", "blending"))
    pipeline.run(settings)
    results = Path(settings.run.workdir) / "results.jsonl"
    before = results.read_bytes()
    first = rows_of(settings)
    assert [row["seed"] for row in first] == [0, 0, 1, 1]

    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "push_seed", refuse)
        pipeline.run(settings)
        assert results.read_bytes() == before
        with pytest.raises(CalledError):
            pipeline.run(settings.replace(force=True))

    monkeypatch.setattr(victims, "fit", refuse)  # the victims are found again
    pipeline.run(settings.replace(force=True))
    assert tiny.without_wall_times(rows_of(settings)) == tiny.without_wall_times(first)
    assert Config.from_json(Path(settings.run.workdir) / "config.json") == settings  # an order for once, not a setting


@pytest.mark.usefixtures("no_figures")
def test_only_unfinished_cells_run(config: MakeConfig, monkeypatch: pytest.MonkeyPatch):
    settings = config(attacks=("normal", "blending"), fractions=(0.25, 0.5))
    pipeline.run(settings)
    results = Path(settings.run.workdir) / "results.jsonl"
    first = results.read_bytes()
    lines = first.splitlines(keepends=True)
    results.write_bytes(b"".join(lines[:2]) + lines[2][:50])  # killed within the third row
    written = []
    monkeypatch.setattr(pipeline, "append_row", lambda path, row: written.append((path, row["cell"])))
    pipeline.run(settings)
    assert written == [(results, json.loads(line)["cell"]) for line in lines[2:]]


@pytest.mark.usefixtures("no_figures")
def test_workdir_of_another_config(config: MakeConfig, tmp_path: Path):
    settings = config(attacks=("normal",))
    pipeline.run(settings)
    with pytest.raises(ValueError, match=r"another config \(seeds 0 there, 1 now, taus .* --force to overwrite"):
        pipeline.run(settings.replace(seeds=(1,), taus=(0.5,)))
    assert len(rows_of(settings)) == 1
    moved = tmp_path / "elsewhere"
    shutil.move(settings.run.workdir, moved)
    before = (moved / "results.jsonl").read_bytes()
    pipeline.run(settings.replace(workdir=str(moved)))  # where its files are is no part of a run
    assert (moved / "results.jsonl").read_bytes() == before


def rewrite_manifest(config: Config, change: Callable[[dict], object]) -> None:
    path = Path(config.run.workdir) / "manifest.json"
    noted = unsealed(json.loads(path.read_text()))
    change(noted)
    path.write_text(sealed_text(noted))


@pytest.mark.usefixtures("no_figures")
def test_a_workdir_is_not_taken_for_that_of_other_code_or_data(
    config: MakeConfig, dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    own_data = shutil.copy(dataset, tmp_path / "own.npz")
    code = tmp_path / "changing_service.py"
    code.write_text("def forget(params, request, key, retain=None):\n    return params\n")
    monkeypatch.syspath_prepend(tmp_path)
    settings = config(attacks=("normal",), dataset=str(own_data), unlearning="changing_service:forget")
    pipeline.run(settings)
    results = Path(settings.run.workdir) / "results.jsonl"
    before = results.read_bytes()
    pipeline.run(settings)

    code.write_text(code.read_text() + "# another release\n")
    with pytest.raises(
        ValueError, match=r"before --unlearning=changing_service:forget changed: .* --force to overwrite"
    ):
        pipeline.run(settings)
    rewrite_manifest(settings, lambda noted: noted.pop("sources"))
    pipeline.run(settings)  # an older version's workdir says nothing of its sources
    assert results.read_bytes() == before
    pipeline.run(settings.replace(force=True))
    pipeline.run(settings)

    tiny.write_data(own_data, each=41)
    with pytest.raises(ValueError, match=r"before --dataset=.*own\.npz changed"):
        pipeline.run(settings)


def test_only_what_is_the_user_s_own_counts_as_a_source(dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "inner_model.py").write_text("def make(num_classes, image_shape):\n    return 1\n")
    (tmp_path / "outer_model.py").write_text("from inner_model import make\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert sources_of(Config()) == {}
    assert sources_of(Config.of(dataset="cifar10")) == {}
    first = sources_of(Config.of(model="outer_model:make", dataset=str(dataset)))
    assert list(first) == ["model", "dataset"]
    (tmp_path / "inner_model.py").write_text("def make(num_classes, image_shape):\n    return 2\n")
    second = sources_of(Config.of(model="outer_model:make", dataset=str(dataset)))
    assert changed_since(first, second) == ["model"]  # the function is read where it is written


@pytest.mark.usefixtures("no_figures")
def test_a_start_that_finished_nothing_does_not_occupy_the_workdir(config: MakeConfig):
    with pytest.raises(ValueError, match="no class 'wasp'"):
        pipeline.run(config(class_a="wasp", attacks=("normal",)))
    pipeline.run(config(attacks=("normal",)))


def test_victims_are_found_again_by_what_made_them(config: MakeConfig, monkeypatch: pytest.MonkeyPatch):
    settings = config()
    trained = ready(config(attacks=("normal",))).victim
    monkeypatch.setattr(victims, "fit", refuse)

    def find(changed: Config, seed: int = 0) -> Victim:
        splits = data.load(changed.data.dataset, seed=seed)
        return victim_of(changed, splits, seed, pipeline.seed_keys(seed).train)

    for same in ({"taus": (1.0,)}, {"class_a": "cat"}, {"max_steps": 3}, {"experiment": "x"}, {"workdir": "y"}):
        found = find(settings.replace(**same))
        assert found.name == trained.name
    images = data.load(settings.data.dataset, seed=0).test.images
    np.testing.assert_array_equal(found.service.predict(images), trained.service.predict(images))

    for other in (
        {"width": 5},
        {"blocks": 2},
        {"epochs": 4},
        {"learning_rate": 1e-3},
        {"patience": 9},
        {"model": "resnet"},
    ):
        with pytest.raises(CalledError):
            find(settings.replace(**other))
    with pytest.raises(CalledError):
        find(settings, seed=7)


def test_a_user_s_own_model_is_trained_again_when_its_code_changes(
    config: MakeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    code = tmp_path / "changing_model.py"
    code.write_text(
        "from overunlearn_jax.models import vgg\n\ndef make(k, shape):\n    return vgg(k, shape, blocks=1, width=4)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    settings = config(model="changing_model:make", attacks=("normal",))
    first = ready(settings).victim
    assert ready(settings).victim.name == first.name
    code.write_text(code.read_text() + "# another release\n")
    monkeypatch.setattr(victims, "fit", refuse)
    with pytest.raises(CalledError):
        ready(settings)


@pytest.mark.usefixtures("no_figures")
def test_a_larger_request_pushes_only_what_is_new(config: MakeConfig, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    pushed: list[int] = []

    def spy(*arguments: object, ids: np.ndarray, **settings: object) -> object:
        pushed.extend(ids.tolist())
        return push(*arguments, ids=ids, **settings)

    push = searches.push
    monkeypatch.setattr(searches, "push", spy)
    small = config(fractions=(0.25,), attacks=("normal", "pushing_1"), step_size=0.11)  # of no other test
    pipeline.run(small)
    first = list(pushed)
    assert len(first) == rows_of(small)[0]["requested"] == 7
    large = small.replace(fractions=(0.25, 0.5), workdir=str(tmp_path / "large"))
    pipeline.run(large)
    assert len(set(pushed)) == len(pushed) == rows_of(large)[-1]["requested"] > 7
    assert tiny.without_wall_times(rows_of(large))[:2] == tiny.without_wall_times(rows_of(small))


@pytest.fixture(scope="module")
def pushed(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Config:
    """Settings whose cache holds one victim and its pushes, in one file."""
    folder = tmp_path_factory.mktemp("pushed")
    settings = tiny.tiny_config(dataset, folder / "run", folder / "cache")
    ready(settings)
    return settings


@pytest.fixture
def copied(pushed: Config, tmp_path: Path) -> tuple[Config, Path]:
    """The same settings with a copy of that cache, and the file of the pushes in it."""
    settings = pushed.replace(cache_dir=str(shutil.copytree(pushed.run.cache_dir, tmp_path / "cache")))
    [path] = Path(settings.run.cache_dir, "pushes").rglob("*.npz")
    return settings, path


@pytest.mark.parametrize("damage", ["truncated", "empty", "garbage", "flipped", "of_another_version"])
def test_damaged_push_is_named(copied: tuple[Config, Path], damage: str):
    settings, path = copied
    whole = path.read_bytes()
    middle = len(whole) // 2
    with np.load(path) as stored:
        arrays = dict(stored)
    match damage:
        case "truncated":
            path.write_bytes(whole[:middle])
        case "empty":
            path.write_bytes(b"")
        case "garbage":
            path.write_bytes(b"not an archive")
        case "flipped":
            path.write_bytes(
                whole[:middle] + bytes(255 - byte for byte in whole[middle : middle + 9]) + whole[middle + 9 :]
            )
        case "of_another_version":
            np.savez(path, **{name: value for name, value in arrays.items() if name != "steps"})
    with pytest.raises(ValueError, match=rf"{path.name} is damaged .*: delete it, and its samples are pushed again"):
        ready(settings)


def test_what_was_deleted_is_pushed_again(copied: tuple[Config, Path]):
    settings, path = copied
    with np.load(path) as stored:
        arrays = dict(stored)
    path.unlink()
    ready(settings)
    with np.load(path) as stored:
        for name in pushes.PushResult._fields:
            np.testing.assert_array_equal(stored[name], arrays[name])


def test_damaged_victim_is_named(config: MakeConfig, tmp_path: Path):
    settings = config(attacks=("normal",))
    name = ready(settings).victim.trained_as
    copied = settings.replace(cache_dir=str(tmp_path / "cache"))
    best = Path(copied.run.cache_dir, "victims", name, "best")
    shutil.copytree(Path(settings.run.cache_dir, "victims", name), best.parent)
    metadata = best / "_METADATA"
    metadata.write_bytes(metadata.read_bytes()[:100])
    with pytest.raises(CheckpointError, match=rf"cannot read the checkpoint {best}: .* delete that folder"):
        ready(copied)
    shutil.rmtree(best)
    images = data.load(settings.data.dataset, seed=0).test.images
    np.testing.assert_array_equal(
        ready(copied).victim.service.predict(images), ready(settings).victim.service.predict(images)
    )
