"""The requests, and the search that pushes samples to the boundary."""

import dataclasses
from dataclasses import dataclass

from experiments.config.fields import as_typed, check_fields, setting
from overunlearn_jax.attack_names import ATTACK_NAMES, ATTACKS


@dataclass(frozen=True)
class AttackConfig:
    """The requests, and the search that pushes samples to the boundary."""

    attacks: tuple[str, ...] = setting(
        ATTACKS,
        "requests to compare with an honest one; repeated: one own sample, as often as an honest request has samples",
        tuple(ATTACK_NAMES),
    )
    fractions: tuple[float, ...] = setting(
        (0.1,), "requests, as fractions of class A's training samples", least=1e-6, most=1
    )
    target: str = setting("", "class to push to; empty: untargeted")
    blending_ratio: float = setting(0.5, "alpha of x' = (1 - alpha) x + alpha x_b", least=0, most=1)
    request_labels: str = setting(
        "paper",
        "label submitted with a changed image; paper: predicted for blending, original for pushing",
        ("paper", "original", "predicted", "target"),
    )
    search: str = setting(
        "zoo",
        "how a push finds the boundary: ZOO, from probabilities; subspace, for 300 queries a sample or fewer, from "
        "farther away; from predicted labels alone (HopSkipJump); or auto: the search that fits what a few hundred "
        "queries reveal of the service",
        ("zoo", "subspace", "labels", "auto"),
    )
    solver: str = setting(
        "adam",
        "ZOO-ADAM, ZOO-Newton, or SEGA: steps along the remembered gradient, fewer queries",
        ("adam", "newton", "sega"),
        of="zoo",
    )
    space: str = setting("tanh", "search in arctanh space or in the box of valid images", ("tanh", "box"), of="zoo")
    coordinates: int = setting(128, "coordinates probed a step; all, where images have fewer", least=1, of="zoo")
    step_size: float = setting(
        1e-2,
        "learning rate of the coordinate solver; sega: length of a step, about 0.02 in the box",
        least=1e-12,
        of="zoo",
    )
    difference: float = setting(
        1e-4, "h of the finite differences; about 1e-2 for newton and sega", least=1e-12, of="zoo"
    )
    one_sided: bool = setting(
        False, "one probe a coordinate in place of two: half of the queries, coarser differences", of="zoo"
    )
    margin_weight: float = setting(10.0, "c of equation (4)", least=0, of="zoo")
    kappa: float = setting(0.0, "margin of equation (5)", least=0, of="zoo")
    max_steps: int = setting(
        1000, "steps after which a sample counts as failed; the authors allow 20000", least=1, of="zoo"
    )
    max_l2: float = setting(20.0, "largest L2 distance of a pushed image, in units of the scaled pixels", least=0)
    importance: str = setting(
        "auto",
        "probe pixels near those that moved most more often; auto: beyond 32x32",
        ("auto", "on", "off"),
        of="zoo",
    )
    block_sizes: tuple[int, ...] = setting(
        (1,),
        "coarse to fine: sides of the pixel blocks moved together, one after the other; 4,2,1 suits 96x96",
        least=1,
        of="zoo",
    )
    subspace_directions: int = setting(
        24, "low frequencies probed in a round; all, where images have fewer", least=1, of="subspace"
    )
    subspace_rounds: int = setting(
        9, "rounds, each along the next higher frequencies and with one step", least=1, of="subspace"
    )
    subspace_near: float = setting(
        1.0,
        "an image across that is no farther from the original is brought no nearer; 20: a crossing is enough",
        least=0,
        of="subspace",
    )
    subspace_queries: int = setting(300, "queries a sample, never exceeded", least=1, of="subspace")
    label_iterations: int = setting(
        30, "from an image of class B, or of the target, to the original", least=1, of="labels"
    )
    label_directions: int = setting(100, "random neighbours asked for in each iteration", least=1, of="labels")
    bisection_steps: int = setting(
        0, "halve the way between Pushing-I and Pushing-II this often after the crossing, a query each", least=0
    )
    slots: int = setting(
        0, "samples probed together in one call; 0: what the device is fastest with", least=0, of="zoo"
    )
    query_budget: int = setting(0, "images that the attacker may send per seed; 0: no limit", least=0)

    def __post_init__(self) -> None:
        check_fields(self)
        for spec in dataclasses.fields(self):
            value = getattr(self, spec.name)
            if spec.metadata["of"] not in ("", self.search) and value != spec.default:
                raise ValueError(
                    f"--{spec.name}={as_typed(value)} is of --search={spec.metadata['of']}, and "
                    f"--search={self.search} would ignore it: leave it out, or set it back to {as_typed(spec.default)}"
                )
        if "normal" not in self.attacks:
            raise ValueError("--attacks has to hold 'normal': over-unlearning is measured against an honest request")
        if self.solver == "newton" and (self.one_sided or self.difference < 5e-3):
            raise ValueError(
                "--solver=newton divides by second differences: leave out --one_sided, and take --difference=0.01 or so"
            )
        if self.search == "labels" and self.query_budget:
            raise ValueError("--search=labels cannot keep to a --query_budget: set --label_iterations in its place")
        if self.request_labels == "target" and not self.target:
            raise ValueError("--request_labels=target needs --target=CLASS")
