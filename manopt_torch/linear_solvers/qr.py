r"""QR factorisation of the Jacobian with the damping below it."""

from typing import Any

import torch

from manopt_torch.linalg.damped_least_squares import by_augmented_qr
from manopt_torch.linear_solvers.base import LinearSolver, Solved
from manopt_torch.problems.least_squares import Linearization


class QRSolver(LinearSolver):
    r"""Factorise $J = Q R$ once, then $\binom{R}{\operatorname{diag}\sqrt d}$ for each damping.

    The condition of $J$ is not squared: for nearly dependent columns and many digits, at several times the cost of
    `CholeskySolver`; $n^2 + n$ numbers a problem are kept. GPUs factorise the matrices of a batch one after the other:
    better for one problem than for many.

    References:
        [More:1978]; [GolubVanLoan:2013], section 5.3.

    Examples:
        >>> QRSolver()
        QRSolver()
    """

    def assemble(self, at: Linearization) -> tuple[torch.Tensor, ...]:
        """Keep the triangle R and the residuals turned by Q."""
        Q, R = torch.linalg.qr(at.jacobian)
        return R, (at.residuals.unsqueeze(-2) @ Q).squeeze(-2)

    def solve(
        self,
        p: Any,
        x: Any,
        system: tuple[torch.Tensor, ...],
        gradient: torch.Tensor,
        damping: torch.Tensor | None,
    ) -> Solved:
        """Factorise with the damping and substitute backwards."""
        R, turned = system
        step = by_augmented_qr(R, turned, torch.zeros_like(gradient) if damping is None else damping)
        return Solved(step, torch.isfinite(step).all(-1))

    def __repr__(self) -> str:
        return "QRSolver()"
