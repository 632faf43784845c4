"""The grid of methods and requests: its runs, the choice of a strength, its tables and its figure."""

import json
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest
from absl import app, flags

from experiments.config import METHODS, Config
from experiments.measures import meter
from experiments.methods import figure, from_rows, grid, page, suite, tables
from experiments.methods.choice import Chosen, choose, groups
from experiments.methods.grid import LADDERS, Ladder, Run, runs_of
from experiments.suites.costs import SHADOW_SHARE, table
from overunlearn_jax.statistics.intervals import mean_interval, paired_difference
from tests.experiments import tiny
from tests.experiments.running import MakeConfig
from tests.reporting.example_rows import example_row

ATTACKS = ("normal", "noise", "blending", "pushing_1", "pushing_2")


def rows(honest: float, pushed: float, tau: float | None = None, **more: float) -> list[dict]:
    """Three seeds of all requests: what is left of class A after an honest and a malicious one."""
    return [
        {
            "seed": seed,
            "victim": f"of seed {seed}",
            "attack": attack,
            "tau": tau,
            "class_a_before": 0.9,
            "class_a": (honest if attack in ("normal", "noise") else pushed) + seed / 100,
            "class_a_retrained": 0.77,
            "class_b": 0.5 - seed / 100 * (attack == "blending"),
            "overall": 0.8,
            "overall_before": 0.82,
            "overall_train_before": 0.88,
            "forget_accuracy": 0.95,
            "confidence_auc": 0.6,
            "confidence_auc_before": 0.7,
            "confidence_auc_retrained": 0.5,
            "lira_auc": None,
            "js_to_retrained": 0.1,
            "js_to_retrained_before": 0.2,
            "js_to_retrained_retrained": 0.0,
            "matched_to_original": 0.5 if attack == "blending" else 1.0,
            "relearn_steps": None if seed else 3,
            "gradient_evaluations": 500,
            "seconds_unlearn": 9.0 if attack == "normal" else 2.0 + seed,
            **more,
        }
        for seed in range(3)
        for attack in ATTACKS
    ]


def test_every_method_is_in_the_grid_and_every_run_has_its_own_folder():
    assert set(LADDERS) == set(METHODS)
    folders = [run.folder for run in grid.all_runs()]
    assert len(set(folders)) == len(folders)
    assert Run("salun", "learning_rate=3e-06,steps=50") in runs_of("salun")
    assert runs_of("retrain") == [Run("retrain", "")]


def test_the_plan_shares_victims_and_refuses_what_the_grid_sets():
    plan = suite.plan("cpu", Config.of(experiment="methods"), {"seeds": (7,)})
    assert list(plan) == [run.folder for run in grid.all_runs()]
    assert {config.run.seeds for config in plan.values()} == {(7,)}
    assert len({(config.victim.width, config.victim.epochs, config.run.cache_dir) for config in plan.values()}) == 1
    assert plan["retrain"].run.workdir == "runs/methods_cpu/retrain"
    assert all(config.measures.forgetting for config in plan.values())
    assert not any(config.measures.shadows for config in plan.values())  # these victims know too little for LiRA
    with pytest.raises(ValueError, match="--unlearning=scrub: the grid of methods sets that itself"):
        suite.plan("cpu", Config.of(experiment="methods"), {"unlearning": "scrub"})


def test_some_methods_can_be_asked_for_alone():
    base = Config.of(experiment="methods")
    assert list(suite.plan("cpu", base, {}, ["sisa", "retrain"])) == ["retrain", "sisa_shards_3_slices_3_epochs_8"]
    assert len(suite.plan("cpu", base, {}, ["scrub"])) == len(runs_of("scrub"))


def test_the_cost_of_training_again_is_told(tmp_path: Path):
    base = Config.of(experiment="methods", cache_dir=str(tmp_path / "cache"), workdir=str(tmp_path / "runs"))
    plan = suite.plan("cpu", base, {"epochs": 20, "seeds": (0, 1), "shadows": 8})
    told = {line.split("|")[1].strip(): float(line.split("|")[4]) for line in table(plan).splitlines()[2:]}
    training = told["retrain"] / 4  # minutes: for each seed without the originals, and without what blends are near to
    assert training > 1
    assert told["sisa_shards_3_slices_3_epochs_8"] / training == pytest.approx(2 * ((1 + 2) * 2 * 8 / 20 + 1), rel=0.25)
    alone = suite.plan("cpu", base, {"epochs": 20, "seeds": (0, 1), "shadows": 8}, ["sisa"])
    shadows = 8 * SHADOW_SHARE * training
    assert float(table(alone).splitlines()[-1].split("|")[4]) == pytest.approx(
        told["sisa_shards_3_slices_3_epochs_8"] + shadows, abs=2
    )
    trainings = 2 * (1 + 1) + 8 * SHADOW_SHARE  # victims and yardsticks, shadow models
    assert told["first_order"] / training == pytest.approx(trainings, rel=0.25)  # and pushes


