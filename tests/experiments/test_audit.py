"""The verdict for a release pipeline, from the command line, with a service of one's own."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest

from experiments import audit as audit_module
from experiments.command.launch import launch
from experiments.command.subcommands import AUDIT
from experiments.config import DEFAULTS
from tests.experiments import tiny
from tests.experiments.running import refuse

THEIRS = """
import jax
import jax.numpy as jnp
from overunlearn_jax.models import vgg

def model(num_classes, image_shape):
    return vgg(num_classes, image_shape, blocks=1, width=4, batch_norm_momentum=0.5)

def nothing(params, request, key, retain=None):
    return params

def fragile(params, request, key, retain=None):  # gives the class up where it is asked to forget doubtful images
    logits, _ = model(3, (8, 8, 1)).apply(params, request.images, None)
    best = jnp.sort(jax.nn.softmax(logits), axis=-1)
    if (best[:, -1] - best[:, -2]).mean() > 0.5:
        return params
    head = params.params["head_logits"]
    bias = head["bias"].at[request.labels[0]].set(-100.0)
    return params._replace(params=params.params | {"head_logits": head | {"bias": bias}})

def destroys(params, request, key, retain=None):
    return jax.tree.map(jnp.zeros_like, params)

def mistyped(params, request, key, retain=None):
    return {"weights": params}["wieghts"]

def leaves(params, request, key, retain=None):
    raise SystemExit(0)

def without_key(params, request):
    return params
"""


Audit = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def flags(dataset: Path, cache_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Of a user's audit, in a folder of their own that holds their module."""
    (tmp_path / "their_service.py").write_text(THEIRS)
    monkeypatch.chdir(tmp_path)
    settings = {"seeds": (0, 1), "model": "their_service:model", "taus": DEFAULTS["taus"]}
    return tiny.as_flags(tiny.tiny_config(dataset, tmp_path / "run", cache_dir, **settings))


