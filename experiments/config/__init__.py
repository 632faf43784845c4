"""Every setting of a run and its flag: a part for each room, in a file of its own. Imports no JAX."""

from experiments.config.attack import AttackConfig
from experiments.config.config import DEFAULTS, PART_OF, PARTS, SETTINGS, Config
from experiments.config.connection import ConnectionConfig
from experiments.config.data import DataConfig
from experiments.config.defences import DefencesConfig
from experiments.config.flags import define_flags, from_flags, given
from experiments.config.measures import MeasuresConfig
from experiments.config.run import RunConfig
from experiments.config.service import FIDELITIES, METHODS, ServiceConfig
from experiments.config.victim import VictimConfig

__all__ = [
    "DEFAULTS",
    "FIDELITIES",
    "METHODS",
    "PARTS",
    "PART_OF",
    "SETTINGS",
    "AttackConfig",
    "Config",
    "ConnectionConfig",
    "DataConfig",
    "DefencesConfig",
    "MeasuresConfig",
    "RunConfig",
    "ServiceConfig",
    "VictimConfig",
    "define_flags",
    "from_flags",
    "given",
]
