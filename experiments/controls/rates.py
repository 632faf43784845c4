"""The rate at which an honest request costs its class what is asked for: the same for every victim and reading."""

from collections.abc import Callable

import numpy as np

GRID = np.geomspace(1e-7, 1e-1, 61)  # ten rates a decade
HALVINGS = 12


class CostError(ValueError):
    """No rate costs what is asked for."""


def rate_at_cost(cost_at: Callable[[float], float], cost: float) -> float:
    """The smallest rate at which an honest request costs `cost`: found on a grid, then halved on a log scale.

    Args:
      cost_at: fraction of the class's accuracy that is lost at a rate; measured on other images than it is judged on.
      cost: the same, above 0.

    Raises:
      CostError: none of the rates between 1e-7 and 0.1 costs as much.
    """
    if not 0 < cost < 1:
        raise ValueError(f"cost is {cost}; expected a fraction of accuracy, above 0 and below 1")
    costs: list[float] = []
    for rate in GRID:
        costs.append(cost_at(float(rate)))
        if costs[-1] >= cost:
            break
    else:
        most = int(np.argmax(costs))
        raise CostError(
            f"no rate up to {GRID[-1]:g} costs {cost:.1%}; the most is {costs[most]:.1%}, at {GRID[most]:.2g}"
        )
    costly = len(costs) - 1
    high = float(GRID[costly])
    low = float(GRID[costly - 1]) if costly else high / 10
    for _ in range(HALVINGS):
        middle = float(np.sqrt(low * high))
        low, high = (low, middle) if cost_at(middle) >= cost else (middle, high)
    return high
