"""The gradient at the iterate with its graph: evaluated once a point, kept between steps, never saved or gathered.

The options of a second-order solver declare `linearization: Any = state(per_problem=False)` and the option `hessian`:
None takes Hessian-vector products from the problem, an approximation makes them itself.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from manopt_torch.manifolds.points import first_leaf
from manopt_torch.plans.begin import first_evaluation
from manopt_torch.plans.commit import commit
from manopt_torch.plans.halt import halt
from manopt_torch.plans.options import Options
from manopt_torch.plans.rounding import below_rounding, end_at_rounding
from manopt_torch.problems.hessian import GradientGraph


class Linearization:
    """What second derivatives at a point start from, and what a solver has computed with them there.

    It belongs to the very object `point`: compaction, a resumed run or a hook that replaces `o.x` make it stale. Copies
    leave everything behind, since graphs cannot be copied.

    Args:
        point: the point.
        at: what `p.linearize` returned for it.
        found: products and the like that a solver takes up if it stays at the point; None if it does not.
    """

    at: Any
    found: Any
    point: Any

    __slots__ = ("at", "found", "point")

    def __init__(self, point: Any = None, at: Any = None, found: Any = None) -> None:
        self.point, self.at, self.found = point, at, found

    def __reduce__(self) -> tuple[type, tuple[()]]:
        return Linearization, ()


def linearize(p: Any, o: Any, x: Any, context: Any) -> GradientGraph:
    """Take the gradient at a point just evaluated, with its graph unless the Hessian is approximated."""
    if o.hessian is None:
        return p.linearize(x, context)
    return GradientGraph(None, None, None, p.gradient_from(x, context))


def first_linearization(p: Any, o: Any) -> None:
    """Evaluate cost and gradient at the start as `first_evaluation` does, and keep the gradient's graph."""

    def gradient(x: Any, context: Any) -> Any:
        o.linearization = Linearization(x, linearize(p, o, x, context))
        return o.linearization.at.gradient

    first_evaluation(p, o, gradient)


def linearization_at(p: Any, o: Any) -> Linearization:
    """Return the linearization at the iterate, made anew where the one kept belongs to another point."""
    if o.linearization is None or o.linearization.point is not o.x:
        o.linearization = None  # the former graph makes room
        known = GradientGraph(None, None, None, o.gradient)
        o.linearization = Linearization(o.x, p.linearize(o.x) if o.hessian is None else known)
    return o.linearization


def products_at(p: Any, o: Any, at: GradientGraph) -> Callable[[Any], Any]:
    """Return the function that applies the Hessian at the iterate, or its approximation, to a tangent vector."""
    x = o.x
    if o.hessian is None:
        return partial(p.hessian_from, x, at)
    return lambda u: o.hessian.apply(p, o, u)


def preconditioner_at(p: Any, x: Any) -> Callable[[Any], Any] | None:
    """Return the function that applies the preconditioner, None if the problem has none."""
    if getattr(p, "preconditioner", None) is None:
        return None
    return lambda u: p.get_preconditioner(x, u)


def commit_accepted(
    p: Any,
    o: Any,
    accepted: Any,
    fall: Any,
    size: Any,
    eta: Any,
    y: Any,
    cost: Any,
    context: Any,
    unsolved: Callable[[Any], Any] | None = None,
    **new: Any,
) -> None:
    """Move the problems whose step was accepted, and evaluate gradients where they have got to.

    A lone problem that stays keeps its linearization. In a batch where some stay and some move the cost is evaluated
    once more, at the mixture of both, since one graph must serve all. A problem that stays although its step is too
    short to move it has stagnated, and so has one that nothing but rounding moves.

    Args:
        p: the problem.
        o: the options.
        accepted: whose step was accepted.
        fall: the decreases that the models promise.
        size: what `resolved_size` is at the iterate.
        eta: the steps.
        y: where they lead.
        cost: the costs there.
        context: what `p.trial` returned besides.
        unsolved: tells, from the length of the gradient, whose model was not minimised; None is nobody.
        **new: state fields to write for all active problems.
    """
    lane, moving = o.lane, o.active & accepted
    rejected, blind = lane.without(o.active, accepted), below_rounding(o, moving, fall, size)
    some_stay, some_move, some_blind = lane.any_of(rejected, moving, blind)
    if some_stay:
        eps = torch.finfo(first_leaf(y).dtype).eps
        o.stagnated = o.stagnated | (rejected & (lane.size(eta) <= eps * lane.size(o.x)))
        if not some_move:
            commit(o, cost=o.cost, **new)
            return
        y = lane.pick(accepted, y, o.x)
        cost, context = p.trial(y)
    at = linearize(p, o, y, context)
    x, gradient = o.x, o.gradient
    if some_blind:
        new.update(end_at_rounding(p, o, blind, fall, y, cost, at.gradient, unsolved))
    commit(o, x=y, cost=cost, gradient=at.gradient, **new)
    o.linearization = Linearization(y if lane.lone else o.x, at)
    if o.hessian is not None:
        o.hessian.update(p, o, accepted, x, gradient, eta)


def halt_and_forget(p: Any, o: Options, i: int) -> bool:
    """Stop as `halt` does, and let the graph go at the end of a run."""
    over = halt(p, o, i)
    if over:
        vars(o)["linearization"] = None
    return over
