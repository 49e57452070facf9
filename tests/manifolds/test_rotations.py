"""Rotations, against SciPy and closed forms: the angle pi, tiny and repeated angles, float32, retractions."""

import math

import numpy as np
import pytest
import scipy.linalg
import torch
from scipy.spatial.transform import Rotation

from manopt_torch.errors import NotOnManifoldError, OptionsError
from manopt_torch.linalg.rotations import hat
from manopt_torch.manifolds import Rotations

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")

SIZES = [2, 3, 4, 5]
every_size = pytest.mark.parametrize("n", SIZES)
LADDER = [1e-7, 3e-7, 1e-6, 1e-5, 1e-4, 1e-3, 0.05, 0.2, 1.0, 1.5, 1.6, 2.0, 2.2, 3.0]
LADDER += [math.pi - 1e-3, math.pi - 1e-5, math.pi]


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def sample(n: int, *batch: int) -> tuple[Rotations, torch.Tensor, torch.Tensor]:
    M, g = Rotations(n), generator()
    x = M.random_point(*batch, generator=g, dtype=torch.float64)
    return M, x, M.random_tangent(x, g)


def turn(n: int, *angles: float) -> torch.Tensor:
    """Turn the planes of the first, second, ... pair of axes."""
    x = torch.eye(n, dtype=torch.float64)
    for k, a in enumerate(angles):
        i, j = 2 * k, 2 * k + 1
        x[i, i] = x[j, j] = math.cos(a)
        x[j, i], x[i, j] = math.sin(a), -math.sin(a)
    return x


def plane_directions(n: int, batch: int) -> torch.Tensor:
    """Draw skew matrices that turn one random plane at unit angular speed."""
    a, b = torch.linalg.qr(torch.randn(batch, n, 2, dtype=torch.float64, generator=generator(1))).Q.unbind(-1)
    return b[:, :, None] * a[:, None, :] - a[:, :, None] * b[:, None, :]


# ---- exponential, logarithm, distance -------------------------------------------------------------------------------


@every_size
def test_exponential_and_logarithm_are_those_of_scipy(n: int) -> None:
    M, x, u = sample(n)
    y = x.numpy() @ scipy.linalg.expm(1.7 * (x.mT @ u).numpy())
    torch.testing.assert_close(M.exp(x, u, 1.7), torch.from_numpy(y), rtol=0, atol=1e-14)
    log = x.numpy() @ np.real(scipy.linalg.logm(x.numpy().T @ y))
    torch.testing.assert_close(M.log(x, torch.from_numpy(y)), torch.from_numpy(log), rtol=0, atol=1e-13)
    angles = np.angle(np.linalg.eigvals(x.numpy().T @ y))
    assert M.dist(x, torch.from_numpy(y)).item() == pytest.approx(np.linalg.norm(angles), rel=1e-13)


def test_distances_in_space_are_the_angles_of_scipy() -> None:
    M, x, _ = sample(3, 100)
    y = M.random_point(100, generator=generator(5), dtype=torch.float64)
    angle = (Rotation.from_matrix(x.numpy()).inv() * Rotation.from_matrix(y.numpy())).magnitude()
    np.testing.assert_allclose(M.dist(x, y).numpy(), math.sqrt(2) * angle, rtol=1e-13)


@every_size
def test_float32_keeps_relative_accuracy_from_1e_7_to_the_cut_locus(n: int) -> None:
    M, x, A = Rotations(n), torch.eye(n), torch.eye(n, dtype=torch.float64)
    for theta in LADDER:
        y = turn(n, theta).float()
        truth = math.sqrt(2) * math.atan2(y[1, 0].item(), y[0, 0].item())  # of the rounded point
        for value in (M.dist(x, y), M.squared_dist(x, y).sqrt(), M.norm(x, M.log(x, y))):
            assert value.dtype == torch.float32
            assert value.item() == pytest.approx(truth, rel=2e-6, abs=0)
    # anywhere, in any plane: against the same rounded points in double precision, and against the angle
    M, x, _ = sample(n, 50)
    A = plane_directions(n, 50)
    for theta in LADDER:
        y = M.exp(x, x @ A, theta)
        d, truth = M.dist(x.float(), y.float()), M.dist(x.float().double(), y.float().double())
        torch.testing.assert_close(d.double(), truth, rtol=2e-6, atol=0)
        torch.testing.assert_close(
            M.dist(x, y), torch.full((50,), math.sqrt(2) * theta).double(), rtol=1e-6, atol=3e-15
        )


@every_size
def test_tiny_steps_keep_their_digits(n: int) -> None:
    M, eye = Rotations(n), torch.eye(n, dtype=torch.float64)
    u = M.random_tangent(eye, generator())
    for name in M.retractions:
        moved = M.retract(eye, u, 1e-9, name) - eye
        # factors of the matrix x + u are good to rounding of the point, not of the step
        atol = 1e-15 if name in ("polar", "qr") else 1e-22
        torch.testing.assert_close(moved - moved.mT, 2e-9 * u, rtol=1e-12, atol=atol)
    torch.testing.assert_close(M.log(eye, M.exp(eye, u, 1e-9)), 1e-9 * u, rtol=1e-12, atol=1e-23)
    assert M.dist(eye, M.exp(eye, u, 1e-9)).item() == pytest.approx(1e-9, rel=1e-12, abs=0)


