"""`--service_url`: the pipeline over HTTP, its token in nothing that is kept, and what a kill in a deletion leaves."""

import json
from pathlib import Path

import numpy as np
import pytest
import scipy.special

from experiments import pipeline
from experiments.config import Config, ConnectionConfig, flags
from experiments.config.connection import DIALECTS
from experiments.victims.over_http import connected, dialect_of
from overunlearn_jax import data
from overunlearn_jax.black_box import BadAnswerError
from overunlearn_jax.digests import read_sealed
from overunlearn_jax.services.http import (
    HuggingFace,
    Mlflow,
    OpenInference,
    RefusedError,
    TensorFlowServing,
    dialects,
)
from overunlearn_jax.services.inspection import ServiceError
from overunlearn_jax.services.pixels import LAYOUTS, RANGES
from tests.experiments.running import MakeConfig, by_attack
from tests.services.http.fake_server import TOKEN, served

Served = tuple[str, "object"]
KINDS = {"v2": OpenInference, "v1": TensorFlowServing, "mlflow": Mlflow, "hugging_face": HuggingFace}


@pytest.fixture
def server(dataset: Path):
    pytest.importorskip("httpx", reason="pip install -e '.[http]'")
    pytest.importorskip("tenacity", reason="pip install -e '.[http]'")
    train = data.load(str(dataset), seed=0).train
    flat, targets = train.images.reshape(len(train.labels), -1).astype(np.float64), np.eye(3)[train.labels]
    weights = np.zeros((flat.shape[1], 3))
    for _ in range(200):
        weights -= 0.05 * flat.T @ (scipy.special.softmax(flat @ weights, -1) - targets) / len(flat)
    with served(classes=("ant", "bee", "cat"), weights=weights) as (url, state):
        state.token = TOKEN
        yield url, state


@pytest.fixture
def settings(config: MakeConfig, tmp_path: Path, server: Served, monkeypatch: pytest.MonkeyPatch) -> Config:
    monkeypatch.setenv("MODEL_TOKEN", TOKEN)
    made = config(attacks=("normal", "pushing_1"), fractions=(0.25,), cache_dir=str(tmp_path / "cache"))
    victim = {name: getattr(Config().victim, name) for name in vars(made.victim)}
    return made.replace(
        **victim,
        service_url=server[0],
        model_name="m",
        output_name="predict_proba",
        token_env="MODEL_TOKEN",
        service_batch=64,
    )


@pytest.mark.usefixtures("no_figures")
def test_an_audit_by_url_measures_counts_and_keeps_no_token(settings: Config, server: Served, tmp_path: Path, capsys):
    pipeline.run(settings)
    rows = by_attack(settings)
    assert rows["normal"]["unlearning"] == rows["normal"]["model"] == server[0]
    assert rows["normal"]["class_a_before"] > 0.9
    assert rows["pushing_1"]["submitted"] > 0
    (sent,) = json.loads((Path(settings.run.workdir) / "manifest.json").read_text())["sent"]
    assert f"{server[1].images:,} images" not in sent  # those of deletions come on top
    assert "requests sent" in sent
    kept = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert TOKEN.encode() not in kept
    assert TOKEN not in "".join(capsys.readouterr())
    pipeline.run(settings)  # complete: left as it is


@pytest.mark.usefixtures("no_figures")
def test_a_service_left_in_a_deletion_is_restored_at_the_next_start(settings: Config, server: Served, tmp_path: Path):
    pipeline.run(settings)
    state = server[1]
    first = by_attack(settings)["normal"]["victim"]
    (folder,) = {path.parent for path in (tmp_path / "cache" / "services").rglob("deleting.lock")}
    state.snapshots["s-killed"] = state.model.weights.copy()
    state.model.weights = state.model.weights[:, ::-1]  # what a deletion left, whose note and snapshot a kill left
    (folder / "snapshot.json").write_text(json.dumps({"id": "s-killed"}))
    (folder / "deleting.json").write_text(json.dumps({"service": first, "samples": 3}))
    elsewhere = settings.replace(workdir=str(tmp_path / "elsewhere"))
    pipeline.run(elsewhere)
    assert by_attack(elsewhere)["normal"]["victim"] == first


