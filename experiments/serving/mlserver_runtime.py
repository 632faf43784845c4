"""A model that forgets in Seldon's MLServer: a runtime in one file, where a platform serves, scales and routes.

MODEL/model-settings.json:
    {"name": "digits", "implementation": "experiments.serving.mlserver_runtime.UnlearningRuntime",
     "parameters": {"extra": {"dataset": "digits", "width": 16, "epochs": 20, "taus": [0.02], "seeds": [0]}}}
MODEL/settings.json:
    {"parallel_workers": 0}

`mlserver start MODEL` then answers POST /v2/models/digits/infer, and POST /forget of {"images": ..., "labels": ...}
(nested floats in [0, 1]; class numbers) makes the next version. With parallel workers each would have a model of its
own, and the endpoint would change none of them.

That is one process. A deployment on KServe has replicas that come and go, and no endpoint reaches all of them: there a
deletion is a job that writes a new version to the storage that the InferenceService names, and a rollout. Journal,
receipts and order of the deletions (`overunlearn_jax.server`) belong to that job, not to the replicas.
"""

import asyncio
from typing import Any

import jax
import numpy as np
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.handlers import custom_handler
from mlserver.types import InferenceRequest, InferenceResponse, MetadataTensor

from experiments.config import Config
from experiments.requests.settings import load_splits
from experiments.run.keys import seed_keys
from experiments.serving.service import forgetter_of
from experiments.victims.cache import train_or_find
from overunlearn_jax.models import predict_fn
from overunlearn_jax.server.core import answers
from overunlearn_jax.server.forgetter import check_weights
from overunlearn_jax.types import Request


class UnlearningRuntime(MLModel):  # type: ignore[misc, unused-ignore]  # Any, where it is not installed
    """The victim of a run, by settings of `overunlearn run` in `parameters.extra`."""

    async def load(self) -> bool:
        """Trains or finds the victim."""
        extra = dict(self.settings.parameters.extra or {})
        config = Config.of(**{name: tuple(each) if isinstance(each, list) else each for name, each in extra.items()})
        if config.defences.gates:
            raise ValueError(f"gates={config.defences.gates}: this runtime has none; serve with `overunlearn serve`")
        seed = config.run.seeds[0]
        splits, keys = load_splits(config, seed), seed_keys(seed)
        victim = train_or_find(config.victim, config.service, config.run, splits, seed, keys.train)
        self._spec, self._key = splits.spec, keys.unlearn
        self._forget, self._weights = forgetter_of(config, splits, victim), check_weights(victim.service)
        self._lock = asyncio.Lock()  # deletions are done one after the other
        self._become(1, self._weights.variables, frozenset())
        self.inputs = [MetadataTensor(name="images", datatype="FP32", shape=[-1, *splits.spec.image_shape])]
        self.outputs = [MetadataTensor(name="probabilities", datatype="FP32", shape=[-1, splits.spec.num_classes])]
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Probabilities, all of one version."""
        number, _, _, predict = self._current  # once: another version may answer from here on
        images = self._in_bounds(NumpyCodec.decode_input(payload.inputs[0]))
        probabilities = await asyncio.to_thread(answers, predict, images)
        output = NumpyCodec.encode_output("probabilities", probabilities)
        return InferenceResponse(model_name=self.name, model_version=str(number), id=payload.id, outputs=[output])

    @custom_handler(rest_path="/forget")  # type: ignore[untyped-decorator, unused-ignore]
    async def forget(self, images: list[Any], labels: list[int]) -> dict[str, Any]:
        """Makes the next version; predictions go on from the old one."""
        request = Request(self._in_bounds(np.asarray(images)), np.asarray(labels, np.int32))
        async with self._lock:
            number, variables, forgotten, _ = self._current
            key = jax.random.fold_in(self._key, number)
            left = await asyncio.to_thread(self._forget, variables, forgotten, request, key)
            self._become(number + 1, left.variables, forgotten | (left.ids or frozenset()))
        return {"model_version": str(number + 1), "received": len(labels)}

    def _become(self, number: int, variables: Any, forgotten: frozenset[int]) -> None:
        self._current = (number, variables, forgotten, predict_fn(self._weights.model, variables))

    def _in_bounds(self, unit: np.ndarray) -> np.ndarray:
        images = (np.asarray(unit, np.float64) + self._spec.bounds.lower).astype(np.float32)
        if images.shape[1:] != self._spec.image_shape or not (np.abs(images) <= 0.5 + 1e-5).all():  # false for NaN, too
            raise ValueError(f"images have shape {images.shape}; expected (n, h, w, c), in [0, 1]")
        return np.clip(images, *self._spec.bounds)
