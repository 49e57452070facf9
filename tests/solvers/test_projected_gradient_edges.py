"""Projected gradient: the trials of a search by hand, steps told by number, and when the run has stagnated."""

from typing import Any

import pytest
import torch

from manopt_torch import (
    ConstantStepsize,
    DecreasingStepsize,
    Euclidean,
    GradientProblem,
    OptionsError,
    ProjectedGradientOptions,
    StopAfterIteration,
    get_reason,
    get_record,
    solve,
)

D = torch.float64


def bowl(curvature: float) -> GradientProblem:
    return GradientProblem(Euclidean(1), lambda x: 0.5 * curvature * x.square().sum(-1))


def run(curvature: float, n: int, start: float = 1.0, batch: Any = (), **more: Any) -> ProjectedGradientOptions:
    x = torch.full((*batch, 1), start, dtype=D)
    more = {"projection": lambda x: x, "stop": StopAfterIteration(n), **more}
    return solve(bowl(curvature), ProjectedGradientOptions(x, **more), record=[":Stepsize", ":next_stepsize"])


@pytest.mark.parametrize("batch", [(), (2,)], ids=str)
@pytest.mark.parametrize(("decrease", "step"), [(0.3, 0.25), (0.49, 0.25), (0.51, 0.125), (0.8, 0.0625)])
def test_the_first_step_that_passes_is_taken(batch: Any, decrease: float, step: float) -> None:
    """With curvature 4 the cost falls by 16 s (1 - 2 s) / 2 from 2 to 2 (1 - 4 s)^2, and c d^2 / s is 16 c s.

    So a step passes where 1 - 2 s >= c: halved from 1 the first one below 1/2 for c = 0.3.
    """
    o = run(4.0, 1, batch=batch, sufficient_decrease=decrease)
    assert torch.as_tensor(o.last_stepsize).eq(step).all() and torch.as_tensor(o.next_stepsize).eq(step).all()
    assert o.x.eq(1 - 4 * step).all()
    assert o.evaluations["cost"] == 2 + round(-torch.log2(torch.tensor(step)).item())


def test_a_step_taken_at_once_lets_the_next_begin_longer() -> None:
    o = run(1.0, 3, initial_stepsize=0.25, growth_factor=1.5)
    assert get_record(o) == [(0.25, 0.375), (0.375, 0.5625), (0.5625, 0.84375)]
    kept = run(1.0, 3, initial_stepsize=0.25, growth_factor=1.0)
    assert [s for s, _ in get_record(kept)] == [0.25] * 3 and kept.x.item() == 0.75**3


@pytest.mark.parametrize("batch", [(), (2,)], ids=str)
def test_steps_told_by_number(batch: Any) -> None:
    """Step i is the stepsize's i-th, and the point ahead is that of the next one."""
    rule = DecreasingStepsize(0.5)  # 1/2, 1/4, 1/6, 1/8
    o = run(1.0, 3, batch=batch, stepsize=rule)
    steps = [torch.as_tensor(s, dtype=D).max().item() for s, _ in get_record(o)]
    assert steps == pytest.approx([1 / 2, 1 / 4, 1 / 6], rel=1e-14)
    x = 0.5 * 0.75 * (5 / 6)
    torch.testing.assert_close(o.x, torch.full((*batch, 1), x, dtype=D), rtol=1e-14, atol=0)
    torch.testing.assert_close(o.ahead, torch.full((*batch, 1), x * 7 / 8, dtype=D), rtol=1e-14, atol=0)
    assert torch.as_tensor(o.next_stepsize, dtype=D).eq(1 / 8).all()


def test_the_stationarity_is_the_length_of_the_projected_gradient() -> None:
    # from 1 down a slope of 1 to the end of the set at 1/2: the step 2 is cut off at a quarter of its length
    x = torch.ones(1, dtype=D)
    problem = GradientProblem(Euclidean(1), lambda x: x.sum(-1))
    clamp = {"projection": lambda x: x.clamp(min=0.5), "stop": StopAfterIteration(0)}
    for step, known in ((2.0, 0.25), (0.5, 1.0), (0.25, 1.0)):
        assert solve(problem, ProjectedGradientOptions(x, initial_stepsize=step, **clamp)).stationarity == known
        told = ProjectedGradientOptions(x, stepsize=ConstantStepsize(step), **clamp)
        assert solve(problem, told).stationarity == known
    # at the end itself nothing is left
    end = ProjectedGradientOptions(0.5 * x, initial_stepsize=2.0, **clamp)
    assert solve(problem, end).stationarity == 0


@pytest.mark.parametrize("batch", [(), (2,)], ids=str)
def test_a_search_in_vain_ends_the_run(batch: Any) -> None:
    jump = GradientProblem(Euclidean(1), lambda x: torch.where(x > 1, 1e3, -x).sum(-1))
    x = torch.ones(*batch, 1, dtype=D)
    o = solve(jump, ProjectedGradientOptions(x, projection=lambda x: x, stop=StopAfterIteration(9), max_decreases=5))
    assert torch.equal(o.x, x) and torch.as_tensor(o.iterations).eq(1).all()
    assert "stagnated" in (get_reason(o)[0] if batch else get_reason(o))
    # one evaluation at the start, one for the first trial, five for the shrinking rounds
    assert o.evaluations["cost"] == 7
    with pytest.raises(OptionsError, match="check_every"):
        ProjectedGradientOptions(x, projection=lambda x: x, check_every=0)
