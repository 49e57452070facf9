"""Line searches with derivatives in a batch: what they leave behind where the last trial is not the accepted one."""

import pytest
import torch

from manopt_torch import (
    ConstantInitialGuess,
    CubicBracketingLinesearch,
    Euclidean,
    GradientDescentOptions,
    GradientProblem,
    HagerZhangLinesearch,
    StopAfterIteration,
    WolfeLinesearch,
    solve,
)
from manopt_torch.functional.linesearch import Trial
from manopt_torch.functional.masked import Batch
from manopt_torch.functional.ray import Sample, pick

D = torch.float64
LINE = Euclidean(1)


def test_samples_are_picked_with_all_that_belongs_to_them():
    def sample(k):
        v = torch.full((3,), k, dtype=D)
        return Sample(v, v + 1, v + 2, Trial(v[:, None] + 3, v + 4, None, v[:, None] + 5))

    got = pick(Batch((3,), torch.zeros(3, dtype=D)), torch.tensor([True, False, True]), sample(10.0), sample(20.0))
    parts = (got.step, got.value, got.slope, got.trial.x[:, 0], got.trial.cost, got.trial.gradient[:, 0])
    assert [part.tolist() for part in parts] == [[10.0 + k, 20.0 + k, 10.0 + k] for k in range(6)]


@pytest.mark.parametrize("batch", [(), (2,)], ids=str)
def test_the_trial_left_is_that_of_the_step_though_a_later_one_was_tried(batch):
    # from 0 along a x^2 / 2 - x: the first doubles to 16, and tries 32 in vain; the second takes 1 at once
    a = torch.tensor([1 / 16, 1.0] if batch else 1 / 16, dtype=D)
    p = GradientProblem(LINE, lambda x: 0.5 * a * x[..., 0] ** 2 - x[..., 0])
    o = solve(p, GradientDescentOptions(torch.zeros(*batch, 1, dtype=D), stop=StopAfterIteration(0)))
    o.active = torch.ones(batch, dtype=torch.bool) if batch else True
    step = torch.as_tensor(WolfeLinesearch(0.25, 0.5)(p, o, 1), dtype=D)
    assert step.tolist() == ([16.0, 1.0] if batch else 16.0)
    assert torch.equal(o.trial.x[..., 0], step) and torch.equal(o.trial.cost, 0.5 * a * step**2 - step)
    assert torch.equal(o.trial.gradient[..., 0], a * step - 1)


@pytest.mark.parametrize("kind", [WolfeLinesearch, HagerZhangLinesearch, CubicBracketingLinesearch])
def test_the_trial_left_before_a_wall_is_finite_and_that_of_the_step(kind):
    # the wall ends the search by the width of the bracket, with the last trial behind it for some of the problems
    wall = torch.tensor([0.3, 0.37, 0.7, 0.93, 1e9], dtype=D)
    cost = lambda x: torch.where(x[..., 0] > wall, torch.inf, -x[..., 0])  # noqa: E731
    p = GradientProblem(LINE, cost, lambda x: torch.full_like(x, -1.0) - 1e-3 * x)
    o = solve(p, GradientDescentOptions(torch.zeros(5, 1, dtype=D), stop=StopAfterIteration(0)))
    o.active = torch.ones(5, dtype=torch.bool)
    step = kind(initial_guess=ConstantInitialGuess(1.0), max_stepsize=9.0)(p, o, 1)
    assert ((step > 0.9 * wall.clamp(max=5.0)) & (step <= wall)).all()
    assert torch.equal(o.trial.x[:, 0], step) and torch.equal(o.trial.cost, -step)
    assert torch.equal(o.trial.gradient[:, 0], -1.0 - 1e-3 * step)
