"""The sphere at its ends: coincident points, antipodes, float32."""

import math

import pytest
import torch

from manopt_torch.errors import OptionsError
from manopt_torch.manifolds import Sphere
from tests.together import together

# forward-mode rules of torch are made by torch.jit, which warns of its own deprecation
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")

M = Sphere(3)
E1, E2, E3 = torch.eye(3, dtype=torch.float64)
ANGLES = [
    1e-7,
    3e-7,
    1e-6,
    1e-5,
    1e-4,
    1e-3,
    0.05,
    0.1,
    0.2,
    1.0,
    1.5,
    1.6,
    3.0,
    math.pi - 1e-3,
    math.pi - 1e-5,
    math.pi,
]


def at_angle(theta: float) -> torch.Tensor:
    return math.cos(theta) * E1 + math.sin(theta) * E2


@together()
@pytest.mark.parametrize("theta", ANGLES)
def test_float32_keeps_relative_accuracy_from_1e_7_to_the_cut_locus(theta: float) -> None:
    x, y = E1.float(), at_angle(theta).float()
    truth = math.atan2(y[1].item(), y[0].item())  # of the rounded point, in double precision
    for value in (M.dist(x, y), M.squared_dist(x, y).sqrt(), M.norm(x, M.log(x, y))):
        assert value.dtype == torch.float32
        assert value.item() == pytest.approx(truth, rel=2e-6)
    direction = M.log(x, y) / M.dist(x, y)
    torch.testing.assert_close(direction, E2.float(), rtol=0, atol=2e-6)


def test_float32_agrees_with_float64_on_random_pairs() -> None:
    x, u = random_pair(500, dtype=torch.float32)
    theta = torch.logspace(-3, math.log10(math.pi), 500)
    y = M.exp(x, u, theta)
    torch.testing.assert_close(M.dist(x, y).double(), M.dist(x.double(), y.double()), rtol=2e-6, atol=0)
    torch.testing.assert_close(M.dist(x, y), theta, rtol=2e-4, atol=0)


def random_pair(*batch: int, dtype: torch.dtype = torch.float64) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    x = M.random_point(*batch, generator=generator, dtype=dtype)
    return x, M.random_tangent(x, generator)


def test_closed_forms_on_the_great_circle() -> None:
    for theta in (0.0, 1e-9, 0.3, 2.0, 3.0):
        torch.testing.assert_close(M.exp(E1, E2, theta), at_angle(theta))
        torch.testing.assert_close(M.log(E1, at_angle(theta)), theta * E2)
        torch.testing.assert_close(M.retract(E1, E2, theta), at_angle(math.atan(theta)))
        # the direction along the circle turns, the one across stays
        along = -math.sin(theta) * E1 + math.cos(theta) * E2
        torch.testing.assert_close(M.parallel_transport(E1, at_angle(theta), E2), along)
        torch.testing.assert_close(M.parallel_transport(E1, at_angle(theta), E3), E3)


def test_a_full_turn_comes_back() -> None:
    torch.testing.assert_close(M.exp(E1, E2, 2 * math.pi), E1)
    torch.testing.assert_close(M.exp(E1, E2, 101 * math.pi), -E1)


@together()
@pytest.mark.parametrize("x", [E1, -E1, E2, E3, (E1 + E2 + E3) / math.sqrt(3), -0.0 * E1 + E2], ids=str)
def test_the_antipode_has_a_deterministic_logarithm_of_length_pi(x: torch.Tensor) -> None:
    u = M.log(x, -x)
    assert torch.equal(u, M.log(x, -x))
    assert M.norm(x, u).item() == pytest.approx(math.pi, rel=1e-15)
    assert M.off_tangent(x, u) < 1e-15
    torch.testing.assert_close(M.exp(x, u), -x)
    assert not M.log_defined(x, -x)
    assert M.log_defined(x, x)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize("n", [2, 3, 8])
def test_antipodes_up_to_rounding_are_half_a_turn_away(n: int, dtype: torch.dtype) -> None:
    sphere, eps = Sphere(n), torch.finfo(dtype).eps
    x = torch.cat(
        [torch.eye(n, dtype=dtype), sphere.random_point(50, generator=torch.Generator().manual_seed(n)).to(dtype)]
    )
    x = sphere.project_point(x)
    for y in (-x, -(1 + eps) * x, -(1 - eps) * x):
        u = sphere.log(x, y)
        torch.testing.assert_close(sphere.norm(x, u), torch.full_like(u[:, 0], math.pi), rtol=8 * eps, atol=0)
        torch.testing.assert_close(sphere.dist(x, y), torch.full_like(u[:, 0], math.pi), rtol=8 * eps, atol=0)
        by_y = torch.func.grad(lambda y, x=x: sphere.log(x, y).square().sum())(y)
        assert bool(by_y.isfinite().all())
    u = sphere.log(x, -x)
    assert sphere.off_tangent(x, u).max() < 8 * eps
    assert torch.func.grad(lambda y: sphere.log(x, y).square().sum())(-x).abs().max() < eps


