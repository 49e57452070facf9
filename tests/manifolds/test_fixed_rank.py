"""FixedRank against dense matrices, truncated decompositions, finite differences and pymanopt."""

from typing import Any

import numpy as np
import pymanopt.manifolds
import pytest
import torch

from manopt_torch import steepest_descent
from manopt_torch.errors import NotOnManifoldError, OptionsError
from manopt_torch.manifolds import FixedRank, FixedRankPoint, FixedRankTangent
from manopt_torch.manifolds.points import leaves, map_leaves
from tests.together import together

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")

F64 = torch.float64
M = FixedRank(6, 5, 2)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int = 5) -> torch.Tensor:
    return torch.randn(*shape, dtype=F64, generator=generator(seed))


def point(*batch: int, seed: int = 0) -> FixedRankPoint:
    return M.random_point(*batch, generator=generator(seed), dtype=F64)


def tangent(x: FixedRankPoint, seed: int = 1) -> FixedRankTangent:
    return M.random_tangent(x, generator(seed))


def dense(x: FixedRankPoint, u: Any) -> torch.Tensor:
    """Return the matrix that a tangent vector stands for."""
    core, left, right = M.components(x, u)
    return x.U @ core @ x.V.mT + left @ x.V.mT + x.U @ right.mT


def projection(x: FixedRankPoint, z: torch.Tensor) -> torch.Tensor:
    left, right = x.U @ x.U.mT, x.V @ x.V.mT
    return left @ z + z @ right - left @ z @ right


def close(a: torch.Tensor, b: torch.Tensor, tolerance: float = 1e-12) -> None:
    torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)


def test_tangents_are_the_velocity_of_the_product() -> None:
    x, z = point(3), normal(3, 6, 5)
    u = M.project_tangent(x, z)
    assert isinstance(u, FixedRankTangent) and isinstance(M.zero_tangent(x), FixedRankTangent)
    close(dense(x, u), projection(x, z))
    _, velocity = torch.func.jvp(lambda *p: M.matrix(p), tuple(x), tuple(u))
    close(velocity, projection(x, z))
    close(dense(x, M.project_ambient(x, z @ x.V, z.mT @ x.U)), projection(x, z))


def test_the_inner_product_is_that_of_matrices() -> None:
    x = point(3)
    u, v = tangent(x, 1), tangent(x, 2)
    close(M.inner(x, u, v), (dense(x, u) * dense(x, v)).sum((-2, -1)))
    close(M.norm(x, u), torch.linalg.matrix_norm(dense(x, u)))


def test_dense_arrays_project_to_the_truncated_decomposition() -> None:
    z = normal(3, 6, 5)
    U, s, Vh = np.linalg.svd(z.numpy())
    wanted = (U[:, :, :2] * s[:, None, :2]) @ Vh[:, :2]
    close(M.matrix(M.project_point(z)), torch.from_numpy(wanted))
    factors = (normal(6, 2), normal(2, 2), normal(5, 2))
    close(M.matrix(M.project_point(factors)), factors[0] @ factors[1] @ factors[2].mT)


@together()
@pytest.mark.parametrize("sizes", [(6, 5, 2), (3, 5, 2), (4, 4, 4), (3, 2, 1)], ids=str)
@pytest.mark.parametrize("t", [0.0, 1e-9, 0.1, 1.0, 30.0])
def test_the_retraction_is_the_truncated_decomposition_and_turns_the_bases_least(sizes: tuple, t: float) -> None:
    N = FixedRank(*sizes)
    x = N.random_point(3, generator=generator(), dtype=F64)
    u = N.random_tangent(x, generator(1))
    y = N.retract(x, u, t)
    U, s, Vh = np.linalg.svd((N.matrix(x) + t * dense(x, u)).numpy())
    k = sizes[2]
    wanted = torch.from_numpy((U[..., :k] * s[..., None, :k]) @ Vh[..., :k, :])
    close(N.matrix(y), wanted)
    for start, end in ((x.U, y.U), (x.V, y.V)):
        inner = start.mT @ end
        close(inner, inner.mT, 1e-12)
        assert (torch.linalg.eigvalsh(inner) > 0).all()


def test_the_orthographic_retraction_projects_to_the_straight_step_and_inverts() -> None:
    x = point(3)
    u = tangent(x)
    y = M.retract(x, u, 0.3, method="orthographic")
    close(projection(x, M.matrix(y) - M.matrix(x)), 0.3 * dense(x, u))
    back = M.inverse_retract(x, y)
    close(dense(x, back), 0.3 * dense(x, u))
    assert float(M.off_manifold(y).max()) < 1e-14


