"""The config's absl flags, flat: one for each setting of every part; the only reader of FLAGS."""

import dataclasses
import typing
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from absl import flags

from experiments.config.config import DEFAULTS, SETTINGS, Config
from experiments.config.fields import as_typed
from experiments.config.seeds import parse_seeds
from overunlearn_jax.unlearn.facts import METHOD_FACTS

SHOWN = 20  # classes in a message
NO_DEFAULTS: Mapping[str, Any] = MappingProxyType({})  # those of `Config`, the quickstart's


def define_flags(own: Mapping[str, Any] = NO_DEFAULTS) -> None:
    """Defines one flag for each field of `Config`, and `--config`; `own` are defaults of this program, for --help."""
    flags.DEFINE_string("config", "", "config.json of an earlier run to start from; other flags override it")
    for spec in SETTINGS.values():
        default: Any = own.get(spec.name, spec.default)
        text, choices = spec.metadata["help"], spec.metadata["choices"]
        if choices:
            text = f"{text} ({', '.join(filter(None, choices))})"
        if spec.metadata["of"]:
            text = f"of --search={spec.metadata['of']}: {text}"
        if isinstance(default, tuple):
            flags.DEFINE_list(spec.name, [str(value) for value in default], text)
        elif isinstance(default, bool):
            flags.DEFINE_bool(spec.name, default, text)
        elif isinstance(default, int):
            flags.DEFINE_integer(spec.name, default, text)
        elif isinstance(default, float):
            flags.DEFINE_float(spec.name, default, text)
        else:
            flags.DEFINE_string(spec.name, default, text)


def from_flags(values: flags.FlagValues, own: Mapping[str, Any] = NO_DEFAULTS, *, needs_classes: bool = True) -> Config:
    """The config that the command line asks for: what was typed, over --config, or over `own`, the program's defaults.

    Raises ValueError naming the flag that is wrong, missing, or would be ignored. `needs_classes`: the program is about
    two classes, and those of the quickstart are of its data alone.

    That a method ignores --taus and --fidelity is said of the command line alone: the grid of methods and the paper's
    studies have one for all of their configs.
    """
    base = _read(values.config) if values.config else Config.of(**own)
    typed = given(values)
    config = base.replace(**typed)
    trained, dataset = config.victim.trained, config.data.dataset
    if "trained" in typed and trained and "dataset" not in typed and base.data.dataset == DEFAULTS["dataset"]:
        raise ValueError(
            f"--trained={trained} without --dataset: a deployed model would be measured on {dataset}, the "
            "quickstart's data: give the --dataset that the model is for"
        )
    if needs_classes and dataset not in (DEFAULTS["dataset"], base.data.dataset):
        _check_classes(config, typed)
    for name in () if config.service.facts.has_rates else ("taus", "fidelity"):
        if typed.get(name, DEFAULTS[name]) != DEFAULTS[name]:
            methods = ", ".join(method for method, facts in METHOD_FACTS.items() if facts.has_rates)
            raise ValueError(
                f"--{name}={as_typed(typed[name])} is of --unlearning={methods}, and {config.service.name} "
                f"would ignore it: leave it out, or set it back to "
                f"{as_typed(DEFAULTS[name])}"
            )
    return config


def _check_classes(config: Config, typed: Mapping[str, Any]) -> None:
    """Raises ValueError where a class of other data than the quickstart's would be the quickstart's by chance."""
    names = ("class_a", "class_b")
    missing = [each for each in names if each not in typed and getattr(config.data, each) == DEFAULTS[each]]
    if missing:
        raise ValueError(
            f"--dataset={config.data.dataset} without --{' and --'.join(missing)}: say which classes this is about, by "
            f"name or number{_known_classes(config)}"
        )


def _known_classes(config: Config) -> str:
    """The data set's classes, to end a message with; nothing where it cannot be read here and now."""
    from overunlearn_jax import data  # it takes a second, and is needed on the way out alone

    own = config.data
    try:
        splits = data.load(own.dataset, data_dir=own.data_dir or None, seed=0, download=False,
                           image_size=own.image_size or None)  # fmt: skip
    except (ImportError, OSError, RuntimeError, ValueError):  # they are told once the classes are named
        return ""
    names = splits.spec.class_names
    shown = ", ".join(f"{label} {name}" for label, name in enumerate(names[:SHOWN]))
    return f". It has {len(names)}: {shown}{', ...' if len(names) > SHOWN else ''}"


def _read(path: str) -> Config:
    try:
        return Config.from_json(path)
    except OSError as error:
        raise ValueError(
            f"--config={path} cannot be read ({error.strerror}): give the config.json in an earlier run's --workdir"
        ) from error


def given(values: flags.FlagValues) -> dict[str, Any]:
    """The settings that are on the command line or in a flagfile, parsed."""
    return {name: _parse(spec, getattr(values, name)) for name, spec in SETTINGS.items() if values[name].present}


def _parse(spec: dataclasses.Field[Any], value: Any) -> Any:
    if not isinstance(spec.default, tuple):
        return value
    if spec.name == "seeds":
        return parse_seeds(value)
    kind = typing.get_args(spec.type)[0]
    try:
        return tuple(kind(item) for item in value)
    except ValueError as error:
        raise ValueError(
            f"--{spec.name}={','.join(value)}: expected {kind.__name__} values, comma-separated"
        ) from error
