"""The runs of the grid: each method at several strengths, from weak to strong, on the same victims and requests."""

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from experiments.config import Config
from experiments.paper.studies import CIFAR10, SCALES
from overunlearn_jax.attack_names import ATTACKS
from overunlearn_jax.spelling import did_you_mean


class Ladder(NamedTuple):
    """A method and the settings to try, from weak to strong."""

    setting: str = ""  # the one that says how strong it is; empty: the method has none
    values: tuple[float, ...] = ()
    fixed: str = ""  # settings that stay


TAUS = (2e-5, 5e-5, 7e-5, 1e-4, 2e-4)
RATES = (3e-4, 1e-3, 3e-3)
LADDERS = {
    "first_order": Ladder(),  # its strengths are --taus, in one run
    "influence": Ladder("damping", (3.0, 1.0, 0.3, 0.1), "hessian_samples=512,iterations=30"),
    "gradient_ascent": Ladder("learning_rate", (1e-5, 3e-5, 1e-4), "steps=20"),
    "fine_tuning": Ladder("learning_rate", (1e-4, 1e-3, 3e-3, 1e-2)),
    "random_labels": Ladder("learning_rate", (1e-6, 3e-6, 1e-5), "steps=50"),
    "salun": Ladder("learning_rate", (1e-6, 3e-6), "steps=50"),
    "neg_grad_plus": Ladder("learning_rate", RATES, "steps=50"),
    "scrub": Ladder("learning_rate", RATES),
    "selective_dampening": Ladder("selection", (50.0, 20.0, 10.0, 5.0), "retain_samples=2000"),
    "retain_tuning": Ladder("", (), "learning_rate=0.01,steps=300"),
    "retrain": Ladder(),
    "sisa": Ladder("", (), "shards=3,slices=3,epochs=8"),
}


class Run(NamedTuple):
    """One method at one strength."""

    method: str
    settings: str

    @property
    def folder(self) -> str:
        """Below the grid's workdir."""
        return self.method + (f"_{self.settings.replace('=', '_').replace(',', '_')}" if self.settings else "")


def runs_of(method: str) -> list[Run]:
    """The runs of a method, from weak to strong."""
    ladder = LADDERS[method]
    strengths = [f"{ladder.setting}={value:g}" for value in ladder.values] or [""]
    return [Run(method, ",".join(filter(None, (strength, ladder.fixed)))) for strength in strengths]


def all_runs(methods: Collection[str] = ()) -> list[Run]:
    """Of some methods, or of all, in the order in which they are made."""
    return [run for method in LADDERS if not methods or method in methods for run in runs_of(method)]


def run_config(run: Run, scale: str, places: dict[str, Any], overrides: dict[str, Any]) -> Config:
    """Airplanes of CIFAR-10, a tenth of the class, all five requests; `overrides` replace what the scale says.

    Raises ValueError for an override of what the grid sets.
    """
    size = SCALES[scale]
    fixed: dict[str, Any] = {
        **CIFAR10,
        "fractions": (0.1,),
        "attacks": ATTACKS,
        "unlearning": run.method,
        "method_settings": run.settings,
        "fidelity": ("corrected",),
        "forgetting": True,
    }
    forbidden = sorted(overrides.keys() & fixed.keys())
    if forbidden:
        raise ValueError(
            f"--{forbidden[0]}={overrides[forbidden[0]]}: the grid of methods sets that itself; leave it out, or make "
            "a run of your own under another --experiment"
        )
    defaults: dict[str, Any] = {
        "width": size.widths["vgg"]["cifar10"],
        "epochs": size.epochs,
        "patience": 4,
        "batch_norm_momentum": 0.99,
        "seeds": size.seeds,
        "max_steps": size.max_steps,
        "taus": TAUS,
        "blending_ratio": 0.5,
    }
    named = {"experiment": f"{run.folder} at scale {scale}", "workdir": f"{places['workdir']}/{run.folder}"}
    return Config.of(**{**defaults, **fixed, **places, **overrides, **named})


def methods_named(typed: Sequence[str], flagged: Sequence[str]) -> list[str]:
    """The methods of the grid: `typed` behind the sub-command, or `flagged` by --method; none: all.

    Raises ValueError for a name that the grid does not have.
    """
    for name in typed:
        if name not in LADDERS:
            raise ValueError(
                f"overunlearn methods {name}: expected some of {', '.join(LADDERS)}{did_you_mean(name, LADDERS)}"
            )
    return list(dict.fromkeys([*typed, *flagged]))
