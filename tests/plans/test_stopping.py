"""Stopping criteria: when they hold, for whom, what they say, and how they combine."""

import math
from datetime import timedelta

import pytest
import torch

from manopt_torch import (
    ConstantStepsize,
    CostProblem,
    CountedProblem,
    DecreasingStepsize,
    Euclidean,
    GradientDescentOptions,
    GradientProblem,
    Options,
    StopAfter,
    StopAfterIteration,
    StopWhenBestCostInGenerationConstant,
    StopWhenChangeLess,
    StopWhenCostLess,
    StopWhenCovarianceIllConditioned,
    StopWhenEvolutionStagnates,
    StopWhenGradientNormLess,
    StopWhenNonFinite,
    StopWhenPollSizeLess,
    StopWhenPopulationConcentrated,
    StopWhenPopulationCostConcentrated,
    StopWhenPopulationDiverges,
    StopWhenPopulationStronglyConcentrated,
    StopWhenRepeated,
    StopWhenStepsizeLess,
    StopWhenSwarmVelocityLess,
    get_reason,
    solve,
)
from manopt_torch.errors import OptionsError
from tests.together import together

D = torch.float64
M = Euclidean(2)
P = GradientProblem(M, lambda x: 0.5 * (x * x).sum(-1))


def halving(x, stop, **options):
    """Solve 1/2 |x|^2 by gradient steps of 1/2: every step halves x."""
    x = torch.as_tensor(x, dtype=D)
    return solve(P, GradientDescentOptions(x, stepsize=ConstantStepsize(0.5), stop=stop, **options))


def by_hand(x=(1.0, 0.0)):
    return GradientDescentOptions(torch.tensor(x, dtype=D), stepsize=ConstantStepsize(0.5))


# ---- iterations and time --------------------------------------------------------------------------------------------


@together()
@pytest.mark.parametrize("n", [0, 1, 5])
@pytest.mark.parametrize("batch", [(), (2,), (2, 3), (0,)])
def test_stop_after_iteration_takes_n_steps(n, batch):
    o = halving(torch.ones(*batch, 2), StopAfterIteration(n))
    assert torch.equal(o.x, torch.full((*batch, 2), 0.5**n, dtype=D))
    assert torch.equal(torch.as_tensor(o.iterations), torch.full(batch, n))
    assert o.iteration == (0 if 0 in batch else n)


@pytest.mark.parametrize("check_every", [1, 3, 100])
def test_budgets_fire_exactly_whenever_the_host_asks(check_every):
    o = halving(torch.ones(4, 2), StopAfterIteration(5), check_every=check_every)
    assert o.iterations.tolist() == [5] * 4
    assert o.x[0, 0].item() == 0.5**5


@pytest.mark.parametrize("n", [-1, 1.5, None, "3", True])
def test_stop_after_iteration_takes_an_int(n):
    with pytest.raises(OptionsError, match=r"StopAfterIteration: n must be an int >= 0, got"):
        StopAfterIteration(n)


def test_stop_after_counts_from_the_start_of_the_run(monkeypatch):
    clock = [100.0]
    monkeypatch.setattr("manopt_torch.plans.stopping.budget.time.monotonic", lambda: clock[0])
    o, c = by_hand(), StopAfter(timedelta(seconds=2.5))
    answers = []
    for i, now in [(0, 100.0), (1, 102.0), (2, 102.5), (0, 200.0), (1, 202.4), (2, 203.0)]:
        clock[0] = now
        answers.append(c(P, o, i))
    assert answers == [False, False, True, False, False, True]
    assert c.reason(o, 2) == "The algorithm ran out of time (2.5 seconds)."


def test_stop_after_ends_a_run():
    o = halving(torch.ones(3, 2), StopAfter(1e-9))
    assert o.iterations.tolist() == [0, 0, 0] or o.iterations.tolist() == [1, 1, 1]
    assert "ran out of time" in get_reason(o)[2]


@together()
@pytest.mark.parametrize("duration", [0, -1.0, timedelta(seconds=-1), math.nan, "1", None])
def test_stop_after_takes_a_positive_duration(duration):
    with pytest.raises(OptionsError, match="StopAfter: the duration must be positive, got"):
        StopAfter(duration)


# ---- gradient, change, cost, step size ------------------------------------------------------------------------------


def test_gradient_norm_is_that_of_the_current_point():
    # |grad| = |x| = 5 / 2^i after i steps, below 1 for i = 3
    o = halving([3.0, 4.0], StopWhenGradientNormLess(1.0))
    assert (o.iterations, torch.linalg.vector_norm(o.x).item()) == (3, 0.625)
    assert get_reason(o) == "The algorithm reached a gradient norm below 1 after 3 iterations."


def test_gradient_norm_stops_before_the_first_step_where_it_is_small():
    o = halving([[0.0, 0.0], [3.0, 4.0], [0.3, 0.4]], StopWhenGradientNormLess(1.0))
    assert o.iterations.tolist() == [0, 3, 0]
    assert o.x.tolist() == [[0.0, 0.0], [0.375, 0.5], [0.3, 0.4]]


