"""Second-order steps where rounding sets in: which gradient a model starts from, and whose steps gain nothing.

Near a minimum a model promises decreases below the rounding of the cost. Ratio tests then judge noise, so something
else has to say when a run is over. `watch_rounding` is called at the start; the options declare

    least_fall: Any = state()  # decrease promised by a step below the rounding of the cost
    least_norm: Any = state()  # of the gradients between which such steps went
    cost_size: Any = state()  # a cost nearer to zero is not known better
    precision: Any = state(per_problem=False, saved=False)
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch

from manopt_torch._typing import Mask, Scalar, Tangent
from manopt_torch.manifolds.points import first_leaf
from manopt_torch.plans.gradient_norm import gradient_norm, norm_at

# in units of the square root of the rounding of points: long before a residual as short as their rounding is wanted
_SHORT = 100.0
# a rise by so many roundings of the cost is not of their making alone
_RISE = 10.0
# as many roundings of the cost as regularise the quality of a model by default
_ROUNDINGS = 1e3


class Precision(NamedTuple):
    """What rounding hides, as far as it is the same for all problems."""

    gradient: float  # length below which it is short, relative to the size of the cost
    cost: float  # relative rounding
    ends: bool  # whether a run ends there; one that is bounded by its iterations alone is to make them


def watch_rounding(o: Any) -> None:
    """Set what the functions below ask for, at the start of a run."""
    points, cost = torch.finfo(first_leaf(o.x).dtype).eps, torch.finfo(o.cost.dtype).eps
    ends = any(criterion.indicates_convergence for criterion in o.stop.members)
    o.precision = Precision(_SHORT * points**0.5, cost, ends)
    o.cost_size = o.lane.min(abs(o.lane.scalar(o.cost)), 1.0)
    o.least_fall, o.least_norm = o.lane.full(math.inf), o.lane.full(math.inf)


def resolved_size(p: Any, o: Any) -> Scalar:
    """Return the size of the cost at the iterate to which its rounding is relative.

    Near zero a cost may be the difference of larger terms. So it is not known better than at the start, nor than what
    the rounding of the point, taken for one of unit size, makes of it; but always as well as a cost of size one.
    """
    lane = o.lane
    size = lane.max(abs(lane.scalar(o.cost)), lane.max(o.cost_size, lane.min(gradient_norm(p, o), 1.0)))
    return lane.where(size > 0, size, 1.0)


def tangent_gradient(p: Any, o: Any, size: Scalar) -> tuple[Tangent, Scalar]:
    """Return the gradient at the iterate for a model, and its length.

    A short one is projected once more: what rounding has left of it off the tangent space no product with the Hessian
    would ever reduce, and inner iterations that ask for a shorter residual would go astray.

    Args:
        p: the problem.
        o: the options.
        size: what `resolved_size` is at the iterate.
    """
    lane, norm = o.lane, gradient_norm(p, o)
    short = o.active & (norm <= o.precision.gradient * size)
    if not lane.any(short):
        return o.gradient, norm
    g = lane.pick(short, p.M.project_tangent(o.x, o.gradient), o.gradient)
    return g, lane.where(short, lane.scalar(p.M.norm(o.x, g)), norm)


def below_rounding(o: Any, moving: Mask, fall: Scalar, size: Scalar) -> Mask:
    """Tell of the problems that move to whom the model promises so little that rounding may have accepted the step.

    Args:
        o: the options.
        moving: the active problems whose step was accepted.
        fall: the decrease that the model promises.
        size: what `resolved_size` is at the iterate.
    """
    if not o.precision.ends:
        return o.lane.full(False)
    return moving & (fall <= _ROUNDINGS * o.precision.cost * size)


def end_at_rounding(
    p: Any,
    o: Any,
    blind: Mask,
    fall: Scalar,
    x: Any,
    cost: torch.Tensor,
    gradient: Tangent,
    unsolved: Callable[[Scalar], Mask] | None,
) -> dict[str, Scalar]:
    """Mark problems as stagnated that would take a step for which nothing speaks; return what such steps have come to.

    A step below rounding has to lower the cost visibly, or to shorten the gradient, or to start from a smaller promise
    than all such steps before. Where the cost rises visibly, the gradient has to be shorter than all that they met:
    else steps up and down, as at kinks, could go on for ever.

    Args:
        p: the problem.
        o: the options.
        blind: whose step is below rounding.
        fall: the decrease that the model promises.
        x: where the steps lead.
        cost: the cost there.
        gradient: the gradient there.
        unsolved: tells, from the length of the gradient, whose model was not minimised, so that the step need not
            shorten it; None is nobody.
    """
    lane, former, cost, norm = o.lane, o.lane.scalar(o.cost), o.lane.scalar(cost), gradient_norm(p, o)
    if unsolved is not None:
        blind = lane.without(blind, unsolved(norm))
    least, reached = lane.min(norm, o.least_norm), norm_at(p.M, o, x, gradient)
    unit = o.precision.cost * abs(former)
    rises = cost > former + _RISE * unit
    gains = (reached < lane.where(rises, least, norm)) | (fall < o.least_fall) | (cost < former - unit)
    o.stagnated = o.stagnated | lane.without(blind, gains)
    return {
        "least_fall": lane.where(blind, lane.min(fall, o.least_fall), o.least_fall),
        "least_norm": lane.where(blind, lane.min(reached, least), o.least_norm),
    }
