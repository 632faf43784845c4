"""The models of all shards as one (Bourtoule et al., IEEE S&P 2021, section IV, aggregation)."""

import jax
import jax.numpy as jnp

from overunlearn_jax.models import Model
from overunlearn_jax.types import Array, Images, Key, PyTree, Variables
from overunlearn_jax.unlearn.sisa.service import Sisa

AGGREGATIONS = ("mean", "vote")


def check_aggregation(aggregation: str) -> None:
    """Raises ValueError for a name that is none of AGGREGATIONS: ask before the shards are trained, not after."""
    if aggregation not in AGGREGATIONS:
        raise ValueError(f"aggregation is {aggregation!r}; expected one of {', '.join(AGGREGATIONS)}")


def sisa_variables(sisa: Sisa) -> Variables:
    """The weights of every shard's model, stacked: each leaf has a leading axis of length `shards`."""
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *(shard[-1] for shard in sisa.checkpoints))


def sisa_model(model: Model, shards: int, aggregation: str = "mean") -> Model:
    """One model over the variables of `sisa_variables`; its softmax is what the models of all shards answer together.

    "mean" averages their probabilities. "vote" gives each class its share of the votes, one vote a shard, cast for its
    most likely class; the class with most votes is the paper's majority vote, the lower label in a tie. The share is
    what a service can tell that keeps confidences to itself. It takes shards + 1 values and is constant almost
    everywhere: an attack by finite differences sees no slope, one that reads labels loses nothing, and gradients are 0.

    The logits are logarithms of probabilities. A class without votes gets that of the smallest normal float32: finite,
    and a probability below 1e-37. The models are asked one after the other in one trace; mapping over their kernels
    is several times slower on a CPU.

    The result only predicts: `apply` with a key raises ValueError. `init` draws each shard's weights on its own.

    Raises:
      ValueError: less than one shard or another aggregation.
    """
    if shards < 1:
        raise ValueError(f"shards is {shards}; expected at least 1")
    check_aggregation(aggregation)

    def init_fn(key: Key) -> Variables:
        each = [model.init(shard_key) for shard_key in jax.random.split(key, shards)]
        return jax.tree.map(lambda *leaves: jnp.stack(leaves), *each)

    def apply_fn(variables: Variables, images: Images, key: Key | None) -> tuple[Array, PyTree]:
        if key is not None:
            raise ValueError("SISA's models are trained apart, by fit_sisa and forget; as one they only predict")
        if lengths := {leaf.shape[0] for leaf in jax.tree.leaves(variables)} - {shards}:
            raise ValueError(f"variables are stacked {lengths} times; expected {shards}, as sisa_variables stacks them")
        each = [jax.tree.map(lambda leaf, shard=shard: leaf[shard], variables) for shard in range(shards)]
        logits = jnp.stack([model.apply(one, images, None)[0] for one in each])  # shape=(shards, n, k)
        if aggregation == "mean":
            return jax.nn.logsumexp(jax.nn.log_softmax(logits), axis=0) - jnp.log(shards), variables.state
        share = jax.nn.one_hot(logits.argmax(-1), logits.shape[-1]).mean(0)
        return jnp.log(jnp.maximum(share, jnp.finfo(share.dtype).tiny)), variables.state

    return Model(init_fn, apply_fn)
