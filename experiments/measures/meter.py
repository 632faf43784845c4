"""What measures a seed's service, as the flags ask for it."""

from experiments.config import Config
from experiments.measures.forgetting import ForgettingMeter
from experiments.measures.memo import Memo
from experiments.measures.perceptual import perceptual
from experiments.requests.settings import request_settings
from experiments.victims.architectures import describe_model
from experiments.victims.cache import Victim, choice_of
from overunlearn_jax.auditing.measuring import Meter, baseline
from overunlearn_jax.auditing.request_settings import Classes
from overunlearn_jax.auditing.rows import ServiceLabels
from overunlearn_jax.services import recipes
from overunlearn_jax.types import Key, Splits


def meter_of(config: Config, victim: Victim, splits: Splits, classes: Classes, key: Key, memo: Memo) -> Meter:
    """Accuracies, stealth, and forgetting where the flags ask for it; what `memo` holds is not measured again."""
    before = memo.get((victim.name, classes.a), lambda: baseline(victim.service, splits, classes.a))
    forgetting = None
    if config.measures.forgetting:
        forgetting = ForgettingMeter(
            config.measures, config.victim, config.run.cache_dir, victim, splits, classes.a, key, memo
        )
    users = config.service.users
    labels = ServiceLabels(
        victim=victim.name,
        model=users or describe_model(config.victim),
        unlearning=config.service.name,
        scope="the service's own" if users else recipes.scope(choice_of(config.service)),
        forgetting_name=victim.forgetting_name,
        experiment=config.run.experiment,
        dataset_note=config.data.dataset_note,
    )
    return Meter(
        labels,
        request_settings(config.attack),
        victim.service,
        splits,
        classes,
        before,
        distances=perceptual(config.measures, splits.spec),
        forgetting=forgetting,
    )
