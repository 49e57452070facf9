"""Gauss-Newton: linear problems in a step, SciPy's minima, curved spaces, and its front function."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.optimize import least_squares

from manopt_torch import (
    ConstantStepsize,
    Euclidean,
    GaussNewtonOptions,
    GradientProblem,
    HuberLoss,
    LeastSquaresProblem,
    MissingDerivativeError,
    OptionsError,
    QRSolver,
    Rotations,
    StopAfterIteration,
    SymmetricPositiveDefinite,
    check_solver,
    gauss_newton,
    get_reason,
    get_record,
    solve,
)
from manopt_torch.datasets import nist

D = torch.float64
BATCHES = [(), (2,), (2, 3)]


def linear(*batch, m=6, n=3, seed=0):
    g = torch.Generator().manual_seed(seed)
    A, b = torch.randn(*batch, m, n, generator=g, dtype=D), torch.randn(*batch, m, generator=g, dtype=D)
    return (lambda x, A, b: (A @ x.unsqueeze(-1)).squeeze(-1) - b), (A, b)


def decay(x, t, y):
    return x[..., :1] * torch.exp(-x[..., 1:2] * t) + x[..., 2:] - y


def decays(*batch, noise=0.05, seed=0):
    g = torch.Generator().manual_seed(seed)
    t = torch.linspace(0, 5, 30, dtype=D).expand(*batch, 30)
    true = torch.tensor([2.0, 1.0, 0.5], dtype=D) + torch.rand(*batch, 3, generator=g, dtype=D)
    y = decay(true, t, 0.0) + noise * torch.randn(*batch, 30, generator=g, dtype=D)
    return (t.contiguous(), y), torch.ones(*batch, 3, dtype=D)


# ---- linear problems ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch", BATCHES)
def test_a_linear_problem_takes_one_step(batch):
    r, data = linear(*batch)
    o = gauss_newton(Euclidean(3), r, torch.ones(*batch, 3, dtype=D), data=data, return_options=True)
    truth = torch.linalg.lstsq(data[0], data[1].unsqueeze(-1)).solution.squeeze(-1)
    torch.testing.assert_close(o.x, truth, rtol=1e-12, atol=1e-13)
    assert (torch.as_tensor(o.iterations) <= 2).all()


@pytest.mark.parametrize("batch", BATCHES)
def test_fewer_residuals_than_parameters_give_the_nearest_solution(batch):
    r, data = linear(*batch, m=2, n=4)
    x = gauss_newton(Euclidean(4), r, torch.zeros(*batch, 4, dtype=D), data=data)
    truth = (torch.linalg.pinv(data[0]) @ data[1].unsqueeze(-1)).squeeze(-1)
    torch.testing.assert_close(x, truth, rtol=1e-10, atol=1e-12)


def test_a_parameter_without_influence_stays_where_it_is():
    r, (A, b) = linear(3, m=6, n=4)
    A[1, :, 2] = 0
    o = gauss_newton(Euclidean(4), r, torch.ones(3, 4, dtype=D), data=(A, b), return_options=True)
    assert o.x[1, 2] == 1 and (o.iterations <= 3).all()
    truth = torch.stack([torch.linalg.lstsq(A[k], b[k].unsqueeze(-1)).solution.squeeze(-1) for k in (0, 2)])
    torch.testing.assert_close(o.x[[0, 2]], truth, rtol=1e-11, atol=1e-12)


# ---- minima ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch", [(8,), (2, 3)])
@pytest.mark.parametrize("loss", [None, "huber", "cauchy", "soft_l1"])
def test_scipys_minima(batch, loss):
    from manopt_torch import CauchyLoss, SoftL1Loss

    ours = {None: None, "huber": HuberLoss(0.1), "cauchy": CauchyLoss(0.1), "soft_l1": SoftL1Loss(0.1)}[loss]
    data, start = decays(*batch)
    data[1][..., ::7] += 0.5 if loss else 0.0
    weights = torch.linspace(0.5, 1.5, 30, dtype=D)
    o = gauss_newton(
        Euclidean(3), decay, start, data=data, loss=ours, weights=None if loss else weights, return_options=True
    )
    for index in np.ndindex(*batch):
        t, y = (d[index].numpy() for d in data)
        root = 1.0 if loss else weights.sqrt().numpy()
        truth = least_squares(
            lambda p, t=t, y=y, root=root: root * (p[0] * np.exp(-p[1] * t) + p[2] - y),
            o.x[index].numpy(),
            loss=loss or "linear",
            f_scale=0.1,
            xtol=1e-15,
            ftol=1e-15,
            gtol=1e-12,
        )
        # reweighting converges slowly where a residual sits at the bend of Huber's loss
        np.testing.assert_allclose(o.cost[index].item(), truth.cost, rtol=1e-8)
        np.testing.assert_allclose(o.x[index].numpy(), truth.x, rtol=2e-4 if loss else 1e-6)


@pytest.mark.parametrize("name", nist.names("lower"))
def test_nist(name):
    p = nist.load(name)
    assert (p.digits(gauss_newton(Euclidean(len(p.certified)), p.residuals, p.starts)) > 6).all()


def test_steps_that_gain_little_of_what_they_promise_are_halved():
    # the first whole step makes the peak so narrow that the data miss it
    p = nist.load("Eckerle4")
    assert (p.digits(gauss_newton(Euclidean(3), p.residuals, p.starts)) > 6).all()


def test_convergence_is_quadratic_where_residuals_vanish():
    data, start = decays(noise=0.0)
    o = gauss_newton(Euclidean(3), decay, start, data=data, record=[":Cost"], return_options=True)
    costs = [row[0].item() for row in get_record(o)]
    assert o.cost < 1e-28 and len(costs) < 12
    late = [(a, b) for a, b in pairwise(costs) if 1e-14 < a < 1e-3]
    assert all(b < 10 * a**1.8 for a, b in late)


def test_the_line_search_saves_what_whole_steps_lose():
    # the root of arctan: whole Newton steps diverge from beyond 1.39
    r = lambda x: torch.atan(x)  # noqa: E731
    start = torch.tensor([[3.0], [0.5]], dtype=D)
    guarded = gauss_newton(Euclidean(1), r, start)
    torch.testing.assert_close(guarded, torch.zeros(2, 1, dtype=D), rtol=0, atol=1e-8)
    plain = gauss_newton(Euclidean(1), r, start, stepsize=ConstantStepsize(1.0), stop=StopAfterIteration(5))
    assert plain[0].abs() > 100 and plain[1].abs() < 1e-8


def test_float32():
    data, start = decays(20)
    low = gauss_newton(Euclidean(3), decay, start.float(), data=tuple(d.float() for d in data))
    high = gauss_newton(Euclidean(3), decay, start, data=data)
    assert low.dtype == torch.float32
    torch.testing.assert_close(low.double(), high, rtol=2e-4, atol=2e-5)


# ---- manifolds ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch", BATCHES)
def test_alignment_of_rotated_points(batch):
    """The orthogonal Procrustes problem, whose solution is a singular value decomposition."""
    g = torch.Generator().manual_seed(0)
    M = Rotations(3)
    P = torch.randn(*batch, 3, 5, generator=g, dtype=D)
    Q = M.random_point(*batch, generator=g, dtype=D) @ P + 0.02 * torch.randn(*batch, 3, 5, generator=g, dtype=D)
    x = gauss_newton(
        M, lambda R, P, Q: (R @ P - Q).flatten(-2), M.random_point(*batch, generator=g, dtype=D), data=(P, Q)
    )
    U, _, Vh = torch.linalg.svd(Q @ P.mT)
    sign = torch.linalg.det(U @ Vh)
    fix = torch.diag_embed(torch.stack([torch.ones_like(sign), torch.ones_like(sign), sign], -1))
    torch.testing.assert_close(x, U @ fix @ Vh, rtol=0, atol=1e-9)


def test_a_positive_definite_matrix_from_quadratic_forms():
    M = SymmetricPositiveDefinite(3)
    g = torch.Generator().manual_seed(0)
    truth = M.random_point(2, generator=g, dtype=D)
    v = torch.randn(2, 12, 3, generator=g, dtype=D)

    def residuals(X, v, y):
        return ((v @ X) * v).sum(-1).log() - y

    y = residuals(truth, v, 0.0)
    x = gauss_newton(M, residuals, torch.eye(3, dtype=D).repeat(2, 1, 1), data=(v, y))
    torch.testing.assert_close(x, truth, rtol=1e-8, atol=1e-8)


# ---- runs -----------------------------------------------------------------------------------------------------------


def test_the_laws_of_solvers_hold():
    data, start = decays(3)
    p = LeastSquaresProblem(Euclidean(3), decay, data=data)
    check_solver(GaussNewtonOptions, p, start, raise_on_failure=True)
    check_solver(lambda x: GaussNewtonOptions(x, linear_solver=QRSolver()), p, start, raise_on_failure=True)


def test_nothing_is_evaluated_twice():
    data, start = decays()
    points = []

    def watched(x, t, y):
        points.append(tuple(x.detach().tolist()))
        return decay(x, t, y)

    o = gauss_newton(Euclidean(3), watched, start, data=data, return_options=True)
    assert len(points) == len(set(points)) == o.evaluations["residuals"]
    assert o.evaluations["jacobian"] == o.iterations + 1


def test_one_nan_problem_leaves_the_others_alone():
    data, start = decays(4)
    clean = gauss_newton(Euclidean(3), decay, start, data=data, return_options=True)
    data[1][2, 3] = torch.nan
    met = gauss_newton(Euclidean(3), decay, start, data=data, return_options=True)
    others = [0, 1, 3]
    assert torch.equal(clean.x[others], met.x[others]) and torch.equal(met.x[2], start[2])
    assert "non-finite at iteration 0" in get_reason(met)[2]


def test_a_batch_may_be_compacted():
    data, start = decays(40)
    start[::2] = 3.0
    runs = [
        gauss_newton(Euclidean(3), decay, start, data=data, compact=compact, return_options=True)
        for compact in (True, False)
    ]
    assert torch.equal(runs[0].x, runs[1].x) and torch.equal(runs[0].iterations, runs[1].iterations)


def test_it_needs_residuals():
    with pytest.raises(MissingDerivativeError, match="LeastSquaresProblem"):
        solve(GradientProblem(Euclidean(2), lambda x: x.sum(-1)), GaussNewtonOptions(torch.zeros(2)))


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"stepsize": 1.0}, "stepsize must be one such as"),
        ({"linear_solver": "qr"}, "linear_solver must be one such as"),
        ({"linear_solver": QRSolver}, "linear_solver must be one such as"),
        ({"step": 1.0}, "unknown keyword step"),
    ],
)
def test_arguments_are_checked(keywords, message):
    with pytest.raises(OptionsError, match=message):
        GaussNewtonOptions(torch.zeros(2), **keywords)
