"""Least-squares problems: cost, gradient, Hessian and Jacobian against closed forms and each other."""

import math

import pytest
import torch

from manopt_torch import (
    BlockLoss,
    CauchyLoss,
    CostProblem,
    Euclidean,
    GradientDescentOptions,
    HuberLoss,
    LeastSquaresProblem,
    MissingDerivativeError,
    OptionsError,
    Power,
    Product,
    Rotations,
    ShapeError,
    Sphere,
    StopAfterIteration,
    StopWhenGradientNormLess,
    SymmetricPositiveDefinite,
    check_gradient,
    check_hessian,
    dogleg,
    gauss_newton,
    get_cost,
    get_gradient,
    get_hessian,
    get_jacobian,
    get_residuals,
    levenberg_marquardt,
    solve,
)
from manopt_torch.problems.least_squares import gradient_coordinates
from tests.together import together

D = torch.float64
G = torch.Generator().manual_seed(0)
A = torch.randn(4, 6, 3, generator=G, dtype=D)
B = torch.randn(4, 6, generator=G, dtype=D)
X = torch.randn(4, 3, generator=G, dtype=D)
W = torch.rand(4, 6, generator=G, dtype=D)


def linear(x, A, b):
    return (A * x.unsqueeze(-2)).sum(-1) - b


def curved(x, A, b):
    return torch.sin(linear(x, A, b))


@pytest.mark.parametrize("weights", [None, W[0], W], ids=["none", "shared", "own"])
def test_cost_and_derivatives_of_a_linear_problem(weights):
    p = LeastSquaresProblem(Euclidean(3), linear, data=(A, B), weights=weights)
    w = torch.ones_like(B) if weights is None else weights
    r = (A @ X[..., None])[..., 0] - B
    torch.testing.assert_close(get_residuals(p, X), r)
    torch.testing.assert_close(get_cost(p, X), 0.5 * (w * r * r).sum(-1))
    torch.testing.assert_close(get_jacobian(p, X), A)
    torch.testing.assert_close(get_gradient(p, X), ((w * r)[..., None, :] @ A)[..., 0, :])
    u = torch.ones_like(X)
    torch.testing.assert_close(get_hessian(p, X, u), (A.mT @ (w[..., None] * (A @ u[..., None])))[..., 0])


@together()
@pytest.mark.parametrize("way", ["forward", "reverse", "finite"])
@pytest.mark.parametrize(
    "M",
    [Euclidean(3), Sphere(3), Rotations(3), SymmetricPositiveDefinite(2), Product(Sphere(3), Euclidean(2, 2))],
    ids=repr,
)
@pytest.mark.parametrize("batch", [(), (4,), (2, 2)], ids=str)
def test_ways_to_the_jacobian_agree_with_finite_differences_of_the_residuals(M, way, batch):
    def residuals(x):
        parts = x if isinstance(x, tuple) else (x,)
        whole = torch.cat([torch.sin(part.flatten(len(batch))) for part in parts], -1)
        return torch.stack([whole.sum(-1), (whole * whole).sum(-1), whole[..., 0] * whole[..., 1]], -1)

    x = M.random_point(*batch, generator=torch.Generator().manual_seed(1), dtype=D)
    J = get_jacobian(LeastSquaresProblem(M, residuals, way), x)
    assert J.shape == (*batch, 3, M.dim)
    u = M.random_tangent(x, generator=torch.Generator().manual_seed(2))
    along = (J @ M.to_coordinates(x, u)[..., None])[..., 0]
    h = 1e-6
    slope = (residuals(M.retract(x, u, h)) - residuals(M.retract(x, u, -h))) / (2 * h)
    torch.testing.assert_close(along, slope, rtol=0, atol=1e-7)


class Counted(torch.autograd.Function):
    """The identity, which counts backward passes; a curious one looks at values, which vmap does not allow."""

    passes, curious = 0, False

    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, g):
        Counted.passes += 1
        return g * float(g.sum() / g.sum()) if Counted.curious else g


@pytest.mark.parametrize(
    ("way", "curious", "passes"), [("reverse", False, 2), ("reverse", True, 40), ("forward", 0, 1)]
)
def test_a_single_problem_makes_many_passes_at_once(way, curious, passes, monkeypatch):
    monkeypatch.setattr(Counted, "passes", 0)
    monkeypatch.setattr(Counted, "curious", curious)
    M = Product(Power(Rotations(3), 4), Euclidean(5))
    x = M.random_point(generator=torch.Generator().manual_seed(1), dtype=D)
    mix = torch.randn(40, 41, generator=torch.Generator().manual_seed(2), dtype=D)

    def residuals(x):
        return mix @ torch.sin(Counted.apply(torch.cat([x[0].flatten(), x[1]])))

    J = get_jacobian(LeastSquaresProblem(M, residuals, way), x)
    # one that cannot be mapped is tried once before
    assert Counted.passes == passes + curious

    def near(c):
        at = M.retract(x, M.from_coordinates(x, c))
        return mix @ torch.sin(torch.cat([at[0].flatten(), at[1]]))

    torch.testing.assert_close(J, torch.autograd.functional.jacobian(near, torch.zeros(M.dim, dtype=D)))