def test_what_is_wrong_is_told_before_anything_is_pushed(settings: Config, server: Served, monkeypatch):
    with pytest.raises(ServiceError, match="--undo=none"):
        pipeline.run(settings.replace(undo="none"))
    with pytest.raises(RefusedError, match="404"):
        pipeline.run(settings.replace(model_name="another"))
    with pytest.raises(RefusedError, match=r"--request_form|dialect|404"):
        pipeline.run(settings.replace(dialect="hugging_face", output_name="", model_name=""))
    monkeypatch.setenv("MODEL_TOKEN", "another-token")
    with pytest.raises(RefusedError, match="401") as raised:
        pipeline.run(settings)
    assert "another-token" not in str(raised.value)
    assert server[1].deletions == {}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"service_url": "models.example"}, "expected http://HOST"),
        ({"service_url": "http://x"}, "--model_name"),
        ({"service_url": "http://x", "model_name": "m", "service": "a:B"}, "one service is audited"),
        ({"service_url": "http://x", "model_name": "m", "unlearning": "sisa"}, "forgets in its own way"),
        ({"model_name": "m"}, "--model_name is of a service behind a URL"),
        ({"service_url": "http://x", "dialect": "v3"}, "expected one of v2, v1, mlflow, hugging_face"),
        ({"service_url": "http://x", "dialect": "mlflow", "request_form": "flat"}, "inputs, instances, dataframe_spl"),
        ({"service_url": "http://x", "model_name": "m", "undo": "command"}, "needs --undo_command"),
        ({"service_url": "http://x", "model_name": "m", "undo_command": "true"}, "has no use for --undo_command"),
        ({"service_url": "http://x", "model_name": "m", "token_env": "A", "token_file": "b"}, "one of the two"),
        (
            {"service_url": "http://x", "model_name": "m", "deletion_token_env": "A"},
            "--deletion_token_env=A --deletion_token_file=: expected --deletion_url",
        ),
        (
            {
                "service_url": "http://x",
                "model_name": "m",
                "deletion_url": "http://y",
                "deletion_token_env": "A",
                "deletion_token_file": "b",
            },
            "--deletion_token_env=A and --deletion_token_file=b: a service has one token",
        ),
        ({"service_url": "http://x", "model_name": "m", "width": 7}, "--service_url=http://x answers with a model of"),
    ],
)
def test_flags_that_do_not_go_together(given, words):
    with pytest.raises(ValueError, match=words):
        Config.of(**given)


@pytest.mark.usefixtures("no_figures")
def test_another_host_gets_the_token_that_was_given_for_it_and_no_other(
    settings: Config, server: Served, monkeypatch, capsys
):
    (url, state), spec = server, data.load(settings.data.dataset, seed=0).spec
    with served(classes=state.classes, weights=state.model.weights) as (elsewhere, other):
        apart = settings.replace(deletion_url=elsewhere, attacks=("normal",))
        for token in ({}, {"deletion_token_env": "DELETION_TOKEN"}):
            monkeypatch.setenv("DELETION_TOKEN", "the-other-token")
            with connected(apart.replace(**token), spec, None) as service:
                service._deletions.call("POST", "/snapshots")
        given = [headers.get("Authorization") for _, _, headers in other.received]
        assert given == [None, "Bearer the-other-token"]
    with connected(settings.replace(deletion_url=f"{url}/"), spec, None) as service:
        service._deletions.call("POST", "/snapshots")  # the same host: the service's token is for it
    assert state.received[-1][2]["Authorization"] == f"Bearer {TOKEN}"
    assert "WARNING" not in capsys.readouterr().err
    monkeypatch.setenv("DELETION_TOKEN", "the-other-token")
    remote = settings.replace(deletion_url="http://deletions.example", deletion_token_env="DELETION_TOKEN")
    with connected(remote, spec, None):
        pass
    assert "WARNING: the token travels to http://deletions.example unencrypted" in capsys.readouterr().err
    replica = settings.replace(undo="replica", undo_command="echo http://replica.example")
    with connected(replica, spec, None) as service:
        service.undo.before(service.client)
        service.undo.back(service.client)
    assert "WARNING: the token travels to http://replica.example unencrypted" in capsys.readouterr().err


