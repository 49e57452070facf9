"""Step sizes of Barzilai and Borwein from two gradients."""

from typing import Any

import torch

from manopt_torch._typing import Scalar
from manopt_torch.manifolds.base import Manifold
from manopt_torch.manifolds.points import map_leaves

STRATEGIES = ("direct", "inverse", "alternating")


def barzilai_borwein(
    lane: Any,
    M: Manifold,
    x: Any,
    direction: Any,
    step: Scalar,
    gradient: Any,
    y: Any,
    new_gradient: Any,
    *,
    inverse: bool,
) -> tuple[Scalar, Scalar]:
    r"""Return a step size for `y` from the step that led there from `x`, and the curvature on the way.

    With $s$ the step and $v$ the difference of the gradients, both at the new point, it is $\langle s, s\rangle /
    \langle s, v\rangle$, or $\langle s, v\rangle / \langle v, v\rangle$ if `inverse`. It makes sense where the
    curvature $\langle s, v\rangle$ is positive; that is NaN where a gradient is not finite.

    Args:
        lane: the lane of the run.
        M: the manifold.
        x: the point before the step.
        direction: the direction of the step.
        step: the step size, negative against the direction.
        gradient: the gradient at `x`.
        y: the point after the step.
        new_gradient: the gradient at `y`.
        inverse: which of the two.

    References:
        [BarzilaiBorwein:1988]; [IannazzoPorcelli:2018].
    """
    carried = M.transport(x, y, gradient)
    along = carried if direction is gradient else M.transport(x, y, direction)
    change = map_leaves(torch.sub, new_gradient, carried)
    curvature = step * lane.scalar(M.inner(y, along, change))
    if inverse:
        ratio = lane.div(curvature, lane.scalar(M.inner(y, change, change)))
    else:
        ratio = lane.div(step * step * lane.scalar(M.inner(y, along, along)), curvature)
    return ratio, curvature
