r"""Truncated conjugate gradients: minimise a quadratic model in a ball, each problem of a batch to its own end.

$$m(\eta) = \langle g, \eta\rangle + \tfrac12\langle\eta, H\eta\rangle \quad\text{subject to}\quad
\lVert\eta\rVert \le \Delta$$

by the method of Steihaug and Toint: conjugate gradients from zero until the residual is small, the boundary is reached,
or a direction of no positive curvature leads there. The norm is that of the inverse preconditioner. A product with $H$
that is not finite counts as no curvature.

References: [Steihaug:1983]; [Toint:1981]; [AbsilBakerGallivan:2007]; [ConnGouldToint:2000], section 7.5.
"""

import math
from typing import Any, NamedTuple

from manopt_torch._typing import Mask, Scalar, Tangent
from manopt_torch.functional.cg_iteration import (
    ALL_ITERATIONS,
    EXCEEDED,
    NEGATIVE_CURVATURE,
    RESIDUAL,
    CGState,
    Past,
    QuadraticModel,
    advance,
    multiply,
    start_cg,
)


class CGRule(NamedTuple):
    """When the iteration ends, see `TrustRegionsOptions`."""

    theta: float
    kappa: float
    most: int  # iterations


def residual_target(lane: Any, start: CGState, theta: float, kappa: float) -> Scalar:
    r"""Return the square of $\lVert r_0\rVert \min(\lVert r_0\rVert^\theta, \kappa)$, the residual to reach."""
    # kappa <= 1, so what exceeds one does not count; larger numbers could overflow
    power = start.rr if theta == 1 else lane.min(start.rr, 1.0) ** theta
    return start.rr * lane.min(power, kappa * kappa)


def truncated_cg(
    lane: Any,
    model: QuadraticModel,
    radius: Scalar | None,
    active: Mask,
    rule: CGRule,
    *,
    eta: Tangent | None = None,
    path: list[Past] | None = None,
    remember: Scalar = 0.0,
) -> CGState:
    """Iterate until every problem has a reason to stop; one product with the Hessian and one host read a round.

    Args:
        lane: the lane of the run.
        model: the quadratic model.
        radius: of the trust region; None is none.
        active: the problems that iterate.
        rule: when the iteration ends.
        eta: where to start; None is zero.
        path: a list that takes what `rewind` needs (lone problems only).
        remember: iterations that start within this radius are put into the path.
    """
    now = start_cg(lane, model, active, eta)
    target = residual_target(lane, now, rule.theta, rule.kappa)
    for rounds in range(rule.most):
        # in a batch somebody is active, and a round for nobody would change nothing: the first is not asked for
        if (rounds or lane.lone) and not lane.any(now.run):
            return now
        past = multiply(lane, model, now, rounds == 0)
        if path is not None and now.ee < remember * remember:
            path.append(past)
        now = advance(lane, model, radius, target, past)
    if lane.lone and not now.run:
        return now
    return now._replace(reason=lane.where(now.run, ALL_ITERATIONS, now.reason))


def rewind(lane: Any, model: QuadraticModel, radius: Scalar, path: list[Past]) -> CGState | None:
    r"""Return what a fresh iteration within a smaller radius would, without a product.

    Iterates grow in norm, so the iteration is the same up to the step that crosses the new boundary.

    Args:
        lane: the lane of the run, of a lone problem.
        model: the quadratic model, that of the path.
        radius: less than the length of the path's last iterate.
        path: what `truncated_cg` has noted.

    Returns:
        The state at the boundary; None if the path does not get there.
    """
    for past in path:
        now, shs = past.state, past.shs
        alpha = lane.div(now.zr, shs)
        if not (0 < shs < math.inf and now.ee + alpha * (2.0 * now.ed + alpha * now.ss) < radius * radius):
            return advance(lane, model, radius, 0.0, past)
    return None


def cauchy_point(lane: Any, model: QuadraticModel, radius: Scalar, state: CGState) -> CGState:
    """Return the minimiser of the model along its gradient where that is better than `state`; one more product."""
    g = model.gradient
    hg = model.hessian(g)
    squared, curvature = lane.scalar(model.inner(g, g)), lane.scalar(model.inner(g, hg))
    edge = lane.div(radius, lane.sqrt(squared))
    free = lane.div(squared, curvature)
    inside = (curvature > 0) & (curvature < math.inf) & (free < edge)
    step = lane.where(inside, free, edge)
    fall = step * (squared - 0.5 * step * lane.where(lane.isfinite(curvature), curvature, 0.0))
    better = (fall > state.fall) & (squared > 0)
    reason = lane.where(inside, RESIDUAL, lane.where(curvature > 0, EXCEEDED, NEGATIVE_CURVATURE))
    return state._replace(
        eta=lane.pick(better, lane.scale(-step, g), state.eta),
        fall=lane.where(better, fall, state.fall),
        ee=lane.where(better, step * step * squared, state.ee),
        reason=lane.where(better, reason, state.reason),
    )
