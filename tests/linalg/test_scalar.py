"""Functions of a squared length, against arbitrary-precision values and derivatives."""

import math
from collections.abc import Callable

import mpmath
import pytest
import torch

from manopt_torch.linalg import angle_between, angle_over_sine, arctan2, cos_and_sinc_sqrt, safe_sqrt, squared_angle
from manopt_torch.linalg.scalar import log_ratio
from tests.together import together

mpmath.mp.dps = 40

# name -> (ours of s in (0, 1), the same function in arbitrary precision)
FUNCTIONS: dict[str, tuple[Callable, Callable]] = {
    "cos": (lambda s: cos_and_sinc_sqrt(s)[0], lambda s: mpmath.cos(mpmath.sqrt(s))),
    "sinc": (lambda s: cos_and_sinc_sqrt(s)[1], lambda s: mpmath.sin(mpmath.sqrt(s)) / mpmath.sqrt(s)),
    "squared_angle": (lambda s: squared_angle(s, 4 - s), lambda s: 4 * mpmath.asin(mpmath.sqrt(s) / 2) ** 2),
    "angle_over_sine": (
        lambda r: angle_over_sine(r, torch.sqrt(1 - r)),
        lambda r: mpmath.asin(mpmath.sqrt(r)) / mpmath.sqrt(r),
    ),
}


@together()
@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("s", [1e-30, 1e-12, 1e-6, 0.003, 0.009999, 0.010001, 0.02, 0.1, 0.5, 0.9])
def test_values_and_three_derivatives(name: str, s: float) -> None:
    ours, exact = FUNCTIONS[name]
    x = torch.tensor(s, dtype=torch.float64, requires_grad=True)
    value = ours(x)
    # next to the bound, a derivative costs the series a term and the closed form three digits
    for order, tolerance in enumerate((4e-16, 1e-13, 1e-10, 2e-7)):
        with mpmath.workdps(60):
            wanted = float(mpmath.diff(exact, mpmath.mpf(s), order, h=mpmath.mpf(s) * mpmath.mpf("1e-12")))
        assert value.item() == pytest.approx(wanted, rel=tolerance), order
        if order < 3:
            (value,) = torch.autograd.grad(value, x, create_graph=True)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_taylor_coefficients_at_zero(name: str) -> None:
    coefficients = {
        "cos": [1, -1 / 2, 1 / 24, -1 / 720],
        "sinc": [1, -1 / 6, 1 / 120, -1 / 5040],
        "squared_angle": [0, 1, 1 / 12, 1 / 90],
        "angle_over_sine": [1, 1 / 6, 3 / 40, 15 / 336],
    }[name]
    x = torch.tensor(0.0, dtype=torch.float64, requires_grad=True)
    value, factorial = FUNCTIONS[name][0](x), 1.0
    for order, coefficient in enumerate(coefficients):
        factorial *= max(order, 1)
        assert value.item() == pytest.approx(coefficient * factorial, rel=1e-14)
        if order < 3:
            (value,) = torch.autograd.grad(value, x, create_graph=True)


def test_whole_ranges() -> None:
    theta = torch.linspace(0, torch.pi, 1001, dtype=torch.float64)
    cosine, sinc = cos_and_sinc_sqrt(theta.square())
    torch.testing.assert_close(cosine, torch.cos(theta), rtol=0, atol=4e-16)
    torch.testing.assert_close(sinc * theta, torch.sin(theta), rtol=0, atol=4e-16)
    chord, antichord = 2 * torch.sin(theta / 2), 2 * torch.cos(theta / 2)
    squared = squared_angle(chord.square(), antichord.square())
    torch.testing.assert_close(squared, theta.square(), rtol=1e-15, atol=0)
    ratio = angle_over_sine(torch.sin(theta[:-1]).square(), torch.cos(theta[:-1]))
    torch.testing.assert_close(ratio * torch.sin(theta[:-1]), theta[:-1], rtol=1e-15, atol=0)


