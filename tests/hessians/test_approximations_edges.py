"""Approximations of Hessians: the second update, and the bounds at which an update is left out, by hand."""

from typing import Any

import torch

from manopt_torch import (
    ApproxHessianBFGS,
    ApproxHessianSymmetricRankOne,
    Euclidean,
    GradientProblem,
    TrustRegionsOptions,
    initialize_solver,
)

F64 = torch.float64


def learned(rule: Any, *pairs: tuple[list[float], list[float]]) -> torch.Tensor:
    """Return the matrix of a rule after steps s on the plane that change the gradient by y."""
    o: Any = TrustRegionsOptions(torch.zeros(2, dtype=F64), hessian=rule)
    problem = GradientProblem(Euclidean(2), lambda x: x.sum(-1))
    initialize_solver(problem, o)
    for s, y in pairs:
        x, gradient, eta = o.x, o.gradient, torch.tensor(s, dtype=F64)
        o.x, o.gradient = x + eta, gradient + torch.tensor(y, dtype=F64)
        rule.update(problem, o, True, x, gradient, eta)
    return o.memory[rule]["matrix"]


def assert_matrix(found: torch.Tensor, known: list[list[float]]) -> None:
    torch.testing.assert_close(found, torch.tensor(known, dtype=F64), rtol=1e-14, atol=1e-14)


def test_only_the_first_update_replaces_the_scale() -> None:
    first, second = ([1.0, 0.0], [2.0, 2.0]), ([0.0, 1.0], [1.0, 3.0])
    assert_matrix(learned(ApproxHessianBFGS(), first), [[2, 2], [2, 6]])
    # + y y' / 3 - (2, 6) (2, 6)' / 6
    assert_matrix(learned(ApproxHessianBFGS(), first, second), [[5 / 3, 1], [1, 3]])


def test_an_update_left_out_leaves_the_scale_to_the_next() -> None:
    out, first = ([1.0, 0.0], [-1.0, 0.0]), ([1.0, 0.0], [2.0, 2.0])
    assert_matrix(learned(ApproxHessianBFGS(initial_scale=7.0), out), [[7, 0], [0, 7]])
    assert_matrix(learned(ApproxHessianBFGS(initial_scale=7.0), out, first), [[2, 2], [2, 6]])


def test_a_cautious_update_asks_for_curvature() -> None:
    rule = ApproxHessianBFGS(cautious=1.0)
    assert_matrix(learned(rule, ([1.0, 0.0], [0.75, 1.0])), [[1, 0], [0, 1]])  # <y, s> = 0.75 <s, s>
    assert_matrix(learned(rule, ([1.0, 0.0], [1.0, 1.0])), [[1, 1], [1, 3]])  # at the bound
    never_zero = ApproxHessianBFGS(cautious=0.0)
    assert_matrix(learned(never_zero, ([1.0, 0.0], [0.0, 1.0])), [[1, 0], [0, 1]])


def test_a_rank_one_update_of_small_denominator_is_left_out() -> None:
    # r = (1, 2): <r, s> is 1 / sqrt(5) = 0.447 of the product of the lengths, whatever the length of s
    for length in (1.0, 4.0):
        pair = ([length, 0.0], [2 * length, 2 * length])
        assert_matrix(learned(ApproxHessianSymmetricRankOne(nu=0.5), pair), [[1, 0], [0, 1]])
        assert_matrix(learned(ApproxHessianSymmetricRankOne(nu=0.4), pair), [[2, 2], [2, 5]])
    # a step that turns out as foretold is learned already: r = 0
    assert_matrix(learned(ApproxHessianSymmetricRankOne(nu=0.0), ([1.0, 0.0], [1.0, 0.0])), [[1, 0], [0, 1]])
