"""Hermitian positive definite matrices: pymanopt, and real matrices of twice the size, as truth."""

import math

import numpy as np
import pymanopt
import pytest
import torch

from manopt_torch import GradientProblem, mean
from manopt_torch.manifolds import HermitianPositiveDefinite, SymmetricPositiveDefinite
from manopt_torch.testing import check_gradient
from tests.together import together

# forward-mode rules of torch are made by torch.jit, which warns of its own deprecation
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")

M, S = HermitianPositiveDefinite(2), SymmetricPositiveDefinite(4)


def sample(*batch: int) -> tuple[torch.Tensor, ...]:
    g = torch.Generator().manual_seed(0)
    x, y = (M.random_point(*batch, generator=g, dtype=torch.float64) for _ in range(2))
    ambient = torch.randn(2, *batch, 2, 2, dtype=x.dtype, generator=g)
    return x, y, M.random_tangent(x, g), *ambient


def real(z: torch.Tensor) -> torch.Tensor:
    """Return the real matrix that multiplies real and imaginary parts as `z` does: a homomorphism."""
    return torch.cat([torch.cat([z.real, -z.imag], -1), torch.cat([z.imag, z.real], -1)], -2)


def test_formulas_are_those_of_real_matrices_of_twice_the_size() -> None:
    x, y, u, g, h = sample(3)
    a, b, c, e, f = map(real, (x, y, u, g, h))
    # each eigenvalue counts twice there
    torch.testing.assert_close(2 * M.inner(x, u, u), S.inner(a, c, c))
    torch.testing.assert_close(2 * M.squared_dist(x, y), S.squared_dist(a, b))
    torch.testing.assert_close(math.sqrt(2) * M.dist(x, y), S.dist(a, b))
    for ours, wanted in [
        (M.exp(x, u, 0.7), S.exp(a, c, 0.7)),
        (M.log(x, y), S.log(a, b)),
        (M.retract(x, u), S.retract(a, c)),
        (M.inverse_retract(x, M.retract(x, u)), c),
        (M.parallel_transport(x, y, u), S.parallel_transport(a, b, c)),
        (M.project_tangent(x, g), S.project_tangent(a, e)),
        (M.egrad2rgrad(x, g), S.egrad2rgrad(a, e)),
        (M.ehess2rhess(x, g, h, u), S.ehess2rhess(a, e, f, c)),
        (M.project_point(g), S.project_point(e)),
    ]:
        torch.testing.assert_close(real(ours), wanted)


def test_formulas_are_those_of_pymanopt() -> None:
    N = pymanopt.manifolds.HermitianPositiveDefinite(2)
    x, y, u, g, h = sample()
    X, Y, U, G, H = (a.numpy() for a in (x, y, u, g, h))
    for ours, theirs in [
        (M.dist(x, y), N.dist(X, Y)),
        (M.inner(x, u, u), np.real(N.inner_product(X, U, U))),
        (M.log(x, y), N.log(X, Y)),
        (M.exp(x, u), N.exp(X, U)),
        (M.egrad2rgrad(x, g), N.euclidean_to_riemannian_gradient(X, G)),
        (M.ehess2rhess(x, g, h, u), N.euclidean_to_riemannian_hessian(X, G, H, U)),
    ]:
        torch.testing.assert_close(ours, torch.as_tensor(np.asarray(theirs)), rtol=1e-10, atol=1e-12)
    assert M.dim == 4  # of Hermitian matrices; pymanopt says six


def test_distances_do_not_change_under_congruence_and_inversion() -> None:
    x, y, _, a, _ = sample(3)
    torch.testing.assert_close(M.dist(a @ x @ a.mH, a @ y @ a.mH), M.dist(x, y))
    torch.testing.assert_close(M.dist(torch.linalg.inv(x), torch.linalg.inv(y)), M.dist(x, y))


@together()
@pytest.mark.parametrize("length", [1e-7, 1e-5, 1e-3, 0.1, 1.0, 5.0])
def test_float32_keeps_relative_accuracy(length: float) -> None:
    x, _, u, *_ = sample(20)
    single = x.to(torch.complex64), M.exp(x, u, length).to(torch.complex64)
    truth = M.dist(*(z.to(torch.complex128) for z in single))
    # points of condition up to 100: rounding in the whitening is as much larger
    torch.testing.assert_close(M.dist(*single).double(), truth, rtol=1e-4, atol=0)
    assert M.dist(*single).dtype == torch.float32


def test_points_off_the_cone_are_seen() -> None:
    x = sample(3)[0]
    assert M.off_manifold(x).max() < 1e-15
    assert (M.off_manifold(-x) >= 1).all()
    assert (M.off_manifold(x + 0.1 * torch.ones(2, 2).tril(-1)) > 1e-3).all()
    assert M.exp(-x, x).isnan().all()


def test_the_mean_is_where_logarithms_cancel() -> None:
    points = sample(5)[0]
    center = mean(M, points)
    assert M.norm(center, M.log(center, points).mean(0)) < 1e-12
    problem = GradientProblem(M, lambda x: M.squared_dist(x[..., None, :, :], points).sum(-1))
    assert check_gradient(problem, points[:2], generator=torch.Generator().manual_seed(1)).passed
