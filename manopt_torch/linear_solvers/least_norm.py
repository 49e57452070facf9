r"""The shortest step, whatever the rank of the Jacobian."""

from typing import Any

import torch

from manopt_torch.functional.masked import any_active
from manopt_torch.linalg.cholesky import cholesky_or_nan
from manopt_torch.linalg.damped_least_squares import by_pseudo_inverse, by_row_space
from manopt_torch.linear_solvers.base import LinearSolver, Solved
from manopt_torch.plans.options import check_range
from manopt_torch.problems.least_squares import Linearization


class LeastNormSolver(LinearSolver):
    r"""Solve by Cholesky's factorisation, and by the pseudo-inverse for the problems where that does not work.

    The diagonal of $J^\top J$ is scaled to one first, so that neither the decision nor the step depends on the units of
    the parameters. With fewer residuals than parameters the matrix is $J J^\top$ instead. The default of solvers that
    have no damping to fall back on.

    Args:
        rtol: eigenvalues below this share of the largest one count as zero in a pseudo-inverse; None is the rounding
            error of the dtype times n.

    Raises:
        OptionsError: if `rtol` is out of its range.

    References:
        [NocedalWright:2006], section 10.2; [GolubVanLoan:2013], section 5.5.

    Examples:
        >>> LeastNormSolver()
        LeastNormSolver()
    """

    def __init__(self, rtol: float | None = None) -> None:
        self.rtol = rtol
        if rtol is not None:
            check_range(self, "rtol", 0.0, 1.0, open_low=False)

    def assemble(self, at: Linearization) -> tuple[torch.Tensor, ...]:
        """Keep $J' J$, or Jacobian and residuals where these are few."""
        J = at.jacobian
        return (J, at.residuals) if J.shape[-2] < J.shape[-1] else (J.mT @ J,)

    def solve(
        self,
        p: Any,
        x: Any,
        system: tuple[torch.Tensor, ...],
        gradient: torch.Tensor,
        damping: torch.Tensor | None,
    ) -> Solved:
        """Solve by factorisation, then those left over by pseudo-inverse."""
        if len(system) == 2:
            step = by_row_space(*system, torch.zeros_like(gradient) if damping is None else damping)
        else:
            step = _by_cholesky(_normal_matrix(system, damping), gradient)
        missing = ~torch.isfinite(step).all(-1)
        if any_active(missing):
            shortest, _ = by_pseudo_inverse(_normal_matrix(system, damping), gradient, self.rtol)
            step = torch.where(missing.unsqueeze(-1), shortest, step)
        return Solved(step, torch.isfinite(step).all(-1))

    def __repr__(self) -> str:
        return f"LeastNormSolver({'' if self.rtol is None else self.rtol})"


def _normal_matrix(system: tuple[torch.Tensor, ...], damping: torch.Tensor | None) -> torch.Tensor:
    H = system[0].mT @ system[0] if len(system) == 2 else system[0]
    return H if damping is None else H + torch.diag_embed(damping)


def _by_cholesky(H: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
    """Return the step, NaN where the matrix is not positive definite to rounding."""
    diagonal = H.diagonal(dim1=-2, dim2=-1)
    scale = torch.where(diagonal > 0, diagonal, torch.ones_like(diagonal)).rsqrt()
    factor = cholesky_or_nan(scale.unsqueeze(-1) * H * scale.unsqueeze(-2))
    # a pivot that is rounding error is no pivot
    least = factor.diagonal(dim1=-2, dim2=-1).amin(-1, keepdim=True)
    step = -scale * torch.cholesky_solve((scale * g).unsqueeze(-1), factor).squeeze(-1)
    return torch.where(least * least > H.shape[-1] * torch.finfo(H.dtype).eps, step, torch.nan)
