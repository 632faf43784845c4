"""The one call that makes a service of functions, `service`; and such a service that offers its weights, too."""

from collections.abc import Callable

from overunlearn_jax.models import Model
from overunlearn_jax.services.callables import CallableService, Forget, Predict, Reset, check_functions, described
from overunlearn_jax.services.pixels import PACKAGE_PIXELS, PixelFormat
from overunlearn_jax.typed_keys import host_copy
from overunlearn_jax.types import DatasetSpec, Variables
from overunlearn_jax.user_code import check_form, running


class CallableServiceWithWeights(CallableService):
    """A service of three functions that offers its weights, as a JAX model: it satisfies `HasWeights`.

    Args:
      model: of the weights: what `predict` asks, as pure functions of the package's images.
      variables: returns the weights as they are now; called once now, and once after each deletion. What it returns is
        copied.

    Others, and errors: `CallableService`; ValueError, too, where `variables` does not return Variables, or others
    after a deletion than before.
    """

    def __init__(
        self,
        spec: DatasetSpec,
        predict: Predict,
        forget: Forget,
        reset: Reset,
        *,
        model: Model,
        variables: Callable[[], Variables],
        pixels: PixelFormat = PACKAGE_PIXELS,
        name: str = "",
    ):
        super().__init__(spec, predict, forget, reset, pixels=pixels, name=name)
        check_functions(variables=variables)
        if not isinstance(model, Model):
            raise ValueError(f"model is {described(model)}; expected the overunlearn_jax.Model of the weights")
        self.model, self._read = model, variables
        self.variables = self._copied()

    def _weights(self) -> Variables:
        weights = self._copied()
        check_form(f"{self._name}variables", weights, self.variables, "the same arrays before and after a deletion")
        return weights

    def _copied(self) -> Variables:
        with running(f"{self._name}variables", "variables()"):
            read = self._read()
        if not isinstance(read, Variables):
            raise ValueError(
                f"{self._name}variables returned {described(read)}; expected overunlearn_jax.Variables(params, state)"
            )
        return host_copy(read)


def service(
    *,
    spec: DatasetSpec,
    predict: Predict,
    forget: Forget,
    reset: Reset,
    pixels: PixelFormat = PACKAGE_PIXELS,
    name: str = "",
    model: Model | None = None,
    variables: Callable[[], Variables] | None = None,
) -> CallableService:
    """A service of three plain functions, whatever is behind them; see `CallableService` for each.

    With `model` and `variables` it offers its weights, and relearning and gradients can be measured of it; see
    `CallableServiceWithWeights`.

    Examples:
      >>> ou.service(spec=data.spec, predict=predict, forget=forget, reset=reset)            # doctest: +SKIP

    Raises:
      ValueError: a function is missing or cannot be called, `pixels` does not fit the images, or one of `model` and
        `variables` is given alone.
    """
    if model is None and variables is None:
        return CallableService(spec, predict, forget, reset, pixels=pixels, name=name)
    if model is None or variables is None:
        missing = "model" if model is None else "variables"
        raise ValueError(
            f"{missing} is missing: weights are offered as a model and a function that returns its Variables"
        )
    return CallableServiceWithWeights(
        spec, predict, forget, reset, model=model, variables=variables, pixels=pixels, name=name
    )