def test_the_retraction_is_that_of_pymanopt() -> None:
    theirs = pymanopt.manifolds.FixedRankEmbedded(6, 5, 2)
    x = point()._replace(S=torch.diag(torch.tensor([2.0, 0.5], dtype=F64)))
    core, left, right = M.components(x, tangent(x))
    start = (x.U.numpy(), x.S.diagonal().numpy(), x.V.mT.numpy())
    step = type(theirs.zero_vector(start))(left.numpy(), core.numpy(), right.numpy())
    U, s, Vh = theirs.retraction(start, step)
    close(M.matrix(M.retract(x, tangent(x))), torch.from_numpy((U * s) @ Vh))
    assert theirs.dim == M.dim


def test_transport_is_the_projection_of_the_matrix() -> None:
    x, y = point(3), point(3, seed=1)
    u = tangent(x)
    close(dense(y, M.transport(x, y, u)), projection(y, dense(x, u)))


# ---- derivatives of costs --------------------------------------------------------------------------------------------

A = normal(6, 5)
MASK = (normal(6, 5, seed=8) > 0).to(F64)


def of_matrix(X: torch.Tensor) -> torch.Tensor:
    return (MASK * (X - A).sin()).square().sum() + X.square().sum()


def of_factors(U: torch.Tensor, S: torch.Tensor, V: torch.Tensor) -> torch.Tensor:
    # the second term is the norm of the matrix for orthonormal factors only
    return (MASK * (U @ S @ V.mT - A).sin()).square().sum() + S.square().sum()


@pytest.mark.parametrize("S", [torch.eye(2, dtype=F64), torch.tensor([[0.0, 2.0], [-1.0, 0.5]], dtype=F64)])
def test_gradient_and_hessian_from_factors_are_those_from_matrices(S: torch.Tensor) -> None:
    x = point()._replace(S=S)  # equal singular values, and a core that is not diagonal
    u = tangent(x)
    grad = torch.func.grad(of_factors, argnums=(0, 1, 2))
    g, h = torch.func.jvp(lambda *p: grad(*p), tuple(x), tuple(u))
    G, H = torch.func.jvp(torch.func.grad(of_matrix), (M.matrix(x),), (dense(x, u),))
    close(dense(x, M.egrad2rgrad(x, g)), projection(x, G))
    close(dense(x, M.egrad2rgrad(x, G)), projection(x, G))
    close(dense(x, M.ehess2rhess(x, g, h, u)), dense(x, M.ehess2rhess(x, G, H, u)), 1e-11)
    products = M.ambient_hessian(x, H @ x.V, H.mT @ x.U, G @ u.V, G.mT @ u.U)
    close(dense(x, products), dense(x, M.ehess2rhess(x, G, H, u)))


def test_the_hessian_is_the_second_derivative_along_the_dense_metric_projection() -> None:
    # P_X D(P_Y G(Y)) by central differences of dense matrices, along truncated decompositions
    x = point()
    u = tangent(x)

    def field(t: float) -> torch.Tensor:
        U, s, Vh = torch.linalg.svd(M.matrix(x) + t * dense(x, u))
        y = FixedRankPoint(U[:, :2], torch.diag(s[:2]), Vh[:2].mT)
        return projection(y, torch.func.grad(of_matrix)(M.matrix(y)))

    G, H = torch.func.jvp(torch.func.grad(of_matrix), (M.matrix(x),), (dense(x, u),))
    wanted = projection(x, (field(1e-5) - field(-1e-5)) / 2e-5)
    close(dense(x, M.ehess2rhess(x, G, H, u)), wanted, 1e-7)


def test_results_do_not_depend_on_the_bases() -> None:
    x = point()
    u, z, w = tangent(x), normal(6, 5), normal(6, 5, seed=6)
    a, b = (torch.linalg.qr(normal(2, 2, seed=seed)).Q for seed in (1, 2))
    y = FixedRankPoint(x.U @ a, a.mT @ x.S @ b, x.V @ b)
    v = M.project_tangent(y, dense(x, u))
    close(M.matrix(M.retract(x, u)), M.matrix(M.retract(y, v)))
    close(dense(x, M.ehess2rhess(x, z, w, u)), dense(y, M.ehess2rhess(y, z, w, v)))
    close(M.injectivity_radius(x), M.injectivity_radius(y))


