"""Alternating gradient descent: when a problem has stagnated, and searches that look beyond the step they take."""

from typing import Any

import pytest
import torch

from manopt_torch import (
    AlternatingGradientDescentOptions,
    ArmijoLinesearch,
    Euclidean,
    GradientProblem,
    Linesearch,
    Product,
    StopAfterIteration,
    get_gradient,
    get_reason,
    solve,
)
from manopt_torch.stepsizes.base import probe

D = torch.float64
PLANE = Product(Euclidean(), Euclidean())


def cornered(x: Any) -> torch.Tensor:
    """A cost that falls in both directions up to walls at 1, where it becomes infinite."""
    first, second = x
    return torch.where(first > 1, torch.inf, -first) + torch.where(second > 1, torch.inf, -second)


def search() -> ArmijoLinesearch:
    return ArmijoLinesearch(contraction_factor=0.5, max_decreases=60)


@pytest.mark.parametrize("inner", [1, 2, 3])
def test_a_problem_has_stagnated_when_all_factors_have_failed_for_a_cycle(inner: int) -> None:
    x = (torch.ones((), dtype=D), torch.ones((), dtype=D))
    o = AlternatingGradientDescentOptions(x, inner_iterations=inner, stepsize=search(), stop=StopAfterIteration(50))
    solve(GradientProblem(PLANE, cornered), o)
    assert o.iterations == 2 * inner and "stagnated" in get_reason(o)
    assert o.x == x and o.cost == -2


def test_each_problem_of_a_batch_stagnates_by_itself() -> None:
    """The first is in the corner, the second has one wall only, the third can go on in both factors."""
    wall = torch.tensor([[1.0, 1.0], [9.0, 1.0], [9.0, 9.0]], dtype=D)

    def cost(x: Any, wall: torch.Tensor) -> torch.Tensor:
        both = torch.stack(x, -1)
        return torch.where(both > wall, torch.inf, 0.05 * (both - 3).square()).sum(-1)

    x = (torch.ones(3, dtype=D), torch.ones(3, dtype=D))
    stop = StopAfterIteration(12)
    o = AlternatingGradientDescentOptions(x, inner_iterations=2, stepsize=search(), stop=stop)
    solve(GradientProblem(PLANE, cost, data=(wall,)), o)
    reasons = get_reason(o)
    assert o.iterations.tolist() == [4, 12, 12] and "stagnated" in reasons[0] and "iterations" in reasons[1]
    moved = [part > 1 for part in o.x]
    assert moved[0].tolist() == [False, True, True] and moved[1].tolist() == [False, False, True]
    # the second ended in the middle of its failures: two iterations of the walled factor
    assert o.idle.tolist()[1:] == [2, 0]


class LooksFurther(Linesearch):
    """Take a step of 1/4 along minus the gradient, after a look at the cost and the gradient twice as far."""

    def __call__(self, p: Any, o: Any, i: int, eta: Any = None) -> Any:
        near, far = (probe(p, o, o.lane.full(s), eta) for s in (0.25, 0.5))
        for trial in (near, far):
            trial.gradient = p.gradient_from(trial.x, trial.context)
        o.trial = near
        return o.lane.full(0.25)


@pytest.mark.parametrize("batch", [(), (2,)], ids=str)
def test_the_gradient_is_that_of_the_step_taken(batch: Any) -> None:
    problem = GradientProblem(PLANE, lambda x: 0.5 * (x[0].square() + x[1].square()) + 0.5 * x[0] * x[1])
    x = (torch.full(batch, 4.0, dtype=D), torch.full(batch, 8.0, dtype=D))
    o = AlternatingGradientDescentOptions(x, inner_iterations=1, stepsize=LooksFurther(), stop=StopAfterIteration(2))
    solve(problem, o)
    # 4 - (4 + 4) / 4 = 2, then 8 - (8 + 1) / 4 = 5.75
    gradient = (2 + 5.75 / 2, 5.75 + 2 / 2)
    for found, known in ((o.x, (2.0, 5.75)), (o.gradient, gradient), (get_gradient(problem, o.x), gradient)):
        for leaf, value in zip(found, known, strict=True):
            assert torch.equal(leaf, torch.full(batch, value, dtype=D))
    assert torch.equal(torch.as_tensor(o.cost), torch.full(batch, 0.5 * (4 + 5.75**2) + 5.75, dtype=D))
