"""The length of the gradient is computed once for each gradient, and only where somebody asks for it."""

import math
from typing import Any

import pytest
import torch

from manopt_torch import (
    ConstantStepsize,
    Euclidean,
    GradientDescentOptions,
    GradientProblem,
    NonFiniteError,
    ShortStepLinesearch,
    Sphere,
    StopAfterIteration,
    StopWhenGradientNormLess,
    SymmetricPositiveDefinite,
    get_reason,
    initialize_solver,
    solve,
    step_solver,
)
from manopt_torch.plans.gradient_norm import gradient_norm

D = torch.float64
E1 = torch.tensor([1.0, 0.0, 0.0], dtype=D)


class WatchedSphere(Sphere):
    """A sphere that counts the lengths it is asked for."""

    asked = 0

    def norm(self, x: Any, u: Any) -> torch.Tensor:
        self.asked += 1
        return Sphere.norm(self, x, u)


@pytest.mark.parametrize("batch", [(), (2,)], ids=["alone", "batch"])
def test_criterion_and_stepsize_share_one_length_for_each_iterate(batch: tuple[int, ...]) -> None:
    M = WatchedSphere(3)
    x = torch.tensor([0.6, 0.0, 0.8], dtype=D).expand(*batch, 3)
    stop = StopAfterIteration(4) | StopWhenGradientNormLess(1e-30)
    o = solve(
        GradientProblem(M, lambda x: x[..., 0]), GradientDescentOptions(x, stepsize=ShortStepLinesearch(1.0), stop=stop)
    )
    assert (o.iteration, M.asked) == (4, 5)


def test_nobody_asks_nothing_is_computed() -> None:
    M = WatchedSphere(3)
    solve(
        GradientProblem(M, lambda x: x[0]),
        GradientDescentOptions(E1.roll(1), stepsize=ConstantStepsize(0.1), stop=StopAfterIteration(3)),
    )
    assert M.asked == 0


def test_the_same_gradient_has_another_length_at_another_point() -> None:
    M = SymmetricPositiveDefinite(2)
    everywhere = torch.eye(2, dtype=D)
    p = GradientProblem(M, lambda x: x.diagonal(dim1=-2, dim2=-1).sum(-1), lambda x: everywhere)
    o = GradientDescentOptions(2 * everywhere, stepsize=ConstantStepsize(0.5), stop=StopWhenGradientNormLess(1e-9))
    initialize_solver(p, o)
    assert gradient_norm(p, o) == pytest.approx(math.sqrt(2) / 2)
    step_solver(p, o, 1)
    assert o.gradient is everywhere
    assert gradient_norm(p, o) == pytest.approx(float(M.norm(o.x, everywhere)))


@pytest.mark.parametrize("batch", [(), (2,)], ids=["alone", "batch"])
def test_a_finite_gradient_too_long_for_a_number_breaks_nothing(batch: tuple[int, ...]) -> None:
    x = torch.full((*batch, 2), 1e200, dtype=D)
    p = GradientProblem(Euclidean(2), lambda x: x.sum(-1), lambda x: x)
    stop = StopAfterIteration(4) | StopWhenGradientNormLess(1.0)
    o = solve(p, GradientDescentOptions(x, stepsize=ConstantStepsize(0.5), stop=stop))
    assert torch.equal(o.x, x / 16)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_gradient_that_is_not_finite_ends_a_lone_run(bad: float) -> None:
    def gradient(x: torch.Tensor) -> torch.Tensor:
        return torch.where(x < 0.5, bad, torch.ones_like(x))

    p = GradientProblem(Euclidean(2), lambda x: x.sum(-1), gradient)
    stop = StopAfterIteration(9) | StopWhenGradientNormLess(1e-9)
    o = solve(p, GradientDescentOptions(torch.ones(2, dtype=D), stepsize=ConstantStepsize(0.3), stop=stop))
    assert "non-finite" in get_reason(o)
    assert o.x.tolist() == [0.7, 0.7]
    with pytest.raises(NonFiniteError):
        solve(p, GradientDescentOptions(torch.zeros(2, dtype=D), stop=stop))
