import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from experiments import crafting, pipeline, push_store, pushes, victims
from experiments.config import ATTACKS, Config
from experiments.crafting import Classes, Crafted, Crafter, choose_and_push
from experiments.victims import Victim, train_or_find
from overunlearn_jax import data
from overunlearn_jax.attacks import Status
from overunlearn_jax.black_box import BlackBox, QueryBudgetExceededError
from overunlearn_jax.checkpoint import CheckpointError
from overunlearn_jax.reporting import read_rows
from overunlearn_jax.reporting.rows import REQUIRED_KEYS
from overunlearn_jax.types import Splits
from tests.experiments import tiny

MakeConfig = Callable[..., Config]


class Ready(NamedTuple):
    """What a run holds after pushing, before the first request."""

    splits: Splits
    victim: Victim
    black_box: BlackBox
    crafted: Crafted
    crafter: Crafter
    count: int  # samples of the largest request


def ready(config: Config) -> Ready:
    """The first half of `pipeline._run_seed`."""
    seed = config.seeds[0]
    keys = pipeline.seed_keys(seed)
    splits = data.load(config.dataset, seed=seed)
    classes = Classes.of(config, splits.spec)
    victim = train_or_find(config, splits, seed, keys.train)
    black_box = BlackBox(splits.spec, victim.predict, budget=config.query_budget or None)
    crafted = choose_and_push(config, victim.name, black_box, splits, classes, seed, keys.push)
    crafter = Crafter(config, black_box, splits, classes, crafted, seed, keys.noise)
    return Ready(splits, victim, black_box, crafted, crafter, len(crafted.samples.labels))


def rows_of(config: Config) -> list[dict]:
    return read_rows(Path(config.workdir) / "results.jsonl")


def by_attack(config: Config) -> dict[str, dict]:
    """Rows of a run with one fraction, seed and variant."""
    rows = rows_of(config)
    found = {row["attack"]: row for row in rows}
    assert len(found) == len(rows)
    return found


class CalledError(Exception):
    """Raised by what must not, or must, be called."""


def refuse(*arguments: object, **settings: object) -> None:
    del arguments, settings  # Unused: the call alone counts.
    raise CalledError


def test_a_run_leaves_all_its_files(config: MakeConfig):
    settings = config(fractions=(0.25, 0.5))
    report = pipeline.run(settings)
    workdir = Path(settings.workdir)
    assert report == workdir / "report.html"
    assert Config.from_json(workdir / "config.json") == settings
    assert json.loads((workdir / "manifest.json").read_text())["seeds"] == [0]
    assert {path.name for path in (workdir / "figures").iterdir()} == {
        f"{kind}_fraction_{fraction}.png"
        for kind in ("accuracy_corrected_tau_0.001", "predicted_labels_corrected_tau_0.001", "requests")
        for fraction in ("0.25", "0.5")
    }
    assert "Pushing-II" in (workdir / "summary.md").read_text()
    assert report.read_text().count("data:image/png;base64,") == 6

    rows = rows_of(settings)
    assert [(row["fraction"], row["attack"]) for row in rows] == [(f, a) for f in (0.25, 0.5) for a in ATTACKS]
    assert len({row["cell"] for row in rows}) == len(rows)
    for row in rows:
        assert set(REQUIRED_KEYS) <= row.keys()
        assert row["overall_before"] > 0.8
        assert row["submitted"] + row["failed"] == row["requested"]
    for attack in ATTACKS[1:]:
        with np.load(workdir / "pictures" / f"fraction_0.5_{attack}.npz") as kept:
            assert kept["submitted"].shape == kept["originals"].shape
            assert not np.array_equal(kept["submitted"], kept["originals"])