def test_safe_sqrt_is_flat_at_zero_and_lets_nan_through() -> None:
    s = torch.tensor([4.0, 0.0, -1e-20, torch.nan, torch.inf], requires_grad=True)
    root = safe_sqrt(s)
    torch.testing.assert_close(root, torch.tensor([2.0, 0.0, 0.0, torch.nan, torch.inf]), equal_nan=True)
    (slope,) = torch.autograd.grad(root[:3].sum(), s)
    assert slope[:3].tolist() == [0.25, 0.0, 0.0]


def test_nan_and_huge_arguments_make_no_nan_elsewhere() -> None:
    s = torch.tensor([torch.nan, 1e30, 0.0], requires_grad=True)
    for value in cos_and_sinc_sqrt(s):
        assert torch.isnan(value).tolist() == [True, False, False]
        (slope,) = torch.autograd.grad(value[1:].sum(), s, retain_graph=True)
        assert torch.isfinite(slope[1:]).all()


def test_arctan2_has_the_values_and_derivatives_of_the_angle():
    g = torch.Generator().manual_seed(0)
    y, x = torch.randn(2, 1000, dtype=torch.float64, generator=g).requires_grad_()
    torch.testing.assert_close(arctan2(y, x), torch.atan2(y, x), rtol=4e-16, atol=0)
    ours, theirs = (torch.autograd.grad(f(y, x).sum(), (y, x)) for f in (arctan2, torch.atan2))
    torch.testing.assert_close(ours, theirs, rtol=1e-14, atol=0)


@together()
@pytest.mark.parametrize("y", [0.0, -0.0, 1.0, -1.0])
@pytest.mark.parametrize("x", [0.0, 1.0, -1.0, -0.5, 2.0])
def test_arctan2_on_the_axes_and_diagonals(y, x):
    at = [torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in (y, x)]
    angle = arctan2(*at)
    assert angle.item() == math.atan2(y, x)
    if x or y:
        slopes = torch.autograd.grad(angle, at)
        assert [float(s) for s in slopes] == pytest.approx([x / (x * x + y * y), -y / (x * x + y * y)])


def test_angle_between_from_coincident_to_opposite():
    theta = torch.tensor([0.0, 1e-9, 0.5, math.pi / 2, 2.0, math.pi - 1e-9, math.pi], dtype=torch.float64)
    found = angle_between(2 * torch.sin(theta / 2), 2 * torch.cos(theta / 2))
    torch.testing.assert_close(found, theta, rtol=1e-15, atol=0)
    opposite = [torch.tensor(norm, dtype=torch.float64, requires_grad=True) for norm in (2.0, 0.0)]
    assert torch.autograd.grad(angle_between(*opposite), opposite) == (0, 0)  # as far as there is a derivative
    assert bool(torch.isnan(arctan2(theta, theta * math.nan)).all())


def test_angles_do_not_depend_on_their_place():
    y, x = torch.rand(2, 67, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    whole = arctan2(y, x)
    assert all(torch.equal(arctan2(y[k : k + n], x[k : k + n]), whole[k : k + n]) for k in range(60) for n in (1, 3, 7))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_logarithm_of_a_quotient_has_no_cancellation_and_no_overflow(dtype):
    eps, large = torch.finfo(dtype).eps, 2.0 ** (100 if dtype == torch.float32 else 1000)
    x = torch.tensor([1.0, 1.0, 4.0, 4.0, 3.0, large, 1 / large, large], dtype=dtype)
    y = torch.tensor([1 + eps, 1 - eps, 5.75, 6.25, 3 * 2.0**-60, 1 / large, large, 2 * large], dtype=dtype)
    y.requires_grad_()
    powers = [-60, -2 * math.log2(large), 2 * math.log2(large), 1]
    near = [math.log1p(eps), math.log1p(-eps), math.log(5.75 / 4), math.log(6.25 / 4)]
    truth = [*near, *(p * math.log(2) for p in powers)]
    ratio = log_ratio(x, y)
    assert ratio.tolist() == pytest.approx(truth, rel=4 * eps)
    (g,) = torch.autograd.grad(ratio.sum(), y)
    torch.testing.assert_close(g * y, torch.ones_like(y), rtol=8 * eps, atol=0)
