"""--gates: defences around the victim's service in a run, an audit and the reference server."""

import dataclasses
import re
from pathlib import Path

import jax
import numpy as np
import pytest

from experiments import pipeline
from experiments.config.defences import DefencesConfig
from experiments.victims.defended import check_gates, honest_copies
from overunlearn_jax.defences.assembly import ABOUT
from overunlearn_jax.defences.gate import Decision
from overunlearn_jax.defences.registry import GATES
from overunlearn_jax.stealth.pixels import from_8_bits, to_8_bits
from tests.experiments.running import MakeConfig, by_attack, ready, rows_of

DEFENDED = {"refused", "refused_by", "refused_because", "step_kept"}


def only_first(request, view):
    """Accepts the first sample of a request."""
    accepted = np.arange(len(request.labels)) < 1
    return Decision("only first", accepted, np.zeros(len(accepted)), 0.0, "one is enough")


NOT_BY_FLAGS = {"lira"}  # needs shadow models, which no run trains for it


def test_every_defence_stands_in_the_help_and_on_the_site():
    told = next(field for field in dataclasses.fields(DefencesConfig) if field.name == "gates").metadata["help"]
    page = (Path(__file__).parents[2] / "docs" / "defences.md").read_text()
    for name, about in [*((name, facts.about) for name, facts in GATES.items()), *ABOUT.items()]:
        assert f"| `{name}` | {about} |" in page, "docs/defences.md, the list of gates"
        assert re.search(rf"\b{name}\b", told) or name in NOT_BY_FLAGS, "experiments/config/defences.py"


@pytest.mark.usefixtures("no_figures")
def test_rows_say_what_was_refused_and_rows_without_gates_are_as_they_were(config: MakeConfig, tmp_path: Path):
    bare = config(attacks=("normal", "blending"), taus=(1e-3, 0.05))
    pipeline.run(bare)
    assert all(not DEFENDED & row.keys() for row in rows_of(bare))
    gates = f"clip(quantile=1.0),{__name__}:only_first"
    guarded = bare.replace(gates=gates, workdir=str(tmp_path / "guarded"))
    pipeline.run(guarded)
    reports = [(Path(each.run.workdir) / "report.html").read_text() for each in (bare, guarded)]
    assert [">Refused<" in text for text in reports] == [False, True]  # a column of their own
    for row, undefended in zip(rows_of(guarded), rows_of(bare), strict=True):
        refused = row["submitted"] - 1
        assert row["refused"] == refused
        assert row["refused_by"] == {"only first": refused}
        assert row["refused_because"] == f"{refused} of {row['submitted']} samples refused by only first: one is enough"
        assert row["step_kept"] == 1.0
        assert row["queries"] == undefended["queries"]
        assert row["cell"] == undefended["cell"]
        assert row["victim"] == undefended["victim"]
        assert row["forgetting_name"] != undefended["forgetting_name"]
        assert row["gradient_evaluations"] == 1
    nothing = bare.replace(
        gates="clip(quantile=0.0),clip_each(samples=16),monitor(requests=2)", workdir=str(tmp_path / "nothing")
    )
    pipeline.run(nothing)
    for row in rows_of(nothing):
        assert (row["class_a"], row["overall"]) == (row["class_a_before"], row["overall_before"])
        assert (row["refused"], row["refused_by"], row["step_kept"]) == (0, {}, 0.0)


@pytest.mark.usefixtures("no_figures")
def test_a_method_of_many_steps_with_retained_data_and_a_monitor(config: MakeConfig):
    settings = config(
        attacks=("normal", "blending"),
        unlearning="selective_dampening",
        method_settings="most_shrunk=0.01",
        gates="phash(bits=64),monitor(requests=2,confidence=0.0)",
    )
    pipeline.run(settings)
    for row in by_attack(settings).values():
        assert row["refused"] == row["submitted"]
        assert row["refused_by"]["monitor"] > 0
        assert row["weights_changed"] is False
        assert "matched_to_original" not in row  # nothing was


