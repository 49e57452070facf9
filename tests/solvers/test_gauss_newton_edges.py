"""Gauss-Newton where the linear solver finds no way down, and what it says of the reduction."""

import pytest
import torch

from manopt_torch import Euclidean, GaussNewtonOptions, LeastSquaresProblem, StopAfterIteration, solve
from manopt_torch.linear_solvers import LinearSolver
from manopt_torch.linear_solvers.base import Solved

D = torch.float64


class Fixed(LinearSolver):
    """A solver that returns the same step for each problem, and says whether it is one."""

    def __init__(self, step, ok):
        self.step, self.ok = step, ok

    def assemble(self, at):
        return ()

    def solve(self, p, x, system, gradient, damping):
        return Solved(torch.full_like(gradient, self.step), torch.full(gradient.shape[:-1], self.ok))


# r = x - 1 from zero: the gradient is -1, and the way down is up
@pytest.mark.parametrize("batch", [(), (2,)])
@pytest.mark.parametrize(("step", "ok", "wanted"), [(0.5, True, 0.5), (0.5, False, 1.0), (-0.5, True, 1.0)])
def test_minus_the_gradient_where_there_is_no_other_way_down(batch, step, ok, wanted):
    p = LeastSquaresProblem(Euclidean(1), lambda x: x - 1)
    o = GaussNewtonOptions(torch.zeros(*batch, 1, dtype=D), linear_solver=Fixed(step, ok), stop=StopAfterIteration(1))
    solve(p, o)
    torch.testing.assert_close(o.x, torch.full((*batch, 1), wanted, dtype=D))


@pytest.mark.parametrize("batch", [(), (2,)])
@pytest.mark.parametrize(("r", "wanted"), [(lambda x: x * x, 1.0), (lambda x: x + 1, 1.0), (torch.atan, 1.0)])
def test_the_relative_reduction_is_the_larger_of_the_actual_and_the_promised(batch, r, wanted):
    """One equation for one unknown: the linear model promises to do away with all of the cost."""
    p = LeastSquaresProblem(Euclidean(1), r)
    o = GaussNewtonOptions(torch.ones(*batch, 1, dtype=D), stop=StopAfterIteration(1))
    solve(p, o)
    torch.testing.assert_close(torch.as_tensor(o.relative_reduction, dtype=D), torch.full(batch, wanted, dtype=D))
