"""The derivative of a solution against closed forms, torch's own decompositions and differences of SciPy's fits."""

import numpy as np
import pytest
import scipy.optimize
import torch

from manopt_torch import (
    ConstrainedProblem,
    CostProblem,
    CountedProblem,
    Euclidean,
    FixedRank,
    GradientProblem,
    HessianProblem,
    LeastSquaresProblem,
    LevenbergMarquardtOptions,
    MissingDerivativeError,
    NelderMeadOptions,
    Product,
    QuasiNewtonOptions,
    Sphere,
    StopAfterIteration,
    StopWhenGradientNormLess,
    SymmetricPositiveDefinite,
    TrustRegionsOptions,
    differentiable_solution,
    solve,
)
from manopt_torch.errors import ManoptError

D = torch.float64


def drawn(*shape, dtype=D, seed=0):
    return torch.randn(shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def solved(p, x):
    tolerance = 1e-10 if x.dtype == D else 1e-5
    return solve(p, TrustRegionsOptions(x, stop=StopAfterIteration(200) | StopWhenGradientNormLess(tolerance)))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["float64", "float32"])
@pytest.mark.parametrize("batch", [(), (2,), (2, 3)], ids=str)
def test_ridge_regression_in_closed_form(batch, dtype):
    A, b = drawn(*batch, 8, 3, dtype=dtype), drawn(*batch, 8, dtype=dtype, seed=1)
    weight = (0.5 + drawn(*batch, dtype=dtype, seed=2).square()).requires_grad_()

    def cost(x, A, b, weight):
        return ((A @ x[..., None])[..., 0] - b).square().sum(-1) + weight * x.square().sum(-1)

    p = HessianProblem(Euclidean(3), cost, data=(A, b, weight))
    o = solved(p, torch.zeros(*batch, 3, dtype=dtype))
    assert not o.x.requires_grad  # a run records nothing, whatever its data
    x = differentiable_solution(p, o)
    assert torch.equal(x.detach(), o.x)
    closed = torch.linalg.solve(A.mT @ A + weight[..., None, None] * torch.eye(3, dtype=dtype), (A.mT @ b[..., None]))
    share = drawn(*batch, 3, dtype=dtype, seed=3)
    found, truth = (torch.autograd.grad((share * y).sum(), weight)[0] for y in (x, closed[..., 0]))
    close = {"rtol": 1e-8, "atol": 1e-10} if dtype == D else {"rtol": 1e-3, "atol": 1e-4}
    torch.testing.assert_close(found, truth, **close)


@pytest.mark.parametrize("vectorized", [True, False])
def test_eigenvectors_change_as_torch_says(vectorized):
    B, target = drawn(4, 5, 5), drawn(4, 5, seed=1)
    B = (B + B.mT).requires_grad_()
    M = Sphere(5)

    def cost(x, B):
        return (x * (B @ x[..., None])[..., 0]).sum(-1)

    p = HessianProblem(M, cost, data=(B,), vectorized=vectorized)
    o = solved(p, M.random_point(4, dtype=D, generator=torch.Generator().manual_seed(2)))
    leading = torch.linalg.eigh(B).eigenvectors[..., 0]
    found, truth = (
        torch.autograd.grad((y * target).sum(-1).square().sum(), B)[0] for y in (differentiable_solution(p, o), leading)
    )
    torch.testing.assert_close(found + found.mT, truth + truth.mT, rtol=1e-7, atol=1e-8)


def test_the_midpoint_of_two_matrices_in_closed_form():
    X, Y = (Z @ Z.mT + torch.eye(3, dtype=D) for Z in (drawn(2, 3, 3), drawn(2, 3, 3, seed=1)))
    X, Y = X.requires_grad_(), Y.requires_grad_()
    M = SymmetricPositiveDefinite(3)
    p = HessianProblem(M, lambda S, X, Y: M.dist(S, X) ** 2 + M.dist(S, Y) ** 2, data=(X, Y))
    o = solved(p, torch.eye(3, dtype=D).expand(2, 3, 3))

    def power(Z, t):
        values, vectors = torch.linalg.eigh(Z)
        return (vectors * values[..., None, :] ** t) @ vectors.mT

    midpoint = power(X, 0.5) @ power(power(X, -0.5) @ Y @ power(X, -0.5), 0.5) @ power(X, 0.5)
    share = drawn(2, 3, 3, seed=3)
    found, truth = (torch.autograd.grad((share * S).sum(), (X, Y)) for S in (differentiable_solution(p, o), midpoint))
    for a, b in zip(found, truth, strict=True):
        torch.testing.assert_close(a + a.mT, b + b.mT, rtol=1e-6, atol=1e-7)


