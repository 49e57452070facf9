"""Sums of products: the same bits by whichever way, and torch's wherever somebody watches."""

import pytest
import torch

from manopt_torch import Circle, Euclidean, Sphere
from manopt_torch.linalg.dot import are_few_numbers, sum_of_few, sum_of_products

F64 = torch.float64


def vectors(n: int, count: int = 300) -> tuple[torch.Tensor, torch.Tensor]:
    """Return random vectors of very different sizes."""
    g = torch.Generator().manual_seed(n)
    u, v = torch.randn(2, count, n, dtype=F64, generator=g)
    return u * torch.logspace(-100, 100, count, dtype=F64).unsqueeze(-1), v


@pytest.mark.parametrize("n", [2, 3])
def test_few_numbers_are_added_in_the_bits_of_a_batch(n):
    u, v = vectors(n)
    with torch.no_grad():
        assert are_few_numbers(u[0])
        assert [sum_of_few(a, b) for a, b in zip(u, v, strict=True)] == sum_of_products(u, v).tolist()


def test_zeros_without_storage_are_numbers_too():
    x = torch.tensor([1.0, -2.0], dtype=F64, requires_grad=True)
    (slope,) = torch.autograd.grad(x.abs().sum(), x, create_graph=True)
    (product,) = torch.autograd.grad(slope, x, torch.ones(2, dtype=F64))
    assert sum_of_few(x.detach(), product) == 0.0


@pytest.mark.parametrize("n", [2, 3])
def test_projections_on_the_sphere_have_the_bits_of_a_batch(n):
    M, (x, z) = Sphere(n), vectors(n)
    with torch.no_grad():
        x, u = M.project_point(x), z.roll(1, 0)
        projected, products = M.project_tangent(x, z), M.ehess2rhess_at(x, z)(u, z)
        for k in range(len(x)):
            assert torch.equal(M.project_tangent(x[k], z[k]), projected[k])
            assert torch.equal(M.ehess2rhess_at(x[k], z[k])(u[k], z[k]), products[k])


def test_torch_computes_where_somebody_watches():
    x, z = torch.tensor([0.6, 0.8], dtype=F64), torch.tensor([1.0, 2.0], dtype=F64)
    M = Sphere(2)
    assert not are_few_numbers(x)  # derivatives are tracked
    derivative = torch.autograd.functional.jacobian(lambda z: M.project_tangent(x, z), z)
    torch.testing.assert_close(derivative, torch.eye(2, dtype=F64) - torch.outer(x, x))
    with torch.no_grad():
        assert not are_few_numbers(x.float()) and not are_few_numbers(x.expand(2, 2))
        mapped = torch.func.vmap(lambda z: M.project_tangent(x, z))(z.expand(4, 2))
        _, moved = torch.func.jvp(lambda z: M.project_tangent(x, z), (z,), (z,))
        torch.testing.assert_close(mapped, M.project_tangent(x, z).expand(4, 2))
        torch.testing.assert_close(moved, M.project_tangent(x, z))


def test_products_at_a_point_are_inner_products():
    with torch.no_grad():
        for M, n in ((Sphere(3), 3), (Sphere(100), 100), (Euclidean(2), 2), (Euclidean(7), 7)):
            u, v = (w[150] for w in vectors(n))
            x = M.random_point(dtype=F64)
            assert float(M.inner_at(x)(u, v)) == pytest.approx(float((u * v).sum()), rel=1e-13)
        angles = torch.tensor([0.5, 1.0, 2.0], dtype=F64)  # a batch of points, not a vector
        assert torch.equal(Circle().inner_at(angles)(angles, angles), angles * angles)


def test_vectors_of_two_lengths_are_refused():
    with torch.no_grad(), pytest.raises(RuntimeError, match="size"):
        Sphere(3).project_tangent(torch.tensor([1.0, 0.0, 0.0], dtype=F64), torch.ones(2, dtype=F64))
