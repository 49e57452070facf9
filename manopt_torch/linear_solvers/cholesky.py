r"""The normal equations by Cholesky's factorisation, for all problems of a batch at once."""

import copy
from typing import Any

import torch

from manopt_torch.functional.masked import count_active, host_read
from manopt_torch.linalg.cholesky import solve_positive_definite
from manopt_torch.linalg.damped_least_squares import by_augmented_qr
from manopt_torch.linear_solvers.base import LinearSolver, Solved
from manopt_torch.manifolds.points import map_leaves
from manopt_torch.problems.least_squares import Linearization

# a pivot that is so many rounding errors of its diagonal entry has lost all digits but a few
_LEAST_PIVOT = 1e3
# kernels for a single matrix differ from those for many
_FEWEST = 2


class CholeskySolver(LinearSolver):
    r"""Form $J' J$ and factorise $J' J + \operatorname{diag}(d) = L L'$.

    The default: $n^2$ numbers a problem are kept whatever $m$, and a batch is solved in a few elementwise operations.
    The condition of $J$ is squared. Problems for which that leaves hardly a digit, or no positive definite matrix, are
    gathered, and their steps found by a QR factorisation of the Jacobian with the damping below it; the others keep
    theirs bit for bit. One that cannot be solved at all has its step rejected.

    References:
        [NocedalWright:2006], section 10.3.
    """

    # matrices of so many rows are factorised elementwise over the batch
    rows_written_out = 4
    # whether problems are solved otherwise where this fails; if not, they are marked
    rescues = True

    def written_out(self) -> "CholeskySolver":
        """Return the solver as compilers like it: every factorisation elementwise over the batch."""
        other = copy.copy(self)
        other.rows_written_out, other.rescues = 1 << 10, False
        return other

    def assemble(self, at: Linearization) -> tuple[torch.Tensor, ...]:
        """Keep $J' J$."""
        return (at.jacobian.mT @ at.jacobian,)

    def diagonal(self, at: Linearization, system: tuple[torch.Tensor, ...]) -> torch.Tensor:
        """Read the squared lengths off the matrix."""
        return system[0].diagonal(dim1=-2, dim2=-1)

    def kept(
        self, system: tuple[torch.Tensor, ...], gradient: torch.Tensor, compiled: bool
    ) -> tuple[torch.Tensor, ...]:
        """Return the system as compiled evaluations have it, the lower triangle, or as others have it."""
        (A,) = system
        if (A.dim() == gradient.dim()) == compiled:
            return system
        return (to_lower(A) if compiled else from_lower(A, gradient.shape[-1]),)

    def solve(
        self,
        p: Any,
        x: Any,
        system: tuple[torch.Tensor, ...],
        gradient: torch.Tensor,
        damping: torch.Tensor | None,
    ) -> Solved:
        """Factorise and solve; solve those left over by QR."""
        least = _LEAST_PIVOT * torch.finfo(gradient.dtype).eps
        (A,) = self.kept(system, gradient, False)
        step, ok = solve_positive_definite(A, -gradient, damping, written_out=self.rows_written_out, least=least)
        left = count_active(~ok) if self.rescues else 0
        return by_qr(p, x, left, Solved(step, ok), damping) if left else Solved(step, ok)

    def __repr__(self) -> str:
        return "CholeskySolver()"


def from_lower(
    triangle: torch.Tensor,  # shape: (*batch, n * (n + 1) / 2), row by row
    n: int,
) -> torch.Tensor:
    """Return the symmetric matrix of which a compiled evaluation returns the lower triangle, `(*batch, n, n)`."""
    rows = [[max(i, j) * (max(i, j) + 1) // 2 + min(i, j) for j in range(n)] for i in range(n)]
    return torch.stack([torch.stack([triangle[..., k] for k in row], -1) for row in rows], -2)


def to_lower(
    A: torch.Tensor,  # shape: (*batch, n, n)
) -> torch.Tensor:
    """Return the lower triangle of a matrix, row by row, shape `(*batch, n * (n + 1) / 2)`."""
    return torch.stack([A[..., i, j] for i in range(A.shape[-1]) for j in range(i + 1)], -1)


def by_qr(p: Any, x: Any, left: int, found: Solved, damping: torch.Tensor | None) -> Solved:
    """Return the steps found, but those of the problems that are not ok by QR factorisations of their Jacobians."""
    step, ok = found
    axes, n = ok.dim(), step.shape[-1]
    d = torch.zeros_like(step) if damping is None else damping.expand(step.shape)
    if not axes:
        at = p.linearize_residuals(x)
        again = by_augmented_qr(at.jacobian, at.residuals, d)
        return Solved(again, torch.isfinite(again).all(-1))
    with host_read():
        chosen = torch.argsort(~ok.flatten(), descending=True, stable=True)[: max(left, _FEWEST)]

    def gathered(tree: Any) -> Any:
        return map_leaves(lambda t: t.flatten(0, axes - 1)[chosen], tree)

    if p.data:
        at = p.take(chosen, axes).linearize_residuals(gathered(x))
    else:  # what belongs to which problem is not known
        at = gathered(p.linearize_residuals(x))
    again = by_augmented_qr(at.jacobian, at.residuals, gathered(d))
    flat, good = step.reshape(-1, n), ok.flatten()
    kept = good[chosen].unsqueeze(-1)
    flat = flat.index_copy(0, chosen, torch.where(kept, flat[chosen], again))
    good = good.index_copy(0, chosen, good[chosen] | torch.isfinite(again).all(-1))
    return Solved(flat.reshape(step.shape), good.reshape(ok.shape))