# ---- derivatives of the retraction -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["projection", "orthographic"])
@pytest.mark.parametrize("t", [0.0, 0.4])
def test_retractions_have_two_derivatives_also_at_zero_and_at_equal_singular_values(name: str, t: float) -> None:
    N = FixedRank(4, 3, 2)
    x = N.random_point(generator=generator(), dtype=F64)._replace(S=torch.eye(2, dtype=F64))
    c = (t * normal(N.dim)).requires_grad_()
    d = torch.zeros(N.dim, dtype=F64, requires_grad=True)

    def end(c: torch.Tensor, d: torch.Tensor) -> tuple:
        start = N.retract_orthographic(x, N.from_coordinates(x, d))
        return tuple(N.retract(start, N.transport(x, start, N.from_coordinates(x, c)), method=name))

    assert torch.autograd.gradcheck(end, (c, d), check_forward_ad=True, fast_mode=True)
    assert torch.autograd.gradgradcheck(end, (c, d), fast_mode=True)


def test_truncation_of_a_dense_matrix_has_two_derivatives() -> None:
    z = normal(4, 3).requires_grad_()
    N = FixedRank(4, 3, 2)

    def truncated(z: torch.Tensor) -> torch.Tensor:
        return N.matrix(N.project_point(z))

    assert torch.autograd.gradcheck(truncated, (z,), check_forward_ad=True, fast_mode=True)
    assert torch.autograd.gradgradcheck(truncated, (z,), fast_mode=True)


# ---- ends ------------------------------------------------------------------------------------------------------------


def test_a_step_to_lower_rank_keeps_the_rank_by_a_singular_value_at_rounding() -> None:
    x = point()._replace(S=torch.diag(torch.tensor([2.0, 1.0], dtype=F64)))
    u = FixedRankTangent(torch.zeros(6, 2, dtype=F64), torch.diag(torch.tensor([0.0, -1.0])).to(F64), 0 * x.V)
    y = M.retract(x, u)
    M.check_point(y)
    s = torch.linalg.svdvals(y.S)
    assert s[0].item() == pytest.approx(2.0) and 0 < s[1] < 1e-14


@pytest.mark.parametrize("condition", [1.0, 1e2, 1e4])
def test_float32_keeps_tangents_of_ill_conditioned_points(condition: float) -> None:
    x = point()._replace(S=torch.diag(torch.tensor([1.0, 1 / condition], dtype=F64)))
    z = normal(6, 5)
    single = map_leaves(torch.Tensor.float, x)
    close(dense(single, M.project_tangent(single, z.float())).double(), projection(x, z), 2e-6)


def test_points_of_lower_rank_or_without_orthonormal_bases_are_named() -> None:
    x = point()
    for broken in (x._replace(S=torch.ones(2, 2, dtype=F64)), x._replace(U=2 * x.U)):
        with pytest.raises(NotOnManifoldError, match=r"off FixedRank\(6, 5, 2\)"):
            M.check_point(broken)


def test_nan_in_one_problem_leaves_the_others_alone() -> None:
    x = point(2)
    u = tangent(x)
    bad = u._replace(S=torch.stack([u.S[0], torch.full_like(u.S[1], torch.nan)]))
    y, lone = M.retract(x, bad), M.retract(x, u)
    assert all(torch.equal(a[0], b[0]) for a, b in zip(leaves(y), leaves(lone), strict=True))
    assert torch.isnan(M.matrix(y)[1]).all()


def test_what_there_is_no_formula_for_says_so() -> None:
    x = point()
    assert not (M.has_exp or M.has_log or M.has_parallel_transport)
    with pytest.raises(OptionsError, match="retract"):
        M.exp(x, M.zero_tangent(x))
    for call in (M.log, M.dist):
        with pytest.raises(OptionsError, match="inverse_retract"):
            call(x, x)
    with pytest.raises(OptionsError, match="rank 2 at most"):
        FixedRank(2, 3, 3)


def test_a_batch_of_matrices_is_completed() -> None:
    N = FixedRank(7, 6, 1)
    truth = N.matrix(N.random_point(2, generator=generator(3), dtype=F64))
    known = torch.rand(7, 6, generator=generator(4), dtype=F64) < 0.8
    start = N.project_point(torch.where(known, truth, 0.0))

    def cost(x: FixedRankPoint) -> torch.Tensor:
        return torch.where(known, N.matrix(x) - truth, 0.0).square().sum((-2, -1))

    found = steepest_descent(N, cost, start)
    assert isinstance(found, FixedRankPoint)
    close(N.matrix(found), truth, 1e-3)