def test_pushes_are_found_again_whatever_the_gates(config: MakeConfig):
    bare, guarded = (ready(config(gates=gates)) for gates in ("", "agreement,budget(per_owner=5)"))
    np.testing.assert_array_equal(bare.crafted.pushed.inside, guarded.crafted.pushed.inside)
    assert bare.victim.name == guarded.victim.name


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"gates": "agremeent"}, "--gates=agremeent: the gate is 'agremeent'.* did you mean agreement"),
        ({"gates": "clip(requests=2)"}, "give at least 19"),
        ({"gates": "clip_each", "unlearning": "scrub"}, "this service's is none"),
        ({"gates": "monitor(in_parts=true)", "taus": (1e-3, 2e-3)}, "a monitor that releases parts"),
        ({"gates": "lira"}, "--gates=lira: the gate lira needs shadows, .* made in Python alone, by make_gate"),
        ({"gates": "exact(keyed=true)"}, "keyed=true. needs secret, .* made in Python alone"),
    ],
)
def test_gates_that_do_not_fit(config: MakeConfig, changes: dict, message: str):
    with pytest.raises(ValueError, match=message):
        pipeline.run(config(**changes))


@pytest.mark.parametrize("gates", ["agrement", "lria", ","])
def test_a_slip_is_offered_only_what_flags_can_make(gates: str):
    with pytest.raises(ValueError, match=r"expected .*exact, phash, .*monitor") as told:
        check_gates(DefencesConfig(gates=gates))
    assert not [name for name in NOT_BY_FLAGS if name in str(told.value)]


def test_honest_copies_are_pictures_of_the_training_samples(config: MakeConfig):
    splits = pipeline.load_splits(config(), 0)
    copies = honest_copies(splits.train, splits.spec, jax.random.key(0))
    originals = splits.train.images[[np.flatnonzero(splits.train.ids == each)[0] for each in copies.ids]]
    as_png = from_8_bits(to_8_bits(originals[::3], splits.spec.bounds), splits.spec.bounds)
    np.testing.assert_array_equal(copies.images[::3], as_png)
    assert not np.array_equal(copies.images[1::3], originals[1::3])
    assert np.abs(copies.images - originals).mean() < 0.1


def test_a_server_with_gates_and_a_monitor(config: MakeConfig):
    pytest.importorskip("overunlearn_jax.server", exc_type=ImportError)
    import json

    from experiments.serving.client import own_samples
    from experiments.serving.service import opened
    from overunlearn_jax.server.payloads import Payload
    from overunlearn_jax.server.settings import ServerSettings

    for gates, status in (
        ("monitor(requests=2,confidence=0.0)", "failed"),
        ("clip(quantile=1.0),monitor(requests=2,confidence=1.0)", "completed"),
        (f"{__name__}:only_first", "completed"),
    ):
        made = config(gates=gates).replace(force=True)
        made = made.replace(workdir=f"{made.run.workdir}-{abs(hash(gates))}")
        with opened(made, ("alice",), ServerSettings()) as service:
            images, labels = own_samples(Path(made.run.workdir), "alice")
            payload = Payload(images=images[:3], labels=labels[:3])
            entry = service.served.queue.add("alice", "a key", "digest", "submission", 3, payload, 10, 10)
            service.worker._do(service.served.queue.next(3))
            body = service.served.queue.entry(entry.id, "alice").body()
            [row] = service.served.journal.rows("SELECT decisions FROM deletions")
        assert body["status"] == status, body
        [decision] = json.loads(row[0])
        if "monitor" in gates:
            assert decision["gate"] == "monitor"
            assert decision["accepted"] == [status == "completed"] * 3
        else:
            assert body["error"] == "2 of 3 samples refused by only first: one is enough"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"gates": "identify"}, "the gate identify: a deletion by identifier"),
        ({"gates": "monitor(in_parts=true)"}, "leave in_parts out"),
        (
            {"gates": "clip", "unlearning": "sisa", "method_settings": "shards=2,slices=2,epochs=1"},
            "replays all deletions",
        ),
        ({"gates": "clip(requests=2)"}, "give at least 19"),
    ],
)
def test_gates_that_a_server_has_no_place_for(config: MakeConfig, changes: dict, message: str):
    pytest.importorskip("overunlearn_jax.server", exc_type=ImportError)
    from experiments.serving.service import opened
    from overunlearn_jax.server.settings import ServerSettings

    with pytest.raises(ValueError, match=message), opened(config(**changes), ("alice",), ServerSettings()):
        pass
