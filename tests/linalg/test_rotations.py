"""Rotations in closed form, against SciPy, exact sums and definitions."""

import math
from fractions import Fraction

import numpy as np
import pytest
import scipy.linalg
import torch
from scipy.spatial.transform import Rotation

from manopt_torch.linalg.rotations import (
    cotangent_coefficient,
    hat,
    matrix_to_quaternion,
    quaternion_to_matrix,
    rotation_angle,
    rotation_vector,
    so3_exp,
    so3_left_jacobian,
    so3_left_jacobian_inverse,
    so3_log,
    stumpff,
    vee,
)
from tests.together import together

# forward-mode rules of torch are made by torch.jit, which warns of its own deprecation
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")

ANGLES = [0.0, 1e-9, 1e-7, 1e-4, 1e-2, 0.5, 1.0, 1.99, 2.01, 3.0, math.pi - 1e-3, math.pi - 1e-7]
EYE = torch.eye(3, dtype=torch.float64)


def axes(n: int = 20) -> torch.Tensor:
    g = torch.Generator().manual_seed(0)
    a = torch.cat([torch.randn(n, 3, dtype=torch.float64, generator=g), EYE, -EYE, EYE[[0, 1, 2]] + EYE[[1, 2, 0]]])
    return a / torch.linalg.vector_norm(a, dim=-1, keepdim=True)


@together()
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("s", [0.0, 1e-20, 1e-6, 1e-3, 0.3, 1.0, 3.99, 4.0, 4.01, 9.8])
def test_stumpff_functions_are_the_sums_of_their_series(s: float, dtype: torch.dtype) -> None:
    argument = torch.tensor(s, dtype=dtype)
    exact = Fraction(argument.item())
    for k, value in enumerate(stumpff(argument)):
        truth = float(sum((-exact) ** j / math.factorial(k + 2 * j) for j in range(40)))
        # sine and cosine are small near their zeros only by cancellation, the others are not small
        assert abs(value.item() - truth) <= 8 * torch.finfo(dtype).eps * (abs(truth) if k > 1 else 1.0)


@pytest.mark.parametrize("s", [1e-3, 0.3, 3.0, 9.0, 25.0])
def test_the_cotangent_coefficient_is_that_of_its_definition(s: float) -> None:
    def k(t: float) -> float:
        return (1 - math.sqrt(t) / 2 / math.tan(math.sqrt(t) / 2)) / t

    value, slope = cotangent_coefficient(torch.tensor(s, dtype=torch.float64))
    assert value.item() == pytest.approx(k(s), rel=1e-12)
    assert slope.item() == pytest.approx((k(s * 1.001) - k(s * 0.999)) / (0.002 * s), rel=1e-4)
    assert cotangent_coefficient(torch.tensor(1e-30))[1].item() == pytest.approx(1 / 720, rel=1e-6)


