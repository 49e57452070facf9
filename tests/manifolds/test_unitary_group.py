"""Unitary matrices: SciPy's exponentials and logarithms as truth, half turns, repeated angles, single precision."""

import math

import pymanopt
import pytest
import scipy.linalg
import torch

from manopt_torch import GradientDescentOptions, GradientProblem, StopWhenGradientNormLess, solve
from manopt_torch.manifolds import UnitaryGroup

# forward-mode rules of torch are made by torch.jit, which warns of its own deprecation
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")

M = UnitaryGroup(3)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pair(*batch: int) -> tuple[torch.Tensor, torch.Tensor]:
    g = generator()
    x = M.random_point(*batch, generator=g, dtype=torch.float64)
    return x, M.random_tangent(x, g)


def with_angles(x: torch.Tensor, angles: list[float]) -> torch.Tensor:
    """Return a tangent vector whose exponential turns by these angles."""
    frame = M.random_point(generator=generator(4), dtype=torch.float64)
    return x @ (frame * (1j * torch.tensor(angles, dtype=torch.float64))) @ frame.mH


def scipys(function: str, a: torch.Tensor) -> torch.Tensor:
    return torch.from_numpy(getattr(scipy.linalg, function)(a.numpy()))


# ---- oracles --------------------------------------------------------------------------------------------------------


def test_exp_log_and_transport_are_those_of_scipy() -> None:
    close = torch.testing.assert_close
    x, u = pair()
    v = M.random_tangent(x, generator(1))
    for t in (1e-6, 0.5, 2.0, 2.9):
        omega, xi = t * x.mH @ u, x.mH @ v
        y = M.exp(x, u, t)
        close(y, x @ scipys("expm", omega), rtol=0, atol=1e-13)
        close(M.log(x, y), x @ scipys("logm", x.mH @ y), rtol=0, atol=1e-12)
        half = scipys("expm", omega / 2)
        close(M.parallel_transport(x, y, v), x @ half @ xi @ half, rtol=0, atol=1e-12)
        close(M.transport(x, y, v), y @ xi, rtol=0, atol=1e-13)


def test_metric_and_derivatives_are_those_of_pymanopt_on_tangents() -> None:
    N = pymanopt.manifolds.UnitaryGroup(3)
    x, u = pair()
    z = torch.randn(3, 3, dtype=torch.complex128, generator=generator(2))
    y = M.exp(x, u, 0.8)
    X, Y = x.numpy(), y.numpy()
    # pymanopt stores the factor x* u of a tangent vector; its inner product is complex
    omega = (x.mH @ u).numpy()
    torch.testing.assert_close(M.norm(x, u).item(), float(N.norm(X, omega)))
    torch.testing.assert_close(M.dist(x, y).item(), float(N.dist(X, Y)))
    torch.testing.assert_close(y, torch.from_numpy(N.exp(X, 0.8 * omega)))
    torch.testing.assert_close(x.mH @ M.log(x, y), torch.from_numpy(N.log(X, Y)))
    assert M.dim == int(N.dim) == 9
    assert M.typical_dist == pytest.approx(N.typical_dist)
    # it projects by the transpose; truth for the projection is that z less it is normal to all tangent vectors
    normal = x.mH @ (z - M.project_tangent(x, z))
    torch.testing.assert_close(normal, normal.mH)


def test_the_circle_is_the_group_of_one_row() -> None:
    circle = UnitaryGroup(1)
    phase = torch.polar(
        torch.ones(3, 1, 1, dtype=torch.float64), torch.tensor([0.3, -2.0, 3.1]).double()[:, None, None]
    )
    one = torch.ones(1, 1, dtype=torch.complex128)
    torch.testing.assert_close(circle.dist(one, phase), torch.tensor([0.3, 2.0, 3.1]).double(), rtol=1e-7, atol=0)


# ---- ends of the range ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "angles",
    [[math.pi - 1e-9, 1.0, 1.0], [math.pi - 1e-9, math.pi - 1e-9, 0.0], [3.0, 3.0, -3.0], [1e-9, 1e-9, -2e-9]],
    ids=str,
)
def test_log_is_exact_at_repeated_angles_and_next_to_half_turns(angles: list[float]) -> None:
    x, _ = pair()
    u = with_angles(x, angles)
    y = M.exp(x, u)
    size = math.hypot(*angles)
    # next to the identity the digits are lost in y already
    atol = 1e-15 if size < 1e-6 else 2e-14
    torch.testing.assert_close(M.log(x, y), u, rtol=0, atol=atol)
    torch.testing.assert_close(M.dist(x, y).item(), size, rtol=1e-14, atol=1e-15)
    assert M.log_defined(x, y)


