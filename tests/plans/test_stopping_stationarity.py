"""Criteria of constrained solvers: they read the field of the solver, and say so where there is none."""

import pytest
import torch

from manopt_torch import (
    Euclidean,
    FrankWolfeOptions,
    GradientDescentOptions,
    GradientProblem,
    OptionsError,
    ProjectedGradientOptions,
    StopAfterIteration,
    StopWhenGapLess,
    StopWhenStationarityLess,
    get_reason,
    solve,
)

P = GradientProblem(Euclidean(1), lambda x: (x * x).sum(-1))
X = torch.tensor([[0.5], [-0.25]], dtype=torch.float64)


def interval(x):
    return x.clamp(-1, 1)


def test_the_gap():
    o = FrankWolfeOptions(X, oracle=lambda x, g: -g.sign(), stop=StopAfterIteration(3) | StopWhenGapLess(1.5))
    solve(P, o)
    # at the start 2 x (x + sign(x)): 1.5, which is not below, and 0.625
    assert o.iterations[1] == 0 and "Frank-Wolfe gap below 1.5 after 0 iterations" in get_reason(o)[1]
    assert o.iterations[0] > 0


def test_the_stationarity():
    o = ProjectedGradientOptions(X, projection=interval, stop=StopAfterIteration(3) | StopWhenStationarityLess(0.6))
    solve(P, o)
    # where no constraint is active it is the gradient norm, |2 x|
    assert o.iterations.tolist() == [1, 0]
    assert "projected gradient below 0.6 after 0 iterations" in get_reason(o)[1]


@pytest.mark.parametrize(
    ("criterion", "words"),
    [
        (StopWhenGapLess(0.1), "StopWhenGapLess needs the field gap, GradientDescentOptions has none"),
        (StopWhenStationarityLess(0.1), "StopWhenStationarityLess needs the field stationarity"),
    ],
)
def test_other_solvers_have_neither(criterion, words):
    with pytest.raises(OptionsError, match=words):
        solve(P, GradientDescentOptions(X, stop=criterion))


@pytest.mark.parametrize("kind", [StopWhenGapLess, StopWhenStationarityLess])
def test_the_bound_is_checked_and_shown(kind):
    assert repr(kind(0.5)) == f"{kind.__name__}(0.5)" and kind(0.5).indicates_convergence
    with pytest.raises(OptionsError, match="eps must lie in"):
        kind(-1.0)
