"""One frozen dataclass with every setting of a run, and its absl flags; the only reader of FLAGS.

The defaults are the quickstart. A field's comment is its `--help` text.
"""

import dataclasses
import json
import math
import typing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from absl import flags

ATTACKS = ("normal", "noise", "blending", "pushing_1", "pushing_2")
FIDELITIES = ("equation", "authors_code", "corrected")
METHODS = (  # of overunlearn_jax.unlearn, named here since --help imports no jax
    "first_order",
    "fine_tuning",
    "gradient_ascent",
    "influence",
    "neg_grad_plus",
    "random_labels",
    "salun",
    "selective_dampening",
    "scrub",
    "retain_tuning",
    "retrain",
    "sisa",  # training prepares for it
)


def _flag(
    default: Any,
    text: str,
    choices: tuple[str, ...] = (),
    least: float = -math.inf,
    most: float = math.inf,
    of: str = "",  # the one --search that reads it; empty: read always
) -> Any:
    return field(default=default, metadata={"help": text, "choices": choices, "least": least, "most": most, "of": of})


@dataclass(frozen=True)
class Config:
    """Settings of one run; `from_flags`, `to_json` and `from_json` move it in and out."""

    # where
    experiment: str = _flag("quickstart", "name of the experiment, printed in its report")
    workdir: str = _flag("runs/quickstart", "folder of this run: rows, tables, figures, report.html")
    save_requests: bool = _flag(False, "keep every request in the workdir: 8-bit PNG files, and one .npz")
    cache_dir: str = _flag("runs/cache", "trained victims and pushed samples, shared by runs, one at a time")
    force: bool = _flag(
        False,
        "run finished cells again; a workdir of another config, or of other code or data, is overwritten",
    )

    # data
    dataset: str = _flag("digits", "digits, any TFDS image-classification name, a .npz file or an image folder")
    data_dir: str = _flag("", "where TFDS data sets lie; empty: TFDS's own default")
    dataset_note: str = _flag("", "what a reader has to know of this copy of the data; printed beside every number")
    image_size: int = _flag(
        0,
        "of image folders and TFDS sets, whose images may have different sizes: side in pixels of the square that each "
        "is scaled to and its middle cut out of; 0: all are of one size and stay so. Transparency is dropped, whatever "
        "the size",
        least=0,
    )
    class_a: str = _flag("3", "class that the unlearned samples belong to, by name or index")
    class_b: str = _flag("8", "other class: blended in, and reported as over-unlearning II")
    fractions: tuple[float, ...] = _flag(
        (0.1,), "requests, as fractions of class A's training samples", least=1e-6, most=1
    )
    seeds: tuple[int, ...] = _flag(
        (0, 1, 2),
        "one victim (split, weights) and one choice of samples per seed",
        least=0,
        most=2**32 - 1,  # JAX makes the same key of a seed and of that seed plus 2**32
    )

    # victim
    model: str = _flag(
        "vgg",
        "vgg, resnet, or my_module:my_function called with (num_classes, image_shape) and trained; trained again "
        "when its source file changes",
    )
    trained: str = _flag(
        "",
        "my_module:my_function of no arguments that returns the trained Variables of --model, which is then not "
        "trained here; it is given images in [-0.5, 0.5] of the --dataset, which has to be named, must not have seen "
        "its test part, and seeds then choose the samples alone",
    )
    blocks: int = _flag(3, "VGG blocks; the paper has 3, 4 and 5", least=1)
    width: int = _flag(32, "filters of the convolutions; the paper has 128 (vgg) and 64 (resnet)", least=1)
    batch_norm_momentum: float = _flag(
        0.9, "of the running statistics; 0.99 is Keras' default, for large sets", least=0, most=1
    )
    learning_rate: float = _flag(1e-3, "of AMSGrad", least=1e-12)
    batch_size: int = _flag(64, "training images a step", least=1)
    epochs: int = _flag(30, "at most", least=1)
    patience: int = _flag(5, "epochs without a lower validation loss before training stops", least=1)

    # attacks
    attacks: tuple[str, ...] = _flag(ATTACKS, "requests to compare with an honest one", ATTACKS)
    target: str = _flag("", "class to push to; empty: untargeted")
    blending_ratio: float = _flag(0.5, "alpha of x' = (1 - alpha) x + alpha x_b", least=0, most=1)
    request_labels: str = _flag(
        "paper",
        "label submitted with a malicious image; paper: predicted for blending, original for pushing",
        ("paper", "original", "predicted", "target"),
    )
    search: str = _flag(
        "zoo",
        "how a push finds the boundary: ZOO, from probabilities, or from predicted labels alone (HopSkipJump)",
        ("zoo", "labels"),
    )
    solver: str = _flag(
        "adam",
        "ZOO-ADAM, ZOO-Newton, or SEGA: steps along the remembered gradient, fewer queries",
        ("adam", "newton", "sega"),
        of="zoo",
    )
    space: str = _flag("tanh", "search in arctanh space or in the box of valid images", ("tanh", "box"), of="zoo")
    coordinates: int = _flag(128, "coordinates probed a step; all, where images have fewer", least=1, of="zoo")
    step_size: float = _flag(
        1e-2,
        "learning rate of the coordinate solver; sega: length of a step, about 0.02 in the box",
        least=1e-12,
        of="zoo",
    )
    difference: float = _flag(
        1e-4, "h of the finite differences; about 1e-2 for newton and sega", least=1e-12, of="zoo"
    )
    one_sided: bool = _flag(
        False, "one probe a coordinate in place of two: half of the queries, coarser differences", of="zoo"
    )
    margin_weight: float = _flag(10.0, "c of equation (4)", least=0, of="zoo")
    kappa: float = _flag(0.0, "margin of equation (5)", least=0, of="zoo")
    max_steps: int = _flag(
        1000, "steps after which a sample counts as failed; the authors allow 20000", least=1, of="zoo"
    )
    max_l2: float = _flag(20.0, "largest L2 distance of a pushed image, in units of the scaled pixels", least=0)
    importance: str = _flag(
        "auto",
        "probe pixels near those that moved most more often; auto: beyond 32x32",
        ("auto", "on", "off"),
        of="zoo",
    )
    block_sizes: tuple[int, ...] = _flag(
        (1,),
        "coarse to fine: sides of the pixel blocks moved together, one after the other; 4,2,1 suits 96x96",
        least=1,
        of="zoo",
    )
    label_iterations: int = _flag(
        30, "from an image of class B, or of the target, to the original", least=1, of="labels"
    )
    label_directions: int = _flag(100, "random neighbours asked for in each iteration", least=1, of="labels")
    bisection_steps: int = _flag(
        0, "halve the way between Pushing-I and Pushing-II this often after the crossing, a query each", least=0
    )
    slots: int = _flag(0, "samples probed together in one call; 0: what the device is fastest with", least=0, of="zoo")
    query_budget: int = _flag(0, "images that the attacker may send per seed; 0: no limit", least=0)

    lpips: str = _flag("", "network of the LPIPS column; empty: none is computed", ("", "alex", "vgg", "squeeze"))
    lpips_weights: str = _flag("", ".npz file of its weights; empty: the torch cache and the lpips package")

    # unlearning
    unlearning: str = _flag(
        "first_order",
        f"what the service does: {', '.join(METHODS)}, or my_module:my_function called as "
        "my_function(params, request, key, retain=retained_data); a run goes on only with the same my_module; helpers "
        "that it imports are not seen",
    )
    method_settings: str = _flag(
        "", "of another method than first_order: name=value,name=value as in steps=50,learning_rate=0.001"
    )
    fidelity: tuple[str, ...] = _flag(
        ("corrected",), "first order as printed, as the authors' code runs, or as we think right", FIDELITIES
    )
    taus: tuple[float, ...] = _flag((2e-2,), "unlearning rates; several are computed in one vmapped call", least=0)
    forgetting: bool = _flag(
        False, "measure whether each request was forgotten, beside a retrained model: trains one for each request size"
    )
    shadows: int = _flag(
        0, "with --forgetting: models trained on halves of the data for LiRA; even, 0: no LiRA", least=0
    )
    scope: str = _flag(
        "",
        "head, all, or a regular expression on parameter paths; empty: the method's own, head (first order, influence) "
        "or all; retrain, sisa and a function of one's own have none",
    )

    def __post_init__(self) -> None:
        for spec in dataclasses.fields(self):
            value = getattr(self, spec.name)
            choices, least, most = (spec.metadata[key] for key in ("choices", "least", "most"))
            many = isinstance(spec.default, tuple)
            kind: Any = typing.get_args(spec.type)[0] if many else spec.type
            if isinstance(value, tuple) != many:
                raise ValueError(f"--{spec.name}={value}: expected {'a list' if many else 'one value'}")
            for item in value if isinstance(value, tuple) else (value,):
                if type(item) is not kind and not (kind is float and type(item) is int):
                    raise ValueError(f"--{spec.name}={item!r}: expected {kind.__name__}")
                if choices and item not in choices:
                    raise ValueError(f"--{spec.name}={item}: expected one of {', '.join(choices)}")
                if isinstance(item, int | float) and not (math.isfinite(item) and least <= item <= most):
                    raise ValueError(
                        f"--{spec.name}={item}: expected a number from {_digits(least)} to {_digits(most)}"
                    )
            if isinstance(value, tuple) and len(set(value)) != len(value):
                raise ValueError(f"--{spec.name}={_as_typed(value)}: a value is given twice")
            if kind is float and isinstance(value, tuple) and len({f"{item:g}" for item in value}) != len(value):
                raise ValueError(
                    f"--{spec.name}={_as_typed(value)}: two values are the same in six digits, by which the files of "
                    "their figures and requests are named: leave out one of them"
                )
            if isinstance(value, tuple) and not value:
                raise ValueError(f"--{spec.name} is empty: give at least one value")
            if spec.metadata["of"] not in ("", self.search) and value != spec.default:
                raise ValueError(
                    f"--{spec.name}={_as_typed(value)} is of --search={spec.metadata['of']}, and "
                    f"--search={self.search} would ignore it: leave it out, or set it back to {_as_typed(spec.default)}"
                )
        if "normal" not in self.attacks:
            raise ValueError("--attacks has to hold 'normal': over-unlearning is measured against an honest request")
        if self.solver == "newton" and (self.one_sided or self.difference < 5e-3):
            raise ValueError(
                "--solver=newton divides by second differences: leave out --one_sided, and take --difference=0.01 or so"
            )
        if self.search == "labels" and self.query_budget:
            raise ValueError("--search=labels cannot keep to a --query_budget: set --label_iterations in its place")
        if self.shadows % 2 or self.shadows == 2:
            raise ValueError(f"--shadows={self.shadows}: expected 0, or an even number from 4 on")
        if self.unlearning not in METHODS and ":" not in self.unlearning:
            raise ValueError(
                f"--unlearning={self.unlearning}: expected my_module:my_function or one of {', '.join(METHODS)}"
            )
        if self.unlearning == "first_order" and self.method_settings:
            raise ValueError(
                f"--method_settings={self.method_settings}: first_order has flags of its own: --taus, --fidelity"
            )
        if self.trained and ":" not in self.trained:
            raise ValueError(f"--trained={self.trained}: expected my_module:my_function")
        if self.trained and (self.forgetting or self.unlearning in ("retrain", "sisa")):
            flag = "--forgetting" if self.forgetting else f"--unlearning={self.unlearning}"
            raise ValueError(
                f"--trained={self.trained} with {flag}: this trains models beside the victim, and how that one was "
                "trained is not known: leave out one of the two"
            )
        if self.scope and (self.unlearning in ("retrain", "sisa") or ":" in self.unlearning):
            raise ValueError(
                f"--scope={self.scope}: {self.unlearning} has no scope, it decides itself which parameters change: "
                "leave it out"
            )
        if self.request_labels == "target" and not self.target:
            raise ValueError("--request_labels=target needs --target=CLASS")

    def to_json(self) -> str:
        """The settings as JSON, one a line; `from_json` reads it back."""
        return json.dumps(dataclasses.asdict(self), indent=2) + "\n"

    @staticmethod
    def from_json(path: str | Path) -> "Config":
        """Reads config.json; unknown settings are a ValueError that names them.

        A file of an older version lacks the settings that came later: their defaults are what it ran with.
        """
        try:
            given = dict(json.loads(Path(path).read_text()))
        except (ValueError, TypeError) as error:
            raise ValueError(f"{path} is no config.json: {error}") from error
        known = {spec.name for spec in dataclasses.fields(Config)}
        if given.keys() - known:
            raise ValueError(
                f"{path} is of another version: unknown settings {sorted(given.keys() - known)}; make it anew with "
                "flags, in another --workdir or with --force"
            )
        fields: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in given.items()
        }
        return Config(**fields)


