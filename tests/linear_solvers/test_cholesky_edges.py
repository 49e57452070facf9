"""Cholesky's solver at batches with several axes: its two layouts of a matrix, and those left to QR."""

import torch

from manopt_torch import Euclidean, LeastSquaresProblem
from manopt_torch.linear_solvers import CholeskySolver

D = torch.float64


def test_the_lower_triangle_is_that_of_each_matrix():
    """n differs from the lengths of all batch axes, so that none may stand for it."""
    J = torch.randn(2, 3, 7, 4, generator=torch.Generator().manual_seed(0), dtype=D)
    A, g, solver = J.mT @ J, torch.zeros(2, 3, 4, dtype=D), CholeskySolver()
    (lower,) = solver.kept((A,), g, True)
    rows, columns = torch.tril_indices(4, 4)
    assert torch.equal(lower, A[..., rows, columns])
    assert torch.equal(solver.kept((lower,), g, False)[0], A)
    assert solver.kept((lower,), g, True)[0] is lower and solver.kept((A,), g, False)[0] is A


def test_those_left_over_are_found_among_two_axes():
    """Nearly dependent columns, for which normal equations have no digits: the step is that of the QR factorisation."""
    g = torch.Generator().manual_seed(1)
    A, y = torch.randn(2, 3, 6, 4, generator=g, dtype=D), torch.randn(2, 3, 6, generator=g, dtype=D)
    A[1, 2, :, 3] = A[1, 2, :, 0] + 1e-7 * A[1, 2, :, 1]
    p = LeastSquaresProblem(Euclidean(4), lambda x, A, y: (A @ x.unsqueeze(-1)).squeeze(-1) - y, data=(A, y))
    x, solver = torch.zeros(2, 3, 4, dtype=D), CholeskySolver()
    normal = solver.linearize(p, x)
    d = torch.full((2, 3, 4), 1e-15, dtype=D)
    step, ok = solver.solve(p, x, normal.system, normal.gradient, d)
    wide = torch.cat([A, torch.diag_embed(d.sqrt())], -2)
    below = torch.cat([y, torch.zeros(2, 3, 4, dtype=D)], -1)
    truth = torch.linalg.lstsq(wide, below.unsqueeze(-1), driver="gelsd").solution.squeeze(-1)
    assert step.shape == (2, 3, 4) and ok.all()
    torch.testing.assert_close(step, truth, rtol=1e-6, atol=1e-9)
