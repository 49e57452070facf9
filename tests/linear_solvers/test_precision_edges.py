"""Jacobians in a lower precision: what is narrowed, and what is not."""

import pytest
import torch

from manopt_torch import Euclidean, LeastSquaresProblem
from manopt_torch.linear_solvers import CholeskySolver
from manopt_torch.linear_solvers.precision import linearize

D = torch.float64


@pytest.mark.parametrize("way", [None, "given"])
def test_only_the_jacobian_is_narrow(way):
    """r = y exp(x t), whose slope y t exp(x t) is rounded to single precision, its residuals are not."""
    seen = []
    t = torch.tensor([[1, 2, 3]])  # whole numbers stay what they are
    y = torch.tensor([[0.1, 0.7, 1.3]], dtype=D)

    def residuals(x, t, y):
        seen.append((x.dtype, t.dtype, y.dtype))
        return y * torch.exp(x * t)

    def jacobian(x, t, y):
        seen.append((x.dtype, t.dtype, y.dtype))
        return (y * t * torch.exp(x * t)).unsqueeze(-1)

    p = LeastSquaresProblem(Euclidean(1), residuals, jacobian if way else None, data=(t, y))
    x = torch.tensor([[0.3]], dtype=D)
    trial = p.residual_trial(x)
    seen.clear()
    normal = linearize(CholeskySolver(), p, x, trial, torch.float32)
    assert set(seen) == {(torch.float32, torch.int64, torch.float32)}
    r = y * torch.exp(x * t)
    exact = t * r
    assert normal.gradient.dtype == D
    off = (normal.gradient - (exact * r).sum(-1)).abs().item() / (exact * r).sum().item()
    # single precision can be seen, and is all that there is to see
    assert 1e-12 < off < 1e-6
    again = linearize(CholeskySolver(), p, x, trial, None)
    torch.testing.assert_close(again.gradient[0], (exact * r).sum(-1), rtol=1e-14, atol=0)
