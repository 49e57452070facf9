"""The row-space solver where the shapes of the batch and of the Jacobian could be taken for each other."""

import pytest
import torch

from manopt_torch import Euclidean, LeastSquaresProblem
from manopt_torch.linear_solvers import RowSpaceSolver

D = torch.float64


@pytest.mark.parametrize(("batch", "m", "n"), [((1,), 5, 3), ((6,), 2, 3), ((1, 6), 5, 3), ((6, 1), 2, 3), ((), 5, 3)])
def test_without_damping_the_step_is_the_shortest(batch, m, n):
    """Rows are fewer than columns, or more: then their Gram matrix is singular, and columns are taken instead."""
    g = torch.Generator().manual_seed(0)
    A, y = torch.randn(*batch, m, n, generator=g, dtype=D), torch.randn(*batch, m, generator=g, dtype=D)
    p = LeastSquaresProblem(Euclidean(n), lambda x, A, y: (A @ x.unsqueeze(-1)).squeeze(-1) - y, data=(A, y))
    x, solver = torch.zeros(*batch, n, dtype=D), RowSpaceSolver()
    normal = solver.linearize(p, x)
    step, ok = solver.solve(p, x, normal.system, normal.gradient, None)
    assert ok.shape == batch and ok.all()
    torch.testing.assert_close(step, (torch.linalg.pinv(A) @ y.unsqueeze(-1)).squeeze(-1), rtol=1e-10, atol=1e-12)
