"""The loop: what it checks first, what it returns, and that problems of a batch do not disturb each other."""

import math

import pytest
import torch

from manopt_torch import (
    ArmijoLinesearch,
    ConstantStepsize,
    DebugOptions,
    Euclidean,
    GradientDescentOptions,
    GradientProblem,
    Options,
    RecordOptions,
    StopAfterIteration,
    StopWhenCostLess,
    StopWhenGradientNormLess,
    get_reason,
    get_record,
    get_solver_result,
    levenberg_marquardt,
    solve,
    steepest_descent,
)
from manopt_torch.errors import (
    NonFiniteError,
)
from tests.together import together

D = torch.float64
M = Euclidean(2)
P = GradientProblem(M, lambda x: 0.5 * (x * x).sum(-1))
HALVE = {"stepsize": ConstantStepsize(0.5)}


def options(x, n=3, **more):
    return GradientDescentOptions(x, stop=StopAfterIteration(n), **{**HALVE, **more})


# ---- what comes back ------------------------------------------------------------------------------------------------


@together()
@pytest.mark.parametrize("batch", [(), (2,), (2, 3), (0,)])
@pytest.mark.parametrize("dtype", [torch.float32, D])
def test_the_options_given_come_back_with_the_result(batch, dtype):
    x = torch.full((*batch, 2), 8.0, dtype=dtype)
    start = x.clone()
    o = options(x, check_every=1)
    assert solve(P, o) is o
    assert torch.equal(o.x, start / 8)
    assert get_solver_result(o) is o.x
    assert o.x0 is x and torch.equal(x, start)
    assert (o.x.dtype, o.gradient.dtype, o.cost.dtype) == (dtype,) * 3
    assert torch.equal(o.gradient, o.x) and torch.equal(o.cost, 0.5 * (o.x * o.x).sum(-1))
    assert not o.x.requires_grad and not o.cost.requires_grad
    decorated = RecordOptions(DebugOptions(options(x), {}), [":Cost"])
    assert solve(P, decorated) is decorated
    assert torch.equal(get_solver_result(decorated), start / 8)


def test_lone_state_consists_of_numbers():
    o = solve(P, options(torch.ones(2)))
    assert (o.active, o.broken, o.stagnated, o.iterations, o.reason_code) == (False, False, False, 3, 1)
    assert o.last_stepsize == 0.5


def test_a_start_that_requires_grad_is_left_alone():
    x = torch.ones(2, requires_grad=True)
    o = solve(P, options(x))
    assert not o.x.requires_grad and x.grad is None
    none = solve(P, options(x, n=0))  # no step: still no part of the caller's graph
    assert torch.equal(none.x, x) and not none.x.requires_grad and not none.x0.requires_grad


@pytest.mark.parametrize("enabled", [True, False])
def test_grad_mode_is_restored_also_after_errors(enabled):
    def wall(x):
        raise ZeroDivisionError

    with torch.set_grad_enabled(enabled):
        solve(P, options(torch.ones(2)))
        assert torch.is_grad_enabled() == enabled
        with pytest.raises(ZeroDivisionError):
            solve(GradientProblem(M, wall), options(torch.ones(2)))
        assert torch.is_grad_enabled() == enabled


def test_user_callables_run_without_grad_unless_autograd_needs_them():
    modes = {}

    def gradient(x):
        modes["gradient"] = torch.is_grad_enabled()
        return x

    def cost(x):
        modes["cost"] = torch.is_grad_enabled()
        return P.cost(x)

    solve(GradientProblem(M, cost, gradient), options(torch.ones(2)))
    assert modes == {"gradient": False, "cost": False}
    solve(GradientProblem(M, cost), options(torch.ones(2)))
    assert modes["cost"]


def test_nothing_is_evaluated_twice():
    points = []
    p = GradientProblem(M, lambda x: points.append(x.detach().clone()) or P.cost(x))
    o = solve(p, GradientDescentOptions(torch.tensor([3.0, 1.0]), stop=StopAfterIteration(5)), record=[":Cost"])
    assert len({tuple(x.tolist()) for x in points}) == len(points) == o.evaluations["cost"]
    assert o.evaluations["gradient"] == 6


def test_no_graph_outlives_a_run():
    o = solve(P, GradientDescentOptions(torch.ones(3, 2), stepsize=ArmijoLinesearch(), stop=StopAfterIteration(2)))
    assert o.trial is None
    assert all(not t.requires_grad for t in (o.x, o.cost, o.gradient))


def test_solved_twice_from_fresh_options_gives_the_same():
    x = torch.randn(4, 2, generator=torch.Generator().manual_seed(0), dtype=D)
    a, b = (solve(P, GradientDescentOptions(x, stop=StopAfterIteration(7))) for _ in range(2))
    assert torch.equal(a.x, b.x) and torch.equal(a.last_stepsize, b.last_stepsize)


# ---- problems that break, and their neighbours ----------------------------------------------------------------------


def test_all_starts_broken_is_an_error():
    p = GradientProblem(Euclidean(1), lambda x: x.log().sum(-1))
    for x in (-torch.ones(1), -torch.ones(3, 1), torch.zeros(2, 1)):
        with pytest.raises(NonFiniteError, match="not finite at the start of every problem: start elsewhere"):
            solve(p, options(x))
    for x in (torch.zeros(1), torch.zeros(3, 1)):  # finite cost, infinite gradient
        with pytest.raises(NonFiniteError, match="the gradient is not finite .* while the cost is: look for a root"):
            solve(GradientProblem(Euclidean(1), lambda x: x.sqrt().sum(-1)), options(x))
        with pytest.raises(NonFiniteError, match="the gradient is not finite .* while the cost is: look for a root"):
            levenberg_marquardt(Euclidean(1), lambda x: x.sqrt() - 1, x)


