"""Rotations of any dimension, against SciPy and closed forms in planes."""

import math

import numpy as np
import pytest
import scipy.linalg
import torch

from manopt_torch.errors import MissingDerivativeError
from manopt_torch.linalg.special_orthogonal import nearest_rotation, rotation_expm1, rotation_log, skew_part
from tests.together import together

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")

PI = math.pi
# angles of the planes: apart, repeated, tiny, small beside large, supplementary (one sine), next to pi, pi
PLANES = {
    4: [(0.3, 1.2), (1.0, 1.0), (1e-9, 2e-9), (0.0, 0.0), (1e-9, 2.0), (1.0, PI - 1.0), (PI - 1e-5, 1.0), (PI, PI)],
    6: [(PI - 1e-9, 1.0, 0.0), (PI - 1e-13, 1.0, 2.0), (PI, 0.0, 0.0), (PI - 1e-3, PI - 1e-3, 1.0), (PI, 1e-9, 1.0)],
    5: [(0.3, 1.2), (3.0, 3.0), (PI, PI), (PI, 1.0), (1e-9, PI), (2e-9, 1e-9), (PI - 1e-7, 0.0)],
    7: [(2.0, 2.0, 2.0), (PI, PI, 1.0), (0.5, PI, 0.5)],
}
CASES = [(n, angles) for n, rows in PLANES.items() for angles in rows]
AWAY = [(n, angles) for n, angles in CASES if max(angles) < PI - 1e-2]
every_case = pytest.mark.parametrize(("n", "angles"), CASES, ids=str)


def frame(n: int) -> torch.Tensor:
    gaussian = torch.randn(n, n, dtype=torch.float64, generator=torch.Generator().manual_seed(n))
    return torch.linalg.qr(gaussian).Q