def _digits(limit: float) -> str:
    """A limit as one would type it: 4294967295 and not 4.29497e+09."""
    return str(limit) if isinstance(limit, int) else f"{limit:g}"


def _as_typed(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def define_flags() -> None:
    """Defines one flag for each field of `Config`, and `--config`."""
    flags.DEFINE_string("config", "", "config.json of an earlier run to start from; other flags override it")
    for spec in dataclasses.fields(Config):
        default: Any = spec.default
        text, choices = spec.metadata["help"], spec.metadata["choices"]
        if choices:
            text = f"{text} ({', '.join(choices)})"
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


def from_flags(values: flags.FlagValues) -> Config:
    """The config that the command line asks for. Raises ValueError naming the flag that is wrong, or would be ignored.

    That a method ignores --taus and --fidelity is said of the command line alone: the grid of methods and the paper's
    studies have one for all of their configs.
    """
    base = Config.from_json(values.config) if values.config else Config()
    typed = given(values)
    config = dataclasses.replace(base, **typed)
    if "trained" in typed and config.trained and "dataset" not in typed and base.dataset == Config().dataset:
        raise ValueError(
            f"--trained={config.trained} without --dataset: a deployed model would be measured on {config.dataset}, "
            "the quickstart's data: give the --dataset that the model is for"
        )
    for name in ("taus", "fidelity") if config.unlearning != "first_order" else ():
        default = getattr(Config(), name)
        if typed.get(name, default) != default:
            raise ValueError(
                f"--{name}={_as_typed(typed[name])} is of --unlearning=first_order, and --unlearning="
                f"{config.unlearning} would ignore it: leave it out, or set it back to {_as_typed(default)}"
            )
    return config


def given(values: flags.FlagValues) -> dict[str, Any]:
    """The settings that are on the command line or in a flagfile, parsed."""
    fields = dataclasses.fields(Config)
    return {spec.name: _parse(spec, getattr(values, spec.name)) for spec in fields if values[spec.name].present}


def _parse(spec: dataclasses.Field[Any], value: Any) -> Any:
    if not isinstance(spec.default, tuple):
        return value
    kind = typing.get_args(spec.type)[0]
    try:
        return tuple(kind(item) for item in value)
    except ValueError as error:
        raise ValueError(
            f"--{spec.name}={','.join(value)}: expected {kind.__name__} values, comma-separated"
        ) from error
