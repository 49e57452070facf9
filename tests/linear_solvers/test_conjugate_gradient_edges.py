"""Conjugate gradients: a step with a number that is none is no step."""

import torch

from manopt_torch import Euclidean, LeastSquaresProblem
from manopt_torch.linear_solvers import ConjugateGradientSolver

D = torch.float64


def test_a_step_counts_only_if_all_of_it_is_finite():
    A = torch.eye(2, dtype=D).repeat(2, 1, 1)
    p = LeastSquaresProblem(
        Euclidean(2),
        lambda x, A: (A @ x.unsqueeze(-1)).squeeze(-1) - 1,
        lambda x, A: A,
        data=(A,),
    )
    x, solver = torch.zeros(2, 2, dtype=D), ConjugateGradientSolver()
    # the second parameter of the first problem is out of the numbers
    gradient = torch.tensor([[-1.0, float("inf")], [-1.0, -1.0]], dtype=D)
    step, ok = solver.solve(p, x, (A,), gradient, None)
    assert ok.tolist() == torch.isfinite(step).all(-1).tolist() and bool(ok[1])
    torch.testing.assert_close(step[1], torch.ones(2, dtype=D))
