"""A run whose budget ends at the very step at which the problem is finished anyway: taken up, it makes no further one."""

from typing import Any

import pytest
import torch

from manopt_torch import (
    ConstantStepsize,
    Euclidean,
    GradientDescentOptions,
    GradientProblem,
    StopAfterIteration,
    StoppingCriterion,
    StopWhenChangeLess,
    StopWhenCostChangeLess,
    StopWhenEntryChangeLess,
    StopWhenGradientChangeLess,
    StopWhenGradientNormLess,
    StopWhenRelativeAPosterioriCostChangeLessOrEqual,
    StopWhenRelativeGradientNormLess,
    get_reason,
    load_state_dict,
    solve,
    state_dict,
)

F64 = torch.float64
by_lane = pytest.mark.parametrize("batch", [(), (2,)], ids=["alone", "batch"])

# steps of 1/4 on x^2 halve x = 1, so step k changes x by 2^-k, the gradient by twice that, the cost x^2 by 3 * 4^-k:
# at step 3 these are 1/8, 1/4, 3/64
THIRD_STEP: list[StoppingCriterion] = [
    StopWhenChangeLess(0.2),
    StopWhenGradientChangeLess(0.4),
    StopWhenCostChangeLess(0.1),
    StopWhenEntryChangeLess("cost", 0.1),
    StopWhenRelativeAPosterioriCostChangeLessOrEqual(0.1),
    StopWhenRelativeGradientNormLess(0.2),
    StopWhenChangeLess(0.2) & StopWhenGradientNormLess(1.0),
]


def taken_up(problem: Any, options: Any, first: int) -> Any:
    """Return the options of a run of at most 9 steps that was interrupted after `first`, in all as far as it gets."""
    half = solve(problem, options(first))
    return solve(problem, load_state_dict(options(9), state_dict(half)))


@by_lane
@pytest.mark.parametrize("criterion", THIRD_STEP, ids=repr)
@pytest.mark.parametrize("first", [2, 3])
def test_a_criterion_that_held_at_the_last_step(batch: Any, criterion: StoppingCriterion, first: int) -> None:
    problem = GradientProblem(Euclidean(1), lambda x: (x * x).sum(-1))
    x = torch.ones(*batch, 1, dtype=F64)
    step = ConstantStepsize(0.25)
    o = taken_up(
        problem,
        lambda n: GradientDescentOptions(x, stepsize=step, stop=StopAfterIteration(n) | criterion),
        first,
    )
    assert torch.equal(o.x, x / 8) and torch.as_tensor(o.iterations).eq(3).all()
    assert torch.as_tensor(o.reason_code).eq(2).all()


@by_lane
def test_a_search_in_vain_at_the_last_step(batch: Any) -> None:
    problem = GradientProblem(Euclidean(1), lambda x: torch.where(x > 1, 1e3, -x).sum(-1))
    x = torch.ones(*batch, 1, dtype=F64)
    o = taken_up(problem, lambda n: GradientDescentOptions(x, stop=StopAfterIteration(n)), 1)
    assert torch.equal(o.x, x) and torch.as_tensor(o.iterations).eq(1).all()
    assert "stagnated" in (get_reason(o)[0] if batch else get_reason(o))
