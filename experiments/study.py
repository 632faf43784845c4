"""What the studies share: one class of CIFAR-10, the search of an audit, what an honest request may cost, the command.

A study is a program of its own that writes records and a page: controls, defences, contributors, U-LiRA.
"""

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from absl import flags

from experiments.config import Config
from experiments.config import flags as config_flags
from experiments.config.fields import as_typed

SETTING: dict[str, Any] = {
    "dataset": "cifar10",
    "class_a": "airplane",
    "class_b": "cat",
    "fractions": (0.1,),
    "blending_ratio": 0.3,
    "width": 16,
    "batch_norm_momentum": 0.99,
    "epochs": 20,
    "patience": 4,
}

OWN_CHOICE = ("service", "service_url", "unlearning", "method_settings", "scope", "gates")  # flags of a run


def defaults(name: str) -> dict[str, Any]:
    """The defaults of a study's flags that differ from those of a run, by the flag."""
    return {"experiment": name, "workdir": f"runs/{name}", **SETTING}


def with_search(of: Mapping[str, Any]) -> dict[str, Any]:
    """The same, pushing by the search of an audit: a fifth of the paper's queries, the same harm."""
    from experiments.audit import SEARCH  # after Ctrl-C is one line

    return {**of, **SEARCH}


def define_flags(of: Mapping[str, Any]) -> None:
    """Defines the flags of a run, with these defaults, and --honest_cost: what an honest request may cost."""
    config_flags.define_flags(dict(of))
    flags.DEFINE_float(
        "honest_cost",
        0.061,
        "what the honest request of an undefended first-order step costs class A of its accuracy, as a fraction; the "
        "paper's costs 6.1 points",
        lower_bound=1e-3,
        upper_bound=0.9,
    )


def read_flags(arguments: Sequence[str], of: Mapping[str, Any]) -> Config:
    """The settings of a run.

    Raises ValueError for arguments that are no flags, for wrong settings, and for a service, a method or a gate: a
    study trains its victims, and goes through methods and defences of its own.
    """
    if len(arguments) > 1:
        raise ValueError(f"unexpected arguments {arguments[1:]}: every setting is a --flag, see --help")
    config = config_flags.from_flags(flags.FLAGS, dict(of))
    chosen = config.flat()
    for name in OWN_CHOICE:
        if chosen[name] != flags.FLAGS[name].default:
            raise ValueError(
                f"--{name}={chosen[name]}: this study has methods and defences of its own and would ignore it; "
                "leave it out"
            )
    return config


def typed_command(module: str, own: Sequence[str]) -> str:
    """What was typed, as it can be typed elsewhere: without the places of data and files.

    `own` are flags of the program beside those of a run.
    """
    from experiments.run.outputs import PLACES

    given = {name: as_typed(value) for name, value in config_flags.given(flags.FLAGS).items() if name not in PLACES}
    typed = [f"--{name}={value}" for name, value in given.items()]
    for name in own:
        if flags.FLAGS[name].present:
            value = flags.FLAGS[name].value
            typed += [f"--{name}={each}" for each in (value if isinstance(value, list) else [value])]
    return shlex.join(["python", "-m", module, *typed])