def test_a_broken_problem_keeps_its_last_finite_point_and_the_others_do_not_notice():
    p = GradientProblem(Euclidean(1), lambda x: x.log().sum(-1))
    x = torch.tensor([[4.0], [-1.0], [1.0], [9.0]], dtype=D)
    o = solve(p, options(x, n=6))
    alone = [solve(p, options(x[k : k + 2][:1].expand(2, 1), n=6)) for k in (0, 3)]
    assert torch.equal(o.x[0], alone[0].x[0]) and torch.equal(o.x[3], alone[1].x[0])
    assert o.iterations.tolist()[1] == 0 and o.broken.tolist()[1]
    assert torch.equal(o.x[1], x[1])
    steps = o.iterations[2].item()  # 1 -> 0.5 -> -0.5: the second step meets the wall
    assert (steps, o.x[2].item()) == (2, 0.5)
    assert "non-finite at iteration 2" in get_reason(o)[2] and "non-finite at iteration 0" in get_reason(o)[1]
    assert torch.isfinite(o.cost[[0, 2, 3]]).all()


def test_a_problem_that_has_ended_does_not_break_any_more():
    # after 0.75 - 0.5 / 0.75 = 0.083 a step more would lead beyond the wall at 0
    p = GradientProblem(Euclidean(1), lambda x: x.log().sum(-1))
    x = torch.tensor([[0.75], [9.0]], dtype=D)
    o = solve(p, GradientDescentOptions(x, stop=StopWhenCostLess(-1.0) | StopAfterIteration(5), **HALVE))
    assert o.iterations.tolist() == [1, 5]
    assert o.broken.tolist() == [False, False]
    assert "cost below -1" in get_reason(o)[0]
    assert math.isclose(o.x[0].item(), 0.75 - 0.5 / 0.75)


def test_a_lone_problem_breaks_alike():
    p = GradientProblem(Euclidean(1), lambda x: x.log().sum(-1))
    o = solve(p, options(torch.tensor([1.0], dtype=D), n=6), record=[":Cost"])
    assert (o.x.item(), o.iterations, o.broken) == (0.5, 2, True)
    assert "non-finite at iteration 2" in get_reason(o)
    assert get_record(o)[-1][0] == math.log(0.5)


@pytest.mark.parametrize(
    "search", [ConstantStepsize(0.03), ArmijoLinesearch(), ArmijoLinesearch(contraction_factor=0.5)]
)
def test_every_sub_batch_agrees_in_bits(search):
    generator = torch.Generator().manual_seed(2)
    x = torch.randn(7, 2, generator=generator, dtype=D)
    w = 0.5 + 5 * torch.rand(7, 2, generator=generator, dtype=D)
    stop = StopAfterIteration(60) | StopWhenGradientNormLess(1e-3)

    def run(rows):
        p = GradientProblem(M, lambda x, w: (w * x**2).sum(-1) + 0.1 * (x**4).sum(-1), data=(w[rows],))
        return solve(p, GradientDescentOptions(x[rows], stepsize=search, stop=stop))

    whole = run(torch.arange(7))
    for rows in ([0, 1], [5, 2, 6], [6, 5, 4, 3, 2, 1, 0]):
        part = run(torch.tensor(rows))
        for name in ("x", "cost", "gradient", "iterations", "reason_code", "last_stepsize"):
            assert torch.equal(getattr(part, name), getattr(whole, name)[rows]), name
    for k in range(7):  # elementwise operations only: alone it is the same too
        lone = run(k)
        assert torch.equal(lone.x, whole.x[k])
        assert lone.iterations == whole.iterations[k]


@pytest.mark.parametrize("check_every", [2, 5, 1000])
def test_reading_late_changes_nothing(check_every):
    x = torch.tensor([[0.5, 0.0], [3.0, 4.0], [30.0, 40.0], [0.0, 0.0]], dtype=D)
    stop = StopAfterIteration(30) | StopWhenGradientNormLess(1.0)
    a, b = (solve(P, GradientDescentOptions(x, stop=stop, check_every=n, **HALVE)) for n in (1, check_every))
    assert a.iterations.tolist() == b.iterations.tolist() == [0, 3, 6, 0]
    assert torch.equal(a.x, b.x)
    assert get_reason(a) == get_reason(b)


def test_options_without_a_criterion_stop_after_a_hundred_iterations():
    from manopt_torch.plans.begin import begin

    o = Options(torch.ones(2))
    begin(P, o)
    assert o.stop.n == 100


def test_meta_tensors_run_through():
    x = torch.ones(5, 2, device="meta")
    assert steepest_descent(M, P.cost, x, stop=StopAfterIteration(4)).shape == (5, 2)


def test_the_count_of_running_problems_is_known_from_the_start_to_the_end():
    for batch in ((), (2, 3)):
        counts = []
        note = lambda p, o, i, counts=counts: counts.append(o.active_count)  # noqa: E731
        o = GradientDescentOptions(torch.ones(*batch, 2), stop=StopAfterIteration(3))
        solve(GradientProblem(Euclidean(2), lambda x: x.square().sum(-1)), o, debug={":Start": note})
        assert (counts, o.active_count) == ([6 if batch else 1], 0)