def test_next_to_the_antipode_the_direction_is_still_right() -> None:
    for delta in (1e-3, 1e-6, 1e-9):
        u = M.log(E1, at_angle(math.pi - delta))
        assert M.norm(E1, u).item() == pytest.approx(math.pi - delta, rel=1e-15)
        torch.testing.assert_close(u / M.norm(E1, u), E2, rtol=0, atol=1e-7)
        assert M.log_defined(E1, at_angle(math.pi - delta))


def test_first_derivatives_of_log_at_coincident_points_are_projectors() -> None:
    x, _ = random_pair()
    projector = torch.eye(3, dtype=torch.float64) - x[:, None] * x
    by_y = torch.func.jacrev(M.log, argnums=1)(x, x)
    torch.testing.assert_close(by_y, projector)
    by_x = torch.func.jacrev(M.log, argnums=0)(x, x)
    torch.testing.assert_close(by_x @ projector, -projector)


def test_exp_at_the_zero_tangent_has_its_taylor_expansion() -> None:
    x, _ = random_pair()
    zero = torch.zeros_like(x)
    eye = torch.eye(3, dtype=torch.float64)
    torch.testing.assert_close(torch.func.jacrev(M.exp, argnums=1)(x, zero), eye)
    # exp_x(u) = x + u - |u|^2 x / 2 + ...
    second = torch.func.jacfwd(torch.func.jacrev(M.exp, argnums=1), argnums=1)(x, zero)
    torch.testing.assert_close(second, -x[:, None, None] * eye)


def test_the_inverse_projection_is_nan_outside_its_half_sphere() -> None:
    torch.testing.assert_close(M.inverse_retract(E1, at_angle(1.0)), math.tan(1.0) * E2)
    assert torch.isnan(M.inverse_retract(E1, at_angle(2.0))).all()
    assert torch.isnan(M.inverse_retract(E1, E2)).all()


def test_drift_of_many_steps_stays_at_rounding() -> None:
    x, u = random_pair(4, dtype=torch.float32)
    for _ in range(1000):
        x, u = M.retract(x, u, 0.1), M.transport(x, M.retract(x, u, 0.1), u)
    assert M.off_manifold(x).max() < 2e-7


@pytest.mark.parametrize("n", [1, 0, -3, 2.0])
def test_sizes_are_checked(n: int) -> None:
    with pytest.raises(OptionsError, match=r"Sphere\(.*\): sizes are integers of at least 2"):
        Sphere(n)


def test_geodesic_steps_do_not_drift_off_the_sphere() -> None:
    a = torch.tensor([100.0, 101.0, 150.0], dtype=torch.float64)
    x = M.project_point(torch.ones(3, dtype=torch.float64))
    for _ in range(500):
        x = M.exp(x, M.egrad2rgrad(x, 2 * a * x), -0.015)
    assert M.off_manifold(x) < 1e-15


@pytest.mark.parametrize("n", [63, 64, 500])
def test_a_long_lone_vector_agrees_with_its_place_in_a_batch(n: int) -> None:
    M, generator = Sphere(n), torch.Generator().manual_seed(n)
    x = M.random_point(2, dtype=torch.float64, generator=generator)
    u, z = (torch.randn(2, n, dtype=torch.float64, generator=generator) for _ in range(2))
    u = M.project_tangent(x, u)
    truth = math.fsum((u[0] * z[0]).tolist())
    assert abs(float(M.inner(x[0], u[0], z[0])) - truth) < 1e-13 * n
    torch.testing.assert_close(M.project_tangent(x[0], z[0]), M.project_tangent(x, z)[0], rtol=0, atol=1e-15 * n)
    torch.testing.assert_close(M.egrad2rgrad(x[0], z[0]), M.egrad2rgrad(x, z)[0], rtol=0, atol=1e-15 * n)
    assert M.inner(x[0], u[0], z[0].float()).dtype == torch.float64
