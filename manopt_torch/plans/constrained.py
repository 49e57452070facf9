"""What solvers of constrained problems share: what they keep of a point, the start of a run, and penalties."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from manopt_torch._host import first_failures, uploaded
from manopt_torch.errors import OptionsError
from manopt_torch.manifolds.points import first_leaf
from manopt_torch.plans.begin import mark_broken_start
from manopt_torch.plans.options import Options, state
from manopt_torch.plans.stopping import (
    StopAfterIteration,
    StopAtRestUnsolved,
    StoppingCriterion,
    StopWhenChangeLess,
    StopWhenKKTResidualLess,
    StopWhenSmallerOrEqual,
)
from manopt_torch.plans.subproblem import solve_subproblem
from manopt_torch.problems.constrained import ConstrainedValues, kkt_residual, violation_of

# beyond, the sub problems are too badly conditioned to tell more
_LARGEST_PENALTY = 1e12
# so many times farther from the constraints, and so often with a larger penalty from 1 to the largest one by default
_RAN_OFF, _MOST_RAISES = 1e4, 30
# a KKT residual that smoothed penalties leave at a solution, in units of the last tolerance
_LOOSE = 100.0


@dataclass(eq=False)
class ConstrainedOptions(Options):
    """Base of the options of solvers with constraints: the state that `measured` returns."""

    needs: ClassVar[tuple[str, ...]] = ("cost", "gradient", "constraints")

    # updated every step; all are those of the new point
    inequality_multipliers: Any = state()
    equality_multipliers: Any = state()
    lagrangian_gradient: Any = state()
    violation: Any = state()
    kkt_residual: Any = state()


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
    return uploaded(value, ref)


def initial_multipliers(o: Any, at: ConstrainedValues, *, positive: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the multipliers to start with, those of the inequalities `positive` or not.

    Raises:
        OptionsError: if they do not fit to the constraints, or are to be positive and are not.
    """
    mu = multipliers(o, "initial_inequality_multiplier", at.inequality, positive=positive)
    return mu, multipliers(o, "initial_equality_multiplier", at.equality)


def multipliers(o: Any, name: str, like: torch.Tensor, *, positive: bool = False) -> torch.Tensor:
    """Return initial multipliers, given as a number or a tensor, in the shape of the constraints.

    Raises:
        OptionsError: if they do not fit to it, or are to be positive and are not.
    """
    given = uploaded(getattr(o, name), like)
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


# ---- penalty methods ------------------------------------------------------------------------------------------------


def check_sub_solver(o: Any) -> None:
    """Raise an OptionsError unless the sub-solver is given by its options."""
    if not isinstance(o.sub_solver, Options):
        raise OptionsError(
            f"{type(o).__name__}: sub_solver must be Options such as QuasiNewtonOptions(x), got {o.sub_solver!r}"
        )


def penalty_stop(least_tolerance: float) -> StoppingCriterion:
    """Return when penalty methods end: at a KKT point, or where a sub problem solved to the end moves nothing.

    The latter is convergence only where the KKT conditions hold to a hundred times the last tolerance.
    """
    late = StopWhenSmallerOrEqual("tolerance", least_tolerance) & StopWhenChangeLess(least_tolerance)
    loose = _LOOSE * least_tolerance
    solved = StopWhenKKTResidualLess(1e-6) | (late & StopWhenKKTResidualLess(loose))
    return StopAfterIteration(300) | solved | stop_unsolved(loose, late)


def stop_unsolved(eps: float = 1e-4, rest: StoppingCriterion | None = None) -> StoppingCriterion:
    """Return the criteria that end problems at rest without a solution, with a reason that says what they lack.

    Args:
        eps: the bound on violation and KKT residual.
        rest: what tells that a problem is at rest, besides its solver.
    """
    return StopAtRestUnsolved(eps, feasible=False, rest=rest) | StopAtRestUnsolved(eps, feasible=True, rest=rest)


def solve_penalised(p: Any, o: Any, posed: Callable[[torch.Tensor], Any]) -> tuple[Any, ConstrainedValues, Any]:
    """Minimise the cost with penalties from the iterate; return the point, what was evaluated there, and the penalties.

    With too small a penalty this cost may have no minimum, and the sub-solver runs off: such a sub problem is solved
    again with a larger one. A problem whose penalties do not help keeps its point and is marked as stagnated.

    Args:
        p: the problem.
        o: the options.
        posed: takes the penalties, returns the sub problem.
    """
    lane = o.lane
    x, penalty, running = o.x, o.penalty, o.active
    farthest = _RAN_OFF * lane.max(lane.scalar(o.violation), 1.0)
    for _ in range(_MOST_RAISES):
        trial = solve_subproblem(p, o, posed(per_problem(o, penalty)), o.sub_solver, o.tolerance, running)
        x = lane.pick(running, trial, x)
        at = p.evaluate(x)
        violation = lane.scalar(violation_of(at.inequality, at.equality))
        running = running & lane.not_(violation <= farthest)
        if not lane.any(running):
            return x, at, penalty
        penalty = raised_penalty(o, penalty, running)
    o.stagnated = o.stagnated | running
    x = lane.pick(running, o.x, x)
    return x, p.evaluate(x), penalty


def raised_penalty(o: Any, penalty: Any, where: Any) -> Any:
    """Return the penalties, raised where asked."""
    return o.lane.where(where, o.lane.min(penalty / o.penalty_factor, _LARGEST_PENALTY), penalty)


def lowered(o: Any, name: str) -> Any:
    """Return what `o` has of this name for the next sub problem, on its way from `initial_...` to `least_...`."""
    initial, least = getattr(o, f"initial_{name}"), getattr(o, f"least_{name}")
    factor = (least / initial) ** getattr(o, f"{name}_exponent")
    return o.lane.max(factor * getattr(o, name), least)
