"""Cholesky factors without hidden host reads, and congruence by them."""

import math

import torch


def cholesky_or_nan(
    X: torch.Tensor,  # shape: (*batch, n, n)
) -> torch.Tensor:
    """Return the lower Cholesky factor; NaN for the matrices that are not positive definite.

    `torch.linalg.cholesky` reads a flag on the host and fails a whole batch for one matrix.

    Examples:
        >>> cholesky_or_nan(torch.tensor([[[4.0]], [[-1.0]]])).flatten()
        tensor([2., nan])
    """
    factor, info = torch.linalg.cholesky_ex(X)
    return torch.where((info == 0)[..., None, None], factor, math.nan)


def positive_or_nan(
    X: torch.Tensor,  # shape: (*batch, n, n)
) -> torch.Tensor:
    """Return the matrices themselves; NaN for those that are not positive definite, as rounding may make them.

    Examples:
        >>> positive_or_nan(torch.tensor([[[4.0]], [[-1.0]]])).flatten()
        tensor([4., nan])
    """
    info = torch.linalg.cholesky_ex(X.detach())[1]
    return torch.where((info == 0)[..., None, None], X, math.nan)


def inverse_triangular(
    L: torch.Tensor,  # shape: (*batch, n, n), lower triangular
) -> torch.Tensor:
    """Return the inverse of a lower triangular matrix."""
    eye = torch.eye(L.shape[-1], dtype=L.dtype, device=L.device)
    return torch.linalg.solve_triangular(L, eye.expand(L.shape), upper=False)


def congruence(
    A: torch.Tensor,  # shape: (*batch, m, n)
    X: torch.Tensor,  # shape: (*batch, n, n)
) -> torch.Tensor:
    """Return `A X A'`, the prime being the conjugate transpose."""
    return A @ X @ A.mH


# factors of so few rows are written out, elementwise over the batch: a third of LAPACK's time for three rows
_WRITTEN_OUT = 4


def solve_positive_definite(
    A: torch.Tensor,  # shape: (*batch, n, n), symmetric; the lower triangle is read
    b: torch.Tensor,  # shape: (*batch, n)
    shift: torch.Tensor | None = None,  # shape: (*batch, n)
    *,
    written_out: int = _WRITTEN_OUT,
    least: float = 0.0,
) -> tuple[torch.Tensor, torch.Tensor]:
    r"""Solve $(A + \operatorname{diag}(shift)) y = b$ by Cholesky; where that fails the second result is false.

    It fails where a pivot is no more than `least` times the diagonal entry that it was taken from.

    Examples:
        >>> y, ok = solve_positive_definite(torch.tensor([[[4.0]], [[-1.0]]]), torch.ones(2, 1))
        >>> y[0], ok
        (tensor([0.2500]), tensor([ True, False]))
    """
    if A.dim() > 2 and A.shape[-1] <= written_out:
        return _solve_elementwise(A, b, shift, least)
    if shift is not None:
        A = A + torch.diag_embed(shift)
    L, info = torch.linalg.cholesky_ex(A)
    y = torch.cholesky_solve(b.unsqueeze(-1), L).squeeze(-1)
    ok = info == 0
    if least > 0:
        pivots = L.diagonal(dim1=-2, dim2=-1).square()
        ok = ok & (pivots > least * A.diagonal(dim1=-2, dim2=-1)).all(-1)
    return y, ok


def _solve_elementwise(
    A: torch.Tensor, b: torch.Tensor, shift: torch.Tensor | None, least: float
) -> tuple[torch.Tensor, torch.Tensor]:
    n = A.shape[-1]
    L: list[list[torch.Tensor]] = [[] for _ in range(n)]
    ok = inverse = None
    inverses, z = [], []
    for j in range(n):
        pivot = whole = A[..., j, j] if shift is None else A[..., j, j] + shift[..., j]
        for entry in L[j]:
            pivot = torch.addcmul(pivot, entry, entry, value=-1)
        # the first pivot is the entry itself
        good = pivot > (least * whole if least and j else 0)
        ok = good if ok is None else ok & good
        inverse = pivot.rsqrt()  # not finite where the pivot is not positive
        inverses.append(inverse)
        for i in range(j + 1, n):
            s = A[..., i, j]
            for a, c in zip(L[i], L[j], strict=False):
                s = torch.addcmul(s, a, c, value=-1)
            L[i].append(s * inverse)
    for i in range(n):
        s = b[..., i]
        for a, c in zip(L[i], z, strict=True):
            s = torch.addcmul(s, a, c, value=-1)
        z.append(s * inverses[i])
    for i in reversed(range(n)):
        s = z[i]
        for k in range(i + 1, n):
            s = torch.addcmul(s, L[k][i], z[k], value=-1)
        z[i] = s * inverses[i]
    return torch.stack(z, -1), ok  # pyright: ignore[reportReturnType]