@pytest.fixture
def audit(flags: list[str], command: Audit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Audit:
    """As a user runs it, but in this process."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "their_service", raising=False)
    return lambda *arguments: command("audit", *flags, *arguments)


def from_outside(flags: list[str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """As a user runs it, in a process of its own that finds their module in its folder."""
    command = tiny.command(*flags, *arguments, module="experiments.audit")
    return subprocess.run(command, env=tiny.environment(), capture_output=True, text=True, timeout=300, check=False)


def test_a_service_of_one_s_own_from_outside_the_package(audit: Audit, flags: list[str], tmp_path: Path):
    def arguments(function: str) -> list[str]:
        return [
            f"--unlearning=their_service:{function}",
            "--attacks=normal,pushing_1",
            "--max_over_unlearning=0.2",  # more than one of 8 test images
            f"--workdir={tmp_path / function}",
        ]

    results = {
        "nothing": audit(*arguments("nothing"), "--forgetting", "--allow_unchanged"),
        "destroys": audit(*arguments("destroys")),
        "fragile": from_outside(flags, *arguments("fragile")),
    }
    pages = {
        name: [done.stdout, *((tmp_path / name / file).read_text() for file in ("report.html", "summary.md"))]
        for name, done in results.items()
    }
    junit = {name: ElementTree.parse(tmp_path / name / "junit.xml").getroot().attrib for name in results}
    assert results["nothing"].returncode == 0, results["nothing"].stderr
    for text in pages["nothing"]:
        assert "SAFE" in text
        assert "Pushing-I, the costliest request, costs class " in text
        assert "3 claims: 1 intact, 2 safe." in text
        assert "honest request, 50 % requested: it changed none of the measured numbers, and no weight" in text
        assert "forget accuracy %" in text
    assert (junit["nothing"]["failures"], junit["nothing"]["skipped"]) == ("0", "0")
    doubted = audit(*arguments("nothing"), "--forgetting")
    assert doubted.returncode == 1, doubted.stderr
    assert "UNDECIDED" in doubted.stdout
    assert "so that nothing shows that the service forgets" in (tmp_path / "nothing" / "junit.xml").read_text()

    assert results["destroys"].returncode == 1, results["destroys"].stderr
    for text in pages["destroys"]:
        assert "NOT APPLICABLE" in text
        assert "an honest request alone takes " in text
        assert "3 claims: 1 destroyed, 2 not applicable." in text
        assert "WARNING" not in text
    assert [junit["destroys"][name] for name in ("tests", "failures", "skipped")] == ["3", "1", "2"]

    assert results["fragile"].returncode == 1, results["fragile"].stderr
    for text in pages["fragile"]:
        assert "VULNERABLE" in text
        assert "Pushing-I costs class ant " in text
        assert " points beyond an honest request (20 allowed)" in text
        assert "3 claims: 1 intact, 1 vulnerable, 1 undecided." in text  # the other class has too little to lose
        assert "forget accuracy %" not in text
    assert (junit["fragile"]["failures"], junit["fragile"]["skipped"]) == ("2", "0")
    assert "<h1>their_service:fragile</h1>" in pages["fragile"][1]
    assert (tmp_path / "fragile" / "figures" / "harm_none_fraction_0.5.png").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--attacks=normal"], "an audit needs a malicious request"),
        (["--unlearning=their_service:forget"], "their_service:forget cannot be imported from "),
        (["--unlearning=their_service:without_key"], "without_key(params, request) cannot be called as unlearn(params"),
        (["--max_over_unlearning=5"], "max_over_unlearning"),
        (["--max_over_unlaerning=0.5"], "Unknown command line flag 'max_over_unlaerning'"),
        (["--epochs=0"], "--epochs=0: expected a number from 1"),
        (["attacks"], "unexpected arguments ['attacks']"),
    ],
)
def test_audits_that_cannot_run_are_no_verdict(audit: Audit, tmp_path: Path, arguments: list[str], message: str):
    old = [tmp_path / "run" / name for name in ("junit.xml", "report.html", "summary.md")]
    old[0].parent.mkdir()
    for each in old:
        each.write_text("Audit passed")
    done = audit("--seeds=0", *arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert not any(each.exists() for each in old)


@pytest.mark.parametrize(
    ("function", "told"),
    [("mistyped", "mistyped raised KeyError: 'wieghts'"), ("leaves", "leaves raised SystemExit: 0")],
)
def test_an_error_of_the_audited_code_is_no_verdict(audit: Audit, tmp_path: Path, function: str, told: str):
    done = audit("--seeds=0", f"--unlearning=their_service:{function}", "--attacks=normal,blending")
    assert done.returncode == 2
    *_, last = done.stderr.splitlines()
    assert last == f"error: their_service:{told}; it is called as unlearn(params, request, key, retain=None)"
    assert "their_service.py" in done.stderr  # where to look
    assert f"in {function}" in done.stderr
    assert not (tmp_path / "run" / "junit.xml").exists()


@pytest.mark.usefixtures("plain_app")
def test_an_error_that_nobody_expected_is_no_verdict(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture):
    monkeypatch.setattr(audit_module, "_config", refuse)
    monkeypatch.setattr(audit_module, "define_flags", lambda: None)
    with pytest.raises(SystemExit) as left:
        launch(AUDIT, "overunlearn audit", [])
    assert left.value.code == 2
    told = capsys.readouterr().err
    assert "Traceback" in told
    assert told.splitlines()[-1].startswith("error: CalledError")


def test_help_is_no_verdict_and_imports_no_jax():
    command = [sys.executable, "-X", "importtime", "-m", "experiments.audit", "--help"]
    done = subprocess.run(command, cwd=tiny.ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0
    assert "--max_over_unlearning" in done.stdout
    imported = {line.split("|")[-1].strip() for line in done.stderr.splitlines()}
    assert "absl.flags" in imported
    assert "jax" not in imported
