"""What penalty methods share: the start of a run with constraints, and runs of their sub-solvers."""

import copy
from collections.abc import Callable
from typing import Any

import torch

from manopt_torch._host import first_failures
from manopt_torch.errors import NonFiniteError, OptionsError
from manopt_torch.manifolds.points import first_leaf
from manopt_torch.plans.begin import mark_broken_start
from manopt_torch.plans.dispatch import get_solver_result
from manopt_torch.plans.options import Options, memory_of
from manopt_torch.plans.solve import solve
from manopt_torch.plans.stopping.base import StoppingCriterion
from manopt_torch.problems.constrained import ConstrainedValues, kkt_residual, violation_of
from manopt_torch.problems.counted import bare_problem
from manopt_torch.problems.gradient import GradientProblem


def check_sub_solver(o: Any) -> None:
    """Raise an OptionsError unless the sub-solver is given by its options."""
    if not isinstance(o.sub_solver, Options):
        raise OptionsError(
            f"{type(o).__name__}: sub_solver must be Options such as QuasiNewtonOptions(x), got {o.sub_solver!r}"
        )


def evaluate_start(p: Any, o: Any, weights: Callable[..., tuple[torch.Tensor, torch.Tensor]]) -> ConstrainedValues:
    """Evaluate cost and constraints at the start; mark the problems where one of them is not finite.

    Returns what was evaluated.

    Args:
        p: the problem.
        o: the options.
        weights: takes the evaluated start, returns the first multipliers.

    Raises:
        ShapeError: if the cost or a constraint has the wrong shape.
        NonFiniteError: if they are non-finite for every problem.
    """
    at = p.evaluate(o.x)
    for name, value in measured(p, o.x, at, *weights(at)).items():
        setattr(o, name, value)
    finite = o.lane.finite
    mark_broken_start(o, finite(o.cost) & finite(o.gradient) & finite(o.violation))
    return at


def measured(p: Any, x: Any, at: ConstrainedValues, mu: torch.Tensor, lam: torch.Tensor) -> dict[str, Any]:
    """Return what solvers keep of a point with its multipliers, by the names of the state fields."""
    gradient, lagrangian_gradient = p.gradients_from(x, at, mu, lam)
    return {
        "x": x,
        "cost": at.cost,
        "gradient": gradient,
        "inequality_multipliers": mu,
        "equality_multipliers": lam,
        "lagrangian_gradient": lagrangian_gradient,
        "violation": violation_of(at.inequality, at.equality),
        "kkt_residual": kkt_residual(p.M, x, lagrangian_gradient, at, mu),
    }


def per_problem(o: Any, value: Any) -> torch.Tensor:
    """Return a scalar of the lane as a tensor of the points' dtype, shape `(*batch,)`."""
    ref = first_leaf(o.x).real
    return torch.as_tensor(value, dtype=ref.dtype, device=ref.device)


def multipliers(o: Any, name: str, like: torch.Tensor, *, positive: bool = False) -> torch.Tensor:
    """Return initial multipliers, given as a number or a tensor, in the shape of the constraints.

    Raises:
        OptionsError: if they do not fit to it, or are to be positive and are not.
    """
    given = torch.as_tensor(getattr(o, name), dtype=like.dtype, device=like.device)
    if positive and first_failures((given > 0).all()):
        raise OptionsError(f"{type(o).__name__}: {name} must be positive, got {getattr(o, name)!r}")
    try:
        return given.expand(like.shape).clone()
    except RuntimeError:
        raise OptionsError(
            f"{type(o).__name__}: {name} must be a number or a tensor of the constraints' shape {tuple(like.shape)}, "
            f"got shape {tuple(given.shape)}"
        ) from None


def check_multipliers(o: Any, *names: str) -> None:
    """Raise an OptionsError unless these parameters are numbers or tensors."""
    for name in names:
        value = getattr(o, name)
        if not isinstance(value, (int, float, torch.Tensor)):
            raise OptionsError(f"{type(o).__name__}: {name} must be a number or a tensor, got {value!r}")


def solve_subproblem(p: Any, o: Any, subproblem: GradientProblem, sub: Options, tolerance: Any) -> Any:
    """Minimise a sub problem from the iterate, each problem to its own gradient norm, and return its point.

    Finished problems do not run along. One whose sub problem cannot be evaluated keeps its point.

    Args:
        p: the problem.
        o: the options of the outer run.
        subproblem: the sub problem.
        sub: options of the sub-solver; its criterion is a bound, ended earlier where the tolerance is reached.
        tolerance: a scalar of the lane.
    """
    subproblem.counts = bare_problem(p).counts
    sub = copy.copy(sub)
    sub.x, sub.check_every = o.x, 1
    # problems without data of their own may be held in a closure, which sees whole batches only
    sub.compact = o.compact and bool(p.data)
    sub.stop = _Accurate(tolerance, o.lane.not_(o.active)) | sub.stop
    try:
        return get_solver_result(solve(subproblem, sub))
    except NonFiniteError:
        return o.x


class _Accurate(StoppingCriterion):
    """Stop each sub problem at its own gradient norm, and one that is not to run at once."""

    def __init__(self, tolerance: Any, idle: Any) -> None:
        self._given = {"tolerance": tolerance, "idle": idle}

    def init(self, p: Any, o: Any) -> Any:
        return dict(self._given)

    def __call__(self, p: Any, o: Any, i: int) -> Any:
        memory = memory_of(self, p, o)
        short = o.lane.scalar(p.M.norm(o.x, o.gradient)) < memory["tolerance"]
        return short | memory["idle"]
