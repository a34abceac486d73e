"""A small quasi-Newton minimiser for a handful of parameters.

BFGS with a backtracking line search: Nocedal J, Wright SJ. Numerical
Optimization, 2006, algorithms 3.1 and 6.1. For twelve parameters a general
library's minimiser spends more time in its threads than in its sums.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Doubles = npt.NDArray[np.float64]

#: A step must bring this share of what the slope promises.
_ARMIJO = 1e-4
#: Halvings of a step before it is given up.
_HALVINGS = 8


def minimize(
    cost: Callable[[Doubles], tuple[float, Doubles]],
    begin: Doubles,
    *,
    iterations: int = 40,
    longest: float = 10.0,
    tolerance: float = 1e-3,
) -> tuple[Doubles, float]:
    """Find a local minimum.

    Parameters
    ----------
    cost : callable
        Parameters (D,) to value and gradient (D,).
    begin : (D,) floats
        Where to begin.
    iterations : int
        At most so many steps.
    longest : float
        The longest step, in units of the parameters.
    tolerance : float
        Done when a step is shorter than this.

    Returns
    -------
    parameters : (D,) floats
    value : float
    """
    x = begin.astype(np.float64)
    value, slope = cost(x)
    inverse = np.eye(len(x))
    fresh = True
    for _ in range(iterations):
        step = -inverse @ slope
        promise = float(slope @ step)
        if promise >= 0:
            inverse, step, fresh = np.eye(len(x)), -slope, True
            promise = float(slope @ step)
        length = float(np.sqrt(step @ step))
        if length == 0:
            break
        limit = min(1.0, longest / length) if not fresh else min(1.0, 1.0 / length)
        size = limit
        for _ in range(_HALVINGS):
            new, new_slope = cost(x + size * step)
            if new <= value + _ARMIJO * size * promise:
                break
            # The parabola through what is known has its lowest point here.
            bend = new - value - size * promise
            size = max(0.1 * size, min(0.5 * size, -promise * size * size / (2 * bend)))
        else:
            if fresh:
                break
            inverse, fresh = np.eye(len(x)), True
            continue
        moved, change = size * step, new_slope - slope
        x, value, slope = x + moved, new, new_slope
        curvature = float(moved @ change)
        if curvature > 1e-10:
            if fresh:
                inverse = np.eye(len(x)) * curvature / float(change @ change)
            product = inverse @ change
            inverse = (
                inverse
                + (1 + float(change @ product) / curvature) / curvature * np.outer(moved, moved)
                - (np.outer(product, moved) + np.outer(moved, product)) / curvature
            )
            fresh = False
        if size * length < tolerance:
            break
    return x, value
