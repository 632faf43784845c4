"""Whole runs: the files and rows that they leave, and settings that do not fit."""

import importlib
import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from experiments import pipeline
from experiments.config import Config
from experiments.victims.sources import sources_of
from overunlearn_jax import data
from overunlearn_jax.attack_names import ATTACKS
from overunlearn_jax.reporting.row import REQUIRED_KEYS
from overunlearn_jax.types import Splits
from tests.experiments import tiny
from tests.experiments.running import CalledError, MakeConfig, by_attack, ready, refuse, rows_of, victim_of


def test_a_run_leaves_all_its_files(config: MakeConfig):
    settings = config(fractions=(0.25, 0.5))
    report = pipeline.run(settings)
    workdir = Path(settings.run.workdir)
    assert report == workdir / "report.html"
    assert Config.from_json(workdir / "config.json") == settings
    assert json.loads((workdir / "manifest.json").read_text())["seeds"] == [0]
    assert {path.name for path in (workdir / "figures").iterdir()} == {
        f"{kind}_fraction_{fraction}.png"
        for kind in (*(f"{kind}_corrected_tau_0.001" for kind in ("accuracy", "harm", "predicted_labels")), "requests")
        for fraction in ("0.25", "0.5")
    }
    summary = (workdir / "summary.md").read_text()
    assert "Pushing-II" in summary
    pictures = re.findall(r"!\[.*\]\((.*)\)", summary)
    assert sorted(pictures) == [
        f"figures/harm_corrected_tau_0.001_fraction_{fraction}.png" for fraction in ("0.25", "0.5")
    ]
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


@pytest.mark.usefixtures("no_figures")
def test_several_taus_and_fidelities_equal_single_runs(config: MakeConfig, tmp_path: Path):
    both = config(attacks=("normal", "pushing_1"), taus=(1e-3, 4e-3), fidelity=("equation", "corrected"))
    pipeline.run(both)
    rows = rows_of(both)
    assert len({row["cell"] for row in rows}) == len(rows) == 8
    results = {(row["fidelity"], row["tau"]): row["per_class"] for row in rows if row["attack"] == "pushing_1"}
    assert len({tuple(result) for result in results.values()}) > 1
    for fidelity, tau in (("equation", 4e-3), ("corrected", 1e-3)):
        single = both.replace(taus=(tau,), fidelity=(fidelity,), workdir=str(tmp_path / fidelity))
        pipeline.run(single)
        same = [row for row in rows if (row["fidelity"], row["tau"]) == (fidelity, tau)]
        assert tiny.without_wall_times(rows_of(single)) == tiny.without_wall_times(same)


@pytest.mark.usefixtures("no_figures")
def test_fine_tuning(config: MakeConfig):
    settings = config(unlearning="fine_tuning", method_settings="epochs=3")
    pipeline.run(settings)
    rows = by_attack(settings)
    assert list(rows) == list(ATTACKS)
    assert all((row["fidelity"], row["tau"], row["scope"]) == ("none", None, "all") for row in rows.values())
    assert any(row["per_class"] != rows["normal"]["per_class"] for row in rows.values())


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("gradient_ascent", "steps=3,learning_rate=0.1"),
        ("influence", "damping=1"),
        ("scrub", "rounds=2,ascents=1,retain_steps=2,learning_rate=0.1"),
        ("selective_dampening", "selection=0.5"),
        ("retrain", ""),
    ],
)
@pytest.mark.usefixtures("no_figures")
def test_other_methods(config: MakeConfig, name: str, settings: str, capfd: pytest.CaptureFixture[str]):
    run = config(unlearning=name, method_settings=settings)
    pipeline.run(run)
    assert ("retrain: 100%" in capfd.readouterr().err) == (name == "retrain")
    rows = by_attack(run)
    assert list(rows) == list(ATTACKS)
    assert {row["unlearning"] for row in rows.values()} == {name}
    assert {row["scope"] for row in rows.values()} == {"head" if name == "influence" else "all"}
    if name == "gradient_ascent":
        assert "matched_to_original" not in rows["normal"]
    else:
        assert rows["normal"]["matched_to_original"] == 1.0
    pushed = [rows[attack] for attack in ("normal", "pushing_1", "pushing_2")]
    if name == "retrain":  # the service finds the samples that are meant, and forgets those, however they were changed
        assert [row["matched_to_original"] for row in pushed] == [1.0] * 3
        assert len({tuple(row["per_class"]) for row in pushed}) == 1


