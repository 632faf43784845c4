"""How the service forgets."""

from dataclasses import dataclass

from experiments.config.fields import check_fields, setting
from overunlearn_jax.spelling import did_you_mean
from overunlearn_jax.unlearn.facts import METHOD_FACTS, MethodFacts, facts_of

METHODS = tuple(METHOD_FACTS)
FIDELITIES = ("equation", "authors_code", "corrected")


@dataclass(frozen=True)
class ServiceConfig:
    """How the service forgets."""

    unlearning: str = setting(
        "first_order",
        f"what the service does: {', '.join(METHODS)}, or my_module:my_function called as "
        "my_function(params, request, key, retain=retained_data); a run goes on only with the same my_module; helpers "
        "that it imports are not seen",
    )
    method_settings: str = setting(
        "", "of another method than first_order: name=value,name=value as in steps=50,learning_rate=0.001"
    )
    fidelity: tuple[str, ...] = setting(
        ("corrected",), "first order as printed, as the authors' code runs, or as we think right", FIDELITIES
    )
    taus: tuple[float, ...] = setting((2e-2,), "unlearning rates; several are computed in one vmapped call", least=0)
    scope: str = setting(
        "",
        "head, all, or a regular expression on parameter paths; empty: the method's own, head (first order, influence) "
        "or all; retrain, sisa and a function of one's own have none",
    )

    def __post_init__(self) -> None:
        check_fields(self)
        if self.unlearning not in METHODS and ":" not in self.unlearning:
            raise ValueError(
                f"--unlearning={self.unlearning}: expected my_module:my_function or one of {', '.join(METHODS)}"
                f"{did_you_mean(self.unlearning, METHODS)}"
            )
        if self.facts.has_rates and self.method_settings:
            raise ValueError(
                f"--method_settings={self.method_settings}: {self.unlearning} has flags of its own: --taus, --fidelity"
            )
        if self.scope and not self.facts.has_scope:
            raise ValueError(
                f"--scope={self.scope}: {self.unlearning} has no scope, it decides itself which parameters change: "
                "leave it out"
            )

    @property
    def facts(self) -> MethodFacts:
        """What is true of the method."""
        return facts_of(self.unlearning)