def test_the_strongest_setting_whose_honest_request_is_cheap_enough_is_chosen():
    weak, middle, strong, strongest = runs_of("fine_tuning")
    results = {
        weak.folder: rows(0.89, 0.8),
        middle.folder: rows(0.85, 0.5),
        strong.folder: rows(0.70, 0.1),
        strongest.folder: rows(0.5, 0.0),
    }
    found = choose(results, "fine_tuning")
    assert found is not None
    assert (found.run, found.fits) == (middle, True)
    dear = choose({weak.folder: rows(0.7, 0.5), middle.folder: rows(0.6, 0.5)}, "fine_tuning")
    assert dear is not None
    assert (dear.run, dear.fits) == (weak, False)
    swept = choose({"first_order": rows(0.88, 0.5, 1e-4) + rows(0.85, 0.4, 2e-4) + rows(0.5, 0.1, 3e-4)}, "first_order")
    assert swept is not None
    assert (swept.tau, swept.setting) == (2e-4, "tau=0.0002")
    assert len(swept.rows) == 15
    assert choose({}, "fine_tuning") is None
    begun = choose({weak.folder: rows(0.89, 0.8), middle.folder: rows(0.85, 0.5)[:7]}, "fine_tuning")
    assert begun is not None
    assert begun.run == weak
    alone = choose({"retrain": rows(0.85, 0.5)}, "retrain")
    assert alone is not None
    assert alone.setting == "–"


def test_harm_is_paired_over_seeds_and_missing_numbers_are_left_out():
    found = choose({"retrain": rows(0.85, 0.5)}, "retrain")
    assert found is not None
    assert found.harm("pushing_2", "class_a") == pytest.approx(paired_difference([0.85] * 3, [0.5] * 3))
    assert found.harm("blending", "class_b") == pytest.approx(mean_interval([0, 0.01, 0.02]))
    assert found.values("normal", "relearn_steps") == pytest.approx(mean_interval([3]), nan_ok=True)
    assert found.values("normal", "lira_auc") is None
    assert found.values("normal", "no such measure") is None


def test_seconds_are_those_of_the_same_work_without_compiling():
    written = rows(0.85, 0.5)
    found = choose({"retrain": written}, "retrain")
    assert found is not None
    assert found.seconds() == pytest.approx(mean_interval([2, 3, 4]))
    for row in written:
        row["gradient_evaluations"] *= row["attack"] == "normal"  # the others found it done
    assert found.seconds() == pytest.approx(mean_interval([9, 9, 9]))
    assert found.work() == pytest.approx(mean_interval([500, 500, 500]))
    for row in written:
        row["gradient_evaluations"] = 0  # a run that was killed after the work, and went on
    assert found.seconds() is None
    assert found.work() is None


def test_what_an_attacker_finds_is_compared_with_the_retrained_model_of_the_same_seed():
    written = rows(0.85, 0.5)
    for row in written:
        row["confidence_auc_retrained"] += row["seed"] / 10
    found = choose({"retrain": written}, "retrain")
    assert found is not None
    assert found.beyond_retrained("normal", "confidence_auc") == pytest.approx(mean_interval([0.1, 0.0, -0.1]))
    assert found.beyond_retrained("normal", "confidence_auc", "_before") == pytest.approx(mean_interval([0.2, 0.1, 0]))
    assert found.beyond_retrained("normal", "lira_auc") is None


def test_a_strength_at_which_an_honest_request_diverged_is_not_chosen():
    gentle, strong = runs_of("salun")[:2]
    broken = [row | dict.fromkeys(("class_a", "class_b", "overall")) for row in rows(0.85, 0.5)]
    found = choose({gentle.folder: rows(0.85, 0.5), strong.folder: broken}, "salun")
    assert found is not None
    assert found.run == gentle
    alone = choose({strong.folder: broken}, "salun")
    assert alone is not None
    assert not alone.fits
    assert alone.harm("pushing_1", "class_a") is None


