"""States taken up where the reasons of a run decide: which criterion is named, and which ones are still to come."""

from typing import Any

import pytest
import torch

from manopt_torch import (
    ConstantStepsize,
    Euclidean,
    GradientDescentOptions,
    GradientProblem,
    HessianProblem,
    OptionsError,
    StopAfterIteration,
    StopWhenChangeLess,
    StopWhenCostLess,
    StopWhenGradientNormLess,
    TruncatedConjugateGradientOptions,
    get_reason,
    initialize_solver,
    load_state_dict,
    solve,
    state_dict,
    step_solver,
    stop_solver,
)
from manopt_torch.plans.stopping import StoppingCriterion

D = torch.float64


def halving(stop: StoppingCriterion, *batch: int) -> GradientDescentOptions:
    """Options with which every step halves the point, from 1."""
    return GradientDescentOptions(torch.ones(*batch, 1, dtype=D), stepsize=ConstantStepsize(0.5), stop=stop)


HALF_SQUARE = GradientProblem(Euclidean(1), lambda x: 0.5 * x.square().sum(-1))


@pytest.mark.parametrize("batch", [(), (2,)], ids=str)
@pytest.mark.parametrize("cost_first", [True, False])
def test_the_first_of_two_reasons_that_hold_is_named(batch: Any, cost_first: bool) -> None:
    # after six halvings the gradient is below 0.02 and the cost below 2e-4, after five neither is
    both = [StopWhenCostLess(2e-4), StopWhenGradientNormLess(0.02)]
    first, second = both if cost_first else reversed(both)

    def options(n: int) -> GradientDescentOptions:
        return halving(StopAfterIteration(n) | first | second, *batch)

    o = load_state_dict(options(50), state_dict(solve(HALF_SQUARE, options(6))))
    solve(HALF_SQUARE, o)
    assert torch.as_tensor(o.iterations).eq(6).all() and torch.as_tensor(o.reason_code).eq(2).all()
    reason = get_reason(o) if not batch else get_reason(o)[1]
    assert ("cost" in reason) == cost_first


@pytest.mark.parametrize("batch", [(), (2,)], ids=str)
@pytest.mark.parametrize("also", [True, False])
def test_of_two_budgets_the_one_that_is_spent_still_holds(batch: Any, also: bool) -> None:
    """A larger one in place of the first lets no problem take a step beyond the second."""

    def options(n: int) -> GradientDescentOptions:
        second = StopAfterIteration(6) & StopWhenCostLess(10.0) if also else StopAfterIteration(6)
        return halving(StopAfterIteration(n) | second, *batch)

    o = load_state_dict(options(50), state_dict(solve(HALF_SQUARE, options(6))))
    solve(HALF_SQUARE, o)
    assert torch.as_tensor(o.iterations).eq(6).all() and torch.as_tensor(o.reason_code).eq(2).all()
    assert o.x.flatten().tolist() == [0.5**6] * o.x.numel()
    further = load_state_dict(options(50), state_dict(solve(HALF_SQUARE, options(4))))
    assert torch.as_tensor(solve(HALF_SQUARE, further).iterations).eq(6).all()


@pytest.mark.parametrize("batch", [(), (2,)], ids=str)
def test_a_criterion_that_remembers_the_last_point_is_not_asked_about_it_twice(batch: Any) -> None:
    """Between the point taken up and itself there is no change: that would end the run."""

    def options(n: int) -> GradientDescentOptions:
        return halving(StopAfterIteration(n) | StopWhenChangeLess(1e-9), *batch)

    o = load_state_dict(options(7), state_dict(solve(HALF_SQUARE, options(3))))
    solve(HALF_SQUARE, o)
    assert torch.as_tensor(o.iterations).eq(7).all() and torch.as_tensor(o.reason_code).eq(1).all()
    assert o.x.flatten().tolist() == [0.5**7] * o.x.numel()


def test_criteria_in_another_order_are_refused_where_the_first_has_ended_a_lone_run() -> None:
    first, second = StopAfterIteration(2), StopWhenCostLess(-1.0)
    d = state_dict(solve(HALF_SQUARE, halving(first | second)))
    assert d["state"]["reason_code"] == 1
    with pytest.raises(OptionsError, match="StopWhenCostLess"):
        load_state_dict(halving(second | first), d)


# ---- criteria that only the start of a run fills in -----------------------------------------------------------------

WEIGHTS = torch.tensor([1.0, 2.0, 3.0], dtype=D)
MODEL = HessianProblem(Euclidean(3), lambda x: (WEIGHTS * x * x).sum(-1) + x.sum(-1))


def unsaid(**more: Any) -> TruncatedConjugateGradientOptions:
    return TruncatedConjugateGradientOptions(torch.zeros(3, dtype=D), kappa=1e-10, **more)


def test_a_run_with_the_criteria_of_its_solver_is_taken_up() -> None:
    through = solve(MODEL, unsaid())
    half = unsaid()
    initialize_solver(MODEL, half)
    step_solver(MODEL, half, 1)
    assert not stop_solver(MODEL, half, 1)
    for state in (state_dict(half), state_dict(through)):
        o = solve(MODEL, load_state_dict(unsaid(), state))
        assert torch.equal(o.eta, through.eta) and o.iterations == through.iterations == 3
        assert get_reason(o) == get_reason(through)
    torch.testing.assert_close(through.eta, -0.5 / WEIGHTS, rtol=1e-12, atol=0)


def test_criteria_told_to_the_saved_run_are_compared_once_these_are_known() -> None:
    o = load_state_dict(unsaid(), state_dict(solve(MODEL, unsaid(stop=StopWhenCostLess(1.0)))))
    with pytest.raises(OptionsError, match="StopWhenCostLess"):
        solve(MODEL, o)


def test_a_state_without_criteria() -> None:
    o = unsaid()
    d = state_dict(o)
    assert o.stop is None and d["criteria"] == [] and d["memory"] == {}
    assert solve(MODEL, load_state_dict(unsaid(), d)).iterations == 3
