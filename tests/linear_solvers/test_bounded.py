"""Bounds on parameters: SciPy's solutions, every iterate inside, and what is refused."""

import numpy as np
import pytest
import torch
from scipy.optimize import least_squares, lsq_linear

from manopt_torch import (
    BoundedSolver,
    CholeskySolver,
    Euclidean,
    LeastSquaresProblem,
    LevenbergMarquardtOptions,
    OptionsError,
    Sphere,
    get_reason,
    get_record,
    levenberg_marquardt,
    report,
    solve,
)
from tests.together import together

D = torch.float64


def drawn(*batch, m=8, n=4, seed=0):
    g = torch.Generator().manual_seed(seed)
    return torch.randn(*batch, m, n, generator=g, dtype=D), 2 * torch.randn(*batch, m, generator=g, dtype=D)


def linear(x, A, b):
    return (A @ x.unsqueeze(-1)).squeeze(-1) - b


@pytest.mark.parametrize("batch", [(), (20,), (2, 3)])
def test_linear_problems_against_scipy(batch):
    A, b = drawn(*batch)
    low, up = torch.tensor([-0.3, 0.0, -torch.inf, -0.1], dtype=D), torch.tensor([0.3, torch.inf, 0.2, 0.1], dtype=D)
    start = torch.full((*batch, 4), 0.05, dtype=D)
    o = levenberg_marquardt(
        Euclidean(4), linear, start, data=(A, b), linear_solver=BoundedSolver(low, up), return_options=True
    )
    for index in np.ndindex(*batch):
        truth = lsq_linear(A[index].numpy(), b[index].numpy(), (low.numpy(), up.numpy()), tol=1e-14, method="bvls")
        np.testing.assert_allclose(o.x[index].numpy(), truth.x, atol=1e-8)
    assert report(o).converged == max(start[..., 0].numel(), 1), get_reason(o)


def test_curves_against_scipy():
    g = torch.Generator().manual_seed(0)
    t = torch.linspace(0, 5, 40, dtype=D)
    true = torch.tensor([2.0, 0.4, 0.0], dtype=D) + torch.rand(30, 3, generator=g, dtype=D)
    y = true[:, :1] * torch.exp(-true[:, 1:2] * t) + true[:, 2:] + 0.05 * torch.randn(30, 40, generator=g, dtype=D)
    low, up = torch.tensor([0.0, 0.6, 0.3], dtype=D), torch.tensor([2.6, 1.2, 5.0], dtype=D)
    x = levenberg_marquardt(
        Euclidean(3),
        lambda x, y: x[..., :1] * torch.exp(-x[..., 1:2] * t) + x[..., 2:] - y,
        torch.tensor([1.0, 1.0, 1.0], dtype=D).expand(30, 3).clone(),
        data=(y,),
        linear_solver=BoundedSolver(low, up),
    )
    met = 0
    for k in range(30):
        truth = least_squares(
            lambda p, k=k: p[0] * np.exp(-p[1] * t.numpy()) + p[2] - y[k].numpy(),
            [1.0, 1.0, 1.0],
            bounds=(low.numpy(), up.numpy()),
            xtol=1e-15,
            ftol=1e-15,
            gtol=1e-12,
        )
        np.testing.assert_allclose(x[k].numpy(), truth.x, atol=2e-5)
        met += int(((x[k] == low) | (x[k] == up)).any())
    assert met > 5, "some solutions were to lie on a bound"


def test_residuals_are_asked_for_inside_only():
    asked = []

    def residuals(x):
        asked.append(x.detach().clone())
        return torch.stack([torch.sqrt(x[..., 0]) + 1, x[..., 1] - 4, x.sum(-1)], -1)

    start = torch.tensor([[3.0, 1.0], [0.5, 2.0]], dtype=D)
    x = levenberg_marquardt(
        Euclidean(2), residuals, start, linear_solver=BoundedSolver(torch.tensor([0.0, 0.0]), 2.5e9)
    )
    assert torch.stack(asked).min() >= 0
    torch.testing.assert_close(x, torch.tensor([[0.0, 2.0], [0.0, 2.0]], dtype=D), rtol=0, atol=1e-6)