def test_requests_are_over_the_same_samples(config: MakeConfig):
    splits, victim, _, crafted, crafter, count = ready(config())
    assert crafted.pushed is not None
    assert (victim.predict(crafted.samples.images).argmax(-1) == 0).all()
    rows_by_id = {int(number): row for row, number in enumerate(splits.train.ids)}
    requests = {attack: crafter.craft(attack, count) for attack in ATTACKS}
    for attack, request in requests.items():
        np.testing.assert_array_equal(request.original_ids, requests["normal"].original_ids)
        trained_on = splits.train.images[[rows_by_id[int(number)] for number in request.original_ids]]
        np.testing.assert_array_equal(request.original_images, trained_on)
        assert (request.original_labels == 0).all()
        assert np.abs(request.images).max() <= 0.5
        assert len(set(request.original_ids.tolist())) == len(request.labels) == len(request.images)
        assert np.array_equal(request.images, trained_on) == (attack == "normal")
    assert (victim.predict(requests["pushing_1"].images).argmax(-1) == 0).all()
    assert (victim.predict(requests["pushing_2"].images).argmax(-1) != 0).all()
    moved = {
        attack: np.linalg.norm((r.images - r.original_images).reshape(count, -1), axis=1)
        for attack, r in requests.items()
    }
    np.testing.assert_allclose(moved["noise"], moved["pushing_2"], rtol=1e-3)

    smaller = crafter.craft("pushing_1", count // 2)  # a part of the larger request, sample by sample
    np.testing.assert_array_equal(smaller.images, requests["pushing_1"].images[: len(smaller.labels)])


FEW_STEPS = 12  # some samples cross within them, some do not


def test_failed_samples_are_in_no_request(config: MakeConfig):
    settings = config(max_steps=FEW_STEPS)
    _, _, _, crafted, crafter, count = ready(settings)
    assert crafted.pushed is not None
    crossed = crafted.pushed.crossed
    assert 0 < crossed.sum() < count
    for attack in ATTACKS:
        np.testing.assert_array_equal(crafter.craft(attack, count).original_ids, crafted.samples.ids[crossed])
    with pytest.raises(ValueError, match=r"none of \d+ samples crossed .* raise --max_steps"):
        ready(config(max_steps=1)).crafter.craft("normal", 1)


@pytest.mark.usefixtures("no_figures")
@pytest.mark.parametrize("request_labels", ["paper", "predicted"])
def test_queries_are_those_that_were_asked(config: MakeConfig, monkeypatch: pytest.MonkeyPatch, request_labels: str):
    asked = []

    class Counting(BlackBox):
        def charge(self, count: int) -> None:
            asked.append(count)
            super().charge(count)

    monkeypatch.setattr(pipeline, "BlackBox", Counting)
    settings = config(max_steps=FEW_STEPS, request_labels=request_labels)
    pipeline.run(settings)
    rows = by_attack(settings)
    first = rows["normal"]
    assert first["failed"] > 0
    assert [rows[attack]["queries"] for attack in ("normal", "noise", "blending")] == [0, 0, first["submitted"]]
    labelled = 0 if request_labels == "paper" else first["submitted"]
    assert rows["pushing_1"]["queries"] == rows["pushing_2"]["queries"]
    candidates = first["requested"] + first["skipped"]
    assert sum(asked) == candidates + first["submitted"] + rows["pushing_1"]["queries"] + labelled
    # every step is the image and two neighbours for each coordinate, of failed samples, too
    assert (rows["pushing_1"]["queries"] - labelled) % (1 + 2 * settings.coordinates) == 0
    assert rows["pushing_1"]["queries"] - labelled > FEW_STEPS * first["failed"] * (1 + 2 * settings.coordinates)


@pytest.mark.usefixtures("no_figures")
def test_a_second_start_runs_nothing_and_force_runs_again(config: MakeConfig, monkeypatch: pytest.MonkeyPatch):
    settings = config(seeds=(0, 1), attacks=("normal", "blending"))
    pipeline.run(settings)
    results = Path(settings.workdir) / "results.jsonl"
    before = results.read_bytes()
    first = rows_of(settings)
    assert [row["seed"] for row in first] == [0, 0, 1, 1]

    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "_run_seed", refuse)
        pipeline.run(settings)
        assert results.read_bytes() == before
        with pytest.raises(CalledError):
            pipeline.run(dataclasses.replace(settings, force=True))

    monkeypatch.setattr(victims, "fit", refuse)  # the victims are found again
    pipeline.run(dataclasses.replace(settings, force=True))
    assert tiny.without_wall_times(rows_of(settings)) == tiny.without_wall_times(first)
    assert Config.from_json(Path(settings.workdir) / "config.json") == settings  # an order for once, not a setting


