"""Angles at the edge of their interval."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from manopt_torch.linalg.scalar import wrap_angle
from manopt_torch.manifolds import Circle

M = Circle()
PI32 = torch.tensor(math.pi, dtype=torch.float32)


@given(st.floats(-1e4, 1e4))
def test_wrapping_adds_whole_turns_and_lands_in_the_interval(angle: float) -> None:
    for dtype in (torch.float32, torch.float64):
        z = torch.tensor(angle, dtype=dtype)
        wrapped = wrap_angle(z)
        assert -math.pi <= wrapped < torch.tensor(math.pi, dtype=dtype)
        exact = math.remainder(z.item(), math.tau)
        slack = 4 * torch.finfo(dtype).eps * (abs(angle) + math.pi)
        assert abs(math.remainder(wrapped.item() - exact, math.tau)) <= slack


@given(st.floats(-3.1, 3.1))
def test_angles_inside_keep_their_bits(angle: float) -> None:
    z = torch.tensor(angle, dtype=torch.float64)
    assert torch.equal(wrap_angle(z), z)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_the_edges(dtype: torch.dtype) -> None:
    pi = torch.tensor(math.pi, dtype=dtype)
    below = torch.nextafter(pi, torch.zeros_like(pi))
    assert wrap_angle(pi) == -pi
    assert wrap_angle(-pi) == -pi
    assert wrap_angle(below) == below
    assert -pi <= wrap_angle(torch.nextafter(-pi, -2 * pi)) < pi


def test_short_way_round() -> None:
    x, y = torch.tensor(3.0, dtype=torch.float64), torch.tensor(-3.0, dtype=torch.float64)
    assert M.log(x, y).item() == pytest.approx(2 * math.pi - 6)
    assert M.log(y, x).item() == pytest.approx(6 - 2 * math.pi)
    assert M.mid_point(x, y).item() == pytest.approx(-math.pi)
    assert M.dist(x, y).item() == pytest.approx(2 * math.pi - 6)


def test_the_antipode_goes_down() -> None:
    x = torch.tensor([0.0, 1.0], dtype=torch.float64)
    antipode = M.exp(x, torch.full_like(x, math.pi))
    torch.testing.assert_close(M.log(x, antipode), torch.full_like(x, -math.pi))
    assert not M.log_defined(x, antipode).any()
    assert M.log_defined(x, antipode + 1e-6).all()


def test_small_differences_are_exact() -> None:
    x = torch.tensor(1.0, dtype=torch.float32)
    y = torch.nextafter(x, 2 * x)
    assert M.dist(x, y) == torch.finfo(torch.float32).eps


def test_derivatives_pass_through_the_wrap() -> None:
    slope = torch.func.grad(lambda x: M.squared_dist(x, torch.tensor(-3.0)))(torch.tensor(3.0))
    assert slope.item() == pytest.approx(2 * (6 - 2 * math.pi), rel=1e-5)


def test_any_angle_is_one_after_projection() -> None:
    M.check_point(torch.tensor(math.pi))
    assert M.off_manifold(torch.tensor(4.0)).item() == pytest.approx(4 - math.pi)
    M.check_point(M.project_point(torch.tensor([4.0, -100.0])))