@every_size
def test_a_half_turn_has_a_shortest_vector_though_not_a_unique_one(n: int) -> None:
    M, x, _ = sample(n, 20)
    y = M.exp(x, x @ plane_directions(n, 20), math.pi)
    u = M.log(x, y)
    assert torch.equal(u, M.log(x, y))
    torch.testing.assert_close(M.norm(x, u), torch.full((20,), math.sqrt(2) * math.pi).double(), rtol=1e-6, atol=0)
    torch.testing.assert_close(M.exp(x, u), y, rtol=0, atol=1e-13)
    assert not M.log_defined(x, y).any()
    assert M.log_defined(x, x).all()


@every_size
@pytest.mark.parametrize("delta", [1e-3, 1e-6, 1e-9])
def test_next_to_a_half_turn_the_plane_is_still_right(n: int, delta: float) -> None:
    M, x, _ = sample(n, 20)
    A = (math.pi - delta) * plane_directions(n, 20)
    y = M.exp(x, x @ A)
    torch.testing.assert_close(x.mT @ M.log(x, y), A, rtol=0, atol=1e-13 + 1e-14 / delta * (n == 3))
    torch.testing.assert_close(M.dist(x, y), torch.linalg.matrix_norm(A), rtol=1e-14, atol=0)
    assert M.log_defined(x, y).all()


@pytest.mark.parametrize(("n", "angles"), [(4, (1.0, 1.0)), (5, (1.0, 1.0)), (4, (math.pi, math.pi)), (5, (3.0, 3.0))])
def test_repeated_angles(n: int, angles: tuple[float, ...]) -> None:
    M, x, _ = sample(n)
    y = x @ turn(n, *angles)
    assert M.dist(x, y).item() == pytest.approx(math.sqrt(2 * sum(a * a for a in angles)), rel=1e-14)
    torch.testing.assert_close(M.exp(x, M.log(x, y)), y, rtol=0, atol=1e-14)
    if max(angles) < 2:
        wanted = torch.zeros(n, n, dtype=torch.float64)
        wanted[:4, :4] = torch.block_diag(hat(torch.ones(1)), hat(torch.ones(1)))
        torch.testing.assert_close(x.mT @ M.log(x, y), wanted, rtol=0, atol=1e-14)
        a, b = (v.clone().requires_grad_() for v in (x, y))
        (g,) = torch.autograd.grad(0.5 * M.squared_dist(a, b), a)
        torch.testing.assert_close(M.egrad2rgrad(x, g), -M.log(x, y), rtol=0, atol=1e-13)


@every_size
def test_the_gradient_of_half_the_squared_distance_is_minus_the_logarithm(n: int) -> None:
    M, x, u = sample(n, 3)
    for t in (0.0, 1e-9, 1e-3, 1.0, 3.0):
        y, a = M.exp(x, u, t), x.clone().requires_grad_()
        (g,) = torch.autograd.grad(0.5 * M.squared_dist(a, y).sum(), a)
        torch.testing.assert_close(M.egrad2rgrad(x, g), -M.log(x, y), rtol=1e-11, atol=1e-13 * max(t, 1e-3))


# ---- retractions and transports -------------------------------------------------------------------------------------


@every_size
def test_retractions_by_their_definitions(n: int) -> None:
    M, x, u = sample(n)
    z, eye = (x + 1.5 * u).numpy(), np.eye(n)
    A = 0.75 * (x.mT @ u).numpy()
    q, r = np.linalg.qr(z)
    wanted = {
        "cayley": x.numpy() @ np.linalg.solve(eye - A, eye + A),
        "polar": scipy.linalg.polar(z)[0],
        "qr": q * np.sign(np.diag(r)),
        "exp": x.numpy() @ scipy.linalg.expm(2 * A),
    }
    assert list(wanted) == list(M.retractions)
    for name, y in wanted.items():
        torch.testing.assert_close(M.retract(x, u, 1.5, name), torch.from_numpy(y), rtol=0, atol=1e-14)
    assert torch.equal(M.retract(x, u, 1.5), M.retract(x, u, 1.5, "cayley"))


@pytest.mark.parametrize("n", [2, 3, 5])
def test_inverse_retractions_have_their_domains(n: int) -> None:
    M, eye = Rotations(n), torch.eye(n, dtype=torch.float64)
    plane = turn(n, math.pi / 2) - turn(n, math.pi / 2).mT  # of angular speed 2
    for theta, domain in [(0.3, {"cayley", "polar", "qr"}), (1.4, {"cayley", "polar", "qr"}), (1.7, {"cayley"})]:
        y = turn(n, theta)
        for name in ("cayley", "polar", "qr"):
            u = M.inverse_retract(eye, y, name)
            if name in domain:
                torch.testing.assert_close(M.retract(eye, u, method=name), y, rtol=0, atol=1e-14)
                length = 2 * math.tan(theta / 2) if name == "cayley" else math.tan(theta)
                torch.testing.assert_close(u, length * plane / 2, rtol=0, atol=1e-13)
            else:
                assert torch.isnan(u).all()


