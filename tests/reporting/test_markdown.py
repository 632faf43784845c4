"""Tables and sentences say what the numbers say."""

import pytest

from overunlearn_jax.reporting import summarise, summary_markdown
from overunlearn_jax.reporting._findings import findings, verdict
from tests.reporting.example_rows import example_row, three_seeds


def table_cells(page: str, first_cell: str) -> dict[str, str]:
    """Returns the cells of the line that begins with `first_cell`, by header."""
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines() if line[:1] == "|"]
    (row,) = (line for line in lines if line[0] == first_cell)
    return dict(zip(lines[0], row, strict=True))


def test_table_prints_percent_with_intervals():
    page = summary_markdown(three_seeds(), title="Example")
    cells = table_cells(page, "Pushing-I")
    assert cells["Seeds"] == "3"
    assert cells["Class A %"] == "32.0 [12.1, 51.9]"  # 8 points apart: 8 * 2.4841 = 19.9
    assert cells["Over-unlearning I (A), points"] == "50.0 [25.2, 74.8]"
    assert cells["Over-unlearning II (B), points"] == "0.0 [0.0, 0.0]"
    assert cells["Queries"] == "1,001"
    assert table_cells(page, "before unlearning")["Class A %"] == "90.0 [90.0, 90.0]"
    assert table_cells(page, "Honest request")["Over-unlearning I (A), points"] == "–"


def test_one_seed_prints_means_alone():
    page = summary_markdown([example_row("normal"), example_row("pushing_1", class_a=0.3)], title="Example")
    assert table_cells(page, "Pushing-I")["Over-unlearning I (A), points"] == "55.0"
    assert "Pushing-I costs class airplane 55.0 points more than an honest request; with one seed there is no" in page


def test_page_has_title_command_notes_and_caption():
    page = summary_markdown(three_seeds(), title="A title", command="python x.py --seed=1", notes=["A *note*."])
    assert page.startswith("# A title\n\n**Over-unlearning found")
    assert "```\npython x.py --seed=1\n```" in page
    assert "- A *note*." in page
    assert (
        "Experiment example. Data set cifar10; model vgg3 width 16; unlearning first_order, "
        "fidelity authors_code, tau 0.0002, scope head; class A airplane → class B cat, untargeted, "
        "request labels original; 10 % of class A requested (400 samples); seeds 0, 1, 2." in page
    )


def test_groups_are_told_apart_by_what_differs():
    rows = three_seeds() + [row | {"tau": None, "dataset_note": "small"} for row in three_seeds()]
    page = summary_markdown(rows, title="Example")
    assert [line for line in page.splitlines() if line.startswith("## ")] == [
        "## cifar10, class airplane, tau 0.0002",
        "## cifar10, class airplane, small, no tau",
    ]
    assert "Largest difference (cifar10, class airplane, tau 0.0002): Pushing-I" in page


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
    first, second = summary_markdown(rows, title="Example", reference_rows=references).split("\n## ")[1:]
    assert table_cells(first, "before unlearning")["paper: class A %"] == "87.8"
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
    ("differences", "sentence"),
    [
        (
            [0.1, 0.2, 0.3],
            "Blending costs class airplane 20.0 points more than an honest request [-4.8, 44.8]; "
            "the interval includes zero, so no difference is shown.",
        ),
        (
            [0.4, 0.41, 0.42],
            "Blending costs class airplane 41.0 points more than an honest request [38.5, 43.5]; "
            "the interval excludes zero.",
        ),
        (
            [-0.4, -0.41, -0.42],
            "Blending costs class airplane 41.0 points less than an honest request [38.5, 43.5]; "
            "the interval excludes zero.",
        ),
        (
            [0.01, -0.01, 0.0],
            "Blending costs class airplane as much as an honest request, to 0.1 points [-2.5, 2.5]; "
            "the interval includes zero, so no difference is shown.",
        ),
        (
            [0.25],
            "Blending costs class airplane 25.0 points more than an honest request; "
            "with one seed there is no interval.",
        ),
    ],
)
def test_sentences_follow_from_the_interval(differences, sentence):
    assert sentence in findings(summarise(with_differences("blending", differences)))


def test_honest_requests_are_described_by_what_they_cost():
    (sentence,) = findings(summarise([example_row("normal")]))
    assert sentence == (
        "The honest request itself takes class airplane from 90.0 to 85.0 % and overall accuracy from 80.0 to 78.0 %."
    )


def test_missing_partners_are_said():
    assert findings(summarise([example_row("noise")])) == [
        "Noise (control) shares no seed with an honest request: the cost is unknown."
    ]
    rows = [row for row in three_seeds() if (row["attack"], row["seed"]) != ("normal", 0)]
    assert any("left out of the difference are 1 seeds" in line for line in findings(summarise(rows)))


@pytest.mark.parametrize(
    ("rows", "beginning"),
    [
        (three_seeds(), "Over-unlearning found: 1 of 2 comparisons"),
        (with_differences("pushing_1", [0.1, 0.2, 0.3]), "Over-unlearning not shown"),
        (with_differences("pushing_1", [-0.4, -0.41, -0.42]), "Over-unlearning not shown"),
        (with_differences("pushing_1", [0.5]), "One seed only"),
        (with_differences("noise", [0.4, 0.41, 0.42]), "Nothing to compare"),
        ([example_row("pushing_1")], "Nothing to compare"),
        ([], "Nothing to compare"),
    ],
    ids=["found", "includes zero", "less", "one seed", "control alone", "no partner", "no rows"],
)
def test_verdict(rows, beginning):
    assert verdict(summarise(rows)).startswith(beginning)


def test_verdict_sets_the_control_beside_the_largest_difference():
    rows = three_seeds() + [example_row("noise", seed, class_a=0.8) for seed in range(3)]
    assert "Pushing-I costs class airplane 50.0 points more" in verdict(summarise(rows))
    assert "Noise (control) costs class airplane 2.0 points more" in verdict(summarise(rows))
