"""Elliptope, PSDFixedRank and Spectrahedron against dense formulas, SciPy, pymanopt and known solutions."""

import math

import numpy as np
import pymanopt.manifolds
import pytest
import scipy.linalg
import torch

from manopt_torch import steepest_descent
from manopt_torch.errors import NotOnManifoldError, OptionsError
from manopt_torch.manifolds import Elliptope, PSDFixedRank, Spectrahedron
from tests.together import together

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")

F64 = torch.float64
MANIFOLDS = [Elliptope(5, 3), PSDFixedRank(5, 3), Spectrahedron(5, 3)]
every_quotient = pytest.mark.parametrize("M", MANIFOLDS, ids=repr)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def turn(k: int, *batch: int, seed: int = 9) -> torch.Tensor:
    return torch.linalg.qr(torch.randn(*batch, k, k, dtype=F64, generator=generator(seed))).Q


def constraints(M, y: np.ndarray) -> np.ndarray:
    """Write the equations of a horizontal vector, one a row, entry by entry."""
    n, k = y.shape
    rows = []
    for i in range(k):
        for j in range(i):
            row = np.zeros((n, k))
            row[:, j], row[:, i] = y[:, i], -y[:, j]
            rows.append(row.ravel())
    if isinstance(M, Spectrahedron):
        rows.append(y.ravel())
    if isinstance(M, Elliptope):
        rows += [np.outer(np.eye(n)[i], y[i]).ravel() for i in range(n)]
    return np.array(rows)


@every_quotient
def test_the_projector_is_that_of_the_null_space_of_the_equations(M) -> None:
    x = M.random_point(generator=generator(), dtype=F64)
    z = torch.randn(5, 3, dtype=F64, generator=generator(1))
    null = scipy.linalg.null_space(constraints(M, x.numpy()))
    assert null.shape[1] == M.dim
    wanted = (null @ (null.T @ z.numpy().ravel())).reshape(5, 3)
    np.testing.assert_allclose(M.project_tangent(x, z).numpy(), wanted, atol=1e-13)


@every_quotient
def test_operations_turn_with_the_factor(M) -> None:
    x = M.random_point(4, generator=generator(), dtype=F64)
    u, v = (M.random_tangent(x, generator(seed)) for seed in (1, 2))
    z, h = (torch.randn(x.shape, dtype=F64, generator=generator(seed)) for seed in (3, 4))
    Q = turn(3, 4)
    for whole, turned in [
        (M.project_tangent(x, z), M.project_tangent(x @ Q, z @ Q)),
        (M.egrad2rgrad(x, z), M.egrad2rgrad(x @ Q, z @ Q)),
        (M.ehess2rhess(x, z, h, u), M.ehess2rhess(x @ Q, z @ Q, h @ Q, u @ Q)),
        (M.retract(x, u, 0.3), M.retract(x @ Q, u @ Q, 0.3)),
        (M.exp(x, u, 0.3), M.exp(x @ Q, u @ Q, 0.3)),
    ]:
        torch.testing.assert_close(whole @ Q, turned, rtol=1e-11, atol=1e-11)
    torch.testing.assert_close(M.inner(x, u, v), M.inner(x @ Q, u @ Q, v @ Q))
    torch.testing.assert_close(M.matrix(x), M.matrix(x @ Q))


