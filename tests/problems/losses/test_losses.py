"""Robust losses: published values, SciPy's, derivatives by autograd, and behaviour at zero and at infinity."""

import math

import numpy as np
import pytest
import torch
from scipy.optimize import least_squares

from manopt_torch import (
    ArctanLoss,
    BlockLoss,
    CauchyLoss,
    ComposedLoss,
    HuberLoss,
    OptionsError,
    RobustLoss,
    ScaledLoss,
    SoftL1Loss,
    TolerantLoss,
    TukeyLoss,
)
from manopt_torch.problems.losses import Rho
from tests.together import together

D = torch.float64
LOSSES = [
    HuberLoss(),
    HuberLoss(0.3),
    SoftL1Loss(),
    SoftL1Loss(2.0),
    CauchyLoss(),
    CauchyLoss(0.3),
    ArctanLoss(),
    ArctanLoss(2.0),
    TukeyLoss(),
    TukeyLoss(1.7),
    TolerantLoss(0.7, 0.2),
    TolerantLoss(0.0, 1.0),
    ScaledLoss(CauchyLoss(), 0.5),
    ComposedLoss(HuberLoss(), CauchyLoss()),
    ComposedLoss(ArctanLoss(0.5), TolerantLoss(0.2, 0.1)),
    BlockLoss(HuberLoss(), 2),
]
every_loss = pytest.mark.parametrize("loss", LOSSES, ids=repr)


def values(loss: RobustLoss, s: float, dtype: torch.dtype = D) -> list[float]:
    return [part.item() for part in loss.rho(torch.tensor(s, dtype=dtype))]


# ---- published values -----------------------------------------------------------------------------------------------


@together()
@pytest.mark.parametrize(
    ("loss", "s", "expected"),
    [
        (HuberLoss(), 0.5, (0.5, 1, 0)),  # reference case 27
        (TukeyLoss(), 0.0, (0, 1, -2)),
        (TukeyLoss(), 1.5, (1 / 3, 0, 0)),
        (SoftL1Loss(), 0.0, (0, 1, -0.5)),
        # reference table of robustifiers, by hand
        (HuberLoss(), 4.0, (3, 0.5, -1 / 16)),
        (SoftL1Loss(), 3.0, (2, 0.5, -1 / 16)),
        (CauchyLoss(), 1.0, (math.log(2), 0.5, -0.25)),
        (ArctanLoss(), 1.0, (math.pi / 4, 0.5, -0.5)),
        (TukeyLoss(), 0.5, (7 / 24, 0.25, -1)),
        (TolerantLoss(2.0, 0.5), 2.0, (0.5 * (math.log(2) - math.log1p(math.exp(-4))), 0.5, 0.5)),
        # Ceres, loss_function.h: HuberLoss(a): s <= a^2: s, else 2 a sqrt(s) - a^2; CauchyLoss(a): a^2 log(1 + s/a^2)
        (HuberLoss(0.5), 1.0, (0.75, 0.5, -0.25)),
        (CauchyLoss(2.0), 4.0, (4 * math.log(2), 0.5, -1 / 16)),
        (SoftL1Loss(2.0), 12.0, (8, 0.5, -1 / 64)),
        (TukeyLoss(2.0), 2.0, (7 / 6, 0.25, -0.25)),
        (ScaledLoss(HuberLoss(), 1 / 20), 1.0, (2 / 20 - 1 / 400, 1 / 20, -1 / 40)),
        (ComposedLoss(HuberLoss(), ScaledLoss(SoftL1Loss(), 1.0)), 8.0, (3, 1 / 6, -7 / 432)),
    ],
    ids=str,
)
def test_values(loss, s, expected):
    assert values(loss, s) == pytest.approx(expected, rel=1e-14, abs=1e-16)


@together()
@pytest.mark.parametrize(
    ("name", "kind"),
    [("huber", HuberLoss), ("soft_l1", SoftL1Loss), ("cauchy", CauchyLoss), ("arctan", ArctanLoss)],
)
@pytest.mark.parametrize("scale", [1.0, 0.3])
def test_costs_of_scipy(name, kind, scale):
    r = np.array([0.0, 1e-3, -0.2, 0.9, 5.0])
    # one evaluation only: the cost at the start
    fit = least_squares(lambda x: r + 0 * x[0], [0.0], loss=name, f_scale=scale, max_nfev=1)
    ours = 0.5 * kind(scale).rho(torch.from_numpy(r).square()).value.sum()
    assert ours.item() == pytest.approx(fit.cost, rel=1e-13)


@pytest.mark.parametrize("kind", [HuberLoss, SoftL1Loss, CauchyLoss, ArctanLoss, TukeyLoss])
def test_the_scale_argument_is_scaled_loss(kind):
    s = torch.linspace(0, 4, 50, dtype=D)
    for one, other in zip(kind(0.7).rho(s), ScaledLoss(kind(), 0.7).rho(s), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)


