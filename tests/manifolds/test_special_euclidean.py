"""Rigid motions: the product metric, and the group against SciPy."""

import math

import numpy as np
import pytest
import scipy.linalg
import torch
from scipy.spatial.transform import Rotation

from manopt_torch.errors import NotOnManifoldError, OptionsError, ShapeError
from manopt_torch.linalg.rigid_motions import rigid_ad, rigid_motion
from manopt_torch.linalg.rotations import hat
from manopt_torch.manifolds import Euclidean, Product, Rotations, SpecialEuclidean

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")

PLANE, SPACE = SpecialEuclidean(2), SpecialEuclidean(3)
both = pytest.mark.parametrize("M", [PLANE, SPACE], ids=repr)
ANGLES = [0.0, 1e-9, 1e-5, 1e-2, 0.5, 1.9, 2.1, 3.0, math.pi - 1e-6, math.pi]


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def twists(M: SpecialEuclidean, theta: float, batch: int = 5) -> torch.Tensor:
    xi = torch.randn(batch, M.dim, dtype=torch.float64, generator=generator(3))
    w = xi[:, M.n :]
    return torch.cat([xi[:, : M.n], theta * w / torch.linalg.vector_norm(w, dim=-1, keepdim=True)], -1)


def wedge(M: SpecialEuclidean, xi: torch.Tensor) -> np.ndarray:
    matrix = np.zeros((*xi.shape[:-1], M.n + 1, M.n + 1))
    matrix[..., : M.n, : M.n], matrix[..., : M.n, M.n] = hat(xi[..., M.n :]).numpy(), xi[..., : M.n].numpy()
    return matrix


def integral_by_scipy(a: np.ndarray) -> np.ndarray:
    n = len(a)
    augmented = np.zeros((2 * n, 2 * n))
    augmented[:n, :n], augmented[:n, n:] = a, np.eye(n)
    return scipy.linalg.expm(augmented)[:n, n:]


