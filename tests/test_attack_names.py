"""One spelling of every request, in every room."""

import ast
from pathlib import Path

from experiments.paper import layout
from overunlearn_jax.attack_names import ATTACK_NAMES, ATTACKS, REPEATED, attack_name

ROOT = Path(__file__).parents[1]
SOURCES = [path for folder in ("overunlearn_jax", "experiments") for path in sorted((ROOT / folder).rglob("*.py"))]
NAMES = {name for key in ATTACK_NAMES for name in (attack_name(key), attack_name(key, at_start=True))} - {"blending"}


def test_every_attack_has_a_name():
    assert (*ATTACKS, REPEATED) == tuple(ATTACK_NAMES)
    assert [attack_name(attack) for attack in ATTACKS] == [
        "honest request",
        "noise control",
        "blending",
        "Pushing-I",
        "Pushing-II",
    ]
    assert [attack_name(attack, at_start=True) for attack in ("noise", "pushing_2")] == ["Noise control", "Pushing-II"]
    assert attack_name("my_attack", at_start=True) == "my_attack"


def test_the_paper_s_layout_has_the_paper_s_name_of_the_honest_request():
    assert layout.ATTACKS["normal"] == "Normal unlearning"
    assert layout.ATTACKS["pushing_1"] == "Pushing-I"


def test_no_other_place_maps_an_attack_to_a_name():
    for source in SOURCES:
        strings = {
            value.value
            for node in ast.walk(ast.parse(source.read_text()))
            if isinstance(node, ast.Dict)
            for value in node.values
            if isinstance(value, ast.Constant)
        }
        assert source.name == "attack_names.py" or not NAMES & strings, source
