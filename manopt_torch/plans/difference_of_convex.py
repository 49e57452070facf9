"""What solvers of differences of convex functions share: subgradients along the run, and the choice of a sub-solver.

Their options have the parameters `sub_options`, `sub_solver` and `sub_tolerance`, and the state `subtrahend_gradient`.
"""

from collections.abc import Callable
from typing import Any

from manopt_torch.errors import OptionsError
from manopt_torch.plans.begin import begin, first_evaluation
from manopt_torch.plans.options import Options, check_range
from manopt_torch.plans.subproblem import solve_subproblem
from manopt_torch.problems.base import map_over_batch


def check_sub_solvers(o: Any) -> None:
    """Raise an OptionsError unless the parameters about sub problems have the right kind and range."""
    check_range(o, "sub_tolerance", 0.0, float("inf"))
    if not (isinstance(o.sub_options, Options) and "gradient" in o.sub_options.needs):
        raise OptionsError(
            f"{type(o).__name__}: sub_options must be those of a solver that follows gradients, such as "
            f"QuasiNewtonOptions(x), got {o.sub_options!r}"
        )
    if o.sub_solver is not None and not callable(o.sub_solver):
        raise OptionsError(f"{type(o).__name__}: sub_solver must be callable, got {o.sub_solver!r}")


def begin_difference(p: Any, o: Any) -> None:
    """Begin a run as `begin` does, and evaluate $f$ with its gradient and the subgradient of $h$ at the start."""
    begin(p, o)
    first_evaluation(p, o)
    o.subtrahend_gradient = p.get_subtrahend_gradient(o.x)
    p.check_tangent("subgradient of h", o.subtrahend_gradient, o.lane.shape)
    o.broken = o.broken | o.lane.not_(o.lane.finite(o.subtrahend_gradient))


def next_subgradient(p: Any, o: Any, x: Any) -> Any:
    """Return the subgradient of $h$ at the next point; mark the problems where it is not finite.

    A point where $h$ has no subgradient is one to end at, though not to start from.
    """
    subgradient = p.get_subtrahend_gradient(x)
    o.broken = o.broken | o.lane.not_(o.lane.finite(subgradient)) & o.active
    return subgradient


def sub_solution(p: Any, o: Any, subproblem: Callable[..., Any], *given: Any, lead: int = 0) -> Any:
    """Return the solution of a sub problem: in closed form, or by a run of a solver.

    Args:
        p: the problem.
        o: the options.
        subproblem: `subproblem(p, *given, hessian=...)` returns it for the solver.
        given: what `o.sub_solver` is called with, before the data.
        lead: how many of them have no batch axes.
    """
    if o.sub_solver is not None:
        solver = o.sub_solver if p.vectorized else map_over_batch(o.sub_solver, p.M, lead=lead)
        return solver(*given, *p.data)
    sub = subproblem(p, *given, hessian="hessian" in o.sub_options.needs)
    return solve_subproblem(p, o, sub, o.sub_options, o.lane.full(o.sub_tolerance))