@every_size
def test_steps_of_any_length_stay_on_the_manifold(n: int) -> None:
    M, x, u = sample(n, 20)
    for dtype in (torch.float32, torch.float64):
        a, b = x.to(dtype), u.to(dtype)
        for t in (1.0, 1e2, 1e4, 1e5):
            for name in M.retractions:
                assert (M.off_manifold(M.retract(a, b, t, name)) < M.tolerance(dtype)).all(), (name, t)


def test_drift_of_many_steps_stays_at_rounding() -> None:
    M, x, u = sample(3, 4)
    for name in M.retractions:
        y, v = x.float(), u.float()
        for _ in range(300):
            z = M.retract(y, v, 0.1, name)
            y, v = z, M.transport(y, z, v)
        assert M.off_manifold(y).max() < 2e-6, name


@every_size
def test_transport_keeps_the_algebra_and_parallel_transport_turns_it_by_half(n: int) -> None:
    M, x, u = sample(n)
    v = M.random_tangent(x, generator(3))
    A, B = (x.mT @ u).numpy(), (x.mT @ v).numpy()
    y = M.exp(x, u, 2.0)
    torch.testing.assert_close(M.transport(x, y, v), y @ x.mT @ v)
    half = scipy.linalg.expm(A)
    torch.testing.assert_close(M.parallel_transport(x, y, v), x @ torch.from_numpy(half @ B @ half), rtol=0, atol=1e-13)


# ---- the rest -------------------------------------------------------------------------------------------------------


@every_size
def test_the_hessian_of_a_linear_cost(n: int) -> None:
    M, x, u = sample(n)
    C = torch.randn(n, n, dtype=torch.float64, generator=generator(2))
    hessian = M.ehess2rhess(x, C, torch.zeros_like(C), u)
    A = x.mT @ u
    # the second derivative of tr(C' x exp(t A))
    assert M.inner(x, hessian, u).item() == pytest.approx((C * (x @ A @ A)).sum().item(), rel=1e-12)
    assert M.off_tangent(x, hessian) < 1e-14


def test_coordinates_are_the_entries_below_the_diagonal() -> None:
    M, x, u = sample(4)
    A = (x.mT @ u).numpy()
    wanted = math.sqrt(2) * torch.from_numpy(A[np.tril_indices(4, -1)])
    torch.testing.assert_close(M.to_coordinates(x, u), wanted, rtol=0, atol=1e-15)


@every_size
def test_random_points_are_uniform(n: int) -> None:
    M = Rotations(n)
    x = M.random_point(20000, generator=generator(), dtype=torch.float64)
    assert (M.off_manifold(x) < 1e-14).all()
    assert x.mean(0).abs().max() < 0.03
    trace = x.diagonal(dim1=-2, dim2=-1).sum(-1)
    # characters of irreducible representations have mean square one; the plane's splits in two over the complex numbers
    assert trace.square().mean().item() == pytest.approx(2.0 if n == 2 else 1.0, abs=0.06)


def test_reflections_are_off_the_manifold() -> None:
    M = Rotations(3)
    for z in (-torch.eye(3), torch.diag(torch.tensor([1.0, 1.0, -1.0])), 2 * torch.eye(3)):
        with pytest.raises(NotOnManifoldError, match=r"is off Rotations\(3\)"):
            M.check_point(z)
        M.check_point(M.project_point(z))


@every_size
def test_one_bad_point_leaves_its_neighbours_alone(n: int) -> None:
    M, x, u = sample(n, 4)
    y = x.roll(1, 0)
    spoilt = torch.where(torch.arange(4)[:, None, None] == 1, math.nan, x)
    calls = [
        ("log", (y,)),
        ("dist", (y,)),
        ("squared_dist", (y,)),
        ("parallel_transport", (y, u)),
        ("project_point", ()),
    ]
    calls += [("retract", (u, 0.3, name)) for name in M.retractions]
    for method, rest in calls:
        result, clean = getattr(M, method)(spoilt, *rest), getattr(M, method)(x, *rest)
        assert torch.isnan(result[1]).any(), method
        assert torch.equal(result[[0, 2, 3]], clean[[0, 2, 3]]), method
    assert M.log_defined(spoilt, x).tolist() == [True, False, True, True]


@pytest.mark.parametrize("n", [1, 0, 2.0])
def test_sizes_are_checked(n: int) -> None:
    with pytest.raises(OptionsError, match=r"Rotations\(.*\): sizes are integers of at least 2"):
        Rotations(n)
