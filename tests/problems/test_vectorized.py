"""`vectorized=False`: callables written for one point, mapped over the batch."""

import pytest
import torch

from manopt_torch import (
    Circle,
    CostProblem,
    Euclidean,
    GradientProblem,
    HessianProblem,
    Product,
    ProximalProblem,
    Sphere,
    SubGradientProblem,
    get_cost,
    get_cost_and_gradient,
    get_hessian,
    get_preconditioner,
    get_proximal_map,
    get_subgradient,
)
from tests.together import together

BATCHES = [(), (2,), (2, 3), (0,)]
A = torch.tensor([[2.0, 1.0, 0.0], [1.0, 3.0, 1.0], [0.0, 1.0, 4.0]], dtype=torch.float64)


def points(batch, *shape, seed=0):
    return torch.randn((*batch, *shape), dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def close(a, b):
    return torch.testing.assert_close(a, b, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("batch", BATCHES)
def test_each_call_sees_one_point(batch):
    shapes = []

    def cost(x):
        shapes.append(x.shape)
        return x @ A @ x

    x = points(batch, 3)
    close(get_cost(CostProblem(Euclidean(3), cost, vectorized=False), x), torch.einsum("...i,ij,...j->...", x, A, x))
    assert set(shapes) == {torch.Size([3])}


@together()
@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("M", [Euclidean(), Circle()])
def test_scalar_points(M, batch):
    x = points(batch)
    value, gradient = get_cost_and_gradient(GradientProblem(M, torch.sin, vectorized=False), x)
    close(value, x.sin())
    close(gradient, x.cos())


@pytest.mark.parametrize("batch", BATCHES)
def test_data_are_handed_out_one_problem_at_a_time(batch):
    x, c, w = points(batch, 3), points(batch, 3, seed=1), points(batch, seed=2)

    def cost(x, c, w):
        assert (x.shape, c.shape, w.shape) == ((3,), (3,), ())
        return w * (x - c).square().sum()

    p = GradientProblem(Euclidean(3), cost, data=(c, w), vectorized=False)
    value, gradient = get_cost_and_gradient(p, x)
    close(value, w * (x - c).square().sum(-1))
    close(gradient, 2 * w[..., None] * (x - c))


@pytest.mark.parametrize("batch", [(), (2,), (2, 3)])
def test_tuple_points_with_data(batch):
    M = Product(Sphere(3), Euclidean())
    x = (M.manifolds[0].project_point(points(batch, 3)), points(batch, seed=1))
    t = points(batch, seed=2)
    p = GradientProblem(M, lambda x, t: t * x[1] * (x[0] @ A @ x[0]), data=(t,), vectorized=False)
    value, (g, h) = get_cost_and_gradient(p, x)
    quotient = (x[0] * (x[0] @ A)).sum(-1)
    close(value, t * x[1] * quotient)
    close(g, 2 * (t * x[1])[..., None] * (x[0] @ A - quotient[..., None] * x[0]))
    close(h, t * quotient)


@pytest.mark.parametrize("batch", [(), (2,), (2, 3)])
def test_all_callables_of_a_hessian_problem_are_mapped(batch):
    x, u = points(batch, 3), points(batch, 3, seed=1)
    given = HessianProblem(
        Euclidean(3),
        lambda x: 0.5 * x @ A @ x,
        gradient=lambda x: A @ x,
        hessian=lambda x, u: A @ u,
        preconditioner=lambda x, u: torch.linalg.solve(A, u),
        vectorized=False,
    )
    euclidean = HessianProblem(
        Euclidean(3),
        lambda x: 0.5 * x @ A @ x,
        euclidean_gradient=lambda x: A @ x,
        euclidean_hessian=lambda x, u: A @ u,
        vectorized=False,
    )
    free = HessianProblem(Euclidean(3), lambda x: 0.5 * x @ A @ x, vectorized=False)
    for p in (given, euclidean, free):
        close(get_cost_and_gradient(p, x)[1], x @ A)
        close(get_hessian(p, x, u), u @ A)
    close(get_preconditioner(given, x, u) @ A, u)


def test_subgradients_are_mapped():
    x = torch.tensor([[3.0, -2.0], [-1.0, 4.0]])
    for subgradient in (None, torch.sign):
        p = SubGradientProblem(Euclidean(2), lambda x: x.abs().sum(), subgradient, vectorized=False)
        assert torch.equal(get_subgradient(p, x), x.sign())


@pytest.mark.parametrize("batch", [(), (2,), (2, 3)])
def test_proximal_maps_share_a_number_and_split_a_tensor(batch):
    def prox(lam, x, c):
        assert x.shape == (2,)
        assert not isinstance(lam, torch.Tensor) or lam.dim() == 0
        return (x + lam * c) / (1 + lam)

    x, c = points(batch, 2), points(batch, 2, seed=1)
    p = ProximalProblem(Euclidean(2), lambda x, c: (x - c) @ (x - c) / 2, [prox], data=(c,), vectorized=False)
    close(get_proximal_map(p, 0.5, x, 0), (x + 0.5 * c) / 1.5)
    lam = points(batch, seed=3).abs()
    close(get_proximal_map(p, lam, x, 0), (x + lam[..., None] * c) / (1 + lam[..., None]))
    close(get_proximal_map(p, torch.tensor(0.5), x, 0), (x + 0.5 * c) / 1.5)