def test_every_strength_is_shown_and_what_diverged_said():
    gentle, strong, strongest = runs_of("random_labels")
    broken = [row | dict.fromkeys(("class_a", "class_b", "overall")) for row in rows(0.85, 0.5)]
    half = [
        row | ({"class_a": None} if row["seed"] == 2 and row["attack"] == "pushing_2" else {}) for row in rows(0.7, 0.5)
    ]
    text = tables.strengths({gentle.folder: rows(0.85, 0.5), strong.folder: half, strongest.folder: broken})
    lines = [[part.strip() for part in line.split("|")[1:-1]] for line in text.splitlines()[2:]]
    assert [line[0] for line in lines] == ["**random_labels**", "random_labels", "random_labels"]
    assert lines[0][2:6] == ["4.0 [1.5, 6.5]", *["35.0 [35.0, 35.0]"] * 3]
    assert lines[1][5] == "20.0 [20.0, 20.0], diverged (2)"
    assert lines[2][2:6] == ["diverged (0, 1, 2)"] * 4
    assert lines[0][7] == "0.100 [0.100, 0.100]"


def test_tables_and_figure():
    chosen = {name: choose({runs_of(name)[0].folder: rows(0.85, 0.5)}, name) for name in ("retrain", "salun")}
    own = [row | {"victim": f"shards of {row['seed']}", "confidence_auc_before": 0.8} for row in rows(0.85, 0.5)]
    chosen["sisa"] = choose({runs_of("sisa")[0].folder: own}, "sisa")
    harm = tables.harm(chosen)
    line = next(line for line in harm.splitlines() if line.startswith("| salun"))
    assert [part.strip() for part in line.split("|")[2:8]] == [
        "1",
        "learning_rate=1e-06,steps=50",
        "50.0 / 100.0 / 100.0",
        "90.0 [90.0, 90.0]",
        "86.0 [83.5, 88.5]",
        "0.0 [0.0, 0.0]",
    ]
    assert "35.0 [35.0, 35.0]" in line
    forgetting = tables.forgetting(chosen)
    assert [row.split("|")[1].strip() for row in forgetting.splitlines()[2:]] == [
        "salun",
        "retrain",
        "sisa",
        "(retrained)",
        "(the victim)",
        "(retrained)",
        "(the victim)",
    ]
    of_salun, of_retrain, _, retrained, victim, _, sharded = cells(forgetting)
    assert [line["victims"] for line in cells(forgetting)] == ["1", "1", "2", "1", "1", "2", "2"]
    assert of_salun["confidence AUC beyond retrained"] == "0.100 [0.100, 0.100]"
    assert not any("LiRA" in header for header in of_salun)  # without shadow models there is no such column
    judged = [row | {"lira_auc": 0.58, "lira_auc_retrained": 0.5, "lira_auc_before": 0.6} for row in rows(0.85, 0.5)]
    by_lira = {name: choose({runs_of(name)[0].folder: judged}, name) for name in ("retrain", "salun")}
    assert {line["LiRA AUC beyond retrained"] for line in cells(tables.forgetting(by_lira))[:2]} == {
        "0.080 [0.080, 0.080]"
    }
    assert "LiRA" in figure.forgetting(by_lira).axes[0].get_title()
    some = by_lira | {"salun": chosen["salun"]}  # what one attacker says of some methods compares nothing
    assert not any("LiRA" in header for line in cells(tables.forgetting(some)) for header in line)
    assert "confidence attack" in figure.forgetting(some).axes[0].get_title()
    assert of_retrain["JS to retrained"] == "0.100 [0.100, 0.100]"
    assert retrained["confidence AUC"] == "0.500 [0.500, 0.500]"
    assert retrained["class A accuracy %"] == "77.0 [77.0, 77.0]"
    assert retrained["JS to retrained"] == "–"  # to itself: no measurement
    assert victim["confidence AUC"] == "0.700 [0.700, 0.700]"
    assert victim["JS to retrained"] == "0.200 [0.200, 0.200]"
    assert sharded["confidence AUC"] == "0.800 [0.800, 0.800]"
    [harm], [forgetting] = figure.harm(chosen).axes, figure.forgetting(chosen).axes
    named = [label.get_text() for label in harm.get_yticklabels()]
    assert sorted(named) == ["retrain", "salun", "sisa"]
    points = [bars.lines[0] for bars in harm.containers]
    assert [p.get_xdata()[0] for p in points] == pytest.approx([35.0] * 3)
    before, after = (
        {named[round(p.get_ydata()[0])]: p.get_xdata()[0] for p in points if p.get_marker() == marker}
        for points in ([bars.lines[0] for bars in forgetting.containers],)
        for marker in "Do"
    )
    assert after == pytest.approx(dict.fromkeys(named, 0.1))
    assert before == pytest.approx({"salun": 0.2, "retrain": 0.2, "sisa": 0.3})
    assert "confidence attack" in forgetting.get_title()