def test_points_of_several_parts():
    a, b = drawn(3, seed=1).requires_grad_(), drawn(4, seed=2).requires_grad_()
    M = Product(Euclidean(3), Sphere(4))
    # least at a, and at b over its length
    p = GradientProblem(M, lambda x: (x[0] - a).square().sum(-1) - (x[1] * b).sum(-1))
    o = solve(p, QuasiNewtonOptions((torch.zeros(3, dtype=D), torch.eye(4, dtype=D)[0])))
    u, v = drawn(3, seed=3), drawn(4, seed=4)
    y = differentiable_solution(p, o)
    found = torch.autograd.grad((u * y[0]).sum() + (v * y[1]).sum(), (a, b))
    (truth,) = torch.autograd.grad((v * b / b.norm()).sum(), b)
    torch.testing.assert_close(found[0], u, rtol=1e-6, atol=1e-7)
    torch.testing.assert_close(found[1], truth, rtol=1e-6, atol=1e-7)


def test_the_nearest_matrix_of_low_rank_changes_as_torch_says():
    A = drawn(5, 4).requires_grad_()
    M = FixedRank(5, 4, 2)
    p = GradientProblem(M, lambda x: 0.5 * (M.matrix(x) - A).square().sum((-2, -1)))
    o = solve(p, QuasiNewtonOptions(M.project_point(A.detach() + 0.01 * drawn(5, 4, seed=1))))
    U, s, Vh = torch.linalg.svd(A, full_matrices=False)
    truth, found = (U[:, :2] * s[:2]) @ Vh[:2], M.matrix(differentiable_solution(p, o))
    torch.testing.assert_close(found, truth, rtol=1e-6, atol=1e-7)
    share = drawn(5, 4, seed=2)
    found, truth = (torch.autograd.grad((share * X).sum(), A)[0] for X in (found, truth))
    torch.testing.assert_close(found, truth, rtol=1e-5, atol=1e-6)


def test_a_fit_changes_as_differences_of_scipys_say():
    t = np.linspace(0, 2, 12)
    y = 2 * np.exp(-1.5 * t) + 0.1 * np.cos(7 * t)

    def fitted(y):
        return scipy.optimize.least_squares(
            lambda z: z[0] * np.exp(-z[1] * t) - y, [1.0, 1.0], xtol=1e-15, ftol=1e-15
        ).x

    data, times = torch.tensor(y, requires_grad=True), torch.tensor(t)
    p = LeastSquaresProblem(Euclidean(2), lambda x, y: x[..., :1] * torch.exp(-x[..., 1:] * times) - y, data=(data,))
    x = differentiable_solution(p, solve(p, LevenbergMarquardtOptions(torch.ones(2, dtype=D))))
    (found,) = torch.autograd.grad(x[1], data)
    for j in (0, 5, 11):
        h = 1e-4 * np.eye(12)[j]
        assert found[j].item() == pytest.approx((fitted(y + h)[1] - fitted(y - h)[1]) / 2e-4, rel=1e-4, abs=1e-6)


def test_what_stands_in_the_closure_counts_and_any_solver_will_do():
    layer = torch.nn.Linear(2, 2, dtype=D)
    features = drawn(2, seed=5)
    p = GradientProblem(Euclidean(2), lambda x: (x - layer(features)).square().sum(-1))
    o = solve(p, NelderMeadOptions(torch.zeros(2, dtype=D), stop=StopAfterIteration(200)))
    differentiable_solution(CountedProblem(p), o).sum().backward()
    torch.testing.assert_close(layer.weight.grad, features.expand(2, 2), rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(layer.bias.grad, torch.ones(2, dtype=D), rtol=1e-8, atol=1e-8)


def test_a_problem_without_a_strict_minimum_is_marked_and_leaves_the_others_alone():
    theta = torch.tensor([[1.0], [2.0], [3.0]], dtype=D, requires_grad=True)
    bend = torch.tensor([1.0, 0.0, -1.0], dtype=D)
    p = GradientProblem(
        Euclidean(1), lambda x, b, theta: 0.5 * b * (x[..., 0] - theta[..., 0]) ** 2, data=(bend, theta)
    )
    o = solve(p, QuasiNewtonOptions(theta.detach().clone(), stop=StopAfterIteration(0)))
    x = differentiable_solution(p, o)
    assert x[0, 0] == 1.0 and x[1:].isnan().all()
    (slope,) = torch.autograd.grad(x[0].sum(), theta)
    assert slope[0, 0] == 1.0


def test_what_cannot_be_differentiated_is_refused():
    M, x = Euclidean(1), torch.ones(1)
    constrained = ConstrainedProblem(M, lambda x: x[..., 0], lambda x: -x)
    opaque = GradientProblem(M, lambda x: x.detach().square().sum(-1), lambda x: 2 * x)
    weight = torch.ones(1, requires_grad=True)
    only_data = GradientProblem(M, lambda x, w: (w * x.detach()).square().sum(-1), lambda x, w: 2 * x, data=(weight,))
    for p, words in (
        (only_data, "no way from the cost back to the point"),
        (constrained, "without constraints"),
        (CostProblem(M, lambda x: x.square().sum(-1)), "use GradientProblem"),
        (opaque, "no way from the cost back to the point"),
    ):
        with pytest.raises(MissingDerivativeError, match=words):
            differentiable_solution(p, NelderMeadOptions(x))
    with pytest.raises(ManoptError):
        differentiable_solution("x", NelderMeadOptions(x))
