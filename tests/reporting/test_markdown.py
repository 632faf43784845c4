"""Tables and sentences say what the numbers say."""

import pytest

from overunlearn_jax.reporting import groups, summarise, summary_markdown, without_folds
from overunlearn_jax.reporting._findings import headline, notes
from tests.reporting.example_rows import example_row, three_seeds


def table_cells(page: str, first_cell: str) -> dict[str, str]:
    """Returns the cells of the line that begins with `first_cell` in the first table that has one, by header."""
    for block in page.split("\n\n"):
        lines = [
            [cell.strip() for cell in line.strip("|").split("|")] for line in block.splitlines() if line[:1] == "|"
        ]
        for line in lines:
            if line[0] == first_cell:
                return dict(zip(lines[0], line, strict=True))
    raise AssertionError(f"no line begins with {first_cell}")


def test_table_prints_percent_with_intervals():
    page = summary_markdown(three_seeds(), title="Example")
    cells = table_cells(page, "Pushing-I")
    assert cells["Over-unlearning I: class airplane, points"] == "50.0 [25.2, 74.8]"
    assert cells["Over-unlearning II: class cat, points"] == "0.0 [-1.0, 1.0]"  # one test image
    assert cells["Class airplane left, %"] == "32.0 [12.1, 51.9]"  # 8 points apart: 8 * 2.4841 = 19.9
    assert table_cells(page, "Before unlearning")["Class airplane left, %"] == "90.0 [89.0, 91.0]"
    assert table_cells(page, "Honest request")["Over-unlearning I: class airplane, points"] == "–"
    assert "None is finer than one test image" in page


def test_what_a_request_holds_is_folded():
    page = summary_markdown(three_seeds(), title="Example")
    folded = page.split("<details>")[1].split("</details>")[0]
    assert "<summary>The requests: samples, queries, likeness to the originals</summary>" in folded
    cells = table_cells(folded, "Pushing-I")
    assert (cells["Seeds"], cells["Queries"], cells["SSIM"]) == ("3", "1,001", "0.9700")
    assert "Queries: images sent to the service" in folded


def test_one_seed_prints_means_alone_and_says_which_flag_gives_intervals():
    page = summary_markdown([example_row("normal"), example_row("pushing_1", class_a=0.3)], title="Example")
    assert table_cells(page, "Pushing-I")["Over-unlearning I: class airplane, points"] == "55.0"
    assert "**One seed, so no interval: Pushing-I costs class airplane 55.0 points beyond an honest request. " in page
    assert "- One seed has no interval: --seeds=0,1,2 or more gives one." in page


def test_the_page_begins_with_the_finding_and_its_picture():
    [setting] = groups(three_seeds())
    page = summary_markdown(
        three_seeds(),
        title="A title",
        command="python x.py --seed=1",
        notes=["A *note*."],
        pictures={setting: ("figures/harm.png", "What <each> costs")},
    )
    headline = (
        "Over-unlearning found: Pushing-I costs class airplane 50.0 points beyond an honest request [25.2, 74.8]."
    )
    start = (
        f"# A title\n\n**{headline}**\n\n![What \\<each> costs](figures/harm.png)\n\n## cifar10, class airplane\n\n| "
    )
    assert page.startswith(start)
    assert page.endswith(
        "<details>\n<summary>How it was made</summary>\n\n```\npython x.py --seed=1\n```\n\n- A *note*.\n\n</details>\n"
    )
    assert (
        "Experiment example. Data set cifar10; model vgg3 width 16; unlearning first_order, "
        "fidelity authors_code, tau 0.0002, scope head; class A airplane → class B cat, untargeted, "
        "labelled as it was; 10 % of class A requested (400 samples); seeds 0, 1, 2." in page
    )


def several_settings() -> list[dict]:
    """The group of the largest difference comes second."""
    return [row | {"tau": None, "class_a": 0.8, "dataset_note": "small"} for row in three_seeds()] + three_seeds()


def test_groups_are_told_apart_by_what_differs_and_that_of_the_finding_comes_first():
    page = summary_markdown(several_settings(), title="Example")
    assert [line for line in page.splitlines() if line.startswith("## ")] == [
        "## cifar10, class airplane, tau 0.0002",
        "## All settings",
    ]
    assert "<summary>cifar10, class airplane, small, no tau</summary>" in page
    assert "beyond an honest request [25.2, 74.8] (tau 0.0002). Above zero: 1 of 4 comparisons.**" in page
    overview = page.split("## All settings")[1].split("<details>")[0]
    assert table_cells(overview, "tau 0.0002")["Pushing-I"] == "50.0 [25.2, 74.8]"
    assert table_cells(overview, "small, no tau")["Pushing-I"] == "0.0 [-1.0, 1.0]"


def test_a_terminal_sees_what_is_not_folded():
    page = summary_markdown(several_settings(), title="Example", command="python x.py")
    shown = without_folds(page)
    assert "## All settings" in shown
    assert "None is finer than one test image" in shown
    for folded in ("details>", "python x.py", "Queries", "no tau</summary>"):
        assert folded in page
        assert folded not in shown
    assert "\n\n\n" not in shown
    assert without_folds("# Plain\n\ntext\n") == "# Plain\n\ntext\n"


def test_names_cannot_break_the_table():
    page = summary_markdown([example_row("a|b")], title="Example")
    assert "| a\\|b |" in page