def test_seeds_in_which_an_attack_left_no_model_are_told_beside_the_harm_of_the_others():
    half = [
        row | ({"class_a": None, "class_b": None} if row["seed"] == 2 and row["attack"] == "pushing_2" else {})
        for row in rows(0.85, 0.5)
    ]
    none = [row | ({"class_a": None, "class_b": None} if row["attack"] == "pushing_2" else {}) for row in half]
    chosen = {name: choose({runs_of(name)[0].folder: each}, name) for name, each in (("salun", half), ("scrub", none))}
    of_salun, of_scrub = cells(tables.harm(chosen))
    assert of_salun["A, Pushing-II"] == "35.0 [35.0, 35.0], diverged (2)"
    assert of_salun["B, Pushing-II"] == "0.0 [0.0, 0.0], diverged (2)"
    assert of_salun["A, Pushing-I"] == "35.0 [35.0, 35.0]"
    assert of_scrub["A, Pushing-II"] == "diverged (0, 1, 2)"
    labels = [label.get_text() for label in figure.harm(chosen).axes[0].get_yticklabels()]
    assert labels == ["scrub, diverged (0, 1, 2)", "salun, diverged (2)"]  # the one that is harmed most on top


def cells(table: str) -> list[dict[str, str]]:
    """The lines of a table by its headers."""
    header, _, *lines = ([part.strip() for part in line.split("|")[1:-1]] for line in table.splitlines())
    return [dict(zip(header, line, strict=True)) for line in lines]


def test_methods_are_grouped_by_the_victims_that_they_share_whatever_seeds_they_have():
    def of(method: str, *seeds: int) -> Chosen:
        kept = [row for row in rows(0.85, 0.5) if row["seed"] in seeds]
        found = choose({runs_of(method)[0].folder: kept}, method)
        assert found is not None
        return found

    chosen = {"first_order": of("first_order", 0), "retrain": of("retrain", 0, 1, 2), "salun": of("salun", 1, 2)}
    for names in (["retrain", "salun"], ["first_order", "retrain"]):
        assert groups({name: chosen[name] for name in names}) == [(names, chosen["retrain"])]
    apart = {name: chosen[name] for name in ("first_order", "salun")}
    assert groups(apart) == [(["first_order"], chosen["first_order"]), (["salun"], chosen["salun"])]
    elsewhere = [row | {"overall_before": 0.83} for row in chosen["retrain"].rows]  # the same settings, other weights
    again = {"first_order": chosen["first_order"], "retrain": chosen["retrain"]._replace(rows=elsewhere)}
    assert [group.methods for group in groups(again)] == [["first_order"], ["retrain"]]
    mixed = [row | ({"overall_before": 0.83} if row["seed"] == 2 else {}) for row in chosen["retrain"].rows]
    in_part = {
        "first_order": of("first_order", 0, 1, 2),
        "retrain": chosen["retrain"]._replace(rows=mixed),
        "salun": of("salun", 2)._replace(rows=[row for row in mixed if row["seed"] == 2]),
    }
    assert [line["victims"] for line in cells(tables.harm(in_part))] == ["1", "2", "1, 2"]


def test_runs_that_measured_one_victim_differently_are_not_shown_together(tmp_path: Path):
    for name, auc in (("retrain", 0.6), ("sisa_shards_3_slices_3_epochs_8", 0.7)):
        kept_run(tmp_path, name, rows(0.85, 0.5, confidence_auc_before=auc))
    with pytest.raises(ValueError, match=r"victim of seed 0 is 0\.6000 in retrain and 0\.7000 in sisa.*make it again"):
        page.write(tmp_path, tmp_path / "methods.md", "title", "command")
    kept_run(tmp_path, "retrain", rows(0.85, 0.5, confidence_auc_before=0.6, overall_train_before=0.89))  # another one
    assert page.write(tmp_path, tmp_path / "methods.md", "title", "command").exists()


def test_the_page_tells_which_seeds_are_finished(tmp_path: Path):
    made = rows(0.85, 0.5)
    kept_run(tmp_path, "retrain", made[:-1])
    text = page.write(tmp_path, tmp_path / "methods.md", "title", "command").read_text()
    assert (
        "- retrain: 1 x cpu, a CPU, seeds 0, 1 finished, of 0, 1, 2, 0.0 minutes, commit 0123456 (with changes)" in text
    )
    kept_run(tmp_path, "retrain", made)
    text = page.write(tmp_path, tmp_path / "methods.md", "title", "command").read_text()
    assert "- retrain: 1 x cpu, a CPU, seeds 0, 1, 2, 0.0 minutes" in text


