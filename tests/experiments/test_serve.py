"""`overunlearn serve`: its flags, and a real process that is killed under load; the benchmarks that do it at length."""

import json
import shutil
import socket
import urllib.request
from pathlib import Path

import jax
import numpy as np
import pytest

pytest.importorskip("overunlearn_jax.server", exc_type=ImportError)

import overunlearn_jax as ou
from experiments import serve
from experiments.benchmarks import server_faults, server_load
from experiments.serving import demo
from experiments.serving.client import Client, own_samples
from experiments.serving.process import Service
from experiments.serving.service import opened
from overunlearn_jax.attack_names import ATTACKS
from overunlearn_jax.server.payloads import Payload
from overunlearn_jax.server.settings import ServerSettings
from overunlearn_jax.server.tokens import token_of
from overunlearn_jax.services.fingerprint import weights_digest
from overunlearn_jax.types import Request
from tests.conftest import share_compiled
from tests.experiments import tiny
from tests.experiments.running import MakeConfig


@pytest.fixture
def apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is compiled lies apart from other tests': a kill may leave a half-written program."""
    for name, value in share_compiled(
        shutil.copytree(jax.config.jax_compilation_cache_dir, tmp_path / "compiled")
    ).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PYTHONPATH", str(tiny.ROOT))


def test_limits_are_those_of_the_service():
    defaults = ServerSettings._field_defaults
    assert {name: default for name, (default, _) in serve.LIMITS.items()} == {
        name: defaults[name] for name in serve.LIMITS
    }


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--taus=1,2"], "a service forgets in one way"),
        (["--owners=a,a"], "--owners=a,a: expected names"),
        (["--owners=admin"], "--owners=admin: expected names"),
        (["--owners=../x"], "--owners=../x: expected names"),
        (["--service=a:b"], "--service=a:b has no weights"),
        (["--service_url=http://localhost:1", "--model_name=m"], "--service_url=http://localhost:1 has no weights"),
        (["more"], "unexpected arguments ['more']"),
        (["--port=70000"], "flag --port=70000"),
        (["--host=nowhere.invalid"], "expected an address of this machine"),
    ],
)
def test_wrong_flags(command, tmp_path: Path, arguments: list[str], told: str):
    done = command("serve", "--port=0", f"--workdir={tmp_path / 'serve'}", *arguments)
    assert done.returncode == 1
    assert told in done.stderr


def test_a_port_that_is_taken(command, tmp_path: Path):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = command("serve", f"--port={port}", f"--workdir={tmp_path / 'serve'}")
    assert done.returncode == 1
    assert f"--port={port}: Address already in use" in done.stderr


def test_another_process_in_the_workdir_is_told(config: MakeConfig):
    settings = config()
    with (
        opened(settings, ("alice",), ServerSettings()),
        pytest.raises(RuntimeError, match="wait for it, or give another --workdir"),
        opened(settings, ("alice",), ServerSettings()),
    ):
        pass


def test_sisa_forgets_as_its_service_does(config: MakeConfig, tmp_path: Path):
    made = config(unlearning="sisa", method_settings="shards=2,slices=2,epochs=1", taus=(2e-2,))
    with opened(made, ("alice",), ServerSettings()) as service:
        worker, served = service.worker, service.served
        images, labels = own_samples(Path(made.run.workdir), "alice")
        forget = worker._forget
        first, second = Request(images[:2], labels[:2]), Request(images[5:7], labels[5:7])
        one = forget(served.served.variables, frozenset(), first, jax.random.key(0))
        two = forget(one.variables, one.ids, second, jax.random.key(0))
        with forget._service.after([first, second], jax.random.key(0)) as left:
            assert weights_digest(two.variables) == weights_digest(left.variables)
        assert len(one.ids) == len(two.ids) == 2
        assert not one.ids & two.ids


