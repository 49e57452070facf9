"""Newton-CG with a stepsize that has looked at the gradient of its accepted trial: nothing is evaluated twice."""

from itertools import pairwise
from typing import Any

import pytest
import torch

from manopt_torch import (
    ApproxHessianBFGS,
    ApproxHessianFiniteDifference,
    ApproxHessianSymmetricRankOne,
    BarzilaiBorweinStepsize,
    Euclidean,
    GradientProblem,
    HagerZhangLinesearch,
    HessianProblem,
    NewtonOptions,
    StopAfterIteration,
    StopWhenGradientNormLess,
    WolfeLinesearch,
    solve,
)

A, B = torch.tensor([2.0, 3.0]).double(), torch.tensor([1.0, -2.0]).double()
START = torch.tensor([[3.0, -2.0], [0.5, 20.0]]).double()
LOOKING = [WolfeLinesearch, HagerZhangLinesearch, BarzilaiBorweinStepsize]
by_lane = pytest.mark.parametrize("x", [START[0], START], ids=["alone", "batch"])


def cost(x: torch.Tensor) -> torch.Tensor:
    return (0.5 * A * x * x - B * x).sum(-1)


@by_lane
@pytest.mark.parametrize("search", LOOKING)
@pytest.mark.parametrize(
    "hessian", [ApproxHessianBFGS, ApproxHessianSymmetricRankOne, ApproxHessianFiniteDifference, None]
)
def test_the_minimum_of_a_quadratic(x: torch.Tensor, search: Any, hessian: Any) -> None:
    stop = StopAfterIteration(60) | StopWhenGradientNormLess(1e-9)
    options = NewtonOptions(x, hessian=hessian and hessian(), stepsize=search(), stop=stop)
    o = solve((GradientProblem if hessian else HessianProblem)(Euclidean(2), cost), options)
    torch.testing.assert_close(o.x, (B / A).expand_as(x), rtol=0, atol=1e-8)


@by_lane
@pytest.mark.parametrize("approximated", [True, False])
def test_no_point_is_asked_for_its_gradient_twice(x: torch.Tensor, approximated: bool) -> None:
    asked: list[torch.Tensor] = []

    def gradient(x: torch.Tensor) -> torch.Tensor:
        asked.append(x)
        return A * x - B + x**3

    problem = HessianProblem(
        Euclidean(2), lambda x: cost(x) + 0.25 * (x**4).sum(-1), gradient, lambda x, u: (A + 3 * x * x) * u
    )
    hessian = ApproxHessianBFGS() if approximated else None
    o = solve(problem, NewtonOptions(x, hessian=hessian, stepsize=WolfeLinesearch(), stop=StopAfterIteration(4)))
    assert o.evaluations["gradient"] == len(asked) > 4
    assert not any(torch.equal(a, b) for a, b in pairwise(asked))
