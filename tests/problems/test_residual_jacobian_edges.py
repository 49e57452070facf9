"""Jacobians of as many columns or rows as a single problem makes in one pass, for batches of every length."""

import pytest
import torch

from manopt_torch import Euclidean, LeastSquaresProblem, get_jacobian

D = torch.float64


@pytest.mark.parametrize("way", ["forward", "reverse", "finite"])
@pytest.mark.parametrize("batch", [(), (9,), (2, 9), (9, 2)])
def test_nine_columns_of_nine_residuals(batch, way):
    """r = A sin(x), whose Jacobian is A diag(cos x)."""
    g = torch.Generator().manual_seed(0)
    A, x = torch.randn(9, 9, generator=g, dtype=D), torch.randn(*batch, 9, generator=g, dtype=D)
    p = LeastSquaresProblem(Euclidean(9), lambda x: torch.sin(x) @ A.mT, way)
    loose = 1e-7 if way == "finite" else 1e-12
    torch.testing.assert_close(get_jacobian(p, x), A * torch.cos(x).unsqueeze(-2), rtol=loose, atol=loose)
