"""The flat metrics and the Bures-Wasserstein metric of positive definite matrices, against SciPy and closed forms."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import scipy.linalg
import torch

from manopt_torch.errors import OptionsError
from manopt_torch.linalg import symmetric_part
from manopt_torch.manifolds import SymmetricPositiveDefinite

METRICS = ["affine_invariant", "log_euclidean", "log_cholesky", "bures_wasserstein"]
OTHERS = METRICS[1:]
every_metric = pytest.mark.parametrize("metric", METRICS)
every_other = pytest.mark.parametrize("metric", OTHERS)


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(3)


def pair(n: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    return SymmetricPositiveDefinite(n).random_point(2, generator=generator(), dtype=torch.float64).unbind(0)


def log_cholesky_chart(x: np.ndarray) -> np.ndarray:
    factor = np.linalg.cholesky(x)
    return np.tril(factor, -1) + np.diag(np.log(np.diag(factor)))


def from_chart(a: np.ndarray) -> np.ndarray:
    factor = np.tril(a, -1) + np.diag(np.exp(np.diag(a)))
    return factor @ factor.T


CHARTS: dict[str, tuple[Callable, Callable]] = {
    "log_euclidean": (scipy.linalg.logm, scipy.linalg.expm),
    "log_cholesky": (log_cholesky_chart, from_chart),
}


@pytest.mark.parametrize("metric", CHARTS)
def test_flat_metrics_are_those_of_their_chart(metric: str) -> None:
    M, (x, y), (chart, inverse) = SymmetricPositiveDefinite(3, metric=metric), pair(), CHARTS[metric]
    a, b = chart(x.numpy()), chart(y.numpy())
    assert M.dist(x, y).item() == pytest.approx(np.linalg.norm(a - b), rel=1e-12)
    for t in (0.25, 0.5, 2.0):
        wanted = torch.from_numpy(inverse(a + t * (b - a)))
        torch.testing.assert_close(M.geodesic(x, y, t), wanted, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("metric", CHARTS)
def test_parallel_transport_keeps_vectors_in_the_chart(metric: str) -> None:
    M, (x, y), (chart, _) = SymmetricPositiveDefinite(3, metric=metric), pair(), CHARTS[metric]
    u = M.random_tangent(x, generator())
    v, h = M.parallel_transport(x, y, u), 1e-6
    at_x, at_y = ((chart((p + h * w).numpy()) - chart((p - h * w).numpy())) / (2 * h) for p, w in ((x, u), (y, v)))
    np.testing.assert_allclose(at_x, at_y, atol=1e-8)
    assert torch.equal(M.transport(x, y, u), v)


def test_bures_wasserstein_by_square_roots_of_scipy() -> None:
    M, (x, y) = SymmetricPositiveDefinite(3, metric="bures_wasserstein"), pair()
    root = scipy.linalg.sqrtm(x.numpy())
    cross = scipy.linalg.sqrtm(root @ y.numpy() @ root)
    squared = np.trace(x.numpy()) + np.trace(y.numpy()) - 2 * np.trace(cross)
    assert M.squared_dist(x, y).item() == pytest.approx(squared, rel=1e-12)
    product = np.real(scipy.linalg.sqrtm(x.numpy() @ y.numpy()))
    torch.testing.assert_close(M.log(x, y), torch.from_numpy(product + product.T) - 2 * x, rtol=1e-12, atol=1e-12)
    u = M.random_tangent(x, generator())
    z = scipy.linalg.solve_continuous_lyapunov(x.numpy(), u.numpy())
    assert M.inner(x, u, u).item() == pytest.approx(0.5 * np.trace(z @ u.numpy()), rel=1e-12)
    step = np.eye(3) + 0.2 * z
    torch.testing.assert_close(M.exp(x, u, 0.2), torch.from_numpy(step @ x.numpy() @ step))


def test_commuting_matrices_of_the_bures_wasserstein_metric_are_root_vectors() -> None:
    M = SymmetricPositiveDefinite(2, metric="bures_wasserstein")
    x, y = torch.tensor([4.0, 9.0]).double(), torch.tensor([1.0, 25.0]).double()
    assert M.dist(torch.diag(x), torch.diag(y)).item() == pytest.approx(math.hypot(1.0, 2.0))
    middle = M.mid_point(torch.diag(x), torch.diag(y))
    torch.testing.assert_close(middle, torch.diag(torch.tensor([1.5, 4.0]).double() ** 2))


def test_bures_wasserstein_geodesics_end_at_the_boundary_of_the_cone() -> None:
    M = SymmetricPositiveDefinite(2, metric="bures_wasserstein")
    x = torch.diag(torch.tensor([0.25, 4.0])).double().expand(3, 2, 2)
    assert torch.equal(M.injectivity_radius(x), torch.full((3,), 0.5).double())
    assert M.injectivity_radius() == 0
    u = torch.diag(torch.tensor([-0.5, 0.0])).double()  # of length 0.5, straight to the boundary
    assert M.norm(x[0], u) == 0.5
    t = torch.tensor([0.999, 1.001, -3.0], dtype=torch.float64)
    moved = M.exp(x, u.expand(3, 2, 2), t)
    assert torch.isnan(moved).all((-2, -1)).tolist() == [False, True, False]
    assert moved[0, 0, 0].item() == pytest.approx(0.0005**2)
    # the retraction goes on, folded back
    folded = M.retract(x, u.expand(3, 2, 2), t)
    M.check_point(folded)
    torch.testing.assert_close(folded[[0, 2]], moved[[0, 2]])
    assert folded[1, 0, 0].item() == pytest.approx(0.0005**2)


def test_bures_wasserstein_has_no_parallel_transport() -> None:
    M, (x, y) = SymmetricPositiveDefinite(3, metric="bures_wasserstein"), pair()
    assert not M.has_parallel_transport
    with pytest.raises(OptionsError, match=r"no parallel transport in closed form: use M.transport"):
        M.parallel_transport(x, y, x)


@every_metric
@pytest.mark.parametrize("small", [1e-7, 1e-5, 1e-3, 0.1, 1.0])
def test_float32_distances_keep_their_digits(metric: str, small: float) -> None:
    M = SymmetricPositiveDefinite(3, metric=metric)
    x = M.random_point(20, generator=generator(), dtype=torch.float32)
    noise = torch.randn(20, 3, 3, generator=generator())
    y = symmetric_part(x + small * 0.05 * symmetric_part(noise) / 3)
    # what tells the points apart is the difference of the float32 matrices
    truth = M.dist(x.double(), y.double())
    torch.testing.assert_close(M.dist(x, y).double(), truth, rtol=2e-5, atol=0)
    length = M.norm(x, M.log(x, y)).double()
    torch.testing.assert_close(length, truth, rtol=5e-5, atol=0)


@every_other
@pytest.mark.parametrize("diagonal", [[1.0, 1.0, 1.0], [1.0, 1.0, 3.0]], ids=str)
def test_derivatives_at_repeated_eigenvalues(metric: str, diagonal: list[float]) -> None:
    M = SymmetricPositiveDefinite(3, metric=metric)
    x = torch.diag(torch.tensor(diagonal, dtype=torch.float64))

    def of_symmetric(method: str) -> Callable:
        return lambda a, b: getattr(M, method)(symmetric_part(a), symmetric_part(b))

    arguments = (x.clone().requires_grad_(), (2 * x).requires_grad_())
    assert torch.autograd.gradcheck(of_symmetric("squared_dist"), arguments, fast_mode=True)
    assert torch.autograd.gradgradcheck(of_symmetric("squared_dist"), arguments, fast_mode=True)
    for method in ("log", "exp"):
        assert torch.autograd.gradcheck(
            of_symmetric(method), (arguments[0], (0.1 * x).requires_grad_()), fast_mode=True
        )
    (g,) = torch.autograd.grad(0.5 * M.squared_dist(*arguments), arguments[0])
    torch.testing.assert_close(M.egrad2rgrad(x, g), -M.log(x, 2 * x))


@every_metric
def test_the_metric_can_be_differentiated_by_its_point(metric: str) -> None:
    M, (x, y) = SymmetricPositiveDefinite(3, metric=metric), pair()
    u = M.random_tangent(x, generator())
    arguments = (x.requires_grad_(), u.requires_grad_(), y.requires_grad_())
    assert torch.autograd.gradcheck(
        lambda a, b, c: M.inner(symmetric_part(a), b, symmetric_part(c)), arguments, fast_mode=True
    )


@every_metric
def test_one_bad_matrix_leaves_its_neighbours_alone(metric: str) -> None:
    M = SymmetricPositiveDefinite(3, metric=metric)
    x = M.random_point(4, generator=generator(), dtype=torch.float64)
    y, u = x.roll(1, 0), 0.1 * M.random_tangent(x, generator())
    for bad in (torch.full((3, 3), math.nan), -torch.eye(3), torch.zeros(3, 3)):
        spoilt = torch.stack([x[0], bad.double(), x[2], x[3]])
        for method, rest in [("log", (y,)), ("dist", (y,)), ("exp", (u,)), ("retract", (u,)), ("norm", (u,))]:
            result, clean = getattr(M, method)(spoilt, *rest), getattr(M, method)(x, *rest)
            assert torch.isnan(result[1]).all(), method
            assert torch.equal(result[[0, 2, 3]], clean[[0, 2, 3]]), method
        # a singular matrix is at a finite distance in the last metric only
        assert torch.isnan(M.dist(y, spoilt)[1]) or (metric == "bures_wasserstein" and not bad.any())


def test_the_metric_stands_in_the_name() -> None:
    assert repr(SymmetricPositiveDefinite(3)) == "SymmetricPositiveDefinite(3)"
    wanted = 'SymmetricPositiveDefinite(3, metric="log_cholesky")'
    assert repr(SymmetricPositiveDefinite(3, metric="log_cholesky")) == wanted
