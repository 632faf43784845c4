"""What services around another one share: its images, its answers, its ways to forget."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager

from overunlearn_jax.services.service import After, Service, Variant, after_only, variants_of
from overunlearn_jax.types import DatasetSpec, Key, PredictFn, Request


class AroundService:
    """A `Service` and a `Sweep` that answers as the one behind; how it forgets is `after_each` of who inherits it."""

    def __init__(self, service: Service):
        self._service = service

    @property
    def spec(self) -> DatasetSpec:
        """Of the service behind."""
        return self._service.spec

    @property
    def predict(self) -> PredictFn:
        """Of the service behind."""
        return self._service.predict

    @property
    def variants(self) -> tuple[Variant, ...]:
        """Of the service behind."""
        return variants_of(self._service)

    @contextmanager
    def after(self, requests: Sequence[Request], key: Key) -> Iterator[After]:
        """`after_each` of the only way to forget; where there are several, a ValueError."""
        with after_only(self, requests, key) as left:
            yield left

    def after_each(self, requests: Sequence[Request], key: Key) -> AbstractContextManager[Mapping[Variant, After]]:
        """`Service.after` for every variant."""
        raise NotImplementedError
