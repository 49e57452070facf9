"""What users write, for the type checker: it is not run as a test, and pyright must find nothing to say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from manopt_torch import (
    ArmijoLinesearch,
    ConstantStepsize,
    DebugAction,
    DebugCost,
    DebugOptions,
    Euclidean,
    GradientDescentOptions,
    GradientProblem,
    HessianProblem,
    Manifold,
    ManoptError,
    Power,
    Product,
    RecordCost,
    RecordOptions,
    S,
    ShapeError,
    Sphere,
    StopAfterIteration,
    StoppingCriterion,
    StopWhenGradientNormLess,
    SymmetricPositiveDefinite,
    get_cost,
    get_cost_and_gradient,
    get_gradient,
    get_reason,
    get_record,
    get_solver_result,
    mean,
    median,
    record_to_dict,
    report,
    solve,
    steepest_descent,
    variance,
)


def rayleigh(x: Tensor, A: Tensor) -> Tensor:
    """The Rayleigh quotient, one a problem of the batch."""
    return (x * (A @ x.unsqueeze(-1)).squeeze(-1)).sum(-1)


def run_a_batch(A: Tensor) -> Tensor:
    """Problem, options, symbols."""
    M = Sphere(A.shape[-1])
    x: Tensor = M.random_point(A.shape[0], dtype=A.dtype, device=A.device)
    problem = GradientProblem(M, rayleigh, data=(A,))
    options = GradientDescentOptions(
        x,
        stop=StopAfterIteration(50) | StopWhenGradientNormLess(1e-6),
        stepsize=ArmijoLinesearch(contraction_factor=0.5),
    )
    solve(problem, options, debug=[":Iteration", " | ", ":Cost", 10], record=[":Cost"])
    costs = get_record(options)
    by_symbol = record_to_dict(options)
    print(report(options), get_reason(options), costs, by_symbol[":Cost"])
    result: Tensor = get_solver_result(options)
    return result


def other_ways_to_ask(x: Tensor) -> None:
    """Symbols as constants, actions as objects, decorators made by hand, derivatives given by hand."""
    M = Euclidean(3)
    problem = GradientProblem(M, lambda x: (x * x).sum(-1), lambda x: 2 * x)
    solve(problem, GradientDescentOptions(x), debug=[S.Cost, DebugCost(index=3), 5, "\n"], record=[RecordCost()])
    decorated = RecordOptions(
        DebugOptions(GradientDescentOptions(x, stepsize=ConstantStepsize(0.1)), [":Cost"]), [":x"]
    )
    solve(problem, decorated)
    value: Tensor = get_cost(problem, x)
    cost, gradient = get_cost_and_gradient(problem, x)
    print(value - cost, gradient - get_gradient(problem, x))


def geometry(points: Tensor) -> float:
    """Plain tensors in and out; products have tuples of tensors."""
    M: Manifold = SymmetricPositiveDefinite(3)
    center = mean(M, points)
    spread: Tensor = variance(M, points)
    robust = median(M, points)
    distance: Tensor = M.dist(center, robust)
    N = Product(Sphere(3), Power(Euclidean(2), 4))
    y = N.random_point(7)
    u = N.random_tangent(y)
    print(N.inner(y, u, u).shape, N.exp(y, u, 0.5), N.dim + M.dim)
    return float((distance + spread).sum())


def one_line(A: Tensor, start: Tensor) -> Tensor:
    """The front function, and the errors it may raise."""
    try:
        return steepest_descent(Sphere(3), rayleigh, start, data=(A,))
    except ShapeError as error:
        raise RuntimeError("wrong shape") from error
    except ManoptError:
        return start


@dataclass(kw_only=True)
class StopAtDawn(StoppingCriterion):
    """A criterion of one's own."""

    hour: int = 6

    def __call__(self, p: object, o: GradientDescentOptions, i: int) -> bool:
        """Tell whether it is dawn."""
        return i >= self.hour


class DebugDot(DebugAction):
    """An action of one's own."""

    def __call__(self, p: object, o: object, i: int) -> None:
        """Print a dot a step."""
        if i > 0:
            print(".", end="")


def second_order(shapes: Sequence[int]) -> HessianProblem:
    """A problem whose derivatives all come from autograd."""
    return HessianProblem(Euclidean(*shapes), lambda x: torch.cos(x).sum(-1))