def test_half_turns_have_a_shortest_geodesic_all_the_same() -> None:
    x, _ = pair()
    for angles in ([math.pi, 1.0, 1.0], [math.pi, math.pi, -1.0], [math.pi] * 3):
        y = M.exp(x, with_angles(x, angles))
        assert M.dist(x, y).item() == pytest.approx(math.hypot(*angles), rel=1e-14)
        assert M.norm(x, M.log(x, y)).item() == pytest.approx(math.hypot(*angles), rel=1e-14)
        torch.testing.assert_close(M.exp(x, M.log(x, y)), y, rtol=0, atol=1e-13)
        assert not M.log_defined(x, y)
    assert not M.log_defined(x, -x)


@pytest.mark.parametrize("angle", [1e-7, 3e-7, 1e-5, 1e-3, 0.1, 1.0, 2.0, 3.0, math.pi - 1e-4, math.pi - 1e-6, math.pi])
def test_float32_keeps_relative_accuracy_from_1e_7_to_the_cut_locus(angle: float) -> None:
    x, _ = pair()
    y = M.exp(x, with_angles(x, [angle, 0.5 * angle, -0.5 * angle]))
    single = x.to(torch.complex64), y.to(torch.complex64)
    truth = M.dist(*(z.to(torch.complex128) for z in single))
    assert truth.item() == pytest.approx(angle * math.sqrt(1.5), rel=2e-7 + 1e-6 / angle * 0.6)  # y is rounded
    for got in (M.dist(*single), M.squared_dist(*single).sqrt(), M.norm(single[0], M.log(*single))):
        assert got.dtype == torch.float32
        torch.testing.assert_close(got.double(), truth, rtol=2e-6, atol=0)


@pytest.mark.parametrize("angles", [[0.0, 0.0, 0.0], [1.0, 1.0, 1.0], [2.5, 2.5, -1.0]], ids=str)
def test_derivatives_at_repeated_angles(angles: list[float]) -> None:
    x, _ = pair()
    center = M.to_coordinates(x, with_angles(x, angles)).requires_grad_()

    def point(c: torch.Tensor) -> torch.Tensor:
        return M.exp(x, M.from_coordinates(x, c))

    def log(c: torch.Tensor) -> torch.Tensor:
        return M.to_coordinates(x, M.log(x, point(c)))

    # in normal coordinates, the logarithm is the identity and the squared distance that of the space
    torch.testing.assert_close(torch.func.jacfwd(log)(center), torch.eye(9).double(), rtol=0, atol=1e-12)
    torch.testing.assert_close(torch.func.jacrev(log)(center), torch.eye(9).double(), rtol=0, atol=1e-12)
    squared = torch.func.hessian(lambda c: M.squared_dist(x, point(c)))(center)
    torch.testing.assert_close(squared, 2 * torch.eye(9).double(), rtol=0, atol=1e-8)


def test_inverse_retractions_are_nan_outside_their_image() -> None:
    x, _ = pair()
    beyond = M.exp(x, with_angles(x, [2.0, 0.3, 0.3]))
    assert M.inverse_retract(x, beyond).isnan().all()
    inside = M.exp(x, with_angles(x, [1.5, -1.5, 0.3]))
    u = M.inverse_retract(x, inside)
    torch.testing.assert_close(M.retract(x, u), inside)
    torch.testing.assert_close(u, with_angles(x, [math.tan(1.5), -math.tan(1.5), math.tan(0.3)]))


# ---- use ------------------------------------------------------------------------------------------------------------


def test_steepest_descent_solves_the_procrustes_problem() -> None:
    x, _ = pair(2)
    b = torch.randn(2, 3, 3, dtype=torch.complex128, generator=generator(6))

    def cost(x: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return -(b.conj() * x).real.sum((-2, -1))

    o = solve(GradientProblem(M, cost, data=(b,)), GradientDescentOptions(x, stop=StopWhenGradientNormLess(1e-7)))
    torch.testing.assert_close(o.cost, -torch.linalg.svdvals(b).sum(-1))
    torch.testing.assert_close(o.x, M.project_point(b), rtol=0, atol=1e-6)
