"""Criteria on changes, fields, relative sizes and iterations: when they hold, for whom, and what they say."""

import math

import pytest
import torch

from manopt_torch import (
    ConstantStepsize,
    DecreasingStepsize,
    Euclidean,
    GradientDescentOptions,
    GradientProblem,
    Sphere,
    StopAfterIteration,
    StopWhenChangeLess,
    StopWhenCostChangeLess,
    StopWhenCostLess,
    StopWhenCriterionWithIterationCondition,
    StopWhenEntryChangeLess,
    StopWhenGradientChangeLess,
    StopWhenGradientNormLess,
    StopWhenRelativeAPosterioriCostChangeLessOrEqual,
    StopWhenRelativeGradientNormLess,
    StopWhenSmallerOrEqual,
    StopWhenSubgradientNormLess,
    SubGradientProblem,
    get_reason,
    load_state_dict,
    report,
    solve,
    state_dict,
)
from manopt_torch.errors import OptionsError, UnknownSymbolError
from tests.together import together

D = torch.float64
P = GradientProblem(Euclidean(2), lambda x: 0.5 * (x * x).sum(-1))
# steps of 1/2 halve x: norms 1, 1/2, 1/4, ... and costs 1/2, 1/8, 1/32, ...; the second start is sixteen times as far
STARTS = torch.tensor([[1.0, 0.0], [0.0, 16.0]], dtype=D)


def halving(stop, x=STARTS, **options):
    o = GradientDescentOptions(x, stepsize=ConstantStepsize(0.5), stop=StopAfterIteration(60) | stop, **options)
    return solve(P, o)


CASES = [
    # |x_i - x_(i-1)| = |g_i - g_(i-1)| = 2^-i, of the costs 3/2 4^-i
    (StopWhenGradientChangeLess(2.0**-5), [6, 10], "changed the gradient in a step by less than 0.03125"),
    (StopWhenCostChangeLess(1.5 * 4.0**-5), [6, 10], "changed the cost in a step by less than"),
    (StopWhenEntryChangeLess(":gradient", 2.0**-5), [6, 10], "changed gradient in a step by less than 0.03125"),
    (
        StopWhenEntryChangeLess("cost", 4.0**-5, distance=lambda p, o, a, b: (a - b).abs() / 1.5),
        [6, 10],
        "changed cost in a step",
    ),
    (StopWhenRelativeAPosterioriCostChangeLessOrEqual(1.5 * 4.0**-5), [5, 9], "no more than 0.00146484, relative"),
    (StopWhenRelativeGradientNormLess(2.0**-5), [6, 6], "reduced the gradient norm by a factor of 0.03125"),
    (StopWhenSmallerOrEqual("cost", 0.5 * 4.0**-5), [5, 9], "field cost was at most"),
    (StopWhenSubgradientNormLess(2.0**-5), [6, 10], "reached a subgradient norm below 0.03125"),
    (StopWhenGradientNormLess(2.0**-5).after(7), [8, 10], "gradient norm below 0.03125 after 8 iterations. It counts"),
    (StopWhenGradientNormLess(2.0**-5).at(7), [7, 60], "It counts in iteration 7."),
    (StopWhenGradientNormLess(2.0**-5).before(9), [6, 60], "It counts before iteration 9."),
]


@pytest.mark.parametrize(("stop", "iterations", "text"), CASES, ids=[repr(c[0]) for c in CASES])
def test_each_problem_stops_in_its_own_iteration(stop, iterations, text):
    o = halving(stop)
    assert o.iterations.tolist() == iterations
    assert text in get_reason(o)[0]
    for k in range(2):
        lone = halving(stop, STARTS[k])
        assert lone.iterations == iterations[k]
    assert halving(stop, check_every=4).iterations.tolist() == iterations
    assert report(o).converged == (sum(i < 60 for i in iterations) if stop.indicates_convergence else 0)


@pytest.mark.parametrize(("stop", "iterations", "text"), CASES, ids=[repr(c[0]) for c in CASES])
def test_a_resumed_run_stops_in_the_same_iteration(stop, iterations, text):
    for n in (1, 4):
        half = GradientDescentOptions(STARTS, stepsize=ConstantStepsize(0.5), stop=StopAfterIteration(n) | stop)
        state = state_dict(solve(P, half))
        rest = GradientDescentOptions(STARTS, stepsize=ConstantStepsize(0.5), stop=StopAfterIteration(60) | stop)
        assert solve(P, load_state_dict(rest, state)).iterations.tolist() == iterations


@pytest.mark.parametrize(
    "stop", [StopWhenGradientChangeLess(1e9), StopWhenCostChangeLess(1e9), StopWhenEntryChangeLess("x", 1e9)], ids=repr
)
def test_before_the_first_step_there_is_no_change(stop):
    o = GradientDescentOptions(STARTS[0], stepsize=ConstantStepsize(0.5))
    assert [bool(stop(P, o, i)) for i in (0, 1, 1, 0)] == [False, True, True, False]
    fresh = GradientDescentOptions(STARTS[0])
    assert not stop(P, fresh, 3)  # asked for the first time
    assert stop(P, fresh, 4)


