"""Levenberg-Marquardt after a rejection, and starts whose cost alone is out of the numbers."""

import math

import pytest
import torch

from manopt_torch import (
    DoglegOptions,
    Euclidean,
    GaussNewtonOptions,
    LeastSquaresProblem,
    LevenbergDamping,
    LevenbergMarquardtOptions,
    NonFiniteError,
    get_reason,
    initialize_solver,
    solve,
    step_solver,
)

D = torch.float64


def with_a_cliff(x):
    """Return x - 1, but 5 below 1.05."""
    return torch.where(x < 1.05, 5.0 + 0 * x, x - 1)


@pytest.mark.parametrize("batch", [(), (2,)])
def test_after_a_rejection_nothing_is_known_of_the_rate(batch):
    """A step of -0.1 from 1.1 is short beside the one before, and would promise to be the last but for its failure."""
    p = LeastSquaresProblem(Euclidean(1), with_a_cliff)
    o = LevenbergMarquardtOptions(torch.full((*batch, 1), 1.1, dtype=D), damping=LevenbergDamping(1e-9))
    initialize_solver(p, o)
    o.step_length = o.lane.full(0.9)
    step_solver(p, o, 1)
    numbers = (o.relative_step, o.step_length, o.damping_term, o.gain_ratio)
    step, length, damping, ratio = (torch.as_tensor(t, dtype=D).expand(batch) for t in numbers)
    assert torch.equal(o.x, torch.full((*batch, 1), 1.1, dtype=D))
    assert (step == math.inf).all() and (length == 0).all()
    torch.testing.assert_close(damping, torch.full(batch, 1e-8, dtype=D))
    # from 0.1^2 / 2 to 5^2 / 2, where nothing was promised to be left
    torch.testing.assert_close(ratio, torch.full(batch, (0.01 - 25) / 0.01, dtype=D))
    # a problem on its own has no Jacobian where it does not go
    assert p.counts.jacobian == (2 if batch else 1) and p.counts.residuals == 2


@pytest.mark.parametrize("kind", [LevenbergMarquardtOptions, GaussNewtonOptions, DoglegOptions])
def test_a_start_of_infinite_cost_is_none(kind):
    """The square of 1e200 is out of the numbers, the gradient 1e200 is not."""
    y = torch.tensor([[3.0], [1e200]], dtype=D)
    p = LeastSquaresProblem(Euclidean(1), lambda x, y: x + y, data=(y,))
    o = solve(p, kind(torch.zeros(2, 1, dtype=D)))
    assert "non-finite at iteration 0" in get_reason(o)[1] and o.x[1].item() == 0.0
    assert "non-finite" not in get_reason(o)[0] and o.x[0].item() == pytest.approx(-3.0, rel=1e-12)
    with pytest.raises(NonFiniteError, match="start"):
        solve(LeastSquaresProblem(Euclidean(1), lambda x: x + 1e200), kind(torch.zeros(1, dtype=D)))