# ---- laws -----------------------------------------------------------------------------------------------------------


@together()
@every_loss
def test_derivatives_are_those_of_the_value(loss):
    # 1 and the scales are bends
    s = torch.cat([torch.logspace(-12, 4, 60, dtype=D), torch.zeros(1, dtype=D)]).requires_grad_()
    rho = loss.rho(s)
    first = torch.autograd.grad(rho.value.sum(), s, retain_graph=True)[0]
    torch.testing.assert_close(rho.first, first, rtol=1e-12, atol=1e-15)
    if rho.first.requires_grad:
        second = torch.autograd.grad(rho.first.sum(), s)[0]
        torch.testing.assert_close(rho.second, second, rtol=1e-11, atol=1e-15)


@together()
@every_loss
@pytest.mark.parametrize("dtype", [torch.float32, D])
def test_finite_at_zero_and_far_away(loss, dtype):
    s = torch.tensor([0.0, torch.finfo(dtype).tiny, 1e-30, 1.0, 1e30], dtype=dtype)
    for part in loss.rho(s):
        assert part.dtype == dtype and part.shape == s.shape and torch.isfinite(part).all()
    assert loss.rho(s).value[0] == 0
    assert (loss.rho(s).first >= 0).all()


@together()
@every_loss
def test_near_zero_a_loss_is_the_square(loss):
    if "Tolerant" in repr(loss):
        return
    small = torch.logspace(-20, -7, 14, dtype=D)
    rho = loss.rho(small)
    torch.testing.assert_close(rho.value, small, rtol=2e-6, atol=0)
    torch.testing.assert_close(rho.first, torch.ones_like(small), rtol=2e-6, atol=0)


@together()
@every_loss
def test_float32_is_as_good_as_float32_can_be(loss):
    s = torch.logspace(-6, 4, 40)
    for low, high in zip(loss.rho(s), loss.rho(s.double()), strict=True):
        torch.testing.assert_close(low.double(), high, rtol=3e-6, atol=1e-7)


@together()
@every_loss
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_failed_residual_stays_visible_and_alone(loss, bad):
    s = torch.tensor([0.5, bad, 2.0], dtype=D)
    value = loss.rho(s).value
    assert not torch.isfinite(value[1])
    assert torch.equal(value[[0, 2]], loss.rho(s[[0, 2]]).value)


@together()
@every_loss
def test_maps(loss):
    s = torch.rand(3, 4, dtype=D) * 3
    mapped = torch.func.vmap(lambda row: tuple(loss.rho(row)))(s)
    for one, other in zip(mapped, loss.rho(s), strict=True):
        assert torch.equal(one, other)


# ---- arguments ------------------------------------------------------------------------------------------------------


@together()
@pytest.mark.parametrize("kind", [HuberLoss, SoftL1Loss, CauchyLoss, ArctanLoss, TukeyLoss])
@pytest.mark.parametrize("scale", [0, -1.0, math.nan, math.inf, "1", True, None])
def test_scale_is_checked(kind, scale):
    with pytest.raises(OptionsError, match="scale must lie"):
        kind(scale)


def test_other_arguments_are_checked():
    with pytest.raises(OptionsError, match="a must lie"):
        TolerantLoss(-1.0, 1.0)
    with pytest.raises(OptionsError, match="b must lie"):
        TolerantLoss(1.0, 0.0)
    with pytest.raises(OptionsError, match="HuberLoss itself: call it"):
        ScaledLoss(HuberLoss, 1.0)
    with pytest.raises(OptionsError, match="scale"):
        ScaledLoss(HuberLoss(), 0.0)
    with pytest.raises(OptionsError, match="inner must be a loss"):
        ComposedLoss(HuberLoss(), abs)
    with pytest.raises(OptionsError, match="blocks of 2 and 1"):
        ComposedLoss(BlockLoss(HuberLoss(), 2), CauchyLoss())
    with pytest.raises(OptionsError, match="size must be"):
        BlockLoss(HuberLoss(), 0)


def test_blocks_pass_through():
    block = BlockLoss(CauchyLoss(), 3)
    assert ScaledLoss(block, 2.0).block_size == ComposedLoss(block, block).block_size == 3
    assert HuberLoss().block_size == 1


def test_a_loss_of_ones_own():
    class GemanMcClure(RobustLoss):
        def rho(self, s):
            d = 1 / (1 + s)
            return Rho(s * d, d**2, -2 * d**3)

    assert values(ScaledLoss(GemanMcClure(), 2.0), 4.0) == [2.0, 0.25, -1 / 16]