def test_bounds_that_do_not_bind_change_nothing():
    A, b = drawn(5)
    p = LeastSquaresProblem(Euclidean(4), lambda x, A, b: linear(x + 0.1 * torch.sin(3 * x), A, b), data=(A, b))
    start = torch.zeros(5, 4, dtype=D)
    runs = [
        solve(p, LevenbergMarquardtOptions(start, linear_solver=s), record=[":Cost"])
        for s in (BoundedSolver(-1e6, 1e6), None)
    ]
    torch.testing.assert_close(runs[0].cost, runs[1].cost, rtol=1e-9, atol=0)
    assert len(get_record(runs[0])) > 2


def test_a_problem_is_the_same_whatever_its_neighbours():
    A, b = drawn(6)
    start, solver = torch.zeros(6, 4, dtype=D), BoundedSolver(-0.1, 0.1)
    whole = levenberg_marquardt(Euclidean(4), linear, start, data=(A, b), linear_solver=solver)
    part = levenberg_marquardt(Euclidean(4), linear, start[:2], data=(A[:2], b[:2]), linear_solver=solver)
    assert torch.equal(whole[:2], part)


def test_what_is_refused():
    with pytest.raises(OptionsError, match="lower must be below upper"):
        BoundedSolver(torch.tensor([0.0, 1.0]), torch.tensor([1.0, 1.0]))
    A, b = drawn(3)
    start = torch.zeros(3, 4, dtype=D)
    start[1] = 2.0
    with pytest.raises(OptionsError, match=r"outside the bounds at batch indices \[\(1,\)\]"):
        levenberg_marquardt(Euclidean(4), linear, start, data=(A, b), linear_solver=BoundedSolver(-1.0, 1.0))
    with pytest.raises(OptionsError, match="Euclidean"):
        levenberg_marquardt(Sphere(3), lambda x: x, torch.eye(3, dtype=D)[0], linear_solver=BoundedSolver(0.0, 1.0))


def test_the_option_bounds_against_scipy():
    t = torch.linspace(0, 5, 40, dtype=D)

    def curve(x, y):
        lib = torch if isinstance(x, torch.Tensor) else np
        return x[..., :1] * lib.exp(-x[..., 1:2] * (t if lib is torch else t.numpy())) + x[..., 2:] - y

    g = torch.Generator().manual_seed(3)
    true = torch.tensor([2.0, 0.4, 0.0], dtype=D) + torch.rand(12, 3, generator=g, dtype=D)
    y = curve(true, 0.0) + 0.05 * torch.randn(12, 40, generator=g, dtype=D)
    bounds = ([0.0, 0.6, -np.inf], torch.tensor([2.6, np.inf, 0.4], dtype=D))
    start = torch.tensor([1.0, 1.0, 0.2], dtype=D).expand(12, 3)
    o = levenberg_marquardt(Euclidean(3), curve, start, data=(y,), bounds=bounds, return_options=True)
    assert report(o).converged == 12
    for k in range(12):
        truth = least_squares(
            curve, start[k].numpy(), bounds=(bounds[0], bounds[1].numpy()), args=(y[k].numpy(),), xtol=1e-15, ftol=1e-15
        )
        assert o.cost[k] <= truth.cost * (1 + 1e-10)
        np.testing.assert_allclose(o.x[k].numpy(), truth.x, atol=1e-5)


@together()
@pytest.mark.parametrize(
    ("bounds", "what"),
    [
        (1.0, "must be a pair"),
        ((0.0, 1.0, 2.0), "must be a pair"),
        (("low", "high"), "must be numbers or tensors"),
        ((1.0, 1.0), "lower must be below upper"),
        (([0.0, 0.0], [1.0, 1.0, 1.0]), "shape"),
        (([0.0] * 4, [1.0] * 4), "4 bounds for 2 parameters"),
        (([0.0, 0.6], [1.0, 1.0]), "the start x lies outside"),
    ],
)
def test_bounds_are_checked(bounds, what):
    with pytest.raises(OptionsError, match=what):
        levenberg_marquardt(Euclidean(2), lambda x: x, torch.tensor([0.5, 0.5], dtype=D), bounds=bounds)


def test_bounds_and_another_linear_solver_exclude_each_other():
    with pytest.raises(OptionsError, match="leave out CholeskySolver"):
        LevenbergMarquardtOptions(torch.zeros(2), bounds=(0.0, 1.0), linear_solver=CholeskySolver())