def test_hat_is_the_cross_product_and_vee_undoes_it() -> None:
    w, v = torch.randn(2, 5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close((hat(w) @ v[..., None])[..., 0], torch.linalg.cross(w, v))
    assert torch.equal(vee(hat(w)), w)
    assert torch.equal(vee(hat(w[:, :1])), w[:, :1])
    assert torch.equal(vee(EYE + hat(w)), w)  # of the skew part


@together()
@pytest.mark.parametrize("theta", ANGLES)
def test_exponential_and_logarithm_agree_with_scipy(theta: float) -> None:
    w = theta * axes()
    R = so3_exp(w)
    torch.testing.assert_close(R, torch.from_numpy(Rotation.from_rotvec(w.numpy()).as_matrix()), rtol=0, atol=1e-15)
    # next to pi a rounding error of R turns the axis by as much relative to the distance from pi
    torch.testing.assert_close(so3_log(R), w, rtol=1e-8, atol=1e-15)
    torch.testing.assert_close(rotation_angle(R - EYE), torch.full_like(w[:, 0], theta), rtol=1e-15, atol=1e-15)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_a_half_turn_has_one_of_its_two_vectors(dtype: torch.dtype) -> None:
    a = axes().to(dtype)
    R = 2 * a[:, :, None] * a[:, None, :] - torch.eye(3, dtype=dtype)
    w = so3_log(R)
    eps = torch.finfo(dtype).eps
    torch.testing.assert_close(torch.linalg.vector_norm(w, dim=-1), torch.full((len(a),), math.pi, dtype=dtype))
    torch.testing.assert_close(w * (w * a).sum(-1, True).sign(), math.pi * a, rtol=0, atol=20 * eps)
    assert torch.equal(so3_log(torch.diag(torch.tensor([-1.0, 1.0, -1.0]))), torch.tensor([0.0, math.pi, 0.0]))


def test_a_tiny_rotation_keeps_its_digits_in_single_precision() -> None:
    w = torch.tensor([3e-9, -2e-9, 1e-9])
    torch.testing.assert_close(so3_log(so3_exp(w)), w, rtol=3e-7, atol=0)
    torch.testing.assert_close(rotation_vector(hat(w)), w, rtol=3e-7, atol=0)


@together()
@pytest.mark.parametrize("theta", [*ANGLES, math.pi])
def test_quaternions_agree_with_scipy(theta: float) -> None:
    reference = Rotation.from_rotvec(theta * axes().numpy())
    R = torch.from_numpy(reference.as_matrix())
    q = matrix_to_quaternion(R)
    wanted = torch.from_numpy(reference.as_quat(canonical=True))
    same_side = (q * wanted).sum(-1, True).sign()
    assert theta == math.pi or (same_side > 0).all()
    torch.testing.assert_close(q * same_side, wanted, rtol=0, atol=1e-15)
    assert (q[:, 3] >= 0).all()
    torch.testing.assert_close(quaternion_to_matrix(-3 * q), R, rtol=0, atol=2e-15)


def jacobian_by_scipy(w: torch.Tensor) -> np.ndarray:
    augmented = np.zeros((6, 6))
    augmented[:3, :3], augmented[:3, 3:] = hat(w.double()).numpy(), np.eye(3)
    return scipy.linalg.expm(augmented)[:3, 3:]


@pytest.mark.parametrize("theta", [1e-7, 1e-5, 1e-4, 3e-4, 1e-3, 1e-2, 0.1, 0.5, 0.9, 2.0, 3.0, 6.0])
def test_left_jacobians_keep_the_digits_of_small_angles_in_single_precision(theta: float) -> None:
    for a in axes(3):
        w = (theta * a).float()
        truth = jacobian_by_scipy(w)
        for J, wanted in [(so3_left_jacobian(w), truth), (so3_left_jacobian_inverse(w), np.linalg.inv(truth))]:
            # the diagonal cannot show what is below the rounding of one
            torch.testing.assert_close(J.double(), torch.from_numpy(wanted), rtol=1e-6, atol=1e-6 * theta**2 + 1e-7)
            skew, wanted_skew = vee(J.double()), vee(torch.from_numpy(wanted))
            torch.testing.assert_close(skew, wanted_skew, rtol=1e-6, atol=1e-7 * theta)


def test_left_jacobian_is_the_derivative_of_the_exponential() -> None:
    for w in torch.tensor([[0.0, 0.0, 0.0], [0.3, -1.0, 2.0], [0.0, 0.0, math.pi]], dtype=torch.float64):
        by_w = torch.func.jacfwd(so3_exp)(w)  # shape (3, 3, 3), the last for w
        moved = torch.stack([vee(by_w[..., j] @ so3_exp(w).mT) for j in range(3)], -1)
        torch.testing.assert_close(so3_left_jacobian(w), moved, rtol=0, atol=1e-13)
        by_R = torch.func.jacfwd(lambda d, w=w: so3_log(so3_exp(d) @ so3_exp(w)))(torch.zeros(3, dtype=torch.float64))
        torch.testing.assert_close(so3_left_jacobian_inverse(w), by_R, rtol=0, atol=1e-13)


@pytest.mark.parametrize("theta", [0.0, 1e-9, 1e-3, 0.2, 1.0, 2.0, 3.1])
def test_second_derivatives(theta: float) -> None:
    w = (theta * axes(1)[0]).requires_grad_()
    weights = torch.randn(3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    base = so3_exp(weights)

    def chain(w: torch.Tensor) -> torch.Tensor:
        return so3_log(so3_exp(w) @ base.mT @ base) @ weights

    assert torch.autograd.gradcheck(chain, (w,), check_forward_ad=True, fast_mode=True)
    assert torch.autograd.gradgradcheck(chain, (w,), fast_mode=True)


def test_one_bad_matrix_leaves_its_neighbours_alone() -> None:
    R = so3_exp(axes(5))
    spoilt = torch.cat([R[:2], torch.full((1, 3, 3), math.nan, dtype=R.dtype), R[3:]])
    for function in (so3_log, matrix_to_quaternion):
        result = function(spoilt)
        assert torch.isnan(result[2]).all()
        assert torch.equal(result[3:], function(R)[3:])
