"""A problem whose first step is in vain has made a step of length zero, alone as in a batch."""

from typing import Any

import pytest
import torch

from manopt_torch import (
    ArmijoLinesearch,
    ConjugateGradientOptions,
    ConstantStepsize,
    Euclidean,
    GradientDescentOptions,
    HessianProblem,
    NewtonOptions,
    QuasiNewtonOptions,
    StopAfterIteration,
    StopWhenStepsizeLess,
    solve,
)

F64 = torch.float64
by_lane = pytest.mark.parametrize("batch", [(), (2,)], ids=["alone", "batch"])


@by_lane
@pytest.mark.parametrize("kind", [GradientDescentOptions, ConjugateGradientOptions, QuasiNewtonOptions, NewtonOptions])
def test_a_search_that_finds_nothing(batch: Any, kind: Any) -> None:
    problem = HessianProblem(Euclidean(1), lambda x: torch.where(x > 1, 1e3, -x).sum(-1))
    x = torch.ones(*batch, 1, dtype=F64)
    stop = StopAfterIteration(9) | StopWhenStepsizeLess(1e-3)
    o = solve(problem, kind(x, stepsize=ArmijoLinesearch(contraction_factor=0.5), stop=stop))
    assert torch.equal(o.x, x) and torch.as_tensor(o.last_stepsize).eq(0).all()
    assert torch.as_tensor(o.iterations).eq(1).all() and torch.as_tensor(o.reason_code).eq(2).all()


@by_lane
def test_a_step_into_nan(batch: Any) -> None:
    problem = HessianProblem(Euclidean(1), lambda x: torch.where(x > 1, torch.nan, -x).sum(-1))
    x = torch.ones(*batch, 1, dtype=F64)
    x = torch.stack([x, x - 3])[:, 0] if batch else x  # the other goes on, for five steps
    o = solve(problem, GradientDescentOptions(x, stepsize=ConstantStepsize(0.25), stop=StopAfterIteration(5)))
    one = (lambda value: value[0]) if batch else torch.as_tensor
    assert (one(o.last_stepsize), one(o.x), one(o.iterations), one(o.reason_code)) == (0, 1, 1, -1)
