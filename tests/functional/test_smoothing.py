"""The smooth stand-ins for exact penalties: they bound it, and their slopes are their derivatives."""

import math

import pytest
import torch

from manopt_torch import LinearQuadraticHuber, LogarithmicSumOfExponentials, Smoothing

D = torch.float64
T = torch.tensor([-1e300, -40.0, -1.0, -1e-3, 0.0, 1e-3, 0.05, 0.1, 0.3, 1.0, 40.0, 1e12, 1e300], dtype=D)
smoothings = pytest.mark.parametrize("smoothing", [LogarithmicSumOfExponentials(), LinearQuadraticHuber()], ids=repr)


@smoothings
@pytest.mark.parametrize("u", [0.1, 1e-6])
def test_it_is_within_a_width_of_the_exact_penalty(smoothing, u):
    width = torch.tensor(u, dtype=D)
    for value, exact in ((smoothing.inequality(T, width), T.clamp(min=0)), (smoothing.equality(T, width), T.abs())):
        off = value - exact
        assert bool((off.abs() <= u + 1e-15 * T.abs()).all())
        assert float(off.abs()[4]) <= u and bool((value >= 0).all())


@smoothings
@pytest.mark.parametrize("name", ["inequality", "equality"])
def test_slopes_are_derivatives(smoothing, name):
    u = torch.tensor(0.1, dtype=D)
    t = T.clone().requires_grad_()
    (slope,) = torch.autograd.grad(getattr(smoothing, name)(t, u).sum(), t)
    torch.testing.assert_close(slope, getattr(smoothing, f"{name}_slope")(T, u), rtol=1e-12, atol=1e-15)
    assert bool(torch.isfinite(slope).all())


def test_closed_forms():
    u = torch.tensor(0.5, dtype=D)
    zero = torch.zeros((), dtype=D)
    rounded, huber = LogarithmicSumOfExponentials(), LinearQuadraticHuber()
    assert math.isclose(float(rounded.inequality(zero, u)), 0.5 * math.log(2))
    assert math.isclose(float(rounded.equality(zero, u)), 0.5 * math.log(2))
    assert huber.inequality(torch.tensor([-2.0, 0.25, 0.5, 3.0], dtype=D), u).tolist() == [0.0, 0.0625, 0.25, 2.75]
    assert math.isclose(float(huber.equality(torch.tensor(1.2, dtype=D), u)), 1.3)
    assert isinstance(huber, Smoothing) and repr(huber) == "LinearQuadraticHuber()"
