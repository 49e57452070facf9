"""Bounds: which gradients they take away, and which shapes they may have."""

import pytest
import torch

from manopt_torch import BoundedSolver, Euclidean, LeastSquaresProblem, OptionsError

D = torch.float64


@pytest.mark.parametrize("batch", [(), (2,)])
def test_the_gradient_seen_is_the_projected_one(batch):
    """At the lower bound, inside, at the upper bound; r = x - y, whose gradient is r, of both signs at each."""
    x = torch.tensor([0.0, 0.0, 1.0, 1.0, 2.0, 2.0], dtype=D).expand(*batch, 6)
    up = torch.tensor([1.0, -1.0, 1.0, -1.0, 1.0, -1.0], dtype=D)
    p = LeastSquaresProblem(Euclidean(6), lambda x: x - torch.tensor([0.0, 0, 1, 1, 2, 2], dtype=D) + up)
    normal = BoundedSolver(0.0, 2.0).linearize(p, x)
    wanted = torch.tensor([0.0, -1.0, 1.0, -1.0, 1.0, 0.0], dtype=D).expand(*batch, 6)
    assert torch.equal(normal.gradient, wanted)


@pytest.mark.parametrize(("lower", "upper"), [(torch.zeros(2, 2), 5.0), (-5.0, torch.ones(2, 2))])
def test_bounds_have_one_axis_at_most(lower, upper):
    with pytest.raises(OptionsError, match="numbers or of shape"):
        BoundedSolver(lower, upper)
