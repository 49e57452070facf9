"""Backtracking by parabolas: closed forms on quadratics, few trials, each problem its own, edges."""

import pytest
import torch

from manopt_torch import (
    ConjugateGradientOptions,
    Euclidean,
    GradientDescentOptions,
    GradientProblem,
    HestenesStiefelCoefficient,
    OptionsError,
    ParabolicLinesearch,
    StopAfterIteration,
    StopWhenGradientNormLess,
    get_reason,
    solve,
)
from tests.together import together

D = torch.float64


def quadratic(x, a):
    return 0.5 * (a * x * x).sum(-1)


def test_the_step_goes_to_the_minimum_of_a_parabola_from_either_side():
    x, a = torch.tensor([3.0], dtype=D), torch.tensor([8.0], dtype=D)
    asked = []

    def f(x):
        asked.append(x)
        return quadratic(x, a)

    for first, trials in ((0.125, 1), (1.0, 2), (0.03125, 2)):  # the best, too long, too short
        asked.clear()
        assert ParabolicLinesearch(first)(Euclidean(1), x, f, a * x) == 0.125
        assert len(asked) == 1 + trials  # one at x
    directions = -a * x * torch.tensor([[1.0], [0.25], [50.0]], dtype=D)
    batch = ParabolicLinesearch()(Euclidean(1), x.expand(3, 1), f, (a * x).expand(3, 1), directions)
    torch.testing.assert_close(batch, torch.tensor([0.125, 0.5, 0.0025], dtype=D), rtol=1e-12, atol=0.0)


def test_the_curvature_is_learnt_by_each_problem():
    a = torch.tensor([[1.0], [16.0], [1e6]], dtype=D)
    o = GradientDescentOptions(torch.ones(3, 1, dtype=D), stepsize=ParabolicLinesearch(), stop=StopAfterIteration(1))
    solve(GradientProblem(Euclidean(1), quadratic, data=(a,)), o)
    torch.testing.assert_close(o.memory[o.stepsize]["curvature"], a[:, 0], rtol=1e-6, atol=0.0)
    assert (o.cost[:2] < 1e-20).all()


@pytest.mark.parametrize("batch", [(), (2,)], ids=str)
def test_conjugate_gradients_take_one_evaluation_an_iteration(batch):
    a = torch.linspace(1, 4, 12, dtype=D)
    stop = StopAfterIteration(60) | StopWhenGradientNormLess(1e-6)
    search = ParabolicLinesearch()
    x = torch.ones(*batch, 12, dtype=D)
    o = ConjugateGradientOptions(x, coefficient=HestenesStiefelCoefficient(), stepsize=search, stop=stop)
    solve(GradientProblem(Euclidean(12), lambda x: quadratic(x, a)), o)
    assert o.iteration <= 20  # steps to the minimum reduce the error to a third each: 15
    assert o.evaluations["cost"] <= 1 + 1.5 * o.iteration
    assert o.evaluations["gradient"] == o.iteration + 1


def test_a_problem_does_not_depend_on_its_neighbours():
    a = torch.tensor([[1.0, 30.0], [5.0, 400.0], [0.01, 2.0], [7.0, 1.0]], dtype=D)

    def run(rows):
        o = GradientDescentOptions(
            torch.ones(len(rows), 2, dtype=D), stepsize=ParabolicLinesearch(), stop=StopAfterIteration(7)
        )
        solve(GradientProblem(Euclidean(2), lambda x, a: quadratic(x, a) + x.sum(-1).cos(), data=(a[rows],)), o)
        return o.x

    assert torch.equal(run([0, 1, 2, 3])[[3, 1]], run([3, 1]))


def test_no_descent_is_stagnation():
    class Wrong(ParabolicLinesearch):
        def __call__(self, p, o, i, eta=None):
            uphill = torch.where(o.cost[:, None] > 3, o.gradient, -o.gradient)
            return ParabolicLinesearch.__call__(self, p, o, i, uphill)

    x = torch.tensor([[1.0], [5.0]], dtype=D)
    o = GradientDescentOptions(x, stepsize=Wrong(), stop=StopAfterIteration(3))
    solve(GradientProblem(Euclidean(1), lambda x: quadratic(x, 1.0)), o)
    assert "stagnated" in get_reason(o)[1] and o.x[1] == 5.0
    assert abs(o.x[0]) < 1e-9


@pytest.mark.parametrize("batch", [(), (2,)], ids=str)
def test_infinity_is_refused_and_steps_are_cut_off(batch):
    wall = lambda x: torch.where(x[..., 0] < 0.75, torch.inf, (x * x).sum(-1))  # noqa: E731
    x = torch.ones(*batch, 1, dtype=D)
    step = torch.as_tensor(ParabolicLinesearch()(Euclidean(1), x, wall, 2 * x))
    assert ((step > 0.0) & (step <= 0.125)).all()
    line = lambda x: -x.sum(-1)  # noqa: E731
    short = ParabolicLinesearch(max_stepsize=0.5)(Euclidean(1), x, line, -torch.ones_like(x), 4 * torch.ones_like(x))
    assert torch.as_tensor(short).eq(4 * 0.125).all()
    long = ParabolicLinesearch()(Euclidean(1), x, line, -torch.ones_like(x))
    assert torch.as_tensor(long).eq(4.0).all()  # a straight line is followed a little farther each time


@together()
@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"initial_stepsize": 0.0}, "initial_stepsize must lie in"),
        ({"sufficient_decrease": 0.5}, r"sufficient_decrease must lie in \(0.0, 0.5\)"),
        ({"growth_threshold": 1.0}, "growth_threshold must lie in"),
        ({"max_stepsize": 0.0}, "max_stepsize must lie in"),
        ({"max_decreases": 0}, "max_decreases must be an int >= 1"),
        ({"cost_resolution": -0.1}, "cost_resolution must lie in"),
    ],
)
def test_parameters_out_of_range(wrong, words):
    with pytest.raises(OptionsError, match=words):
        ParabolicLinesearch(**wrong)


def test_called_by_hand_before_a_run():
    p = GradientProblem(Euclidean(1), lambda x: quadratic(x, 4.0))
    o = GradientDescentOptions(torch.ones(1, dtype=D), stepsize=ParabolicLinesearch(0.5))
    assert o.stepsize.initial(p, o) == 0.5 and o.stepsize(p, o, 1) == 0.25
    assert repr(o.stepsize) == "ParabolicLinesearch(initial_stepsize=0.5)"
