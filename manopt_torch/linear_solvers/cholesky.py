r"""The normal equations by Cholesky's factorisation, for all problems of a batch at once."""

import torch

from manopt_torch.linalg.cholesky import solve_positive_definite
from manopt_torch.linear_solvers.base import LinearSolver, Solved
from manopt_torch.problems.least_squares import Linearization


class CholeskySolver(LinearSolver):
    r"""Form $J' J$ and factorise $J' J + \operatorname{diag}(d) = L L'$.

    The default: $n^2$ numbers a problem are kept whatever $m$, and a batch is solved in a few elementwise operations.
    The condition of $J$ is squared; a problem whose matrix is not positive definite to working precision is not
    solved, which the damping takes as a rejected step.

    References:
        [NocedalWright:2006], section 10.3.
    """

    def assemble(self, at: Linearization) -> tuple:
        """Keep $J' J$."""
        return (at.jacobian.mT @ at.jacobian,)

    def diagonal(self, at: Linearization, system: tuple) -> torch.Tensor:
        """Read the squared lengths off the matrix."""
        return system[0].diagonal(dim1=-2, dim2=-1)

    def solve(
        self,
        p: object,
        x: object,
        system: tuple,
        gradient: torch.Tensor,
        damping: torch.Tensor | None,
    ) -> Solved:
        """Factorise and solve."""
        step, ok = solve_positive_definite(system[0], -gradient, damping)
        return Solved(step, ok)

    def __repr__(self) -> str:
        return "CholeskySolver()"
