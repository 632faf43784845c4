import copy
import json
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import jax
import pytest
from absl import flags
from absl.testing import flagsaver

from experiments.config import DEFAULTS, Config
from experiments.config import flags as config_flags
from experiments.methods import suite as methods_suite
from experiments.paper import suite
from tests.experiments import tiny

FIELDS = list(DEFAULTS)
FLAGFILES = sorted((tiny.ROOT / "experiments" / "flagfiles").glob("*.cfg"))


@pytest.fixture(scope="module", autouse=True)
def defined() -> Iterator[None]:
    """The flags, as long as these tests run: programs that other tests start define their own."""
    with flagsaver.flagsaver():
        config_flags.define_flags()
        yield


def parse(*arguments: str, needs_classes: bool = True) -> Config:
    """What `python -m experiments.main` makes of its arguments."""
    values = flags.FlagValues()
    for name in ("config", *FIELDS):
        values[name] = copy.deepcopy(flags.FLAGS[name])
    values(["main", *arguments])
    return config_flags.from_flags(values, needs_classes=needs_classes)


def test_no_flags_are_the_defaults():
    assert parse() == Config()


@pytest.mark.parametrize("name", FIELDS)
def test_every_setting_has_an_explained_flag(name):
    parse()
    flag = flags.FLAGS[name]
    assert flag.help.strip()
    default = DEFAULTS[name]
    assert flag.default == (list(map(str, default)) if isinstance(default, tuple) else default)


@pytest.fixture
def in_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tiny.ROOT)


@pytest.mark.usefixtures("in_checkout")
def test_the_defaults_are_the_quickstart():
    assert parse("--flagfile=experiments/flagfiles/quickstart.cfg") == Config()


@pytest.mark.usefixtures("in_checkout")
@pytest.mark.parametrize("path", FLAGFILES, ids=lambda path: path.stem)
def test_flagfile_begins_with_its_own_command(path: Path):
    lines = path.read_text().splitlines()
    comment = lines[: next(number for number, line in enumerate(lines) if not line.startswith("#"))]
    [written] = [line.strip("# ") for line in comment if "python -m" in line]
    program, *arguments = shlex.split(written.removeprefix("python -m "))
    trains_alone = program == "experiments.victims"
    assert trains_alone or program == "experiments.main"
    assert arguments[0] == f"--flagfile={path.relative_to(tiny.ROOT)}"
    of_a_suite = path.stem == methods_suite.NAME or suite.is_of_the_paper(path.stem)
    config = parse(*(each for each in arguments if each != "--scale=cpu"))  # a flag of the tables, no setting of a run
    assert config.run.experiment == path.stem
    assert config.run.workdir == ("runs/quickstart" if of_a_suite or trains_alone else f"runs/{path.stem}")
    assert len(comment) >= 4


def test_every_table_and_figure_has_a_flagfile():
    assert set(suite.EXHIBITS) < {path.stem for path in FLAGFILES}


@pytest.mark.usefixtures("in_checkout")
def test_flags_after_a_flagfile_override_it():
    config = parse("--flagfile=experiments/flagfiles/cifar10_cpu.cfg", "--width=5", "--seeds=7,8")
    assert (config.victim.width, config.run.seeds, config.data.dataset) == (5, (7, 8), "cifar10")


def test_json_round_trip(tmp_path: Path):
    config = Config.of(fractions=(0.1, 0.5), attacks=("normal", "noise"), force=True, taus=(1e-4,), dataset="x y/é.npz")
    (tmp_path / "config.json").write_text(config.to_json())
    assert Config.from_json(tmp_path / "config.json") == config


