"""Runs of sub-solvers: a sub problem is minimised from the iterate, each problem of the batch to its own accuracy."""

import copy
from typing import Any

from manopt_torch.errors import NonFiniteError
from manopt_torch.plans.dispatch import get_solver_result
from manopt_torch.plans.options import Options, memory_of
from manopt_torch.plans.solve import solve
from manopt_torch.plans.stopping.base import StoppingCriterion
from manopt_torch.problems.counted import bare_problem
from manopt_torch.problems.gradient import SmoothProblem

# steps without a new least cost after which a sub problem is as accurate as it gets
_PATIENCE = 10.0


def solve_subproblem(
    p: Any, o: Any, subproblem: SmoothProblem, sub: Options, tolerance: Any, active: Any = None
) -> Any:
    """Minimise a sub problem from the iterate, each problem to its own gradient norm, and return its point.

    Finished problems do not run along. One whose sub problem cannot be evaluated keeps its point.

    Args:
        p: the problem.
        o: the options of the outer run.
        subproblem: the sub problem.
        sub: options of the sub-solver; its criterion is a bound, ended earlier where the tolerance is reached.
        tolerance: a scalar of the lane.
        active: the problems whose sub problem is to be solved; None is all that run.
    """
    subproblem.counts = bare_problem(p).counts
    sub = copy.copy(sub)
    sub.x, sub.check_every = o.x, 1
    # problems without data of their own may be held in a closure, which sees whole batches only
    sub.compact = o.compact and bool(p.data)
    sub.stop = _Accurate(tolerance, o.lane.not_(o.active if active is None else active)) | sub.stop
    try:
        return get_solver_result(solve(subproblem, sub))
    except NonFiniteError:
        return o.x


class _Accurate(StoppingCriterion):
    """Stop each sub problem at its own gradient norm, and one that is not to run at once.

    One whose cost has found no new least value in a while has reached what rounding allows: in single precision often
    before the gradient norm.
    """

    def __init__(self, tolerance: Any, idle: Any) -> None:
        self._given = {"tolerance": tolerance, "idle": idle}

    def init(self, p: Any, o: Any) -> Any:
        full = o.lane.full
        return {**self._given, "least": full(float("inf")), "waited": full(0.0)}

    def __call__(self, p: Any, o: Any, i: int) -> Any:
        lane, memory = o.lane, memory_of(self, p, o)
        short = lane.scalar(p.M.norm(o.x, o.gradient)) < memory["tolerance"]
        cost = lane.scalar(o.cost)
        fell = cost < memory["least"]
        memory["waited"] = lane.where(fell, 0.0, memory["waited"] + 1.0)
        memory["least"] = lane.where(fell, cost, memory["least"])
        return short | (memory["waited"] >= _PATIENCE) | memory["idle"]
