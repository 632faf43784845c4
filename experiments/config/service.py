"""How the service forgets."""

import dataclasses
from dataclasses import dataclass

from experiments.config.fields import check_fields, setting
from overunlearn_jax.spelling import did_you_mean
from overunlearn_jax.unlearn.facts import METHOD_FACTS, MethodFacts, facts_of

METHODS = tuple(METHOD_FACTS)
FIDELITIES = ("equation", "authors_code", "corrected")


@dataclass(frozen=True)
class ServiceConfig:
    """How the service forgets."""

    service: str = setting(
        "",
        "my_module:MyService, what is audited in place of a model and a method of ours: a class with predict(images), "
        "forget(images, labels) and reset(), in any framework; an argument named train or data, or else one without "
        "a default, is given the training data; it runs in a process of its own; forget gets images as they are "
        "submitted, changed and in floats: it finds those that it was trained on by their distance, not by equality",
    )
    service_url: str = setting(
        "",
        "http://HOST:PORT or https://HOST of a deployed service, audited in place of a model and a method of ours: the "
        "flags of the connection say how it is asked, how it deletes and how a deletion is undone",
    )
    service_timeout: float = setting(
        600.0,
        "seconds that one call of --service may take before its process is ended; making it, with all the training "
        "that it does then, has ten minutes or more",
        least=1e-3,
    )
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
        if self.service and ":" not in self.service:
            raise ValueError(f"--service={self.service}: expected my_module:MyService")
        if self.service_url and not self.service_url.startswith(("http://", "https://")):
            raise ValueError(f"--service_url={self.service_url}: expected http://HOST:PORT or https://HOST")
        if self.service and self.service_url:
            raise ValueError(
                f"--service={self.service} and --service_url={self.service_url}: one service is audited, give one of "
                "the two"
            )
        ours = [name for name in ("unlearning", "method_settings", "scope") if getattr(self, name) != _default(name)]
        if self.users and ours:
            raise ValueError(
                f"{self.users_flag} forgets in its own way, and --{ours[0]}={getattr(self, ours[0])} would be "
                "ignored: leave out one of the two"
            )
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
        """What is true of the method, or of a user's service."""
        return facts_of(self.users or self.unlearning)

    @property
    def name(self) -> str:
        """What rows call it."""
        return self.users or self.unlearning

    @property
    def users(self) -> str:
        """The user's own service, by its name or URL; empty where a model and a method of ours are the service."""
        return self.service or self.service_url

    @property
    def users_flag(self) -> str:
        """The flag that names it, as typed."""
        return f"--service={self.service}" if self.service else f"--service_url={self.service_url}"


def _default(name: str) -> object:
    return next(spec.default for spec in dataclasses.fields(ServiceConfig) if spec.name == name)