def sample(M: SpecialEuclidean, *batch: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    g = generator()
    x, y = (M.random_point(*batch, generator=g, dtype=torch.float64) for _ in range(2))
    return x, y, M.random_tangent(x, g)


# ---- the manifold ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [2, 3, 4])
def test_geometry_is_that_of_the_product(n: int) -> None:
    M, P = SpecialEuclidean(n), Product(Rotations(n), Euclidean(n))
    x, y, u = sample(M, 3)

    def pair(a: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return a[..., :n, :n], a[..., :n, n]

    v = M.random_tangent(x, generator(4))
    p, q, s, t = (pair(a) for a in (x, y, u, v))
    for name, mine, theirs in [
        ("dist", (x, y), (p, q)),
        ("squared_dist", (x, y), (p, q)),
        ("inner", (x, u, v), (p, s, t)),
        ("exp", (x, u, 0.7), (p, s, 0.7)),
        ("log", (x, y), (p, q)),
        ("retract", (x, u), (p, s)),
        ("transport", (x, y, u), (p, q, s)),
        ("parallel_transport", (x, y, u), (p, q, s)),
        ("egrad2rgrad", (x, y), (p, q)),
        ("ehess2rhess", (x, y, v, u), (p, q, t, s)),
    ]:
        got, wanted = getattr(M, name)(*mine), getattr(P, name)(*theirs)
        if got.ndim == 1:
            torch.testing.assert_close(got, wanted, rtol=1e-14, atol=1e-14)
        else:
            torch.testing.assert_close(pair(got), wanted, rtol=1e-14, atol=1e-14)
    assert (M.dim, M.injectivity_radius()) == (P.dim, P.injectivity_radius())
    assert M.typical_dist == pytest.approx(P.typical_dist)


@pytest.mark.parametrize("method", ["cayley", "polar", "qr", "exp"])
def test_retractions_translate_straight(method: str) -> None:
    x, _, u = sample(SPACE)
    y = SPACE.retract(x, u, 0.5, method)
    torch.testing.assert_close(y[:3, :3], Rotations(3).retract(x[:3, :3], u[:3, :3], 0.5, method))
    torch.testing.assert_close(y[:3, 3], x[:3, 3] + 0.5 * u[:3, 3])
    torch.testing.assert_close(SPACE.inverse_retract(x, y, method), 0.5 * u)


@both
def test_the_metric_is_left_invariant(M: SpecialEuclidean) -> None:
    x, y, u = sample(M)
    g, v = M.random_point(generator=generator(1), dtype=torch.float64), M.random_tangent(x, generator(2))
    torch.testing.assert_close(M.dist(g @ x, g @ y), M.dist(x, y))
    torch.testing.assert_close(M.inner(g @ x, g @ u, g @ v), M.inner(x, u, v))
    torch.testing.assert_close(M.exp(g @ x, g @ u), g @ M.exp(x, u))


def test_batches_of_points_and_vectors_broadcast() -> None:
    x, _, _ = sample(SPACE)
    _, y, _ = sample(SPACE, 4)
    z = torch.randn(4, 4, 4, dtype=torch.float64, generator=generator())
    assert SPACE.project_tangent(x, z).shape == (4, 4, 4)
    assert SPACE.project_tangent(y, z[0]).shape == (4, 4, 4)
    assert SPACE.transport(x, y, SPACE.random_tangent(x)).shape == (4, 4, 4)
    assert SPACE.exp(x, SPACE.random_tangent(x), torch.linspace(0, 1, 4)).shape == (4, 4, 4)
    assert rigid_motion(torch.eye(3), torch.zeros(5, 3)).shape == (5, 4, 4)


def test_matrices_that_are_no_motions() -> None:
    eye = torch.eye(4)
    for spoilt in (
        2 * eye,
        eye + torch.diag(torch.ones(3), -1),
        -eye,
        eye.clone().index_fill(0, torch.tensor([3]), 0.0),
    ):
        with pytest.raises(NotOnManifoldError, match=r"is off SpecialEuclidean\(3\)"):
            SPACE.check_point(spoilt)
        SPACE.check_point(SPACE.project_point(spoilt))


# ---- the group ------------------------------------------------------------------------------------------------------


@both
@pytest.mark.parametrize("theta", ANGLES)
def test_group_exponential_and_logarithm(M: SpecialEuclidean, theta: float) -> None:
    xi = twists(M, theta)
    x = M.group_exp(xi)
    torch.testing.assert_close(x, torch.from_numpy(scipy.linalg.expm(wedge(M, xi))), rtol=0, atol=1e-14)
    back = M.group_log(x)
    if theta < math.pi - 1e-3:
        torch.testing.assert_close(back, xi, rtol=1e-13, atol=1e-14 if theta > 1e-4 else 1e-20)
    torch.testing.assert_close(M.group_exp(back), x, rtol=0, atol=1e-14)
    eye = torch.eye(M.n + 1, dtype=torch.float64).expand_as(x)
    torch.testing.assert_close(x @ M.group_inverse(x), eye, rtol=0, atol=1e-14)
    torch.testing.assert_close(M.group_inverse(x), M.group_exp(-xi), rtol=0, atol=1e-14)


def test_screw_motions_are_those_of_scipy() -> None:
    xi = twists(SPACE, 2.0)
    wanted = scipy.linalg.expm(wedge(SPACE, xi))
    torch.testing.assert_close(SPACE.group_exp(xi), torch.from_numpy(wanted), rtol=0, atol=1e-14)


@both
def test_adjoint_carries_twists_through_a_motion(M: SpecialEuclidean) -> None:
    x, xi, eta = M.group_exp(twists(M, 2.5)), twists(M, 0.8), twists(M, 1.1).flip(0)
    carried = (M.adjoint(x) @ xi[..., None])[..., 0]
    torch.testing.assert_close(x @ M.group_exp(xi), M.group_exp(carried) @ x, rtol=0, atol=1e-13)
    # its derivative is the bracket
    bracket = wedge(M, xi) @ wedge(M, eta) - wedge(M, eta) @ wedge(M, xi)
    np.testing.assert_allclose(wedge(M, (rigid_ad(xi) @ eta[..., None])[..., 0]), bracket, atol=1e-14)


@both
@pytest.mark.parametrize("theta", ANGLES)
def test_left_jacobians_are_integrals_of_the_adjoint(M: SpecialEuclidean, theta: float) -> None:
    xi = twists(M, theta, 2)
    for dtype, rtol in [(torch.float64, 1e-13), (torch.float32, 2e-6)]:
        x = xi.to(dtype)
        truth = np.stack([integral_by_scipy(a) for a in rigid_ad(x.double()).numpy()])
        J, inverse = M.left_jacobian(x), M.left_jacobian_inverse(x)
        assert J.dtype == inverse.dtype == dtype
        scale = np.abs(truth - np.eye(M.dim)).max() + 0.1
        np.testing.assert_allclose(J.double().numpy(), truth, atol=rtol * scale)
        np.testing.assert_allclose(inverse.double().numpy(), np.linalg.inv(truth), atol=rtol * scale)
        # entries that are small because the angle is keep their digits: none but the diagonal is rounded against one
        off = ~np.eye(M.dim, dtype=bool)
        np.testing.assert_allclose(J.double().numpy()[:, off], truth[:, off], rtol=20 * rtol, atol=rtol * theta * scale)


@both
def test_left_jacobian_is_the_derivative_of_the_exponential(M: SpecialEuclidean) -> None:
    xi = twists(M, 1.3)[0]
    inverse = M.group_inverse(M.group_exp(xi))
    for e, column in zip(torch.eye(M.dim, dtype=torch.float64), M.left_jacobian(xi).mT, strict=True):
        _, moved = torch.func.jvp(M.group_exp, (xi,), (e,))
        np.testing.assert_allclose((moved @ inverse).numpy(), wedge(M, column), atol=1e-14)
    assert torch.autograd.gradcheck(
        lambda t: M.group_log(M.group_exp(t)), (xi.requires_grad_(),), check_forward_ad=True
    )


def test_motions_as_translation_and_quaternion() -> None:
    x, _, _ = sample(SPACE, 20)
    v = SPACE.to_quaternion(x)
    torch.testing.assert_close(v[:, :3], x[:, :3, 3])
    wanted = Rotation.from_matrix(x[:, :3, :3].numpy()).as_quat(canonical=True)
    torch.testing.assert_close(v[:, 3:], torch.from_numpy(wanted), rtol=0, atol=1e-14)
    torch.testing.assert_close(SPACE.from_quaternion(v), x, rtol=0, atol=1e-14)
    v[:, 3:] *= -2.0
    torch.testing.assert_close(SPACE.from_quaternion(v), x, rtol=0, atol=1e-14)


def test_what_there_is_not_says_what_there_is() -> None:
    M = SpecialEuclidean(4)
    with pytest.raises(OptionsError, match=r"SpecialEuclidean\(4\) has no group_exp: .* n = 2 and 3; use exp and log"):
        M.group_exp(torch.zeros(10))
    for call in (
        lambda: M.group_log(torch.eye(5)),
        lambda: M.adjoint(torch.eye(5)),
        lambda: M.left_jacobian(torch.zeros(10)),
    ):
        with pytest.raises(OptionsError, match="n = 2 and 3"):
            call()
    with pytest.raises(OptionsError, match=r"SpecialEuclidean\(2\) has no to_quaternion: there is one for n = 3"):
        PLANE.to_quaternion(torch.eye(3))
    with pytest.raises(ShapeError, match=r"a twist of SpecialEuclidean\(3\) has shape \(\*batch, 6\), got \(2, 3\)"):
        SPACE.group_exp(torch.zeros(2, 3))
    with pytest.raises(OptionsError, match=r"SpecialEuclidean\(1\): sizes are integers of at least 2"):
        SpecialEuclidean(1)