@pytest.mark.usefixtures("no_figures")
def test_only_unfinished_cells_run(config: MakeConfig, monkeypatch: pytest.MonkeyPatch):
    settings = config(attacks=("normal", "blending"), fractions=(0.25, 0.5))
    pipeline.run(settings)
    results = Path(settings.workdir) / "results.jsonl"
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
    with pytest.raises(
        ValueError, match=r"another config \(seeds \(0,\) there, \(1,\) now, taus .* --force to overwrite"
    ):
        pipeline.run(dataclasses.replace(settings, seeds=(1,), taus=(0.5,)))
    assert len(rows_of(settings)) == 1
    moved = tmp_path / "elsewhere"
    shutil.move(settings.workdir, moved)
    before = (moved / "results.jsonl").read_bytes()
    pipeline.run(dataclasses.replace(settings, workdir=str(moved)))  # where its files are is no part of a run
    assert (moved / "results.jsonl").read_bytes() == before


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
        splits = data.load(changed.dataset, seed=seed)
        return train_or_find(changed, splits, seed, pipeline.seed_keys(seed).train)

    for same in ({"taus": (1.0,)}, {"class_a": "cat"}, {"max_steps": 3}, {"experiment": "x"}, {"workdir": "y"}):
        found = find(dataclasses.replace(settings, **same))
        assert found.name == trained.name
    images = data.load(settings.dataset, seed=0).test.images
    np.testing.assert_array_equal(found.predict(images), trained.predict(images))

    for other in (
        {"width": 5},
        {"blocks": 2},
        {"epochs": 4},
        {"learning_rate": 1e-3},
        {"patience": 9},
        {"model": "resnet"},
    ):
        with pytest.raises(CalledError):
            find(dataclasses.replace(settings, **other))
    with pytest.raises(CalledError):
        find(settings, seed=7)