def test_every_dialect_has_its_flags(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    named = {kind.__name__ for kind in KINDS.values()} | {"OwnDialect", "Description", "Dialect", "Get", "Parts"}
    assert named >= set(dialects.__all__), "a dialect has no name in KINDS"
    assert set(KINDS) == set(DIALECTS), "KINDS here and DIALECTS in config/connection.py have other names"
    about = flags.SETTINGS["dialect"].metadata["help"]
    for name, kind in KINDS.items():
        assert f"{name}: " in about, f"the help of dialect in config/connection.py says nothing of {name}"
        try:
            made = dialect_of(ConnectionConfig(dialect=name, model_name="m"))
        except ValueError as error:
            pytest.fail(f"dialect_of in victims/over_http.py has no branch for {name}: {error}")
        assert isinstance(made, kind)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "own_dialect.py").write_text(
        "from overunlearn_jax.services.http import OwnDialect\n"
        "def make():\n    return OwnDialect(lambda images: ('/x', b''), lambda body, count: None)\n"
        "def wrong():\n    return 3\n"
    )
    assert dialect_of(ConnectionConfig(dialect="own_dialect:make")).images_per_request is None
    with pytest.raises(
        ValueError, match="returned a int without describe, to_request, from_response, images_per_request"
    ):
        dialect_of(ConnectionConfig(dialect="own_dialect:wrong"))


def test_flags_know_the_pixel_formats_that_there_are():
    fields = flags.SETTINGS
    assert set(fields["service_layout"].metadata["choices"]) == {"", *LAYOUTS}
    assert set(fields["service_pixels"].metadata["choices"]) == {"", *RANGES}


def test_an_answer_that_is_none_ends_the_run(settings: Config, server: Served):
    server[1].respond = lambda probabilities: (3 * probabilities).tolist()
    with pytest.raises(BadAnswerError, match="sum to between"):
        pipeline.run(settings)


def test_probe_says_what_a_service_reveals_and_what_an_audit_costs(settings: Config, server: Served, command):
    server[1].respond = lambda probabilities: probabilities.round(4).tolist()
    typed = ("--model_name=m", "--output_name=predict_proba", "--token_env=MODEL_TOKEN")
    done = command("probe", server[0], f"--dataset={settings.data.dataset}", "--class_a=ant", "--class_b=bee", *typed)
    assert done.returncode == 0, done.stderr
    for words in (
        "all 3 classes, with 4 decimals",
        "it repeats itself",
        "images a second",
        "SEGA",
        "queries",
        "sent: ",
    ):
        assert words in done.stdout
    assert TOKEN not in done.stdout + done.stderr
    assert server[1].deletions == {}
    assert command("probe").returncode == 1
    assert "expected one URL" in command("probe", "http://a", "http://b").stderr


@pytest.mark.usefixtures("no_figures")
def test_an_audit_that_looks_first_keeps_what_it_saw_and_searches_alike_after_a_kill(settings: Config, server: Served):
    server[1].respond = lambda probabilities: probabilities.round(4).tolist()
    automatic = settings.replace(search="auto", coordinates=128, step_size=1e-2, max_steps=1000)
    pipeline.run(automatic)
    assert by_attack(automatic)["pushing_1"]["submitted"] > 0
    workdir = Path(automatic.run.workdir)
    (kept,) = read_sealed(workdir / "revealed.json", "").values()
    assert kept["decimals"] == 4
    assert (
        "What the service reveals: it answers all 3 classes, with 4 decimals." in (workdir / "summary.md").read_text()
    )
