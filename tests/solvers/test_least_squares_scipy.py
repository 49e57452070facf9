"""Least squares against SciPy: minima and covariances of two hundred random problems, solved as two batches."""

import numpy as np
import pytest
import torch
from scipy.optimize import curve_fit, least_squares

from manopt_torch import (
    ArctanLoss,
    CauchyLoss,
    Euclidean,
    HuberLoss,
    LeastSquaresProblem,
    LevenbergMarquardtOptions,
    ScaledLoss,
    SoftL1Loss,
    covariance,
    dogleg,
    gauss_newton,
    levenberg_marquardt,
    solve,
)

D = torch.float64


def seeded(n=0):
    return torch.Generator().manual_seed(n)


def bent(x, A, b):
    """Residuals that are nonlinear and not zero at the minimum."""
    return (A @ torch.atan(x).unsqueeze(-1)).squeeze(-1) - b


def bent_minima(A, b, start):
    f = lambda A, b: lambda x: A @ np.arctan(x) - b  # noqa: E731
    tight = {"ftol": 1e-15, "xtol": 1e-15, "gtol": 1e-15, "method": "lm"}
    pairs = zip(A.numpy(), b.numpy(), start.numpy(), strict=True)
    return torch.tensor([least_squares(f(A_k, b_k), x_k, **tight).cost for A_k, b_k, x_k in pairs], dtype=D)


@pytest.mark.parametrize("front", [levenberg_marquardt, gauss_newton, dogleg])
@pytest.mark.parametrize("at_zero", [False, True], ids=["random start", "start at zero"])
def test_minima_of_a_hundred_bent_problems(front, at_zero):
    g = seeded()
    A = torch.randn(100, 8, 4, generator=g, dtype=D)
    truth = torch.randn(100, 4, generator=g, dtype=D)
    b = (A @ torch.atan(truth).unsqueeze(-1)).squeeze(-1) + 0.1 * torch.randn(100, 8, generator=g, dtype=D)
    start = torch.zeros_like(truth) if at_zero else truth + 0.3 * torch.randn(100, 4, generator=g, dtype=D)
    o = front(Euclidean(4), bent, start, data=(A, b), return_options=True)
    torch.testing.assert_close(o.cost, bent_minima(A, b, start), rtol=1e-9, atol=0)


def test_no_run_from_zero_ends_above_the_minimum():
    # large residuals: the minimum lies where the arc tangent is flat
    g = seeded()
    A, b = torch.randn(5, 8, 4, generator=g, dtype=D), 2 * torch.randn(5, 8, generator=g, dtype=D)
    start = torch.zeros(5, 4, dtype=D)
    o = levenberg_marquardt(Euclidean(4), bent, start, data=(A, b), return_options=True)
    torch.testing.assert_close(o.cost, bent_minima(A, b, start), rtol=1e-7, atol=0)


def test_minima_and_covariances_of_a_hundred_decays():
    g = seeded(1)
    t = torch.linspace(0, 4, 20, dtype=D)
    truth = torch.stack([1 + torch.rand(100, generator=g), 0.5 + torch.rand(100, generator=g)], -1).double()

    def decay(x):
        return x[..., :1] * torch.exp(-x[..., 1:] * t)

    y = decay(truth) + 0.02 * torch.randn(100, 20, generator=g, dtype=D)
    p = LeastSquaresProblem(Euclidean(2), lambda x, y: decay(x) - y, data=(y,))
    o = solve(p, LevenbergMarquardtOptions(torch.ones(100, 2, dtype=D)))
    found = covariance(p, o)
    for k in range(100):
        f = lambda t, a, b: a * np.exp(-b * t)  # noqa: E731
        best, spread = curve_fit(f, t.numpy(), y[k].numpy(), p0=[1.0, 1.0], ftol=1e-14, xtol=1e-14)
        np.testing.assert_allclose(o.x[k], best, rtol=1e-7)
        np.testing.assert_allclose(found[k], spread, rtol=1e-4)


@pytest.mark.parametrize(
    ("loss", "name"),
    [(SoftL1Loss(), "soft_l1"), (HuberLoss(), "huber"), (CauchyLoss(), "cauchy"), (ArctanLoss(), "arctan")],
)
def test_covariances_with_robust_losses(loss, name):
    """Every sixth point is off by more than the scale, beyond which Cauchy's loss bends down."""
    g = seeded(2)
    t = torch.linspace(0, 4, 30, dtype=D)
    y = 2 * torch.exp(-t) + 0.05 * torch.randn(5, 30, generator=g, dtype=D)
    y[:, ::6] += 0.4
    p = LeastSquaresProblem(
        Euclidean(2), lambda x, y: x[..., :1] * torch.exp(-x[..., 1:] * t) - y, loss=ScaledLoss(loss, 0.1), data=(y,)
    )
    o = solve(p, LevenbergMarquardtOptions(torch.tensor([2.0, 1.0], dtype=D).expand(5, 2)))
    found = covariance(p, o)
    tight = {"ftol": 1e-14, "xtol": 1e-14, "gtol": 1e-14, "jac": "3-point", "method": "trf"}
    for k in range(5):
        f = lambda t, a, b: a * np.exp(-b * t)  # noqa: E731
        best, spread = curve_fit(f, t.numpy(), y[k].numpy(), p0=[2.0, 1.0], loss=name, f_scale=0.1, **tight)
        np.testing.assert_allclose(o.x[k], best, rtol=1e-6)
        np.testing.assert_allclose(found[k], spread, rtol=1e-5)
