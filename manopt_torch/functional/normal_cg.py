r"""Conjugate gradients for normal equations, matrix-free, each problem of a batch for itself."""

from collections.abc import Callable
from typing import Any, NamedTuple

from manopt_torch._typing import Mask, Scalar


class Solved(NamedTuple):
    """Solution, product of the operator with it, squared length of what is left, rounds taken by each problem."""

    h: Any
    product: Any
    residual: Scalar
    rounds: Scalar


def conjugate_gradients(
    lane: Any,
    apply: Callable[[Any], Any],
    inner: Callable[[Any, Any], Scalar],
    g: Any,
    active: Mask,
    *,
    tolerance: float,
    max_rounds: int,
) -> Solved:
    r"""Solve $A h = -g$, A symmetric and positive definite, until $\lVert A h + g\rVert \le \tau \lVert g\rVert$.

    Vectors are tangent vectors, tensors or tuples. A problem whose operator turns out not to be positive definite, or
    meets NaN, keeps the last solution before that; if `g` is not finite the solution is not either.

    Args:
        lane: the lane of the run.
        apply: $h \mapsto A h$.
        inner: the inner product, in the lane's scalars.
        g: minus the right-hand side.
        active: problems that are to be solved; for others the solution is zero.
        tolerance: $\tau$.
        max_rounds: bound on the rounds, one product each.

    References:
        [HestenesStiefel:1952]; [GolubVanLoan:2013], section 11.3.
    """
    h = product = lane.scale(0.0, g)
    left = g  # A h + g
    direction = lane.scale(-1.0, g)
    length = inner(g, g)
    goal = tolerance * tolerance * length
    going, rounds, n = active & (length > 0.0), lane.full(0), 0
    while n < max_rounds and lane.any(going):
        n += 1
        image = apply(direction)
        curvature = inner(direction, image)
        going = going & (curvature > 0.0)
        step = lane.where(going, lane.div(length, curvature), 0.0 * length)
        trial, new_left = lane.axpy(h, step, direction), lane.axpy(left, step, image)
        new_length = inner(new_left, new_left)
        going = going & lane.isfinite(new_length)
        h, left = lane.pick(going, trial, h), lane.pick(going, new_left, left)
        product = lane.pick(going, lane.axpy(product, step, image), product)
        ratio = lane.where(going, lane.div(new_length, length), 0.0 * length)
        direction = lane.axpy(lane.scale(-1.0, left), ratio, direction)
        length, rounds = lane.where(going, new_length, length), lane.where(going, rounds + 1, rounds)
        going = going & (length > goal)
    return Solved(h, product, length, rounds)