@pytest.mark.parametrize("M", MANIFOLDS[1:], ids=repr)
def test_distance_and_logarithm_do_not_see_the_turn(M) -> None:
    x, y = (M.random_point(4, generator=generator(seed), dtype=F64) for seed in (0, 1))
    Q, R = turn(3, 4), turn(3, 4, seed=10)
    torch.testing.assert_close(M.dist(x @ Q, y @ R), M.dist(x, y), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(M.log(x @ Q, y @ R), M.log(x, y) @ Q, rtol=1e-10, atol=1e-10)
    assert (M.dist(x, x @ Q) < 1e-14 * 50).all()
    assert (M.dist(x.float(), (x @ Q).float()) < 5e-6).all()


@pytest.mark.parametrize("M", MANIFOLDS[1:], ids=repr)
def test_geodesics_are_shortest_up_to_the_injectivity_radius_and_no_farther(M) -> None:
    x = M.random_point(generator=generator(), dtype=F64)
    U, _, Vh = torch.linalg.svd(x, full_matrices=False)
    towards_lower_rank = M.project_tangent(x, -U[:, -1:] @ Vh[-1:])
    u = towards_lower_rank / M.norm(x, towards_lower_rank)
    radius = M.injectivity_radius(x)
    assert torch.linalg.svdvals(M.exp(x, u, radius))[-1] < 1e-14
    assert M.dist(x, M.exp(x, u, 0.99 * radius)).item() == pytest.approx(0.99 * radius.item(), rel=1e-12)
    assert M.dist(x, M.exp(x, u, 1.2 * radius)) < 1.1 * radius
    assert M.log_defined(x, M.exp(x, u, 0.99 * radius)) and not M.log_defined(x, M.exp(x, u, radius))


@pytest.mark.parametrize("M", MANIFOLDS[1:], ids=repr)
def test_logarithm_has_derivatives_where_singular_values_repeat(M) -> None:
    x = torch.eye(5, dtype=F64)[:, :3] * (1 if isinstance(M, PSDFixedRank) else 3**-0.5)
    c, d = (0.1 * torch.randn(M.dim, dtype=F64, generator=generator(seed)) for seed in (0, 1))

    def logarithm(c: torch.Tensor, d: torch.Tensor) -> torch.Tensor:
        return M.log(M.exp(x, M.from_coordinates(x, c)), M.exp(x, M.from_coordinates(x, d)))

    for a in (torch.zeros_like(c), c):
        inputs = (a.requires_grad_(), d.requires_grad_())
        assert torch.autograd.gradcheck(logarithm, inputs, check_forward_ad=True, fast_mode=True)


# ---- fixed rank ------------------------------------------------------------------------------------------------------


def test_full_rank_is_bures_wasserstein() -> None:
    M = PSDFixedRank(4, 4)
    x, y = (M.random_point(generator=generator(seed), dtype=F64) for seed in (0, 1))
    X, Y = M.matrix(x).numpy(), M.matrix(y).numpy()
    root = scipy.linalg.sqrtm(X)
    wanted = np.trace(X) + np.trace(Y) - 2 * np.trace(scipy.linalg.sqrtm(root @ Y @ root)).real
    assert M.squared_dist(x, y).item() == pytest.approx(wanted, rel=1e-10)


def test_one_column_is_the_space_up_to_sign() -> None:
    M = PSDFixedRank(3, 1)
    x, y = (M.random_point(20, generator=generator(seed), dtype=F64) for seed in (0, 1))
    wanted = torch.minimum((x - y).norm(dim=(-2, -1)), (x + y).norm(dim=(-2, -1)))
    torch.testing.assert_close(M.dist(x, y), wanted)


def test_the_projection_solves_the_sylvester_equation() -> None:
    M = PSDFixedRank(6, 3)
    x = M.random_point(generator=generator(), dtype=F64)
    z = torch.randn(6, 3, dtype=F64, generator=generator(1))
    Y, Z = x.numpy(), z.numpy()
    W = scipy.linalg.solve_sylvester(Y.T @ Y, Y.T @ Y, Y.T @ Z - Z.T @ Y)
    np.testing.assert_allclose(M.project_tangent(x, z).numpy(), Z - Y @ W, atol=1e-12)


def test_pymanopt_agrees_on_fixed_rank() -> None:
    M, theirs = PSDFixedRank(6, 3), pymanopt.manifolds.PSDFixedRank(6, 3)
    x, y, z = (M.random_point(generator=generator(seed), dtype=F64) for seed in range(3))
    np.testing.assert_allclose(M.project_tangent(x, z), theirs.projection(x.numpy(), z.numpy()), atol=1e-13)
    np.testing.assert_allclose(M.log(x, y), theirs.log(x.numpy(), y.numpy()), atol=1e-13)
    assert M.dist(x, y).item() == pytest.approx(theirs.dist(x.numpy(), y.numpy()), rel=1e-13)
    assert theirs.dim == M.dim


def test_lower_rank_is_no_point() -> None:
    M = PSDFixedRank(3, 2)
    for y in (torch.ones(3, 2), torch.zeros(3, 2)):
        with pytest.raises(NotOnManifoldError, match="off PSDFixedRank"):
            M.check_point(y)
    M.check_point(torch.tensor([[1.0, 0.0], [0.0, 1e-5], [0.0, 0.0]]))


def test_a_low_rank_matrix_is_found_from_its_diagonal_and_products() -> None:
    M = PSDFixedRank(6, 2)
    truth = M.matrix(M.random_point(3, generator=generator(), dtype=F64))
    start = M.random_point(3, generator=generator(1), dtype=F64)
    found = steepest_descent(M, lambda y: (M.matrix(y) - truth).square().sum((-2, -1)), start)
    torch.testing.assert_close(M.matrix(found), truth, rtol=0, atol=1e-3)


def complex_point(M: PSDFixedRank, *batch: int, seed: int = 0) -> torch.Tensor:
    return M.random_point(*batch, generator=generator(seed), dtype=F64)


def test_complex_factors_of_full_rank_are_bures_wasserstein() -> None:
    M = PSDFixedRank(3, 3, field="complex")
    x, y = (complex_point(M, seed=seed) for seed in (0, 1))
    X, Y = M.matrix(x).numpy(), M.matrix(y).numpy()
    root = scipy.linalg.sqrtm(X)
    wanted = np.trace(X).real + np.trace(Y).real - 2 * np.trace(scipy.linalg.sqrtm(root @ Y @ root)).real
    assert M.squared_dist(x, y).item() == pytest.approx(wanted, rel=1e-10)


def test_complex_factors_do_not_see_a_unitary_turn() -> None:
    M = PSDFixedRank(5, 3, field="complex")
    assert M.dim == 2 * 15 - 9 and repr(M) == "PSDFixedRank(5, 3, field='complex')"
    x, y, z = (complex_point(M, 4, seed=seed) for seed in range(3))
    Q, R = (torch.linalg.qr(torch.randn(4, 3, 3, dtype=x.dtype, generator=generator(seed))).Q for seed in (8, 9))
    torch.testing.assert_close(M.matrix(x @ Q), M.matrix(x))
    torch.testing.assert_close(M.dist(x @ Q, y @ R), M.dist(x, y), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(M.log(x @ Q, y @ R), M.log(x, y) @ Q, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(M.project_tangent(x @ Q, z @ Q), M.project_tangent(x, z) @ Q, rtol=1e-11, atol=1e-11)
    # vertical vectors, and i times a multiple of the point is one, are projected away
    turned = x @ (Q - Q.mH)
    assert (M.norm(x, M.project_tangent(x, turned)) < 1e-13 * M.norm(x, turned)).all()


def test_the_complex_projection_solves_the_sylvester_equation() -> None:
    M, theirs = PSDFixedRank(6, 3, field="complex"), pymanopt.manifolds.PSDFixedRankComplex(6, 3)
    x, z = (complex_point(M, seed=seed) for seed in (0, 1))
    Y, Z = x.numpy(), z.numpy()
    S = Y.conj().T @ Y
    W = scipy.linalg.solve_sylvester(S, S, Y.conj().T @ Z - Z.conj().T @ Y)
    np.testing.assert_allclose(M.project_tangent(x, z).numpy(), Z - Y @ W, atol=1e-12)
    assert theirs.dim == M.dim


# ---- unit trace ------------------------------------------------------------------------------------------------------


def test_distance_is_the_arc_cosine_of_the_nuclear_norm() -> None:
    M = Spectrahedron(5, 3)
    x, y = (M.random_point(generator=generator(seed), dtype=F64) for seed in (0, 1))
    nuclear = scipy.linalg.svdvals(y.numpy().T @ x.numpy()).sum()
    assert M.dist(x, y).item() == pytest.approx(math.acos(nuclear), rel=1e-13)


@together()
@pytest.mark.parametrize("theta", [1e-6, 1e-4, 1e-2, 1.0, 1.5, math.pi / 2 - 1e-3, math.pi / 2])
def test_one_column_is_the_projective_space_also_in_float32(theta: float) -> None:
    M = Spectrahedron(2, 1)
    x, y = torch.tensor([[1.0], [0.0]]), torch.tensor([[math.cos(theta)], [math.sin(theta)]])
    truth = math.atan2(y[1].item(), y[0].item())
    for end in (y, -y):
        assert M.dist(x, end).item() == pytest.approx(truth, rel=2e-6)
        assert M.norm(x, M.log(x, end)).item() == pytest.approx(truth, rel=2e-6)


# ---- correlations ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [3, 5, 7])
def test_max_cut_of_an_odd_cycle(n: int) -> None:
    M = Elliptope(n, 3)
    start = M.random_point(4, generator=generator(), dtype=F64)
    found = steepest_descent(M, lambda y: -0.5 * (1 - (y * y.roll(1, -2)).sum(-1)).sum(-1), start)
    value = 0.5 * (1 - (found * found.roll(1, -2)).sum(-1)).sum(-1)
    torch.testing.assert_close(
        value, torch.full((4,), n * (1 + math.cos(math.pi / n)) / 2, dtype=F64), rtol=1e-4, atol=0
    )


@together()
@pytest.mark.parametrize("smallest", [0.0, 1e-12, 1e-8, 1e-4])
@pytest.mark.parametrize("rank", [1, 2])
def test_the_projector_is_one_also_where_the_rank_is_low(smallest: float, rank: int) -> None:
    M = Elliptope(6, 4)
    scales = torch.tensor([1.0] * rank + [smallest] * (4 - rank), dtype=F64)
    x = M.project_point(torch.randn(6, 4, dtype=F64, generator=generator()) * scales) @ turn(4)
    z, w = torch.randn(2, 6, 4, dtype=F64, generator=generator(1))
    p, q = M.project_tangent(x, z), M.project_tangent(x, w)
    assert torch.linalg.vector_norm(p) <= torch.linalg.vector_norm(z)
    torch.testing.assert_close(M.project_tangent(x, p), p, rtol=0, atol=1e-13)
    torch.testing.assert_close(M.inner(x, p, w), M.inner(x, z, q), rtol=0, atol=1e-13)
    assert (x * p).sum(-1).abs().max() < 1e-14
    assert (x.mT @ p - p.mT @ x).abs().max() < 1e-13


@every_quotient
def test_the_projection_has_all_derivatives(M) -> None:
    # as a function of any matrix: the projector is not asked whether its point is one
    y, z = torch.randn(2, 2, 5, 3, dtype=F64, generator=generator())
    y[1] = torch.eye(5, dtype=F64)[:, :3]  # equal singular values
    inputs = (y.requires_grad_(), z.requires_grad_())
    assert torch.autograd.gradcheck(M.project_tangent, inputs, check_forward_ad=True, fast_mode=True)
    assert torch.autograd.gradgradcheck(M.project_tangent, inputs, fast_mode=True)


def test_exp_follows_great_circles() -> None:
    M = Elliptope(4, 2)
    x = M.random_point(generator=generator(), dtype=F64)
    u = M.random_tangent(x, generator(1))
    angle = u.norm(dim=-1, keepdim=True)
    wanted = torch.cos(0.7 * angle) * x + torch.sin(0.7 * angle) / angle * u
    torch.testing.assert_close(M.exp(x, u, 0.7), wanted, rtol=1e-14, atol=1e-14)


def test_there_is_no_logarithm_and_the_message_says_so() -> None:
    M = Elliptope(4, 2)
    x = M.random_point(2, generator=generator())
    assert M.has_exp and not M.has_log and not M.has_parallel_transport
    for call in (lambda: M.log(x, x), lambda: M.dist(x, x)):
        with pytest.raises(OptionsError, match="has no logarithm"):
            call()


@pytest.mark.parametrize(
    ("kind", "sizes"),
    [
        (Elliptope, (3, 1)),
        (Elliptope, (2, 3)),
        (PSDFixedRank, (2, 3)),
        (Spectrahedron, (1, 1)),
        (Spectrahedron, (2, 3)),
    ],
)
def test_sizes_that_make_no_manifold_are_named(kind: type, sizes: tuple) -> None:
    with pytest.raises(OptionsError, match=rf"{kind.__name__}\({sizes[0]}, {sizes[1]}\)"):
        kind(*sizes)