def test_gradients_are_transported_before_they_are_compared():
    M = Sphere(3)
    p = GradientProblem(M, lambda x: x[..., 2])
    stop = StopWhenGradientChangeLess(0.5)
    o = GradientDescentOptions(torch.tensor([1.0, 0.0, 0.0], dtype=D))
    o.gradient = torch.tensor([0.0, 3.0, 4.0], dtype=D)
    assert not stop(p, o, 0)
    # at (0, 1, 0) the transport leaves (0, 0, 4); the plain difference is long
    o.x, o.gradient = torch.tensor([[0.0, 1.0, 0.0], [0.3, 0.0, 4.0]], dtype=D)
    assert stop(p, o, 1)
    assert o.memory[stop]["change"] == pytest.approx(0.3)


def test_the_default_of_the_relative_decrease_depends_on_the_type():
    stop = StopWhenRelativeAPosterioriCostChangeLessOrEqual()
    for dtype, eps in ((D, 2.0**-52), (torch.float32, 2.0**-23)):
        o = halving(stop, torch.tensor([1.0, 0.0], dtype=dtype))
        # 3/2 4^-i <= 1e7 eps
        assert o.iterations == max(1, math.ceil(math.log(1.5 / (1e7 * eps), 4)))
    assert "1e7 units of rounding" in stop.reason(None, 3)
    assert not stop.indicates_convergence


def test_a_step_upwards_counts_as_no_decrease():
    o = GradientDescentOptions(
        STARTS[0],
        stepsize=ConstantStepsize(3.0),
        stop=StopAfterIteration(9) | StopWhenRelativeAPosterioriCostChangeLessOrEqual(0.0),
    )
    assert solve(P, o).iterations == 1


def test_a_field_that_is_set_by_the_first_step():
    o = GradientDescentOptions(
        STARTS, stepsize=DecreasingStepsize(0.5), stop=StopWhenEntryChangeLess("last_stepsize", 0.05)
    )
    # 0.5 / i: differences of 0.25, 0.083, 0.042, and none in the first step
    assert solve(P, o).iterations.tolist() == [4, 4]
    o = GradientDescentOptions(
        STARTS, stepsize=DecreasingStepsize(0.5), stop=StopWhenSmallerOrEqual("last_stepsize", 0.125)
    )
    assert solve(P, o).iterations.tolist() == [4, 4]


def test_subgradients_at_the_start_do_not_count():
    p = SubGradientProblem(Euclidean(1), lambda x: x.abs().sum(-1), lambda x: x.sign())
    stop = StopWhenSubgradientNormLess(1e-3)
    o = GradientDescentOptions(torch.tensor([[0.0], [2.0]], dtype=D))
    assert stop(p, o, 0) is False
    assert stop(p, o, 1).tolist() == [True, False]


def test_criteria_are_asked_where_they_do_not_count():
    # a change is the one of the last step, also where the former ones did not count
    o = halving(StopWhenChangeLess(2.0**-3).after(5))
    assert o.iterations.tolist() == [6, 8]
    budget = StopAfterIteration(3).after(1)
    assert budget.is_budget and halving(budget).iterations.tolist() == [3, 3]


@pytest.mark.parametrize("field", ["nothing", ":nothing"])
@pytest.mark.parametrize("kind", [StopWhenEntryChangeLess, StopWhenSmallerOrEqual])
def test_a_field_that_is_not_there_is_named_at_the_start(kind, field):
    with pytest.raises(UnknownSymbolError, match=":nothing is no symbol and no field of GradientDescentOptions"):
        halving(kind(field, 0.1))


@together()
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: StopWhenGradientChangeLess(-1.0), "StopWhenGradientChangeLess: eps must lie in"),
        (lambda: StopWhenCostChangeLess(math.nan), "StopWhenCostChangeLess: eps must lie in"),
        (lambda: StopWhenEntryChangeLess("x", "small"), "StopWhenEntryChangeLess: eps must lie in"),
        (lambda: StopWhenEntryChangeLess(3, 1.0), "field must be a name such as 'last_stepsize', got 3"),
        (lambda: StopWhenRelativeAPosterioriCostChangeLessOrEqual(-1.0), "eps must lie in"),
        (lambda: StopWhenRelativeGradientNormLess(-1.0), "eps must lie in"),
        (lambda: StopWhenSubgradientNormLess(-1.0), "eps must lie in"),
        (lambda: StopWhenSmallerOrEqual("a b", 1.0), "field must be a name"),
        (lambda: StopWhenSmallerOrEqual("cost", math.nan), "v must be a number"),
        (lambda: StopWhenCostLess(1.0).after(-1), "n must be an int >= 0, got -1"),
        (lambda: StopWhenCriterionWithIterationCondition(3, 3), "takes a stopping criterion, got 3"),
        (
            lambda: StopWhenCriterionWithIterationCondition(StopWhenCostLess(1.0), 3, "since"),
            "when must be one of after, at, before, got 'since'",
        ),
    ],
)
def test_parameters_are_checked(make, message):
    with pytest.raises(OptionsError, match=message):
        make()
