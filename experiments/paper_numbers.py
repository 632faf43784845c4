"""Numbers that the paper printed, to be shown beside ours. Fractions; sources are its tables and figures."""

from experiments.config import Config
from overunlearn_jax.reporting.table import ReferenceRow

# CIFAR-10, VGG-3 of width 128, airplane, first order, untargeted: Table IV (overall), Figure 5 and its text (class A).
# Both pushes share one number there: 87.8 % falls to around 29.5 % at 10 %, and to about 2 % at 50 %. The honest
# request's 70.8 % at 50 % is Table V's 708 of 1,000.
_CIFAR10_AIRPLANE: tuple[tuple[float, str, dict[str, float]], ...] = (
    (0.1, "before", {"overall": 0.798, "class_a": 0.878}),
    (0.1, "normal", {"overall": 0.793, "class_a": 0.817}),
    (0.1, "pushing_1", {"overall": 0.735, "class_a": 0.295}),
    (0.1, "pushing_2", {"overall": 0.737, "class_a": 0.295}),
    (0.5, "before", {"overall": 0.798, "class_a": 0.878}),
    (0.5, "normal", {"overall": 0.787, "class_a": 0.708}),
    (0.5, "pushing_1", {"overall": 0.664, "class_a": 0.02}),
    (0.5, "pushing_2", {"overall": 0.669, "class_a": 0.02}),
)
# Table III: what blending at 0.5 costs class cat beyond an honest request.
_BLENDING_INTO_CAT = ({"fraction": 0.1, "over_unlearning_b": 0.014}, {"fraction": 0.5, "over_unlearning_b": 0.081})


def paper_rows(config: Config) -> list[ReferenceRow]:
    """The paper's numbers for the data set, class and method of this run; none where it printed none."""
    told = (config.dataset, config.class_a, config.unlearning, config.target, config.model, config.blocks)
    if told != ("cifar10", "airplane", "first_order", "", "vgg", 3):
        return []
    pushing = [("paper", attack, {**values, "fraction": fraction}) for fraction, attack, values in _CIFAR10_AIRPLANE]
    if config.class_b != "cat" or config.blending_ratio != 0.5:
        return [*pushing]
    return [*pushing, *(("paper", "blending", values) for values in _BLENDING_INTO_CAT)]
