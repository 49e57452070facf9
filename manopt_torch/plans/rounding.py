"""Second-order steps where rounding sets in: which gradient a model starts from, and whose steps gain nothing.

Near a minimum a model promises decreases below the rounding of the cost. Ratio tests then judge noise, so something
else has to say when a run is over. `watch_rounding` is called at the start; the options declare

    least_fall: Any = state()  # decrease promised by a step below the rounding of the cost
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
    o.least_fall = o.lane.full(math.inf)


def tangent_gradient(p: Any, o: Any) -> tuple[Tangent, Scalar]:
    """Return the gradient at the iterate for a model, and its length.

    A short one is projected once more: what rounding has left of it off the tangent space no product with the Hessian
    would ever reduce, and inner iterations that ask for a shorter residual would go astray.
    """
    lane, norm = o.lane, gradient_norm(p, o)
    short = o.active & (norm <= o.precision.gradient * lane.max(abs(lane.scalar(o.cost)), o.cost_size))
    if not lane.any(short):
        return o.gradient, norm
    g = lane.pick(short, p.M.project_tangent(o.x, o.gradient), o.gradient)
    return g, lane.where(short, lane.scalar(p.M.norm(o.x, g)), norm)


def end_at_rounding(
    p: Any,
    o: Any,
    accepted: Mask,
    fall: Scalar,
    x: Any,
    cost: torch.Tensor,
    gradient: Tangent,
    unsolved: Callable[[Scalar], Mask] | None,
) -> dict[str, Scalar]:
    """Mark problems as stagnated that would take a step for which nothing speaks; return the new `least_fall`.

    Where the model promises so little that rounding may have accepted the step, it has to lower the cost visibly, or to
    shorten the gradient, or to start from a smaller promise than all such steps before.

    Args:
        p: the problem.
        o: the options.
        accepted: whose step was accepted.
        fall: the decrease that the model promises.
        x: where the steps lead.
        cost: the cost there.
        gradient: the gradient there.
        unsolved: tells, from the length of the gradient, whose model was not minimised, so that the step need not
            shorten it; None is nobody.
    """
    if not o.precision.ends:
        return {}
    lane, eps, former = o.lane, o.precision.cost, o.lane.scalar(o.cost)
    blind = o.active & accepted & (fall <= _ROUNDINGS * eps * lane.max(abs(former), o.cost_size))
    if not lane.any(blind):
        return {}
    before = gradient_norm(p, o)
    if unsolved is not None:
        blind = lane.without(blind, unsolved(before))
    gains = (norm_at(p.M, o, x, gradient) < before) | (fall < o.least_fall)
    gains = gains | (lane.scalar(cost) < former - eps * abs(former))
    o.stagnated = o.stagnated | lane.without(blind, gains)
    return {"least_fall": lane.where(blind, lane.min(fall, o.least_fall), o.least_fall)}