def test_config_flag_with_overrides(tmp_path: Path):
    path = tmp_path / "config.json"
    path.write_text(Config.of(width=7, seeds=(4, 5), force=True).to_json())
    assert parse(f"--config={path}") == Config.of(width=7, seeds=(4, 5), force=True)
    # a default that is asked for aloud is an override, too
    assert parse(f"--config={path}", "--width=32", "--noforce") == Config.of(width=32, seeds=(4, 5))


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("--attacks=normal,pushing_3", "--attacks=pushing_3: expected one of normal, noise"),
        ("--fidelity=exact", "--fidelity=exact: expected one of equation"),
        (
            "--unlearning=newton",
            "--unlearning=newton: expected my_module:my_function or one of first_order, fine_tuning",
        ),
        ("--request_labels=mine", "--request_labels=mine: expected one of paper"),
        ("--solver=sgd", "--solver=sgd: expected one of adam, newton, sega"),
        ("--space=sphere", "--space=sphere: expected one of tanh, box"),
        ("--seeds=0,one", "--seeds=0,one: expected int values, comma-separated"),
        ("--seeds=0.5", "--seeds=0.5: expected int values"),
        ("--fractions=10%", "--fractions=10%: expected float values"),
        ("--fractions=0.1,", "--fractions=0.1,: expected float values"),
        ("--seeds=", "--seeds is empty: give at least one value"),
        ("--taus=", "--taus is empty"),
        ("--seeds=1,0,1", "--seeds=1,0,1: a value is given twice"),
        ("--fractions=0.1,1e-1", "--fractions=0.1,0.1: a value is given twice"),
        ("--attacks=pushing_1", "--attacks has to hold 'normal'"),
        ("--request_labels=target", "--request_labels=target needs --target=CLASS"),
        ("--fractions=0.1,10", "--fractions=10.0: expected a number from 1e-06 to 1"),
        ("--fractions=0", "--fractions=0.0: expected a number"),
        ("--fractions=nan", "--fractions=nan: expected a number"),
        ("--seeds=-1", "--seeds=-1: expected a number from 0 to 4294967295"),
        ("--seeds=0,4294967296", "--seeds=4294967296: expected a number from 0 to 4294967295"),
        ("--fractions=0.1,0.1000000001", "--fractions=0.1,0.1000000001: two values are the same in six digits"),
        ("--taus=0.02,0.0200000001", "--taus=0.02,0.0200000001: two values are the same in six digits"),
        ("--image_size=-1", "--image_size=-1: expected a number from 0 to inf"),
        ("--trained=mine:load", "--trained=mine:load without --dataset: a deployed model would be measured on digits"),
        ("--batch_size=0", "--batch_size=0: expected a number from 1 to inf"),
        ("--epochs=0", "--epochs=0: expected"),
        ("--blending_ratio=1.5", "--blending_ratio=1.5: expected a number from 0 to 1"),
        ("--query_budget=-1", "--query_budget=-1: expected"),
        ("--search=hopskipjump", "--search=hopskipjump: expected one of zoo, subspace"),
    ],
)
def test_wrong_values_are_named(argument: str, message: str):
    with pytest.raises(ValueError) as caught:  # noqa: PT011  (the message is compared below, letter by letter)
        parse(argument)
    assert str(caught.value).startswith(message)


def test_a_deployed_model_is_measured_on_the_data_that_are_named(tmp_path: Path):
    assert parse("--trained=mine:load", "--dataset=digits").data.dataset == "digits"  # said aloud
    (tmp_path / "run.json").write_text(Config.of(dataset="mine.npz").to_json())
    assert parse(f"--config={tmp_path / 'run.json'}", "--trained=mine:load").data.dataset == "mine.npz"
    (tmp_path / "trained.json").write_text(Config.of(trained="mine:load").to_json())
    assert parse(f"--config={tmp_path / 'trained.json'}").data.dataset == "digits"  # said aloud by that run


