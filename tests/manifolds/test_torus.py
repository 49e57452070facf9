"""The torus: angles side by side, each at the edge of its interval."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from manopt_torch.errors import OptionsError
from manopt_torch.manifolds import Circle, Power, Torus

M = Torus(3)
angles = st.lists(st.floats(-3.1, 3.1), min_size=3, max_size=3)


@given(angles, angles)
def test_it_is_a_power_of_the_circle(first: list[float], second: list[float]) -> None:
    x, y = torch.tensor([first, second], dtype=torch.float64)
    P = Power(Circle(), 3)
    for name in ("log", "dist", "squared_dist", "log_defined", "mid_point"):
        torch.testing.assert_close(getattr(M, name)(x, y), getattr(P, name)(x, y), rtol=1e-15, atol=0)
    torch.testing.assert_close(M.exp(x, y, 1.5), P.exp(x, y, 1.5), rtol=1e-15, atol=0)
    assert (M.dim, M.typical_dist, M.injectivity_radius()) == (P.dim, P.typical_dist, P.injectivity_radius())


def test_each_angle_goes_the_short_way_round() -> None:
    x, y = torch.tensor([3.0, -3.0, 0.0]).double(), torch.tensor([-3.0, 3.0, 1.0]).double()
    torch.testing.assert_close(M.log(x, y), torch.tensor([2 * math.pi - 6, 6 - 2 * math.pi, 1.0]).double())
    assert M.dist(x, y).item() == pytest.approx(math.sqrt(1 + 2 * (2 * math.pi - 6) ** 2))
    torch.testing.assert_close(M.exp(x, M.log(x, y)), y)


def test_one_antipode_makes_the_logarithm_ambiguous() -> None:
    x = torch.zeros(2, 3, dtype=torch.float64)
    y = torch.tensor([[0.1, math.pi, 0.2], [0.1, math.pi - 1e-6, 0.2]], dtype=torch.float64)
    assert M.log_defined(x, M.project_point(y)).tolist() == [False, True]
    assert M.log(x, M.project_point(y))[0, 1] == -math.pi


def test_angles_off_the_interval_are_told_and_brought_back() -> None:
    z = torch.tensor([4.0, -100.0, 1.0], dtype=torch.float64)
    assert M.off_manifold(z).item() == pytest.approx(math.hypot(4 - math.pi, 100 - math.pi))
    M.check_point(M.project_point(z))
    torch.testing.assert_close(torch.exp(1j * M.project_point(z)), torch.exp(1j * z))


@pytest.mark.parametrize("n", [0, -1, 2.0])
def test_sizes_are_checked(n: int) -> None:
    with pytest.raises(OptionsError, match=r"Torus\(.*\): sizes are integers of at least 1"):
        Torus(n)
