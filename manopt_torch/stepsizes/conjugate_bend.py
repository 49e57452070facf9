r"""How much a cost bends along the next of a row of conjugate directions, foretold from those before it.

With $H$ the Hessian of a quadratic cost, the bend along a direction is $b = \langle\delta, H\delta\rangle$. For
$\delta_+ = -g_+ + \beta\delta$ with $\langle\delta_+, H\delta\rangle = 0$, which the coefficient of Hestenes and
Stiefel sees to whatever the step was,

$$b_+ = \langle g_+, H g_+\rangle - \beta^2 b.$$

The quotient $\langle g, H g\rangle / \lVert g\rVert^2$ is near an entry on the diagonal of Lanczos' matrix, and changes
less from one iteration to the next than the curvature $b / \lVert\delta\rVert^2$. So there are two guesses, each with
errors of its own, and their mean is taken.

References:
    [GolubVanLoan:2013], section 11.3, for the relation of conjugate gradients to Lanczos' matrix.
"""

import math
from typing import Any

from manopt_torch._typing import Mask, Scalar

# guesses farther apart than by this factor: the relation has nearly cancelled, or the cost is far from a quadratic one
_APART = 10.0


def are_conjugate(o: Any) -> bool:
    """Tell whether the options are those of conjugate gradients in a run, which know `beta` and `square`."""
    return getattr(o, "directions_are_conjugate", False) and o.beta is not None


def nothing_seen(lane: Any) -> dict[str, Scalar]:
    """Return what is remembered before the first search."""
    return {"quotient": lane.full(math.nan), "bend": lane.full(0.0)}


def expected_bend(lane: Any, o: Any, memory: dict[str, Scalar], by_curvature: Scalar) -> Scalar:
    """Return the mean of what the last curvature and the relation promise; the former alone if they are far apart."""
    by_relation = memory["quotient"] * o.square - o.beta * o.beta * memory["bend"]
    believed = (by_relation * _APART > by_curvature) & (by_relation < _APART * by_curvature)
    return lane.where(believed, 0.5 * (by_curvature + by_relation), by_curvature)


def learn_bend(lane: Any, o: Any, memory: dict[str, Scalar], bend: Scalar, known: Mask) -> None:
    """Remember the bend met and the quotient that goes with it; where it makes no sense, that nothing is known."""
    former = memory["quotient"]
    seen = lane.div(bend + o.beta * o.beta * memory["bend"], o.square)
    seen = lane.where(former == former, 0.5 * (former + seen), seen)
    memory["quotient"], memory["bend"] = lane.where(known, seen, math.nan), lane.where(known, bend, 0.0)