def planes(n: int, angles: tuple[float, ...]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return a skew matrix of these angles, and its exponential less the identity by sine and cosine."""
    A, E = torch.zeros(2, n, n, dtype=torch.float64)
    for k, angle in enumerate(angles):
        i, j = 2 * k, 2 * k + 1
        A[j, i], A[i, j] = angle, -angle
        E[j, i], E[i, j] = math.sin(angle), -math.sin(angle)
        E[i, i] = E[j, j] = -2 * math.sin(angle / 2) ** 2
    V = frame(n)
    return V @ A @ V.mT, V @ E @ V.mT


@together()
@every_case
def test_exponential_turns_planes(n: int, angles: tuple[float, ...]) -> None:
    A, E = planes(n, angles)
    torch.testing.assert_close(rotation_expm1(skew_part(A)), E, rtol=0, atol=3e-15 * max(min(max(angles), 1), 1e-30))


@together()
@every_case
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_logarithm_has_the_angles_and_inverts(n: int, angles: tuple[float, ...], dtype: torch.dtype) -> None:
    _, E = planes(n, angles)
    A, eps = rotation_log(E.to(dtype)), torch.finfo(dtype).eps
    assert torch.equal(A, -A.mT)
    length = math.sqrt(2 * sum(a * a for a in angles))
    assert torch.linalg.matrix_norm(A.double()).item() == pytest.approx(length, rel=8 * eps, abs=0)
    back = rotation_expm1(A.double())
    assert (back - E).abs().max() <= 40 * eps * min(length, 1.0)


@pytest.mark.parametrize(("n", "angles"), AWAY, ids=str)
def test_logarithm_is_that_of_scipy_away_from_pi(n: int, angles: tuple[float, ...]) -> None:
    A, E = planes(n, angles)
    torch.testing.assert_close(rotation_log(E), A, rtol=0, atol=1e-14 * max(*angles, 1e-30))
    if max(angles) > 1e-3:  # logm sees the identity plus E
        wanted = scipy.linalg.logm(np.eye(n) + E.numpy())
        torch.testing.assert_close(rotation_log(E), torch.from_numpy(np.real(wanted)), rtol=0, atol=1e-13)


@pytest.mark.parametrize("gap", [1e-3, 1e-5, 1e-7])
def test_two_planes_next_to_pi_keep_their_angles(gap: float) -> None:
    _, E = planes(4, (PI - gap, PI - 2 * gap))
    A = rotation_log(E)
    angles = np.sort(np.abs(np.linalg.eigvals(A.numpy()).imag))
    np.testing.assert_allclose(PI - angles, [2 * gap, 2 * gap, gap, gap], rtol=0, atol=1e-14 + 1e-18 / gap)
    torch.testing.assert_close(rotation_expm1(A), E, rtol=0, atol=1e-15 / gap)  # each plane is known no better


def test_points_of_single_precision_next_to_pi() -> None:
    # in double precision they are off the rotations by far more than rounding, which must not pass for a reflection
    E = torch.stack([planes(4, (PI, 0.01 * k))[1] for k in range(200)]).float().double()
    length = torch.linalg.matrix_norm(rotation_log(E))
    truth = torch.tensor([math.sqrt(2 * (PI**2 + (0.01 * k) ** 2)) for k in range(200)], dtype=torch.float64)
    torch.testing.assert_close(length, truth, rtol=1e-6, atol=0)


@every_case
def test_derivative_of_the_logarithm_inverts_that_of_the_exponential(n: int, angles: tuple[float, ...]) -> None:
    if sorted(angles)[-2] > PI - 0.1:
        angles = (PI, *angles[2:], 0.7)  # with two planes next to pi there is none
    _, E = planes(n, angles)
    Q = E + torch.eye(n, dtype=torch.float64)
    B = skew_part(torch.randn(n, n, dtype=torch.float64, generator=torch.Generator().manual_seed(1)))
    A, dA = torch.func.jvp(rotation_log, (E,), (Q @ B,))
    _, dQ = scipy.linalg.expm_frechet(A.numpy(), dA.numpy())
    torch.testing.assert_close(torch.from_numpy(dQ), Q @ B, rtol=0, atol=1e-13)
    # reverse mode is the adjoint
    E = E.requires_grad_()
    W = torch.randn(n, n, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    (gradient,) = torch.autograd.grad((rotation_log(E) * W).sum(), E)
    assert (gradient * (Q @ B)).sum().item() == pytest.approx((dA * W).sum().item(), rel=1e-10)


@pytest.mark.parametrize(
    "angles", [(0.0, 0.0), (1e-9, 0.0), (1.0, 1.0), (0.3, 1.2), (3.1, 0.5), (2.0, PI - 2.0)], ids=str
)
def test_second_derivatives(angles: tuple[float, ...]) -> None:
    _, E = planes(4, angles)
    W, C = torch.randn(2, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))

    def along(c: torch.Tensor) -> torch.Tensor:
        step = rotation_expm1(skew_part(c[0] * C + c[1] * W))
        L = rotation_log(E + step + E @ step)
        return (W * L).sum() + (C * L * L).sum()

    c = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(along, (c,), check_forward_ad=True, fast_mode=True)
    assert torch.autograd.gradgradcheck(along, (c,), fast_mode=True)


def test_a_third_derivative_is_refused() -> None:
    _, E = planes(4, (0.3, 1.2))
    x = E.requires_grad_()
    (first,) = torch.autograd.grad(rotation_log(x).square().sum(), x, create_graph=True)
    (second,) = torch.autograd.grad(first.sin().sum(), x, create_graph=True)
    with pytest.raises(MissingDerivativeError, match="two derivatives"):
        torch.autograd.grad(second.sin().sum(), x)


@pytest.mark.parametrize("n", [2, 3, 4, 5])
def test_the_nearest_rotation_is_that_of_procrustes(n: int) -> None:
    Z = torch.randn(20, n, n, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for z, x in zip(Z, nearest_rotation(Z), strict=True):
        u, _, vh = np.linalg.svd(z.numpy())
        sign = np.ones(n)
        sign[-1] = np.linalg.det(u @ vh)
        np.testing.assert_allclose(x.numpy(), (u * sign) @ vh, atol=1e-12)
        assert torch.linalg.det(x).item() == pytest.approx(1.0)
    assert torch.autograd.gradcheck(nearest_rotation, (Z[:4].requires_grad_(),), check_forward_ad=True, fast_mode=True)


@pytest.mark.parametrize("function", [rotation_log, rotation_expm1, nearest_rotation])
def test_one_bad_matrix_leaves_its_neighbours_alone(function) -> None:
    A = torch.stack([planes(4, (0.1 * k, 0.3))[0] for k in range(4)])
    spoilt = torch.where(torch.arange(4)[:, None, None] == 1, math.nan, A)
    result, clean = function(spoilt), function(A)
    assert torch.isnan(result[1]).all()
    assert torch.equal(result[[0, 2, 3]], clean[[0, 2, 3]])
