"""Covariances of fitted parameters: SciPy's curve_fit, certified values, closed forms, and what is not determined."""

import numpy as np
import pytest
import torch
from scipy.optimize import curve_fit

from manopt_torch import (
    BlockLoss,
    CostProblem,
    Covariance,
    DebugOptions,
    Euclidean,
    GaussNewtonOptions,
    HuberLoss,
    LeastSquaresProblem,
    MissingDerivativeError,
    Rotations,
    covariance,
    solve,
    standard_errors,
)
from manopt_torch.datasets import nist
from tests.together import together

D = torch.float64


def decay(x, t, y):
    return x[..., :1] * torch.exp(-x[..., 1:2] * t) + x[..., 2:] - y


def decays(*batch, seed=0):
    g = torch.Generator().manual_seed(seed)
    t = torch.linspace(0, 5, 30, dtype=D).expand(*batch, 30).contiguous()
    true = torch.tensor([2.0, 1.0, 0.5], dtype=D) + torch.rand(*batch, 3, generator=g, dtype=D)
    y = decay(true, t, 0.0) + 0.05 * torch.randn(*batch, 30, generator=g, dtype=D)
    return (t, y), torch.ones(*batch, 3, dtype=D)


def solved(*batch, **more):
    data, start = decays(*batch)
    p = LeastSquaresProblem(Euclidean(3), decay, data=data, **more)
    return p, solve(p, GaussNewtonOptions(start))


