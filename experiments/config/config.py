"""Every setting of a run: one frozen dataclass a room, and all of them together."""

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from experiments.config.attack import AttackConfig
from experiments.config.connection import ConnectionConfig
from experiments.config.data import DataConfig
from experiments.config.defences import DefencesConfig
from experiments.config.fields import as_typed
from experiments.config.measures import MeasuresConfig
from experiments.config.run import RunConfig
from experiments.config.seeds import seeds_as_typed
from experiments.config.service import ServiceConfig
from experiments.config.victim import VictimConfig
from overunlearn_jax.attack_names import REPEATED
from overunlearn_jax.digests import DIGEST, read_sealed, sealed_text


@dataclass(frozen=True)
class Config:
    """Settings of one run, a part for each room; names of settings are unique over all parts.

    The defaults are the quickstart. `of` and `replace` take settings by their names, as flags do.
    """

    run: RunConfig = field(default_factory=RunConfig)
    data: DataConfig = field(default_factory=DataConfig)
    victim: VictimConfig = field(default_factory=VictimConfig)
    attack: AttackConfig = field(default_factory=AttackConfig)
    service: ServiceConfig = field(default_factory=ServiceConfig)
    connection: ConnectionConfig = field(default_factory=ConnectionConfig)
    defences: DefencesConfig = field(default_factory=DefencesConfig)
    measures: MeasuresConfig = field(default_factory=MeasuresConfig)

    def __post_init__(self) -> None:
        trained, service, flag = self.victim.trained, self.service.users, self.service.users_flag
        if service and self.victim != VictimConfig():
            changed = next(name for name, value in vars(self.victim).items() if value != DEFAULTS[name])
            raise ValueError(
                f"{flag} answers with a model of its own, and --{changed} would be ignored: leave out one of the two"
            )
        if service and self.measures.shadows:
            raise ValueError(
                f"{flag} with --shadows: how its model was trained is not known, so none is trained "
                "beside it: leave out --shadows"
            )
        if self.connection != ConnectionConfig() and not self.service.service_url:
            changed = next(name for name, value in vars(self.connection).items() if value != DEFAULTS[name])
            raise ValueError(f"--{changed} is of a service behind a URL, and would be ignored: give --service_url, too")
        if self.service.service_url and self.connection.dialect in ("v1", "v2") and not self.connection.model_name:
            raise ValueError(f"--dialect={self.connection.dialect} needs the model's name on the server: --model_name")
        if self.measures.forgetting and REPEATED in self.attack.attacks:
            raise ValueError(
                f"--forgetting with --attacks={REPEATED}: that request is to forget one sample, the others hundreds: "
                "their numbers do not compare; leave out one of the two"
            )
        if trained and (self.measures.shadows or self.service.facts.trains):
            flag = (
                f"--shadows={self.measures.shadows}"
                if self.measures.shadows
                else f"--unlearning={self.service.unlearning}"
            )
            raise ValueError(
                f"--trained={trained} with {flag}: this trains models beside the victim, and how that one was "
                "trained is not known: leave out one of the two"
            )

    @staticmethod
    def of(**settings: Any) -> "Config":
        """The defaults with some settings replaced. Raises ValueError for a wrong value, TypeError for a wrong name."""
        return Config().replace(**settings)

    def replace(self, **settings: Any) -> "Config":
        """This config with some settings replaced. Raises ValueError for a wrong value, TypeError for a wrong name."""
        unknown = sorted(settings.keys() - SETTINGS.keys())
        if unknown:
            raise TypeError(f"no setting is called {', '.join(unknown)}")
        parts: dict[str, dict[str, Any]] = {}
        for name, value in settings.items():
            parts.setdefault(PART_OF[name], {})[name] = value
        return dataclasses.replace(
            self, **{part: dataclasses.replace(getattr(self, part), **own) for part, own in parts.items()}
        )

    def flat(self) -> dict[str, Any]:
        """Every setting by its name."""
        return {name: getattr(getattr(self, part), name) for name, part in PART_OF.items()}

    def as_typed(self) -> dict[str, str]:
        """Every setting by its name, as on the command line."""
        return {
            name: seeds_as_typed(value) if name == "seeds" else as_typed(value) for name, value in self.flat().items()
        }

    def to_json(self) -> str:
        """The settings as JSON, one a line, with a digest; `from_json` reads it back."""
        return sealed_text(self.flat())

    @staticmethod
    def from_json(path: str | Path) -> "Config":
        """Reads config.json; unknown settings, and a file that is not as it was written, are a ValueError.

        A file of an older version lacks the settings that came later: their defaults are what it ran with. One without
        a digest is taken as it is.
        """
        given = read_sealed(
            path,
            f'if it was changed on purpose, delete its line "{DIGEST}"; else give the flags that it was made of, and '
            "another --workdir or --force",
        )
        if given.keys() - SETTINGS.keys():
            raise ValueError(
                f"{path} is of another version: unknown settings {sorted(given.keys() - SETTINGS.keys())}; make it "
                "anew with flags, in another --workdir or with --force"
            )
        return Config.of(**{key: tuple(value) if isinstance(value, list) else value for key, value in given.items()})


PARTS: dict[str, Any] = {part.name: part.default_factory for part in dataclasses.fields(Config)}  # by name: its class
PART_OF = {spec.name: part for part, kind in PARTS.items() for spec in dataclasses.fields(kind)}  # by setting
SETTINGS = {spec.name: spec for kind in PARTS.values() for spec in dataclasses.fields(kind)}
DEFAULTS = Config().flat()