@pytest.mark.usefixtures("no_figures")
def test_a_larger_request_pushes_only_what_is_new(config: MakeConfig, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    pushed: list[int] = []

    def spy(*arguments: object, ids: np.ndarray, **settings: object) -> object:
        pushed.extend(ids.tolist())
        return push(*arguments, ids=ids, **settings)

    push = pushes.push
    monkeypatch.setattr(pushes, "push", spy)
    small = config(fractions=(0.25,), attacks=("normal", "pushing_1"), step_size=0.11)  # of no other test
    pipeline.run(small)
    first = list(pushed)
    assert len(first) == rows_of(small)[0]["requested"] == 7
    large = dataclasses.replace(small, fractions=(0.25, 0.5), workdir=str(tmp_path / "large"))
    pipeline.run(large)
    assert len(set(pushed)) == len(pushed) == rows_of(large)[-1]["requested"] > 7
    assert tiny.without_wall_times(rows_of(large))[:2] == tiny.without_wall_times(rows_of(small))


@pytest.mark.parametrize("damage", ["truncated", "empty", "garbage", "flipped", "of_another_version"])
def test_damaged_push_is_named(config: MakeConfig, damage: str, tmp_path: Path):
    settings = config()
    victim = ready(settings).victim.name
    [chunk] = [path for path in Path(settings.cache_dir, "pushes").rglob("*.npz") if _made_by(path, settings, victim)]
    copied = dataclasses.replace(settings, cache_dir=str(tmp_path / "cache"))
    shutil.copytree(Path(settings.cache_dir, "victims", victim), Path(copied.cache_dir, "victims", victim))
    path = Path(copied.cache_dir) / chunk.relative_to(settings.cache_dir)
    path.parent.mkdir(parents=True)
    whole = chunk.read_bytes()
    middle = len(whole) // 2
    with np.load(chunk) as stored:
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
        ready(copied)
    path.unlink()
    ready(copied)
    with np.load(path) as stored:
        for name in pushes.PushResult._fields:
            np.testing.assert_array_equal(stored[name], arrays[name])


def _made_by(path: Path, settings: Config, victim: str) -> bool:
    """Whether this chunk is the one that these settings find: pushing it again would write the same file."""
    found = []

    def spy(file: Path) -> object:
        found.append(file)
        return read(file)

    read = push_store._read
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(push_store, "_read", spy)
        assert ready(settings).victim.name == victim
    return path in found


def test_damaged_victim_is_named(config: MakeConfig, tmp_path: Path):
    settings = config(attacks=("normal",))
    name = ready(settings).victim.name
    copied = dataclasses.replace(settings, cache_dir=str(tmp_path / "cache"))
    best = Path(copied.cache_dir, "victims", name, "best")
    shutil.copytree(Path(settings.cache_dir, "victims", name), best.parent)
    metadata = best / "_METADATA"
    metadata.write_bytes(metadata.read_bytes()[:100])
    with pytest.raises(CheckpointError, match=rf"cannot read the checkpoint {best}: .* delete that folder"):
        ready(copied)
    shutil.rmtree(best)
    images = data.load(settings.dataset, seed=0).test.images
    np.testing.assert_array_equal(ready(copied).victim.predict(images), ready(settings).victim.predict(images))


@pytest.mark.usefixtures("no_figures")
def test_several_taus_and_fidelities_equal_single_runs(config: MakeConfig, tmp_path: Path):
    both = config(attacks=("normal", "pushing_1"), taus=(1e-3, 4e-3), fidelity=("equation", "corrected"))
    pipeline.run(both)
    rows = rows_of(both)
    assert len({row["cell"] for row in rows}) == len(rows) == 8
    results = {(row["fidelity"], row["tau"]): row["per_class"] for row in rows if row["attack"] == "pushing_1"}
    assert len({tuple(result) for result in results.values()}) > 1
    for fidelity, tau in (("equation", 4e-3), ("corrected", 1e-3)):
        single = dataclasses.replace(both, taus=(tau,), fidelity=(fidelity,), workdir=str(tmp_path / fidelity))
        pipeline.run(single)
        same = [row for row in rows if (row["fidelity"], row["tau"]) == (fidelity, tau)]
        assert tiny.without_wall_times(rows_of(single)) == tiny.without_wall_times(same)


@pytest.mark.usefixtures("no_figures")
def test_fine_tuning(config: MakeConfig):
    settings = config(unlearning="fine_tuning", fine_tuning_epochs=3)
    pipeline.run(settings)
    rows = by_attack(settings)
    assert list(rows) == list(ATTACKS)
    assert all((row["fidelity"], row["tau"], row["scope"]) == ("none", None, "all") for row in rows.values())
    assert any(row["per_class"] != rows["normal"]["per_class"] for row in rows.values())


@pytest.mark.parametrize("choice", ["paper", "original", "predicted", "target"])
def test_request_labels(config: MakeConfig, choice: str):
    _, victim, _, _, crafter, count = ready(config(request_labels=choice, target="cat"))
    for attack in ATTACKS:
        request = crafter.craft(attack, count)
        predicted = victim.predict(request.images).argmax(-1)
        own = attack in ("normal", "noise") or choice == "original" or (choice == "paper" and attack != "blending")
        expected = request.original_labels if own else 2 if choice == "target" else predicted
        np.testing.assert_array_equal(request.labels, np.broadcast_to(expected, request.labels.shape))


@pytest.mark.usefixtures("no_figures")
def test_targeted_run(config: MakeConfig):
    settings = config(target="cat")
    pipeline.run(settings)
    assert all(row["goal"] == "cat" for row in rows_of(settings))
    _, victim, _, _, crafter, count = ready(settings)
    assert (victim.predict(crafter.craft("pushing_1", count).images).argmax(-1) == 0).all()
    assert (victim.predict(crafter.craft("pushing_2", count).images).argmax(-1) == 2).all()


def test_wrongly_predicted_samples_are_skipped(config: MakeConfig):
    settings = config(attacks=("normal",))
    splits = data.load(settings.dataset, seed=0)
    order = data.candidates(splits.train, 0, 0)
    wrong = {splits.train.images[position].tobytes() for position in order[[0, 2, 3]]}

    def predict(images: np.ndarray) -> np.ndarray:
        return np.eye(3)[[1 if image.tobytes() in wrong else 0 for image in images]]

    black_box = BlackBox(splits.spec, predict)
    crafted = choose_and_push(settings, "nobody", black_box, splits, Classes(0, 1, None), 0, pipeline.seed_keys(0).push)
    count = len(crafted.samples.labels)
    kept = [position for position in order[: count + 3] if position not in order[[0, 2, 3]]]
    np.testing.assert_array_equal(crafted.samples.ids, splits.train.ids[kept])
    assert crafted.skipped.tolist() == [1] + [3] * (count - 1)
    assert black_box.queries == count + 3


def test_more_samples_than_the_victim_predicts_rightly(config: MakeConfig):
    settings = config(fractions=(0.1, 1.0))
    splits = data.load(settings.dataset, seed=0)
    black_box = BlackBox(splits.spec, lambda images: np.eye(3)[np.arange(len(images)) % 2])
    with pytest.raises(
        ValueError, match=r"a request of \d+ samples \(100 % of class ant\) is more than .* --fractions"
    ):
        choose_and_push(settings, "nobody", black_box, splits, Classes(0, 1, None), 0, pipeline.seed_keys(0).push)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"class_a": "ants"}, r"no class 'ants'.* Did you mean 'ant'\? Classes: 0 ant, 1 bee, 2 cat"),
        ({"class_b": "3"}, r"no class '3', expected a class name or a number 0\.\.2"),
        ({"target": "dog"}, "no class 'dog'"),
        ({"class_b": "ant"}, "--class_a=ant has to differ from --class_b and --target"),
        ({"class_b": "0"}, "--class_a=ant has to differ"),
        ({"target": "ANT"}, "--class_a=ant has to differ"),
        ({"model": "vgg16"}, "--model=vgg16: expected vgg, resnet or my_module:my_function"),
        ({"model": "no_such_module:make"}, "--model=no_such_module:make cannot be imported from here: No module"),
        ({"model": "json:make"}, "--model=json:make cannot be imported from here: .*no attribute 'make'"),
        ({"blocks": 4}, "vgg with 4 blocks .* take fewer blocks"),
        ({"scope": "tail_"}, "scope 'tail_' matches no parameter; this model has: "),
        ({"coordinates": 65}, "65 coordinates a step, but images of .* take fewer coordinates"),
        ({"dataset": "/nowhere/mine.npz"}, r"no file at /nowhere/mine\.npz"),
    ],
)
@pytest.mark.usefixtures("no_figures")
def test_settings_that_do_not_fit_the_data(config: MakeConfig, changes: dict, message: str):
    with pytest.raises((ValueError, OSError), match=message):
        pipeline.run(config(**changes))


