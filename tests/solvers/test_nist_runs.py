"""Levenberg-Marquardt on the NIST problems: all 54 runs by default, and batches of many starts."""

from functools import cache

import pytest
import torch

from manopt_torch import (
    Euclidean,
    LeastSquaresProblem,
    LevenbergMarquardtOptions,
    StopAfterIteration,
    StopWhenCosineLess,
    StopWhenReductionLess,
    StopWhenRelativeStepLess,
    get_reason,
    solve,
    standard_errors,
)
from manopt_torch.datasets import nist

NAMES = nist.names()


@cache
def runs():
    """Return problem, options and digits of the two starts of each problem, by name."""
    found = {}
    for name in NAMES:
        data = nist.load(name)
        p = LeastSquaresProblem(Euclidean(len(data.certified)), data.residuals)
        o = solve(p, LevenbergMarquardtOptions(data.starts))
        found[name] = (data, p, o, data.digits(o.x))
    return found


def test_all_54_runs_are_solved():
    digits = torch.stack([run[3] for run in runs().values()])
    assert digits.shape == (27, 2)
    assert (digits >= 4).all(), [name for name, row in zip(NAMES, digits, strict=True) if (row < 4).any()]
    assert (digits >= 6).sum() >= 52
    assert digits.mean() > 9


def test_certified_standard_deviations_to_four_digits():
    for name, (data, p, o, _) in runs().items():
        errors = (standard_errors(p, o) / data.standard_deviations - 1).abs()
        # the residuals of Lanczos1 are a few hundred rounding errors of its data
        assert (errors < (2e-2 if name == "Lanczos1" else 1e-4)).all(), name


def test_the_budget_is_at_least_a_thousand_iterations():
    assert LevenbergMarquardtOptions(torch.zeros(2)).stop.members[0].n >= 1000


@pytest.mark.parametrize("name", NAMES)
def test_a_hundred_starts_in_a_batch_all_end_with_a_reason(name):
    data = nist.load(name)
    g = torch.Generator().manual_seed(0)
    factors = 1 + 0.1 * torch.randn(100, len(data.certified), generator=g, dtype=torch.float64)
    x = torch.cat([data.starts, data.starts[1] * factors])
    columns = (data.x.expand(102, *data.x.shape), data.y.expand(102, -1))
    p = LeastSquaresProblem(Euclidean(x.shape[-1]), data.residuals, data=columns)
    stop = StopAfterIteration(30) | StopWhenCosineLess() | StopWhenReductionLess() | StopWhenRelativeStepLess()
    o = solve(p, LevenbergMarquardtOptions(x, stop=stop))
    assert torch.isfinite(o.x).all() and torch.isfinite(o.cost).all()
    assert (o.reason_code != 0).all() and all(get_reason(o))
    first = p.get_cost(x)
    assert (o.cost <= first).all() or torch.isnan(first).any()
    if name in ("Misra1a", "Chwirut1", "Gauss2", "DanWood", "Kirby2", "Roszman1", "Rat42", "BoxBOD"):
        assert (data.digits(o.x) > 6).sum() >= 100
