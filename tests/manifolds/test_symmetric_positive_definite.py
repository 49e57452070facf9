"""Symmetric positive definite matrices, against SciPy and closed forms."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.linalg
import torch

from manopt_torch.errors import NotOnManifoldError, OptionsError
from manopt_torch.linalg import symmetric_part
from manopt_torch.manifolds import HermitianPositiveDefinite, SymmetricPositiveDefinite

M = SymmetricPositiveDefinite(3)
EYE = torch.eye(3, dtype=torch.float64)


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def triple() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    g = generator()
    x, y = M.random_point(2, generator=g, dtype=torch.float64)
    return x, y, M.random_tangent(x, g)


def from_numpy(a: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.real(a))


def test_exp_and_log_by_square_roots_of_scipy() -> None:
    x, y, u = triple()
    root = scipy.linalg.sqrtm(x.numpy())
    inverse = scipy.linalg.inv(root)
    exp = root @ scipy.linalg.expm(inverse @ u.numpy() @ inverse) @ root
    log = root @ scipy.linalg.logm(inverse @ y.numpy() @ inverse) @ root
    torch.testing.assert_close(M.exp(x, u), from_numpy(exp), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(M.log(x, y), from_numpy(log), rtol=1e-12, atol=1e-12)


def test_distance_by_generalised_eigenvalues_of_scipy() -> None:
    x, y, _ = triple()
    wanted = np.linalg.norm(np.log(scipy.linalg.eigh(y.numpy(), x.numpy(), eigvals_only=True)))
    assert M.dist(x, y).item() == pytest.approx(wanted, rel=1e-13)
    assert M.squared_dist(x, y).item() == pytest.approx(wanted**2, rel=1e-13)


def test_parallel_transport_by_the_square_root_of_scipy() -> None:
    x, y, u = triple()
    carrier = scipy.linalg.sqrtm(y.numpy() @ np.linalg.inv(x.numpy()))
    wanted = carrier @ u.numpy() @ carrier.T
    torch.testing.assert_close(M.parallel_transport(x, y, u), from_numpy(wanted), rtol=1e-12, atol=1e-12)


def test_metric_is_the_trace() -> None:
    x, _, u = triple()
    v = M.random_tangent(x, generator())
    a, b = (np.linalg.solve(x.numpy(), t.numpy()) for t in (u, v))
    assert M.inner(x, u, v).item() == pytest.approx(np.trace(a @ b), rel=1e-12)


def test_congruence_and_inversion_keep_distances() -> None:
    x, y, _ = triple()
    A = torch.randn(3, 3, dtype=torch.float64, generator=generator())
    moved = M.dist(A @ x @ A.mT, A @ y @ A.mT)
    assert moved.item() == pytest.approx(M.dist(x, y).item(), rel=1e-11)
    inverted = M.dist(torch.linalg.inv(x), torch.linalg.inv(y))
    assert inverted.item() == pytest.approx(M.dist(x, y).item(), rel=1e-11)


def test_one_by_one_matrices_are_the_positive_numbers() -> None:
    line = SymmetricPositiveDefinite(1)
    x, y = torch.tensor([[2.0]], dtype=torch.float64), torch.tensor([[7.0]], dtype=torch.float64)
    assert line.dist(x, y).item() == pytest.approx(math.log(3.5))
    assert line.mid_point(x, y).item() == pytest.approx(math.sqrt(14))
    assert line.retract(x, y).item() == pytest.approx(2 + 7 + 0.5 * 49 / 2)


@pytest.mark.parametrize("x", [EYE, 2 * EYE, torch.diag(torch.tensor([1.0, 1.0, 3.0], dtype=torch.float64))], ids=str)
def test_derivatives_at_repeated_eigenvalues(x: torch.Tensor) -> None:
    y = 2 * x

    def of_symmetric(method: str) -> Callable:
        return lambda a, b: getattr(M, method)(symmetric_part(a), symmetric_part(b))

    arguments = (x.clone().requires_grad_(), y.clone().requires_grad_())
    assert torch.autograd.gradcheck(of_symmetric("squared_dist"), arguments, fast_mode=True)
    assert torch.autograd.gradgradcheck(of_symmetric("squared_dist"), arguments, fast_mode=True)
    for method in ("log", "exp", "mid_point"):
        assert torch.autograd.gradcheck(of_symmetric(method), arguments, fast_mode=True)
    # the Riemannian gradient of half the squared distance is minus the logarithm
    (g,) = torch.autograd.grad(0.5 * M.squared_dist(*arguments), arguments[0])
    torch.testing.assert_close(M.egrad2rgrad(x, g), -M.log(x, y))


@pytest.mark.parametrize("small", [2.0**-20, 2.0**-12, 2.0**-6, 0.2, 0.3])
def test_float32_distances_of_close_points_keep_their_digits(small: float) -> None:
    # the root of 3 is rounded, so the whitened y alone would be off by rounding, which is as large as a small distance
    x, y = 3 * torch.eye(3), torch.diag(torch.tensor([3 * (1 + small), 3.0, 3.0]))
    truth = math.log(y[0, 0].item() / 3)
    assert M.dist(x, y).item() == pytest.approx(truth, rel=2e-6)
    assert M.log(x, y)[0, 0].item() == pytest.approx(3 * truth, rel=2e-6)


def test_float32_distances_of_far_points_keep_their_digits() -> None:
    x, y = torch.eye(3), torch.diag(torch.tensor([1e-9, 1.0, 1e9]))
    assert M.dist(x, y).item() == pytest.approx(math.sqrt(2) * 9 * math.log(10), rel=2e-6)


def test_the_default_retraction_never_leaves_the_cone() -> None:
    x = M.random_point(50, generator=generator(), dtype=torch.float64)
    u = M.random_tangent(x, generator())
    for t in (-100.0, -2.0, -1.0, 1.0, 100.0):
        M.check_point(M.retract(x, u, t))


def test_the_inverse_retraction_is_nan_where_there_is_none() -> None:
    factors = torch.tensor([0.4, 0.51, 4.0], dtype=torch.float64)
    x = EYE.expand(3, 3, 3)
    u = M.inverse_retract(x, factors[:, None, None] * x)
    assert torch.isnan(u).all((-2, -1)).tolist() == [True, False, False]
    torch.testing.assert_close(M.retract(x, u)[1:], (factors[:, None, None] * x)[1:])


def test_one_bad_matrix_leaves_its_neighbours_alone() -> None:
    x = M.random_point(4, generator=generator(), dtype=torch.float64)
    y, u = x.roll(1, 0), M.random_tangent(x, generator())
    for bad in (torch.full((3, 3), math.nan), -torch.eye(3), torch.zeros(3, 3)):
        spoilt = torch.stack([x[0], bad.double(), x[2], x[3]])
        for method, rest in [("log", (y,)), ("dist", (y,)), ("exp", (u,)), ("retract", (u,)), ("norm", (u,))]:
            result, clean = getattr(M, method)(spoilt, *rest), getattr(M, method)(x, *rest)
            assert torch.isnan(result[1]).all(), method
            assert torch.equal(result[[0, 2, 3]], clean[[0, 2, 3]]), method


def test_random_points_have_condition_at_most_100() -> None:
    eigenvalues = torch.linalg.eigvalsh(M.random_point(500, generator=generator(), dtype=torch.float64))
    assert eigenvalues.min() >= 0.1 * (1 - 1e-12)
    assert eigenvalues.max() <= 10 * (1 + 1e-12)
    assert (eigenvalues[:, -1] / eigenvalues[:, 0]).max() <= 100


def test_projection_leads_into_the_cone_and_keeps_points() -> None:
    z = torch.randn(20, 3, 3, dtype=torch.float64, generator=generator())
    M.check_point(M.project_point(z))
    M.check_point(M.project_point(torch.zeros(3, 3)))
    x = M.random_point(20, generator=generator())
    assert torch.equal(M.project_point(x), x)


@pytest.mark.parametrize("matrix", [-EYE, 0 * EYE, EYE + torch.diag(torch.ones(2).double(), 1)], ids=str)
def test_what_is_no_point(matrix: torch.Tensor) -> None:
    with pytest.raises(NotOnManifoldError, match="is off SymmetricPositiveDefinite"):
        M.check_point(matrix)


@pytest.mark.parametrize(
    "N", [M, HermitianPositiveDefinite(3), SymmetricPositiveDefinite(3, metric="bures_wasserstein")]
)
def test_zero_is_off_the_manifold_by_a_number(N: Any) -> None:
    assert N.off_manifold(0 * EYE).item() == 1.0 and N.off_manifold(EYE).item() == 0.0


def test_checks_do_not_depend_on_the_unit() -> None:
    x = M.random_point(20, generator=generator())
    u = M.random_tangent(x, generator())
    for unit in (1e-8, 1e8):
        M.check_point(unit * x)
        M.check_tangent(unit * x, unit * u)


def test_an_unknown_metric_is_named() -> None:
    with pytest.raises(OptionsError, match="metric='euclid' is not known; there is 'affine_invariant'"):
        SymmetricPositiveDefinite(3, metric="euclid")
    assert SymmetricPositiveDefinite(3, metric="affine_invariant").metric == "affine_invariant"