def test_other_data_than_the_quickstart_s_has_its_own_classes(tmp_path: Path):
    own = f"--dataset={tiny.write_data(tmp_path / 'own.npz')}"
    for typed, missing in (
        ([], "--class_a and --class_b"),
        (["--class_a=ant"], "--class_b"),
        (["--class_b=3"], "--class_a"),
    ):
        with pytest.raises(ValueError, match=f"own.npz without {missing}: .* It has 3: 0 ant, 1 bee, 2 ") as told:
            parse(own, *typed)
        assert "..." not in str(told.value)
    with pytest.raises(ValueError, match=r"nowhere.npz without --class_a and --class_b: .* name or number$"):
        parse(f"--dataset={tmp_path / 'nowhere.npz'}")
    assert parse(own, "--class_a=3", "--class_b=8").data.class_a == "3"  # said aloud
    assert parse(own, needs_classes=False).data.class_a == "3"
    (tmp_path / "run.json").write_text(Config.of(dataset="mine.npz").to_json())
    assert parse(f"--config={tmp_path / 'run.json'}").data.dataset == "mine.npz"
    with pytest.raises(ValueError, match="without --class_a and --class_b"):
        parse(f"--config={tmp_path / 'run.json'}", own)


def test_the_largest_seed_makes_a_key_of_its_own():
    keys = {jax.random.key_data(jax.random.key(seed)).tobytes() for seed in (0, 1, 2**31, 2**32 - 1)}
    assert len(keys) == 4
    assert parse("--seeds=4294967295").run.seeds == (2**32 - 1,)


def test_the_search_by_labels_takes_no_budget():
    with pytest.raises(ValueError, match="--search=labels cannot keep to a --query_budget"):
        parse("--search=labels", "--query_budget=100")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--search=labels", "--max_steps=500"],
            "--max_steps=500 is of --search=zoo, and --search=labels would ignore",
        ),
        (["--search=labels", "--solver=sega"], "set it back to adam"),
        (["--search=subspace", "--coordinates=32"], "--coordinates=32 is of --search=zoo, and --search=subspace would"),
        (["--search=auto", "--subspace_rounds=2"], "--subspace_rounds=2 is of --search=subspace"),
        (["--label_iterations=5"], "--label_iterations=5 is of --search=labels, and --search=zoo would ignore it"),
    ],
)
def test_a_setting_that_the_search_would_ignore_is_an_error(arguments: list[str], message: str):
    with pytest.raises(ValueError, match=message):
        parse(*arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--unlearning=scrub", "--taus=0.5,1"],
            "--taus=0.5,1.0 is of --unlearning=first_order, and scrub would",
        ),
        (["--unlearning=mine:forget", "--fidelity=equation"], "leave it out, or set it back to corrected"),
        (["--unlearning=sisa", "--scope=head"], "--scope=head: sisa has no scope"),
        (["--unlearning=retrain", "--scope=head"], "--scope=head: retrain has no scope"),
        (["--unlearning=mine:forget", "--scope=head"], "--scope=head: mine:forget has no scope"),
    ],
)
def test_a_setting_that_the_method_would_ignore_is_an_error(arguments: list[str], message: str):
    with pytest.raises(ValueError, match=message):
        parse(*arguments)


def test_what_the_method_ignores_may_be_in_a_config_file_or_the_default(tmp_path: Path):
    path = tmp_path / "config.json"
    path.write_text(Config.of(unlearning="scrub", taus=(0.5,)).to_json())
    assert parse(f"--config={path}", "--taus=0.02").service.unlearning == "scrub"
    assert parse("--unlearning=scrub", "--scope=head", "--fidelity=corrected").service.scope == "head"


def test_all_searches_keep_to_the_largest_distance():
    assert parse("--search=subspace", "--max_l2=5", "--query_budget=1000").attack.max_l2 == 5
    assert parse("--search=labels", "--max_l2=5").attack.max_l2 == 5


@pytest.mark.parametrize("argument", ["--epochs=many", "--tau=1", "--learning_rate=fast", "--force=perhaps"])
def test_what_absl_refuses_is_named(argument: str):
    with pytest.raises(flags.Error, match=argument.strip("-").partition("=")[0]):
        parse(argument)