def test_a_given_ambient_jacobian_is_restricted_to_the_tangent_space():
    M = Product(Sphere(3), Euclidean(3))

    def residuals(x, A):
        return torch.cat([(A * x[0].unsqueeze(-2)).sum(-1), x[1] ** 2], -1)

    def jacobian(x, A):
        zero = torch.zeros(4, 3, 3, dtype=D)
        return torch.cat([A, zero], -2), torch.cat([torch.zeros_like(A), torch.diag_embed(2 * x[1])], -2)

    x = M.random_point(4, generator=torch.Generator().manual_seed(1), dtype=D)
    given, found = (get_jacobian(LeastSquaresProblem(M, residuals, j, data=(A,)), x) for j in (jacobian, None))
    torch.testing.assert_close(given, found, rtol=0, atol=1e-14)


@pytest.mark.parametrize("loss", [None, CauchyLoss(0.5), HuberLoss(0.3), BlockLoss(CauchyLoss(0.7), 2)], ids=repr)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("given", [False, True])
def test_the_corrected_problem_has_the_gradient_of_the_robust_cost(loss, weighted, given):
    blocks = 6 // getattr(loss, "block_size", 1)
    weights = W[:, :blocks] if weighted else None
    jacobian = (lambda x, A, b: torch.cos(linear(x, A, b))[..., None] * A) if given else None
    p = LeastSquaresProblem(Euclidean(3), curved, jacobian, data=(A, B), weights=weights, loss=loss)
    leaf = X.clone().requires_grad_()
    (by_autograd,) = torch.autograd.grad(p.cost(leaf, A, B).sum(), leaf)
    torch.testing.assert_close(get_gradient(p, X), by_autograd, rtol=1e-12, atol=1e-13)
    torch.testing.assert_close(gradient_coordinates(p.linearize_residuals(X)), by_autograd, rtol=1e-12, atol=1e-13)


def test_gradient_and_hessian_pass_the_checks():
    p = LeastSquaresProblem(Sphere(3), lambda x: torch.sin((A[0] * x.unsqueeze(-2)).sum(-1)) - B[0], loss=CauchyLoss())
    assert check_gradient(p).passed and check_hessian(p).passed


def test_solvers_for_smooth_problems_take_it():
    p = LeastSquaresProblem(Sphere(3), lambda x, b: x - b, data=(X,))
    x = torch.eye(3, dtype=D)[[0, 1, 2, 0]]
    o = solve(p, GradientDescentOptions(x, stop=StopAfterIteration(500) | StopWhenGradientNormLess(1e-7)))
    torch.testing.assert_close(o.x, X / X.norm(dim=-1, keepdim=True), rtol=0, atol=1e-6)


def test_callables_for_one_point():
    one = LeastSquaresProblem(Euclidean(3), lambda x, A, b: A @ x - b, lambda x, A, b: A, data=(A, B), vectorized=False)
    many = LeastSquaresProblem(Euclidean(3), linear, data=(A, B))
    torch.testing.assert_close(get_jacobian(one, X), get_jacobian(many, X))
    torch.testing.assert_close(get_gradient(one, X), get_gradient(many, X))


def test_residuals_that_are_no_torch_operations_are_differentiated_by_differences():
    # NumPy takes a tensor with derivatives only when it is detached
    for squares in (lambda x: torch.from_numpy(x.detach().numpy() ** 2), lambda x: torch.from_numpy(x.numpy() ** 2)):
        p = LeastSquaresProblem(Euclidean(3), squares)
        torch.testing.assert_close(get_jacobian(p, X), torch.diag_embed(2 * X), rtol=0, atol=1e-9)
    with pytest.raises(RuntimeError, match="requires grad"):
        get_jacobian(LeastSquaresProblem(Euclidean(3), squares, "forward"), X)


def test_parts_keep_data_and_weights_together():
    p = LeastSquaresProblem(Euclidean(3), curved, data=(A, B), weights=W)
    whole = get_cost(p, X)
    chosen = torch.tensor([2, 0])
    assert torch.equal(get_cost(p.take(chosen, 1), X[chosen]), whole[chosen])
    assert torch.equal(get_cost(p.piece(1, 3, 1), X[1:3]), whole[1:3])


def test_evaluations_are_counted():
    p = LeastSquaresProblem(Euclidean(3), curved, data=(A, B))
    get_jacobian(p, X)
    get_residuals(p, X)
    assert p.counts.residuals == 2 and p.counts.jacobian == p.counts.gradient == p.counts.cost == 1


