"""A victim that was trained elsewhere."""

import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from experiments import pipeline
from experiments.config import Config
from experiments.victims.architectures import build_model
from experiments.victims.trained import load_trained
from overunlearn_jax import data
from overunlearn_jax.evaluation import evaluate
from overunlearn_jax.models import predict_fn
from tests.experiments.running import MakeConfig, refuse, rows_of, victim_of

THEIRS = """
import jax
import numpy as np
from overunlearn_jax.models import vgg

def make(num_classes, image_shape):
    return vgg(num_classes, image_shape, blocks=1, width=4, batch_norm_momentum=0.5)

def load():
    template = jax.eval_shape(make(3, (8, 8, 1)).init, jax.random.key(0))
    with np.load(__file__.replace("their_models.py", "weights.npz")) as stored:
        leaves = [stored[name] for name in stored]
    return jax.tree.unflatten(jax.tree.structure(template), leaves)

def params_alone():
    return load().params

def not_finite():
    return jax.tree.map(lambda leaf: leaf * np.nan, load())

def fails():
    return {}["weights"]
"""


@pytest.fixture
def elsewhere(config: MakeConfig, dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    """A run of weights that somebody else trained; nothing is trained in it."""
    (tmp_path / "their_models.py").write_text(THEIRS)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "their_models", raising=False)
    load_trained.cache_clear()
    settings = config(seeds=(0, 1), attacks=("normal", "pushing_1"), dataset=with_test_part(dataset, tmp_path))
    splits = data.load(settings.data.dataset, seed=0)
    victim = victim_of(settings, splits, 0, jax.random.key(0))
    keep(tmp_path, victim.service.variables)
    monkeypatch.setattr("experiments.victims.cache.fit", refuse)
    return settings.replace(model="their_models:make", trained="their_models:load")


def with_test_part(dataset: Path, folder: Path) -> str:
    with np.load(dataset) as stored:
        arrays = dict(stored)
    arrays |= {f"test_{name}": arrays[name][::5] for name in ("images", "labels")}
    np.savez(folder / "mine.npz", **arrays)
    return str(folder / "mine.npz")


def keep(folder: Path, variables: object) -> None:
    np.savez(folder / "weights.npz", *map(np.asarray, jax.tree.leaves(variables)))


@pytest.mark.usefixtures("no_figures")
def test_it_is_attacked_as_it_is_with_every_seed(elsewhere: Config, tmp_path: Path):
    pipeline.run(elsewhere)
    rows = rows_of(elsewhere)
    assert {(row["seed"], row["attack"]) for row in rows} == {(s, a) for s in (0, 1) for a in elsewhere.attack.attacks}
    splits = data.load(elsewhere.data.dataset, seed=0)
    victim = victim_of(elsewhere, splits, 0, jax.random.key(5))
    model = build_model(elsewhere.victim, splits.spec)
    alone = evaluate(predict_fn(model, victim.service.variables), splits.test, 3)
    assert {row["overall_before"] for row in rows} == {alone.overall}
    assert {row["model"] for row in rows} == {"their_models:make with the weights of their_models:load"}
    assert any(row["class_a"] != row["class_a_before"] or row["weights_changed"] for row in rows)
    keep(tmp_path, jax.tree.map(lambda leaf: leaf * 1.01, victim.service.variables))
    again = elsewhere.replace(seeds=(0,), workdir=str(tmp_path / "again"))
    pipeline.run(again)
    assert {row["overall_before"] for row in rows_of(again)} == {alone.overall}  # loaded once: one run, one model
    load_trained.cache_clear()  # another start
    with pytest.raises(ValueError, match="rows that were made before --trained=their_models:load changed"):
        pipeline.run(elsewhere)
    other = elsewhere.replace(workdir=str(tmp_path / "other"))
    pipeline.run(other)
    assert not {row["victim"] for row in rows_of(other)} & {row["victim"] for row in rows}


def test_data_that_the_model_has_seen_are_refused(elsewhere: Config, dataset: Path):
    with pytest.raises(ValueError, match=r"tiny\.npz has no test part, and a model that was trained elsewhere"):
        pipeline.run(elsewhere.replace(dataset=str(dataset)))


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (
            "params_alone",
            r"params_alone returned a dict of .*; expected a Variables of .*: what init of --model=their_mod",
        ),
        ("not_finite", "not_finite returned params/.* with NaN or infinity"),
        ("fails", r"--trained=their_models:fails raised KeyError: 'weights'; it is called as load\(\)"),
        ("nowhere", "--trained=their_models:nowhere cannot be imported"),
    ],
)
def test_what_is_no_trained_model(elsewhere: Config, function: str, message: str):
    with pytest.raises(ValueError, match=message):
        pipeline.run(elsewhere.replace(trained=f"their_models:{function}"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"trained": "weights.npz"}, "--trained=weights.npz: expected my_module:my_function"),
        (
            {"trained": "mine:load", "forgetting": True, "shadows": 4},
            "--trained=mine:load with --shadows=4: this trains models",
        ),
        ({"trained": "mine:load", "unlearning": "sisa"}, "with --unlearning=sisa: this trains models beside"),
        ({"trained": "mine:load", "unlearning": "retrain"}, "with --unlearning=retrain: this trains models beside"),
    ],
)
def test_what_does_not_go_together(changes: dict, message: str):
    with pytest.raises(ValueError, match=message):
        Config.of(**changes)