def test_config_of_another_version(tmp_path: Path):
    path = tmp_path / "old.json"
    path.write_text(json.dumps(Config().flat() | {"widht": 3}))
    with pytest.raises(ValueError, match=r"old\.json is of another version: unknown settings \['widht'\]"):
        parse(f"--config={path}")


def test_settings_that_came_after_a_config_was_written_have_their_defaults(tmp_path: Path):
    path = tmp_path / "old.json"
    written = Config.of(width=7).flat()
    del written["lpips"]
    path.write_text(json.dumps(written))
    assert parse(f"--config={path}") == Config.of(width=7)


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        (f"--width={2**63}", rf"--width={2**63}: expected a number from 1 to 4096"),
        (f"--epochs={2**63}", rf"--epochs={2**63}: expected at most {2**31 - 1}"),
        ("--seeds=99999999999999999999", "--seeds=99999999999999999999: expected a number from 0 to 4294967295"),
    ],
)
def test_numbers_beyond_what_a_device_holds(argument: str, message: str):
    with pytest.raises(ValueError, match=message):
        parse(argument)


@pytest.mark.parametrize("text", ["", "{", "[1, 2]", "3"])
def test_what_is_no_config(tmp_path: Path, text: str):
    (tmp_path / "torn.json").write_text(text)
    with pytest.raises(ValueError, match=r"torn\.json is damaged, or another file"):
        Config.from_json(tmp_path / "torn.json")


def test_wrong_values_in_a_config_file(tmp_path: Path):
    path = tmp_path / "config.json"
    path.write_text(Config().to_json().replace('"adam"', '"sgd"'))
    with pytest.raises(ValueError, match=r"config\.json is damaged.* changed on purpose, delete its line \"dig"):
        Config.from_json(path)
    path.write_text(json.dumps(Config().flat() | {"solver": "sgd"}))
    with pytest.raises(ValueError, match="--solver=sgd: expected one of"):
        Config.from_json(path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--no_such_flag=1"], "no_such_flag"),
        (["--widht=3"], "did you mean --width?"),
        (["quickstart"], "unexpected arguments ['quickstart']: every setting is a --flag"),
        (["--epochs=many"], "--epochs"),
        (["--method=sisa"], "error: --method=sisa is of --experiment=methods"),
        (["--solver=sgd"], "error: --solver=sgd: expected one of adam, newton, sega"),
        (["--flagfile=nowhere.cfg"], "nowhere.cfg"),
        (["--config=nowhere.json"], "nowhere.json"),
    ],
)
def test_wrong_command_lines_end_without_a_traceback(arguments: list[str], message: str):
    done = tiny.main(*arguments)
    assert done.returncode != 0
    assert message in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_help_lists_every_flag_and_imports_no_jax():
    parse()
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "experiments.main", "--help"],
        cwd=tiny.ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    words = " ".join(done.stdout.split())
    for name in FIELDS:
        assert f" --{name}=" in words or f" --[no]{name} " in words
        assert " ".join(flags.FLAGS[name].help.split()) in words
    assert "--flagfile=FILE" in words
    imported = {line.split("|")[-1].strip() for line in done.stderr.splitlines()}
    assert "absl.flags" in imported
    assert "jax" not in imported  # importing it takes seconds


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"taus": 0.02}, "--taus=0.02: expected a list"),
        ({"taus": ["a"]}, "--taus='a': expected float"),
        ({"epochs": "3"}, "--epochs='3': expected int"),
        ({"epochs": [3]}, "expected one value"),
        ({"seeds": [0.5]}, "--seeds=0.5: expected int"),
        ({"force": "no"}, "--force='no': expected bool"),
        ({"max_l2": float("inf")}, "--max_l2=inf: expected a number"),
    ],
)
def test_wrong_types_in_a_config_file_are_named(tmp_path: Path, changes: dict, message: str):
    path = tmp_path / "config.json"
    path.write_text(json.dumps(Config().flat() | changes))
    with pytest.raises(ValueError, match=message):
        Config.from_json(path)