@pytest.mark.usefixtures("apart")
def test_killed_under_load_it_loses_nothing(config: MakeConfig, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(server_faults, "BUSY", 1.0)
    made = config()
    row = server_faults.measure(made, server_faults.flags_of(made), kills=2)
    assert {name: row[name] for name in server_faults.WRONG} == dict.fromkeys(server_faults.WRONG, 0)
    assert row["deletions_acknowledged"] > 2
    assert json.loads(json.dumps(row)) == row


def test_a_judge_that_sees_faults(config: MakeConfig):
    """A version that nobody asked for, and an answer of no version, are found."""
    made = config()
    with opened(made, ("alice",), ServerSettings()) as service:
        served, worker = service.served, service.worker
        load = server_faults.Load(Path(made.run.workdir), 0)
        rows = np.arange(2)
        for key in ("one", "two"):
            payload = Payload(images=load.images[rows], labels=load.labels[rows])
            entry = served.queue.add("alice", key, "digest", "submission", 2, payload, 10, 10)
            worker._do(served.queue.next(3))
            load.acknowledged[entry.id] = server_faults.Submitted(key, rows)
        names = list(load.acknowledged)
        ended = {name: served.queue.entry(name, "alice").body() for name in names}
    judged = server_faults.judge(made, Path(made.run.workdir), load, ended)
    assert {judged[name] for name in server_faults.WRONG} == {0}
    load.answers = {"2": {b"something else"}}
    load.acknowledged[names[1]] = server_faults.Submitted("two", rows + 1)  # other samples: other weights
    load.acknowledged["never done"] = server_faults.Submitted("three", rows)
    judged = server_faults.judge(made, Path(made.run.workdir), load, ended)
    assert (judged["lost"], judged["wrong_weights"], judged["wrong_answers"]) == (1, 1, 1)


@pytest.mark.usefixtures("apart")
def test_load_is_measured(config: MakeConfig):
    found = server_load.measure(config(), requests=20, batches=(1, 4), in_flight=(1, 2), seconds=0.2)
    assert [(row["batch"], row["in_flight"]) for row in found["rows"]] == [(1, 1), (1, 2), (4, 1), (4, 2)]
    for row in found["rows"]:
        assert all(value > 0 for value in row.values()), row
        assert row["p50_ms"] <= row["p99_ms"]
    assert found["requests"] == 20
    assert found["memory_after"] > 10_000_000


@pytest.mark.usefixtures("apart", "no_figures")
def test_probe_and_audit_take_the_files_of_tokens_that_serve_writes(
    dataset: Path, config: MakeConfig, tmp_path: Path, command
):
    made = config(width=8, epochs=6, taus=(2e-2,))
    workdir = Path(made.run.workdir)
    with Service(workdir, server_faults.flags_of(made)) as service:
        url = service.url()
        typed = [f"--dataset={dataset}", "--model_name=model", "--class_a=ant", "--class_b=bee"]
        asked = command("probe", url, *typed, f"--token_file={workdir / 'tokens' / 'alice'}")
        assert asked.returncode == 0, asked.stderr
        assert "all 3 classes" in asked.stdout
        typed += [
            f"--service_url={url}",
            "--attacks=normal,blending",
            "--fractions=0.25",
            f"--cache_dir={tmp_path / 'cache'}",
        ]
        for name, told in (("alice", "status 403"), ("admin", "")):
            audit = [f"--token_file={workdir / 'tokens' / name}", f"--workdir={tmp_path / name}"]
            audited = command("audit", *typed, *audit)
            assert told in audited.stderr, audited.stderr
        assert (tmp_path / "admin" / "report.html").exists(), audited.stderr
        assert "tokens/NAME for NAME in alice, bob, admin" in (workdir / "output.txt").read_text()


@pytest.mark.usefixtures("apart")
def test_the_demo_s_walk_and_a_gentle_stop(dataset: Path, config: MakeConfig, tmp_path: Path):
    made = config(width=8, epochs=6, taus=(2e-2,))
    workdir = Path(made.run.workdir)
    workdir.mkdir(mode=0o755, parents=True)
    owners = demo.OWNERS[:2]
    with Service(workdir, [*server_faults.flags_of(made), f"--owners={','.join(owners)}"]) as service:
        url = service.url()
        with urllib.request.urlopen(f"{url}/v2/health/ready") as answer:
            assert json.load(answer) == {"ready": True}
        written = [path for path in (workdir, *workdir.rglob("*")) if path.name != "output.txt"]  # of this process
        assert {path.name for path in written} >= {"tokens.json", "journal.sqlite3", "owner_0.npz", "00000001.npz"}
        assert not [path for path in written if path.stat().st_mode & 0o077], "nobody else may read them"
        with Client(url, token_of(workdir / "tokens.json", "owner_0")) as client:
            images, labels = own_samples(workdir, "owner_0")
            assert (client.predict(images).argmax(1) == labels).mean() > 0.8
            identifiers = [each["identifier"] for each in client.send("GET", "/receipts")["receipts"]]
            assert len(identifiers) == len(labels)
        data = ou.load(str(dataset), seed=0)
        search = ou.ZooSettings(data.spec.bounds, coordinates=8, step_size=0.1, max_steps=100)
        judgement, remote = demo.attack(workdir, data, url, (0,), ("ant", "bee"), search)
        assert {row["attack"] for row in judgement.rows} == set(ATTACKS)
        assert remote.deletions == len(ATTACKS) + 1  # and one that looks whether a reset works
        assert remote.images > 100
        written = demo.page(tmp_path, judgement, {"service": "tiny"})
        assert "A service over HTTP" in written.read_text()
        assert service.stop() == 0
    assert not (workdir / "server.json").exists()
    assert '"event": "stopped"' in (workdir / "server.log").read_text()