@pytest.mark.parametrize("batch", [(), (10,), (2, 3)])
@pytest.mark.parametrize("absolute", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_curve_fit(batch, absolute, weighted):
    sigma = torch.linspace(0.02, 0.1, 30, dtype=D) if weighted else None
    p, o = solved(*batch, weights=None if sigma is None else sigma**-2)
    found = covariance(p, o, absolute=absolute)
    assert found.shape == (*batch, 3, 3)
    for index in np.ndindex(*batch):
        t, y = (d[index].numpy() for d in p.data)
        _, truth = curve_fit(
            lambda t, a, b, c: a * np.exp(-b * t) + c,
            t,
            y,
            p0=o.x[index].numpy(),
            sigma=None if sigma is None else sigma.numpy(),
            absolute_sigma=absolute,
            jac=lambda t, a, b, c: np.stack([np.exp(-b * t), -a * t * np.exp(-b * t), np.ones_like(t)], 1),
            ftol=1e-15,
            xtol=1e-15,
        )
        np.testing.assert_allclose(found[index].numpy(), truth, rtol=1e-6, atol=1e-12)
        np.testing.assert_allclose(standard_errors(p, o, absolute=absolute)[index], np.sqrt(np.diag(truth)), rtol=1e-6)


@together()
@pytest.mark.parametrize("name", [name for name in nist.names() if name != "Lanczos1"])
def test_certified_standard_deviations(name):
    """Lanczos1 is left out: its residuals of 1e-13 are rounding errors of the printed parameters."""
    data = nist.load(name)
    p = LeastSquaresProblem(Euclidean(len(data.certified)), data.residuals)
    o = GaussNewtonOptions(data.certified)
    torch.testing.assert_close(standard_errors(p, o), data.standard_deviations, rtol=1e-7, atol=0)
    details = covariance(p, o, details=True)
    assert details.degrees_of_freedom == data.degrees_of_freedom and not details.singular
    assert details.variance.item() == pytest.approx(data.residual_standard_deviation**2, rel=1e-8)


def test_details():
    p, o = solved(4)
    details = covariance(p, o, details=True)
    assert isinstance(details, Covariance) and torch.equal(details.matrix, covariance(p, o))
    assert details.degrees_of_freedom.tolist() == [27] * 4 and details.rank.tolist() == [3] * 4
    torch.testing.assert_close(details.variance, 2 * o.cost / 27)


def test_a_problem_without_residuals_has_none():
    p, o = solved(2)
    with pytest.raises(MissingDerivativeError, match="use LeastSquaresProblem"):
        covariance(CostProblem(p.M, lambda x: x.sum(-1)), o)


def test_residuals_without_weight_do_not_count():
    weights = torch.ones(5, 30, dtype=D)
    weights[1, :10] = 0
    p, o = solved(5, weights=weights)
    assert covariance(p, o, details=True).degrees_of_freedom.tolist() == [27, 17, 27, 27, 27]


def test_blocks_count_all_their_residuals():
    weights = torch.tensor([0.0] + [1.0] * 9, dtype=D)
    p, o = solved(2, loss=BlockLoss(HuberLoss(10.0), 3), weights=weights)
    assert covariance(p, o, details=True).degrees_of_freedom.tolist() == [24, 24]


def test_a_parameter_without_influence_is_flagged():
    g = torch.Generator().manual_seed(0)
    A, b = torch.randn(3, 8, 3, generator=g, dtype=D), torch.randn(3, 8, generator=g, dtype=D)
    A[1, :, 2] = A[1, :, 0] + A[1, :, 1]
    A[2, :, 1] = 0
    p = LeastSquaresProblem(Euclidean(3), lambda x, A, b: (A @ x.unsqueeze(-1)).squeeze(-1) - b, data=(A, b))
    o = solve(p, GaussNewtonOptions(torch.zeros(3, 3, dtype=D)))
    details = covariance(p, o, details=True)
    assert details.singular.tolist() == [False, True, True]
    assert details.rank.tolist() == [3, 2, 2] and details.degrees_of_freedom.tolist() == [5, 6, 6]
    variance = 2 * o.cost[0] / 5
    torch.testing.assert_close(details.matrix[0], variance * torch.linalg.inv(A[0].mT @ A[0]), rtol=1e-9, atol=1e-12)
    # what is determined has the variance it would have without the superfluous parameter
    rest = A[2][:, [0, 2]]
    truth = 2 * o.cost[2] / 6 * torch.linalg.inv(rest.mT @ rest)
    torch.testing.assert_close(details.matrix[2][[0, 2]][:, [0, 2]], truth, rtol=1e-9, atol=1e-12)
    assert (details.matrix[2, 1] == 0).all() and torch.isfinite(details.matrix[1]).all()


def test_as_many_parameters_as_residuals_have_no_known_variance():
    p = LeastSquaresProblem(Euclidean(2), lambda x: x - 1.0)
    o = solve(p, GaussNewtonOptions(torch.zeros(2, dtype=D)))
    assert torch.isinf(covariance(p, o).diagonal()).all()
    torch.testing.assert_close(covariance(p, o, absolute=True), torch.eye(2, dtype=D))


def test_a_problem_with_nan_is_nan_and_alone():
    data, start = decays(3)
    clean = LeastSquaresProblem(Euclidean(3), decay, data=tuple(d.clone() for d in data))
    data[0][1, 4] = torch.nan
    p = LeastSquaresProblem(Euclidean(3), decay, data=data)
    o = solve(p, GaussNewtonOptions(start))
    found, truth = covariance(p, o), covariance(clean, solve(clean, GaussNewtonOptions(start)))
    assert found[1].isnan().all() and torch.equal(found[[0, 2]], truth[[0, 2]])


def test_coordinates_of_a_manifold():
    """Noise of size s on all entries of R P, P P' = I: coordinates have variance s^2, Rotations' basis being unit."""
    M, generator = Rotations(3), torch.Generator().manual_seed(0)
    P = torch.linalg.qr(torch.randn(400, 3, generator=generator, dtype=D)).Q.mT
    truth = M.random_point(generator=generator, dtype=D)
    Q = truth @ P + 0.01 * torch.randn(3, 400, generator=generator, dtype=D)
    p = LeastSquaresProblem(M, lambda R: (R @ P - Q).flatten(-2))
    o = solve(p, GaussNewtonOptions(truth))
    torch.testing.assert_close(covariance(p, o), 1e-4 * torch.eye(3, dtype=D), rtol=0.1, atol=1e-6)


def test_decorated_options_do_as_well():
    p, o = solved(2)
    assert torch.equal(covariance(p, DebugOptions(o, [])), covariance(p, o))
