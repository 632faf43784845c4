"""A service whose every deletion is bounded by how far honest requests of its size move the model.

The method, its rates and its readings are the service's own: only weights are needed, before and after. What is longer
than nearly all honest steps is shortened, and nobody is refused.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from overunlearn_jax.defences.bounds import shortened
from overunlearn_jax.defences.honest_requests import Composition, composition
from overunlearn_jax.defences.honest_steps import (
    StepBound,
    bounds_by_variant,
    check_bound,
    honest_lengths,
    longest_honest,
)
from overunlearn_jax.models import predict_fn
from overunlearn_jax.services.around import AroundService
from overunlearn_jax.services.service import After, HasWeights, Service, Variant, after_each
from overunlearn_jax.types import Key, Request
from overunlearn_jax.unlearn.updates import step_length


class BoundedService(AroundService):
    """A `Service`, a `Sweep` and a `HasWeights` around another one.

    Args:
      service: with weights. Not one that starts anew, as retraining and SISA do: how far their weights move says
        nothing of what they forget.
      bound: how honest steps are found. They are measured once for each combination of numbers of samples by class,
        before the first deletion of that combination: `bound.requests` deletions of the service's own.

    Raises:
      ValueError: numbers out of range, or a service without weights.
      CalibrationError: an empty calibration set.
    """

    def __init__(self, service: Service, bound: StepBound):
        check_bound(bound)
        if not isinstance(service, HasWeights):
            raise ValueError(
                "a bound on the step needs a service that offers its weights, and this one does not: use gates on "
                "samples or a monitor, which need its answers alone"
            )
        super().__init__(service)
        self._bound = bound
        self._longest: dict[Composition, dict[Variant, float]] = {}
        self.model, self.variables = service.model, service.variables

    def longest(self, requests: Sequence[Request]) -> Mapping[Variant, float]:
        """The bound on the step of requests like these, in the units of the weights.

        Raises:
          CalibrationError: too few samples of a class are held, or an honest deletion diverges.
        """
        quantile = self._bound.quantile
        if quantile in (0, 1):  # the limit cases need nobody to compare with
            return dict.fromkeys(self.variants, longest_honest(None, quantile))
        like = composition(requests)
        if like not in self._longest:
            lengths = honest_lengths(self._service, self._bound.held, like, self._bound.requests, self._bound.key)
            self._longest[like] = bounds_by_variant(lengths, quantile)
        return self._longest[like]

    @contextmanager
    def after_each(self, requests: Sequence[Request], key: Key) -> Iterator[Mapping[Variant, After]]:
        """`Service.after` for every variant, each step bounded."""
        longest = self.longest(requests) if requests else {}
        with after_each(self._service, requests, key) as left:
            yield {variant: self._bounded(each, longest[variant]) for variant, each in left.items()}

    def _bounded(self, left: After, longest: float) -> After:
        if left.variables is None:  # it diverged, and says so
            return left
        variables = shortened(self.variables, left.variables, longest)
        if variables is left.variables:
            return left._replace(deletion=left.deletion._replace(step_kept=1.0))
        kept = longest / step_length(self.variables, left.variables)
        return After(left.deletion._replace(step_kept=kept), predict_fn(self.model, variables), variables)