@together()
@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"weights": torch.tensor([1.0, -1.0])}, "at least 0"),
        ({"weights": torch.tensor([1.0, math.nan])}, "finite"),
        ({"weights": torch.zeros(6)}, "all weights are zero"),
        ({"weights": torch.tensor([[1.0, 0.0], [0.0, 0.0]])}, r"zero at batch indices \[\(1,\)\]"),
        ({"weights": [1.0]}, "float tensor"),
        ({"loss": "huber"}, "loss"),
        ({"loss": HuberLoss}, "the class HuberLoss: call it"),
        ({"jacobian": "sideways"}, "jacobian"),
    ],
)
def test_bad_arguments_are_named(keywords, message):
    with pytest.raises(OptionsError, match=message):
        LeastSquaresProblem(Euclidean(3), linear, **keywords)


def test_wrong_weights_are_named():
    with pytest.raises(ShapeError, match="weights must have shape"):
        get_residuals(LeastSquaresProblem(Euclidean(3), linear, data=(A, B), weights=W[:, :4]), X)


@together()
@pytest.mark.parametrize("solver", [levenberg_marquardt, gauss_newton, dogleg])
@pytest.mark.parametrize(
    ("returned", "error", "message"),
    [
        (lambda r: None, ShapeError, "got NoneType"),
        (lambda r: list(r.unbind(-1)), ShapeError, r"torch.stack\(parts, -1\) makes one"),
        (lambda r: r[0], ShapeError, r"here \(4, 'm'\), got \(6,\)"),
        (lambda r: r[..., :0], ShapeError, "nothing can be fitted"),
        (lambda r: r[..., :5], ShapeError, "5 residuals cannot be divided into the blocks of 2"),
        (lambda r: r.float(), OptionsError, "torch.float32 where the point is torch.float64"),
        (lambda r: r > 0, OptionsError, "torch.bool where the point is torch.float64"),
    ],
)
def test_residuals_that_are_none_are_named(solver, returned, error, message):
    with pytest.raises(error, match=message):
        solver(Euclidean(3), lambda x, A, b: returned(linear(x, A, b)), X, data=(A, B), loss=BlockLoss(HuberLoss(), 2))


def test_weights_and_jacobian_may_have_another_precision():
    best = torch.linalg.lstsq(W.sqrt()[..., None] * A, (W.sqrt() * B)[..., None]).solution[..., 0]
    low = {"data": (A, B), "weights": W.float(), "jacobian": lambda x, A, b: A.float()}
    for solver in (levenberg_marquardt, gauss_newton, dogleg):
        torch.testing.assert_close(solver(Euclidean(3), linear, X, **low), best, rtol=0, atol=1e-5)
        data = (A.float(), B.float())
        single = solver(Euclidean(3), linear, X.float(), data=data, weights=W, jacobian=lambda x, A, b: A.double())
        assert single.dtype == torch.float32
        torch.testing.assert_close(single.double(), best, rtol=0, atol=1e-3)


def test_other_problems_have_none():
    with pytest.raises(MissingDerivativeError, match="LeastSquaresProblem"):
        get_residuals(CostProblem(Euclidean(3), lambda x: x.sum(-1)), X)
    with pytest.raises(MissingDerivativeError, match="LeastSquaresProblem"):
        get_jacobian(CostProblem(Euclidean(3), lambda x: x.sum(-1)), X)


def test_a_problem_spread_over_points_takes_its_weights_along():
    weights = torch.tensor([[1.0, 2.0, 0.0], [3.0, 0.5, 1.0]], dtype=torch.float64)
    y = torch.arange(6, dtype=torch.float64).reshape(2, 3)
    p = LeastSquaresProblem(Euclidean(3), lambda x, y: x - y, weights=weights, data=(y,))
    x = torch.linspace(-1, 1, 24, dtype=torch.float64).reshape(2, 4, 3)
    expected = 0.5 * (weights[:, None] * (x - y[:, None]) ** 2).sum(-1)
    torch.testing.assert_close(p.spread(4, 1).get_cost(x), expected)


@pytest.mark.parametrize("looks_into_memory", [False, True])
def test_stacked_columns_of_a_large_batch_lie_apart_in_memory(looks_into_memory):
    t = torch.linspace(0.0, 3.0, 20, dtype=D)

    def jacobian(x):
        e = torch.exp(-x[..., 1:] * t)
        J = torch.stack([e, -x[..., :1] * t * e], -1)
        return J.view(len(x), -1).view(J.shape) if looks_into_memory else J

    p = LeastSquaresProblem(Euclidean(2), lambda x: x[..., :1] * torch.exp(-x[..., 1:] * t), jacobian)
    x = torch.rand(2000, 2, generator=torch.Generator().manual_seed(0), dtype=D)
    J = p.linearize_residuals(x).jacobian
    assert torch.equal(J, jacobian(x)) and J.mT.is_contiguous()
    assert p.columns_apart.works is not looks_into_memory
    few = p.linearize_residuals(x[5:8]).jacobian
    assert torch.equal(few, J[5:8]) and few.mT.is_contiguous()
