"""What is typed: ranges of seeds, names that are nearly right, flagfiles."""

from pathlib import Path

import pytest
from absl import flags

from experiments.command.parsing import parse
from experiments.config import Config, RunConfig
from experiments.config.seeds import parse_seeds, seeds_as_typed
from experiments.methods.grid import methods_named
from experiments.paper.exhibits import exhibit_named
from overunlearn_jax.spelling import did_you_mean
from overunlearn_jax.unlearn.facts import facts_of


@pytest.fixture
def values() -> flags.FlagValues:
    """Flags apart from those of other tests."""
    made = flags.FlagValues()
    flags.DEFINE_string("experiment", "quickstart", "name", flag_values=made)
    flags.DEFINE_list("seeds", ["0", "1"], "one each", flag_values=made)
    flags.DEFINE_multi_enum("method", [], ["scrub", "sisa"], "which", flag_values=made)
    return made


@pytest.mark.parametrize(
    ("typed", "seeds", "back"),
    [
        ("0-4", (0, 1, 2, 3, 4), "0-4"),
        ("0-2,7", (0, 1, 2, 7), "0-2,7"),
        ("5,3,4", (5, 3, 4), "5,3,4"),
        ("3-3", (3,), "3"),
        ("8,0-1", (8, 0, 1), "8,0,1"),
        ("4294967293-4294967295", (2**32 - 3, 2**32 - 2, 2**32 - 1), "4294967293-4294967295"),
    ],
)
def test_ranges_of_seeds(typed: str, seeds: tuple[int, ...], back: str):
    assert parse_seeds(typed.split(",")) == seeds == RunConfig(seeds=seeds).seeds
    assert seeds_as_typed(seeds) == Config.of(seeds=seeds).as_typed()["seeds"] == back


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("4-0", "--seeds=4-0: a range goes from the smaller seed to the larger: 0-4"),
        ("0--4", "--seeds=0--4: expected int values, comma-separated, or ranges as in 0-4"),
        ("0-2,1", "--seeds=0-2,1: a value is given twice, 1"),
        (
            "1,4294967298",
            "--seeds=4294967298: expected a number from 0 to 4294967295: to JAX 4294967298 is the same seed as 2",
        ),
        ("0-4000000000", "--seeds=0-4000000000: 4,000,000,001 seeds, expected at most 10,000"),
    ],
)
def test_seeds_that_are_none(typed: str, message: str):
    with pytest.raises(ValueError, match="--seeds") as caught:
        parse_seeds(typed.split(","))
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("given", "known", "words"),
    [
        ("first_ordr", ("first_order", "fine_tuning"), "; did you mean first_order?"),
        ("SISA", ("sisa", "scrub"), "; did you mean sisa?"),
        ("table_4", ("table_04", "tau"), "; did you mean table_04?"),
        ("newton", ("first_order",), ""),
    ],
)
def test_did_you_mean(given: str, known: tuple[str, ...], words: str):
    assert did_you_mean(given, known) == words


def test_names_that_are_nearly_right():
    for wrong, meant in (
        ({"unlearning": "first_ordr"}, "first_order"),
        ({"attacks": ("normal", "blendin")}, "blending"),
    ):
        with pytest.raises(ValueError, match=rf"; did you mean {meant}\?$"):
            Config.of(**wrong)
    with pytest.raises(ValueError, match=r"did you mean scrub\?"):
        facts_of("scrubb")
    with pytest.raises(ValueError, match=r"overunlearn methods siza: .*did you mean sisa\?"):
        methods_named(["siza"], [])
    with pytest.raises(ValueError, match=r"overunlearn paper tabel_04: expected one of all, .*did you mean table_04"):
        exhibit_named(["tabel_04"], None)


def test_what_a_suite_was_asked_for():
    assert exhibit_named(["table_04"], None) == exhibit_named([], "table_04") == "table_04"
    assert exhibit_named(["all"], "all") == "all"
    assert methods_named(["sisa"], ["scrub", "sisa"]) == ["sisa", "scrub"]
    for typed, flagged in (([], None), (["table_04", "table_05"], None), (["table_04"], "table_05")):
        with pytest.raises(ValueError, match="give one name, out of all, table_03"):
            exhibit_named(typed, flagged)
    with pytest.raises(ValueError, match="overunlearn paper mine: expected one of all"):
        exhibit_named([], "mine")


def flagfile(folder: Path, *lines: str) -> str:
    path = folder / "its.cfg"
    path.write_text("\n".join(lines))
    return f"--flagfile={path}"


def test_a_flagfile_is_read_wherever_arguments_stand(values: flags.FlagValues, tmp_path: Path):
    given = flagfile(tmp_path, "# its own line", "// another", "", "--experiment=a#1", "--seeds=3")
    assert parse(values, ["program", "word", given, "--seeds=4"]) == ["program", "word"]
    assert (values.experiment, values.seeds) == ("a#1", ["4"])


@pytest.mark.parametrize("line", ["--experiment=trial # note", "--experiment=trial\t// note", "  # note"])
@pytest.mark.parametrize("nested", [False, True])
def test_a_comment_behind_a_value_is_an_error(values: flags.FlagValues, tmp_path: Path, line: str, nested: bool):
    given = flagfile(tmp_path, line)
    if nested:
        (tmp_path / "outer.cfg").write_text(given)
        given = f"--flagfile={tmp_path / 'outer.cfg'}"
    with pytest.raises(
        ValueError, match=r"has the line '.*note', and what follows .* would be part of the value: give"
    ):
        parse(values, ["program", *given.split("=")])


@pytest.mark.parametrize(
    ("path", "message"),
    [
        (
            "table_4.cfg",
            r"=table_4\.cfg cannot be read \(No such file or directory\): give a path .*flagfiles; did you .* table_04",
        ),
        (".", r"=\. cannot be read \(Is a directory\): "),
        ("outer.cfg", r"=outer\.cfg names inner\.cfg, which cannot be read \(No such file"),
        ("binary.cfg", r"=binary\.cfg cannot be read \(it is no text\)"),
    ],
)
def test_a_flagfile_that_cannot_be_read(
    values: flags.FlagValues, tmp_path: Path, path: str, message: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    Path("outer.cfg").write_text("--flagfile=inner.cfg\n")
    Path("binary.cfg").write_bytes(b"\xff\xfe\xfa")
    with pytest.raises(ValueError, match=f"--flagfile{message}"):
        parse(values, ["program", f"--flagfile={path}"])


def test_flags_that_are_none(values: flags.FlagValues):
    with pytest.raises(
        ValueError, match=r"^Unknown command line flag 'sedes'; did you mean --seeds\? --help lists the"
    ):
        parse(values, ["program", "--sedes=1"])
    with pytest.raises(ValueError, match=r"value should be one of <scrub\|sisa>; --help lists the flags"):
        parse(values, ["program", "--method=none"])
