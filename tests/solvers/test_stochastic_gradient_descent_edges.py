"""Stochastic gradient descent: directions that do not suit the manifold, and the line search's second look."""

from typing import Any

import pytest
import torch

from manopt_torch import (
    ArmijoLinesearch,
    ClipNormRule,
    Euclidean,
    LinearEvalOrder,
    OptionsError,
    Sphere,
    StochasticGradientDescentOptions,
    StochasticProblem,
    StopAfterIteration,
    WeightDecayRule,
    initialize_solver,
    solve,
)

D = torch.float64


def test_a_rule_for_flat_spaces_is_refused_on_a_sphere() -> None:
    problem = StochasticProblem(Sphere(3), [lambda x: x[..., 0], lambda x: x[..., 1]])
    o = StochasticGradientDescentOptions(torch.tensor([0.6, 0.8, 0.0], dtype=D), direction=WeightDecayRule(0.1))
    with pytest.raises(OptionsError, match="WeightDecayRule changes single entries"):
        initialize_solver(problem, o)


@pytest.mark.parametrize("rule", [None, ClipNormRule(1.0)], ids=repr)
def test_after_a_search_cost_and_gradient_are_those_of_the_next_term(rule: Any) -> None:
    """Two parabolas by turns: a full step leads to the minimum of the one, where the other is looked at."""
    terms = [lambda x: 0.5 * (x - 1).square().sum(-1), lambda x: 0.5 * (x + 0.5).square().sum(-1)]
    problem = StochasticProblem(Euclidean(1), terms, order=LinearEvalOrder())
    search = ArmijoLinesearch(contraction_factor=0.5, sufficient_decrease=0.5)
    for n, x, cost, gradient in ((1, 1.0, 1.125, 1.5), (2, -0.5, 1.125, -1.5)):
        start = torch.zeros(1, dtype=D)
        o = StochasticGradientDescentOptions(start, stepsize=search, direction=rule, stop=StopAfterIteration(n))
        solve(problem, o)
        if n == 2 and rule is not None:  # from 1 a step of 3/2 is cut off at length one
            x, cost, gradient = 0.0, 0.5, -1.0
        assert (o.x.item(), float(o.cost), o.gradient.item()) == (x, cost, gradient)