@pytest.mark.usefixtures("no_figures")
def test_sisa_is_a_victim_of_its_own_and_forgets_the_samples_that_are_meant(
    config: MakeConfig, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    run = config(unlearning="sisa", method_settings="shards=2,slices=2,epochs=2", forgetting=True)
    pipeline.run(run)
    shown = capfd.readouterr().err  # what takes long has a bar
    assert all(f"{words}: " in shown for words in ("sisa", "sisa, at most", "retrained model to compare with"))
    rows = by_attack(run)
    plain = victim_of(config(), data.load(run.data.dataset, seed=0), 0, pipeline.seed_keys(0).train)
    assert rows["normal"]["victim"] != plain.name
    for attack in ("noise", "pushing_1", "pushing_2"):  # changed images still mean the same samples
        assert rows[attack]["per_class"] == rows["normal"]["per_class"]
        assert rows[attack]["matched_to_original"] == 1.0
    assert rows["normal"]["gradient_evaluations"] > 0
    assert rows["normal"]["js_to_retrained"] > 0  # an ensemble beside one model
    # a victim of other shards is another; the same one is found again
    other = config(
        unlearning="sisa",
        method_settings="shards=3,slices=1,epochs=9",
        attacks=("normal",),
        workdir=f"{run.run.workdir}_other",
    )
    pipeline.run(other)
    assert by_attack(other)["normal"]["victim"] != rows["normal"]["victim"]
    monkeypatch.setattr("overunlearn_jax.unlearn.sisa.slices.make_train_step", refuse)
    again = run.replace(workdir=f"{run.run.workdir}_again")
    pipeline.run(again)
    assert {row["gradient_evaluations"] for row in rows_of(again)} == {0}  # what is found done is no work
    first, second = (
        [row | {"gradient_evaluations": None} for row in tiny.without_wall_times(rows_of(each))]
        for each in (run, again)
    )
    assert first == second


@pytest.mark.usefixtures("no_figures")
def test_a_user_s_function_from_a_file_of_their_own(
    config: MakeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "their_service.py").write_text(
        "import jax\n"
        "SIZE = 0\n"
        "def forget(params, request, key, retain=None):\n"
        "    assert request.images.shape[1:] == (8, 8, 1) and len(retain.labels) >= SIZE - len(request.labels)\n"
        "    return jax.tree.map(lambda leaf: leaf * 0.5, params)\n"
        "def broken(params, request, key, retain=None):\n"
        "    return params.params\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    their_service = importlib.import_module("their_service")
    run = config(unlearning="their_service:forget")
    their_service.SIZE = len(ready(run).splits.train.labels)
    pipeline.run(run)
    rows = by_attack(run)
    assert {row["unlearning"] for row in rows.values()} == {"their_service:forget"}
    assert all(row["per_class"] == rows["normal"]["per_class"] for row in rows.values())  # it looks at no image
    monkeypatch.setattr(pipeline, "train_or_find", None)  # it is found before anything is trained
    with pytest.raises(ValueError, match=r"their_service:broken returned a dict of .*; expected a Variables of"):
        pipeline.run(config(unlearning="their_service:broken", workdir=str(tmp_path / "broken")))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"unlearning": "salun", "method_settings": "shares=0.5"},
            "salun has no setting shares; expected some of share",
        ),
        ({"unlearning": "salun", "method_settings": "steps=many"}, "salun cannot read steps=many: expected int"),
        ({"unlearning": "sisa", "method_settings": "shard=5"}, "sisa has no setting shard; expected some of shards"),
        ({"unlearning": "sisa", "method_settings": "shards=five"}, "sisa cannot read shards=five: expected int"),
        (
            {"unlearning": "sisa", "method_settings": "aggregation=median"},
            "aggregation is 'median'; expected one of mean, vote",
        ),
        (
            {"unlearning": "no_such_module:forget"},
            "no_such_module:forget cannot be imported from .* or PYTHONPATH: No module",
        ),
        ({"unlearning": "os:path"}, "os:path is a module; expected unlearn"),
        ({"unlearning": "json:dumps"}, r"json:dumps\(obj, .* cannot be called as unlearn\(params, request, key"),
        ({"unlearning": "salun", "scope": "tail_"}, "scope 'tail_' matches no parameter; this model has: "),
        ({"unlearning": "salun", "method_settings": "scope=tail_"}, "scope 'tail_' matches no parameter"),
        ({"class_a": "ants"}, r"no class 'ants'.* Did you mean 'ant'\? Classes: 0 ant, 1 bee, 2 cat"),
        ({"class_b": "3"}, r"no class '3', expected a class name or a number 0\.\.2"),
        ({"target": "dog"}, "no class 'dog'"),
        ({"class_b": "ant"}, "--class_a=ant has to differ from --class_b and --target"),
        ({"class_b": "0"}, "--class_a=ant has to differ"),
        ({"target": "ANT"}, "--class_a=ant has to differ"),
        ({"model": "vgg16"}, "--model=vgg16: expected vgg, resnet or my_module:my_function"),
        (
            {"model": "no_such_module:make"},
            "--model=no_such_module:make cannot be imported from .* or PYTHONPATH: No module",
        ),
        ({"model": "json:make"}, "--model=json:make cannot be imported from .* or PYTHONPATH: .*no attribute 'make'"),
        ({"blocks": 4}, "vgg with 4 blocks .* take fewer blocks"),
        ({"scope": "tail_"}, "scope 'tail_' matches no parameter; this model has: "),
        ({"block_sizes": (3, 1)}, "--block_sizes=3,1: blocks of 3 pixels do not tile images of 8x8"),
        ({"dataset": "/nowhere/mine.npz"}, r"no file at /nowhere/mine\.npz"),
    ],
)
@pytest.mark.usefixtures("no_figures")
def test_settings_that_do_not_fit_are_found_before_anything_is_trained(
    config: MakeConfig, changes: dict, message: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(pipeline, "train_or_find", refuse)
    with pytest.raises((ValueError, OSError), match=message):
        pipeline.run(config(**changes))


def test_broken_data_are_refused(config: MakeConfig, dataset: Path, tmp_path: Path):
    with np.load(dataset) as stored:
        arrays = dict(stored)
    arrays["images"][3, 2, 1] = np.nan
    np.savez(tmp_path / "broken.npz", **arrays)
    with pytest.raises(ValueError, match=r"broken\.npz, training part: images hold NaN"):
        pipeline.run(config(dataset=str(tmp_path / "broken.npz")))


def test_a_folder_of_different_sizes_becomes_what_the_flag_says(
    config: MakeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    for label, name in enumerate(tiny.NAMES):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(10):
            image = Image.new("L", (8 + number, 12), 80 * label + number)
            image.save(tmp_path / "photos" / name / f"{number}.png")
    loaded: list[Splits] = []

    def keep_and_stop(training: object, service: object, run: object, splits: Splits, *_: object) -> None:
        loaded.append(splits)
        refuse()

    monkeypatch.setattr(pipeline, "train_or_find", keep_and_stop)
    settings = config(dataset=str(tmp_path / "photos"), image_size=8)
    with pytest.raises(CalledError):
        pipeline.run(settings)
    assert loaded[0].spec.image_shape == (8, 8, 1)
    asked, other = (sources_of(settings.replace(image_size=size))["dataset"] for size in (8, 10))
    assert asked == data.digest(loaded[0]) != other
    with pytest.raises(ValueError, match=r"expected one size for all images.*--image_size=SIDE"):
        pipeline.run(settings.replace(image_size=0, workdir=str(tmp_path / "other")))


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
