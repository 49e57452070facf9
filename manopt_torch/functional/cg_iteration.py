"""One iteration of truncated conjugate gradients, see `truncated_cg`: the model, the state, and how it advances."""

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
    s = z if lane.lone else lane.finite_or_zero(z)  # see `_advanced_together`
    return CGState(start, fall, run, lane.where(run, 0, RESIDUAL), lane.full(0), residual, s, zr, rr, ed, zr, ee)


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
    """Carry out an iteration whose product is known. Problems that do not run stay where they are, bit for bit.

    Args:
        lane: the lane of the run.
        model: the quadratic model.
        radius: of the trust region; None is none, and a direction without positive curvature ends the iteration.
        target: squared norm of the residual at which a problem is done.
        past: the iteration.
    """
    now, _, shs, first = past
    bound = math.inf if radius is None else radius * radius
    alpha = lane.div(now.zr, shs)
    ee = now.ee + alpha * (2.0 * now.ed + alpha * now.ss)
    curved = (shs > 0) & (shs < math.inf)
    inside = curved & (ee < bound)  # NaN is outside
    step, curvature = alpha, shs
    if not (lane.lone and inside):
        edge = _without_radius(lane, alpha, first) if radius is None else _to_boundary(lane, bound, now)
        step = lane.where(inside, alpha, edge)
        curvature = lane.finite_or_zero(shs)
        ee = now.ee + step * (2.0 * now.ed + step * now.ss) if radius is None else lane.where(inside, ee, bound)
    fall = now.fall + step * (now.zr - 0.5 * step * curvature)
    if lane.lone:
        return _advanced_alone(lane, model, target, past, inside, step, fall, ee)
    return _advanced_together(lane, model, target, past, (curved, inside), (alpha, step), fall, ee)


def _advanced_alone(
    lane: Any, model: QuadraticModel, target: float, past: Past, inside: bool, step: float, fall: float, ee: float
) -> CGState:
    """Return the state of a lone problem after a step; one whose iteration is over needs no direction."""
    now, hs, shs, first = past
    eta = lane.axpy(now.eta, -step, now.s)
    if not inside:
        return _ended(now, EXCEEDED if 0 < shs < math.inf else NEGATIVE_CURVATURE, eta, fall, ee)
    residual = lane.axpy(now.residual, -step, hs)
    if not (first or model.symmetric):
        # the same again, but for rounding, where H is symmetric; else the model may increase
        fall = _fall(lane, model, eta, residual)
    if not fall > now.fall:
        return _ended(now, MODEL_INCREASED, now.eta, now.fall, now.ee)
    z, zr, rr = _preconditioned(lane, model, residual)
    beta, left = lane.div(zr, now.zr), rr > target
    s = lane.axpy(z, beta, now.s) if left else now.s
    ed, ss = beta * (now.ed + step * now.ss), zr + beta * beta * now.ss
    return CGState(eta, fall, left, 0 if left else RESIDUAL, now.count + 1, residual, s, zr, rr, ed, ss, ee)


def _ended(now: CGState, reason: int, eta: Tangent, fall: float, ee: float) -> CGState:
    return CGState(eta, fall, False, reason, now.count + 1, *now[5:11], ee)


def _advanced_together(
    lane: Any,
    model: QuadraticModel,
    target: Scalar,
    past: Past,
    where: tuple[Mask, Mask],  # the curvature is positive, and the minimiser along the direction is inside
    steps: tuple[Scalar, Scalar],  # to that minimiser, and the one to take
    fall: Scalar,
    ee: Scalar,
) -> CGState:
    """Return the state of a batch after a step of those that run and whose model falls."""
    now, hs, _, first = past
    (curved, inside), (alpha, step) = where, steps
    if not (first or model.symmetric):  # see `_advanced_alone`
        ahead, residual = lane.axpy(now.eta, -step, now.s), lane.axpy(now.residual, -step, hs)
        fall = lane.where(inside, _fall(lane, model, ahead, residual), fall)
    falls = fall > now.fall
    moves = now.run & (lane.not_(inside) | falls)
    # a step of zero keeps a vector to the bit, in less time than a choice between two vectors
    back = lane.where(moves, -step, 0.0)
    eta, residual = lane.axpy(now.eta, back, now.s), lane.axpy(now.residual, back, hs)
    z, zr, rr = _preconditioned(lane, model, residual)
    beta, on = lane.div(zr, now.zr), moves & inside
    left = on & (rr > target)
    why = lane.where(curved, EXCEEDED, NEGATIVE_CURVATURE)
    why = lane.where(inside, lane.where(falls, RESIDUAL, MODEL_INCREASED), why)
    return CGState(
        eta=eta,
        fall=lane.where(moves, fall, now.fall),
        run=left,
        reason=lane.where(lane.without(now.run, left), why, now.reason),
        count=now.count + now.run,
        residual=residual,
        # zero times what is not finite would be NaN
        s=lane.finite_or_zero(lane.axpy(z, beta, now.s)),
        zr=zr,
        rr=rr,
        ed=beta * (now.ed + alpha * now.ss),
        ss=zr + beta * beta * now.ss,
        ee=lane.where(moves, ee, now.ee),
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


def _to_boundary(lane: Any, bound: Scalar, now: CGState) -> Scalar:
    """Return the step along `-s` that reaches the boundary, where the squared length is `bound`."""
    room = bound - now.ee
    # the usual root, in the form without cancellation
    return lane.div(room, now.ed + lane.sqrt(now.ed * now.ed + now.ss * room))
