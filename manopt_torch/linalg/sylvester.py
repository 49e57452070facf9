r"""Linear matrix equations of Lyapunov type.

References:
    [Higham:2008], section B.14; [KanekoFioriTanaka:2013] for the two that invert retractions.
"""

import math
from typing import Any

import torch

from manopt_torch.linalg.function import Function
from manopt_torch.linalg.spectral import sym_eigh


def lyapunov(
    P: torch.Tensor,  # shape: (*batch, n, n), Hermitian
    C: torch.Tensor,  # shape: (*batch, n, n)
) -> torch.Tensor:
    r"""Solve $P X + X P = C$, differentiable any number of times, also where eigenvalues of `P` repeat.

    With $P = V \operatorname{diag}(\lambda) V^*$, entry $(i, j)$ of $V^* X V$ is that of $V^* C V$ over
    $\lambda_i + \lambda_j$; it is taken as zero where that sum is zero, so that a singular `P` does no harm.

    Examples:
        >>> lyapunov(torch.diag(torch.tensor([1.0, 3.0])), torch.tensor([[2.0, 8.0], [4.0, 6.0]]))
        tensor([[1., 2.],
                [1., 1.]])
    """
    eigenvalues, eigenvectors = sym_eigh(P)
    return _Lyapunov.apply(*torch.broadcast_tensors(P, C), eigenvalues, eigenvectors)


class _Lyapunov(Function):
    """The solution from the eigenvectors of P; its derivatives solve equations with the same P."""

    generate_vmap_rule = True

    @staticmethod
    def forward(P: Any, C: Any, eigenvalues: Any, eigenvectors: Any) -> torch.Tensor:
        sums = eigenvalues[..., :, None] + eigenvalues[..., None, :]
        negligible = sums.abs() <= torch.finfo(sums.dtype).eps * sums.abs().amax((-2, -1), keepdim=True)
        inverse = torch.where(negligible, 0.0, 1 / torch.where(negligible, 1.0, sums))
        return eigenvectors @ (inverse * (eigenvectors.mH @ C @ eigenvectors)) @ eigenvectors.mH

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: torch.Tensor) -> None:
        P, _, *eigen = inputs
        ctx.save_for_backward(P, output, *eigen)
        ctx.save_for_forward(P, output, *eigen)

    @staticmethod
    def backward(ctx: Any, W: torch.Tensor) -> tuple[Any, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        P, X, *eigen = ctx.saved_tensors
        by_C = _Lyapunov.apply(P, W, *eigen)
        return -(by_C @ X.mH + X.mH @ by_C), by_C, None, None

    @staticmethod
    def jvp(ctx: Any, dP: Any, dC: Any, *rest: Any) -> torch.Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        P, X, *eigen = ctx.saved_tensors
        return _Lyapunov.apply(P, dC - dP @ X - X @ dP, *eigen)


def general_lyapunov(
    M: torch.Tensor,  # shape: (*batch, n, n)
    C: torch.Tensor,  # shape: (*batch, n, n)
) -> torch.Tensor:
    r"""Solve $M X + X M^* = C$ for any square `M`, as one system of $n^2$ equations; not finite where it is singular.

    Meant for small matrices: the cost grows like $n^6$.

    Examples:
        >>> general_lyapunov(torch.tensor([[1.0, 1.0], [0.0, 1.0]]), torch.tensor([[2.0, 1.0], [1.0, 2.0]]))
        tensor([[1., 0.],
                [0., 1.]])
    """
    n = M.shape[-1]
    eye = torch.eye(n, dtype=M.dtype, device=M.device)
    left = M[..., :, None, :, None] * eye[:, None, :]  # of M x I; row-major order of the entries of X
    right = eye[:, None, :, None] * M.conj()[..., None, :, None, :]
    system = (left + right).flatten(-4, -3).flatten(-2)
    return torch.linalg.solve_ex(system, C.flatten(-2)[..., None])[0][..., 0].unflatten(-1, (n, n))


def triangular_lyapunov(
    M: torch.Tensor,  # shape: (*batch, n, n)
) -> torch.Tensor:
    r"""Solve $M R + R^* M^* = 2 I$ for an upper triangular `R` with real positive diagonal; NaN where there is none.

    Column $j$ of $R$ solves a system with the leading $j \times j$ block of `M` and the columns before it on the right.

    Examples:
        >>> triangular_lyapunov(torch.tensor([[1.0, 0.0], [1.0, 0.5]]))
        tensor([[ 1., -1.],
                [ 0.,  4.]])
    """
    n = M.shape[-1]
    columns: list[torch.Tensor] = []
    for j in range(n):
        above = [-(M[..., j, : i + 1] * column[..., : i + 1]).sum(-1).conj() for i, column in enumerate(columns)]
        one = torch.ones_like(M[..., 0, 0])
        rhs = torch.stack([*above, one], -1)[..., None]
        if M.is_complex():  # the imaginary part of the last entry is free, and makes the diagonal of R real
            rhs = torch.cat([rhs, 1j * torch.eye(j + 1, dtype=M.dtype, device=M.device)[:, j:].expand(rhs.shape)], -1)
        solved = torch.linalg.solve_ex(M[..., : j + 1, : j + 1], rhs)[0]
        column = solved[..., 0]
        if M.is_complex():
            share = column[..., -1:].imag / solved[..., -1:, 1].imag
            column = column - share * solved[..., 1]
        columns.append(torch.nn.functional.pad(column, (0, n - 1 - j)))
    R = torch.stack(columns, -1)
    inside = (R.diagonal(dim1=-2, dim2=-1).real > 0).all(-1)[..., None, None]
    return torch.where(inside, R, math.nan)