def test_change_is_the_distance_of_the_last_step():
    # d(x_i, x_(i-1)) = 5 / 2^i, below 1 for i = 3
    o = halving([[3.0, 4.0], [0.0, 1.0]], StopWhenChangeLess(1.0))
    assert o.iterations.tolist() == [3, 1]
    assert get_reason(o)[1] == "The algorithm performed a step with a change below 1 after 1 iterations."


def test_change_by_hand():
    o, c = by_hand((4.0, 2.0)), StopWhenChangeLess(0.5)
    assert not c(P, o, 1)  # nothing to compare with
    o.x = torch.tensor([3.0, 2.0], dtype=D)
    assert not c(P, o, 2)
    o.x = torch.tensor([3.0, 2.1], dtype=D)
    assert c(P, o, 3) and c(P, o, 3)  # asked again it says the same
    o.x = torch.tensor([3.0, 5.1], dtype=D)
    assert not c(P, o, 4)
    assert not c(P, o, 0)  # a new run
    o.x = o.x + 1
    assert not c(P, o, 1)


def test_one_change_criterion_may_stand_in_two_places():
    c = StopWhenChangeLess(1.0)
    o = halving([3.0, 4.0], (c & StopWhenCostLess(100.0)) | (c & StopWhenCostLess(50.0)) | StopAfterIteration(9))
    assert o.iterations == 3


def test_cost_criterion_of_case_51():
    p = CostProblem(Euclidean(), lambda x: x * x)
    o, c = Options(torch.tensor(0.3, dtype=D)), StopWhenCostLess(0.1)
    assert not c(p, o, 0)
    assert c(p, o, 1)
    o.x = torch.tensor(0.4, dtype=D)
    assert not c(p, o, 2)


def test_cost_in_a_run():
    # f = 1/2 (5 / 2^i)^2: 12.5, 3.125, 0.78
    o = halving([[3.0, 4.0], [0.0, 1.0]], StopWhenCostLess(1.0))
    assert o.iterations.tolist() == [2, 1]  # never at the start
    assert get_reason(o)[0] == "The algorithm reached a cost below 1 after 2 iterations."


def test_step_size():
    o = GradientDescentOptions(torch.ones(2, 2, dtype=D), stepsize=DecreasingStepsize(), stop=StopWhenStepsizeLess(0.3))
    assert solve(P, o).iterations.tolist() == [4, 4]  # 1, 1/2, 1/3, 1/4
    assert get_reason(o)[0] == "The algorithm computed a step size below 0.3 after 4 iterations."


def test_step_size_needs_options_with_one():
    c = StopWhenStepsizeLess(0.1)
    with pytest.raises(OptionsError, match="StopWhenStepsizeLess needs the field last_stepsize, Options has none"):
        c(P, Options(torch.ones(2)), 0)
    assert not c(P, by_hand(), 0)


def test_criteria_of_other_solvers_are_refused_before_the_first_evaluation():
    p = CountedProblem(P)
    for kind, field in (
        (StopWhenCovarianceIllConditioned, "deviations"),
        (StopWhenBestCostInGenerationConstant, "costs"),
        (StopWhenEvolutionStagnates, "costs"),
        (StopWhenPopulationDiverges, "width and deviations"),
        (StopWhenPopulationCostConcentrated, "costs"),
        (StopWhenPopulationStronglyConcentrated, "width and deviations and path"),
        (StopWhenPopulationConcentrated, "points and costs"),
        (lambda: StopWhenSwarmVelocityLess(0.1), "points and velocities"),
        (lambda: StopWhenPollSizeLess(0.1), "poll_size"),
    ):
        stop = StopAfterIteration(3) | (StopWhenRepeated(kind(), 2) & StopWhenCostLess(1.0))
        with pytest.raises(OptionsError, match=f"needs the field {field}, GradientDescentOptions has none"):
            solve(p, GradientDescentOptions(torch.ones(2), stop=stop))
    assert p.count(":Cost") == 0


@together()
@pytest.mark.parametrize("kind", [StopWhenGradientNormLess, StopWhenChangeLess, StopWhenStepsizeLess])
@pytest.mark.parametrize("eps", [-1e-9, math.nan, math.inf, None, "1"])
def test_bounds_are_not_negative(kind, eps):
    with pytest.raises(OptionsError, match=rf"{kind.__name__}: eps must lie in \[0.0, inf\), got"):
        kind(eps)


@pytest.mark.parametrize("v", [math.nan, None, "1"])
def test_cost_bound_is_a_number(v):
    with pytest.raises(OptionsError, match="StopWhenCostLess: v must be a number, got"):
        StopWhenCostLess(v)


def test_non_finite_by_hand_and_in_a_run():
    p, c = GradientProblem(Euclidean(), torch.log), StopWhenNonFinite()
    o = GradientDescentOptions(torch.tensor([1.0, -1.0], dtype=D))
    assert c(p, o, 0).tolist() == [False, True]
    walls = GradientDescentOptions(
        torch.tensor([1.0, 9.0], dtype=D), stepsize=ConstantStepsize(4.0), stop=c | StopAfterIteration(1)
    )
    solve(p, walls)  # 1 - 4/1 is beyond the wall at 0, 9 - 4/9 is not
    assert "non-finite at iteration 1" in get_reason(walls)[0]
    assert "(1)" in get_reason(walls)[1]
    assert walls.x[0].item() == 1.0
    assert c(p, walls, 1).tolist() == [True, False]
