"""The defences that --gates names, around a seed's service, of what its owner holds."""

import jax
import numpy as np

from experiments.config import Config, DefencesConfig
from experiments.victims.cache import Victim, choice_of
from overunlearn_jax.data import take
from overunlearn_jax.defences.assembly import Defences, assemble, check_defences, defend
from overunlearn_jax.defences.holdings import Holdings
from overunlearn_jax.defences.re_encoding import re_encoded
from overunlearn_jax.files import settings_hash
from overunlearn_jax.services import recipes
from overunlearn_jax.services.service import HasWeights
from overunlearn_jax.types import DatasetSpec, Key, Split, Splits

STORED = ("png", "jpeg95", "jpeg75")  # how honest people's samples arrive that gates are calibrated on, a third each
CALIBRATION = 600  # of them
OWNER = "user"  # of all requests of a run, for budgets
NO_FLAG = ("shadows", "secret")  # of `Holdings`: what gates can be given in Python alone
_DEFENCES = 1_000_004  # folded into the seed's unlearning key


def check_gates(config: DefencesConfig) -> None:
    """Raises ValueError, before a victim is trained, for a gate that there is none of, or a setting that it lacks."""
    if not config.gates:
        return
    try:
        check_defences(config.gates, NO_FLAG)
    except ValueError as error:
        raise ValueError(f"--gates={config.gates}: {error}") from error


def defences_of(config: Config, victim: Victim, splits: Splits, key: Key) -> Defences:
    """What the flags ask for, of the training data and, for the monitor, the validation part.

    The test images are for those who measure. Raises ValueError for what a gate needs and the service does not have.
    """
    service, own = victim.service, jax.random.fold_in(key, _DEFENCES)
    drawing, gates = jax.random.split(own)
    weights = service if isinstance(service, HasWeights) else None
    holdings = Holdings(
        splits.spec,
        splits.train,
        honest_copies(splits.train, splits.spec, drawing),
        service.predict,
        None if weights is None else weights.model,
        None if weights is None else weights.variables,
        key=gates,
    )
    scope = "head" if config.service.users else recipes.scope(choice_of(config.service))
    return assemble(config.defences.gates, holdings, test=splits.validation, scope=scope)


def defended_victim(config: Config, victim: Victim, splits: Splits, key: Key) -> Victim:
    """The victim behind the defences that the flags ask for; itself where they ask for none."""
    if not config.defences.gates:
        return victim
    service = defend(victim.service, defences_of(config, victim, splits, key), owner=OWNER)
    name = settings_hash({"forgetting": victim.forgetting_name, "gates": config.defences.gates})
    return victim._replace(service=service, forgetting_name=name)


def honest_copies(train: Split, spec: DatasetSpec, key: Key) -> Split:
    """Training samples as honest people send them: a third each as PNG and as JPEG of two qualities.

    Images of other than one or three channels are no pictures, and stay as they are.
    """
    rows = np.asarray(jax.random.permutation(key, len(train.labels)))[:CALIBRATION]
    chosen = take(train, rows)
    if spec.image_shape[-1] not in (1, 3):
        return chosen
    images = np.array(chosen.images)
    for number, how in enumerate(STORED):
        images[number :: len(STORED)] = re_encoded(images[number :: len(STORED)], spec.bounds, how)
    return chosen._replace(images=images)
