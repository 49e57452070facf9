"""The short step: closed forms on quadratics, memory of the curvature per problem, edges."""

import pytest
import torch

from manopt_torch import (
    Euclidean,
    GradientDescentOptions,
    GradientProblem,
    OptionsError,
    ShortStepLinesearch,
    StopAfterIteration,
    get_reason,
    get_record,
    solve,
)
from tests.together import together

D = torch.float64


def quadratic(x, a):
    return 0.5 * (a * x * x).sum(-1)


def test_the_step_of_a_known_curvature_minimises_the_model():
    x, a = torch.tensor([3.0, 0.0], dtype=D), torch.tensor([8.0, 1.0], dtype=D)
    search = ShortStepLinesearch(curvature=8.0)
    assert search(Euclidean(2), x, lambda x: quadratic(x, a), a * x) == 1 / 8
    batch = search(Euclidean(2), x.expand(2, 2), lambda x: quadratic(x, a), torch.stack([a * x, 0.5 * a * x]))
    assert batch.tolist() == [1 / 8, 1 / 8]


def test_the_step_is_cut_off():
    x = torch.tensor([1.0], dtype=D)
    f = lambda x: 0.005 * (x * x).sum(-1)  # noqa: E731
    assert ShortStepLinesearch()(Euclidean(1), x, f, 0.01 * x) == 1.0
    assert ShortStepLinesearch(max_stepsize=3.0)(Euclidean(1), x, f, 0.01 * x) == 3.0
    direction = torch.tensor([-0.5], dtype=D)  # towards the minimum, half the way
    assert ShortStepLinesearch(curvature=0.02)(Euclidean(1), x, f, 0.01 * x, direction) == 1.0


def test_the_curvature_is_learnt_by_each_problem():
    a = torch.tensor([[1.0], [16.0], [100.0]], dtype=D)
    o = GradientDescentOptions(torch.ones(3, 1, dtype=D), stepsize=ShortStepLinesearch(), stop=StopAfterIteration(30))
    solve(GradientProblem(Euclidean(1), quadratic, data=(a,)), o, record=[":Stepsize", ":Cost"])
    former = quadratic(torch.ones(3, 1, dtype=D), a)
    for step, cost in get_record(o):
        # steps up to 1 / L pass, steps beyond 1 / L do not: on a quadratic the test is s <= 1 / a
        assert (step * a[:, 0] <= 1 + 1e-12).all() and (step * a[:, 0] > 0.5 - 1e-12).all()
        assert (cost <= former).all()
        former = cost
    assert (o.cost < 1e-10).all()


def test_few_trials_are_needed():
    a = torch.tensor([1.0, 3.0], dtype=D)
    o = GradientDescentOptions(torch.ones(2, dtype=D), stepsize=ShortStepLinesearch(), stop=StopAfterIteration(50))
    solve(GradientProblem(Euclidean(2), lambda x: quadratic(x, a)), o)
    assert o.evaluations["cost"] <= 1 + 1.2 * 50 + 2


def test_no_descent_is_stagnation():
    class Wrong(ShortStepLinesearch):
        def __call__(self, p, o, i, eta=None):
            return ShortStepLinesearch.__call__(
                self, p, o, i, torch.where(o.cost[:, None] > 3, o.gradient, -o.gradient)
            )

    x = torch.tensor([[1.0], [5.0]], dtype=D)
    o = GradientDescentOptions(x, stepsize=Wrong(), stop=StopAfterIteration(5))
    solve(GradientProblem(Euclidean(1), lambda x: quadratic(x, 1.0)), o)
    assert "stagnated" in get_reason(o)[1] and o.x[1] == 5.0
    assert abs(o.x[0]) < 0.1


@pytest.mark.parametrize("batch", [(), (2,)])
def test_infinity_is_refused(batch):
    wall = lambda x: torch.where(x[..., 0] < 0.75, torch.inf, (x * x).sum(-1))  # noqa: E731
    x = torch.ones(*batch, 1, dtype=D)
    step = ShortStepLinesearch()(Euclidean(1), x, wall, 2 * x)
    assert torch.as_tensor(step).eq(0.125).all()


@together()
@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"curvature": -1.0}, r"curvature must lie in \[0.0, inf\)"),
        ({"decay": 0.0}, r"decay must lie in \(0.0, 1.0\]"),
        ({"max_stepsize": 0.0}, "max_stepsize must lie in"),
        ({"contraction_factor": 1.0}, "contraction_factor must lie in"),
        ({"max_decreases": 0}, "max_decreases must be an int >= 1"),
        ({"cost_resolution": -0.1}, "cost_resolution must lie in"),
    ],
)
def test_parameters_out_of_range(wrong, words):
    with pytest.raises(OptionsError, match=words):
        ShortStepLinesearch(**wrong)


def test_it_says_what_was_changed():
    assert repr(ShortStepLinesearch()) == "ShortStepLinesearch()"
    assert repr(ShortStepLinesearch(2.0, max_decreases=9)) == "ShortStepLinesearch(curvature=2.0, max_decreases=9)"


def test_called_by_hand_before_a_run():
    p = GradientProblem(Euclidean(1), lambda x: quadratic(x, 4.0))
    o = GradientDescentOptions(torch.ones(1, dtype=D), stepsize=ShortStepLinesearch(4.0))
    assert o.stepsize.initial(p, o) == 1.0
    assert o.stepsize(p, o, 1) == 0.25
