"""Counters around problems."""

import copy

import pytest
import torch

from manopt_torch import (
    CountedProblem,
    Euclidean,
    GradientProblem,
    HessianProblem,
    OptionsError,
    ProximalProblem,
    Sphere,
    get_cost,
    get_cost_and_gradient,
    get_gradient,
    get_hessian,
    get_preconditioner,
    get_proximal_map,
)
from manopt_torch.problems.counted import bare_problem

A = torch.tensor([[2.0, 1.0, 0.0], [1.0, 2.0, 1.0], [0.0, 1.0, 2.0]])
X = torch.tensor([1.0, 0.0, 0.0])


def rayleigh(x):
    return (x * (x @ A)).sum(-1)


def given(x):
    return 2 * (x @ A - rayleigh(x)[..., None] * x)


def test_reference_case_52():
    p = CountedProblem(GradientProblem(Sphere(3), rayleigh, given))
    get_cost(p, X)
    get_gradient(p, X)
    get_gradient(p, X)
    assert (p.count(":Cost"), p.count(":Gradient")) == (1, 2)
    get_cost_and_gradient(p, X)
    assert (p.count(":Cost"), p.count(":Gradient")) == (2, 3)
    assert p.count(":Nonsense") == -1
    with pytest.raises(OptionsError, match=r"':Nonsense' is not counted; counted are cost, gradient, hessian"):
        p.count(":Nonsense", mode="error")
    p.reset()
    assert set(p.as_dict().values()) == {0}


def test_one_call_for_a_batch_counts_once():
    p = CountedProblem(GradientProblem(Sphere(3), rayleigh))
    get_cost(p, X.expand(7, 3))
    assert p.count(":Cost") == 1


def test_names_with_and_without_colon_and_underscore():
    p = CountedProblem(ProximalProblem(Euclidean(3), rayleigh, [lambda lam, x: x]))
    get_proximal_map(p, 1.0, X, 0)
    names = (":ProximalMap", "ProximalMap", "proximal_map", ":proximal_map")
    assert [p.count(name) for name in names] == [1] * 4


def test_all_kinds():
    p = CountedProblem(HessianProblem(Sphere(3), rayleigh, preconditioner=lambda x, u: u))
    get_hessian(p, X, torch.zeros(3))
    get_preconditioner(p, X, X)
    kinds = ("cost", "gradient", "hessian", "preconditioner", "subgradient", "proximal_map", "residuals", "jacobian")
    assert p.as_dict() == dict(zip(kinds, (1, 1, 1, 1, 0, 0, 0, 0), strict=True))


def test_each_counter_counts_from_its_own_beginning():
    inner = GradientProblem(Sphere(3), rayleigh)
    get_cost(inner, X)
    early = CountedProblem(inner)
    get_cost(inner, X)
    late = CountedProblem(early)
    get_cost(late, X)
    assert (inner.counts.cost, early.count(":Cost"), late.count(":Cost")) == (3, 2, 1)
    early.reset()
    assert (inner.counts.cost, early.count(":Cost"), late.count(":Cost")) == (3, 0, 1)


def test_it_stands_in_for_the_problem():
    inner = GradientProblem(Sphere(3), rayleigh, data=())
    p = CountedProblem(CountedProblem(inner))
    assert p.M is inner.M
    assert p.provides == inner.provides
    assert bare_problem(p) is inner
    assert copy.deepcopy(p).M.point_shape == (3,)
    with pytest.raises(AttributeError, match="nothing"):
        _ = p.nothing


def test_a_sub_batch_counts_into_the_same_counters():
    inner = GradientProblem(Euclidean(3), lambda x, d: d * x.sum(-1), data=(torch.ones(4),))
    p = CountedProblem(inner)
    get_cost(p.take(torch.tensor([0, 1]), 1), X.expand(2, 3))
    assert p.count(":Cost") == 1


@pytest.mark.parametrize("wrong", [3, None, rayleigh])
def test_anything_else_is_refused(wrong):
    with pytest.raises(OptionsError, match=r"expected a Problem such as GradientProblem\(M, cost\), got"):
        CountedProblem(wrong)