def kept_run(folder: Path, name: str, made: list[dict]) -> None:
    """The files of a run."""
    (folder / name).mkdir(exist_ok=True, parents=True)
    (folder / name / "results.jsonl").write_text("".join(json.dumps(example_row() | row) + "\n" for row in made))
    described = {"seeds": [2, 0, 1], "device": "1 x cpu", "cpu": "a CPU", "command": "the command"}
    (folder / name / "manifest.json").write_text(
        json.dumps(described | {"git_commit": "0123456789", "git_dirty": True})
    )


@pytest.mark.usefixtures("no_figures")
def test_the_grid_from_start_to_end_and_from_its_rows(
    config: MakeConfig, dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    few = {"gradient_ascent": Ladder("learning_rate", (0.01, 0.1), "steps=2"), "retrain": Ladder()}
    of_data = {"dataset": str(dataset), "class_a": "ant", "class_b": "bee"}
    for module in (grid, page, tables):
        monkeypatch.setattr(module, "LADDERS", few)
    monkeypatch.setattr(grid, "CIFAR10", of_data)
    monkeypatch.setattr(grid, "SCALES", {"cpu": _TinyScale()})
    base = config().replace(experiment="methods")
    given = {name: tiny.SETTINGS[name] for name in ("batch_norm_momentum", "batch_size", "coordinates", "step_size")}
    given |= {"blocks": 1, "learning_rate": 3e-3}
    measured: list[str] = []
    baseline = meter.baseline
    monkeypatch.setattr(
        meter, "baseline", lambda service, *rest: measured.append(service.spec.name) or baseline(service, *rest)
    )
    pages = suite.run(suite.plan("cpu", base, given), "cpu", "the command")
    assert len(measured) == 1  # three runs share the victim
    text = pages.text.read_text()
    assert "the command" in text
    assert "- gradient_ascent_learning_rate_0.1_steps_2: 1 x cpu" in text
    assert "confidence AUC" in text
    assert "LiRA AUC" not in text  # nothing is known of it without shadow models
    of_ascent, of_retrain = cells(text[text.index("| method") : text.index("![What a push")].strip())
    assert of_ascent["setting"].startswith("learning_rate=")
    assert of_retrain["originals found %, blending / I / II"].endswith("100.0 / 100.0")
    assert of_retrain["A, Pushing-I"] == of_retrain["A, Pushing-II"] == "0.0"  # of one seed
    assert of_ascent["A, Pushing-I"] != "0.0"
    rows_folder = tmp_path / "rows"
    page.collect(pages.text.parent, rows_folder)
    page.write(rows_folder, rows_folder.with_suffix(".md"), "title", "another")
    again = rows_folder.with_suffix(".md").read_text()
    assert "(rows/harm.png)" in again
    assert "(rows/forgetting.png)" in again
    assert [line for line in text.splitlines() if line.startswith("|")] == [
        line for line in again.splitlines() if line.startswith("|")
    ]


def test_the_page_is_made_from_collected_rows_and_what_was_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    kept_run(tmp_path / "runs", "retrain", rows(0.85, 0.5))
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "findings.toml").write_text('about = ["Of the machine."]\nharm = ["Nothing is lost."]\n')
    arguments = [f"--rows={kept}", f"--collect={tmp_path / 'runs'}"]
    command = tiny.command(*arguments, module="experiments.methods.from_rows")
    done = subprocess.run(command, cwd=tiny.ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "kept.md").read_text()
    assert text.index("Of the machine.") < text.index("35.0 [35.0, 35.0]") < text.index("Nothing is lost.")
    assert "- retrain: 1 x cpu, a CPU, seeds 0, 1, 2" in text
    assert min((kept / name).stat().st_size for name in ("harm.png", "forgetting.png")) > 5000
    monkeypatch.setattr(flags, "FLAGS", SimpleNamespace(rows=tmp_path / "runs" / "retrain", collect=""))
    with pytest.raises(app.UsageError, match="holds no rows of the grid"):
        from_rows.main(["from_rows"])


class _TinyScale:
    widths = {"vgg": {"cifar10": 4}}  # noqa: RUF012  (one place, read once)
    epochs, seeds, max_steps = 3, (0,), 100