def test_broken_data_are_refused(config: MakeConfig, dataset: Path, tmp_path: Path):
    with np.load(dataset) as stored:
        arrays = dict(stored)
    arrays["images"][3, 2, 1] = np.nan
    np.savez(tmp_path / "broken.npz", **arrays)
    with pytest.raises(ValueError, match=r"broken\.npz, training part: images hold NaN"):
        pipeline.run(config(dataset=str(tmp_path / "broken.npz")))


@pytest.mark.usefixtures("no_figures")
def test_query_budget(config: MakeConfig):
    count = len(ready(config(attacks=("normal",))).crafted.samples.labels)
    with pytest.raises(QueryBudgetExceededError, match="3 of the budget of 3 left"):
        pipeline.run(config(query_budget=3))
    with pytest.raises(ValueError, match=r"none of .* samples crossed .*--query_budget"):
        pipeline.run(config(query_budget=count + 16))

    settings = config(query_budget=count + 40 * 17, attacks=("normal", "pushing_1"))
    _, _, black_box, crafted, _, _ = ready(settings)
    assert crafted.pushed is not None
    assert black_box.queries <= settings.query_budget
    assert 0 < crafted.pushed.crossed.sum() < count
    assert (crafted.pushed.status[~crafted.pushed.crossed] == Status.RUNNING).all()
    pipeline.run(settings)
    for row in rows_of(settings):
        assert row["failed"] == (~crafted.pushed.crossed).sum()
        assert row["submitted"] == crafted.pushed.crossed.sum()


OWN_MODEL = """
import jax
import jax.numpy as jnp

from overunlearn_jax.models import pure_model


def linear(num_classes, image_shape):
    size = image_shape[0] * image_shape[1] * image_shape[2]

    def init(key):
        return {"head_matrix": 0.01 * jax.random.normal(key, (size, num_classes))}

    def apply(params, images):
        return images.reshape(len(images), -1) @ params["head_matrix"]

    return pure_model(init, apply)
"""


def test_a_model_of_the_users_own(config: MakeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "my_models.py").write_text(OWN_MODEL)
    monkeypatch.syspath_prepend(tmp_path)
    settings = config(model="my_models:linear", learning_rate=0.05)
    pipeline.run(settings)
    rows = by_attack(settings)
    assert list(rows) == list(ATTACKS)
    assert rows["normal"]["overall_before"] > 0.8
    assert rows["normal"]["model"] == "my_models:linear"
    assert rows["pushing_2"]["submitted"] > 0


def test_only_honest_requests_need_no_pushes(config: MakeConfig, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(crafting, "push_or_find", refuse)
    settings = config(attacks=("normal",))
    assert pipeline.run(settings).exists()
    [row] = rows_of(settings)
    assert (row["queries"], row["failed"], row["l2_max"]) == (0, 0, 0.0)
    with pytest.raises(CalledError):
        pipeline.run(config(attacks=("normal", "noise"), force=True))
