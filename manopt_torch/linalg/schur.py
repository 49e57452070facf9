r"""The Schur complement: solve for one block of unknowns after eliminating many small independent ones.

$$\begin{pmatrix} A & B \\ B^\top & C \end{pmatrix} \begin{pmatrix} u \\ v \end{pmatrix}
= -\begin{pmatrix} a \\ c \end{pmatrix}, \qquad (A - B C^{-1} B^\top)\, u = -(a - B C^{-1} c), \quad
v = -C^{-1} (c + B^\top u),$$

with $C$ block diagonal. In bundle adjustment $u$ are the cameras and $v$ the points: the matrix to be factored has the
size of the few cameras. Reference: [TriggsEtAl:1999], section 6.1.
"""

import torch

from manopt_torch.linalg.cholesky import cholesky_or_nan


def solve_by_schur_complement(
    A: torch.Tensor,  # shape: (*batch, k, k)
    B: torch.Tensor,  # shape: (*batch, k, blocks, s)
    C: torch.Tensor,  # shape: (*batch, blocks, s, s)
    a: torch.Tensor,  # shape: (*batch, k)
    c: torch.Tensor,  # shape: (*batch, blocks, s)
) -> torch.Tensor:
    """Return u and v side by side, shape `(*batch, k + blocks * s)`; NaN for a matrix that is not positive definite.

    Examples:
        >>> A, B, C = torch.tensor([[2.0]]), torch.tensor([[[1.0]]]), torch.tensor([[[1.0]]])
        >>> solve_by_schur_complement(A, B, C, torch.tensor([-3.0]), torch.tensor([[-2.0]]))
        tensor([1., 1.])
    """
    small = cholesky_or_nan(C)
    # C^-1 B' and C^-1 c for each block: (*batch, blocks, s, k) and (*batch, blocks, s)
    solved = torch.cholesky_solve(B.movedim(-3, -1), small)
    inner = torch.cholesky_solve(c.unsqueeze(-1), small).squeeze(-1)
    wide = B.flatten(-2)  # (*batch, k, blocks * s)
    factor = cholesky_or_nan(A - wide @ solved.flatten(-3, -2))
    right = a - (wide @ inner.flatten(-2).unsqueeze(-1)).squeeze(-1)
    u = -torch.cholesky_solve(right.unsqueeze(-1), factor)
    v = -inner.flatten(-2) - (solved.flatten(-3, -2) @ u).squeeze(-1)
    return torch.cat([u.squeeze(-1), v], dim=-1)


def two_blocks(
    J: torch.Tensor,  # shape: (*batch, m, k + blocks * s)
    blocks: int,
    size: int,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    r"""Return A, B and C of $J^\top J$, the last `blocks * s` coordinates being those of C.

    No row of J may touch two blocks: what C has outside its blocks is not looked at.
    """
    k = J.shape[-1] - blocks * size
    first, second = J[..., :k], J[..., k:]
    A = first.mT @ first
    B = (first.mT @ second).unflatten(-1, (blocks, size))
    # each block by itself, its columns side by side: (*batch, blocks, m, s)
    columns = second.unflatten(-1, (blocks, size)).movedim(-2, -3)
    return A, B, columns.mT @ columns


def rows_touch_one_block(
    J: torch.Tensor,  # shape: (*batch, m, k + blocks * s)
    blocks: int,
    size: int,
) -> torch.Tensor:
    """Tell for each problem whether no row has entries in two of the eliminated blocks, shape `(*batch,)`."""
    grouped = J[..., J.shape[-1] - blocks * size :].unflatten(-1, (blocks, size))
    return ((grouped != 0).any(-1).sum(-1) <= 1).all(-1)