def test_published_numbers_stand_in_columns_of_their_own():
    rows = three_seeds() + [row | {"fraction": 0.5} for row in three_seeds()]
    references = [
        ("paper", "before", {"class_a": 0.878}),
        ("paper", "pushing_1", {"class_a": 0.295, "over_unlearning_a": 0.522, "fraction": 0.1}),
        ("paper", "pushing_1", {"class_a": 0.02, "fraction": 0.5}),
    ]
    page = summary_markdown(rows, title="Example", reference_rows=references)
    first, second = page.split("## All settings")
    second = second.split("<summary>cifar10, class airplane, 50 % of class A requested</summary>")[1]
    assert table_cells(first, "Before unlearning")["paper: class A %"] == "87.8"
    assert table_cells(first, "Pushing-I")["paper: class A %"] == "29.5"
    assert table_cells(first, "Pushing-I")["paper: over-unlearning I (A)"] == "52.2"
    assert table_cells(first, "Honest request")["paper: class A %"] == "–"
    assert table_cells(second, "Pushing-I")["paper: class A %"] == "2.0"
    assert "paper: over-unlearning I (A)" not in second


def test_a_reference_that_names_nothing_is_refused():
    with pytest.raises(ValueError, match="unknown key 'clas_a'"):
        summary_markdown(three_seeds(), title="Example", reference_rows=[("paper", "normal", {"clas_a": 0.1})])


def with_differences(attack: str, differences: list[float]) -> list[dict]:
    """Returns normal rows of class A accuracy 0.5, and rows of the attack that lose that much more."""
    rows = [example_row("normal", seed, class_a=0.5) for seed in range(len(differences))]
    return rows + [example_row(attack, seed, class_a=0.5 - difference) for seed, difference in enumerate(differences)]


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (
            with_differences("blending", [0.1, 0.2, 0.3]),
            "Over-unlearning not shown: no interval lies above zero. The largest difference: Blending costs class "
            "airplane 20.0 points beyond an honest request [-4.8, 44.8].",
        ),
        (
            with_differences("blending", [0.4, 0.41, 0.42]),
            "Over-unlearning found: Blending costs class airplane 41.0 points beyond an honest request [38.5, 43.5].",
        ),
        (
            # of class B nothing is lost, which is more than what class A gains
            with_differences("pushing_1", [-0.4, -0.41, -0.42]),
            "Over-unlearning not shown: no interval lies above zero. The largest difference: Pushing-I costs class "
            "cat no more than an honest request [-1.0, 1.0].",
        ),
        (
            with_differences("pushing_1", [0.02, 0.03, 0.025]),
            "Over-unlearning found: Pushing-I costs class airplane 2.5 points beyond an honest request [1.3, 3.7].",
        ),
        (
            with_differences("pushing_1", [0.5]),
            "One seed, so no interval: Pushing-I costs class airplane 50.0 points beyond an honest request. "
            "--seeds=0,1,2 or more says how sure that is.",
        ),
        (with_differences("noise", [0.4, 0.41, 0.42]), "Nothing to compare: no malicious request shares a seed"),
        ([example_row("pushing_1")], "Nothing to compare: no malicious request shares a seed"),
        ([], "Nothing to compare: no malicious request shares a seed"),
    ],
    ids=["includes zero", "found", "less", "below ten", "one seed", "control alone", "no partner", "no rows"],
)
def test_the_headline_follows_from_the_intervals(rows: list[dict], words: str):
    assert headline(summarise(rows)).startswith(words)


def test_a_request_that_spares_the_class_costs_less():
    rows = [row for row in with_differences("blending", [-0.4, -0.41, -0.42]) if row["attack"] == "normal"]
    rows += [example_row("blending", seed, class_a=0.91, class_b=None) for seed in range(3)]
    assert "Blending costs class airplane 41.0 points less than an honest request [40.0, 42.0]" in headline(
        summarise(rows)
    )


def test_the_control_stands_beside_the_largest_difference():
    rows = three_seeds() + [example_row("noise", seed, class_a=0.8) for seed in range(3)]
    assert "Pushing-I costs class airplane 50.0 points beyond" in headline(summarise(rows))
    assert headline(summarise(rows)).endswith("; the noise control, 2.0 [-3.0, 7.0].")


def test_notes_say_what_no_cell_says():
    assert notes(summarise(three_seeds())) == []
    assert notes(summarise([example_row("noise")])) == [
        "One seed has no interval: --seeds=0,1,2 or more gives one.",
        "Noise control shares no seed with an honest request: what it costs beyond one is unknown.",
    ]
    rows = [row for row in three_seeds() if (row["attack"], row["seed"]) != ("normal", 0)]
    assert notes(summarise(rows)) == [
        "Pushing-I: left out of what it costs beyond an honest request are 1 seeds that only one of the two has."
    ]


def test_seeds_that_diverged_are_named_once():
    lost = {"diverged": True, "overall": None, "class_a": None, "class_b": None, "class_a_predicted": None}
    rows = [row | (lost if row["seed"] == 1 and row["attack"] == "pushing_1" else {}) for row in three_seeds()]
    page = summary_markdown(rows, title="Example")
    assert "**Unlearning diverged after Pushing-I. Over-unlearning not shown: " in page  # of two seeds
    assert "- Pushing-I: unlearning diverged for seed 1: no model is left to measure." in page
    assert table_cells(page, "Pushing-I (1 of 3 diverged)")["Class airplane left, %"].startswith("32.0 [")
    all_lost = [row | (lost if row["attack"] == "pushing_1" else {}) for row in three_seeds()]
    assert table_cells(summary_markdown(all_lost, title="t"), "Pushing-I")["Class airplane left, %"] == "diverged"
