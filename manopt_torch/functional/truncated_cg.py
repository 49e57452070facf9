r"""Truncated conjugate gradients: minimise a quadratic model in a ball, each problem of a batch to its own end.

$$m(\eta) = \langle g, \eta\rangle + \tfrac12\langle\eta, H\eta\rangle \quad\text{subject to}\quad
\lVert\eta\rVert \le \Delta$$

by the method of Steihaug and Toint: conjugate gradients from zero until the residual is small, the boundary is reached,
or a direction of no positive curvature leads there. The norm is that of the inverse preconditioner. A product with $H$
that is not finite counts as no curvature.

References: [Steihaug:1983]; [Toint:1981]; [AbsilBakerGallivan:2007]; [ConnGouldToint:2000], section 7.5.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch

from manopt_torch._typing import Mask, Scalar, Tangent
from manopt_torch.manifolds.base import Manifold
from manopt_torch.manifolds.points import map_leaves

# why an inner iteration was the last one; 0 while it runs
NEGATIVE_CURVATURE, EXCEEDED, RESIDUAL, MODEL_INCREASED, ALL_ITERATIONS = 1, 2, 3, 4, 5
INNER_REASONS = (
    "running",
    "negative curvature",
    "trust region exceeded",
    "residual reduced",
    "model increased",
    "all iterations used",
)


@dataclass(eq=False, slots=True)
class QuadraticModel:
    """The quadratic model at a point."""

    M: Manifold
    x: Any
    gradient: Tangent
    hessian: Callable[[Tangent], Tangent]
    precondition: Callable[[Tangent], Tangent] | None = None
    symmetric: bool = False  # known to be: then each iteration lowers the model by what theory says
    norm: Scalar = None  # of the gradient, where it is known
    zero: Tangent | None = None  # the vector of zeros, where there is one
    inner: Callable[[Tangent, Tangent], Any] = field(init=False)

    def __post_init__(self) -> None:
        """Ask for the inner product at the point, once for all iterations."""
        self.inner = self.M.inner_at(self.x)


class CGState(NamedTuple):
    """Where the iteration is: at `eta`, with the search direction `-s` there."""

    eta: Tangent
    fall: Scalar  # -m(eta)
    run: Mask
    reason: Scalar  # int code
    count: Scalar  # int, iterations made
    # for those that run
    residual: Tangent  # gradient of the model
    s: Tangent
    zr: Scalar  # <residual, preconditioned residual>
    rr: Scalar  # <residual, residual>
    ed: Scalar  # <eta, -s> in the norm of the inverse preconditioner, as the following two
    ss: Scalar  # squared norm of s
    ee: Scalar  # squared norm of eta, for all


class Past(NamedTuple):
    """An iteration whose product is known; enough to repeat it for a smaller radius."""

    state: CGState
    hs: Tangent  # the product of the Hessian with the search direction, the costly part
    shs: Scalar  # <s, hs>
    first: bool  # whether it is the first iteration of all


def start_cg(lane: Any, model: QuadraticModel, active: Mask, eta: Tangent | None = None) -> CGState:
    """Start at zero, or at `eta`, for which a preconditioner must be the identity.

    Args:
        lane: the lane of the run.
        model: the quadratic model.
        active: the problems that iterate; those with gradient zero are done at once.
        eta: a tangent vector inside the trust region.
    """
    g = model.gradient
    start = (map_leaves(torch.zeros_like, g) if model.zero is None else model.zero) if eta is None else eta
    residual = g if eta is None else map_leaves(torch.add, g, model.hessian(eta))
    known = None if eta is not None or model.norm is None else model.norm * model.norm
    z, zr, rr = _preconditioned(lane, model, residual, known)
    ee = ed = fall = lane.full(0.0)
    if eta is not None:
        ee, ed = lane.scalar(model.inner(eta, eta)), -lane.scalar(model.inner(eta, z))
        fall = _fall(lane, model, eta, residual)
    run = active & (zr > 0)
    return CGState(start, fall, run, lane.where(run, 0, RESIDUAL), lane.full(0), residual, z, zr, rr, ed, zr, ee)


def multiply(lane: Any, model: QuadraticModel, now: CGState, first: bool) -> Past:
    """Begin an iteration: one product with the Hessian.

    Args:
        lane: the lane of the run.
        model: the quadratic model.
        now: the state.
        first: whether it is the first iteration of all.
    """
    hs = model.hessian(now.s)
    return Past(now, hs, lane.scalar(model.inner(now.s, hs)), first)


def advance(lane: Any, model: QuadraticModel, radius: Scalar | None, target: Scalar, past: Past) -> CGState:
    """Carry out an iteration whose product is known. Problems that do not run keep all that they have, bit for bit.

    Args:
        lane: the lane of the run.
        model: the quadratic model.
        radius: of the trust region; None is none, and a direction without positive curvature ends the iteration.
        target: squared norm of the residual at which a problem is done.
        past: the iteration.
    """
    now, hs, shs, first = past
    alpha = lane.div(now.zr, shs)
    ee = now.ee + alpha * (2.0 * now.ed + alpha * now.ss)
    inside = (shs > 0) & (ee < (math.inf if radius is None else radius * radius))  # NaN is outside
    step, curvature = alpha, shs
    if not (lane.lone and inside):
        edge = _without_radius(lane, alpha, first) if radius is None else _to_boundary(lane, radius, now)
        step = lane.where(inside, alpha, edge)
        curvature = lane.where(lane.isfinite(shs), shs, 0.0)
        ee = lane.where(inside, ee, now.ee if radius is None else radius * radius)
    eta = lane.axpy(now.eta, -step, now.s)
    fall = now.fall + step * (now.zr - 0.5 * step * curvature)
    if lane.lone and not inside:
        return _ended(now, EXCEEDED if shs > 0 else NEGATIVE_CURVATURE, eta, fall, ee)
    residual = lane.axpy(now.residual, -step, hs)
    if not (first or model.symmetric):
        # the same again, but for rounding, where H is symmetric; else the model may increase
        fall = lane.where(inside, _fall(lane, model, eta, residual), fall)
    falls = fall > now.fall
    if lane.lone and not falls:
        return _ended(now, MODEL_INCREASED, now.eta, now.fall, now.ee)
    z, zr, rr = _preconditioned(lane, model, residual)
    beta, left = lane.div(zr, now.zr), rr > target
    s = lane.axpy(z, beta, now.s) if not lane.lone or left else now.s
    ed, ss = beta * (now.ed + alpha * now.ss), zr + beta * beta * now.ss
    reason = lane.where(left, 0, RESIDUAL)
    new = CGState(eta, fall, left, reason, now.count + 1, residual, s, zr, rr, ed, ss, ee)
    return new if lane.lone else _settled(lane, now, new, shs > 0, inside, falls)


def _ended(now: CGState, reason: int, eta: Tangent, fall: float, ee: float) -> CGState:
    """Return the state of a lone problem whose iteration is over, which needs no direction."""
    return CGState(eta, fall, False, reason, now.count + 1, *now[5:11], ee)


def _settled(lane: Any, now: CGState, new: CGState, curved: Mask, inside: Mask, falls: Mask) -> CGState:
    """Give the new state of a batch to those that run, and the reason to those that have come to their end."""
    run = now.run
    moves = run & (lane.not_(inside) | falls)
    on = moves & inside
    left = on & new.run
    why = lane.where(inside, MODEL_INCREASED, lane.where(curved, EXCEEDED, NEGATIVE_CURVATURE))
    return new._replace(
        eta=lane.pick(moves, new.eta, now.eta),
        fall=lane.where(moves, new.fall, now.fall),
        run=left,
        reason=lane.where(run, lane.where(on, new.reason, why), now.reason),
        count=now.count + run,
        s=lane.pick(left, new.s, now.s),  # a finished direction must not grow
        ee=lane.where(moves, new.ee, now.ee),
    )


def _preconditioned(
    lane: Any, model: QuadraticModel, residual: Tangent, squared: Scalar = None
) -> tuple[Tangent, Scalar, Scalar]:
    """Return the preconditioned residual, its product with the residual, and the squared norm of the residual."""
    rr = lane.scalar(model.inner(residual, residual)) if squared is None else squared
    if model.precondition is None:
        return residual, rr, rr
    z = model.precondition(residual)
    return z, lane.scalar(model.inner(residual, z)), rr


def _fall(lane: Any, model: QuadraticModel, eta: Tangent, residual: Tangent) -> Scalar:
    r"""Return $-m(\eta)$ from the residual: $m(\eta) = \frac12\langle\eta, g + r\rangle$."""
    return -0.5 * lane.scalar(model.inner(eta, map_leaves(torch.add, model.gradient, residual)))


def _without_radius(lane: Any, alpha: Scalar, first: bool) -> Scalar:
    """Return the step along `-s` where nothing bounds it: at first that of the opposite curvature, later none."""
    return lane.where(lane.isfinite(alpha) & (abs(alpha) > 0), abs(alpha), 1.0) if first else 0.0


def _to_boundary(lane: Any, radius: Scalar, now: CGState) -> Scalar:
    """Return the step along `-s` that reaches the boundary."""
    room = radius * radius - now.ee
    # the usual root, in the form without cancellation
    return lane.div(room, now.ed + lane.sqrt(now.ed * now.ed + now.ss * room))


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
        if not (shs > 0 and now.ee + alpha * (2.0 * now.ed + alpha * now.ss) < radius * radius):
            return advance(lane, model, radius, 0.0, past)
    return None


def cauchy_point(lane: Any, model: QuadraticModel, radius: Scalar, state: CGState) -> CGState:
    """Return the minimiser of the model along its gradient where that is better than `state`; one more product."""
    g = model.gradient
    hg = model.hessian(g)
    squared, curvature = lane.scalar(model.inner(g, g)), lane.scalar(model.inner(g, hg))
    edge = lane.div(radius, lane.sqrt(squared))
    free = lane.div(squared, curvature)
    inside = (curvature > 0) & (free < edge)
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
