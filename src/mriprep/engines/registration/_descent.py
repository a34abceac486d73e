"""A small quasi-Newton minimiser for a handful of parameters, from many starts at once.

BFGS with a backtracking line search: Nocedal J, Wright SJ. Numerical
Optimization, 2006, algorithms 3.1 and 6.1. For twelve parameters a general
library's minimiser spends more time in its threads than in its sums. All starts
go forward in step, so that a round costs one call of what is minimised: on a
CPU the starts are shared between the threads, on a GPU they are one batch.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Doubles = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]

#: A step must bring this share of what the slope promises.
_ARMIJO = 1e-4
#: Halvings of a step before it is given up.
_HALVINGS = 8


def minimize(
    cost: Callable[[Doubles, Indices], tuple[Doubles, Doubles]],
    begin: Doubles,
    *,
    iterations: int = 40,
    longest: float = 10.0,
    tolerance: float = 1e-3,
) -> tuple[Doubles, Doubles]:
    """Find the local minimum near each of several starts.

    Parameters
    ----------
    cost : callable
        Parameters (K, D) and the numbers of the starts that they belong to
        (K,) to values (K,) and gradients (K, D).
    begin : (S, D) floats
        Where to begin.
    iterations : int
        At most so many steps of each.
    longest : float
        The longest step, in units of the parameters.
    tolerance : float
        Done when a step is shorter than this.

    Returns
    -------
    parameters : (S, D) floats
    values : (S,) floats
    """
    x = np.array(begin, dtype=np.float64)
    count, size = x.shape
    values, slopes = (np.array(a, dtype=np.float64) for a in cost(x, np.arange(count)))
    inverse = np.tile(np.eye(size), (count, 1, 1))
    fresh = np.ones(count, dtype=bool)  # the inverse Hessian knows nothing yet
    steps, shares, promises = np.zeros_like(x), np.zeros(count), np.zeros(count)
    halvings, done = np.zeros(count, dtype=int), np.zeros(count, dtype=int)

    def aim(who: Indices) -> Indices:
        """Choose a direction and a first length for some; those that have nowhere to go are left out."""
        if not len(who):
            return who
        steps[who] = -np.einsum("kij,kj->ki", inverse[who], slopes[who])
        promises[who] = (slopes[who] * steps[who]).sum(axis=1)
        lost = who[promises[who] >= 0]
        inverse[lost], fresh[lost], steps[lost] = np.eye(size), True, -slopes[lost]
        promises[lost] = (slopes[lost] * steps[lost]).sum(axis=1)
        lengths = np.sqrt((steps[who] ** 2).sum(axis=1))
        who, lengths = who[lengths > 0], lengths[lengths > 0]
        shares[who] = np.minimum(1.0, np.where(fresh[who], 1.0, longest) / lengths)
        halvings[who] = 0
        return who

    active = aim(np.arange(count)) if iterations > 0 else np.arange(0)
    while len(active):
        tried = x[active] + shares[active, None] * steps[active]
        new, new_slopes = cost(tried, active)
        good = new <= values[active] + _ARMIJO * shares[active] * promises[active]
        # Too far: the parabola through what is known has its lowest point here.
        short = active[~good]
        part = shares[short]
        bend = new[~good] - values[short] - part * promises[short]
        lowest = -promises[short] * part * part / (2 * bend)
        shares[short] = np.maximum(0.1 * part, np.minimum(0.5 * part, lowest))
        halvings[short] += 1
        stuck = halvings[short] >= _HALVINGS
        again = short[stuck & ~fresh[short]]
        inverse[again], fresh[again] = np.eye(size), True
        done[again] += 1
        going = short[~stuck]
        # A step that brought something: the inverse Hessian learns from it.
        on = active[good]
        moved, change = tried[good] - x[on], new_slopes[good] - slopes[on]
        x[on], values[on], slopes[on] = tried[good], new[good], new_slopes[good]
        _learn(inverse, fresh, on, moved, change)
        done[on] += 1
        further = np.sqrt((moved**2).sum(axis=1)) >= tolerance
        turn = np.sort(np.concatenate([on[further], again]))
        active = np.sort(np.concatenate([going, aim(turn[done[turn] < iterations])]))
    return x, values


def _learn(
    inverse: Doubles, fresh: npt.NDArray[np.bool_], who: Indices, moved: Doubles, change: Doubles
) -> None:
    """The BFGS update of some of the inverse Hessians, in place."""
    curvature = (moved * change).sum(axis=1)
    bent = curvature > 1e-10
    who, moved, change, curvature = who[bent], moved[bent], change[bent], curvature[bent]
    first = fresh[who]
    scale = curvature / (change**2).sum(axis=1)
    inverse[who[first]] = np.eye(inverse.shape[1]) * scale[first, None, None]
    product = np.einsum("kij,kj->ki", inverse[who], change)
    share = (1 + (change * product).sum(axis=1) / curvature) / curvature
    cross = product[:, :, None] * moved[:, None, :]
    inverse[who] += (
        share[:, None, None] * moved[:, :, None] * moved[:, None, :]
        - (cross + cross.transpose(0, 2, 1)) / curvature[:, None, None]
    )
    fresh[who] = False
