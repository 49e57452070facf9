r"""The form for fewer residuals than parameters."""

from typing import Any

import torch

from manopt_torch.linalg.damped_least_squares import by_row_space
from manopt_torch.linear_solvers.base import LinearSolver, Solved
from manopt_torch.linear_solvers.least_norm import LeastNormSolver
from manopt_torch.problems.least_squares import Linearization


class RowSpaceSolver(LinearSolver):
    r"""Solve $s = -W J^\top (J W J^\top + \mu I)^{-1} r$: a matrix of the size of the residuals.

    For $m < n$, networks fitted to few data, say. The same step as with `CholeskySolver`, by the Cholesky
    factorisation of an $m \times m$ matrix; without damping the shortest step. Kept are $J$ and $r$. With more
    residuals than parameters that matrix has no inverse but for the damping: there `LeastNormSolver` takes over.

    References:
        [GolubVanLoan:2013], section 5.6.

    Examples:
        >>> RowSpaceSolver()
        RowSpaceSolver()
    """

    def assemble(self, at: Linearization) -> tuple[torch.Tensor, ...]:
        """Keep Jacobian and residuals."""
        return at.jacobian, at.residuals

    def solve(
        self,
        p: Any,
        x: Any,
        system: tuple[torch.Tensor, ...],
        gradient: torch.Tensor,
        damping: torch.Tensor | None,
    ) -> Solved:
        """Factorise and solve."""
        J, r = system
        if r.shape[-1] > gradient.shape[-1]:
            return LeastNormSolver().solve(p, x, (J.mT @ J,), gradient, damping)
        step = by_row_space(J, r, torch.zeros_like(gradient) if damping is None else damping)
        return Solved(step, torch.isfinite(step).all(-1))

    def __repr__(self) -> str:
        return "RowSpaceSolver()"
