"""Weights of blocks of residuals, for all shapes that weights may have."""

import pytest
import torch

from manopt_torch import BlockLoss, Euclidean, HuberLoss, LeastSquaresProblem, get_cost
from manopt_torch.problems.least_squares import gradient_coordinates

D = torch.float64
BATCHES = [((), False), ((3,), False), ((3,), True), ((2, 3), False), ((2, 3), True)]


@pytest.mark.parametrize(("batch", "own"), BATCHES)
def test_a_weight_of_a_block_is_that_of_its_residuals(batch, own):
    """Huber's loss of the lengths of pairs; cost and gradient by hand, w |b|^2 / 2 and w b inside."""
    g = torch.Generator().manual_seed(0)
    x = torch.randn(*batch, 8, generator=g, dtype=D)
    w = torch.rand(*(batch if own else ()), 4, generator=g, dtype=D) + 0.1
    p = LeastSquaresProblem(Euclidean(8), lambda x: x, weights=w, loss=BlockLoss(HuberLoss(1.5), 2))
    b = x.unflatten(-1, (4, 2))
    length = b.norm(dim=-1)
    assert (length < 1.5).any() and (length > 1.5).any()
    cost = 0.5 * (w * torch.where(length <= 1.5, length**2, 3 * length - 2.25)).sum(-1)
    torch.testing.assert_close(get_cost(p, x), cost)
    slope = ((w * (length / 1.5).clamp(min=1).reciprocal()).unsqueeze(-1) * b).flatten(-2)
    torch.testing.assert_close(gradient_coordinates(p.linearize_residuals(x)), slope)
